#include "models/bundle/golden.h"

#include <float.h>
#include <math.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include "core/base/memory.h"
#include "core/base/throttle.h"
#include "models/bundle/coder.h"
#include "models/bundle/initial_state.h"
#include "models/bundle/input.h"
#include "models/text/json.h"

enum { TURN_STEPS = 32 }; /* as scheduler.chunk_steps is */

static const double DEFAULT_TOLERANCE = 1e-4, FEATURE_TOLERANCE = 1e-5;

static const double allowances[N_PRECISIONS] = {
    [PRECISION_FLOAT16] = GOLDEN_FLOAT16,
    [PRECISION_BFLOAT16] = GOLDEN_BFLOAT16,
    [PRECISION_INT8] = GOLDEN_INT8,
};

struct document {
    double tolerance;
    long source; /* enum golden_source */
    const struct json *cases;
};

/* In the order of enum golden_source. */
static const char *const sources[] = {"given", "recorded", "reference", NULL};

static const struct field document_fields[] = {
    {.name = "tolerance", .kind = FIELD_NUMBER, .above = true, .minimum = 0, .maximum = GOLDEN_MAX_TOLERANCE,
     .offset = offsetof(struct document, tolerance)},
    {.name = "source", .kind = FIELD_CHOICE, .choices = sources, .offset = offsetof(struct document, source)},
    {.name = "cases", .kind = FIELD_ARRAY, .required = true,
     .offset = offsetof(struct document, cases)},
};
enum { N_DOCUMENT_FIELDS = sizeof document_fields / sizeof *document_fields };

struct keys {
    const struct json *input, *tokens, *features, *target, *initial_state, *output, *outputs;
};

static const struct field case_fields[] = {
    {.name = "input", .kind = FIELD_ANY, .required = true, .offset = offsetof(struct keys, input)},
    {.name = "tokens", .kind = FIELD_ARRAY, .offset = offsetof(struct keys, tokens)},
    {.name = "features", .kind = FIELD_ARRAY, .offset = offsetof(struct keys, features)},
    {.name = "target", .kind = FIELD_ARRAY, .offset = offsetof(struct keys, target)},
    {.name = INITIAL_STATE, .kind = FIELD_OBJECT, .offset = offsetof(struct keys, initial_state)},
    {.name = "output", .kind = FIELD_ARRAY, .offset = offsetof(struct keys, output)},
    {.name = "outputs", .kind = FIELD_ARRAY, .offset = offsetof(struct keys, outputs)},
};
enum { N_CASE_FIELDS = sizeof case_fields / sizeof *case_fields };

/* ------------------------------------------------------------------------------------------
 * The steps that the file expects */

/* Sequences that a network reads together. */
static size_t seats_of(const struct steps *steps)
{
    return steps->n_seats ? steps->n_seats : 1;
}

/* Whether the outputs of a seat are compared. */
static bool is_target(const struct steps *steps, size_t seat)
{
    return !steps->roles || steps->roles[seat] == RIDE_TARGET;
}

static enum status compare_tokens(const struct json *array, const struct steps *steps,
                                  struct error *err)
{
    size_t n = json_count(array), i = 0;
    if (n != steps->n)
        return error_set(err, STATUS_BAD_GOLDEN, "'input' gives %zu tokens, 'tokens' has %zu",
                         steps->n, n);
    for (const struct json *v = json_first(array); v; v = json_next(v), i++) {
        double expected = 0;
        enum status status = input_read_number(v, "tokens", i, FLT_MAX, &expected, err);
        if (status != STATUS_OK) return status;
        if (expected != (double)steps->tokens[i])
            return error_set(err, STATUS_BAD_GOLDEN, "tokens[%zu] of the input is %d, expected %g",
                             i, (int)steps->tokens[i], expected);
    }
    return STATUS_OK;
}

static enum status compare_row(const struct json *row, size_t t, size_t size, const float *found,
                               struct error *err)
{
    char name[32];
    size_t i = 0;
    snprintf(name, sizeof name, "features[%zu]", t);
    if (json_kind(row) != JSON_ARRAY || json_count(row) != size)
        return error_set(err, STATUS_BAD_VALUE, "%s: expected %zu numbers", name, size);
    for (const struct json *v = json_first(row); v; v = json_next(v), i++) {
        double expected = 0, x = (double)found[i];
        enum status status = input_read_number(v, name, i, FLT_MAX, &expected, err);
        if (status != STATUS_OK) return status;
        if (!(fabs(x - expected) <= FEATURE_TOLERANCE * fmax(1, fabs(expected))))
            return error_set(err, STATUS_BAD_GOLDEN, "%s[%zu] of the input is %.8g, expected %.8g",
                             name, i, x, expected);
    }
    return STATUS_OK;
}

static enum status compare_features(const struct json *array, const struct steps *steps,
                                    size_t size, struct error *err)
{
    size_t n = json_count(array), t = 0;
    if (n != seats_of(steps) * steps->n)
        return error_set(err, STATUS_BAD_GOLDEN, "'input' gives %zu steps, 'features' has %zu",
                         seats_of(steps) * steps->n, n);
    for (const struct json *v = json_first(array); v; v = json_next(v), t++) {
        enum status status = compare_row(v, t, size, steps->features + t * size, err);
        if (status != STATUS_OK) return status;
    }
    return STATUS_OK;
}

static enum status compare_steps(const struct model *model, const struct keys *keys,
                                 const struct steps *steps, struct error *err)
{
    bool texts = steps->tokens != NULL;
    const struct json *wanted = texts ? keys->tokens : keys->features;
    const struct json *other = texts ? keys->features : keys->tokens;
    const char *name = texts ? "tokens" : "features";
    if (!wanted) return error_set(err, STATUS_BAD_VALUE, "'%s' is missing", name);
    if (other)
        return error_set(err, STATUS_BAD_VALUE, "'%s' has no place in task '%s'",
                         texts ? "features" : "tokens", model->task->name);
    return texts ? compare_tokens(wanted, steps, err)
                 : compare_features(wanted, steps, network_input_size(model->network), err);
}

/* ------------------------------------------------------------------------------------------
 * The outputs */

/* The output of the last step that a case expects, or those of all steps; and the largest difference. */
struct expectation {
    const struct json *last; /* NULL: all are expected */
    const struct json *next; /* of all, the row of step `step` */
    size_t step;
    double found, expected, largest; /* NaN counts as infinite */
    char at[64];                     /* where the largest difference is */
    double magnitude;                /* largest |expected| */
};

static enum status compare_output(const struct json *array, const char *name, const float *found, size_t size,
                                  struct expectation *out, struct error *err)
{
    bool is_array = json_kind(array) == JSON_ARRAY;
    size_t n = is_array ? json_count(array) : 0, i = 0;
    if (!is_array || n != size)
        return error_set(err, STATUS_BAD_VALUE, "'%s' has %zu numbers, expected %zu", name, n, size);
    for (const struct json *v = json_first(array); v; v = json_next(v), i++) {
        double expected = 0, x = (double)found[i];
        enum status status = input_read_number(v, name, i, FLT_MAX, &expected, err);
        if (status != STATUS_OK) return status;
        double difference = isfinite(x) ? fabs(x - expected) : (double)INFINITY;
        out->magnitude = fmax(out->magnitude, fabs(expected));
        if (difference <= out->largest) continue;
        out->found = x, out->expected = expected, out->largest = difference;
        snprintf(out->at, sizeof out->at, "%s[%zu]", name, i);
    }
    return STATUS_OK;
}

/* Compare the last outputs of several seats with a row for each target. */
static enum status compare_seats(const struct ride *rides, const struct steps *steps, size_t size,
                                 struct expectation *out, struct error *err)
{
    const struct json *row = json_first(out->last);
    enum status status = STATUS_OK;
    for (size_t i = 0, k = 0; i < steps->n_seats && status == STATUS_OK; i++) {
        char name[32];
        if (!is_target(steps, i)) continue;
        snprintf(name, sizeof name, "output[%zu]", k++);
        status = compare_output(row, name, rides[i].output, size, out, err);
        row = json_next(row);
    }
    return status;
}

/* Compare what one turn gave. */
static enum status compare_turn(const struct ride *ride, size_t size, struct expectation *out,
                                struct error *err)
{
    enum status status = STATUS_OK;
    for (size_t i = 0; i < ride->n_outputs && status == STATUS_OK; i++) {
        char name[32] = "output";
        if (!out->last) snprintf(name, sizeof name, "outputs[%zu]", out->step++);
        status = compare_output(out->last ? out->last : out->next, name, ride->output + i * size, size, out,
                                err);
        if (!out->last) out->next = json_next(out->next);
    }
    return status;
}

/* A case of several seats expects a row for each target. */
static enum status expect_rows(const struct keys *keys, const struct steps *steps, struct error *err)
{
    size_t n_targets = 0;
    for (size_t i = 0; i < steps->n_seats; i++) n_targets += is_target(steps, i);
    if (keys->output && json_count(keys->output) == n_targets) return STATUS_OK;
    return error_set(err, STATUS_BAD_VALUE, "'output' has %zu rows, expected %zu, one for each row of target",
                     keys->output ? json_count(keys->output) : 0, n_targets);
}

/* Decide which outputs the case expects. */
static enum status expect(const struct model *model, const struct keys *keys, const struct steps *fed,
                          struct expectation *out, struct error *err)
{
    size_t n_steps = fed->n;
    *out = (struct expectation){.last = keys->output, .largest = -1};
    if (!keys->output == !keys->outputs)
        return error_set(err, STATUS_BAD_VALUE,
                         "expected 'output', of the last step, or 'outputs', of all steps; "
                         "found %s", keys->output ? "both" : "neither");
    if (fed->n_seats) return expect_rows(keys, fed, err);
    if (keys->output) return STATUS_OK;
    out->next = json_first(keys->outputs);
    if (network_has_pooling(model->decoder ? model->decoder : model->network))
        return error_set(err, STATUS_BAD_VALUE,
                         "'outputs' has no place: the network gives one vector for all "
                         "steps; expected 'output'");
    if (json_count(keys->outputs) == n_steps) return STATUS_OK;
    return error_set(err, STATUS_BAD_VALUE, "'outputs' has %zu rows, expected %zu, one a step",
                     json_count(keys->outputs), n_steps);
}

/* Compare with what the case allows, and keep the largest difference of all cases in *proof. */
static enum status judge(const struct model *model, const struct expectation *d, double tolerance,
                         struct golden_proof *proof, struct error *err)
{
    enum precision precision = network_precision(model->network);
    double bound = (tolerance + allowances[precision]) * fmax(1, d->magnitude);
    if (d->largest <= bound) {
        if (d->largest >= proof->error) *proof = (struct golden_proof){.error = d->largest, .bound = bound};
        return STATUS_OK;
    }
    char in[48] = "";
    if (precision != PRECISION_FLOAT32) snprintf(in, sizeof in, " in %s", precision_name(precision));
    return error_set(err, STATUS_BAD_GOLDEN,
                     "%s is %.7g, expected %.7g: difference %.3g > tolerance %.3g%s; check the "
                     "activations, the order of the gates (PyTorch's is i, f, g, o), the forget gate's bias, "
                     "and that no last layer is missing", d->at,
                     d->found, d->expected, d->largest, bound, in);
}

/* A network, where it stands, and what it attends to. */
struct run {
    const struct network *network;
    struct workspace *workspace;
    float *state; /* of all seats */
    struct ride *rides;
    struct memory memory;
};

/* Several seats ride whole. */
static enum status run_open(struct run *run, const struct network *network, const struct steps *steps)
{
    size_t seats = seats_of(steps);
    bool is_whole = network_is_whole(network) || seats > 1;
    size_t room = is_whole || steps->n < TURN_STEPS ? steps->n : TURN_STEPS;
    run->network = network;
    run->state = memory_new(seats * network_state_floats(network), sizeof *run->state);
    run->rides = memory_new(seats, sizeof *run->rides);
    enum status status = run->state && run->rides ? workspace_new(seats * room, seats, &run->workspace)
                                                  : STATUS_NO_MEMORY;
    return status == STATUS_OK ? workspace_fit(run->workspace, network) : status;
}

static void run_close(struct run *run)
{
    workspace_free(run->workspace);
    memory_free(run->state);
    memory_free(run->rides);
    memory_free((void *)run->memory.rows);
    memory_free(run->memory.derived);
}

/* Fill the rides of all seats for `n` steps from step `at` on. */
static void fill_rides(struct run *run, const struct steps *steps, size_t at, size_t n, bool wants_all)
{
    size_t size = network_input_size(run->network), floats = network_state_floats(run->network);
    enum want want = wants_all ? WANT_ALL : at + n == steps->n ? WANT_LAST : WANT_NONE;
    for (size_t i = 0; i < seats_of(steps); i++)
        run->rides[i] = (struct ride){
            .n_steps = n, .tokens = steps->tokens ? steps->tokens + at : NULL,
            .features = steps->features ? steps->features + (i * steps->n + at) * size : NULL,
            .state = run->state + i * floats, .memory = &run->memory,
            .role = steps->roles ? steps->roles[i] : RIDE_TARGET,
            .want = is_target(steps, i) ? want : WANT_NONE, .tap = TAP_OUTPUT};
    run->rides[0].n_group = steps->n_seats;
}

/* Feed the steps in turns as a server does, with rests between; a bidirectional network reads all in one
 * turn, and so do several seats. Compare what comes with the expectation, or keep all of it in `rows` if that
 * is not NULL. */
static enum status feed(struct run *run, const struct steps *steps, float *rows,
                        struct expectation *expectation, struct error *err)
{
    const struct network *network = run->network;
    size_t width = network_output_size(network), seats = seats_of(steps);
    size_t room = workspace_rows(run->workspace) / seats, taken = 0;
    enum status status = STATUS_OK;
    for (size_t at = 0; at < steps->n && status == STATUS_OK; at += taken) {
        taken = steps->n - at < room ? steps->n - at : room;
        fill_rides(run, steps, at, taken, rows || !expectation->last);
        if (!throttle_rest()) return error_set(err, STATUS_CLOSING, "%s", status_text(STATUS_CLOSING));
        network_run(network, run->workspace, run->rides, seats);
        if (rows) memcpy(rows + at * width, run->rides->output, taken * width * sizeof *rows);
        else if (steps->n_seats) status = compare_seats(run->rides, steps, width, expectation, err);
        else status = compare_turn(run->rides, width, expectation, err);
    }
    return status;
}

/* Read the source with the encoder, and let `decoder` begin where that ends. */
static enum status encode(const struct model *model, const struct steps *steps, struct run *decoder)
{
    struct run encoder = {.network = NULL};
    size_t derived = steps->n * network_memory_floats(model->decoder);
    float *rows = memory_new(steps->n, network_output_size(model->network) * sizeof *rows);
    decoder->memory = (struct memory){.rows = rows, .S = steps->n,
                                      .derived = memory_new(derived, sizeof *decoder->memory.derived)};
    enum status status = rows && decoder->memory.derived ? run_open(&encoder, model->network, steps)
                                                         : STATUS_NO_MEMORY;
    if (status == STATUS_OK) status = feed(&encoder, steps, rows, NULL, NULL);
    if (status == STATUS_OK) coder_begin(model, encoder.state, decoder->state);
    run_close(&encoder);
    return status;
}

/* Let the run begin with the state that a case has, if it has one. */
static enum status begin(const struct model *model, const struct json *initial_state, bool several,
                         struct run *run, struct error *err)
{
    if (!initial_state) return STATUS_OK;
    if (several)
        return error_set(err, STATUS_BAD_VALUE, "'%s' has no place beside an input of rows", INITIAL_STATE);
    if (model->decoder)
        return error_set(err, STATUS_BAD_VALUE, "'%s' has no place in task '%s'", INITIAL_STATE,
                         model->task->name);
    return initial_state_read(model->network, initial_state, run->state, err);
}

/* Run the steps, then those of the target if there is a decoder, and compare what comes last. */
static enum status run_steps(const struct model *model, const struct steps *steps, const struct steps *target,
                             const struct json *initial_state, struct expectation *expectation,
                             double tolerance, struct golden_proof *proof, struct error *err)
{
    const struct steps *fed = model->decoder ? target : steps;
    struct run run = {.network = NULL};
    enum status status = run_open(&run, model->decoder ? model->decoder : model->network, fed);
    if (status == STATUS_OK && model->decoder) status = encode(model, steps, &run);
    if (status != STATUS_OK) error_set(err, status, "%s", status_text(status));
    else status = begin(model, initial_state, fed->n_seats > 0, &run, err);
    if (status == STATUS_OK) status = feed(&run, fed, NULL, expectation, err);
    if (status == STATUS_OK) status = judge(model, expectation, tolerance, proof, err);
    run_close(&run);
    return status;
}

/* The rows of "target" of a decoder that reads numbers. */
static enum status read_target_rows(const struct json *array, size_t width, struct steps *out,
                                    struct error *err)
{
    size_t n = 0;
    out->features = memory_new(out->n, width * sizeof *out->features);
    if (!out->features) return error_set(err, STATUS_NO_MEMORY, "no memory");
    for (const struct json *row = json_first(array); row; row = json_next(row)) {
        if (json_kind(row) != JSON_ARRAY || json_count(row) != width)
            return error_set(err, STATUS_BAD_VALUE, "target[%zu] is no row of %zu numbers", n / width, width);
        for (const struct json *v = json_first(row); v; v = json_next(v)) {
            double x = 0;
            enum status status = input_read_number(v, "target", n / width, (double)FLT_MAX, &x, err);
            if (status != STATUS_OK) return status;
            out->features[n++] = (float)x;
        }
    }
    return STATUS_OK;
}

/* The ids or the rows of "target", which a decoder reads. */
static enum status read_target(const struct model *model, const struct json *array, struct steps *out,
                               struct error *err)
{
    size_t V = model->decoder ? network_vocabulary_size(model->decoder) : 0;
    if (!model->decoder && !array) return STATUS_OK;
    if (!model->decoder || !array)
        return error_set(err, STATUS_BAD_VALUE, array ? "'target' has no place in task '%s'"
                                                      : "'target' is missing, task '%s' needs it",
                         model->task->name);
    size_t n = json_count(array), i = 0;
    enum status status = input_check_steps(n, err);
    if (status != STATUS_OK) return status;
    out->n = n;
    if (!V) return read_target_rows(array, network_input_size(model->decoder), out, err);
    out->tokens = memory_new(n, sizeof *out->tokens);
    if (!out->tokens) return error_set(err, STATUS_NO_MEMORY, "no memory");
    for (const struct json *v = json_first(array); v; v = json_next(v), i++) {
        double id = 0;
        status = input_read_number(v, "target", i, (double)INT32_MAX, &id, err);
        if (status != STATUS_OK) return status;
        if (!(id >= 0 && id < (double)V && id == floor(id)))
            return error_set(err, STATUS_BAD_VALUE, "target[%zu] is %g, expected an id below %zu", i, id, V);
        out->tokens[i] = (int32_t)id;
    }
    return STATUS_OK;
}

static enum status check_finite(const struct model *model, const struct steps *steps,
                                struct error *err)
{
    size_t size = network_input_size(model->network);
    for (size_t i = 0; steps->features && i < steps->n * size; i++)
        if (!isfinite(steps->features[i]))
            return error_set(err, STATUS_BAD_VALUE, "feature %zu of step %zu is not finite",
                             i % size, i / size);
    return STATUS_OK;
}

static enum status check_case(const struct model *model, const struct json *value,
                              double tolerance, struct golden_proof *proof, struct error *err)
{
    struct keys keys = {0};
    struct steps steps = {0}, target = {0};
    if (json_kind(value) != JSON_OBJECT)
        return error_set(err, STATUS_BAD_VALUE, "expected an object");
    struct expectation expectation;
    enum status status = json_read(value, case_fields, N_CASE_FIELDS, &keys, err);
    if (status == STATUS_OK) status = model->task->steps(model, keys.input, &steps, err);
    if (status == STATUS_OK) status = check_finite(model, &steps, err);
    if (status == STATUS_OK) status = compare_steps(model, &keys, &steps, err);
    if (status == STATUS_OK) status = read_target(model, keys.target, &target, err);
    if (status == STATUS_OK)
        status = expect(model, &keys, model->decoder ? &target : &steps, &expectation, err);
    if (status == STATUS_OK)
        status = run_steps(model, &steps, &target, keys.initial_state, &expectation, tolerance, proof, err);
    memory_free(target.tokens);
    memory_free(target.features);
    memory_free(steps.tokens);
    memory_free(steps.features);
    memory_free(steps.roles);
    return status;
}

static const struct json *find_member(const struct json *object, const char *name)
{
    for (const struct json *m = json_first(object); m; m = json_next(m))
        if (strcmp(json_key(m), name) == 0) return m;
    return NULL;
}

/* Bound what the cases will cost before the first one runs. Each lists its steps, and one that lists fewer
 * than its input gives is refused before it runs. */
static enum status check_work(const struct model *model, const struct json *cases, struct error *err)
{
    uint64_t steps = 0, bytes = model_bytes(model);
    for (const struct json *v = json_first(cases); v; v = json_next(v)) {
        if (json_kind(v) != JSON_OBJECT) continue;
        const struct json *tokens = find_member(v, "tokens"), *features = find_member(v, "features");
        const struct json *target = find_member(v, "target");
        if (tokens && json_kind(tokens) == JSON_ARRAY) steps += json_count(tokens);
        if (target && json_kind(target) == JSON_ARRAY) steps += json_count(target);
        if (features && json_kind(features) == JSON_ARRAY) steps += json_count(features);
    }
    if (bytes == 0 || steps <= GOLDEN_MAX_WORK / bytes) return STATUS_OK;
    return error_set(err, STATUS_TOO_LONG,
                     "%llu steps of a network of %llu bytes, expected at most %llu steps: keep fewer or "
                     "shorter cases", (unsigned long long)steps, (unsigned long long)bytes,
                     (unsigned long long)(GOLDEN_MAX_WORK / bytes));
}

static enum status check_cases(const struct model *model, const struct json *root,
                               struct golden_proof *proof, size_t *n, struct error *err)
{
    struct document document = {.tolerance = DEFAULT_TOLERANCE};
    size_t i = 0;
    if (json_kind(root) != JSON_OBJECT)
        return error_set(err, STATUS_BAD_FORMAT, "expected an object");
    enum status status = json_read(root, document_fields, N_DOCUMENT_FIELDS, &document, err);
    if (status != STATUS_OK) return status;
    *n = json_count(document.cases);
    if (*n == 0 || *n > GOLDEN_MAX_CASES)
        return error_set(err, STATUS_BAD_VALUE, "%zu cases, expected 1 to %d", *n,
                         (int)GOLDEN_MAX_CASES);
    status = check_work(model, document.cases, err);
    if (status != STATUS_OK) return status;
    *proof = (struct golden_proof){0};
    for (const struct json *v = json_first(document.cases); v; v = json_next(v), i++) {
        status = check_case(model, v, document.tolerance, proof, err);
        if (status == STATUS_OK) continue;
        error_prefix(err, "cases[%zu]", i);
        return status;
    }
    proof->source = (enum golden_source)document.source;
    return STATUS_OK;
}

enum status golden_check(const struct model *model, const char *text, size_t bytes,
                         struct golden_proof *proof, size_t *n, struct error *err)
{
    struct json *root = NULL;
    struct golden_proof found = {0};
    size_t count = 0;
    enum status status = json_parse(text, bytes, &root, err);
    if (status == STATUS_OK) status = check_cases(model, root, &found, &count, err);
    json_free(root);
    if (status != STATUS_OK) {
        error_prefix(err, "golden.json");
        return status;
    }
    *proof = found;
    *n = count;
    return STATUS_OK;
}
