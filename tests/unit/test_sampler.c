/* sampler and logits: against a slow reference that does what the header says, one step after the other,
 * and against the distributions that are asked for. */
#include "models/generation/sampler.h"

#include <check.h>
#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/memory.h"
#include "models/jobs/logits.h"
#include "models/tokenizers/tokenizer.h"

enum { MAX_V = 300 };

/* ---- the reference ---- */

struct ranked {
    double x, w;
    int32_t id;
};

static int best_first(const void *a, const void *b)
{
    const struct ranked *p = a, *q = b;
    if (p->x != q->x) return p->x > q->x ? -1 : 1;
    return p->id < q->id ? -1 : 1;
}

static int by_id(const void *a, const void *b)
{
    const struct ranked *p = a, *q = b;
    return p->id < q->id ? -1 : 1;
}

static double total(const struct ranked *ranked, size_t n)
{
    double sum = 0;
    for (size_t i = 0; i < n; i++) sum += ranked[i].w;
    return sum;
}

static int32_t reference(const struct sampler *s, const float *logits, const uint32_t *counts,
                         double u)
{
    struct ranked all[MAX_V];
    for (size_t i = 0; i < s->V; i++) {
        double x = (double)logits[i];
        if (counts && counts[i])
            x = x > 0 ? x / s->repetition_penalty : x * s->repetition_penalty;
        if (counts && (counts[i] & 0x7fffffff))
            x -= s->presence_penalty + s->frequency_penalty * (counts[i] & 0x7fffffff);
        for (size_t b = 0; b < s->n_biases; b++)
            if (s->biases[b].id == (int32_t)i) x += (double)s->biases[b].bias;
        all[i] = (struct ranked){.x = x, .id = (int32_t)i};
    }
    struct ranked unsorted[MAX_V];
    memcpy(unsorted, all, sizeof all);
    qsort(all, s->V, sizeof *all, best_first);
    if (s->temperature == 0) return all[0].id;
    for (size_t i = 0; i < s->V; i++) {
        all[i].w = exp((all[i].x - all[0].x) * (1 / s->temperature));
        unsorted[i].w = exp((unsorted[i].x - all[0].x) * (1 / s->temperature));
    }
    bool cuts_k = s->top_k > 0 && s->top_k < s->V;
    size_t n = cuts_k ? s->top_k : s->V;
    if (s->top_p < 1) {
        double sum = cuts_k ? total(all, n) : total(unsorted, n);
        size_t kept = 1;
        while (kept < n && total(all, kept) < s->top_p * sum) kept++;
        n = kept;
    }
    while (n > 1 && all[n - 1].w < s->min_p) n--;
    if (!cuts_k && s->top_p >= 1) qsort(all, n, sizeof *all, by_id);
    double sum = total(all, n);
    for (size_t i = 0; i < n; i++)
        if (total(all, i + 1) > u * sum) return all[i].id;
    return all[n - 1].id;
}

/* ---- helpers ---- */

static struct sampler plain(size_t V)
{
    return (struct sampler){.V = V, .temperature = 1, .top_p = 1, .repetition_penalty = 1};
}

static double memory_x[MAX_V];
static struct sampler_candidate memory_heap[MAX_V];

static struct sampler_scratch scratch_for(const struct sampler *sampler)
{
    return (struct sampler_scratch){memory_x, sampler_has_cut(sampler) ? memory_heap : NULL};
}

static int32_t draw(const struct sampler *sampler, const float *logits, const uint32_t *counts,
                    struct random *random)
{
    struct sampler_scratch scratch = scratch_for(sampler);
    return sampler_draw(sampler, logits, counts, NULL, random, &scratch);
}

static void fill(float *logits, size_t V, struct random *random)
{
    for (size_t i = 0; i < V; i++) logits[i] = (float)(3 * random_normal(random));
}

/* ---- against the reference ---- */

static const struct {
    double temperature, top_p, min_p;
    size_t top_k;
    double repetition, presence, frequency;
    bool biased;
} cases[] = {
    {1, 1, 0, 0, 1, 0, 0, false},
    {0, 1, 0, 0, 1, 0, 0, false},
    {0.7, 1, 0, 0, 1, 0, 0, false},
    {1.5, 1, 0, 5, 1, 0, 0, false},
    {1.5, 1, 0, 1000, 1, 0, 0, false},
    {1, 0.9, 0, 0, 1, 0, 0, false},
    {2, 0.5, 0, 0, 1, 0, 0, false},
    {1, 0, 0, 0, 1, 0, 0, false},
    {1, 1, 0.1, 0, 1, 0, 0, false},
    {1, 1, 1, 0, 1, 0, 0, false},
    {3, 0.9, 0.05, 40, 1, 0, 0, false},
    {3, 0.99, 0.01, 1, 1, 0, 0, false},
    {1, 1, 0, 0, 1.3, 0, 0, false},
    {0, 1, 0, 0, 1.3, 0.5, 0.25, true},
    {1, 0.8, 0.02, 20, 1.2, 0.5, 0.25, true},
    {0.01, 0.95, 0, 0, 1, 0, 0, true},
    {100, 1, 0, 0, 1, -2, -2, true},
};

START_TEST(sampler_does_what_the_header_says)
{
    static const size_t sizes[] = {1, 2, 3, 7, 65, 100, 300};
    struct sampler s = plain(sizes[_i % 7]);
    const size_t c = (size_t)_i / 7;
    const struct logit_bias biases[] = {{0, 2.5f}, {(int32_t)(s.V / 2), -100}};
    s.temperature = cases[c].temperature;
    s.top_p = cases[c].top_p;
    s.min_p = cases[c].min_p;
    s.top_k = cases[c].top_k;
    s.repetition_penalty = cases[c].repetition;
    s.presence_penalty = cases[c].presence;
    s.frequency_penalty = cases[c].frequency;
    s.biases = biases;
    s.n_biases = cases[c].biased ? 2 : 0;
    struct random source, random;
    random_init(&source, 11, (uint64_t)_i);
    for (int repeat = 0; repeat < 100; repeat++) {
        float logits[MAX_V];
        uint32_t counts[MAX_V] = {0};
        fill(logits, s.V, &source);
        for (size_t i = 0; i < s.V; i += 3) {
            logits[i] = logits[s.V / 2]; /* equals */
            counts[i] = (uint32_t)(i % 4);
            if (i % 2) counts[i] |= SAMPLER_PROMPT;
        }
        random_init(&random, 12, (uint64_t)repeat);
        struct random again = random;
        const uint32_t *seen = sampler_has_penalties(&s) ? counts : NULL;
        ck_assert_int_eq(draw(&s, logits, seen, &random),
                         reference(&s, logits, seen, random_uniform(&again)));
    }
}
END_TEST

/* ---- distributions ---- */

/* Pearson's chi-square of draws against the probabilities w; all draws must be possible. */
static void check_frequencies(const struct sampler *s, const float *logits, const double *w)
{
    enum { DRAWS = 200000 };
    double sum = 0, statistic = 0;
    size_t drawn[MAX_V] = {0}, freedom = 0;
    struct random random;
    random_init(&random, 5, 6);
    for (int i = 0; i < DRAWS; i++) drawn[draw(s, logits, NULL, &random)]++;
    for (size_t i = 0; i < s->V; i++) sum += w[i];
    for (size_t i = 0; i < s->V; i++) {
        double expected = DRAWS * w[i] / sum, difference = (double)drawn[i] - expected;
        if (w[i] == 0) ck_assert_uint_eq(drawn[i], 0);
        if (w[i] == 0) continue;
        statistic += difference * difference / expected;
        freedom++;
    }
    /* mean n - 1, variance 2 (n - 1): five standard deviations */
    double mean = (double)freedom - 1;
    ck_assert_double_le(statistic, mean + 5 * sqrt(2 * mean) + 1e-9);
}

START_TEST(draws_follow_the_distribution)
{
    struct sampler s = plain(20);
    float logits[20];
    double w[20];
    for (int i = 0; i < 20; i++) logits[i] = (float)(i * 7 % 20) / 5;
    s.temperature = 0.8;
    for (int i = 0; i < 20; i++) w[i] = exp((double)logits[i] / 0.8);
    check_frequencies(&s, logits, w);

    s.top_k = 6; /* the six greatest logits: 14/5 and more */
    for (int i = 0; i < 20; i++) w[i] = logits[i] >= 2.8f ? w[i] : 0;
    check_frequencies(&s, logits, w);
}
END_TEST

START_TEST(top_p_keeps_the_fewest_that_reach_it)
{
    /* 0.5, 0.25, 0.125, 0.125 */
    const float logits[] = {(float)log(0.125), (float)log(0.5), (float)log(0.125), (float)log(0.25)};
    struct sampler s = plain(4);
    s.top_p = 0.49;
    check_frequencies(&s, logits, (double[]){0, 1, 0, 0});
    s.top_p = 0.74;
    check_frequencies(&s, logits, (double[]){0, 2, 0, 1});
    s.top_p = 0.8; /* of two equals the lower id */
    check_frequencies(&s, logits, (double[]){1, 4, 0, 2});
}
END_TEST

START_TEST(min_p_is_relative_to_the_best)
{
    const float logits[] = {(float)log(0.125), (float)log(0.5), (float)log(0.125), (float)log(0.25)};
    struct sampler s = plain(4);
    s.min_p = 0.3;
    check_frequencies(&s, logits, (double[]){0, 2, 0, 1});
    s.top_k = 3;
    check_frequencies(&s, logits, (double[]){0, 2, 0, 1});
}
END_TEST

/* ---- runs that do not come again ---- */

/* Draw `n` tokens of V into `text`, each noted. */
static void draw_runs(size_t V, const float *logits, double temperature, size_t run, size_t n,
                      int32_t *text)
{
    static int32_t ids[2 * NGRAMS_WINDOW];
    struct sampler s = plain(V);
    struct sampler_scratch scratch = scratch_for(&s);
    struct ngrams ngrams = {.n = run, .ids = ids};
    struct random random;
    random_init(&random, 1, 1);
    s.temperature = temperature;
    for (size_t i = 0; i < n; i++) {
        text[i] = sampler_draw(&s, logits, NULL, &ngrams, &random, &scratch);
        ngrams_add(&ngrams, text[i]);
    }
}

START_TEST(a_run_of_tokens_does_not_come_again)
{
    const float logits[] = {3, 2, 1};
    int32_t text[7];
    draw_runs(3, logits, 0, 2, 7, text); /* the seventh finds no pair that begins with 0 left */
    ck_assert_mem_eq(text, ((int32_t[]){0, 0, 1, 0, 2, 0, 0}), 7 * sizeof *text);
    draw_runs(3, logits, 0, 1, 5, text);
    ck_assert_mem_eq(text, ((int32_t[]){0, 1, 2, 0, 0}), 5 * sizeof *text);
}
END_TEST

START_TEST(every_run_of_a_long_text_is_new_in_its_window)
{
    enum { N = 5000, V = 100, RUN = 2 };
    static const float logits[V];
    static int32_t text[N];
    draw_runs(V, logits, 1, RUN, N, text);
    size_t n_again = 0;
    for (size_t i = RUN; i + RUN <= N; i++)
        for (size_t j = i > NGRAMS_WINDOW - RUN ? i - (NGRAMS_WINDOW - RUN) : 0; j < i; j++)
            n_again += memcmp(text + i, text + j, RUN * sizeof *text) == 0;
    ck_assert_uint_eq(n_again, 0);
}
END_TEST

/* ---- limits ---- */

START_TEST(greedy_takes_the_first_of_equals_and_draws_nothing)
{
    const float logits[] = {1, 3, -2, 3};
    struct sampler s = plain(4);
    struct random random, before;
    random_init(&random, 1, 1);
    before = random;
    s.temperature = 0;
    ck_assert_int_eq(draw(&s, logits, NULL, &random), 1);
    s.temperature = 1e-9;
    ck_assert_int_eq(draw(&s, logits, NULL, &random), 1);
    ck_assert_mem_eq(&random, &before, sizeof random);
    s.temperature = 1e-6;
    ck_assert_int_ne(draw(&s, logits, NULL, &random), 0);
    s.temperature = 1;
    s.top_k = 1;
    for (int i = 0; i < 100; i++) ck_assert_int_eq(draw(&s, logits, NULL, &random), 1);
}
END_TEST

START_TEST(extreme_logits_do_not_break_the_draw)
{
    const float rows[][4] = {
        {FLT_MAX, -FLT_MAX, 0, 1},
        {-FLT_MAX, -FLT_MAX, -FLT_MAX, -FLT_MAX},
        {FLT_MAX, FLT_MAX, FLT_MAX, FLT_MAX},
        {INFINITY, 0, 0, 0},
        {NAN, 0, -INFINITY, 0},
        {NAN, NAN, NAN, NAN},
    };
    static const double temperatures[] = {0, 1e-6, 1, 100};
    struct random random;
    random_init(&random, 1, 1);
    for (size_t r = 0; r < 6; r++)
        for (size_t t = 0; t < 4; t++)
            for (size_t k = 0; k < 3; k++) {
                struct sampler s = plain(4);
                s.temperature = temperatures[t];
                s.top_k = k;
                s.top_p = k == 2 ? 0.5 : 1;
                int32_t id = draw(&s, rows[r], NULL, &random);
                ck_assert(id >= 0 && id < 4);
                if (r == 0 || r == 3) ck_assert_int_eq(id, 0);
                if (r == 4) ck_assert(id == 1 || id == 3);
            }
}
END_TEST

START_TEST(sampler_allocates_nothing)
{
    float logits[100] = {0};
    struct sampler s = plain(100);
    struct random random;
    random_init(&random, 1, 1);
    uint64_t before = memory_allocations();
    for (s.top_k = 0; s.top_k < 100; s.top_k += 20) (void)draw(&s, logits, NULL, &random);
    ck_assert_uint_eq(memory_allocations(), before);
}
END_TEST

START_TEST(scratch_holds_what_is_needed)
{
    struct sampler s = plain(100);
    struct arena arena = {0};
    struct sampler_scratch scratch;
    sampler_scratch_take(&s, &arena, &scratch);
    ck_assert_uint_eq(arena.used, 832); /* 100 doubles, up to a cache line */
    s.top_k = 100;
    ck_assert(!sampler_has_cut(&s));
    s.top_k = 99;
    ck_assert(sampler_has_cut(&s));
    arena = (struct arena){0};
    sampler_scratch_take(&s, &arena, &scratch);
    ck_assert_uint_eq(arena.used, 832 + 1600);
}
END_TEST

/* ---- logits ---- */

START_TEST(log_sum_exp_is_stable)
{
    ck_assert_double_eq_tol(logits_log_sum_exp((float[]){0, 0}, 2), log(2), 1e-15);
    ck_assert_double_eq_tol(logits_log_sum_exp((float[]){1000, 1000}, 2), 1000 + log(2), 1e-12);
    ck_assert_double_eq_tol(logits_log_sum_exp((float[]){-1e30f, 5}, 2), 5, 1e-15);
    ck_assert_double_eq(logits_log_sum_exp((float[]){-7}, 1), -7);
    static float many[1003];
    for (size_t n = 1; n <= 1003; n += 167) {
        for (size_t i = 0; i < n; i++) many[i] = (float)(i * 37 % 101) * 0.31f - 20;
        ck_assert_double_eq_tol(logits_log_sum_fast(many, n), logits_log_sum_exp(many, n), 2e-6);
    }
    ck_assert_double_eq_tol(logits_log_sum_fast((float[]){-1e30f, 5}, 2), 5, 1e-11);
}
END_TEST

START_TEST(softmax_sums_to_one)
{
    float x[] = {-3, 0.5f, 80, 79}, p[4];
    logits_softmax(x, 4, p);
    ck_assert_float_eq_tol(p[0] + p[1] + p[2] + p[3], 1, 1e-6f);
    ck_assert_float_eq_tol(p[2] / p[3], expf(1), 1e-5f);
    logits_softmax(x, 4, x);
    ck_assert_mem_eq(x, p, sizeof p);
}
END_TEST

START_TEST(top_is_best_first)
{
    const float x[] = {1, 4, -1, 4, 2};
    double log_sum = logits_log_sum_exp(x, 5);
    struct token_logprob top[7];
    static const int32_t order[] = {1, 3, 4, 0, 2, TOKEN_NONE, TOKEN_NONE};
    for (size_t n = 0; n <= 7; n++) {
        logits_top(x, 5, log_sum, n, top);
        for (size_t j = 0; j < n; j++) {
            ck_assert_int_eq(top[j].id, order[j]);
            if (j < 5)
                ck_assert_float_eq(top[j].logprob, (float)((double)x[order[j]] - log_sum));
            else
                ck_assert_float_nan(top[j].logprob);
        }
    }
}
END_TEST

Suite *sampler_suite(void);

Suite *sampler_suite(void)
{
    Suite *suite = suite_create("sampler");
    TCase *core = tcase_create("core");
    tcase_set_timeout(core, 20);
    tcase_add_loop_test(core, sampler_does_what_the_header_says, 0,
                        7 * (int)(sizeof cases / sizeof *cases));
    tcase_add_test(core, draws_follow_the_distribution);
    tcase_add_test(core, top_p_keeps_the_fewest_that_reach_it);
    tcase_add_test(core, min_p_is_relative_to_the_best);
    tcase_add_test(core, a_run_of_tokens_does_not_come_again);
    tcase_add_test(core, every_run_of_a_long_text_is_new_in_its_window);
    suite_add_tcase(suite, core);
    TCase *limits = tcase_create("limits");
    tcase_add_test(limits, greedy_takes_the_first_of_equals_and_draws_nothing);
    tcase_add_test(limits, extreme_logits_do_not_break_the_draw);
    tcase_add_test(limits, sampler_allocates_nothing);
    tcase_add_test(limits, scratch_holds_what_is_needed);
    suite_add_tcase(suite, limits);
    TCase *logits = tcase_create("logits");
    tcase_add_test(logits, log_sum_exp_is_stable);
    tcase_add_test(logits, softmax_sums_to_one);
    tcase_add_test(logits, top_is_best_first);
    suite_add_tcase(suite, logits);
    return suite;
}
