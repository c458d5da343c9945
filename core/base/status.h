/* status: how calls fail, on every floor.
 *
 * A function that can fail returns enum status and writes its outputs only on success. If a human must act,
 * the last parameter is a struct error: the status and one sentence that names the thing, what was found and
 * what was expected. */
#ifndef CAROUSEL_CORE_STATUS_H
#define CAROUSEL_CORE_STATUS_H

#define MUST_CHECK __attribute__((warn_unused_result))

enum status {
#define X(name, text) STATUS_##name,
#include "status.def"
};

/* The row's text; never NULL. */
const char *status_text(enum status status);

enum { ERROR_MESSAGE_BYTES = 512, ERROR_PARAM_BYTES = 64 };

/* Caller's storage, no life cycle. `param` names the request field or config key at fault,
 * or is empty. */
struct error {
    enum status status;
    char param[ERROR_PARAM_BYTES];
    char message[ERROR_MESSAGE_BYTES];
};

/* Fill `err` (which may be NULL) and return `status`, so that a failing call reads
 * `return error_set(err, STATUS_BAD_SHAPE, "tensor '%s': ...", name);`. The message is cut
 * to fit. `param` becomes empty; error_set_param names it. */
enum status error_set(struct error *err, enum status status, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
enum status error_set_param(struct error *err, enum status status, const char *param,
                            const char *format, ...) __attribute__((format(printf, 4, 5)));

/* Put "prefix: " before the message of an error that is travelling up. */
void error_prefix(struct error *err, const char *format, ...) __attribute__((format(printf, 2, 3)));

#endif
