/* bundle_forecast: the "forecast" section of a config.json; docs/bundle-format.md, "forecast". */
#ifndef CAROUSEL_MODELS_BUNDLE_FORECAST_H
#define CAROUSEL_MODELS_BUNDLE_FORECAST_H

#include "models/json.h"
#include "models/model.h"

/* Fill *spec, zeroed before, and *seasonality (left alone where it is not said) from an object.
 * STATUS_BAD_VALUE with a sentence that begins with the key. */
MUST_CHECK enum status bundle_read_forecast(const struct json *object, struct forecast_spec *spec,
                                            long *seasonality, struct error *err);

/* As config.json spells them; "lag" and "error" for what is written as an object. */
const char *forecast_input_name(enum forecast_input input);
const char *forecast_basis_name(enum forecast_basis term);
const char *forecast_output_name(enum forecast_output output);

#endif
