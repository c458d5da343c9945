/* bodies: what commands send to routes, the JSON that a client would have written. main only.
 *
 * Each writes at most `most` bytes. The body is zero-terminated and the caller's to free; STATUS_TOO_LONG if
 * it does not fit, or there is no memory. */
#ifndef CAROUSEL_SERVER_CLI_BODIES_H
#define CAROUSEL_SERVER_CLI_BODIES_H

#include <stddef.h>

#include "core/base/status.h"
#include "server/cli/arguments.h"

struct json_body {
    char *text; /* owned */
    size_t bytes;
};

/* The texts that are arguments, as "input", with the options of the command; or, if `rows` is not NULL, its
 * lines of numbers, and reading changes it: STATUS_BAD_VALUE if something in it is no number. */
enum status body_of_inputs(const struct arguments *arguments, const char *model, char *rows,
                           size_t most, struct json_body *out) MUST_CHECK;

/* Numbers with white space between, as one "input" of steps of `width` numbers each. *n is how many were
 * read; STATUS_BAD_VALUE if something is no finite number, the last step is not whole, or there is none. */
enum status body_of_steps(const struct arguments *arguments, const char *model, const char *text,
                          size_t width, size_t *n, size_t most, struct json_body *out) MUST_CHECK;

/* A prompt, whose completion streams, with the options of the command. */
enum status body_of_prompt(const struct arguments *arguments, const char *model, const char *prompt,
                           size_t most, struct json_body *out) MUST_CHECK;

/* A series, a value for each argument (NaN: it is missing), and the quantiles of its forecast. */
enum status body_of_series(const struct arguments *arguments, const char *model, const double *values,
                           const double *levels, size_t n_levels, size_t most,
                           struct json_body *out) MUST_CHECK;

/* A picture, as a data URL. */
enum status body_of_picture(const struct arguments *arguments, const char *model, const char *url,
                            size_t most, struct json_body *out) MUST_CHECK;

/* A context, and the questions about it, which are the arguments behind the first. */
enum status body_of_questions(const struct arguments *arguments, const char *model, const char *context,
                              size_t most, struct json_body *out) MUST_CHECK;

#endif
