/* Labels of tokens as entities: the rule of BIO, the likeliest path that keeps it, how entities are cut. */
#include <check.h>
#include <math.h>
#include <string.h>

#include "core/base/memory.h"
#include "models/tasks/tagging.h"

enum { N = 5, STEPS = 6 };
static const char *const labels[N] = {"O", "B-city", "I-city", "B-day", "I-day"};

/* Scores that make label path[t] the best of step t. */
static void clear_scores(const size_t *path, float scores[STEPS * N])
{
    for (size_t i = 0; i < STEPS * N; i++) scores[i] = 0.05f;
    for (size_t t = 0; t < STEPS; t++) scores[t * N + path[t]] = 0.8f;
}

START_TEST(a_path_that_keeps_the_rule_is_the_best_label_of_each_step)
{
    static const size_t best[STEPS] = {0, 1, 2, 1, 3, 4};
    float scores[STEPS * N];
    size_t path[STEPS], at = 0;
    struct tags *tags;
    struct entity entity;
    clear_scores(best, scores);
    ck_assert_int_eq(tags_new(labels, N, NULL, &tags), STATUS_OK);
    ck_assert_int_eq(tags_path(tags, scores, N, STEPS, path), STATUS_OK);
    ck_assert_mem_eq(path, best, sizeof best);
    static const struct {
        const char *kind;
        size_t first, end;
    } expected[] = {{"city", 1, 3}, {"city", 3, 4}, {"day", 4, 6}};
    for (size_t i = 0; i < 3; i++) {
        ck_assert(tags_next(tags, path, scores, N, STEPS, &at, &entity));
        ck_assert_str_eq(entity.kind, expected[i].kind);
        ck_assert_uint_eq(entity.first, expected[i].first);
        ck_assert_uint_eq(entity.end, expected[i].end);
        ck_assert_double_eq_tol(entity.score, 0.8, 1e-6);
    }
    ck_assert(!tags_next(tags, path, scores, N, STEPS, &at, &entity));
    tags_free(tags);
}
END_TEST

static float draw(uint32_t *seed)
{
    *seed = *seed * 1664525u + 1013904223u;
    return (float)(*seed >> 16) / 65536.0f;
}

/* Compare with every path there is. */
START_TEST(the_path_is_the_likeliest_that_keeps_the_rule)
{
    enum { T = 4, PATHS = N * N * N * N };
    float scores[T * N];
    uint32_t seed = (uint32_t)_i + 1;
    for (size_t i = 0; i < T * N; i++) scores[i] = 0.01f + draw(&seed);
    double best = 0;
    size_t expected[T] = {0}, path[T];
    for (size_t k = 0; k < PATHS; k++) {
        size_t step[T], rest = k;
        double product = 1;
        for (size_t t = 0; t < T; t++, rest /= N) {
            step[t] = rest % N;
            bool goes_on = step[t] == 2 || step[t] == 4;
            bool allowed = !goes_on || (t > 0 && (step[t - 1] == step[t] || step[t - 1] == step[t] - 1));
            product *= allowed ? (double)scores[t * N + step[t]] : 0;
        }
        if (product <= best) continue;
        best = product;
        memcpy(expected, step, sizeof step);
    }
    struct tags *tags;
    ck_assert_int_eq(tags_new(labels, N, NULL, &tags), STATUS_OK);
    ck_assert_int_eq(tags_path(tags, scores, N, T, path), STATUS_OK);
    ck_assert_mem_eq(path, expected, sizeof expected);
    tags_free(tags);
}
END_TEST

/* Compare with every path there is, each by its own sum. */
START_TEST(the_path_is_the_likeliest_by_what_was_learned)
{
    enum { T = 4, PATHS = N * N * N * N, WIDTH = N + 2 };
    float scores[T * WIDTH], learned[N * N + 2 * N];
    const struct transitions by = {learned, learned + N * N, learned + N * N + N};
    uint32_t seed = (uint32_t)_i + 100;
    for (size_t i = 0; i < T * WIDTH; i++) scores[i] = 0.01f + draw(&seed);
    for (size_t i = 0; i < N * N + 2 * N; i++) learned[i] = 4 * draw(&seed) - 2;
    if (_i % 2) learned[0 * N + 2] = by.start[2] > 0 ? -1e4f : -20; /* as good as forbidden */
    double best = -1e9;
    size_t n_steps = 1 + (size_t)_i % T, expected[T] = {0}, path[T];
    for (size_t k = 0; k < PATHS; k++) {
        size_t step[T], rest = k;
        for (size_t t = 0; t < T; t++, rest /= N) step[t] = rest % N;
        double sum = (double)by.start[step[0]] + (double)by.end[step[n_steps - 1]];
        for (size_t t = 0; t < n_steps; t++) {
            sum += log((double)scores[t * WIDTH + step[t]]);
            if (t > 0) sum += (double)by.between[step[t - 1] * N + step[t]];
        }
        if (sum <= best) continue;
        best = sum;
        memcpy(expected, step, sizeof step);
    }
    struct tags *tags;
    ck_assert_int_eq(tags_new(labels, N, &by, &tags), STATUS_OK);
    ck_assert_int_eq(tags_path(tags, scores, WIDTH, n_steps, path), STATUS_OK);
    ck_assert_mem_eq(path, expected, n_steps * sizeof *path);
    tags_free(tags);
}
END_TEST

START_TEST(labels_of_another_form_are_joined_if_they_are_equal)
{
    static const char *const parts[] = {"NOUN", "VERB", "O", "I-x"};
    static const size_t path[] = {0, 0, 1, 2, 3, 3};
    float scores[6 * 4];
    size_t at = 0, found[6], ends[] = {2, 3, 6};
    struct tags *tags;
    struct entity entity;
    for (size_t i = 0; i < 24; i++) scores[i] = 0.1f;
    for (size_t t = 0; t < 6; t++) scores[t * 4 + path[t]] = 0.7f;
    ck_assert_int_eq(tags_new(parts, 4, NULL, &tags), STATUS_OK);
    ck_assert_int_eq(tags_path(tags, scores, 4, 6, found), STATUS_OK);
    ck_assert_mem_eq(found, path, sizeof path);
    for (size_t i = 0; i < 3; i++) {
        ck_assert(tags_next(tags, path, scores, 4, 6, &at, &entity));
        ck_assert_uint_eq(entity.end, ends[i]);
    }
    ck_assert_str_eq(entity.kind, "x");
    tags_free(tags);
}
END_TEST

/* "I" and "INTJ" are whole names: no "B-TJ" has to come before. */
START_TEST(a_label_that_only_begins_with_i_is_free)
{
    static const char *const names[] = {"B-TJ", "INTJ", "I"};
    static const float scores[] = {0.1f, 0.8f, 0.1f, 0.1f, 0.1f, 0.8f};
    size_t path[2];
    struct tags *tags;
    ck_assert_int_eq(tags_new(names, 3, NULL, &tags), STATUS_OK);
    ck_assert_int_eq(tags_path(tags, scores, 3, 2, path), STATUS_OK);
    ck_assert_uint_eq(path[0], 1);
    ck_assert_uint_eq(path[1], 2);
    tags_free(tags);
}
END_TEST

START_TEST(scores_of_zero_leave_a_path)
{
    float scores[STEPS * N] = {0};
    size_t path[STEPS];
    struct tags *tags;
    for (size_t t = 0; t < STEPS; t++) scores[t * N + 2] = 1; /* what may not begin */
    ck_assert_int_eq(tags_new(labels, N, NULL, &tags), STATUS_OK);
    ck_assert_int_eq(tags_path(tags, scores, N, STEPS, path), STATUS_OK);
    ck_assert_uint_eq(path[0], 1);
    for (size_t t = 1; t < STEPS; t++) ck_assert_uint_eq(path[t], 2);
    tags_free(tags);
}
END_TEST

START_TEST(no_memory_is_survived_everywhere)
{
    float scores[STEPS * N], learned[N * N + 2 * N] = {0};
    const struct transitions by = {learned, learned + N * N, learned + N * N + N};
    size_t path[STEPS];
    for (size_t i = 0; i < STEPS * N; i++) scores[i] = 0.2f;
    for (uint64_t nth = 1;; nth++) {
        struct tags *tags = NULL;
        memory_fail_at(nth);
        enum status status = tags_new(labels, N, _i ? &by : NULL, &tags);
        if (status == STATUS_OK) status = tags_path(tags, scores, N, STEPS, path);
        memory_fail_at(0);
        tags_free(tags);
        if (status == STATUS_OK) break;
        ck_assert_int_eq(status, STATUS_NO_MEMORY);
    }
    for (size_t t = 0; t < STEPS; t++) ck_assert_uint_eq(path[t], 0); /* of equal ones the first */
}
END_TEST

Suite *tagging_suite(void);

Suite *tagging_suite(void)
{
    Suite *suite = suite_create("tagging");
    TCase *cases = tcase_create("tagging");
    tcase_add_test(cases, a_path_that_keeps_the_rule_is_the_best_label_of_each_step);
    tcase_add_loop_test(cases, the_path_is_the_likeliest_that_keeps_the_rule, 0, 40);
    tcase_add_loop_test(cases, the_path_is_the_likeliest_by_what_was_learned, 0, 60);
    tcase_add_loop_test(cases, no_memory_is_survived_everywhere, 0, 2);
    tcase_add_test(cases, labels_of_another_form_are_joined_if_they_are_equal);
    tcase_add_test(cases, a_label_that_only_begins_with_i_is_free);
    tcase_add_test(cases, scores_of_zero_leave_a_path);
    suite_add_tcase(suite, cases);
    return suite;
}
