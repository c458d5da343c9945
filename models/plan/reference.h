/* reference: a second, plain implementation of every layer that import makes, in double, on the source's own
 * tensors in the source's own order. A bundle's golden vectors come from here if the source brings none: they
 * prove that tensors were converted rightly, and not that the model means what its author meant. One thread.
 */
#ifndef CAROUSEL_MODELS_IMPORT_REFERENCE_H
#define CAROUSEL_MODELS_IMPORT_REFERENCE_H

#include "models/plan/plan.h"

struct reference;

/* Decode all tensors of the plan, which must outlive the result, into its pool. If a layer has no second
 * implementation, err->param is "golden". */
MUST_CHECK enum status reference_new(const struct plan *plan, struct reference **out, struct error *err);

/* What the network gives: a row for each step, or one if it pools. */
struct outputs {
    const double *values; /* [n, width] borrowed from the pool */
    size_t n, width;
};

/* Run n steps: ids, or rows of plan->parts[0].in numbers; the other is NULL. */
MUST_CHECK enum status reference_run(const struct reference *reference, const int32_t *ids,
                                     const double *rows, size_t n, struct outputs *out, struct error *err);
/* Let an encoder read ids[0..n) and its decoder target[0..n_target): a row for each step of the target. */
MUST_CHECK enum status reference_translate(const struct reference *reference, const int32_t *ids, size_t n,
                                           const int32_t *target, size_t n_target, struct outputs *out,
                                           struct error *err);

#endif
