#include "models/forecast/forecasting.h"
#include "models/jobs/request.h"

static enum status check_size(const char *field, size_t value, size_t low, size_t high,
                              struct error *err)
{
    if (value >= low && value <= high) return STATUS_OK;
    return error_set_param(err, STATUS_BAD_VALUE, field, "%s is %zu, expected %zu to %zu", field,
                           value, low, high);
}

/* How many samples a request must have at least. */
static size_t least_samples(const struct model *model, const struct forecast_request *r)
{
    return r->n_quantiles > 0 && !forecast_is_direct(forecast_spec_of(model)) ? 1 : 0;
}

enum status forecast_request_check(const struct model *model, const struct forecast_request *r,
                                   struct error *err)
{
    enum status status = request_check_ability(model, ABILITY_FORECAST, err);
    if (status == STATUS_OK)
        status = check_size("series", r->n_series, 1, FORECAST_MAX_SERIES, err);
    if (status == STATUS_OK)
        status = check_size("horizon", r->horizon, 1, FORECAST_MAX_HORIZON, err);
    if (status == STATUS_OK)
        status = check_size("num_samples", r->num_samples, least_samples(model, r),
                            FORECAST_MAX_SAMPLES, err);
    if (status == STATUS_OK)
        status = check_size("quantiles", r->n_quantiles, 0, FORECAST_MAX_QUANTILES, err);
    if (status != STATUS_OK) return status;
    for (size_t i = 0; i < r->n_quantiles; i++)
        if (!(r->quantiles[i] > 0 && r->quantiles[i] < 1))
            return error_set_param(err, STATUS_BAD_VALUE, "quantiles",
                                   "quantile %zu is %g, expected a number between 0 and 1", i,
                                   r->quantiles[i]);
    return STATUS_OK;
}
