#include "models/forecast/columns.h"

#include <float.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "models/text/sentence.h"

static const char *const roles[] = {"target", "past", "future", NULL};
static const char *const parts[] = {"minute", "hour", "day_of_week", "day", "day_of_year", "month", "quarter",
                                    NULL};
static const char *const waves[] = {"none", "sin", "cos", NULL};
static const char *const fields_of[] = {"target", "past_covariates", "future_covariates"};

const char *forecast_role_name(enum column_role role)
{
    return roles[role];
}

size_t columns_find(const struct forecast_spec *spec, const char *name)
{
    size_t i = 0;
    while (i < spec->n_columns && strcmp(spec->columns[i].name, name)) i++;
    return i;
}

/* ---- config.json ---- */

struct column_keys {
    const char *name;
    long role;
    const struct json *scaling, *calendar;
};

static const struct field column_fields[] = {
    {.name = "name", .kind = FIELD_STRING, .required = true, .offset = offsetof(struct column_keys, name)},
    {.name = "role", .kind = FIELD_CHOICE, .choices = roles, .required = true,
     .offset = offsetof(struct column_keys, role)},
    {.name = "scaling", .kind = FIELD_OBJECT, .offset = offsetof(struct column_keys, scaling)},
    {.name = "calendar", .kind = FIELD_OBJECT, .offset = offsetof(struct column_keys, calendar)},
};

struct calendar_keys {
    long part, wave;
    double period; /* 0 if left out */
};

static const struct field calendar_fields[] = {
    {.name = "part", .kind = FIELD_CHOICE, .choices = parts, .required = true,
     .offset = offsetof(struct calendar_keys, part)},
    {.name = "wave", .kind = FIELD_CHOICE, .choices = waves, .offset = offsetof(struct calendar_keys, wave)},
    {.name = "period", .kind = FIELD_NUMBER, .above = true, .minimum = 0, .maximum = 1e6,
     .offset = offsetof(struct calendar_keys, period)},
};

static enum status read_calendar(const struct json *value, struct forecast_column *column, struct error *err)
{
    struct calendar_keys keys = {0};
    enum status status =
        json_read(value, calendar_fields, sizeof calendar_fields / sizeof *calendar_fields, &keys, err);
    if (status != STATUS_OK) return status;
    if (column->role != COLUMN_FUTURE)
        return error_set(err, STATUS_BAD_VALUE, "has no place in a column of role '%s', expected 'future'",
                         roles[column->role]);
    if ((keys.wave != WAVE_NONE) != (keys.period > 0))
        return error_set(err, STATUS_BAD_VALUE, "'wave' and 'period' are a pair, expected both or neither");
    column->calendar = (enum calendar_part)(keys.part + 1);
    column->wave = (enum wave)keys.wave;
    column->period = keys.period;
    return STATUS_OK;
}

static enum status read_column(const struct json *value, struct forecast_spec *spec, struct error *err)
{
    const struct field object = {.name = "the column", .kind = FIELD_OBJECT};
    struct forecast_column *column = &spec->columns[spec->n_columns];
    struct column_keys keys = {0};
    char quoted[QUOTE_BYTES];
    enum status status = json_read_value(value, &object, &value, err);
    if (status == STATUS_OK)
        status = json_read(value, column_fields, sizeof column_fields / sizeof *column_fields, &keys, err);
    if (status != STATUS_OK) return status;
    sentence_quote(quoted, keys.name, strlen(keys.name));
    if (strlen(keys.name) > COLUMN_NAME_BYTES || !sentence_is_plain(keys.name, strlen(keys.name)))
        return error_set(err, STATUS_BAD_VALUE, "'name' is %s, expected at most %d bytes without controls",
                         quoted, (int)COLUMN_NAME_BYTES);
    if (columns_find(spec, keys.name) < spec->n_columns)
        return error_set(err, STATUS_BAD_VALUE, "'name' is %s, as that of a column before it", quoted);
    *column = (struct forecast_column){.role = (enum column_role)keys.role, .scaling.scale = 1};
    snprintf(column->name, sizeof column->name, "%s", keys.name);
    if (keys.scaling) status = scaling_read(keys.scaling, &column->scaling, err);
    if (status == STATUS_OK && (column->scaling.squashes || column->scaling.spares_binary))
        status = error_set(err, STATUS_BAD_VALUE, "'%s' has no place in a column, only with 'patches'",
                           column->scaling.squashes ? "squash" : "binary");
    if (status != STATUS_OK) error_prefix(err, "scaling");
    else if (keys.calendar && (status = read_calendar(keys.calendar, column, err)) != STATUS_OK)
        error_prefix(err, "calendar");
    spec->n_of[column->role]++;
    spec->n_columns++;
    return status;
}

/* The column of the first target. */
static size_t first_target(const struct forecast_spec *spec)
{
    size_t i = 0;
    while (i < spec->n_columns && spec->columns[i].role != COLUMN_TARGET) i++;
    return i;
}

enum status columns_read(const struct json *array, struct forecast_spec *spec, struct error *err)
{
    size_t n = json_count(array), i = 0;
    if (n < 1 || n > FORECAST_MAX_COLUMNS)
        return error_set(err, STATUS_BAD_VALUE, "%zu entries, expected 1 to %d", n,
                         (int)FORECAST_MAX_COLUMNS);
    for (const struct json *v = json_first(array); v; v = json_next(v), i++) {
        enum status status = read_column(v, spec, err);
        if (status == STATUS_OK) continue;
        error_prefix(err, "[%zu]", i);
        return status;
    }
    if (spec->n_of[COLUMN_TARGET] == 0)
        return error_set(err, STATUS_BAD_VALUE, "none has the role 'target', expected one or more");
    spec->scaling = spec->columns[first_target(spec)].scaling;
    return STATUS_OK;
}

/* ---- the rows of a request ---- */

/* How many columns of the same role stand before column i. */
static size_t place_of(const struct forecast_spec *spec, size_t i)
{
    size_t place = 0;
    for (size_t k = 0; k < i; k++)
        if (spec->columns[k].role == spec->columns[i].role) place++;
    return place;
}

/* The covariate of column i, or NULL. */
static const struct row *covariate_of(const struct forecast_spec *spec, const struct rows *rows, size_t i)
{
    const struct forecast_column *column = &spec->columns[i];
    size_t place = place_of(spec, i), nameless = 0;
    for (size_t k = 0; rows && k < rows->n_covariates; k++) {
        const struct row *row = &rows->covariates[k];
        if (row->name && !strcmp(row->name, column->name)) return row;
        if (row->name || row->known != (column->role == COLUMN_FUTURE)) continue;
        if (nameless++ == place) return row;
    }
    return NULL;
}

const double *columns_row(const struct forecast_spec *spec, const struct rows *rows, const double *target,
                          size_t i)
{
    if (spec->columns[i].role == COLUMN_TARGET)
        return rows ? rows->targets + place_of(spec, i) * rows->n : target;
    const struct row *row = covariate_of(spec, rows, i);
    return row ? row->values : NULL;
}

/* The column that a covariate goes into, or n_columns. */
static size_t column_of(const struct forecast_spec *spec, const struct rows *rows, const struct row *row)
{
    size_t i = 0;
    while (i < spec->n_columns &&
           (spec->columns[i].role == COLUMN_TARGET || covariate_of(spec, rows, i) != row))
        i++;
    return i;
}

/* Write the names of the columns of a role: "'a', 'b'"; returns out. */
static const char *names_of(const struct forecast_spec *spec, enum column_role role, char *out, size_t size)
{
    size_t used = 0;
    *out = '\0';
    for (size_t i = 0; i < spec->n_columns && used < size; i++)
        if (spec->columns[i].role == role)
            used += (size_t)snprintf(out + used, size - used, "%s'%s'", used ? ", " : "",
                                     spec->columns[i].name);
    return *out ? out : "none";
}

static enum status fail(const char *place, enum column_role role, struct error *err, const char *sentence)
{
    char param[ERROR_PARAM_BYTES];
    snprintf(param, sizeof param, "%s.%s", place, fields_of[role]);
    return error_set_param(err, STATUS_BAD_VALUE, param, "%s%s", param, sentence);
}

static enum status check_column(const struct model *model, const struct rows *rows, size_t i,
                                const char *place, struct error *err)
{
    const struct forecast_spec *spec = forecast_spec_of(model);
    const struct forecast_column *column = &spec->columns[i];
    const struct row *row = covariate_of(spec, rows, i);
    char sentence[ERROR_MESSAGE_BYTES];
    if (column->role == COLUMN_TARGET) return STATUS_OK;
    if (row && (row->known || column->role == COLUMN_PAST)) return STATUS_OK;
    if (row)
        snprintf(sentence, sizeof sentence,
                 " has no '%s', whose values of the horizon model '%s' reads too; send them", column->name,
                 model->name);
    else
        snprintf(sentence, sizeof sentence, " has no '%s', which model '%s' reads; send it%s", column->name,
                 model->name, column->calendar ? ", or 'start' and 'freq', which it follows from" : "");
    return fail(place, column->role, err, sentence);
}

static enum status check_row(const struct model *model, const struct rows *rows, const struct row *row,
                             const char *place, struct error *err)
{
    const struct forecast_spec *spec = forecast_spec_of(model);
    enum column_role role = row->known ? COLUMN_FUTURE : COLUMN_PAST;
    char sentence[ERROR_MESSAGE_BYTES], quoted[QUOTE_BYTES], hint[JSON_HINT_BYTES], all[256];
    const char *names[FORECAST_MAX_COLUMNS];
    if (column_of(spec, rows, row) < spec->n_columns) return STATUS_OK;
    for (size_t i = 0; i < spec->n_columns; i++) names[i] = spec->columns[i].name;
    if (row->name)
        snprintf(sentence, sizeof sentence, " has %s, which model '%s' does not read; expected %s%s",
                 sentence_quote(quoted, row->name, strlen(row->name)), model->name,
                 names_of(spec, role, all, sizeof all), json_hint(hint, row->name, names, spec->n_columns));
    else
        snprintf(sentence, sizeof sentence, " has more rows than model '%s' reads; expected %zu: %s",
                 model->name, spec->n_of[role], names_of(spec, role, all, sizeof all));
    return fail(place, role, err, sentence);
}

enum status columns_check(const struct model *model, const struct rows *rows, const char *place,
                          struct error *err)
{
    const struct forecast_spec *spec = forecast_spec_of(model);
    size_t n_targets = rows ? rows->n_targets : 1;
    char sentence[ERROR_MESSAGE_BYTES], all[256];
    if (n_targets != spec->n_of[COLUMN_TARGET]) {
        snprintf(sentence, sizeof sentence, " has %zu row%s, but model '%s' reads %zu: %s", n_targets,
                 n_targets == 1 ? "" : "s", model->name, spec->n_of[COLUMN_TARGET],
                 names_of(spec, COLUMN_TARGET, all, sizeof all));
        return fail(place, COLUMN_TARGET, err, sentence);
    }
    for (size_t k = 0; rows && k < rows->n_covariates; k++) {
        enum status status = check_row(model, rows, &rows->covariates[k], place, err);
        if (status != STATUS_OK) return status;
    }
    for (size_t i = 0; i < spec->n_columns; i++) {
        enum status status = check_column(model, rows, i, place, err);
        if (status != STATUS_OK) return status;
    }
    return STATUS_OK;
}

/* ---- values ---- */

/* The last n values of column i, those ahead behind them. */
static const double *tail_of(const struct forecast_spec *spec, const struct rows *rows, const double *tail,
                             size_t n, size_t i)
{
    if (!rows) return tail;
    return columns_row(spec, rows, tail, i) + (rows->n - n);
}

static size_t count_there(const double *values, size_t n)
{
    size_t count = 0;
    for (size_t t = 0; t < n; t++)
        if (!isnan(values[t])) count++;
    return count;
}

/* A row without a value, which only a covariate can be, is on its own scale or on none. */
static struct series_scale scale_of(const struct scaling *scaling, const double *values, size_t n)
{
    bool measured = scaling->type == SCALING_MEAN_ABS || scaling->type == SCALING_STANDARD;
    if (measured && count_there(values, n) == 0) return (struct series_scale){.mean = 0, .scale = 1};
    return scaling_measure(scaling, values, n);
}

const char *columns_judge(const struct forecast_spec *spec, const struct rows *rows, const double *tail,
                          size_t n)
{
    for (size_t i = 0; i < spec->n_columns; i++) {
        const double *values = tail_of(spec, rows, tail, n, i);
        bool known = spec->columns[i].role == COLUMN_FUTURE;
        size_t all = n + (known ? rows->horizon : 0);
        if (spec->columns[i].role == COLUMN_TARGET && count_there(values, n) == 0)
            return "every value of a row of target that is read is missing: expected at least one number";
        struct series_scale scale = scale_of(&spec->columns[i].scaling, values, n);
        bool good = isfinite(scale.mean) && isfinite(scale.scale);
        for (size_t t = 0; t < all && good; t++)
            good = isnan(values[t]) || fabs((values[t] - scale.mean) / scale.scale) <= (double)FLT_MAX;
        if (!good)
            return "a value is not finite or does not fit the model's scale: expected numbers that float can "
                   "hold";
    }
    return NULL;
}

void columns_scale(const struct forecast_spec *spec, const struct rows *rows, const double *tail, size_t n,
                   size_t ahead, double *z, bool *missing, struct series_scale *scales)
{
    size_t width = n + ahead;
    for (size_t i = 0; i < spec->n_columns; i++) {
        const double *values = tail_of(spec, rows, tail, n, i);
        size_t known = n + (spec->columns[i].role == COLUMN_FUTURE ? ahead : 0);
        scales[i] = scale_of(&spec->columns[i].scaling, values, n);
        series_scaled(&scales[i], values, known, z + i * width);
        for (size_t t = 0; t < width; t++) {
            missing[i * width + t] = t < known && isnan(values[t]);
            if (t >= known) z[i * width + t] = 0;
        }
    }
}
