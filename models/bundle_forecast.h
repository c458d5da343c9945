/* bundle_forecast: the "forecast" section of a config.json; docs/bundle-format.md, "forecast". */
#ifndef CAROUSEL_MODELS_BUNDLE_FORECAST_H
#define CAROUSEL_MODELS_BUNDLE_FORECAST_H

#include "models/json.h"
#include "models/model.h"

/* Fill *spec, zeroed before, and *seasonality (left alone where it is not said) from an object.
 * STATUS_BAD_VALUE with a sentence that begins with the key. */
MUST_CHECK enum status bundle_read_forecast(const struct json *object, struct forecast_spec *spec,
                                            long *seasonality, struct error *err);

/* How many numbers the network must give a step: the coefficients of the basis or the one
 * location, then what the distribution needs besides; or one a quantile level. */
size_t forecast_n_outputs(const struct forecast_spec *spec);

#endif
