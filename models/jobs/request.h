/* request: the checks of a request that several tasks share. Each failure is one sentence and names
 * the request's field. Pure; any thread. */
#ifndef CAROUSEL_MODELS_REQUEST_H
#define CAROUSEL_MODELS_REQUEST_H

#include "models/bundle/model.h"
#include "models/jobs/job.h"
#include "models/jobs/tokens.h"

/* "prompt", or "prompt[2]" if there are several, in out; returns out. */
const char *request_field(char out[ERROR_PARAM_BYTES], const char *name, size_t i, size_t n);

/* STATUS_UNSUPPORTED unless the model's task has the ability. */
enum status request_check_ability(const struct model *model, enum ability ability,
                                  struct error *err) MUST_CHECK;

/* low <= value <= high, and not NaN. */
enum status request_check_number(const char *field, double value, double low, double high,
                                 struct error *err) MUST_CHECK;

/* Every id is in [0, V). */
enum status request_check_tokens(const char *field, const struct token_span *tokens, size_t V,
                                 struct error *err) MUST_CHECK;

/* If the job goes on from a state or keeps one: it has one input of `field`, its network can be resumed, and
 * the state has the network's size. The task checks the state's rest. */
enum status request_check_state(const struct model *model, const struct job_options *options,
                                const char *field, size_t n_inputs, struct error *err) MUST_CHECK;

/* A sequence of n steps can ride: as a whole if the network needs that. */
enum status request_check_length(const char *field, const struct model *model, size_t n,
                                 size_t max_whole_steps, struct error *err) MUST_CHECK;

#endif
