/* From a request to steps, a trace, the chosen units and a gradient. */
#include "models/tasks/explanation.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "core/base/clock.h"
#include "core/base/memory.h"
#include "core/recurrent/trace.h"
#include "models/bundle/input.h"
#include "models/jobs/request.h"
#include "models/forecast/candidates.h"
#include "models/tasks/prediction.h"
#include "models/forecast/patches.h"
#include "models/forecast/series.h"

/* The inputs, and what is to be done with them. */
struct explanation_plan {
    float *features; /* [T, width] of a network without tokens */
    unsigned what;
    size_t *units;   /* [n_units] or NULL */
    size_t n_units;
    double *follow;  /* [T] or NULL */
    size_t step, output;
    const struct trace_gates *has; /* the layer */
};

const char *explanation_value_name(enum explanation_value value)
{
    static const char *const names[N_EXPLAINED] = {"h", "c", "i", "f", "g", "o", "r", "z", "n"};
    return names[value];
}

/* Return true if a value was asked for and the layer has it. */
static bool shows(const struct explanation_plan *plan, enum explanation_value value)
{
    if (!(plan->what & (value <= EXPLAINED_C ? EXPLAIN_CELLS : EXPLAIN_GATES))) return false;
    if (value == EXPLAINED_H) return true;
    if (value == EXPLAINED_C) return plan->has->has_c;
    return strchr(plan->has->names, *explanation_value_name(value)) != NULL;
}

static enum status no_memory(struct error *err)
{
    return error_set(err, STATUS_NO_MEMORY, "no memory for the explanation");
}

/* ---- inputs to steps ---- */

static enum status read_tokens(struct explanation *e, const struct explanation_request *r, struct error *err)
{
    const struct model *model = e->model;
    e->T = input_text_steps(model, r->tokens.n);
    if (!e->T) return error_set_param(err, STATUS_BAD_VALUE, "input",
                                      "input is empty, expected at least one token");
    enum status status = request_check_tokens("input", &r->tokens, network_vocabulary_size(model->network),
                                              err);
    if (status != STATUS_OK) return status;
    e->tokens = memory_new(e->T, sizeof *e->tokens);
    if (!e->tokens) return no_memory(err);
    input_text(model, r->tokens.ids, r->tokens.n, e->tokens);
    return STATUS_OK;
}

static enum status read_features(struct explanation *e, const struct explanation_request *r,
                                 struct error *err)
{
    e->T = r->n_steps;
    if (!e->T) return error_set_param(err, STATUS_BAD_VALUE, "input",
                                      "input is empty, expected at least one step");
    e->_plan->features = memory_new(e->T, e->width * sizeof(float));
    if (!e->_plan->features) return no_memory(err);
    enum status status = input_features(e->model, r->features, e->T, e->_plan->features, err);
    if (status != STATUS_OK) {
        error_prefix(err, "input");
        snprintf(err->param, sizeof err->param, "input");
    }
    return status;
}

/* Make the steps of a forecast that looks one step ahead, as features. */
static void fill_series(const struct explanation *e, const double *values, size_t n, void *scratch)
{
    const struct forecast_spec *spec = forecast_spec_of(e->model);
    struct candidates candidates;
    if (spec->output == OUTPUT_CANDIDATES) {
        candidates_make(values, n, 0, 1, scratch, &candidates);
        candidates_features(&candidates, spec->window, e->_plan->features);
        return;
    }
    struct series_scale scale = series_scale_of(spec, values, n);
    if (spec->output == OUTPUT_PATCHES) patches_features(spec, &scale, values, n, 1, e->_plan->features);
    else series_features(spec, &scale, values, n, scratch, e->_plan->features);
}

static enum status read_series(struct explanation *e, const struct explanation_request *r, struct error *err)
{
    const struct forecast_spec *spec = forecast_spec_of(e->model);
    bool has_candidates = spec->output == OUTPUT_CANDIDATES;
    size_t skipped = series_skipped(spec, r->n_steps), n = r->n_steps - skipped, n_there = 0;
    const double *values = r->series + skipped;
    for (size_t t = 0; t < n; t++)
        if (!isnan(values[t])) n_there++;
    if (!n_there)
        return error_set_param(err, STATUS_BAD_VALUE, "input",
                               "input holds no number: expected at least one");
    struct series_scale scale = series_scale_of(spec, values, n);
    if (!isfinite(scale.mean) || !isfinite(scale.scale))
        return error_set_param(err, STATUS_BAD_VALUE, "input",
                               "input does not fit the model's scale: expected "
                               "numbers that float can hold");
    e->T = has_candidates ? (n < spec->window ? n : spec->window) + 1
           : spec->output == OUTPUT_PATCHES ? patches_read(spec, n) : n;
    void *scratch = memory_new(has_candidates ? candidates_bytes(n, 1) : n * sizeof(double), 1);
    e->_plan->features = memory_new(e->T, e->width * sizeof(float));
    bool there = scratch && e->_plan->features;
    if (there) fill_series(e, values, n, scratch);
    memory_free(scratch);
    return there ? STATUS_OK : no_memory(err);
}

static enum status read_input(struct explanation *e, const struct explanation_request *r, struct error *err)
{
    e->width = network_input_size(e->model->network);
    if (!e->width) {
        e->width = 1;
        return read_tokens(e, r, err);
    }
    return r->series ? read_series(e, r, err) : read_features(e, r, err);
}

/* ---- what is asked ---- */

static enum status check_units(const struct explanation_request *r, size_t H, struct error *err)
{
    for (size_t i = 0; r->units && i < r->n_units; i++) {
        if (r->units[i] >= H)
            return error_set_param(err, STATUS_BAD_VALUE, "units",
                                   "units[%zu] is %zu; the layer has units 0 to %zu",
                                   i, r->units[i], H - 1);
    }
    return STATUS_OK;
}

/* Count the numbers that the answer will hold. */
static size_t n_values(const struct explanation *e, const struct explanation_plan *plan)
{
    size_t kinds = 0;
    for (int v = 0; v < N_EXPLAINED; v++) kinds += shows(plan, (enum explanation_value)v);
    return e->T * (kinds * plan->n_units * e->n_directions + (plan->what & EXPLAIN_GRADIENTS ? e->width : 0));
}

static enum status check_size(const struct explanation *e, const struct explanation_request *r,
                              struct error *err)
{
    size_t units = trace_units(e->model->network);
    if (e->T > r->max_values / units)
        return error_set_param(err, STATUS_TOO_LONG, "input",
                               "input has %zu steps and the model %zu units; expected "
                               "at most %zu of both multiplied (limits.explain_values)", e->T, units,
                                   r->max_values);
    if (n_values(e, e->_plan) > r->max_values)
        return error_set_param(err, STATUS_TOO_LONG, "units",
                               "the answer would hold %zu numbers; expected at most %zu "
                               "(limits.explain_values): ask for fewer units, or for less in 'what'",
                               n_values(e, e->_plan), r->max_values);
    return STATUS_OK;
}

static size_t n_rows(const struct explanation *e)
{
    return network_has_pooling(e->model->network) ? 1 : e->T;
}

/* Return true if one output by sigmoid stands for two labels. */
static bool is_binary(const struct model *model)
{
    return model->n_labels == 2 && network_output_size(model->network) == 1;
}

static enum status check_target(const struct explanation *e, const struct explanation_request *r,
                                struct error *err)
{
    size_t outputs = is_binary(e->model) ? 2 : network_output_size(e->model->network);
    if (r->step != EXPLAIN_DEFAULT && r->step >= e->T)
        return error_set_param(err, STATUS_BAD_VALUE, "target.step",
                               "target.step is %zu; the input has steps 0 to "
                               "%zu", r->step, e->T - 1);
    if (r->step != EXPLAIN_DEFAULT && n_rows(e) == 1 && r->step != e->T - 1)
        return error_set_param(err, STATUS_BAD_VALUE, "target.step",
                               "target.step is %zu; this model has an output "
                               "after the last step only, which is %zu", r->step, e->T - 1);
    if (r->output != EXPLAIN_DEFAULT && r->output >= outputs)
        return error_set_param(err, STATUS_BAD_VALUE, "target.output",
                               "target.output is %zu; the model has outputs 0 "
                               "to %zu", r->output, outputs - 1);
    return STATUS_OK;
}

static enum status copy_plan(struct explanation *e, const struct explanation_request *r, size_t H,
                             struct error *err)
{
    struct explanation_plan *plan = e->_plan;
    plan->what = e->what = r->what;
    plan->step = r->step;
    plan->output = r->output;
    plan->n_units = r->n_units < H ? r->n_units : H;
    if (r->follow && r->n_follow != e->T)
        return error_set_param(err, STATUS_BAD_VALUE, "follow",
                               "follow has %zu numbers; the input has %zu steps",
                               r->n_follow, e->T);
    if (r->units) plan->units = memory_new(plan->n_units, sizeof *plan->units);
    if (r->follow) plan->follow = memory_new(e->T, sizeof *plan->follow);
    if ((r->units && !plan->units) || (r->follow && !plan->follow)) return no_memory(err);
    if (r->units) memcpy(plan->units, r->units, plan->n_units * sizeof *plan->units);
    if (r->follow) memcpy(plan->follow, r->follow, e->T * sizeof *plan->follow);
    return STATUS_OK;
}

static enum status prepare(struct explanation *e, const struct explanation_request *r, struct error *err)
{
    const struct model *model = e->model;
    e->n_layers = trace_layers(model->network);
    if (!e->n_layers)
        return error_set_param(err, STATUS_UNSUPPORTED, "model",
                               "model '%s' has no layer of type lstm, gru or rnn to look into", model->name);
    if (!network_is_chain(model->network))
        return error_set_param(err, STATUS_UNSUPPORTED, "model",
                               "model '%s' has layers that name their inputs; "
                               "only a chain of layers can be explained", model->name);
    const struct layer *unknown = trace_unknown(model->network);
    if (unknown)
        return error_set_param(err, STATUS_UNSUPPORTED, "model",
                               "model '%s' has a layer of type %s, or of a form, "
                               "that cannot be explained", model->name, unknown->type->name);
    e->layer = r->layer == EXPLAIN_DEFAULT ? e->n_layers - 1 : r->layer;
    if (e->layer >= e->n_layers)
        return error_set_param(err, STATUS_BAD_VALUE, "layer",
                               "layer is %zu; the model has recurrent layers 0 to %zu",
                               e->layer, e->n_layers - 1);
    size_t H = trace_layer(model->network, e->layer, &e->n_directions, &e->_plan->has);
    enum status status = check_units(r, H, err);
    if (status == STATUS_OK) status = read_input(e, r, err);
    if (status == STATUS_OK) status = copy_plan(e, r, H, err);
    if (status == STATUS_OK) status = check_size(e, r, err);
    return status == STATUS_OK ? check_target(e, r, err) : status;
}

enum status explanation_new(struct model *model, const struct explanation_request *request,
                            struct explanation **out, struct error *err)
{
    struct explanation *e = memory_new(1, sizeof *e);
    if (!e) return no_memory(err);
    e->model = model_acquire(model);
    e->_plan = memory_new(1, sizeof *e->_plan);
    enum status status = e->_plan ? prepare(e, request, err) : no_memory(err);
    if (status == STATUS_OK) *out = e;
    else explanation_free(e);
    return status;
}

static void cell_free(struct explanation_cell *cell)
{
    memory_free(cell->units);
    memory_free(cell->half_life);
    memory_free(cell->correlation);
    for (int v = 0; v < N_EXPLAINED; v++) memory_free(cell->values[v]);
}

void explanation_free(struct explanation *e)
{
    if (!e) return;
    if (e->_plan) {
        memory_free(e->_plan->features);
        memory_free(e->_plan->units);
        memory_free(e->_plan->follow);
    }
    memory_free(e->_plan);
    cell_free(&e->cells[0]);
    cell_free(&e->cells[1]);
    memory_free(e->tokens);
    memory_free(e->gradients);
    model_drop(e->model);
    memory_free(e);
}

/* ---- which units ---- */

/* What a unit shows at a step, from -1 to 1 unless relu makes it: tanh(c), or h of a layer without c. */
static double signal_of(const struct trace_cell *cell, size_t t, size_t unit)
{
    return cell->c ? tanh((double)cell->c[t * cell->H + unit]) : (double)cell->h[t * cell->h_stride + unit];
}

/* Measure how much a unit moves: the variance of its signal over the steps. */
static double activity(const struct trace_cell *cell, size_t T, size_t unit)
{
    double sum = 0, squares = 0;
    for (size_t t = 0; t < T; t++) {
        double x = signal_of(cell, t, unit);
        sum += x;
        squares += x * x;
    }
    return squares / (double)T - sum / (double)T * (sum / (double)T);
}

/* Compute Pearson's correlation of a unit with a signal; 0 if either does not move. */
static double correlation(const struct trace_cell *cell, size_t T, size_t unit, const double *follow)
{
    double n = (double)T, x = 0, y = 0, xx = 0, yy = 0, xy = 0;
    for (size_t t = 0; t < T; t++) {
        double a = signal_of(cell, t, unit), b = follow[t];
        x += a;
        y += b;
        xx += a * a;
        yy += b * b;
        xy += a * b;
    }
    double spread = (xx - x * x / n) * (yy - y * y / n);
    return spread > 1e-12 ? (xy - x * y / n) / sqrt(spread) : 0;
}

/* Write the n units with the greatest marks to `units`, best first; equal ones in their order. */
static void choose(const double *marks, size_t H, size_t n, int32_t *units)
{
    size_t found = 0;
    for (size_t u = 0; u < H; u++) {
        size_t at = found;
        while (at > 0 && marks[u] > marks[units[at - 1]]) at--;
        if (at == n) continue;
        if (found < n) found++;
        memmove(units + at + 1, units + at, (found - 1 - at) * sizeof *units);
        units[at] = (int32_t)u;
    }
}

static enum status choose_units(const struct explanation_plan *plan, const struct trace_cell *source,
                                size_t T,
                                struct explanation_cell *cell)
{
    double *marks = memory_new(source->H, sizeof *marks);
    cell->units = memory_new(plan->n_units, sizeof *cell->units);
    if (!marks || !cell->units) {
        memory_free(marks);
        return STATUS_NO_MEMORY;
    }
    cell->n_units = plan->n_units;
    for (size_t u = 0; u < source->H; u++)
        marks[u] = plan->follow ? fabs(correlation(source, T, u, plan->follow)) : activity(source, T, u);
    for (size_t i = 0; plan->units && i < plan->n_units; i++) cell->units[i] = (int32_t)plan->units[i];
    if (!plan->units) choose(marks, source->H, plan->n_units, cell->units);
    memory_free(marks);
    return STATUS_OK;
}

/* ---- what they did ---- */

/* `gate` is one of has->names. */
static float gate_of(const struct trace_cell *source, char gate, size_t t, size_t unit)
{
    size_t place = (size_t)(strchr(source->has->names, gate) - source->has->names);
    return source->gates[t * source->gates_stride + place * source->H + unit];
}

static float value_of(const struct trace_cell *source, enum explanation_value value, size_t t, size_t unit)
{
    if (value >= EXPLAINED_I) return gate_of(source, *explanation_value_name(value), t, unit);
    if (value == EXPLAINED_C) return source->c[t * source->H + unit];
    if (!source->c) return source->h[t * source->h_stride + unit];
    return gate_of(source, 'o', t, unit) * tanhf(source->c[t * source->H + unit]);
}

/* Count the steps until f^n is 1/2, for the geometric mean of the gate that keeps. */
static float half_life(const struct trace_cell *source, size_t T, size_t unit)
{
    double sum = 0;
    for (size_t t = 0; t < T; t++)
        sum += log(fmax((double)gate_of(source, source->has->keeper, t, unit), 1e-30));
    return sum < 0 ? (float)(log(0.5) * (double)T / sum) : INFINITY;
}

static enum status fill_cell(const struct explanation_plan *plan, const struct trace_cell *source, size_t T,
                             struct explanation_cell *cell)
{
    enum status status = choose_units(plan, source, T, cell);
    if (status != STATUS_OK) return status;
    size_t n = cell->n_units;
    bool keeps = plan->has->keeper;
    if (keeps) cell->half_life = memory_new(n, sizeof(float));
    if (plan->follow) cell->correlation = memory_new(n, sizeof(float));
    if ((keeps && !cell->half_life) || (plan->follow && !cell->correlation)) return STATUS_NO_MEMORY;
    for (size_t i = 0; i < n; i++) {
        if (keeps) cell->half_life[i] = half_life(source, T, (size_t)cell->units[i]);
        if (plan->follow) cell->correlation[i] = (float)correlation(source, T, (size_t)cell->units[i],
                                                                    plan->follow);
    }
    for (int v = 0; v < N_EXPLAINED; v++) {
        if (!shows(plan, (enum explanation_value)v)) continue;
        float *to = cell->values[v] = memory_new(n * T, sizeof *to);
        if (!to) return STATUS_NO_MEMORY;
        for (size_t i = 0; i < n; i++)
            for (size_t t = 0; t < T; t++) *to++ = value_of(source, (enum explanation_value)v, t,
                                                            (size_t)cell->units[i]);
    }
    return STATUS_OK;
}

/* ---- the target ---- */

/* Write the softmax of z [n] to p [n]; return the index of the largest. */
static size_t softmax(const float *z, size_t n, double *p)
{
    size_t best = 0;
    double sum = 0;
    for (size_t i = 1; i < n; i++)
        if (z[i] > z[best]) best = i;
    for (size_t i = 0; i < n; i++) sum += p[i] = exp((double)z[i] - (double)z[best]);
    for (size_t i = 0; i < n; i++) p[i] /= sum;
    return best;
}

/* Count the last outputs, which are of the whole text: softmax is of them alone, and of the others alone. */
static size_t n_intents(const struct model *model)
{
    return task_can(model->task, ABILITY_TAG) ? prediction_spec_of(model)->n_intents : 0;
}

/* Aim at softmax's output k, as a score or as a log-probability: its value, and its gradient by z [n]. */
static void aim_softmax(struct explanation *e, bool as_logarithm, const float *z, size_t n, double *p,
                        float *d)
{
    size_t asked = e->_plan->output, others = n - n_intents(e->model);
    size_t first = asked != EXPLAIN_DEFAULT && asked >= others ? others : 0;
    size_t size = first ? n - others : others, best = first + softmax(z + first, size, p + first);
    size_t k = e->output = asked == EXPLAIN_DEFAULT ? best : asked;
    double factor = as_logarithm ? 1 : p[k];
    e->value = as_logarithm ? log(fmax(p[k], 1e-300)) : p[k];
    for (size_t i = first; i < first + size; i++) d[i] = (float)(factor * ((i == k) - p[i]));
}

static size_t largest(const float *z, size_t n)
{
    size_t best = 0;
    for (size_t i = 1; i < n; i++)
        if (z[i] > z[best]) best = i;
    return best;
}

/* Aim at a label's score by the logistic function. */
static void aim_sigmoid(struct explanation *e, const float *z, size_t n, float *d)
{
    bool binary = is_binary(e->model);
    size_t best = binary ? z[0] > 0 : largest(z, n);
    size_t k = e->output = e->_plan->output == EXPLAIN_DEFAULT ? best : e->_plan->output;
    double x = binary ? (k ? (double)z[0] : -(double)z[0]) : (double)z[k], p = 1 / (1 + exp(-x));
    e->value = p;
    d[binary ? 0 : k] = (float)(binary && !k ? -p * (1 - p) : p * (1 - p));
}

/* Find the target in the network's outputs z of the chosen step, and its gradient by them, d [outputs]. */
static enum status aim(struct explanation *e, const float *z, float *d)
{
    const struct model *model = e->model;
    size_t n = network_output_size(model->network);
    double *p = memory_new(n, sizeof *p);
    if (!p) return STATUS_NO_MEMORY;
    if (task_can(model->task, ABILITY_COMPLETE)) aim_softmax(e, true, z, n, p, d);
    else if (model->n_labels && model->activation == ACTIVATION_SIGMOID) aim_sigmoid(e, z, n, d);
    else if (model->n_labels && model->activation == ACTIVATION_SOFTMAX) aim_softmax(e, false, z, n, p, d);
    else {
        e->output = e->_plan->output == EXPLAIN_DEFAULT ? 0 : e->_plan->output;
        e->value = (double)z[e->output];
        d[e->output] = 1;
    }
    memory_free(p);
    return STATUS_OK;
}

static enum status find_gradients(struct explanation *e, const struct trace *trace)
{
    size_t rows, n = network_output_size(e->model->network);
    const float *outputs = trace_output(trace, &rows);
    float *d = memory_new(n, sizeof *d);
    e->gradients = memory_new(e->T, e->width * sizeof *e->gradients);
    enum status status = d && e->gradients ? STATUS_OK : STATUS_NO_MEMORY;
    e->step = e->_plan->step == EXPLAIN_DEFAULT ? e->T - 1 : e->_plan->step;
    size_t row = rows == 1 ? 0 : e->step;
    if (status == STATUS_OK) status = aim(e, outputs + row * n, d);
    if (status == STATUS_OK) status = trace_backward(trace, row, d, e->gradients);
    memory_free(d);
    return status;
}

enum status explanation_run(struct explanation *e, bool (*stop)(void *context), void *context)
{
    const struct explanation_plan *plan = e->_plan;
    const struct trace_input input = {.T = e->T, .tokens = e->tokens, .features = plan->features,
                                      .stop = stop,
                                      .context = context};
    int64_t began_us = clock_us();
    struct trace *trace = NULL;
    struct trace_cell source;
    enum status status = trace_new(e->model->network, &input, &trace);
    for (size_t d = 0; status == STATUS_OK && d < e->n_directions; d++)
        if (trace_cell(trace, e->layer, d, &source)) status = fill_cell(plan, &source, e->T, &e->cells[d]);
    if (status == STATUS_OK && plan->what & EXPLAIN_GRADIENTS) status = find_gradients(e, trace);
    trace_free(trace);
    e->compute_ms = (double)(clock_us() - began_us) / 1000;
    return status;
}
