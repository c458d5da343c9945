/* top_k and top_p look at the best few only: a heap built in V steps gives them best first, in
 * log V steps each, whatever the logits are (a quickselect can be made to take V squared). */
#include "models/generation/sampler.h"

#include <float.h>
#include <math.h>

static const double least_temperature = 1e-6;

bool sampler_has_penalties(const struct sampler *sampler)
{
    return sampler->repetition_penalty != 1 || sampler->presence_penalty != 0 ||
           sampler->frequency_penalty != 0;
}

bool sampler_has_cut(const struct sampler *sampler)
{
    return sampler->top_p < 1 || (sampler->top_k > 0 && sampler->top_k < sampler->V);
}

void sampler_scratch_take(const struct sampler *sampler, struct arena *arena,
                          struct sampler_scratch *scratch)
{
    scratch->x = arena_take(arena, sampler->V, sizeof *scratch->x);
    scratch->heap = NULL;
    if (sampler_has_cut(sampler))
        scratch->heap = arena_take(arena, sampler->V, sizeof *scratch->heap);
}

static void read_logits(size_t V, const float *logits, double *x)
{
    for (size_t i = 0; i < V; i++) {
        float l = logits[i];
        x[i] = l >= -FLT_MAX ? (l <= FLT_MAX ? (double)l : FLT_MAX) : -FLT_MAX;
    }
}

static void punish(const struct sampler *s, const uint32_t *counts, double *x)
{
    for (size_t i = 0; i < s->V; i++) {
        if (counts[i] == 0) continue;
        x[i] = x[i] > 0 ? x[i] / s->repetition_penalty : x[i] * s->repetition_penalty;
        uint32_t n = counts[i] & ~SAMPLER_PROMPT;
        if (n > 0) x[i] -= s->presence_penalty + s->frequency_penalty * n;
    }
}

static size_t greatest(const double *x, size_t n)
{
    size_t best = 0;
    for (size_t i = 1; i < n; i++)
        if (x[i] > x[best]) best = i;
    return best;
}

static bool is_before(const struct sampler_candidate *a, const struct sampler_candidate *b)
{
    return a->x > b->x || (a->x == b->x && a->id < b->id);
}

static void sift_down(struct sampler_candidate *heap, size_t n, size_t i)
{
    struct sampler_candidate moving = heap[i];
    for (size_t child; (child = 2 * i + 1) < n; i = child) {
        if (child + 1 < n && is_before(&heap[child + 1], &heap[child])) child++;
        if (!is_before(&heap[child], &moving)) break;
        heap[i] = heap[child];
    }
    heap[i] = moving;
}

/* Move the first of heap[0..n) behind the others, to heap[n - 1]. */
static void heap_pop(struct sampler_candidate *heap, size_t n)
{
    struct sampler_candidate first = heap[0];
    heap[0] = heap[n - 1];
    sift_down(heap, n - 1, 0);
    heap[n - 1] = first;
}

/* Pop the best that is left after n: it stands before them at the heap's end, its x replaced by w. */
static double heap_weigh(struct sampler_candidate *heap, size_t V, size_t n, double max,
                         double sharpness)
{
    heap_pop(heap, V - n);
    struct sampler_candidate *popped = &heap[V - 1 - n];
    popped->x = exp((popped->x - max) * sharpness);
    return popped->x;
}

/* The draw if top_k or top_p is set. */
static int32_t draw_cut(const struct sampler *s, const double *x, size_t best, double sharpness,
                        double u, struct sampler_candidate *heap)
{
    const size_t V = s->V, k = s->top_k > 0 && s->top_k < V ? s->top_k : V;
    const double max = x[best];
    for (size_t i = 0; i < V; i++) heap[i] = (struct sampler_candidate){x[i], (int32_t)i};
    for (size_t i = V / 2; i-- > 0;) sift_down(heap, V, i);

    double sum = 0; /* of the k best */
    size_t n_popped = 0;
    if (k < V)
        while (n_popped < k) sum += heap_weigh(heap, V, n_popped++, max, sharpness);
    else
        for (size_t i = 0; i < V; i++) sum += exp((x[i] - max) * sharpness);

    double kept = 0;
    size_t n_kept = 0;
    while (n_kept < k && (kept < s->top_p * sum || s->top_p >= 1 || n_kept == 0)) {
        if (n_popped == n_kept) (void)heap_weigh(heap, V, n_popped++, max, sharpness);
        double w = heap[V - 1 - n_kept].x;
        if (w < s->min_p) break; /* never the first, whose w is 1 */
        kept += w;
        n_kept++;
    }
    double running = 0;
    for (size_t j = 0; j < n_kept; j++) {
        running += heap[V - 1 - j].x;
        if (running > u * kept) return heap[V - 1 - j].id;
    }
    return heap[V - n_kept].id; /* not reached: u < 1 */
}

/* The draw among all, or all that min_p leaves. */
static int32_t draw_all(const struct sampler *s, double *x, size_t best, double sharpness,
                        double u)
{
    const double max = x[best];
    double sum = 0;
    for (size_t i = 0; i < s->V; i++) {
        double w = exp((x[i] - max) * sharpness);
        if (w < s->min_p) w = 0;
        sum += x[i] = w;
    }
    double running = 0;
    for (size_t i = 0; i < s->V; i++) {
        running += x[i];
        if (running > u * sum) return (int32_t)i;
    }
    return (int32_t)best; /* not reached: u < 1 */
}

/* What the penalties and biases make of the logits. */
static void weigh(const struct sampler *sampler, const float *logits, const uint32_t *counts, double *x)
{
    read_logits(sampler->V, logits, x);
    if (counts) punish(sampler, counts, x);
    for (size_t i = 0; i < sampler->n_biases; i++)
        x[sampler->biases[i].id] += (double)sampler->biases[i].bias;
}

int32_t sampler_draw(const struct sampler *sampler, const float *logits, const uint32_t *counts,
                     const struct ngrams *ngrams, struct random *random,
                     const struct sampler_scratch *scratch)
{
    double *x = scratch->x;
    weigh(sampler, logits, counts, x);
    if (ngrams && ngrams_bar(ngrams, x) == sampler->V) weigh(sampler, logits, counts, x);
    size_t best = greatest(x, sampler->V);
    if (!(sampler->temperature >= least_temperature)) return (int32_t)best;
    double sharpness = 1 / sampler->temperature;
    double u = random_uniform(random);
    if (scratch->heap) return draw_cut(sampler, x, best, sharpness, u, scratch->heap);
    return draw_all(sampler, x, best, sharpness, u);
}
