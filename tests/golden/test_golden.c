/* Every case of cases/ (make_golden.py, PyTorch) with every kernel set that runs here: whole, cut into
 * halves, and one step a turn. In float32 outputs and final states must lie within 1e-5 of PyTorch's
 * float64, and the cut runs must equal the whole one bit for bit. float16 and int8 are held to looser
 * bounds. One line a case says the largest errors found. */
#include <check.h>
#include <dirent.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/memory.h"
#include "core/recurrent/trace.h"
#include "tests/support/gold.h"

#define CASES "tests/golden/cases"

/* Float32: derived in MANIFEST.md. The others are what rounded weights (2^-11 relative; 1/254 of a row's
 * largest) and codes (1/254) may do to networks whose weights are twice PyTorch's initial ones: two to four
 * times the largest error that was measured, so that a scale gone wrong shows and a new case passes. */
static const double tolerance[N_PRECISIONS] = {
    [PRECISION_FLOAT32] = 1e-5, [PRECISION_FLOAT16] = 2e-3, [PRECISION_BFLOAT16] = 2e-2,
    [PRECISION_INT8] = 5e-2};

#define GRADIENT_TOLERANCE 1e-4

enum { MAX_CASES = 256 };

static struct dirent **entries;
static int n_entries;

/* Running it ----------------------------------------------------------------------------- */

enum cut { WHOLE, HALVES, STEPS, N_CUTS };

/* What came out, laid out as in the case. `state` holds whole network states. */
struct result {
    float *outputs; /* [rows,output_size] */
    float *state;   /* [B,network_state_floats] */
    struct memory memories[MAX_SEQUENCES];
};

static size_t ride_steps(enum cut cut, size_t length, size_t done)
{
    if (cut == STEPS) return 1;
    size_t half = (length + 1) / 2;
    return cut == HALVES && done < half ? half : length - done;
}

/* The next ride of sequence b that has taken `done` of its steps, which begin at row `begin`. */
static struct ride next_ride(const struct gold *gold, const struct network *network, enum cut cut,
                             size_t b, size_t begin, size_t done, float *state)
{
    struct ride ride = {.n_steps = ride_steps(cut, gold->lengths[b], done), .state = state,
                        .want = WANT_ALL, .tap = TAP_OUTPUT,
                        .n_group = gold->groups[b], .role = gold->roles[b]};
    if (gold->tokens) ride.tokens = gold->tokens + begin + done;
    else ride.features = gold->features + (begin + done) * gold->input_size;
    if (network_has_pooling(network))
        ride.want = done + ride.n_steps == gold->lengths[b] ? WANT_LAST : WANT_NONE;
    return ride;
}

/* One turn of every sequence of [first, end) that is not at its end; false when all are. */
static bool turn(const struct gold *gold, const struct network *network,
                 struct workspace *workspace, enum cut cut, size_t first, size_t end, size_t *done,
                 struct result *result)
{
    struct ride rides[MAX_SEQUENCES];
    size_t who[MAX_SEQUENCES], to[MAX_SEQUENCES], n = 0, begin = 0;
    size_t state_floats = network_state_floats(network);
    for (size_t b = 0; b < gold->B; begin += gold->lengths[b++]) {
        if (b < first || b >= end || done[b] == gold->lengths[b]) continue;
        rides[n] = next_ride(gold, network, cut, b, begin, done[b],
                             result->state + b * state_floats);
        rides[n].memory = &result->memories[b];
        to[n] = network_has_pooling(network) ? b : begin + done[b];
        who[n++] = b;
    }
    network_run(network, workspace, rides, n);
    for (size_t i = 0; i < n; i++) {
        done[who[i]] += rides[i].n_steps;
        if (rides[i].n_outputs)
            memcpy(result->outputs + to[i] * gold->output_size, rides[i].output,
                   rides[i].n_outputs * gold->output_size * sizeof(float));
    }
    return n > 0;
}

/* Run the sequences [first, end). */
static struct result gold_run_some(const struct gold *gold, const struct network *network, enum cut cut,
                                   size_t first, size_t end)
{
    struct workspace *workspace;
    struct result result = {
        memory_new(gold->rows * gold->output_size, sizeof(float)),
        memory_new(gold->B * network_state_floats(network), sizeof(float)),
        {{0}},
    };
    size_t done[MAX_SEQUENCES] = {0}, from = 0;
    for (size_t b = 0; b < gold->B; from += gold->spans[b++])
        result.memories[b] = (struct memory){
            .rows = gold->memories + from * gold->memory_size, .S = gold->spans[b],
            .derived = memory_new(gold->spans[b] * network_memory_floats(network), sizeof(float))};
    ck_assert_int_eq(workspace_new(gold->steps, gold->B, &workspace), STATUS_OK);
    ck_assert_int_eq(workspace_fit(workspace, network), STATUS_OK);
    while (turn(gold, network, workspace, cut, first, end, done, &result)) continue;
    workspace_free(workspace);
    return result;
}

static struct result gold_run(const struct gold *gold, const struct network *network, enum cut cut)
{
    return gold_run_some(gold, network, cut, 0, gold->B);
}

static void result_free(struct result *result)
{
    for (size_t b = 0; b < MAX_SEQUENCES; b++) memory_free(result->memories[b].derived);
    memory_free(result->outputs);
    memory_free(result->state);
}

static double largest_error(const float *a, const float *b, size_t n)
{
    double largest = 0;
    for (size_t i = 0; i < n; i++) {
        double error = fabs((double)a[i] - (double)b[i]);
        if (!(error <= largest)) largest = error; /* a NaN stays */
    }
    return largest;
}

/* The larger of the errors of outputs and of final states; a pooling's own state comes after those. */
static double result_error(const struct gold *gold, const struct network *network,
                           const struct result *result)
{
    double error = largest_error(result->outputs, gold->outputs, gold->rows * gold->output_size);
    for (size_t b = 0; b < gold->B; b++) {
        const float *state = result->state + b * network_state_floats(network);
        error = fmax(error, largest_error(state, gold->states + b * gold->state_floats,
                                          gold->state_floats));
    }
    return error;
}

static void check_cuts(const struct gold *gold, const struct network *network,
                       const struct result *whole, const char *set)
{
    for (int cut = HALVES; cut < N_CUTS; cut++) {
        struct result cut_up = gold_run(gold, network, (enum cut)cut);
        size_t states = gold->B * network_state_floats(network);
        ck_assert_msg(!memcmp(cut_up.outputs, whole->outputs,
                              gold->rows * gold->output_size * sizeof(float)),
                      "%s, %s: outputs change when the sequences are cut", gold->name, set);
        ck_assert_msg(!memcmp(cut_up.state, whole->state, states * sizeof(float)),
                      "%s, %s: states change when the sequences are cut", gold->name, set);
        result_free(&cut_up);
    }
}

/* A group alone gives the same bits as among the others. */
static void check_groups(const struct gold *gold, const struct network *network, const struct result *all,
                         const char *set)
{
    size_t width = gold->output_size, begin = 0;
    for (size_t b = 0; b < gold->B; b += gold->groups[b]) {
        struct result alone = gold_run_some(gold, network, WHOLE, b, b + gold->groups[b]);
        size_t rows = gold->groups[b] * gold->lengths[b];
        ck_assert_msg(!memcmp(alone.outputs + begin * width, all->outputs + begin * width,
                              rows * width * sizeof(float)),
                      "%s, %s: outputs of the group at %zu change in company", gold->name, set, b);
        result_free(&alone);
        begin += rows;
    }
}

/* Whether steps may go by several turns. */
static bool can_be_cut(const struct gold *gold, const struct network *network)
{
    bool mirrors = false;
    for (size_t b = 0; b < gold->B; b++) mirrors |= gold->roles[b] == RIDE_MIRROR;
    return !mirrors && !network_is_whole(network);
}

/* The error of a case with the active set in this precision. */
static double gold_error(struct gold *gold, enum precision precision)
{
    struct network *network;
    struct error err = {0};
    enum status status = network_new(gold->specs, gold->n_specs, &gold->tensors, precision,
                                     &network, &err);
    ck_assert_msg(status == STATUS_OK, "%s: %s", gold->name, err.message);
    ck_assert_uint_eq(network_output_size(network), gold->output_size);
    ck_assert_uint_eq(network_input_size(network), gold->input_size);
    struct result result = gold_run(gold, network, WHOLE);
    double error = result_error(gold, network, &result);
    if (gold->is_grouped && kernels_active()->batch_independent)
        check_groups(gold, network, &result, kernels_active()->name);
    if (can_be_cut(gold, network) && kernels_active()->batch_independent)
        check_cuts(gold, network, &result, kernels_active()->name);
    result_free(&result);
    network_free(network);
    return error;
}

START_TEST(test_case)
{
    char path[MAX_LINE];
    snprintf(path, sizeof path, CASES "/%s", entries[_i]->d_name);
    struct gold *gold = gold_load(path);
    bool is_saturated = strstr(gold->name, "saturated") != NULL;
    double worst[N_PRECISIONS] = {0};
    const struct kernels *set;
    for (size_t i = 0; (set = kernels_available(i)); i++) {
        ck_assert_int_eq(kernels_select(set->name, NULL), STATUS_OK);
        for (int p = 0; p < N_PRECISIONS; p++) {
            if (p != PRECISION_FLOAT32 && is_saturated) continue; /* MANIFEST.md says why */
            double error = gold_error(gold, (enum precision)p);
            if (!(error <= worst[p])) worst[p] = error;
            ck_assert_msg(error <= tolerance[p], "%s, %s, %s: error %.2e, expected at most %.0e",
                          gold->name, set->name, precision_name((enum precision)p), error,
                          tolerance[p]);
        }
    }
    printf("golden %-28s", gold->name);
    for (int p = 0; p < N_PRECISIONS; p++)
        printf("  %s %.1e", precision_name((enum precision)p), worst[p]);
    printf("\n");
    fflush(stdout);
    gold_free(gold);
}
END_TEST

/* The slow path ---------------------------------------------------------------------------- */

/* Count the rows of the memories before that of sequence b. */
static size_t spans_before(const struct gold *gold, size_t b)
{
    size_t rows = 0;
    for (size_t i = 0; i < b; i++) rows += gold->spans[i];
    return rows;
}

/* A trace of sequence b, whose steps begin at row `begin` of the case. */
static struct trace *trace_sequence(const struct gold *gold, const struct network *network, size_t b,
                                    size_t begin)
{
    struct trace_input input = {.T = gold->lengths[b]};
    struct trace *trace;
    if (gold->tokens) input.tokens = gold->tokens + begin;
    else input.features = gold->features + begin * gold->input_size;
    input.memory = gold->memories + spans_before(gold, b) * gold->memory_size;
    input.S = gold->spans[b];
    ck_assert_int_eq(trace_new(network, &input, &trace), STATUS_OK);
    return trace;
}

static double at(const float *rows, ptrdiff_t stride, size_t t, size_t i)
{
    return (double)rows[(ptrdiff_t)t * stride + (ptrdiff_t)i];
}

/* c of an lstm and of an slstm, whose z stands in the place of g, and h of a step, follow from the gates and
 * the c before. */
static void check_c(const struct gold *gold, const struct trace_cell *cell, size_t t)
{
    size_t H = cell->H;
    for (size_t u = 0; u < H; u++) {
        double old = at(cell->c, cell->c_stride, t - 1, u), c = at(cell->c, cell->c_stride, t, u);
        double i = at(cell->gates, cell->gates_stride, t, u);
        double f = at(cell->gates, cell->gates_stride, t, H + u);
        double g = at(cell->gates, cell->gates_stride, t, 2 * H + u);
        ck_assert_msg(fabs(f * old + i * g - c) <= 1e-5 * (1 + fabs(c)), "%s: c of step %zu", gold->name, t);
        if (cell->O != H) continue;
        float out = (float)c;
        if (cell->squash) cell->squash(1, &out, &out);
        double o = at(cell->gates, cell->gates_stride, t, 3 * H + u);
        double h = at(cell->h, cell->h_stride, t, u);
        ck_assert_msg(fabs(o * (double)out - h) <= 1e-5 * (1 + fabs(h)), "%s: h of step %zu", gold->name, t);
    }
}

/* A gru's h of a step follows from its gates and the h before. */
static void check_gru(const struct gold *gold, const struct trace_cell *cell, size_t t)
{
    size_t H = cell->H;
    for (size_t u = 0; u < H; u++) {
        double old = at(cell->h, cell->h_stride, t - 1, u), h = at(cell->h, cell->h_stride, t, u);
        double z = at(cell->gates, cell->gates_stride, t, H + u);
        double n = at(cell->gates, cell->gates_stride, t, 2 * H + u);
        ck_assert_msg(fabs((1 - z) * n + z * old - h) <= 1e-5, "%s: h of step %zu", gold->name, t);
    }
}

/* The cells of one direction keep the equations. What comes before the first step may be learned. */
static void check_equations(const struct gold *gold, const struct trace_cell *cell, size_t T)
{
    const char *names = cell->has->names;
    for (size_t t = 1; t < T && !cell->is_reverse; t++) {
        if (!strcmp(names, "ifgo") || !strcmp(names, "ifzo")) check_c(gold, cell, t);
        else if (!strcmp(names, "rzn")) check_gru(gold, cell, t);
        else ck_assert(!strcmp(names, "") || !strcmp(names, "if"));
    }
}

static void check_final_c(const struct gold *gold, const struct trace_cell *cell, size_t T,
                          const float *state)
{
    const float *c = cell->c + (ptrdiff_t)(T - 1) * cell->c_stride;
    ck_assert_msg(largest_error(c, state, cell->H) <= 1e-5, "%s: final c", gold->name);
}

/* The cells of all layers keep the equations, and end in the states that PyTorch ends in (`states`; NULL:
 * whole). */
static void check_cells(const struct gold *gold, const struct trace *trace, const struct network *network,
                        size_t T, const float *states)
{
    struct trace_cell cell;
    const struct layer *layer;
    size_t n = 0;
    for (size_t i = 0; (layer = network_layer(network, i)); i++)
        for (size_t k = 0, used = 0; layer->type->cell && layer->type->cell(layer, NULL, k, 0, &cell); k++) {
            ck_assert(trace_cell(trace, n++, 0, &cell));
            check_equations(gold, &cell, T);
            if (!states) continue;
            const float *state = states + layer->state_offset + used;
            const float *h = cell.h + (ptrdiff_t)(T - 1) * cell.h_stride;
            bool keeps_c = cell.c && cell.squash; /* of an slstm c and n */
            if (strcmp(layer->type->name, "mlstm"))
                ck_assert_msg(largest_error(h, state, cell.O) <= 1e-5, "%s: final h", gold->name);
            if (keeps_c)
                check_final_c(gold, &cell, T, state + cell.O);
            used += cell.O + (keeps_c ? cell.H : 0);
        }
}

/* The largest error of a block of n numbers, as a part of its largest value. */
static double relative_error(const float *found, const float *expected, size_t n)
{
    double largest = 0, error = largest_error(found, expected, n);
    for (size_t i = 0; i < n; i++) largest = fmax(largest, fabs((double)expected[i]));
    return largest > 0 ? error / largest : error;
}

/* The larger of the errors of a sequence's gradient by its input, and by its memory. */
static double gradient_error(const struct gold *gold, const struct trace *trace, size_t b, size_t begin)
{
    size_t rows, n = gold->lengths[b] * gold->gradient_floats, m = gold->spans[b] * gold->memory_size;
    trace_output(trace, &rows);
    float *d_outputs = memory_new(rows * gold->output_size, sizeof *d_outputs);
    float *d_input = memory_new(n, sizeof *d_input), *d_memory = memory_new(m, sizeof *d_memory);
    size_t row = 2 * rows / 3, output = b % gold->output_size;
    d_outputs[row * gold->output_size + output] = 1;
    const struct trace_way way = {.d_outputs = d_outputs, .d_input = d_input, .d_memory = d_memory};
    ck_assert_int_eq(trace_backward_all(trace, &way), STATUS_OK);
    double error = relative_error(d_input, gold->gradients + begin * gold->gradient_floats, n);
    const float *by_memory = gold->memory_gradients + spans_before(gold, b) * gold->memory_size;
    error = fmax(error, relative_error(d_memory, by_memory, m));
    ck_assert_int_eq(trace_backward(trace, row, d_outputs + row * gold->output_size, d_input), STATUS_OK);
    error = fmax(error, relative_error(d_input, gold->gradients + begin * gold->gradient_floats, n));
    memory_free(d_outputs);
    memory_free(d_input);
    memory_free(d_memory);
    return error;
}

/* Check all sequences of a case; the largest error of a gradient. */
static double check_traces(const struct gold *gold, const struct network *network)
{
    double worst = 0;
    bool pools = network_has_pooling(network);
    for (size_t b = 0, begin = 0; b < gold->B; begin += gold->lengths[b++]) {
        struct trace *trace = trace_sequence(gold, network, b, begin);
        size_t rows;
        const float *output = trace_output(trace, &rows);
        ck_assert_uint_eq(rows, pools ? 1 : gold->lengths[b]);
        double error = largest_error(output, gold->outputs + (pools ? b : begin) * gold->output_size,
                                     rows * gold->output_size);
        ck_assert_msg(error <= tolerance[PRECISION_FLOAT32], "%s: traced outputs differ by %.2e", gold->name,
                      error);
        check_cells(gold, trace, network, gold->lengths[b],
                    gold->state_floats ? gold->states + b * gold->state_floats : NULL);
        error = gradient_error(gold, trace, b, begin);
        if (!(error <= worst)) worst = error;
        trace_free(trace);
    }
    return worst;
}

START_TEST(test_gradients)
{
    char path[MAX_LINE];
    snprintf(path, sizeof path, CASES "/%s", entries[_i]->d_name);
    struct gold *gold = gold_load(path);
    const struct kernels *set;
    double worst = 0;
    for (size_t i = 0; (set = kernels_available(i)); i++) {
        struct network *network;
        ck_assert_int_eq(kernels_select(set->name, NULL), STATUS_OK);
        ck_assert_int_eq(network_new(gold->specs, gold->n_specs, &gold->tensors, PRECISION_FLOAT32, &network,
                                     NULL),
                         STATUS_OK);
        double error = gold->gradient_floats ? check_traces(gold, network) : 0;
        if (!gold->is_grouped)
            ck_assert_int_eq(gold->gradient_floats > 0, trace_unknown(network) == NULL);
        if (!(error <= worst)) worst = error;
        network_free(network);
    }
    if (!strcmp(gold->name, "saturated")) worst = 0; /* MANIFEST.md says why */
    printf("golden %-28s  gradients %.1e\n", gold->name, worst);
    fflush(stdout);
    ck_assert_msg(worst <= GRADIENT_TOLERANCE,
                  "%s: a gradient is off by %.2e of the largest, expected at most %.0e",
                  gold->name, worst, GRADIENT_TOLERANCE);
    gold_free(gold);
}
END_TEST

START_TEST(test_cases_are_there)
{
    ck_assert_int_ge(n_entries, 30);
}
END_TEST

static int is_gold(const struct dirent *entry)
{
    const char *dot = strrchr(entry->d_name, '.');
    return dot && strcmp(dot, ".gold") == 0;
}

Suite *golden_suite(void);

Suite *golden_suite(void)
{
    Suite *suite = suite_create("golden");
    TCase *cases = tcase_create("cases");
    n_entries = scandir(CASES, &entries, is_gold, alphasort);
    tcase_set_timeout(cases, 60);
    tcase_add_test(cases, test_cases_are_there);
    tcase_add_loop_test(cases, test_case, 0, n_entries);
    tcase_add_loop_test(cases, test_gradients, 0, n_entries);
    suite_add_tcase(suite, cases);
    return suite;
}
