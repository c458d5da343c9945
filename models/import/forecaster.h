/* forecaster: what config.json says of a model that foretells a series, and golden inputs of it:
 * docs/bundle-format.md, "forecast". Flags give what a checkpoint does not hold; nothing is guessed.
 * One thread. */
#ifndef CAROUSEL_MODELS_IMPORT_FORECASTER_H
#define CAROUSEL_MODELS_IMPORT_FORECASTER_H

#include "models/formats/json_text.h"
#include "models/import/card.h"

/* Whether a flag says that the model is a forecaster. */
bool forecaster_asked(const struct options *options);

/* Settle columns, horizon, levels, shape and context of *card, whose scaler is settled. If a fact is missing,
 * err->param is the flag that gives it. */
MUST_CHECK enum status forecaster_settle(struct plan *plan, const struct options *options, struct card *card,
                                         struct error *err);

/* Write the section "forecast", without a comma before it. */
void forecaster_put(const struct card *card, struct json_text *json);

/* How many steps an input knows of the covariates that are known ahead. 0 without columns. */
size_t forecaster_ahead(const struct card *card);
/* Write `steps` rows of raw[steps + ahead, width] as a request has them. */
void forecaster_put_input(const struct card *card, const double *raw, size_t steps, struct json_text *json);

#endif
