/* Beam search and draws. Both keep the way back, from each hypothesis to the one that it goes on from. */
#include "models/translation/search.h"

#include <math.h>
#include <string.h>

#include "models/jobs/logits.h"

/* What a step of the source counts for that got no attention at all: ln of it is finite. */
static const double least_coverage = 1e-10;

enum { BLOCK = 128 }; /* outputs that are looked at together */

/* ---- memory ---------------------------------------------------------------------------------- */

static void lay_out_text(struct beam *b, const struct search *search, struct arena *arena)
{
    const size_t most = tokenizer_max_piece(search->target);
    struct transcript measured, *t = arena_take(arena, 1, sizeof *t);
    b->transcript = t;
    if (!t) t = &measured;
    t->text_capacity = transcript_text_bytes(search->target, search->max_tokens * most);
    t->token_capacity = search->max_tokens;
    t->text = arena_take(arena, t->text_capacity, 1);
    t->tokens = arena_take(arena, t->token_capacity, sizeof *t->tokens);
    t->offsets = arena_take(arena, t->token_capacity, sizeof *t->offsets);
    b->piece = arena_take(arena, most, 1);
    if (b->transcript) transcript_init(b->transcript);
}

static void lay_out_draws(struct beam *b, const struct search *search, size_t i, struct arena *arena)
{
    b->number = arena_take(arena, search->B, sizeof *b->number);
    b->random = arena_take(arena, search->B, sizeof *b->random);
    sampler_scratch_take(&search->sampler, arena, &b->scratch);
    for (size_t k = 0; b->random && k < search->B; k++)
        random_init(&b->random[k], search->seed, (uint64_t)i * TRANSLATION_MAX_BEAMS + k);
}

void beam_lay_out(struct beam *b, const struct search *search, size_t i, size_t S, struct arena *arena)
{
    const size_t B = search->B, stride = layer_round(search->state_floats);
    float *states = arena_take(arena, B, stride * sizeof *states);
    b->S = S;
    if (search->keeps_weights)
        b->weights = arena_take(arena, search->max_tokens * B, S * sizeof *b->weights);
    if (search->coverage_penalty > 0) b->covered = arena_take(arena, S, sizeof *b->covered);
    b->score = arena_take(arena, B, sizeof *b->score);
    b->token = arena_take(arena, B, sizeof *b->token);
    b->state = arena_take(arena, B, sizeof(float *));
    b->next_state = arena_take(arena, B, sizeof(float *));
    b->candidates = arena_take(arena, 2 * B, sizeof *b->candidates);
    b->parents = arena_take(arena, search->max_tokens, B * sizeof *b->parents);
    b->tokens = arena_take(arena, search->max_tokens, B * sizeof *b->tokens);
    b->results = arena_take(arena, B, sizeof *b->results);
    b->texts = arena_take(arena, search->max_tokens, B * sizeof *b->texts);
    if (search->draws) lay_out_draws(b, search, i, arena);
    if (search->streams) lay_out_text(b, search, arena);
    for (size_t k = 0; arena->base && k < B; k++) {
        b->state[k] = states + k * stride;
        b->results[k].tokens = b->texts + k * search->max_tokens;
    }
}

/* ---- what is finished ------------------------------------------------------------------------- */

/* The tokens of hypothesis k of those that have n tokens. */
static void trace_back(const struct beam *b, const struct search *search, size_t n, size_t k, int32_t *out)
{
    for (; n > 0; n--) {
        out[n - 1] = b->tokens[(n - 1) * search->B + k];
        k = beam_parent(b, search, n, k);
    }
}

static void cover(struct beam *b, const struct search *search, size_t n, size_t k)
{
    const float *weights = beam_weights(b, search, n, k);
    for (size_t s = 0; s < b->S; s++) b->covered[s] += (double)weights[s];
}

/* The sum over the source of ln(the attention that a step got, 1 at most). */
static double coverage(struct beam *b, const struct search *search, size_t n, size_t k, bool has_ended)
{
    double sum = 0;
    memset(b->covered, 0, b->S * sizeof *b->covered);
    if (has_ended) cover(b, search, n, k);
    for (; n > 0; n--) {
        k = beam_parent(b, search, n, k);
        cover(b, search, n - 1, k);
    }
    for (size_t s = 0; s < b->S; s++) sum += log(fmin(fmax(b->covered[s], least_coverage), 1));
    return sum;
}

/* A hypothesis of n tokens is finished: put it among the results if it is one of the B best. */
static void finish(struct beam *b, const struct search *search, size_t n, size_t k, double log_probability,
                   bool has_ended)
{
    double length = (double)(n + has_ended), score = log_probability / pow(length, search->length_penalty);
    if (b->covered) score += search->coverage_penalty * coverage(b, search, n, k, has_ended);
    size_t at = b->n_results < search->B ? b->n_results++ : search->B;
    if (at == search->B && score <= b->results[--at].score) return;
    struct translation_result result = {b->results[at].tokens, n, log_probability, score, has_ended, k};
    trace_back(b, search, n, k, b->texts + (result.tokens - b->texts)); /* into the block of this place */
    for (; at && score > b->results[at - 1].score; at--) b->results[at] = b->results[at - 1];
    b->results[at] = result;
}

/* ---- the best continuations ------------------------------------------------------------------- */

static bool is_better(const struct candidate *a, const struct candidate *b)
{
    return a->score > b->score;
}

/* Put a candidate among the n kept ones, of which there may be `most`. Returns how many there are. */
static size_t keep_best(struct candidate *kept, size_t n, size_t most, const struct candidate *candidate)
{
    if (n == most && !is_better(candidate, &kept[n - 1])) return n;
    size_t at = n < most ? n++ : n - 1;
    for (; at && is_better(candidate, &kept[at - 1]); at--) kept[at] = kept[at - 1];
    kept[at] = *candidate;
    return n;
}

/* Keep the `most` best of all continuations, best first; equal ones in the order in which they come. A block
 * whose greatest output would not be kept is passed over. */
static size_t collect(struct beam *b, const struct ride *rides, size_t V, size_t most)
{
    struct candidate *kept = b->candidates;
    size_t n = 0;
    for (size_t i = 0; i < b->n_live; i++) {
        double before = b->score[i] - logits_log_sum_fast(rides[i].output, V);
        for (size_t first = 0, end; first < V; first = end) {
            end = V - first < BLOCK ? V : first + BLOCK;
            double best = before + (double)logits_greatest(rides[i].output + first, end - first);
            if (n == most && !(best > kept[n - 1].score)) continue;
            for (size_t v = first; v < end; v++) {
                const struct candidate candidate = {before + (double)rides[i].output[v], i, (int32_t)v};
                n = keep_best(kept, n, most, &candidate);
            }
        }
    }
    return n;
}

/* Go on with the best continuations; what has ended among the first B is finished. Returns how many go on. */
static size_t extend(struct beam *b, const struct search *search, const struct ride *rides)
{
    const int32_t eos = tokenizer_eos(search->target);
    size_t n = collect(b, rides, search->V, 2 * search->B), n_live = 0;
    for (size_t r = 0; r < n; r++) {
        const struct candidate *c = &b->candidates[r];
        if (c->token == eos) {
            if (r < search->B) finish(b, search, b->n_done, c->parent, c->score, true);
        } else if (n_live < search->B) {
            b->parents[b->n_done * search->B + n_live] = c->parent;
            b->token[n_live] = c->token;
            b->score[n_live++] = c->score;
        }
    }
    return b->n_results == search->B ? 0 : n_live;
}

/* The target begins as is given: the only hypothesis follows it. */
static size_t follow(struct beam *b, const struct search *search, const struct ride *rides)
{
    const int32_t token = search->given[b->n_done];
    double before = b->score[0] - logits_log_sum_fast(rides[0].output, search->V);
    b->parents[b->n_done * search->B] = 0;
    b->token[0] = token;
    b->score[0] = before + (double)rides[0].output[token];
    return 1;
}

/* ---- draws ------------------------------------------------------------------------------------ */

/* Draw the next token of each hypothesis; the first ones are all drawn from the same output. What has ended
 * is finished. Returns how many go on. */
static size_t draw(struct beam *b, const struct search *search, const struct ride *rides)
{
    const int32_t eos = tokenizer_eos(search->target);
    const bool is_first = b->n_done == 0;
    size_t n = is_first ? search->B : b->n_live, n_live = 0;
    const double begun = b->score[0];
    for (size_t k = 0; k < n; k++) {
        size_t parent = is_first ? 0 : k, number = is_first ? k : b->number[k];
        const float *output = rides[parent].output;
        int32_t token = sampler_draw(&search->sampler, output, NULL, NULL, &b->random[number], &b->scratch);
        if (b->n_done < search->n_given) token = search->given[b->n_done]; /* the draw is used up */
        double before = (is_first ? begun : b->score[k]) - logits_log_sum_fast(output, search->V);
        double score = before + (double)output[token];
        if (token == eos) {
            finish(b, search, b->n_done, parent, score, true);
            continue;
        }
        b->parents[b->n_done * search->B + n_live] = parent;
        b->number[n_live] = number;
        b->token[n_live] = token;
        b->score[n_live++] = score;
    }
    return n_live;
}

/* ---- a step ----------------------------------------------------------------------------------- */

/* Hypothesis k goes on from the state of its parent. The first child gets its parent's block, and the
 * others get a copy in a block that no hypothesis needs any more. */
static void move_states(struct beam *b, const size_t *parents, size_t n, size_t B, size_t n_floats)
{
    float **next = b->next_state;
    memset(next, 0, B * sizeof(float *));
    for (size_t k = 0; k < n; k++) {
        bool is_first = true;
        for (size_t i = 0; i < k; i++) is_first &= parents[i] != parents[k];
        if (is_first) next[k] = b->state[parents[k]];
    }
    size_t spare = 0;
    for (size_t k = 0; k < B; k++) {
        if (next[k]) continue;
        for (bool is_taken = true; is_taken; spare += is_taken) {
            is_taken = false;
            for (size_t i = 0; i < n; i++) is_taken |= parents[i] == spare;
        }
        next[k] = b->state[spare++];
        if (k < n) memcpy(next[k], b->state[parents[k]], n_floats * sizeof(float));
    }
    b->next_state = b->state;
    b->state = next;
}

/* The only hypothesis has one more token, or has ended. */
static void write(struct beam *b, const struct search *search, bool has_token, bool goes_on)
{
    struct transcript *t = b->transcript;
    if (has_token) {
        (void)transcript_append(t, search->target, NULL, b->token[0], b->piece);
        (void)transcript_publish(t, NULL);
    }
    if (!goes_on) transcript_close(t, has_token ? FINISH_LENGTH : FINISH_STOP);
}

void beam_begin(struct beam *b, const struct search *search)
{
    b->n_live = 1;
    b->score[0] = 0;
    b->token[0] = tokenizer_bos(search->target);
}

bool beam_advance(struct beam *b, const struct search *search, const struct ride *rides)
{
    const size_t first = b->n_done * search->B;
    b->n_live = search->draws                 ? draw(b, search, rides)
                : b->n_done < search->n_given ? follow(b, search, rides)
                                              : extend(b, search, rides);
    memcpy(b->tokens + first, b->token, b->n_live * sizeof *b->tokens);
    b->n_done++;
    bool goes_on = b->n_live > 0 && b->n_done < search->max_tokens;
    if (goes_on) move_states(b, b->parents + first, b->n_live, search->B, search->state_floats);
    for (size_t k = 0; !goes_on && k < b->n_live; k++) finish(b, search, b->n_done, k, b->score[k], false);
    if (b->transcript) write(b, search, b->n_live > 0, goes_on); /* last: its end says there is a result */
    return goes_on;
}
