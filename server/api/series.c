#include "server/api/series.h"

#include <math.h>
#include <stdio.h>

#include "core/base/memory.h"
#include "server/base/config.h"

bool series_values(const struct call *call, const struct json *array, const char *param, double **values,
                   size_t *n)
{
    size_t max = (size_t)call->config->limits_series_values, t = 0;
    char at[ERROR_PARAM_BYTES + 24];
    *n = json_count(array);
    if (*n > max)
        return problem_set(call->problem, FAULT_INPUT_TOO_LONG, param,
                           "'%s' has %zu values; expected at most %zu", param, *n, max);
    double *to = *values = memory_new(*n + 1, sizeof *to);
    if (!to) return problem_set(call->problem, FAULT_NO_MEMORY, NULL, NULL);
    if (json_numbers(array, to, *n)) return true;
    for (const struct json *cell = json_first(array); cell; cell = json_next(cell), t++) {
        to[t] = json_kind(cell) == JSON_NUMBER ? json_number(cell) : NAN;
        if (isfinite(to[t]) || json_kind(cell) == JSON_NULL) continue;
        snprintf(at, sizeof at, "%s[%zu]", param, t);
        return field_expected(cell, at, "a finite number, or null for a missing value", call->problem);
    }
    return true;
}
