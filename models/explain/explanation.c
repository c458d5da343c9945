/* From a request to traces, the chosen units and a gradient. */
#include "models/explain/explanation.h"

#include <string.h>

#include "core/base/clock.h"
#include "core/base/memory.h"
#include "models/bundle/coder.h"
#include "models/explain/plan.h"

static enum status no_memory(struct error *err)
{
    return error_set(err, STATUS_NO_MEMORY, "no memory for the explanation");
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
    for (int v = 0; v < N_EXPLAINED; v++) kinds += plan_shows(plan, (enum explanation_value)v);
    size_t gradients = plan->what & EXPLAIN_GRADIENTS ? e->T * e->width : 0;
    return plan->cell_T * kinds * plan->n_units * e->n_directions + gradients;
}

static enum status check_size(const struct explanation *e, const struct explanation_request *r,
                              struct error *err)
{
    const struct model *model = e->model;
    const struct network *const networks[] = {model->network, model->decoder};
    const size_t steps[] = {e->T, e->n_written};
    size_t left = r->max_values;
    for (size_t i = 0; i < 2 && networks[i]; i++) {
        size_t units = trace_units(networks[i]);
        if (units && steps[i] > left / units)
            return error_set_param(err, STATUS_TOO_LONG, i ? "output" : "input",
                                   "%s has %zu steps and the network that reads it %zu units; expected at "
                                   "most %zu of both multiplied, in all (limits.explain_values)",
                                   i ? "output" : "input", steps[i], units, r->max_values);
        left -= units * steps[i];
    }
    if (n_values(e, e->_plan) > r->max_values)
        return error_set_param(err, STATUS_TOO_LONG, "units",
                               "the answer would hold %zu numbers; expected at most %zu "
                               "(limits.explain_values): ask for fewer units, or for less in 'what'",
                               n_values(e, e->_plan), r->max_values);
    return STATUS_OK;
}

/* Count the steps that a target may name, and the outputs that there are of them. */
static size_t n_steps(const struct explanation *e)
{
    return e->model->decoder ? e->n_written : e->T;
}

static size_t n_rows(const struct explanation *e)
{
    return !e->model->decoder && network_has_pooling(e->model->network) ? 1 : n_steps(e);
}

static enum status check_target(const struct explanation *e, const struct explanation_request *r,
                                struct error *err)
{
    size_t outputs = explanation_targets(e->model), steps = n_steps(e);
    if (r->step != EXPLAIN_DEFAULT && r->step >= steps)
        return error_set_param(err, STATUS_BAD_VALUE, "target.step",
                               "target.step is %zu; the %s has steps 0 to %zu", r->step,
                               e->model->decoder ? "output" : "input", steps - 1);
    if (r->step != EXPLAIN_DEFAULT && n_rows(e) == 1 && r->step != steps - 1)
        return error_set_param(err, STATUS_BAD_VALUE, "target.step",
                               "target.step is %zu; this model has an output after the last step only, which "
                               "is %zu", r->step, steps - 1);
    if (r->output != EXPLAIN_DEFAULT && r->output >= outputs)
        return error_set_param(err, STATUS_BAD_VALUE, "target.output",
                               "target.output is %zu; the model has outputs 0 to %zu", r->output,
                               outputs - 1);
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
    if (r->follow && r->n_follow != plan->cell_T)
        return error_set_param(err, STATUS_BAD_VALUE, "follow",
                               "follow has %zu numbers; the layer has %zu steps",
                               r->n_follow, plan->cell_T);
    if (r->units) plan->units = memory_new(plan->n_units, sizeof *plan->units);
    if (r->follow) plan->follow = memory_new(plan->cell_T, sizeof *plan->follow);
    if ((r->units && !plan->units) || (r->follow && !plan->follow)) return no_memory(err);
    if (r->units) memcpy(plan->units, r->units, plan->n_units * sizeof *plan->units);
    if (r->follow) memcpy(plan->follow, r->follow, plan->cell_T * sizeof *plan->follow);
    return STATUS_OK;
}

static bool begins_with_state(const struct model *model)
{
    return model->decoder && ((const struct coder_spec *)model->spec)->initial_state == INITIAL_ENCODER;
}

/* Refuse what the slow path does not know. */
static enum status check_model(const struct model *model, struct error *err)
{
    const struct layer *unknown = trace_unknown(model->network);
    if (!unknown && model->decoder) unknown = trace_unknown(model->decoder);
    if (unknown)
        return error_set_param(err, STATUS_UNSUPPORTED, "model",
                               "model '%s' has a layer of type %s, which cannot be explained", model->name,
                               unknown->type->name);
    const struct layer *fixed = begins_with_state(model) ? trace_fixed(model->decoder) : NULL;
    if (fixed)
        return error_set_param(err, STATUS_UNSUPPORTED, "model",
                               "model '%s' has a decoder that begins with the encoder's state, and in it a "
                               "layer of type %s, which cannot be explained", model->name, fixed->type->name);
    return STATUS_OK;
}

/* Find the layer to look into, those of the decoder behind those of the encoder. Returns its units. */
static size_t find_layer(struct explanation *e, const struct explanation_request *r)
{
    const struct model *model = e->model;
    struct explanation_plan *plan = e->_plan;
    struct trace_cell cell = {0};
    size_t before = trace_layers(model->network);
    e->layer = r->layer == EXPLAIN_DEFAULT ? e->n_layers - 1 : r->layer;
    plan->in_decoder = e->in_decoder = e->layer >= before;
    plan->place = e->layer - (plan->in_decoder ? before : 0);
    trace_cell_of(plan->in_decoder ? model->decoder : model->network, plan->place, 0, &cell);
    e->n_directions = cell.n_directions;
    plan->has = cell.has;
    return cell.H;
}

static enum status prepare(struct explanation *e, const struct explanation_request *r, struct error *err)
{
    const struct model *model = e->model;
    enum status status = check_model(model, err);
    if (status != STATUS_OK) return status;
    e->n_layers = trace_layers(model->network) + (model->decoder ? trace_layers(model->decoder) : 0);
    if (!e->n_layers)
        return error_set_param(err, STATUS_UNSUPPORTED, "model",
                               "model '%s' has no recurrent layer to look into", model->name);
    if (r->layer != EXPLAIN_DEFAULT && r->layer >= e->n_layers)
        return error_set_param(err, STATUS_BAD_VALUE, "layer",
                               "layer is %zu; the model has recurrent layers 0 to %zu", r->layer,
                               e->n_layers - 1);
    size_t H = find_layer(e, r);
    status = check_units(r, H, err);
    if (status == STATUS_OK) status = explanation_read(e, r, err);
    e->_plan->cell_T = e->_plan->in_decoder ? e->n_written : e->T;
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
        memory_free(e->_plan->read);
        memory_free(e->_plan->units);
        memory_free(e->_plan->follow);
    }
    memory_free(e->_plan);
    cell_free(&e->cells[0]);
    cell_free(&e->cells[1]);
    memory_free(e->tokens);
    memory_free(e->written);
    memory_free(e->origin);
    memory_free(e->gradients);
    model_drop(e->model);
    memory_free(e);
}

/* ---- running ---- */

/* The traces of one run. */
struct traces {
    struct trace *first, *decoder; /* owned; the second NULL without a decoder */
    float *state;                  /* owned: in which the decoder begins; NULL: zero */
};

/* The state in which a decoder goes on from the encoder. */
static enum status carry_state(const struct model *model, struct traces *traces)
{
    float *last = memory_new(network_state_floats(model->network), sizeof *last);
    traces->state = memory_new(network_state_floats(model->decoder), sizeof *traces->state);
    bool there = last && traces->state;
    if (there) {
        trace_state(traces->first, last);
        coder_begin(model, last, traces->state);
    }
    memory_free(last);
    return there ? STATUS_OK : STATUS_NO_MEMORY;
}

static enum status trace_all(const struct explanation *e, const struct trace_input *input, struct traces *out)
{
    enum status status = trace_new(e->model->network, input, &out->first);
    if (status != STATUS_OK || !e->model->decoder) return status;
    struct trace_input second = {.T = e->n_written, .tokens = e->_plan->read, .stop = input->stop,
                                 .context = input->context};
    if (begins_with_state(e->model)) status = carry_state(e->model, out);
    if (status != STATUS_OK) return status;
    second.state = out->state;
    second.memory = trace_output(out->first, &second.S);
    return trace_new(e->model->decoder, &second, &out->decoder);
}

/* The gradients between a decoder and its encoder, owned. */
struct between {
    float *by_memory, *by_read;
    float *by_begin, *by_end; /* by the decoder's first state, and the encoder's last */
};

static bool between_new(const struct explanation *e, size_t S, struct between *out)
{
    const struct model *model = e->model;
    *out = (struct between){
        .by_memory = memory_new(S, network_output_size(model->network) * sizeof(float)),
        .by_read = memory_new(e->n_written, sizeof(float)),
        .by_begin = memory_new(network_state_floats(model->decoder), sizeof(float)),
        .by_end = memory_new(network_state_floats(model->network), sizeof(float)),
    };
    return out->by_memory && out->by_read && out->by_begin && out->by_end;
}

static void between_free(struct between *between)
{
    memory_free(between->by_memory);
    memory_free(between->by_read);
    memory_free(between->by_begin);
    memory_free(between->by_end);
}

/* Go back from the gradient by the last network's outputs to the input: through the decoder, what it attends
 * to, which is what the encoder gave, and the state in which it begins. */
static enum status go_back(struct explanation *e, const struct traces *traces, const float *d_outputs)
{
    struct trace_way first = {.d_outputs = d_outputs, .d_input = e->gradients};
    if (!traces->decoder) return trace_backward_all(traces->first, &first);
    struct between between;
    size_t S;
    trace_output(traces->first, &S);
    enum status status = between_new(e, S, &between) ? STATUS_OK : STATUS_NO_MEMORY;
    const struct trace_way second = {.d_outputs = d_outputs, .d_input = between.by_read,
                                     .d_memory = between.by_memory, .d_begin = between.by_begin};
    first.d_outputs = between.by_memory;
    if (status == STATUS_OK) status = trace_backward_all(traces->decoder, &second);
    if (status == STATUS_OK && traces->state) {
        coder_back(e->model, between.by_begin, between.by_end);
        first.d_end = between.by_end;
    }
    if (status == STATUS_OK) status = trace_backward_all(traces->first, &first);
    between_free(&between);
    return status;
}

static enum status find_gradients(struct explanation *e, const struct traces *traces)
{
    const struct network *last = traces->decoder ? e->model->decoder : e->model->network;
    size_t rows, n = network_output_size(last);
    const float *outputs = trace_output(traces->decoder ? traces->decoder : traces->first, &rows);
    float *d = memory_new(rows, n * sizeof *d);
    e->gradients = memory_new(e->T, e->width * sizeof *e->gradients);
    enum status status = d && e->gradients ? explanation_choose_step(e, outputs, rows) : STATUS_NO_MEMORY;
    size_t row = rows == 1 ? 0 : e->step;
    if (status == STATUS_OK) status = explanation_aim(e, outputs + row * n, d + row * n);
    if (status == STATUS_OK) status = go_back(e, traces, d);
    memory_free(d);
    return status;
}

enum status explanation_run(struct explanation *e, bool (*stop)(void *context), void *context)
{
    const struct explanation_plan *plan = e->_plan;
    const struct trace_input input = {.T = e->T, .tokens = e->tokens, .features = plan->features,
                                      .stop = stop, .context = context};
    int64_t began_us = clock_us();
    struct traces traces = {NULL, NULL, NULL};
    struct trace_cell source;
    enum status status = trace_all(e, &input, &traces);
    const struct trace *shown = plan->in_decoder ? traces.decoder : traces.first;
    for (size_t d = 0; status == STATUS_OK && d < e->n_directions; d++)
        if (trace_cell(shown, plan->place, d, &source))
            status = explanation_fill(plan, &source, &e->cells[d]);
    if (status == STATUS_OK && plan->what & EXPLAIN_GRADIENTS) status = find_gradients(e, &traces);
    trace_free(traces.first);
    trace_free(traces.decoder);
    memory_free(traces.state);
    e->compute_ms = (double)(clock_us() - began_us) / 1000;
    return status;
}
