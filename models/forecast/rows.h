/* rows: the numbers of one series as a client writes them: one row of target or several, and covariates.
 *
 *   {"target": [1, 2, null]                         or rows: [[1, 2, null], [7, 8, 9]]
 *    "past_covariates": {"price": [3, 4, 5]}        or rows: [[3, 4, 5]]
 *    "future_covariates": {"sale": [0, 1, 0, 1]}}   or rows: [[0, 1, 0, 1]]
 *
 * Rows of target all have n values, and so has a past covariate. A future covariate is known ahead: it has
 * n + horizon values, as in TiRex-2 and DeepAR; or, if past_covariates has its name too, the horizon values
 * after those, as in Chronos-2. null is a missing value. Requests and golden cases use the same function.
 * Pure; any thread. */
#ifndef CAROUSEL_MODELS_ROWS_H
#define CAROUSEL_MODELS_ROWS_H

#include <stdbool.h>
#include <stddef.h>

#include "core/base/status.h"
#include "models/text/json.h"

enum { ROWS_MOST = 256 }; /* rows of target and covariates of one series, together */

struct row {
    const char *name;     /* of a covariate that was sent by name: the document's; NULL: by its place */
    double *values;       /* [n], or [n + horizon] if it is known ahead; NaN if missing */
    bool known;           /* its values of the horizon are there */
};

struct rows {
    size_t n, horizon;
    size_t n_targets, n_covariates;
    bool nested;            /* target was an array of rows, and the answer is too */
    const double *targets;  /* [n_targets, n] NaN if missing */
    struct row *covariates; /* [n_covariates] in the order of the request, those of past_covariates first */
    void *memory;           /* all of it: rows_free */
    double *next;           /* in it */
};

/* Whether `object` has more than one plain row of target. */
bool rows_are_there(const struct json *object);

/* Read the members `target`, `past_covariates` and `future_covariates` of `object`, which has at most
 * `max_values` values in all; there is room for n_more covariates (rows_add). Names in *out are the
 * document's; the rest is the caller's until rows_free, also after a failure. `place` stands before the names
 * in sentences: "series[0]". STATUS_BAD_VALUE, STATUS_TOO_LONG, or STATUS_NO_MEMORY, with the field in
 * err->param. */
MUST_CHECK enum status rows_read(const struct json *object, const char *place, size_t horizon,
                                 size_t max_values, size_t n_more, struct rows *out, struct error *err);
/* Add a covariate that is known ahead, one of the n_more; the caller writes its values [n + horizon]. */
double *rows_add(struct rows *rows, const char *name);
/* The covariate of this name, or NULL. */
struct row *rows_find(const struct rows *rows, const char *name);
void rows_free(struct rows *rows);

#endif
