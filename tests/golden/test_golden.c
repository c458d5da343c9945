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
#include "tests/support/taken.h"

#define CASES "tests/golden/cases"

/* Float32: derived in MANIFEST.md. The others are what rounded weights (2^-11 relative; 1/254 of a row's
 * largest) and codes (1/254) may do to networks whose weights are twice PyTorch's initial ones: some four
 * times the largest error that was measured, so that a scale gone wrong shows and a new case passes. */
static const double tolerance[N_PRECISIONS] = {
    [PRECISION_FLOAT32] = 1e-5, [PRECISION_FLOAT16] = 2e-3, [PRECISION_BFLOAT16] = 1e-2,
    [PRECISION_INT8] = 5e-2};

#define GRADIENT_TOLERANCE 1e-4

enum { MAX_SPECS = 64, MAX_TENSORS = 64, MAX_SEQUENCES = 64, MAX_LINE = 512, MAX_CASES = 256 };

static struct dirent **entries;
static int n_entries;

/* Reading a case ------------------------------------------------------------------------- */

struct tensor {
    char name[128];
    size_t rank, shape[3], n;
    float *values;
};

struct gold {
    struct tensors tensors; /* first: take() gets a pointer to it */
    char name[64];
    struct layer_spec specs[MAX_SPECS];
    struct tensor tensor[MAX_TENSORS];
    size_t n_specs, n_tensors;
    size_t input_size; /* 0: tokens */
    size_t B, lengths[MAX_SEQUENCES], steps;
    size_t output_size, rows, state_floats, gradient_floats;
    float *features, *outputs, *states, *gradients; /* sequence after sequence */
    size_t memory_size, spans[MAX_SEQUENCES], spanned; /* rows of each sequence's memory, and of all */
    float *memories, *memory_gradients; /* the second if there are gradients */
    int32_t *tokens;
};

static long key_value(const struct layer_key *key, const char *text)
{
    if (key->kind == KEY_NUMBER) return 0;
    if (key->kind != KEY_CHOICE) return strtol(text, NULL, 10);
    for (long i = 0; key->choices[i]; i++)
        if (strcmp(key->choices[i], text) == 0) return i;
    ck_abort_msg("'%s' is not a choice of %s", text, key->name);
    return -1;
}

static void read_sources(struct layer_spec *spec, char *list)
{
    char *rest;
    for (char *word = strtok_r(list, ",", &rest); word; word = strtok_r(NULL, ",", &rest))
        spec->sources[spec->n_sources++] = (int)strtol(word, NULL, 10);
}

static void read_key(struct layer_spec *spec, char *word)
{
    char *value = strchr(word, '=');
    ck_assert_ptr_nonnull(value);
    *value++ = '\0';
    if (!strcmp(word, "inputs")) {
        read_sources(spec, value);
        return;
    }
    const struct layer_key *keys = spec->type->keys;
    for (size_t i = 0; keys[i].name; i++)
        if (strcmp(keys[i].name, word) == 0) {
            if (keys[i].kind == KEY_REAL) spec->numbers[i] = strtod(value, NULL);
            else spec->values[i] = key_value(&keys[i], value);
            return;
        }
    ck_abort_msg("%s has no key '%s'", spec->type->name, word);
}

static void read_layer(struct gold *gold, char *line)
{
    char *rest;
    struct layer_spec *spec = &gold->specs[gold->n_specs++];
    ck_assert_uint_le(gold->n_specs, MAX_SPECS);
    spec->type = layer_type_find(strtok_r(line, " ", &rest));
    ck_assert_ptr_nonnull(spec->type);
    char *prefix = strtok_r(NULL, " ", &rest);
    snprintf(spec->prefix, sizeof spec->prefix, "%s", strcmp(prefix, "-") ? prefix : "");
    for (size_t i = 0; spec->type->keys[i].name; i++) {
        spec->values[i] = spec->type->keys[i].fallback;
        spec->numbers[i] = spec->type->keys[i].real;
    }
    for (char *word; (word = strtok_r(NULL, " ", &rest));) read_key(spec, word);
}

static void read_tensor(struct gold *gold, char *line)
{
    struct tensor *tensor = &gold->tensor[gold->n_tensors++];
    ck_assert_uint_le(gold->n_tensors, MAX_TENSORS);
    int n = sscanf(line, "%127s %zu %zu %zu", tensor->name, &tensor->shape[0], &tensor->shape[1],
                   &tensor->shape[2]);
    ck_assert_int_ge(n, 2);
    tensor->rank = (size_t)n - 1;
    tensor->n = 1;
    for (size_t i = 0; i < tensor->rank; i++) tensor->n *= tensor->shape[i];
}

static void read_lengths(struct gold *gold, const char *line)
{
    char *end;
    for (size_t n; (n = strtoul(line, &end, 10)) > 0; line = end) {
        ck_assert_uint_lt(gold->B, MAX_SEQUENCES);
        gold->lengths[gold->B++] = n;
        gold->steps += n;
    }
}

static void read_memory(struct gold *gold, const char *line)
{
    char *end;
    size_t b = 0;
    gold->memory_size = strtoul(line, &end, 10);
    for (size_t n; (n = strtoul(line = end, &end, 10)) > 0; gold->spanned += n) {
        ck_assert_uint_lt(b, gold->B);
        gold->spans[b++] = n;
    }
    ck_assert_uint_eq(b, gold->B);
}

static void read_line(struct gold *gold, char *line)
{
    char *rest = strchr(line, ' ');
    ck_assert_ptr_nonnull(rest);
    *rest++ = '\0';
    if (!strcmp(line, "case")) snprintf(gold->name, sizeof gold->name, "%s", rest);
    else if (!strcmp(line, "layer")) read_layer(gold, rest);
    else if (!strcmp(line, "tensor")) read_tensor(gold, rest);
    else if (!strcmp(line, "input")) sscanf(rest, "features %zu", &gold->input_size);
    else if (!strcmp(line, "lengths")) read_lengths(gold, rest);
    else if (!strcmp(line, "memory")) read_memory(gold, rest);
    else if (!strcmp(line, "output")) sscanf(rest, "%zu %zu", &gold->output_size, &gold->rows);
    else if (!strcmp(line, "state")) sscanf(rest, "%zu", &gold->state_floats);
    else if (!strcmp(line, "gradient")) sscanf(rest, "%zu", &gold->gradient_floats);
    else ck_abort_msg("unknown line '%s'", line);
}

static void *read_numbers(FILE *file, size_t n, size_t size)
{
    void *values = memory_new(n, size);
    ck_assert_ptr_nonnull(values);
    ck_assert_uint_eq(fread(values, size, n, file), n);
    return values;
}

static enum status gold_take(struct tensors *self, const char *name, size_t rank,
                             const size_t *shape, float **out, struct error *err)
{
    struct gold *gold = (struct gold *)self;
    for (size_t i = 0; i < gold->n_tensors; i++) {
        const struct tensor *tensor = &gold->tensor[i];
        if (strcmp(tensor->name, name)) continue;
        if (rank != tensor->rank || memcmp(shape, tensor->shape, rank * sizeof *shape))
            return error_set(err, STATUS_BAD_SHAPE, "tensor '%s': wrong shape", name);
        *out = memory_new(tensor->n, sizeof **out);
        if (!*out) return error_set(err, STATUS_NO_MEMORY, "no memory");
        memcpy(*out, tensor->values, tensor->n * sizeof **out);
        return STATUS_OK;
    }
    return error_set(err, STATUS_NOT_FOUND, "tensor '%s': not found", name);
}

static struct gold *gold_load(const char *path)
{
    char line[MAX_LINE];
    struct gold *gold = memory_new(1, sizeof *gold);
    FILE *file = fopen(path, "rb");
    ck_assert_ptr_nonnull(gold);
    ck_assert_msg(file != NULL, "cannot open %s", path);
    gold->tensors.take = gold_take;
    gold->tensors.read = taken_read;
    ck_assert_ptr_nonnull(fgets(line, sizeof line, file));
    ck_assert_str_eq(line, "carousel golden 1\n");
    while (fgets(line, sizeof line, file) && strcmp(line, "data\n")) {
        line[strcspn(line, "\n")] = '\0';
        read_line(gold, line);
    }
    for (size_t i = 0; i < gold->n_tensors; i++)
        gold->tensor[i].values = read_numbers(file, gold->tensor[i].n, sizeof(float));
    if (gold->input_size)
        gold->features = read_numbers(file, gold->steps * gold->input_size, sizeof(float));
    else gold->tokens = read_numbers(file, gold->steps, sizeof(int32_t));
    gold->memories = read_numbers(file, gold->spanned * gold->memory_size, sizeof(float));
    gold->outputs = read_numbers(file, gold->rows * gold->output_size, sizeof(float));
    gold->states = read_numbers(file, gold->B * gold->state_floats, sizeof(float));
    gold->gradients = read_numbers(file, gold->steps * gold->gradient_floats, sizeof(float));
    gold->memory_gradients = read_numbers(file, gold->gradient_floats ? gold->spanned * gold->memory_size : 0,
                                          sizeof(float));
    ck_assert_int_eq(fgetc(file), EOF);
    fclose(file);
    return gold;
}

static void gold_free(struct gold *gold)
{
    for (size_t i = 0; i < gold->n_tensors; i++) memory_free(gold->tensor[i].values);
    memory_free(gold->features);
    memory_free(gold->tokens);
    memory_free(gold->memories);
    memory_free(gold->outputs);
    memory_free(gold->states);
    memory_free(gold->gradients);
    memory_free(gold->memory_gradients);
    memory_free(gold);
}

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
                        .want = WANT_ALL, .tap = TAP_OUTPUT};
    if (gold->tokens) ride.tokens = gold->tokens + begin + done;
    else ride.features = gold->features + (begin + done) * gold->input_size;
    if (network_has_pooling(network))
        ride.want = done + ride.n_steps == gold->lengths[b] ? WANT_LAST : WANT_NONE;
    return ride;
}

/* One turn of every sequence that is not at its end; false when all are. */
static bool turn(const struct gold *gold, const struct network *network,
                 struct workspace *workspace, enum cut cut, size_t *done, struct result *result)
{
    struct ride rides[MAX_SEQUENCES];
    size_t who[MAX_SEQUENCES], to[MAX_SEQUENCES], n = 0, begin = 0;
    size_t state_floats = network_state_floats(network);
    for (size_t b = 0; b < gold->B; begin += gold->lengths[b++]) {
        if (done[b] == gold->lengths[b]) continue;
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

static struct result gold_run(const struct gold *gold, const struct network *network,
                              enum cut cut)
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
    while (turn(gold, network, workspace, cut, done, &result)) continue;
    workspace_free(workspace);
    return result;
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
    if (!network_is_whole(network) && kernels_active()->batch_independent)
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
    ck_assert_int_eq(trace_backward_all(trace, d_outputs, d_input, d_memory), STATUS_OK);
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
