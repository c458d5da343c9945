/* reference_rows: what flows between the layers of the reference; for reference*.c. */
#ifndef CAROUSEL_MODELS_PLAN_REFERENCE_ROWS_H
#define CAROUSEL_MODELS_PLAN_REFERENCE_ROWS_H

#include "models/plan/plan.h"

/* [n, width] of what flows between layers. */
struct rows {
    double *values;
    size_t n, width;
    const double *final; /* h of each direction after its last step, if a recurrent layer gave the rows */
};

/* An activation by the name of its layer type; NULL. */
double (*reference_function(const char *name))(double x);

/* Turn scores[n] into shares of one. */
void reference_softmax(double *scores, size_t n);

/* A layer that plan_other has added, over its sources; `steps` is what its network reads, `memory` what it
 * attends to, or NULL. *out may hold what an earlier call gave. */
MUST_CHECK enum status reference_other(const struct plan *plan, const struct part *part,
                                       const struct rows *sources, size_t n_sources, size_t steps,
                                       const struct rows *memory, struct rows *out, struct error *err);
/* Refuse a layer that reference_other does not know. */
MUST_CHECK enum status reference_knows(const struct part *part, struct error *err);

#endif
