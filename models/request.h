/* request: the checks of a request that several tasks share. Each failure is one sentence and names
 * the request's field. Private to the files of models/ that implement a task. Pure; any thread. */
#ifndef CAROUSEL_MODELS_REQUEST_H
#define CAROUSEL_MODELS_REQUEST_H

#include "models/generation.h"

/* "prompt", or "prompt[2]" where there are several, in out; returns out. */
const char *request_field(char out[ERROR_PARAM_BYTES], const char *name, size_t i, size_t n);

/* STATUS_UNSUPPORTED unless the model's task is in the mask (bit 1 << task). */
enum status request_check_task(const struct model *model, unsigned tasks, const char *what,
                               struct error *err) MUST_CHECK;

/* low <= value <= high, and not NaN. */
enum status request_check_number(const char *field, double value, double low, double high,
                                 struct error *err) MUST_CHECK;

/* Every id is in [0, V). */
enum status request_check_tokens(const char *field, const struct token_span *tokens, size_t V,
                                 struct error *err) MUST_CHECK;

/* A sequence of n steps can ride: as a whole where the network needs that. */
enum status request_check_length(const char *field, const struct model *model, size_t n,
                                 size_t max_whole_steps, struct error *err) MUST_CHECK;

#endif
