/* errors: how a request fails, and how that is told.
 *
 * A fault is one row of errors.def: an HTTP status, the code and the type that the client's program
 * can tell apart. What happened in this request stands in a struct problem: the fault, the field at
 * fault (`param`) and one sentence for a human. Lower floors fail with enum status and struct error;
 * problem_from translates, in the one place where every status is mapped.
 *
 * Everything here is caller's storage, has no life cycle, and may be used by any thread. */
#ifndef CAROUSEL_SERVER_ERRORS_H
#define CAROUSEL_SERVER_ERRORS_H

#include "core/base/status.h"

enum fault {
    FAULT_NONE,
#define X(name, status, code, type, text) FAULT_##name,
#include "server/base/errors.def"
    N_FAULTS
};

/* FAULT_NONE if nothing went wrong. `param` is empty if no field is to blame. */
struct problem {
    enum fault fault;
    char param[ERROR_PARAM_BYTES];
    char message[ERROR_MESSAGE_BYTES];
    unsigned retry_after_s; /* for the header of a 429 or 503, set after problem_set; 0: 1, if no time is
                             * known: memory comes back with the next request that ends, and a server that
                             * drains knows nothing of the one that follows */
};

/* The row's columns; never NULL. FAULT_NONE gives 200 and empty texts. */
unsigned fault_http_status(enum fault fault);
const char *fault_code(enum fault fault);
const char *fault_type(enum fault fault);
const char *fault_text(enum fault fault);

/* Fill *problem and return false, so that a failing check reads
 * `return problem_set(problem, FAULT_INVALID_VALUE, "prompt", "'prompt' must be ...");`.
 * `param` may be NULL. The message is cut to fit; a NULL format gives the row's sentence. */
_Bool problem_set(struct problem *problem, enum fault fault, const char *param, const char *format,
                  ...) __attribute__((format(printf, 4, 5)));

/* What a lower floor's failure means for the client, by the one switch over enum status. The
 * sentence of `err` (which may be NULL) is passed on if the input is to blame, and kept from the
 * client if the server is; `param` is used if err names none, and may be NULL. Returns false. */
_Bool problem_from(struct problem *problem, enum status status, const struct error *err,
                   const char *param);

#endif
