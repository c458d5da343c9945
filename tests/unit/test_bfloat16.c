/* Single products of bfloat16, in every kernel set that runs here: how weights and inputs are rounded,
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

static void select_set(int index)
{
    const struct kernels *set = kernels_available((size_t)index);
    ck_assert_ptr_nonnull(set);
    ck_assert_int_eq(kernels_select(set->name, NULL), STATUS_OK);
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

/* 1 - 1 + 2^-24, not 1 + 2^-24 - 1, which would be 0. */
START_TEST(the_second_of_a_pair_comes_first)
{
    select_set(_i);
    const float W[2] = {0x1p-24f, -1}, one[2] = {1, 1};
    uint16_t codes[2];
    matrix_encode(PRECISION_BFLOAT16, 1, 2, one, 2, codes, sizeof codes);
    struct matrix *matrix;
    ck_assert_int_eq(matrix_new(W, one, 1, 2, PRECISION_BFLOAT16, &matrix), STATUS_OK);
    float C;
    matrix_multiply(matrix, 1, &(struct operand){NULL, 0, codes, sizeof codes},
                    &(struct target){.C = &C, .stride = 1});
    ck_assert(C == 0x1p-24f);
    matrix_free(matrix);
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
    tcase_add_loop_test(each, the_second_of_a_pair_comes_first, 0, sets);
    suite_add_tcase(suite, each);
    return suite;
}
