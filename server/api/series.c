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

size_t series_calendar_columns(const struct forecast_spec *spec)
{
    size_t n = 0;
    for (size_t i = 0; i < spec->n_columns; i++)
        if (spec->columns[i].calendar != CALENDAR_NONE) n++;
    return n;
}

void series_add_calendar(const struct forecast_spec *spec, const struct instant *start,
                         const struct frequency *frequency, struct rows *rows)
{
    static const double circle = 6.283185307179586;
    for (size_t i = 0; i < spec->n_columns; i++) {
        const struct forecast_column *column = &spec->columns[i];
        if (column->calendar == CALENDAR_NONE || rows_find(rows, column->name)) continue;
        double *values = rows_add(rows, column->name);
        for (size_t t = 0; t < rows->n + rows->horizon; t++) {
            double angle, part = 0;
            (void)instant_part(start, frequency, (int64_t)t, column->calendar, &part);
            angle = column->wave == WAVE_NONE ? 0 : circle * part / column->period;
            values[t] = column->wave == WAVE_SIN ? sin(angle) : column->wave == WAVE_COS ? cos(angle) : part;
        }
    }
}
