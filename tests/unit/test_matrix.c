/* The products of every kernel set that runs here, by way of struct matrix: against double
 * precision, alone against in a batch, set against set, at every tail of N and K. Operands and
 * results end at guard pages. openblas takes part as a second opinion. */
#include "core/network/matrix.h"
#include "core/base/memory.h"
#include "tests/support/active_set.h"
#include "tests/support/guard.h"

#include <check.h>
#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

static uint32_t noise_state;

static float noise(void)
{
    noise_state = noise_state * 1664525u + 1013904223u;
    return (float)((double)(int32_t)noise_state * 0x1p-31);
}

/* ---- one product, with all that is needed to judge it ---- */

struct problem {
    size_t R, K, N;
    size_t lda, ldc;
    float *W, *bias; /* [N,K], [N] */
    float *A;        /* [R,K] by lda, ends at a guard page */
    void *codes[N_PRECISIONS]; /* the same, encoded; NULL for a precision without codes */
    size_t a_count;  /* elements of A */
};

static float *noise_new(size_t n)
{
    float *x = guard_new(n * sizeof *x);
    for (size_t i = 0; i < n; i++)
        x[i] = noise();
    return x;
}

static struct problem problem_new(size_t R, size_t K, size_t N)
{
    struct problem p = {.R = R, .K = K, .N = N, .lda = K + R % 3, .ldc = N + R % 2};
    p.a_count = (R - 1) * p.lda + K;
    noise_state = (uint32_t)(R * 1000003 + K * 1009 + N);
    p.W = noise_new(N * K);
    p.bias = noise_new(N);
    p.A = noise_new(p.a_count);
    for (unsigned i = 0; i < N_PRECISIONS; i++) {
        const size_t bytes = precision_code_bytes((enum precision)i);
        if (!bytes)
            continue;
        p.codes[i] = guard_new(p.a_count * bytes);
        matrix_encode((enum precision)i, R, K, p.A, p.lda, p.codes[i], p.lda * bytes);
    }
    return p;
}

static void problem_free(struct problem *p)
{
    guard_free(p->W, p->N * p->K * sizeof(float));
    guard_free(p->bias, p->N * sizeof(float));
    guard_free(p->A, p->a_count * sizeof(float));
    for (unsigned i = 0; i < N_PRECISIONS; i++) {
        if (p->codes[i])
            guard_free(p->codes[i], p->a_count * precision_code_bytes((enum precision)i));
    }
}

static struct operand operand_of(const struct problem *p, size_t row, enum precision precision)
{
    const size_t stride = p->lda * precision_code_bytes(precision);
    const char *codes = p->codes[precision];
    return (struct operand){p->A + row * p->lda, p->lda, codes ? codes + row * stride : NULL, stride};
}

static size_t c_count(const struct problem *p)
{
    return (p->R - 1) * p->ldc + p->N;
}

/* The result over noise that a gap or an accumulation can be judged by; guard_free with
 * c_count floats. */
static float *c_new(const struct problem *p)
{
    noise_state = 77;
    return noise_new(c_count(p));
}

static struct matrix *matrix_of(const struct problem *p, enum precision precision)
{
    struct matrix *matrix = NULL;
    ck_assert_int_eq(matrix_new(p->W, p->bias, p->N, p->K, precision, &matrix), STATUS_OK);
    return matrix;
}

static const struct kernels *select_set(int index)
{
    const struct kernels *set = kernels_available((size_t)index);
    ck_assert_ptr_nonnull(set);
    ck_assert_int_eq(kernels_select(set->name, NULL), STATUS_OK);
    return set;
}

/* ---- the judge ---- */

/* The nearest half, ties to even, by way of integers of the half's own unit. */
static double half_exactly(double x)
{
    int exponent;
    if (x == 0)
        return 0;
    frexp(x, &exponent);
    const int unit = exponent - 11 < -24 ? -24 : exponent - 11;
    return ldexp(nearbyint(ldexp(x, -unit)), unit);
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

/* What element (r, n) is without its base, and the sum of magnitudes the bound speaks of. */
static double dot_exactly(const struct problem *p, size_t r, size_t n, enum precision precision,
                          double *magnitude)
{
    const float *a = p->A + r * p->lda, *w = p->W + n * p->K;
    double largest = 0, sum = 0, total = 0;
    for (size_t k = 0; k < p->K; k++)
        largest = fmax(largest, fabs((double)w[k]));
    for (size_t k = 0; k < p->K; k++) {
        double x = (double)a[k], y = (double)w[k];
        if (precision == PRECISION_FLOAT16)
            y = half_exactly(y);
        if (precision == PRECISION_BFLOAT16) {
            x = bfloat16_exactly(x);
            y = bfloat16_exactly(y);
        }
        if (precision == PRECISION_INT8) {
            x = (double)(((uint8_t *)p->codes[PRECISION_INT8])[r * p->lda + k] - CODE_ZERO) / CODE_SCALE;
            y = (double)lrint(y * 127 / largest) * (largest / 127);
        }
        sum += x * y;
        total += fabs(x * y);
    }
    *magnitude = precision == PRECISION_INT8 ? fabs(sum) : total;
    return sum;
}

/* The product added to `base`, with the bound of core/kernels/kernels.h. int8 is exact up to the rounding
 * of its scale, of the integer and of the last multiply-add; products of bfloat16 are exact. */
static void check_element(const struct kernels *set, const struct problem *p, size_t r, size_t n,
                          enum precision precision, double base, double found)
{
    double magnitude;
    const double exact = base + dot_exactly(p, r, n, precision, &magnitude);
    const double steps = precision == PRECISION_INT8 ? 2 : (double)p->K + 2;
    const bool rounds_once = set->is_fused || precision == PRECISION_BFLOAT16;
    const double bound = steps * 0x1p-24 * (fabs(base) + magnitude) * (rounds_once ? 1 : 2);
    ck_assert_msg(fabs(found - exact) <= bound + 1e-30,
                  "%s %s R=%zu K=%zu N=%zu: C[%zu,%zu] = %.9g, not %.9g +- %.2g", set->name,
                  precision_name(precision), p->R, p->K, p->N, r, n, found, exact, bound);
}

static void check_product(const struct kernels *set, size_t R, size_t K, size_t N,
                          enum precision precision)
{
    struct problem p = problem_new(R, K, N);
    struct matrix *matrix = matrix_of(&p, precision);
    const struct operand A = operand_of(&p, 0, precision);
    for (int accumulate = 0; accumulate < 2; accumulate++) {
        float *C = c_new(&p), *before = c_new(&p);
        matrix_multiply(matrix, R, &A,
                        &(struct target){.C = C, .stride = p.ldc, .accumulate = accumulate != 0});
        for (size_t i = 0; i < c_count(&p); i++) {
            const size_t r = i / p.ldc, n = i % p.ldc;
            if (n >= N)
                ck_assert(C[i] == before[i]);
            else
                check_element(set, &p, r, n, precision,
                              (double)(accumulate ? before[i] : p.bias[n]), (double)C[i]);
        }
        guard_free(C, c_count(&p) * sizeof *C);
        guard_free(before, c_count(&p) * sizeof *C);
    }
    matrix_free(matrix);
    problem_free(&p);
}

/* ---- products ---- */

START_TEST(every_tail_of_n)
{
    const struct kernels *set = select_set(_i);
    for (unsigned precision = 0; precision < N_PRECISIONS; precision++)
        for (size_t N = 1; N <= 140; N += N < 68 ? 1 : 9)
            check_product(set, N % 2 + 1, 19, N, (enum precision)precision);
}
END_TEST

START_TEST(every_tail_of_k)
{
    const struct kernels *set = select_set(_i);
    for (unsigned precision = 0; precision < N_PRECISIONS; precision++)
        for (size_t K = 1; K <= 140; K += K < 68 ? 1 : 9)
            check_product(set, K % 3 + 1, K, 37, (enum precision)precision);
}
END_TEST

START_TEST(every_height_of_a_tile)
{
    const struct kernels *set = select_set(_i);
    for (unsigned precision = 0; precision < N_PRECISIONS; precision++)
        for (size_t R = 1; R <= 40; R++)
            check_product(set, R, 21, 70, (enum precision)precision);
}
END_TEST

/* Deep enough for several blocks of k, high enough for several blocks of rows. */
START_TEST(every_block)
{
    const struct kernels *set = select_set(_i);
    for (unsigned precision = 0; precision < N_PRECISIONS; precision++) {
        check_product(set, 1, 2501, 65, (enum precision)precision);
        check_product(set, 7, 1024, 64, (enum precision)precision);
        check_product(set, 90, 1500, 20, (enum precision)precision);
        check_product(set, 300, 70, 66, (enum precision)precision);
    }
}
END_TEST

START_TEST(without_a_bias_the_base_is_zero)
{
    const struct kernels *set = select_set(_i);
    struct problem p = problem_new(5, 33, 67);
    for (unsigned precision = 0; precision < N_PRECISIONS; precision++) {
        struct matrix *matrix;
        ck_assert_int_eq(matrix_new(p.W, NULL, p.N, p.K, (enum precision)precision, &matrix),
                         STATUS_OK);
        float *C = c_new(&p);
        const struct operand A = operand_of(&p, 0, (enum precision)precision);
        matrix_multiply(matrix, p.R, &A, &(struct target){.C = C, .stride = p.ldc});
        for (size_t r = 0; r < p.R; r++)
            for (size_t n = 0; n < p.N; n++)
                check_element(set, &p, r, n, (enum precision)precision, 0,
                              (double)C[r * p.ldc + n]);
        guard_free(C, c_count(&p) * sizeof *C);
        matrix_free(matrix);
    }
    problem_free(&p);
}
END_TEST

START_TEST(no_rows_and_no_panels_do_nothing)
{
    select_set(_i);
    struct problem p = problem_new(1, 9, 9);
    for (unsigned precision = 0; precision < N_PRECISIONS; precision++) {
        struct matrix *matrix = matrix_of(&p, (enum precision)precision);
        float untouched[9] = {0};
        const struct operand A = operand_of(&p, 0, (enum precision)precision);
        matrix_multiply(matrix, 0, &(struct operand){NULL, 9, NULL, 9},
                        &(struct target){.C = NULL, .stride = 9});
        matrix_multiply_panels(matrix, 1, &A, &(struct target){.C = untouched, .stride = 9}, 1, 1);
        for (size_t n = 0; n < 9; n++)
            ck_assert(untouched[n] == 0);
        matrix_free(matrix);
    }
    problem_free(&p);
}
END_TEST

/* ---- the same bits ---- */

START_TEST(a_row_alone_equals_the_row_in_any_batch)
{
    const struct kernels *set = select_set(_i);
    static const size_t heights[] = {2, 3, 5, 6, 7, 11, 12, 13, 16, 17, 25, 64, 131};
    for (unsigned precision = 0; precision < N_PRECISIONS; precision++) {
        if (!set->batch_independent && precision == PRECISION_FLOAT32)
            continue;
        for (size_t i = 0; i < sizeof heights / sizeof *heights; i++) {
            struct problem p = problem_new(heights[i], i % 2 ? 1100 : 63, 70);
            struct matrix *matrix = matrix_of(&p, (enum precision)precision);
            float *C = c_new(&p), alone[70];
            const struct operand A = operand_of(&p, 0, (enum precision)precision);
            matrix_multiply(matrix, p.R, &A, &(struct target){.C = C, .stride = p.ldc});
            for (size_t r = 0; r < p.R; r++) {
                const struct operand row = operand_of(&p, r, (enum precision)precision);
                matrix_multiply(matrix, 1, &row, &(struct target){.C = alone, .stride = 70});
                ck_assert_mem_eq(alone, C + r * p.ldc, sizeof alone);
            }
            guard_free(C, c_count(&p) * sizeof *C);
            matrix_free(matrix);
            problem_free(&p);
        }
    }
}
END_TEST

START_TEST(panels_apart_and_backwards_equal_panels_together)
{
    const struct kernels *set = select_set(_i);
    struct problem p = problem_new(37, 45, 300);
    for (unsigned precision = 0; precision < N_PRECISIONS; precision++) {
        if (!set->batch_independent && precision == PRECISION_FLOAT32)
            continue;
        struct matrix *matrix = matrix_of(&p, (enum precision)precision);
        float *whole = c_new(&p), *parts = c_new(&p);
        const struct operand A = operand_of(&p, 0, (enum precision)precision);
        matrix_multiply(matrix, p.R, &A,
                        &(struct target){.C = whole, .stride = p.ldc, .accumulate = true});
        ck_assert_uint_eq(matrix_panels(matrix), 5);
        static const size_t cuts[] = {3, 5, 0, 1, 1, 3};
        for (size_t i = 0; i < 6; i += 2)
            matrix_multiply_panels(
                matrix, p.R, &A, &(struct target){.C = parts, .stride = p.ldc, .accumulate = true},
                cuts[i], cuts[i + 1]);
        ck_assert_mem_eq(whole, parts, c_count(&p) * sizeof *whole);
        guard_free(whole, c_count(&p) * sizeof *whole);
        guard_free(parts, c_count(&p) * sizeof *whole);
        matrix_free(matrix);
    }
    problem_free(&p);
}
END_TEST

/* All fused sets agree, and in bfloat16 all sets of one order. */
START_TEST(fused_sets_give_the_same_bits)
{
    static const size_t shapes[][3] = {{1, 200, 130}, {9, 67, 65}, {31, 1030, 77}, {14, 5, 3}};
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++) {
        struct problem p = problem_new(shapes[i][0], shapes[i][1], shapes[i][2]);
        for (unsigned precision = 0; precision < N_PRECISIONS; precision++) {
            const size_t bytes = c_count(&p) * sizeof(float);
            float *first = NULL;
            const struct kernels *set;
            for (size_t s = 0; (set = kernels_available(s)) != NULL; s++) {
                if (precision == PRECISION_BFLOAT16 ? (set->bfloat16_block > 0) != _i : !set->is_fused)
                    continue;
                select_set((int)s);
                struct matrix *matrix = matrix_of(&p, (enum precision)precision);
                float *C = c_new(&p);
                const struct operand A = operand_of(&p, 0, (enum precision)precision);
                matrix_multiply(matrix, p.R, &A,
                                &(struct target){.C = C, .stride = p.ldc, .accumulate = true});
                matrix_free(matrix);
                ck_assert_msg(!first || memcmp(first, C, bytes) == 0, "%s", set->name);
                if (first)
                    guard_free(C, bytes);
                else
                    first = C;
            }
            if (first)
                guard_free(first, bytes);
        }
        problem_free(&p);
    }
}
END_TEST

static uint64_t digest(uint64_t seed, const float *x, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        uint32_t bits;
        memcpy(&bits, x + i, sizeof bits);
        seed = (seed ^ bits) * UINT64_C(0x100000001b3);
    }
    return seed;
}

/* The same bits on every machine with a fused multiply-add, whatever its architecture. */
START_TEST(fused_sets_give_the_bits_on_record)
{
    const struct kernels *set = select_set(_i);
    const uint64_t record[N_PRECISIONS] = {
        [PRECISION_FLOAT32] = UINT64_C(0xd2fc0b55458ab3af),
        [PRECISION_FLOAT16] = UINT64_C(0xfda4a2dde1e49192),
        [PRECISION_BFLOAT16] = set->bfloat16_block ? 0x5175fbf18d1e83ac : 0xc3b4a24c53a49a0c,
        [PRECISION_INT8] = UINT64_C(0x9ac3171c56bfed45)};
    if (!set->is_fused)
        return;
    for (unsigned precision = 0; precision < N_PRECISIONS; precision++) {
        struct problem p = problem_new(9, 67, 65);
        struct matrix *matrix = matrix_of(&p, (enum precision)precision);
        float *C = c_new(&p), c[16] = {0}, h[16];
        const struct operand A = operand_of(&p, 0, (enum precision)precision);
        matrix_multiply(matrix, p.R, &A, &(struct target){.C = C, .stride = p.ldc});
        set->lstm_gates(&(struct gates){1, 16, C, 64, c, 16, h, 16});
        const uint64_t found = digest(digest(digest(0, C, c_count(&p)), c, 16), h, 16);
        ck_assert_msg(found == record[precision], "%s %s: 0x%016llx", set->name,
                      precision_name((enum precision)precision), (unsigned long long)found);
        guard_free(C, c_count(&p) * sizeof *C);
        matrix_free(matrix);
        problem_free(&p);
    }
}
END_TEST

/* ---- int8 at its limits ---- */

START_TEST(the_longest_and_largest_sum_does_not_overflow)
{
    select_set(_i);
    const size_t K = INT8_MAX_INPUTS;
    float *W = guard_new(K * sizeof *W);
    uint8_t *codes = guard_new(K);
    static const uint8_t extremes[] = {255, 1};
    for (size_t s = 0; s < 4; s++) {
        for (size_t k = 0; k < K; k++)
            W[k] = s & 1 ? -2.0f : 2.0f;
        memset(codes, extremes[s / 2], K);
        struct matrix *matrix;
        ck_assert_int_eq(matrix_new(W, NULL, 1, K, PRECISION_INT8, &matrix), STATUS_OK);
        float C;
        const struct operand A = {NULL, 0, codes, K};
        matrix_multiply(matrix, 1, &A, &(struct target){.C = &C, .stride = 1});
        const double exact = (s / 2 ? -1 : 1) * (s & 1 ? -2.0 : 2.0) * (double)K;
        ck_assert_double_le(fabs((double)C - exact), 3 * 0x1p-24 * fabs(exact));
        matrix_free(matrix);
    }
    guard_free(W, K * sizeof *W);
    guard_free(codes, K);
}
END_TEST

START_TEST(a_row_of_zeros_stays_zero_in_int8)
{
    select_set(_i);
    const float W[2][3] = {{0, 0, 0}, {1, 1, 1}};
    const uint8_t codes[3] = {255, 255, 255};
    struct matrix *matrix;
    ck_assert_int_eq(matrix_new(W[0], NULL, 2, 3, PRECISION_INT8, &matrix), STATUS_OK);
    float C[2];
    matrix_multiply(matrix, 1, &(struct operand){NULL, 0, codes, 3},
                    &(struct target){.C = C, .stride = 2});
    ck_assert(C[0] == 0 && fabsf(C[1] - 3) < 1e-5f);
    matrix_free(matrix);
}
END_TEST

/* ---- float16 ---- */

START_TEST(halves_are_the_nearest)
{
    select_set(_i);
    static const float special[] = {0, -0.0f, 1, -1, 65504, -65504, 0x1p-14f, 0x1p-15f, 0x1p-24f, 0x1p-25f,
                                    0x1.8p-25f, 0x1p-26f, 1.00048828125f, 1.00146484375f, 0x1.ffcp-15f,
                                    0x1.ffep-15f, 0x1.ffffp-15f, 1e-30f, 2049, 2051, 4094.9f};
    for (size_t i = 0; i < 4000; i++) {
        const size_t n = sizeof special / sizeof *special;
        const float w = i < n ? special[i] : ldexpf(noise(), (int)(i % 40) - 26), one = 1;
        if (fabsf(w) > 65504)
            continue;
        struct matrix *matrix;
        ck_assert_int_eq(matrix_new(&w, NULL, 1, 1, PRECISION_FLOAT16, &matrix), STATUS_OK);
        float C;
        matrix_multiply(matrix, 1, &(struct operand){&one, 1, NULL, 0},
                        &(struct target){.C = &C, .stride = 1});
        ck_assert_msg((double)C == half_exactly((double)w), "%a became %a, not %a", (double)w,
                      (double)C, half_exactly((double)w));
        matrix_free(matrix);
    }
}
END_TEST

/* ---- construction ---- */

START_TEST(a_matrix_knows_its_shape)
{
    float W[70 * 7] = {0};
    for (unsigned precision = 0; precision < N_PRECISIONS; precision++) {
        static const size_t bytes[N_PRECISIONS] = {
            [PRECISION_FLOAT32] = 128 * 7 * 4, [PRECISION_FLOAT16] = 128 * 7 * 2,
            [PRECISION_BFLOAT16] = 128 * 8 * 2, [PRECISION_INT8] = 128 * 8};
        struct matrix *matrix;
        ck_assert_int_eq(kernels_select("portable", NULL), STATUS_OK);
        ck_assert_int_eq(matrix_new(W, NULL, 70, 7, (enum precision)precision, &matrix), STATUS_OK);
        ck_assert_uint_eq(matrix_outputs(matrix), 70);
        ck_assert_uint_eq(matrix_inputs(matrix), 7);
        ck_assert_uint_eq(matrix_panels(matrix), 2);
        ck_assert_uint_eq(matrix_bytes(matrix), bytes[precision]);
        ck_assert_uint_eq(matrix_precision(matrix), precision);
        matrix_free(matrix);
    }
    matrix_free(NULL);
}
END_TEST

START_TEST(shapes_and_weights_that_cannot_be_are_refused)
{
    struct matrix *matrix = NULL;
    float W[4] = {1, 2, 3, 65505};
    for (unsigned precision = 0; precision < N_PRECISIONS; precision++) {
        const enum precision form = (enum precision)precision;
        ck_assert_int_eq(matrix_new(W, NULL, 0, 4, form, &matrix), STATUS_BAD_SHAPE);
        ck_assert_int_eq(matrix_new(W, NULL, 4, 0, form, &matrix), STATUS_BAD_SHAPE);
        static const float strange[] = {NAN, INFINITY, -INFINITY};
        for (size_t i = 0; i < 3; i++) {
            const float bad[4] = {0, 0, strange[i], 0};
            ck_assert_int_eq(matrix_new(bad, NULL, 2, 2, form, &matrix), STATUS_BAD_VALUE);
        }
    }
    ck_assert_int_eq(matrix_new(W, NULL, 2, 2, PRECISION_FLOAT16, &matrix), STATUS_BAD_VALUE);
    ck_assert_int_eq(matrix_new(W, NULL, 1, INT8_MAX_INPUTS + 1, PRECISION_INT8, &matrix),
                     STATUS_BAD_SHAPE);
    ck_assert_int_eq(matrix_new(W, NULL, SIZE_MAX / 8, SIZE_MAX / 8, PRECISION_FLOAT32, &matrix),
                     STATUS_NO_MEMORY);
    ck_assert_ptr_null(matrix);
}
END_TEST

START_TEST(a_failed_allocation_is_reported)
{
    const float W[6] = {1, 2, 3, 4, 5, 6};
    for (unsigned precision = 0; precision < N_PRECISIONS; precision++) {
        struct matrix *matrix = NULL;
        memory_fail_at(1);
        ck_assert_int_eq(matrix_new(W, W, 2, 3, (enum precision)precision, &matrix),
                         STATUS_NO_MEMORY);
        memory_fail_at(0);
        ck_assert_ptr_null(matrix);
    }
}
END_TEST

START_TEST(multiplying_allocates_nothing)
{
    select_set(_i);
    struct problem p = problem_new(20, 70, 70);
    for (unsigned precision = 0; precision < N_PRECISIONS; precision++) {
        struct matrix *matrix = matrix_of(&p, (enum precision)precision);
        float *C = c_new(&p);
        const struct operand A = operand_of(&p, 0, (enum precision)precision);
        const uint64_t before = memory_allocations();
        matrix_multiply(matrix, p.R, &A,
                        &(struct target){.C = C, .stride = p.ldc, .accumulate = true});
        ck_assert_uint_eq(memory_allocations(), before);
        guard_free(C, c_count(&p) * sizeof *C);
        matrix_free(matrix);
    }
    problem_free(&p);
}
END_TEST

static void remember_active(void)
{
    active_set_remember();
    noise_state = 1;
}

Suite *matrix_suite(void);

Suite *matrix_suite(void)
{
    int sets = 0;
    while (kernels_available((size_t)sets))
        sets++;
    Suite *suite = suite_create("matrix");

    TCase *each = tcase_create("each set");
    tcase_add_checked_fixture(each, remember_active, active_set_restore);
    tcase_set_timeout(each, 20);
    tcase_add_loop_test(each, every_tail_of_n, 0, sets);
    tcase_add_loop_test(each, every_tail_of_k, 0, sets);
    tcase_add_loop_test(each, every_height_of_a_tile, 0, sets);
    tcase_add_loop_test(each, every_block, 0, sets);
    tcase_add_loop_test(each, without_a_bias_the_base_is_zero, 0, sets);
    tcase_add_loop_test(each, no_rows_and_no_panels_do_nothing, 0, sets);
    tcase_add_loop_test(each, a_row_alone_equals_the_row_in_any_batch, 0, sets);
    tcase_add_loop_test(each, panels_apart_and_backwards_equal_panels_together, 0, sets);
    tcase_add_loop_test(each, fused_sets_give_the_bits_on_record, 0, sets);
    tcase_add_loop_test(each, the_longest_and_largest_sum_does_not_overflow, 0, sets);
    tcase_add_loop_test(each, a_row_of_zeros_stays_zero_in_int8, 0, sets);
    tcase_add_loop_test(each, halves_are_the_nearest, 0, sets);
    tcase_add_loop_test(each, multiplying_allocates_nothing, 0, sets);
    suite_add_tcase(suite, each);

    TCase *whole = tcase_create("all sets");
    tcase_add_checked_fixture(whole, remember_active, active_set_restore);
    tcase_add_loop_test(whole, fused_sets_give_the_same_bits, 0, 2);
    tcase_add_test(whole, a_matrix_knows_its_shape);
    tcase_add_test(whole, shapes_and_weights_that_cannot_be_are_refused);
    tcase_add_test(whole, a_failed_allocation_is_reported);
    suite_add_tcase(suite, whole);
    return suite;
}
