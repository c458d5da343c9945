/* Which output is explained, and how it follows from the network's numbers. */
#include <math.h>
#include <string.h>

#include "core/base/memory.h"
#include "models/explain/plan.h"
#include "models/tasks/prediction.h"
#include "models/tasks/transcription.h"

enum explanation_target explanation_target_of(const struct model *model)
{
    bool writes_tokens = task_can(model->task, ABILITY_COMPLETE) || task_can(model->task, ABILITY_COMPOSE);
    if (writes_tokens || model->decoder) return TARGET_TOKEN;
    bool draws = task_can(model->task, ABILITY_DRAW); /* its labels are what it is asked for */
    return model->n_labels && !draws ? TARGET_LABEL : TARGET_OUTPUT;
}

bool explanation_is_binary(const struct model *model)
{
    return model->n_labels == 2 && network_output_size(model->network) == 1;
}

size_t explanation_targets(const struct model *model)
{
    if (model->decoder) return network_output_size(model->decoder);
    return explanation_target_of(model) == TARGET_LABEL ? model->n_labels
                                                        : network_output_size(model->network);
}

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

/* Of a transcription model: the label whose score counts at a step. The blank does not, unless asked for. */
static size_t heard(const struct explanation *e, const float *z, double *p)
{
    size_t n = e->model->n_labels, blank = (size_t)transcription_spec_of(e->model)->blank;
    size_t best = blank ? 0 : 1;
    softmax(z, n, p);
    if (e->_plan->output != EXPLAIN_DEFAULT) return e->_plan->output;
    for (size_t i = 0; i < n; i++)
        if (i != blank && p[i] > p[best]) best = i;
    return best;
}

/* Find the spike of the label that is asked for, or the highest of all: its step and its label. */
static enum status find_spike(struct explanation *e, const float *outputs, size_t rows)
{
    size_t n = e->model->n_labels, first = 0, label = 0;
    double *p = memory_new(n, sizeof *p), highest = -1;
    if (!p) return STATUS_NO_MEMORY;
    if (e->_plan->step != EXPLAIN_DEFAULT) {
        first = e->_plan->step;
        rows = first + 1;
    }
    for (size_t t = first; t < rows; t++) {
        size_t i = heard(e, outputs + t * n, p);
        if (p[i] <= highest) continue;
        highest = p[i];
        e->step = t;
        label = i;
    }
    e->_plan->output = label;
    memory_free(p);
    return STATUS_OK;
}

enum status explanation_choose_step(struct explanation *e, const float *outputs, size_t rows)
{
    struct explanation_plan *plan = e->_plan;
    size_t steps = e->model->decoder ? e->n_written : e->T;
    e->step = plan->step == EXPLAIN_DEFAULT ? steps - 1 : plan->step;
    if (task_can(e->model->task, ABILITY_TRANSCRIBE)) return find_spike(e, outputs, rows);
    if (!e->model->decoder) return STATUS_OK;
    /* The last token, not the end of the text. */
    bool ends = e->written[steps - 1] == tokenizer_eos(e->model->target);
    if (plan->step == EXPLAIN_DEFAULT && ends && steps > 1) e->step--;
    if (plan->output == EXPLAIN_DEFAULT) plan->output = (size_t)e->written[e->step];
    return STATUS_OK;
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
    bool binary = explanation_is_binary(e->model);
    size_t best = binary ? z[0] > 0 : largest(z, n);
    size_t k = e->output = e->_plan->output == EXPLAIN_DEFAULT ? best : e->_plan->output;
    double x = binary ? (k ? (double)z[0] : -(double)z[0]) : (double)z[k], p = 1 / (1 + exp(-x));
    e->value = p;
    d[binary ? 0 : k] = (float)(binary && !k ? -p * (1 - p) : p * (1 - p));
}

/* Find the target in the network's outputs z of the chosen step, and its gradient by them, d [outputs]. */
enum status explanation_aim(struct explanation *e, const float *z, float *d)
{
    const struct model *model = e->model;
    enum explanation_target kind = explanation_target_of(model);
    size_t n = explanation_is_binary(model) ? 1 : explanation_targets(model);
    double *p = memory_new(n, sizeof *p);
    if (!p) return STATUS_NO_MEMORY;
    if (kind == TARGET_TOKEN) aim_softmax(e, true, z, n, p, d);
    else if (kind == TARGET_LABEL && model->activation == ACTIVATION_SIGMOID) aim_sigmoid(e, z, n, d);
    else if (kind == TARGET_LABEL && model->activation == ACTIVATION_SOFTMAX)
        aim_softmax(e, false, z, n, p, d);
    else {
        e->output = e->_plan->output == EXPLAIN_DEFAULT ? 0 : e->_plan->output;
        e->value = (double)z[e->output];
        d[e->output] = 1;
    }
    memory_free(p);
    return STATUS_OK;
}
