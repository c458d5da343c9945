/* The operations of every kernel set that runs here, against double precision and against each
 * other, in buffers that end at a guard page. Products are in test_matrix.c. */
#include "core/kernels/kernels.h"
#include "tests/support/active_set.h"
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
            set->encode[PRECISION_INT8](n, x + offset, codes + offset);
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

static uint16_t bfloat16_exactly(float x)
{
    uint32_t bits;
    x = fminf(fmaxf(x, -BFLOAT16_LARGEST), BFLOAT16_LARGEST);
    memcpy(&bits, &x, sizeof bits);
    const uint32_t below = bits & 0xffff, upper = bits >> 16;
    return (uint16_t)(upper + (below > 0x8000 || (below == 0x8000 && upper % 2)));
}

START_TEST(bfloat16_codes_are_rounded_to_even_and_saturated)
{
    const struct kernels *set = set_of(_i);
    static const float special[] = {0, 1, -1, 0x1.01p0f, 0x1.03p0f, -0x1.01p-9f, FLT_MAX, -FLT_MAX,
                                    BFLOAT16_LARGEST, 0x1.feffffp99f, 0x1.ffp3f};
    const size_t n_special = sizeof special / sizeof *special;
    for (size_t n = 0; n < LENGTHS; n++) {
        for (size_t offset = 0; offset < OFFSETS; offset++) {
            float *x = guard_new((n + offset) * sizeof *x);
            uint16_t *codes = guard_new((n + offset) * sizeof *codes);
            for (size_t i = 0; i < n + offset; i++)
                x[i] = i % 3 ? (float)noise() : special[(n + i) % n_special];
            set->encode[PRECISION_BFLOAT16](n, x + offset, codes + offset);
            for (size_t i = 0; i < offset; i++)
                ck_assert_uint_eq(codes[i], 0);
            for (size_t i = offset; i < n + offset; i++)
                ck_assert_uint_eq(codes[i], bfloat16_exactly(x[i]));
            guard_free(x, (n + offset) * sizeof *x);
            guard_free(codes, (n + offset) * sizeof *codes);
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

/* ---- the cells of an sLSTM ---- */

enum { MOST_CELLS = LENGTHS + 80 };

struct slstm_case {
    struct slstm_gates now;
    float gates[4 * MOST_CELLS], c[MOST_CELLS], n[MOST_CELLS], m[MOST_CELLS], h[MOST_CELLS];
};

static void slstm_begin(struct slstm_case *one, size_t d, bool forgets_exp)
{
    memset(one, 0, sizeof *one);
    one->now = (struct slstm_gates){d, one->gates, one->c, one->n, one->m, one->h, forgets_exp};
}

/* Take one step, and check each unit against the equations in double. */
static void slstm_check_step(const struct kernels *set, struct slstm_case *one, float size)
{
    static struct slstm_case before;
    size_t d = one->now.d;
    for (size_t j = 0; j < 4 * d; j++) one->gates[j] = (float)noise() * size;
    before = *one;
    set->slstm_gates(&one->now);
    for (size_t j = 0; j < d; j++) {
        double i = (double)one->gates[j], f = (double)one->gates[d + j];
        double log_f = one->now.forgets_exp ? f : fmin(f, 0) - log1p(exp(-fabs(f)));
        double kept = log_f + (double)before.m[j], m = before.n[j] == 0 || i > kept ? i : kept;
        double in = exp(i - m), keep = before.n[j] == 0 ? 0 : exp(kept - m);
        double c = keep * (double)before.c[j] + in * tanh((double)one->gates[2 * d + j]);
        double n = keep * (double)before.n[j] + in;
        double h = sigmoid_exactly((double)one->gates[3 * d + j]) * c / n;
        double bound = 1e-6 + 0x1p-23 * (fabs(i) + fabs(kept));
        ck_assert_msg(fabs((double)one->h[j] - h) <= bound, "%s: h is %.9g, expected %.9g", set->name,
                      (double)one->h[j], h);
        ck_assert_float_ge(one->n[j], 1);
        ck_assert_double_le(fabs((double)one->m[j] - m), 1e-6 * fmax(1, fabs(m)));
    }
    ck_assert_msg(one->h[d] == 0 && one->c[d] == 0 && one->n[d] == 0, "%s writes beyond the cells",
                  set->name);
}

START_TEST(slstm_cells_follow_the_equations)
{
    const struct kernels *set = set_of(_i);
    static struct slstm_case one;
    static const float sizes[] = {1, 10, 200};
    for (size_t s = 0; s < sizeof sizes / sizeof *sizes; s++)
        for (size_t d = 1; d < LENGTHS; d++) {
            slstm_begin(&one, d, d % 2);
            for (size_t step = 0; step < 5; step++) slstm_check_step(set, &one, sizes[s]);
        }
}
END_TEST

/* Thousands of steps that forget or keep all: n and m do not run away. */
START_TEST(slstm_cells_last)
{
    const struct kernels *set = set_of(_i);
    static struct slstm_case one;
    slstm_begin(&one, LENGTHS, false);
    for (size_t step = 0; step < 20000; step++) slstm_check_step(set, &one, step / 5000 % 2 ? 30 : 0.1f);
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
    static struct slstm_case s, t;
    for (size_t d = 1; d < LENGTHS; d++) {
        slstm_begin(&s, d, d % 2);
        for (size_t j = 0; j < 4 * d; j++) s.gates[j] = any_gate();
        t = s;
        t.now = (struct slstm_gates){d, t.gates, t.c, t.n, t.m, t.h, d % 2};
        for (size_t step = 0; step < 3; step++) {
            first->slstm_gates(&s.now);
            set->slstm_gates(&t.now);
        }
        ck_assert_mem_eq(s.h, t.h, sizeof s.h);
        ck_assert_mem_eq(s.m, t.m, sizeof s.m);
    }
}
END_TEST

/* ---- selection ---- */

START_TEST(every_set_is_selected_by_its_name)
{
    static const char *const names[] = {
#define X(set, needs) #set,
#include "core/kernels/kernels.def"
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

/* What this processor should run best, if the environment says so: `make check-arm64` does. */
START_TEST(auto_is_what_the_processor_should_have)
{
    ck_assert_str_eq(kernels_available_name(0), getenv("EXPECTED_KERNELS"));
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
            ck_assert(set->product[p] &&
                      !set->encode[p] == !precision_code_bytes((enum precision)p));
        ck_assert(set->lstm_gates && set->slstm_gates && set->tanh && set->sigmoid && set->relu);
    }
    ck_assert(portable);
}
END_TEST

START_TEST(the_names_are_those_of_the_sets)
{
    const struct kernels *set;
    size_t n = 0;
    for (; (set = kernels_available(n)); n++) ck_assert_str_eq(kernels_available_name(n), set->name);
    ck_assert_ptr_null(kernels_available_name(n));
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

static void remember_active(void)
{
    active_set_remember();
    noise_state = 1;
}

Suite *kernels_suite(void);

Suite *kernels_suite(void)
{
    int sets = 0;
    while (kernels_available((size_t)sets))
        sets++;
    Suite *suite = suite_create("kernels");

    TCase *each = tcase_create("each set");
    tcase_add_checked_fixture(each, remember_active, active_set_restore);
    tcase_set_timeout(each, 20);
    tcase_add_loop_test(each, arrays_of_every_length_and_offset, 0, sets);
    tcase_add_loop_test(each, arrays_hold_their_bound_everywhere, 0, sets);
    tcase_add_loop_test(each, codes_are_rounded_to_even_and_saturated, 0, sets);
    tcase_add_loop_test(each, bfloat16_codes_are_rounded_to_even_and_saturated, 0, sets);
    tcase_add_loop_test(each, gates_follow_the_equations, 0, sets);
    tcase_add_loop_test(each, gates_leave_gaps_between_rows_alone, 0, sets);
    tcase_add_loop_test(each, gates_saturate, 0, sets);
    tcase_add_loop_test(each, slstm_cells_follow_the_equations, 0, sets);
    tcase_add_loop_test(each, slstm_cells_last, 0, sets);
    tcase_add_loop_test(each, a_row_does_not_depend_on_its_batch, 0, sets);
    tcase_add_loop_test(each, fused_sets_give_the_same_bits, 0, sets);
    suite_add_tcase(suite, each);

    TCase *selection = tcase_create("selection");
    tcase_add_checked_fixture(selection, remember_active, active_set_restore);
    tcase_add_test(selection, every_set_is_selected_by_its_name);
    tcase_add_test(selection, auto_is_the_first_that_runs);
    if (getenv("EXPECTED_KERNELS"))
        tcase_add_test(selection, auto_is_what_the_processor_should_have);
    tcase_add_test(selection, an_unknown_set_is_refused);
    tcase_add_test(selection, portable_runs_everywhere_and_sets_are_whole);
    tcase_add_test(selection, precisions_have_names);
    tcase_add_test(selection, the_names_are_those_of_the_sets);
    tcase_add_test(selection, openblas_advice_names_a_better_core);
    suite_add_tcase(suite, selection);
    return suite;
}
