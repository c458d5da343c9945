/* The operations of every kernel set that runs here, against double precision and against each
 * other, in buffers that end at a guard page. Products are in test_matrix.c. */
#include "core/kernels.h"
#include "tests/support/guard.h"

#include <check.h>
#include <float.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { LENGTHS = 68, OFFSETS = 4 };

/* ---- numbers ---- */

static uint32_t noise_state;

static double noise(void)
{
    noise_state = noise_state * 1664525u + 1013904223u;
    return (double)(int32_t)noise_state * 0x1p-31;
}

/* Between -4 and 4, sometimes 100. */
static float any_gate(void)
{
    const double x = noise();
    return (float)(noise() > 0.8 ? 100 * x : 4 * x);
}

static double sigmoid_exactly(double x)
{
    return 1 / (1 + exp(-x));
}

static double relu_exactly(double x)
{
    return x > 0 ? x : 0;
}

static const struct kernels *set_of(int index)
{
    const struct kernels *set = kernels_available((size_t)index);
    ck_assert_ptr_nonnull(set);
    return set;
}

/* ---- arrays ---- */

static const struct {
    const char *name;
    size_t at; /* of the function in struct kernels */
    double (*exactly)(double);
    double bound;
} functions[] = {
    {"tanh", offsetof(struct kernels, tanh), tanh, 3e-7},
    {"sigmoid", offsetof(struct kernels, sigmoid), sigmoid_exactly, 3e-7},
    {"relu", offsetof(struct kernels, relu), relu_exactly, 0},
};

enum { N_FUNCTIONS = sizeof functions / sizeof *functions };

static void apply(const struct kernels *set, size_t function, size_t n, const float *x, float *y)
{
    void (*f)(size_t, const float *, float *);
    memcpy(&f, (const char *)set + functions[function].at, sizeof f);
    f(n, x, y);
}

static void check_value(const struct kernels *set, size_t function, float x, float y)
{
    const double exact = functions[function].exactly((double)x);
    ck_assert_msg(fabs((double)y - exact) <= functions[function].bound,
                  "%s %s(%.9g) = %.9g, not %.9g", set->name, functions[function].name, (double)x,
                  (double)y, exact);
}

START_TEST(arrays_of_every_length_and_offset)
{
    const struct kernels *set = set_of(_i);
    for (size_t f = 0; f < N_FUNCTIONS; f++) {
        for (size_t n = 0; n < LENGTHS; n++) {
            for (size_t offset = 0; offset < OFFSETS; offset++) {
                const size_t bytes = (n + offset) * sizeof(float);
                float *x = guard_new(bytes), *y = guard_new(bytes);
                for (size_t i = 0; i < n + offset; i++)
                    y[i] = x[i] = any_gate();
                apply(set, f, n, x + offset, y + offset);
                for (size_t i = 0; i < offset; i++)
                    ck_assert(y[i] == x[i]);
                for (size_t i = offset; i < n + offset; i++)
                    check_value(set, f, x[i], y[i]);
                apply(set, f, n, x + offset, x + offset); /* in place */
                ck_assert(n == 0 || memcmp(x + offset, y + offset, n * sizeof *x) == 0);
                guard_free(x, bytes);
                guard_free(y, bytes);
            }
        }
    }
}
END_TEST

START_TEST(arrays_hold_their_bound_everywhere)
{
    const struct kernels *set = set_of(_i);
    enum { N = 20000 };
    static float x[N], y[N];
    static const float ranges[] = {1e-30f, 1e-3f, 1, 10, 30, 100, 1e6f, FLT_MAX};
    for (size_t f = 0; f < N_FUNCTIONS; f++) {
        for (size_t r = 0; r < sizeof ranges / sizeof *ranges; r++) {
            for (size_t i = 0; i < N; i++)
                x[i] = (float)(2 * (double)i / (N - 1) - 1) * ranges[r];
            apply(set, f, N, x, y);
            for (size_t i = 0; i < N; i++) {
                check_value(set, f, x[i], y[i]);
                ck_assert(f == 2 || (y[i] <= 1 && y[i] >= (f == 0 ? -1 : 0)));
            }
        }
    }
}
END_TEST

/* ---- codes ---- */

static uint8_t code_exactly(float x)
{
    const float scaled = x * (float)CODE_SCALE;
    const double limited = fmin(fmax((double)scaled, -CODE_SCALE), CODE_SCALE);
    return (uint8_t)(lrint(limited) + CODE_ZERO);
}

START_TEST(codes_are_rounded_to_even_and_saturated)
{
    const struct kernels *set = set_of(_i);
    static const float special[] = {
        0, 1, -1, 1.5f, -7, FLT_MAX, -FLT_MAX, 0.5f / 127, 1.5f / 127, -0.5f / 127, -2.5f / 127};
    const size_t n_special = sizeof special / sizeof *special;
    for (size_t n = 0; n < LENGTHS; n++) {
        for (size_t offset = 0; offset < OFFSETS; offset++) {
            float *x = guard_new((n + offset) * sizeof *x);
            uint8_t *codes = guard_new(n + offset);
            for (size_t i = 0; i < n + offset; i++)
                x[i] = i % 3 ? (float)(1.1 * noise()) : special[(n + i) % n_special];
            set->quantize(n, x + offset, codes + offset);
            for (size_t i = 0; i < offset; i++)
                ck_assert_uint_eq(codes[i], 0);
            for (size_t i = offset; i < n + offset; i++)
                ck_assert_uint_eq(codes[i], code_exactly(x[i]));
            guard_free(x, (n + offset) * sizeof *x);
            guard_free(codes, n + offset);
        }
    }
}
END_TEST

/* ---- gates ---- */

struct cells {
    struct gates now;
    float *c_before; /* [R,ldc] */
    size_t gate_bytes, c_bytes, h_bytes;
};

/* The last row of each array ends at its guard page; between rows lie `gap` elements. */
static struct cells cells_new(size_t R, size_t H, size_t gap, float c_scale)
{
    const size_t ldg = 4 * H + gap, ld = H + gap;
    struct cells cells = {.gate_bytes = ((R - 1) * ldg + 4 * H) * sizeof(float),
                          .c_bytes = ((R - 1) * ld + H) * sizeof(float)};
    cells.h_bytes = cells.c_bytes;
    float *gates = guard_new(cells.gate_bytes), *c = guard_new(cells.c_bytes);
    for (size_t i = 0; i < cells.gate_bytes / sizeof *gates; i++)
        gates[i] = any_gate();
    for (size_t i = 0; i < cells.c_bytes / sizeof *c; i++)
        c[i] = (float)noise() * c_scale;
    cells.c_before = guard_new(cells.c_bytes);
    memcpy(cells.c_before, c, cells.c_bytes);
    cells.now = (struct gates){R, H, gates, ldg, c, ld, guard_new(cells.h_bytes), ld};
    return cells;
}

static void cells_free(struct cells *cells)
{
    guard_free((void *)(size_t)cells->now.gates, cells->gate_bytes);
    guard_free(cells->now.c, cells->c_bytes);
    guard_free(cells->now.h, cells->h_bytes);
    guard_free(cells->c_before, cells->c_bytes);
}

static void check_cell(const struct kernels *set, const struct cells *cells, size_t r, size_t j)
{
    const struct gates *p = &cells->now;
    const float *row = p->gates + r * p->ldg + j;
    const double i = (double)row[0], f = (double)row[p->H], g = (double)row[2 * p->H],
                 o = (double)row[3 * p->H], before = (double)cells->c_before[r * p->ldc + j];
    const double c = sigmoid_exactly(f) * before + sigmoid_exactly(i) * tanh(g);
    const double h = sigmoid_exactly(o) * tanh(c);
    const double bound = 5e-7 * fmax(1, fmax(fabs(before), fabs(c)));
    const double c_error = fabs((double)p->c[r * p->ldc + j] - c);
    const double h_error = fabs((double)p->h[r * p->ldh + j] - h);
    ck_assert_msg(c_error <= bound && h_error <= 5e-7 + c_error,
                  "%s i %g f %g g %g o %g c %g: c off by %g, h by %g", set->name, i, f, g, o,
                  before, c_error, h_error);
    ck_assert_float_le(fabsf(p->h[r * p->ldh + j]), 1);
}

START_TEST(gates_follow_the_equations)
{
    const struct kernels *set = set_of(_i);
    static const float scales[] = {1, 100, 1e4f};
    for (size_t H = 1; H < LENGTHS; H++) {
        for (size_t R = 1; R <= 3; R++) {
            for (size_t s = 0; s < sizeof scales / sizeof *scales; s++) {
                struct cells cells = cells_new(R, H, R - 1, scales[s]);
                set->lstm_gates(&cells.now);
                for (size_t r = 0; r < R; r++)
                    for (size_t j = 0; j < H; j++)
                        check_cell(set, &cells, r, j);
                cells_free(&cells);
            }
        }
    }
}
END_TEST

START_TEST(gates_leave_gaps_between_rows_alone)
{
    const struct kernels *set = set_of(_i);
    struct cells cells = cells_new(3, 21, 5, 1);
    set->lstm_gates(&cells.now);
    for (size_t r = 0; r < 2; r++) {
        for (size_t j = 21; j < 26; j++) {
            ck_assert(cells.now.c[r * 26 + j] == cells.c_before[r * 26 + j]);
            ck_assert(cells.now.h[r * 26 + j] == 0);
        }
    }
    cells_free(&cells);
}
END_TEST

/* Every sign of every gate at sizes that overflow a careless exponential. */
START_TEST(gates_saturate)
{
    const struct kernels *set = set_of(_i);
    static const float sizes[] = {20, 29, 30, 89, 1000, FLT_MAX};
    static const float cell[] = {0, 1, -1, 1e4f, -1e4f};
    for (size_t s = 0; s < sizeof sizes / sizeof *sizes; s++) {
        for (size_t k = 0; k < sizeof cell / sizeof *cell; k++) {
            struct cells cells = cells_new(1, 16, 0, 0);
            float *gates = (float *)(size_t)cells.now.gates;
            for (size_t j = 0; j < 16; j++) {
                for (size_t gate = 0; gate < 4; gate++)
                    gates[gate * 16 + j] = j >> gate & 1 ? sizes[s] : -sizes[s];
                cells.c_before[j] = cells.now.c[j] = cell[k];
            }
            set->lstm_gates(&cells.now);
            for (size_t j = 0; j < 16; j++)
                check_cell(set, &cells, 0, j);
            cells_free(&cells);
        }
    }
}
END_TEST

START_TEST(a_row_does_not_depend_on_its_batch)
{
    const struct kernels *set = set_of(_i);
    struct cells cells = cells_new(7, 45, 3, 10);
    set->lstm_gates(&cells.now);
    for (size_t r = 0; r < 7; r++) {
        float c[45], h[45];
        memcpy(c, cells.c_before + r * 48, sizeof c);
        set->lstm_gates(
            &(struct gates){1, 45, cells.now.gates + r * cells.now.ldg, 180, c, 45, h, 45});
        ck_assert_mem_eq(c, cells.now.c + r * 48, sizeof c);
        ck_assert_mem_eq(h, cells.now.h + r * 48, sizeof h);
    }
    cells_free(&cells);
}
END_TEST

/* ---- equality between sets ---- */

static const struct kernels *first_fused(void)
{
    const struct kernels *set;
    for (size_t i = 0; (set = kernels_available(i)) != NULL; i++)
        if (set->is_fused)
            return set;
    return NULL;
}

START_TEST(fused_sets_give_the_same_bits)
{
    const struct kernels *set = set_of(_i), *first = first_fused();
    if (!set->is_fused || set == first)
        return;
    enum { N = 997 };
    static float x[N], a[N], b[N];
    for (size_t i = 0; i < N; i++)
        x[i] = any_gate();
    for (size_t f = 0; f < N_FUNCTIONS; f++) {
        apply(first, f, N, x, a);
        apply(set, f, N, x, b);
        ck_assert_mem_eq(a, b, sizeof a);
    }
    noise_state = 1;
    struct cells one = cells_new(3, 77, 0, 100);
    noise_state = 1;
    struct cells two = cells_new(3, 77, 0, 100);
    first->lstm_gates(&one.now);
    set->lstm_gates(&two.now);
    ck_assert_mem_eq(one.now.c, two.now.c, one.c_bytes);
    ck_assert_mem_eq(one.now.h, two.now.h, one.h_bytes);
    cells_free(&one);
    cells_free(&two);
}
END_TEST

/* ---- selection ---- */

START_TEST(every_set_is_selected_by_its_name)
{
    static const char *const names[] = {
#define X(set, needs) #set,
#include "core/kernels.def"
#undef X
    };
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        struct error err;
        const struct kernels *before = kernels_active();
        const enum status status = kernels_select(names[i], &err);
        if (status == STATUS_OK) {
            ck_assert_str_eq(kernels_active()->name, names[i]);
        } else {
            ck_assert_int_eq(status, STATUS_UNSUPPORTED);
            ck_assert_ptr_nonnull(strstr(err.message, names[i]));
            ck_assert_ptr_eq(kernels_active(), before);
        }
    }
}
END_TEST

START_TEST(auto_is_the_first_that_runs)
{
    ck_assert_int_eq(kernels_select("auto", NULL), STATUS_OK);
    ck_assert_ptr_eq(kernels_active(), kernels_available(0));
    ck_assert_str_ne(kernels_active()->name, "openblas");
}
END_TEST

START_TEST(an_unknown_set_is_refused)
{
    struct error err;
    const struct kernels *before = kernels_active();
    ck_assert_int_eq(kernels_select("sse9", &err), STATUS_BAD_VALUE);
    ck_assert_ptr_nonnull(strstr(err.message, "sse9"));
    ck_assert_int_eq(kernels_select("", NULL), STATUS_BAD_VALUE);
    ck_assert_ptr_eq(kernels_active(), before);
}
END_TEST

START_TEST(portable_runs_everywhere_and_sets_are_whole)
{
    bool portable = false;
    const struct kernels *set;
    for (size_t i = 0; (set = kernels_available(i)) != NULL; i++) {
        portable = portable || strcmp(set->name, "portable") == 0;
        for (size_t p = 0; p < N_PRECISIONS; p++)
            ck_assert(set->product[p] != NULL);
        ck_assert(set->quantize && set->lstm_gates && set->tanh && set->sigmoid && set->relu);
    }
    ck_assert(portable);
}
END_TEST

START_TEST(precisions_have_names)
{
    for (unsigned i = 0; i < N_PRECISIONS; i++) {
        enum precision found;
        ck_assert_int_eq(precision_find(precision_name((enum precision)i), &found), STATUS_OK);
        ck_assert_uint_eq(found, i);
    }
    enum precision untouched = PRECISION_INT8;
    ck_assert_int_eq(precision_find("float64", &untouched), STATUS_BAD_VALUE);
    ck_assert_int_eq(untouched, PRECISION_INT8);
}
END_TEST

START_TEST(openblas_advice_names_a_better_core)
{
    const char *advice = kernels_openblas_advice(), *core = kernels_openblas_core();
    if (advice) {
        ck_assert_ptr_nonnull(core);
        ck_assert_str_ne(advice, core);
    }
}
END_TEST

static const char *active_before;

static void remember_active(void)
{
    active_before = kernels_active()->name;
    noise_state = 1;
}

static void restore_active(void)
{
    ck_assert_int_eq(kernels_select(active_before, NULL), STATUS_OK);
}

Suite *kernels_suite(void);

Suite *kernels_suite(void)
{
    int sets = 0;
    while (kernels_available((size_t)sets))
        sets++;
    Suite *suite = suite_create("kernels");

    TCase *each = tcase_create("each set");
    tcase_add_checked_fixture(each, remember_active, restore_active);
    tcase_set_timeout(each, 20);
    tcase_add_loop_test(each, arrays_of_every_length_and_offset, 0, sets);
    tcase_add_loop_test(each, arrays_hold_their_bound_everywhere, 0, sets);
    tcase_add_loop_test(each, codes_are_rounded_to_even_and_saturated, 0, sets);
    tcase_add_loop_test(each, gates_follow_the_equations, 0, sets);
    tcase_add_loop_test(each, gates_leave_gaps_between_rows_alone, 0, sets);
    tcase_add_loop_test(each, gates_saturate, 0, sets);
    tcase_add_loop_test(each, a_row_does_not_depend_on_its_batch, 0, sets);
    tcase_add_loop_test(each, fused_sets_give_the_same_bits, 0, sets);
    suite_add_tcase(suite, each);

    TCase *selection = tcase_create("selection");
    tcase_add_checked_fixture(selection, remember_active, restore_active);
    tcase_add_test(selection, every_set_is_selected_by_its_name);
    tcase_add_test(selection, auto_is_the_first_that_runs);
    tcase_add_test(selection, an_unknown_set_is_refused);
    tcase_add_test(selection, portable_runs_everywhere_and_sets_are_whole);
    tcase_add_test(selection, precisions_have_names);
    tcase_add_test(selection, openblas_advice_names_a_better_core);
    suite_add_tcase(suite, selection);
    return suite;
}
