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
    double blank, label, total;
};

/* A prefix that may be in the next beam: one of this beam that stays (extension -1), or one with a label
 * more. */
struct candidate {
    uint32_t node;
    int32_t extension;
    double blank, label, total;
};

struct search {
    struct tree tree;
    struct beam *beams;      /* [n] of num_beams, best first */
    struct candidate *best;  /* [n_best] of num_beams, best first */
    size_t n, n_best, num_beams;
};

/* Keep a candidate if it is among the best; of equal ones the first stays. */
static void offer(struct search *s, struct candidate candidate)
{
    size_t i = s->n_best;
    if (candidate.total == NEVER) return;
    if (i == s->num_beams && !(candidate.total > s->best[i - 1].total)) return;
    if (i < s->num_beams) s->n_best++;
    else i--;
    for (; i > 0 && candidate.total > s->best[i - 1].total; i--) s->best[i] = s->best[i - 1];
    s->best[i] = candidate;
}

/* What a prefix gets from the paths of its parent, if that is in the beam too. */
static double from_parent(const struct search *s, const struct beam *beam, double log_p)
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

static bool is_in_beam(const struct search *s, uint32_t parent, int32_t label)
{
    uint32_t found = s->tree.table[slot_of(&s->tree, parent, label)];
    for (size_t j = 0; found && j < s->n; j++)
        if (s->beams[j].node == found - 1) return true;
    return false;
}

/* Move the search over one step. */
static void advance(struct search *s, const struct ctc_outputs *o, const double *totals, size_t t)
{
    s->n_best = 0;
    for (size_t i = 0; i < s->n; i++) { /* the prefixes that stay as they are */
        const struct beam *beam = &s->beams[i];
        struct candidate stays = {.node = beam->node, .extension = -1, .label = NEVER};
        stays.blank = beam->total + at(o, totals, t, o->blank);
        if (beam->node) {
            double log_p = at(o, totals, t, (size_t)s->tree.label[beam->node]);
            stays.label = add_logs(beam->label + log_p, from_parent(s, beam, log_p));
        }
        stays.total = add_logs(stays.blank, stays.label);
        offer(s, stays);
    }
    for (size_t i = 0; i < s->n; i++) /* and those with a label more */
        for (size_t k = 0; k < o->V; k++) {
            const struct beam *beam = &s->beams[i];
            if (k == o->blank) continue;
            bool repeats = beam->node && (size_t)s->tree.label[beam->node] == k;
            double total = (repeats ? beam->blank : beam->total) + at(o, totals, t, k);
            if (s->n_best == s->num_beams && !(total > s->best[s->n_best - 1].total)) continue;
            if (is_in_beam(s, beam->node, (int32_t)k)) continue; /* counted above */
            offer(s, (struct candidate){beam->node, (int32_t)k, NEVER, total, total});
        }
    for (size_t i = 0; i < s->n_best; i++) {
        const struct candidate *c = &s->best[i];
        uint32_t node = c->extension < 0 ? c->node : child_of(&s->tree, c->node, c->extension);
        s->beams[i] = (struct beam){node, c->blank, c->label, c->total};
    }
    s->n = s->n_best;
}

static bool search_open(struct search *s, size_t T, size_t num_beams)
{
    size_t nodes = T * num_beams + 1, room = 2;
    while (room < 2 * nodes) room *= 2;
    *s = (struct search){.num_beams = num_beams, .n = 1, .tree = {.n = 1, .mask = room - 1}};
    s->tree.parent = memory_new(nodes, sizeof *s->tree.parent);
    s->tree.label = memory_new(nodes, sizeof *s->tree.label);
    s->tree.table = memory_new(room, sizeof *s->tree.table);
    s->beams = memory_new(num_beams, sizeof *s->beams);
    s->best = memory_new(num_beams, sizeof *s->best);
    if (!s->tree.parent || !s->tree.label || !s->tree.table || !s->beams || !s->best) return false;
    s->beams[0] = (struct beam){.node = 0, .blank = 0, .label = NEVER, .total = 0};
    return true;
}

static void search_close(struct search *s)
{
    memory_free(s->tree.parent);
    memory_free(s->tree.label);
    memory_free(s->tree.table);
    memory_free(s->beams);
    memory_free(s->best);
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

static enum status read_beams(const struct search *s, const struct ctc_outputs *o, const double *totals,
                              size_t n_best, struct ctc_texts *out)
{
    enum status status = STATUS_OK;
    for (size_t i = 0; i < s->n && i < n_best && status == STATUS_OK; i++) {
        size_t n = 0;
        for (uint32_t node = s->beams[i].node; node; node = s->tree.parent[node]) n++;
        struct ctc_text *text = &out->texts[out->n++];
        if (!make_text(text, s->beams[i].total, n)) return STATUS_NO_MEMORY;
        for (uint32_t node = s->beams[i].node; node; node = s->tree.parent[node])
            text->labels[--n] = s->tree.label[node];
        status = align(o, totals, text);
    }
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

enum status ctc_decode(const struct ctc_outputs *o, const struct ctc_options *options, struct ctc_texts *out)
{
    struct search search = {.n = 0};
    double *totals = memory_new(o->T, sizeof *totals);
    enum status status = STATUS_NO_MEMORY;
    *out = (struct ctc_texts){.texts = memory_new(options->n_best, sizeof *out->texts)};
    if (totals && out->texts) {
        measure(o, totals);
        if (options->num_beams == 1) status = read_greedily(o, totals, out);
        else if (search_open(&search, o->T, options->num_beams)) {
            for (size_t t = 0; t < o->T; t++) advance(&search, o, totals, t);
            status = read_beams(&search, o, totals, options->n_best, out);
        }
    }
    search_close(&search);
    memory_free(totals);
    if (status != STATUS_OK) ctc_free(out);
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
