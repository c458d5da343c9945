/* The matrix memory of an mLSTM in every kernel set: its equations, its edges, and the same bits. */
#include <check.h>
#include <math.h>
#include <string.h>

#include "core/kernels/kernels.h"

enum { MOST_KEYS = 5, MOST_VALUES = 148 };

struct memory_case {
    float q[MOST_KEYS], add[MOST_KEYS], v[MOST_VALUES], C[MOST_KEYS * MOST_VALUES], h[MOST_VALUES];
};

/* The same numbers in [-1, 1) at each call. */
static void fill(struct memory_case *one)
{
    float *values = (float *)one;
    uint32_t noise = 1;
    for (size_t i = 0; i < sizeof *one / sizeof *values; i++) {
        noise = noise * 1664525u + 1013904223u;
        values[i] = (float)(int32_t)noise * 0x1p-31f;
    }
}

static void step(const struct kernels *set, struct memory_case *one, size_t e, size_t d)
{
    set->mlstm_memory(&(struct mlstm_memory){e, d, 0.75f, one->q, one->add, one->v, one->C, one->h});
}

START_TEST(a_step_follows_its_equations)
{
    static struct memory_case one, before;
    const struct kernels *set;
    for (size_t i = 0; (set = kernels_available(i)); i++)
        for (size_t d = 1; d < MOST_VALUES; d++) {
            size_t e = 1 + d % MOST_KEYS;
            fill(&one);
            before = one;
            step(set, &one, e, d);
            for (size_t u = 0; u < d; u++) {
                double h = 0;
                for (size_t j = 0; j < e; j++) {
                    double c = 0.75 * (double)before.C[j * d + u] + (double)one.add[j] * (double)one.v[u];
                    ck_assert_double_le(fabs((double)one.C[j * d + u] - c), 1e-6);
                    h += (double)one.q[j] * c;
                }
                ck_assert_double_le(fabs((double)one.h[u] - h), 1e-6 * MOST_KEYS);
            }
            ck_assert_msg(one.h[d] == before.h[d] && one.C[e * d] == before.C[e * d],
                          "%s writes beyond %zu values", set->name, d);
        }
}
END_TEST

START_TEST(fused_sets_give_the_same_bits)
{
    static struct memory_case one, other;
    const struct kernels *first = NULL, *set;
    for (size_t i = 0; (set = kernels_available(i)); i++) {
        if (!set->is_fused) continue;
        if (!first) first = set;
        for (size_t d = 1; d < MOST_VALUES; d++) {
            fill(&one);
            fill(&other);
            step(first, &one, MOST_KEYS, d);
            step(set, &other, MOST_KEYS, d);
            ck_assert_msg(memcmp(&one, &other, sizeof one) == 0, "%s, %zu values", set->name, d);
        }
    }
}
END_TEST

Suite *matrix_memory_suite(void);

Suite *matrix_memory_suite(void)
{
    Suite *suite = suite_create("matrix_memory");
    TCase *all = tcase_create("all");
    tcase_add_test(all, a_step_follows_its_equations);
    tcase_add_test(all, fused_sets_give_the_same_bits);
    suite_add_tcase(suite, all);
    return suite;
}
