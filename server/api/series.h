/* series: values of one series in a request, as the routes of forecasting read them. */
#ifndef CAROUSEL_SERVER_SERIES_H
#define CAROUSEL_SERVER_SERIES_H

#include "server/api/codec.h"

/* Read the numbers of an array, null for a missing value, at most limits.series_values of them. `param` names
 * the array. *values is from memory_new, the caller's, also after a failure; NaN if missing. Return false
 * with the call's problem filled. */
bool series_values(const struct call *call, const struct json *array, const char *param, double **values,
                   size_t *n);

#endif
