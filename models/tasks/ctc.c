#include "models/tasks/ctc.h"

#include <math.h>
#include <stdbool.h>
#include <string.h>

#include "core/base/memory.h"

static const double NEVER = -(double)INFINITY;

/* log(exp(a) + exp(b)). */
static double add_logs(double a, double b)
{
    double high = a > b ? a : b, low = a > b ? b : a;
    return low == NEVER ? high : high + log1p(exp(low - high));
}

/* Write the logarithm of each step's sum, by which outputs become probabilities. */
static void measure(const struct ctc_outputs *o, double *totals)
{
    for (size_t t = 0; t < o->T; t++) {
        const float *row = o->rows + t * o->V;
        double top = (double)row[0], sum = 0;
        for (size_t k = 1; k < o->V; k++) top = fmax(top, (double)row[k]);
        for (size_t k = 0; k < o->V; k++) sum += exp((double)row[k] - top);
        totals[t] = top + log(sum);
    }
}

/* The logarithm of label k's probability at step t. */
static double at(const struct ctc_outputs *o, const double *totals, size_t t, size_t k)
{
    return (double)o->rows[t * o->V + k] - totals[t];
}

/* ---- the tree of prefixes ------------------------------------------------------------------- */

/* Each prefix that was ever in the beam, once; node 0 is the empty one. */
struct tree {
    uint32_t *parent; /* [n] */
    int32_t *label;   /* [n] the last one */
    double *prior;    /* [n] what the language model and the bonus add */
    uint32_t *table;  /* [mask + 1] node + 1, or 0 */
    size_t n, mask;
};

static size_t slot_of(const struct tree *tree, uint32_t parent, int32_t label)
{
    uint64_t hash = ((uint64_t)parent << 32 ^ (uint32_t)label) * 0x9e3779b97f4a7c15u;
    size_t slot = (size_t)(hash >> 20) & tree->mask;
    for (; tree->table[slot]; slot = (slot + 1) & tree->mask) {
        uint32_t node = tree->table[slot] - 1;
        if (tree->parent[node] == parent && tree->label[node] == label) break;
    }
    return slot;
}

static uint32_t child_of(struct tree *tree, uint32_t parent, int32_t label)
{
    size_t slot = slot_of(tree, parent, label);
    if (!tree->table[slot]) {
        tree->parent[tree->n] = parent;
        tree->label[tree->n++] = label;
        tree->table[slot] = (uint32_t)tree->n;
    }
    return tree->table[slot] - 1;
}

/* ---- prefix beam search --------------------------------------------------------------------- */

/* A prefix in the beam: the probabilities of its paths that end in the blank and in its last label. */
struct beam {
    uint32_t node;
    size_t slot; /* of what the language model says behind it */
    double blank, label, total, rank;
};

/* A prefix that may be in the next beam: one of this beam that stays (extension -1), or one with a label
 * more. */
struct candidate {
    uint32_t node;
    size_t slot; /* of the prefix of this beam */
    int32_t extension;
    double blank, label, total, prior, rank; /* rank: total + prior */
};

struct ctc_search {
    struct ctc_outputs outputs;
    struct ctc_options options;
    struct tree tree;
    double *totals;          /* [T] */
    struct beam *beams;      /* [n] of num_beams, best first */
    struct candidate *best;  /* [n_best] of num_beams, best first */
    size_t n, n_best, num_beams, t;
    bool has_begun;
    double *answers;         /* [2 num_beams, V]; NULL: no language model */
    bool *taken;             /* [2 num_beams] slots */
};

/* Keep a candidate if it is among the best; of equal ones the first stays. */
static void offer(struct ctc_search *s, struct candidate candidate)
{
    size_t i = s->n_best;
    if (candidate.rank == NEVER) return;
    if (i == s->num_beams && !(candidate.rank > s->best[i - 1].rank)) return;
    if (i < s->num_beams) s->n_best++;
    else i--;
    for (; i > 0 && candidate.rank > s->best[i - 1].rank; i--) s->best[i] = s->best[i - 1];
    s->best[i] = candidate;
}

/* What a prefix gets from the paths of its parent, if that is in the beam too. */
static double from_parent(const struct ctc_search *s, const struct beam *beam, double log_p)
{
    const struct tree *tree = &s->tree;
    if (beam->node == 0) return NEVER;
    for (size_t j = 0; j < s->n; j++) {
        const struct beam *parent = &s->beams[j];
        if (parent->node != tree->parent[beam->node]) continue;
        bool repeats = parent->node != 0 && tree->label[parent->node] == tree->label[beam->node];
        return (repeats ? parent->blank : parent->total) + log_p;
    }
    return NEVER;
}

static bool is_in_beam(const struct ctc_search *s, uint32_t parent, int32_t label)
{
    uint32_t found = s->tree.table[slot_of(&s->tree, parent, label)];
    for (size_t j = 0; found && j < s->n; j++)
        if (s->beams[j].node == found - 1) return true;
    return false;
}

/* Offer the prefixes that stay as they are. */
static void offer_staying(struct ctc_search *s, const struct ctc_outputs *o, size_t t)
{
    for (size_t i = 0; i < s->n; i++) {
        const struct beam *beam = &s->beams[i];
        struct candidate stays = {.node = beam->node, .slot = beam->slot, .extension = -1, .label = NEVER,
                                  .prior = s->tree.prior[beam->node]};
        stays.blank = beam->total + at(o, s->totals, t, o->blank);
        if (beam->node) {
            double log_p = at(o, s->totals, t, (size_t)s->tree.label[beam->node]);
            stays.label = add_logs(beam->label + log_p, from_parent(s, beam, log_p));
        }
        stays.total = add_logs(stays.blank, stays.label);
        stays.rank = stays.total + stays.prior;
        offer(s, stays);
    }
}

/* What label k adds behind a prefix. */
static double prior_of(const struct ctc_search *s, const struct beam *beam, size_t k)
{
    if (!s->answers) return 0;
    return s->tree.prior[beam->node] + s->options.bonus +
           s->options.weight * s->answers[beam->slot * s->outputs.V + k];
}

/* Offer those with a label more. */
static void offer_longer(struct ctc_search *s, const struct ctc_outputs *o, size_t t)
{
    for (size_t i = 0; i < s->n; i++)
        for (size_t k = 0; k < o->V; k++) {
            const struct beam *beam = &s->beams[i];
            if (k == o->blank) continue;
            bool repeats = beam->node && (size_t)s->tree.label[beam->node] == k;
            double total = (repeats ? beam->blank : beam->total) + at(o, s->totals, t, k);
            double prior = prior_of(s, beam, k), rank = total + prior;
            if (s->n_best == s->num_beams && !(rank > s->best[s->n_best - 1].rank)) continue;
            if (is_in_beam(s, beam->node, (int32_t)k)) continue; /* it stays, and was counted there */
            offer(s, (struct candidate){beam->node, beam->slot, (int32_t)k, NEVER, total, total, prior,
                                        rank});
        }
}

static size_t free_slot(const struct ctc_search *s)
{
    size_t slot = 0;
    while (s->taken[slot]) slot++;
    return slot;
}

/* Make the best candidates the beam. The slots of the beam before stay as they are, because what is new goes
 * on from them: twice as many slots as beams are enough. */
static size_t choose(struct ctc_search *s, struct ctc_question *questions)
{
    size_t n_questions = 0;
    const bool asks = s->answers && s->t + 1 < s->outputs.T; /* nothing follows the last step */
    for (size_t i = 0; asks && i < 2 * s->num_beams; i++) s->taken[i] = false;
    for (size_t i = 0; asks && i < s->n; i++) s->taken[s->beams[i].slot] = true;
    for (size_t i = 0; i < s->n_best; i++) {
        const struct candidate *c = &s->best[i];
        uint32_t node = c->extension < 0 ? c->node : child_of(&s->tree, c->node, c->extension);
        s->tree.prior[node] = c->prior;
        s->beams[i] = (struct beam){node, c->slot, c->blank, c->label, c->total, c->rank};
        if (!asks || c->extension < 0) continue;
        s->beams[i].slot = free_slot(s);
        s->taken[s->beams[i].slot] = true;
        questions[n_questions++] = (struct ctc_question){s->beams[i].slot, c->slot, c->extension};
    }
    s->n = s->n_best;
    return n_questions;
}

size_t ctc_search_advance(struct ctc_search *s, struct ctc_question *questions)
{
    if (s->answers && !s->has_begun) {
        s->has_begun = true;
        questions[0] = (struct ctc_question){0, 0, -1};
        return 1;
    }
    while (s->t < s->outputs.T) {
        s->n_best = 0;
        offer_staying(s, &s->outputs, s->t);
        offer_longer(s, &s->outputs, s->t);
        const size_t n = choose(s, questions);
        s->t++;
        if (n) return n;
    }
    return 0;
}

double *ctc_search_slot(struct ctc_search *search, size_t slot)
{
    return search->answers + slot * search->outputs.V;
}

void ctc_search_free(struct ctc_search *s)
{
    if (!s) return;
    memory_free(s->tree.parent);
    memory_free(s->tree.label);
    memory_free(s->tree.prior);
    memory_free(s->tree.table);
    memory_free(s->totals);
    memory_free(s->beams);
    memory_free(s->best);
    memory_free(s->answers);
    memory_free(s->taken);
    memory_free(s);
}

enum status ctc_search_new(const struct ctc_outputs *o, const struct ctc_options *options,
                           struct ctc_search **out)
{
    const size_t B = options->num_beams, nodes = o->T * B + 1;
    size_t room = 2;
    struct ctc_search *s = *out = memory_new(1, sizeof *s);
    if (!s) return STATUS_NO_MEMORY;
    while (room < 2 * nodes) room *= 2;
    *s = (struct ctc_search){.outputs = *o, .options = *options, .num_beams = B, .n = 1,
                             .tree = {.n = 1, .mask = room - 1}};
    s->tree.parent = memory_new(nodes, sizeof *s->tree.parent);
    s->tree.label = memory_new(nodes, sizeof *s->tree.label);
    s->tree.prior = memory_new(nodes, sizeof *s->tree.prior);
    s->tree.table = memory_new(room, sizeof *s->tree.table);
    s->totals = memory_new(o->T, sizeof *s->totals);
    s->beams = memory_new(B, sizeof *s->beams);
    s->best = memory_new(B, sizeof *s->best);
    bool good = s->tree.parent && s->tree.label && s->tree.prior && s->tree.table && s->totals && s->beams &&
                s->best;
    if (options->has_language) {
        s->answers = memory_new(2 * B * o->V, sizeof *s->answers);
        s->taken = memory_new(2 * B, sizeof *s->taken);
        good = good && s->answers && s->taken;
    }
    if (!good) {
        ctc_search_free(s);
        *out = NULL;
        return STATUS_NO_MEMORY;
    }
    measure(o, s->totals);
    s->beams[0] = (struct beam){.node = 0, .blank = 0, .label = NEVER, .total = 0};
    return STATUS_OK;
}

/* ---- texts ---------------------------------------------------------------------------------- */

static bool make_text(struct ctc_text *text, double score, size_t n)
{
    *text = (struct ctc_text){.score = score, .n = n};
    text->labels = memory_new(n, sizeof *text->labels);
    text->first = memory_new(n, sizeof *text->first);
    text->last = memory_new(n, sizeof *text->last);
    return text->labels && text->first && text->last;
}

/* The likeliest path of a text through states blank, label, blank, label ... blank (Viterbi, 1967), as the
 * first and last step of each label. */
static enum status align(const struct ctc_outputs *o, const double *totals, struct ctc_text *text)
{
    size_t S = 2 * text->n + 1, s = S - 1;
    uint8_t *from = memory_new(o->T, S); /* how many states the path came up */
    double *now = memory_new(S, sizeof *now);
    if (!from || !now) {
        memory_free(from);
        memory_free(now);
        return STATUS_NO_MEMORY;
    }
    for (size_t i = 0; i < S; i++) now[i] = i ? NEVER : 0;
    for (size_t t = 0; t < o->T; t++)
        for (size_t i = S; i-- > 0;) { /* downwards: the states below are still those of the step before */
            size_t k = i % 2 ? (size_t)text->labels[i / 2] : o->blank;
            bool skips = i % 2 && i > 1 && text->labels[i / 2] != text->labels[i / 2 - 1];
            double best = now[i];
            if (i > 0 && (t > 0 || i == 1) && now[i - 1] > best) best = now[i - 1], from[t * S + i] = 1;
            if (skips && t > 0 && now[i - 2] > best) best = now[i - 2], from[t * S + i] = 2;
            now[i] = best + at(o, totals, t, k);
        }
    if (S > 1 && now[S - 2] > now[S - 1]) s = S - 2;
    for (size_t i = 0; i < text->n; i++) text->last[i] = SIZE_MAX;
    for (size_t t = o->T; t-- > 0;) {
        if (s % 2) {
            text->first[s / 2] = t;
            if (text->last[s / 2] == SIZE_MAX) text->last[s / 2] = t;
        }
        s -= from[t * S + s];
    }
    memory_free(from);
    memory_free(now);
    return STATUS_OK;
}

static enum status read_beams(const struct ctc_search *s, struct ctc_texts *out)
{
    enum status status = STATUS_OK;
    for (size_t i = 0; i < s->n && i < s->options.n_best && status == STATUS_OK; i++) {
        size_t n = 0;
        for (uint32_t node = s->beams[i].node; node; node = s->tree.parent[node]) n++;
        struct ctc_text *text = &out->texts[out->n++];
        if (!make_text(text, s->beams[i].rank, n)) return STATUS_NO_MEMORY;
        for (uint32_t node = s->beams[i].node; node; node = s->tree.parent[node])
            text->labels[--n] = s->tree.label[node];
        status = align(&s->outputs, s->totals, text);
    }
    return status;
}

enum status ctc_search_texts(const struct ctc_search *search, struct ctc_texts *out)
{
    *out = (struct ctc_texts){.texts = memory_new(search->options.n_best, sizeof *out->texts)};
    enum status status = out->texts ? read_beams(search, out) : STATUS_NO_MEMORY;
    if (status != STATUS_OK) ctc_free(out);
    return status;
}

static enum status read_greedily(const struct ctc_outputs *o, const double *totals, struct ctc_texts *out)
{
    size_t before = o->blank, n = 0;
    struct ctc_text *text = &out->texts[out->n++];
    if (!make_text(text, 0, o->T)) return STATUS_NO_MEMORY;
    for (size_t t = 0; t < o->T; t++) {
        size_t best = 0;
        for (size_t k = 1; k < o->V; k++)
            if (o->rows[t * o->V + k] > o->rows[t * o->V + best]) best = k;
        text->score += at(o, totals, t, best);
        if (best != o->blank && best != before) {
            text->labels[n] = (int32_t)best;
            text->first[n++] = t;
        }
        if (best != o->blank) text->last[n - 1] = t;
        before = best;
    }
    text->n = n;
    return STATUS_OK;
}

static enum status decode_greedily(const struct ctc_outputs *o, struct ctc_texts *out)
{
    double *totals = memory_new(o->T, sizeof *totals);
    *out = (struct ctc_texts){.texts = memory_new(1, sizeof *out->texts)};
    enum status status = STATUS_NO_MEMORY;
    if (totals && out->texts) {
        measure(o, totals);
        status = read_greedily(o, totals, out);
    }
    memory_free(totals);
    if (status != STATUS_OK) ctc_free(out);
    return status;
}

enum status ctc_decode(const struct ctc_outputs *o, const struct ctc_options *options, struct ctc_texts *out)
{
    struct ctc_search *search;
    *out = (struct ctc_texts){0};
    if (options->num_beams == 1) return decode_greedily(o, out);
    enum status status = ctc_search_new(o, options, &search);
    if (status != STATUS_OK) return status;
    (void)ctc_search_advance(search, NULL);
    status = ctc_search_texts(search, out);
    ctc_search_free(search);
    return status;
}

void ctc_free(struct ctc_texts *texts)
{
    for (size_t i = 0; i < texts->n; i++) {
        memory_free(texts->texts[i].labels);
        memory_free(texts->texts[i].first);
        memory_free(texts->texts[i].last);
    }
    memory_free(texts->texts);
    *texts = (struct ctc_texts){0};
}
