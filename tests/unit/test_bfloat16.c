/* Products of bfloat16, in every kernel set that runs here: how weights and inputs are rounded,
 * and the order of a pair. Sums are in test_matrix.c. */
#include "core/network/matrix.h"
#include "tests/support/active_set.h"

#include <check.h>
#include <math.h>
#include <stdint.h>

static uint32_t noise_state;

static float noise(void)
{
    noise_state = noise_state * 1664525u + 1013904223u;
    return (float)((double)(int32_t)noise_state * 0x1p-31);
}

static const struct kernels *select_set(int index)
{
    const struct kernels *set = kernels_available((size_t)index);
    ck_assert_ptr_nonnull(set);
    ck_assert_int_eq(kernels_select(set->name, NULL), STATUS_OK);
    return set;
}

/* The nearest float whose lower half is zero, ties to even, by way of its own unit. */
static double bfloat16_exactly(double x)
{
    int exponent;
    if (x == 0)
        return 0;
    frexp(x, &exponent);
    return ldexp(nearbyint(ldexp(x, 8 - exponent)), exponent - 8);
}

/* One weight and one input, each from all that rounding has to tell apart: halves of the last place, carries
 * into the exponent, the largest numbers. The product of both roundings is exact. */
START_TEST(bfloat16s_are_the_nearest)
{
    select_set(_i);
    static const float special[] = {0,           -0.0f,        1,           -1,          0x1.01p0f,
                                    0x1.03p0f,   0x1.01p5f,    0x1.010002p0f, 0x1.00fffep0f, 0x1.ffp0f,
                                    0x1.feffp-3f, -0x1.fffffep9f, 0x1.fep60f, 0x1p-60f,  0x1.81p-60f};
    const size_t n = sizeof special / sizeof *special;
    for (size_t i = 0; i < 4000; i++) {
        const float w = i < n * n ? special[i / n] : ldexpf(noise(), (int)(i % 40) - 20);
        const float x = i < n * n ? special[i % n] : noise();
        uint16_t code;
        matrix_encode(PRECISION_BFLOAT16, 1, 1, &x, 1, &code, sizeof code);
        struct matrix *matrix;
        ck_assert_int_eq(matrix_new(&w, NULL, 1, 1, PRECISION_BFLOAT16, &matrix), STATUS_OK);
        float C;
        matrix_multiply(matrix, 1, &(struct operand){NULL, 0, &code, sizeof code},
                        &(struct target){.C = &C, .stride = 1});
        const double exact = bfloat16_exactly((double)w) * bfloat16_exactly((double)x);
        ck_assert_msg((double)C == exact, "%a * %a became %a, not %a", (double)w, (double)x, (double)C,
                      exact);
        matrix_free(matrix);
    }
}
END_TEST

START_TEST(a_bfloat16_is_never_infinite)
{
    select_set(_i);
    const float largest[] = {3.4e38f, -3.4e38f, 1};
    uint16_t codes[3];
    matrix_encode(PRECISION_BFLOAT16, 1, 3, largest, 3, codes, sizeof codes);
    ck_assert_uint_eq(codes[0], 0x7f7f);
    ck_assert_uint_eq(codes[1], 0xff7f);
    struct matrix *matrix;
    ck_assert_int_eq(matrix_new(largest, NULL, 2, 1, PRECISION_BFLOAT16, &matrix), STATUS_OK);
    float C[2];
    matrix_multiply(matrix, 1, &(struct operand){NULL, 0, codes + 2, sizeof *codes},
                    &(struct target){.C = C, .stride = 2});
    ck_assert(C[0] == BFLOAT16_LARGEST && C[1] == -BFLOAT16_LARGEST);
    matrix_free(matrix);
}
END_TEST

/* base + w . a in the order of the set (core/kernels/kernels.h, promise 4). Every product is exact. */
static float sum_in_order(const float *w, const float *a, size_t K, float base, size_t block)
{
    for (size_t k = 0; block == 0 && k < K; k += 2) {
        base += k + 1 < K ? w[k + 1] * a[k + 1] : 0;
        base += w[k] * a[k];
    }
    for (size_t k = 0; block > 0 && k < K; k += block) {
        float sums[2] = {0, 0};
        for (size_t i = k; i < k + block && i < K; i++) sums[i % 2] += w[i] * a[i];
        base += sums[0] + sums[1];
    }
    return base;
}

START_TEST(sums_have_the_order_of_the_set)
{
    enum { R = 37, N = 70, MOST = 97 };
    static float W[N * MOST], A[R * MOST], bias[N], C[R * N], rounded[MOST];
    static uint16_t codes[R * MOST];
    static const size_t lengths[] = {1, 2, 3, 31, 32, 33, 64, 97};
    const struct kernels *set = select_set(_i);
    for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++) {
        const size_t K = lengths[i];
        for (size_t j = 0; j < N * K; j++) W[j] = noise();
        for (size_t j = 0; j < R * K; j++) A[j] = (float)bfloat16_exactly((double)noise());
        for (size_t j = 0; j < N; j++) bias[j] = noise();
        struct matrix *matrix;
        ck_assert_int_eq(matrix_new(W, bias, N, K, PRECISION_BFLOAT16, &matrix), STATUS_OK);
        matrix_encode(PRECISION_BFLOAT16, R, K, A, K, codes, K * sizeof *codes);
        matrix_multiply(matrix, R, &(struct operand){NULL, 0, codes, K * sizeof *codes},
                        &(struct target){.C = C, .stride = N});
        for (size_t n = 0; n < N; n++) {
            matrix_row(matrix, n, rounded);
            for (size_t r = 0; r < R; r++) {
                const float wanted = sum_in_order(rounded, A + r * K, K, bias[n], set->bfloat16_block);
                ck_assert_msg(C[r * N + n] == wanted, "%s K=%zu C[%zu,%zu] = %a, not %a", set->name, K, r, n,
                              (double)C[r * N + n], (double)wanted);
            }
        }
        matrix_free(matrix);
    }
}
END_TEST

static void remember_active(void)
{
    active_set_remember();
    noise_state = 1;
}

Suite *bfloat16_suite(void);

Suite *bfloat16_suite(void)
{
    int sets = 0;
    while (kernels_available((size_t)sets))
        sets++;
    Suite *suite = suite_create("bfloat16");
    TCase *each = tcase_create("each set");
    tcase_add_checked_fixture(each, remember_active, active_set_restore);
    tcase_add_loop_test(each, bfloat16s_are_the_nearest, 0, sets);
    tcase_add_loop_test(each, a_bfloat16_is_never_infinite, 0, sets);
    tcase_add_loop_test(each, sums_have_the_order_of_the_set, 0, sets);
    suite_add_tcase(suite, each);
    return suite;
}
