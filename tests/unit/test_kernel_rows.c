/* What kernel sets do with whole rows: inner products, weighted sums, the greatest, sums of exponentials.
 * Each set against double, in buffers that end at a guard page, and bit for bit against a record. */
#include <check.h>
#include <math.h>
#include <string.h>

#include "core/kernels/kernels.h"
#include "tests/support/guard.h"

enum { MOST = 300, MOST_ROWS = 9, GAP = 3 };

static float noise(uint32_t *state)
{
    *state = *state * 1664525u + 1013904223u;
    return (float)(int32_t)*state * 0x1p-31f; /* in [-1, 1) */
}

/* Rows of n floats and what is asked of them; the last row, x and y each end at a guard page. */
struct rows_case {
    struct row_block block;
    float *rows, *x, *y, *weights;
    size_t row_bytes, x_bytes, weight_bytes;
};

static struct rows_case case_new(size_t R, size_t n)
{
    struct rows_case c = {.row_bytes = ((R - 1) * (n + GAP) + n) * sizeof(float),
                          .x_bytes = n * sizeof(float), .weight_bytes = R * sizeof(float)};
    uint32_t state = (uint32_t)(7 * R + n);
    c.rows = guard_new(c.row_bytes);
    c.x = guard_new(c.x_bytes);
    c.y = guard_new(c.x_bytes);
    c.weights = guard_new(c.weight_bytes);
    for (size_t i = 0; i < c.row_bytes / sizeof(float); i++) c.rows[i] = noise(&state);
    for (size_t i = 0; i < n; i++) c.x[i] = noise(&state), c.y[i] = noise(&state);
    for (size_t r = 0; r < R; r++) c.weights[r] = noise(&state);
    c.block = (struct row_block){.rows = c.rows, .R = R, .n = n, .stride = n + GAP};
    return c;
}

static void case_free(const struct rows_case *c)
{
    guard_free(c->rows, c->row_bytes);
    guard_free(c->x, c->x_bytes);
    guard_free(c->y, c->x_bytes);
    guard_free(c->weights, c->weight_bytes);
}

START_TEST(inner_products_are_those_of_double)
{
    const struct kernels *set;
    for (size_t i = 0; (set = kernels_available(i)); i++)
        for (size_t n = 1; n < MOST; n += 1 + n / 40) {
            struct rows_case c = case_new(1 + n % MOST_ROWS, n);
            set->dots(&c.block, c.x, c.weights);
            for (size_t r = 0; r < c.block.R; r++) {
                double sum = 0, most = 0;
                for (size_t k = 0; k < n; k++) {
                    double term = (double)c.x[k] * (double)c.rows[r * c.block.stride + k];
                    sum += term;
                    most += fabs(term);
                }
                double bound = (set->is_fused ? 1 : 2) * ((double)n / 16 + 6) * 0x1p-24 * most;
                ck_assert_msg(fabs((double)c.weights[r] - sum) <= bound, "%s: %zu floats", set->name, n);
            }
            case_free(&c);
        }
}
END_TEST

START_TEST(weighted_sums_are_those_of_double)
{
    const struct kernels *set;
    for (size_t i = 0; (set = kernels_available(i)); i++)
        for (size_t n = 1; n < MOST; n += 1 + n / 40) {
            struct rows_case c = case_new(1 + n % MOST_ROWS, n);
            const float keep = n % 3 ? 0.75f : 0;
            float before[MOST];
            memcpy(before, c.y, c.x_bytes);
            if (keep == 0) c.y[n - 1] = NAN; /* is not read */
            set->weigh(&c.block, c.weights, keep, c.y);
            for (size_t k = 0; k < n; k++) {
                double sum = (double)keep * (double)before[k];
                for (size_t r = 0; r < c.block.R; r++)
                    sum += (double)c.weights[r] * (double)c.rows[r * c.block.stride + k];
                ck_assert_msg(fabs((double)c.y[k] - sum) <= 2e-6, "%s: %zu floats", set->name, n);
            }
            case_free(&c);
        }
}
END_TEST

START_TEST(the_greatest_is_found_wherever_it_lies)
{
    const struct kernels *set;
    for (size_t i = 0; (set = kernels_available(i)); i++)
        for (size_t n = 1; n < MOST; n += 1 + n / 20) {
            struct rows_case c = case_new(1, n);
            for (size_t at = 0; at < n; at++) {
                for (size_t k = 0; k < n; k++) c.x[k] = -2 - fabsf(c.x[k]);
                c.x[at] = -1.5f;
                ck_assert_msg(set->greatest(n, c.x) == -1.5f, "%s: %zu of %zu", set->name, at, n);
            }
            case_free(&c);
        }
}
END_TEST

START_TEST(sums_of_exponentials_are_those_of_double)
{
    const struct kernels *set;
    for (size_t i = 0; (set = kernels_available(i)); i++)
        for (size_t n = 1; n < 5000; n += 1 + n / 8) {
            struct rows_case c = case_new(1, n);
            double sum = 0;
            for (size_t k = 0; k < n; k++) c.x[k] *= k % 2 ? 1 : 12;
            const float most = set->greatest(n, c.x);
            for (size_t k = 0; k < n; k++) sum += exp((double)c.x[k] - (double)most);
            ck_assert_msg(fabs(set->exp_sum(n, c.x, most) / sum - 1) <= 2e-6, "%s: %zu floats", set->name, n);
            case_free(&c);
        }
}
END_TEST

static uint64_t digest(uint64_t seed, const void *from, size_t n_bytes)
{
    const unsigned char *bytes = from;
    for (size_t i = 0; i < n_bytes; i++) seed = (seed ^ bytes[i]) * UINT64_C(0x100000001b3);
    return seed;
}

/* Sets with a fused multiply-add give these bits on every processor. */
START_TEST(fused_sets_give_the_bits_on_record)
{
    const struct kernels *set;
    for (size_t i = 0; (set = kernels_available(i)); i++) {
        uint64_t found = 0;
        for (size_t n = 1; set->is_fused && n < MOST; n++) {
            struct rows_case c = case_new(1 + n % MOST_ROWS, n);
            float scores[MOST_ROWS];
            set->dots(&c.block, c.x, scores);
            set->weigh(&c.block, c.weights, 0.5f, c.y);
            const float most = set->greatest(n, c.x);
            const double sum = set->exp_sum(n, c.x, most);
            found = digest(digest(found, scores, c.block.R * sizeof *scores), c.y, c.x_bytes);
            found = digest(digest(found, &most, sizeof most), &sum, sizeof sum);
            case_free(&c);
        }
        ck_assert_msg(!set->is_fused || found == UINT64_C(0xbbb4083f2088986b), "%s: 0x%016llx", set->name,
                      (unsigned long long)found);
    }
}
END_TEST

Suite *kernel_rows_suite(void);

Suite *kernel_rows_suite(void)
{
    Suite *suite = suite_create("kernel_rows");
    TCase *all = tcase_create("all");
    tcase_set_timeout(all, 60);
    tcase_add_test(all, inner_products_are_those_of_double);
    tcase_add_test(all, weighted_sums_are_those_of_double);
    tcase_add_test(all, the_greatest_is_found_wherever_it_lies);
    tcase_add_test(all, sums_of_exponentials_are_those_of_double);
    tcase_add_test(all, fused_sets_give_the_bits_on_record);
    suite_add_tcase(suite, all);
    return suite;
}
