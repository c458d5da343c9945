/* plan: what an explanation is about to do, and the steps of doing it. Private to this folder. */
#ifndef CAROUSEL_MODELS_EXPLAIN_PLAN_H
#define CAROUSEL_MODELS_EXPLAIN_PLAN_H

#include "core/recurrent/trace.h"
#include "models/explain/explanation.h"

/* The inputs, and what is to be done with them. */
struct explanation_plan {
    float *features;  /* [T, width] of a network without tokens */
    int32_t *read;    /* [cell_T] what a decoder reads: bos, and the tokens that were written; or NULL */
    bool in_decoder;  /* the layer to look into */
    size_t place;     /* of the layer in its network */
    size_t cell_T;    /* steps of that network */
    unsigned what;
    size_t *units;    /* [n_units] or NULL */
    size_t n_units;
    double *follow;   /* [cell_T] or NULL */
    size_t step, output;
    const struct trace_gates *has; /* of the layer */
};

/* Return true if a value was asked for and the layer has it. */
bool plan_shows(const struct explanation_plan *plan, enum explanation_value value);

/* Fill the steps of e from a request: T, width, and tokens or features; of a model with a decoder what that
 * reads. STATUS_BAD_VALUE, STATUS_NO_MEMORY. */
enum status explanation_read(struct explanation *e, const struct explanation_request *r,
                             struct error *err) MUST_CHECK;

/* Choose the units of one direction and copy what they did: e->cells[d]. STATUS_NO_MEMORY. */
enum status explanation_fill(const struct explanation_plan *plan, const struct trace_cell *source,
                             struct explanation_cell *cell) MUST_CHECK;

/* Count the outputs that a target may name. */
size_t explanation_targets(const struct model *model);
/* Whether one output by sigmoid stands for two labels. */
bool explanation_is_binary(const struct model *model);
/* Choose the step of the target, among `rows` rows of outputs: e->step; and its output if the step says it.
 * STATUS_NO_MEMORY. */
enum status explanation_choose_step(struct explanation *e, const float *outputs, size_t rows) MUST_CHECK;
/* Find the target in the network's outputs z of that step: e->output and e->value; and its gradient by them,
 * d [outputs], zeros before. STATUS_NO_MEMORY. */
enum status explanation_aim(struct explanation *e, const float *z, float *d) MUST_CHECK;

#endif
