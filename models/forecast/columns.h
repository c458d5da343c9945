/* columns: a model that reads several rows, and what of a request goes into which of them:
 * docs/bundle-format.md, "columns". Pure; any thread. */
#ifndef CAROUSEL_MODELS_COLUMNS_H
#define CAROUSEL_MODELS_COLUMNS_H

#include "models/forecast/forecast_spec.h"
#include "models/forecast/rows.h"
#include "models/forecast/series.h"

/* Read "columns" of config.json into the spec. STATUS_BAD_VALUE with a sentence. */
MUST_CHECK enum status columns_read(const struct json *array, struct forecast_spec *spec, struct error *err);

/* The index of the column called `name`, or n_columns. */
size_t columns_find(const struct forecast_spec *spec, const char *name);

/* The row of column i, the first of its n values, or NULL if the request has none. rows may be NULL, if the
 * series is one row, `target`. A covariate without a name is found by its place among those of its role. */
const double *columns_row(const struct forecast_spec *spec, const struct rows *rows, const double *target,
                          size_t i);

/* Check that the rows are those that the model reads; `place` stands before the fields in sentences. The
 * sentence names the row that is missing or unknown. */
MUST_CHECK enum status columns_check(const struct model *model, const struct rows *rows, const char *place,
                                     struct error *err);

/* Why the last n values of the rows cannot be read, or NULL. `tail` is the last n of the first target. */
const char *columns_judge(const struct forecast_spec *spec, const struct rows *rows, const double *tail,
                          size_t n);

/* Scale the last n values of all rows, and the `ahead` values after them of those that are known: z and
 * missing [n_columns, n + ahead], scales [n_columns]. What is unknown is 0 and not missing. */
void columns_scale(const struct forecast_spec *spec, const struct rows *rows, const double *tail, size_t n,
                   size_t ahead, double *z, bool *missing, struct series_scale *scales);

#endif
