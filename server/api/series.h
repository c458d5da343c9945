/* series: values of one series in a request, as the routes of forecasting read them. */
#ifndef CAROUSEL_SERVER_SERIES_H
#define CAROUSEL_SERVER_SERIES_H

#include "models/forecast/rows.h"
#include "server/api/calendar.h"
#include "server/api/codec.h"

/* Read the numbers of an array, null for a missing value, at most limits.series_values of them. `param` names
 * the array. *values is from memory_new, the caller's, also after a failure; NaN if missing. Return false
 * with the call's problem filled. */
bool series_values(const struct call *call, const struct json *array, const char *param, double **values,
                   size_t *n);

/* How many of the columns that a model reads follow from the calendar. */
size_t series_calendar_columns(const struct forecast_spec *spec);

/* Add those of them that the request does not hold, for which there is room (rows_add), from the instant of
 * the first value and the step. The calendar has the last instant. */
void series_add_calendar(const struct forecast_spec *spec, const struct instant *start,
                         const struct frequency *frequency, struct rows *rows);

#endif
