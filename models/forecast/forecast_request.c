#include <stdio.h>

#include "models/forecast/columns.h"
#include "models/forecast/forecasting.h"
#include "models/forecast/patched.h"
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

/* Refuse rows that a model of one series has no use for. */
static enum status check_one(const struct model *model, const struct rows *rows, size_t i, struct error *err)
{
    char param[ERROR_PARAM_BYTES];
    if (rows && rows->n_covariates) {
        const char *field = rows->covariates[0].known ? "future_covariates" : "past_covariates";
        snprintf(param, sizeof param, "series[%zu].%s", i, field);
        return error_set_param(err, STATUS_UNSUPPORTED, param,
                               "%s: model '%s' reads the target alone; leave '%s' out", param, model->name,
                               field);
    }
    if (!rows || rows->n_targets <= 1) return STATUS_OK;
    snprintf(param, sizeof param, "series[%zu].target", i);
    return error_set_param(err, STATUS_UNSUPPORTED, param,
                           "%s has %zu rows, but model '%s' forecasts each series by itself; send every "
                           "row as an object of its own", param, rows->n_targets, model->name);
}

/* Check that the rows of a series fit into one turn. */
static enum status check_group(const struct model *model, const struct forecast_request *r, size_t i,
                               struct error *err)
{
    const struct forecast_spec *spec = forecast_spec_of(model);
    const struct rows *rows = r->series[i].rows;
    size_t n = r->series[i].n - series_skipped(spec, r->series[i].n), seats = patched_seats(rows);
    size_t steps = n ? patched_steps(spec, rows, n, r->horizon) : 0;
    char place[ERROR_PARAM_BYTES];
    snprintf(place, sizeof place, "series[%zu]", i);
    if (r->max_seats && seats > r->max_seats)
        return error_set_param(err, STATUS_TOO_LONG, place,
                               "%s has %zu rows, those of future_covariates counted twice; expected at most "
                               "%zu (scheduler.max_batch)", place, seats, r->max_seats);
    if (!patched_rides_whole(rows) || !r->max_whole_steps || seats * steps <= r->max_whole_steps)
        return STATUS_OK;
    return error_set_param(err, STATUS_TOO_LONG, place,
                           "%s has %zu rows of %zu patches, those of future_covariates counted twice; "
                           "expected at most %zu patches together (scheduler.max_rows)", place, seats, steps,
                           r->max_whole_steps);
}

/* Check the rows and the length of each series. */
static enum status check_series(const struct model *model, const struct forecast_request *r,
                                struct error *err)
{
    const struct forecast_spec *spec = forecast_spec_of(model);
    for (size_t i = 0; i < r->n_series; i++) {
        const struct forecast_series *series = &r->series[i];
        size_t n = series->n - series_skipped(spec, series->n);
        char place[ERROR_PARAM_BYTES];
        snprintf(place, sizeof place, "series[%zu]", i);
        bool mixes = spec->output == OUTPUT_PATCHES && network_mixes(model->network);
        enum status status = spec->n_columns ? columns_check(model, series->rows, place, err)
                             : mixes         ? check_group(model, r, i, err)
                                             : check_one(model, series->rows, i, err);
        if (status == STATUS_OK && r->max_whole_steps)
            status = request_check_length(place, model, n, r->max_whole_steps, err);
        if (status != STATUS_OK) return status;
    }
    return STATUS_OK;
}

/* A model of horizons tells of so many steps, and may read as many ahead. */
static enum status check_horizon(const struct model *model, size_t horizon, struct error *err)
{
    const struct forecast_spec *spec = forecast_spec_of(model);
    if (spec->output != OUTPUT_HORIZONS) return STATUS_OK;
    size_t passes = (horizon + spec->horizon - 1) / spec->horizon;
    size_t ahead = spec->ahead ? (passes - 1) * spec->horizon + spec->ahead : 0;
    if (passes > 1 && !spec->rolls_on)
        return error_set_param(err, STATUS_UNSUPPORTED, "horizon",
                               "horizon is %zu, but model '%s' was trained to tell of %zu steps; expected at "
                               "most %zu", horizon, model->name, spec->horizon, spec->horizon);
    if (ahead > horizon)
        return error_set_param(err, STATUS_BAD_VALUE, "horizon",
                               "horizon is %zu, but model '%s' forecasts %zu steps at a time and reads what "
                               "is known of them all; expected %zu",
                               horizon, model->name, spec->horizon, ahead);
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
    status = check_horizon(model, r->horizon, err);
    return status == STATUS_OK ? check_series(model, r, err) : status;
}
