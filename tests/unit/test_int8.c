/* The int8 products of every kernel set that runs here, bit for bit: the sum in plain integers, then one
 * multiply-add. Every tail of N and K, every height of a tile; operands and results end at guard pages. */
#include "core/network/matrix.h"
#include "tests/support/active_set.h"
#include "tests/support/guard.h"

#include <check.h>
#include <math.h>
#include <string.h>

static uint32_t noise_state;

static uint32_t noise(void)
{
    noise_state = noise_state * 1664525u + 1013904223u;
    return noise_state >> 8;
}

/* Weights that int8 holds exactly: -127..127 times a power of two that the output has, 127 among them. */
struct problem {
    size_t R, K, N, lda, ldc;
    float *W, *bias;  /* [N,K], [N] */
    uint8_t *codes;   /* [R,K] by lda */
    int8_t *integers; /* [N,K] */
};

static size_t a_bytes(const struct problem *p)
{
    return (p->R - 1) * p->lda + p->K;
}

static size_t c_bytes(const struct problem *p)
{
    return ((p->R - 1) * p->ldc + p->N) * sizeof(float);
}

static float power_of(size_t n)
{
    return ldexpf(1, (int)(n % 5) - 9);
}

static struct problem problem_new(size_t R, size_t K, size_t N)
{
    struct problem p = {.R = R, .K = K, .N = N, .lda = K + R % 3, .ldc = N + R % 2};
    noise_state = (uint32_t)(R * 1000003 + K * 1009 + N);
    p.W = guard_new(N * K * sizeof *p.W);
    p.bias = guard_new(N * sizeof *p.bias);
    p.codes = guard_new(a_bytes(&p));
    p.integers = guard_new(N * K);
    for (size_t i = 0; i < N * K; i++) {
        p.integers[i] = (int8_t)(i % K == i / K % K ? 127 : (int)(noise() % 255) - 127);
        p.W[i] = (float)p.integers[i] * power_of(i / K);
    }
    for (size_t n = 0; n < N; n++) p.bias[n] = (float)noise() * 0x1p-23f;
    for (size_t i = 0; i < a_bytes(&p); i++) p.codes[i] = (uint8_t)(noise() % 255 + 1);
    return p;
}

static void problem_free(struct problem *p)
{
    guard_free(p->W, p->N * p->K * sizeof *p->W);
    guard_free(p->bias, p->N * sizeof *p->bias);
    guard_free(p->codes, a_bytes(p));
    guard_free(p->integers, p->N * p->K);
}

/* openblas has the product of another set. */
static bool rounds_once(const struct kernels *set)
{
    const struct kernels *other;
    for (size_t i = 0; (other = kernels_available(i)) != NULL; i++)
        if (other->is_fused && other->product[PRECISION_INT8] == set->product[PRECISION_INT8])
            return true;
    return false;
}

static float element_exactly(const struct problem *p, size_t r, size_t n, float base, bool once)
{
    const uint8_t *a = p->codes + r * p->lda;
    const int8_t *w = p->integers + n * p->K;
    const float scale = (float)((double)(127 * power_of(n)) / 127 / CODE_SCALE);
    int64_t sum = 0;
    for (size_t k = 0; k < p->K; k++) sum += (a[k] - CODE_ZERO) * w[k];
    const volatile float product = scale * (float)sum;
    return once ? fmaf(scale, (float)sum, base) : product + base;
}

static void check_problem(const struct kernels *set, const struct problem *p, bool accumulate)
{
    const bool once = rounds_once(set);
    struct matrix *matrix = NULL;
    ck_assert_int_eq(matrix_new(p->W, p->bias, p->N, p->K, PRECISION_INT8, &matrix), STATUS_OK);
    float *C = guard_new(c_bytes(p)), *expected = guard_new(c_bytes(p));
    for (size_t i = 0; i < c_bytes(p) / sizeof *C; i++) expected[i] = C[i] = (float)i;
    for (size_t r = 0; r < p->R; r++)
        for (size_t n = 0; n < p->N; n++) {
            float *c = expected + r * p->ldc + n;
            *c = element_exactly(p, r, n, accumulate ? *c : p->bias[n], once);
        }
    matrix_multiply(matrix, p->R, &(struct operand){NULL, 0, p->codes, p->lda},
                    &(struct target){.C = C, .stride = p->ldc, .accumulate = accumulate});
    for (size_t i = 0; i < c_bytes(p) / sizeof *C; i++)
        ck_assert_msg(memcmp(C + i, expected + i, sizeof *C) == 0,
                      "%s R=%zu K=%zu N=%zu: element %zu is %a, expected %a", set->name, p->R, p->K, p->N, i,
                      (double)C[i], (double)expected[i]);
    guard_free(C, c_bytes(p));
    guard_free(expected, c_bytes(p));
    matrix_free(matrix);
}

static const struct kernels *select_set(int index)
{
    const struct kernels *set = kernels_available((size_t)index);
    ck_assert_ptr_nonnull(set);
    ck_assert_int_eq(kernels_select(set->name, NULL), STATUS_OK);
    return set;
}

static void check_shape(const struct kernels *set, size_t R, size_t K, size_t N)
{
    struct problem p = problem_new(R, K, N);
    check_problem(set, &p, false);
    check_problem(set, &p, true);
    problem_free(&p);
}

START_TEST(every_tail_of_n_is_exact)
{
    const struct kernels *set = select_set(_i);
    for (size_t N = 1; N <= 130; N++) check_shape(set, N % 7 + 1, 19, N);
}
END_TEST

START_TEST(every_tail_of_k_is_exact)
{
    const struct kernels *set = select_set(_i);
    for (size_t K = 1; K <= 140; K++) check_shape(set, K % 7 + 1, K, 37);
}
END_TEST

START_TEST(every_height_is_exact)
{
    const struct kernels *set = select_set(_i);
    for (size_t R = 1; R <= 40; R++) check_shape(set, R, 21, 70);
}
END_TEST

START_TEST(every_block_is_exact)
{
    const struct kernels *set = select_set(_i);
    check_shape(set, 1, 2501, 65);
    check_shape(set, 90, 1500, 20);
    check_shape(set, 300, 70, 66);
}
END_TEST

/* The largest sums there can be, of either sign. */
START_TEST(the_largest_sums_are_exact)
{
    const struct kernels *set = select_set(_i);
    struct problem p = problem_new(3, INT8_MAX_INPUTS, 2);
    for (size_t i = 0; i < p.N * p.K; i++) {
        p.integers[i] = i < p.K ? 127 : -127;
        p.W[i] = (float)p.integers[i] * power_of(i / p.K);
    }
    memset(p.codes, 255, p.lda);
    memset(p.codes + p.lda, 1, p.lda);
    check_problem(set, &p, false);
    problem_free(&p);
}
END_TEST

/* What the slow path reads is what was packed, whatever lies together. */
START_TEST(a_row_comes_back)
{
    select_set(_i);
    for (size_t K = 1; K <= 20; K++) {
        struct problem p = problem_new(1, K, 66);
        struct matrix *matrix = NULL;
        float row[20];
        ck_assert_int_eq(matrix_new(p.W, p.bias, p.N, K, PRECISION_INT8, &matrix), STATUS_OK);
        for (size_t n = 0; n < p.N; n++) {
            ck_assert(matrix_row(matrix, n, row) == p.bias[n]);
            for (size_t k = 0; k < K; k++)
                ck_assert_float_le(fabsf(row[k] - p.W[n * K + k]), 0x1p-22f * fabsf(p.W[n * K + k]));
        }
        matrix_free(matrix);
        problem_free(&p);
    }
}
END_TEST

Suite *int8_suite(void);

Suite *int8_suite(void)
{
    int sets = 0;
    while (kernels_available((size_t)sets)) sets++;
    Suite *suite = suite_create("int8");
    TCase *each = tcase_create("each set");
    tcase_add_checked_fixture(each, active_set_remember, active_set_restore);
    tcase_add_loop_test(each, every_tail_of_n_is_exact, 0, sets);
    tcase_add_loop_test(each, every_tail_of_k_is_exact, 0, sets);
    tcase_add_loop_test(each, every_height_is_exact, 0, sets);
    tcase_add_loop_test(each, every_block_is_exact, 0, sets);
    tcase_add_loop_test(each, the_largest_sums_are_exact, 0, sets);
    tcase_add_loop_test(each, a_row_comes_back, 0, sets);
    suite_add_tcase(suite, each);
    return suite;
}
