#include <stdio.h>
#include <string.h>

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

/* Return what of a series' rows the model has no use for, or NULL. */
static const char *useless_row(const struct forecast_spec *spec, const struct rows *rows)
{
    (void)spec;
    if (!rows) return NULL;
    for (size_t i = 0; i < rows->n_covariates; i++)
        return rows->covariates[i].known ? "future_covariates" : "past_covariates";
    return rows->n_targets > 1 ? "target" : NULL;
}

static enum status check_rows(const struct model *model, const struct forecast_request *r, struct error *err)
{
    for (size_t i = 0; i < r->n_series; i++) {
        const char *useless = useless_row(forecast_spec_of(model), r->series[i].rows);
        char param[ERROR_PARAM_BYTES];
        if (!useless) continue;
        snprintf(param, sizeof param, "series[%zu].%s", i, useless);
        if (!strcmp(useless, "target"))
            return error_set_param(err, STATUS_UNSUPPORTED, param,
                                   "%s has %zu rows, but model '%s' forecasts each series by itself; send "
                                   "every row as an object of its own",
                                   param, r->series[i].rows->n_targets, model->name);
        return error_set_param(err, STATUS_UNSUPPORTED, param,
                               "%s: model '%s' reads the target alone; leave '%s' out", param, model->name,
                               useless);
    }
    return STATUS_OK;
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
    return check_rows(model, r, err);
}
