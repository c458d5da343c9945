#include "models/forecast/rows.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "core/base/memory.h"
#include "models/text/sentence.h"

enum { LABEL_BYTES = 256 };

static const char past_name[] = "past_covariates", future_name[] = "future_covariates";

/* A request while it is read. */
struct reader {
    const char *place;
    const struct json *target, *past, *future; /* NULL if absent */
    struct rows *out;
    struct error *err;
};

bool rows_are_there(const struct json *object)
{
    const struct json *target = json_get(object, "target");
    return json_get(object, past_name) || json_get(object, future_name) ||
           (json_kind(target) == JSON_ARRAY && json_kind(json_first(target)) == JSON_ARRAY);
}

/* ---- sentences ---- */

/* Write how sentences call the row `i`, or the named row, of the field: "series[0].target[1]",
 * "series[0].past_covariates['price']"; returns out. */
static const char *label_of(char out[LABEL_BYTES], const struct reader *r, const char *field, size_t i,
                            const char *name)
{
    char quoted[QUOTE_BYTES];
    if (name)
        snprintf(out, LABEL_BYTES, "%s.%s[%s]", r->place, field, sentence_quote(quoted, name, strlen(name)));
    else snprintf(out, LABEL_BYTES, "%s.%s[%zu]", r->place, field, i);
    return out;
}

static const char *param_of(char out[ERROR_PARAM_BYTES], const struct reader *r, const char *field)
{
    snprintf(out, ERROR_PARAM_BYTES, "%s.%s", r->place, field);
    return out;
}

static enum status expected(const struct reader *r, const char *field, const char *label,
                            const struct json *value, const char *what)
{
    char param[ERROR_PARAM_BYTES], described[JSON_DESCRIPTION_BYTES];
    return error_set_param(r->err, STATUS_BAD_VALUE, param_of(param, r, field), "%s is %s; expected %s",
                           label, value ? json_describe(described, value) : "missing", what);
}

/* ---- one row ---- */

/* Read the numbers of `array` into to[0..n). Refuse another number of them; `as` says why n. */
static enum status read_row(const struct reader *r, const char *field, const char *label,
                            const struct json *array, size_t n, const char *as, double *to)
{
    char param[ERROR_PARAM_BYTES], at[LABEL_BYTES + 24];
    if (json_kind(array) != JSON_ARRAY) return expected(r, field, label, array, "an array of numbers");
    size_t count = json_count(array), t = 0;
    if (count != n)
        return error_set_param(r->err, STATUS_BAD_VALUE, param_of(param, r, field),
                               "%s has %zu values; expected %zu, %s", label, count, n, as);
    for (const struct json *cell = json_first(array); cell; cell = json_next(cell), t++) {
        to[t] = json_kind(cell) == JSON_NUMBER ? json_number(cell) : (double)NAN;
        if (isfinite(to[t]) || json_kind(cell) == JSON_NULL) continue;
        snprintf(at, sizeof at, "%s[%zu]", label, t);
        return expected(r, field, at, cell, "a finite number, or null for a missing value");
    }
    return STATUS_OK;
}

static double *take(struct reader *r, size_t n)
{
    double *taken = r->out->next;
    r->out->next += n;
    return taken;
}

/* ---- the fields ---- */

static enum status read_targets(struct reader *r)
{
    struct rows *out = r->out;
    char label[LABEL_BYTES];
    out->targets = out->next;
    if (!out->nested) {
        snprintf(label, sizeof label, "%s.target", r->place);
        return read_row(r, "target", label, r->target, out->n, "", take(r, out->n));
    }
    size_t i = 0;
    for (const struct json *row = json_first(r->target); row; row = json_next(row), i++) {
        enum status status = read_row(r, "target", label_of(label, r, "target", i, NULL), row, out->n,
                                      "as many as the first row", take(r, out->n));
        if (status != STATUS_OK) return status;
    }
    return STATUS_OK;
}

static enum status read_past(struct reader *r)
{
    struct rows *out = r->out;
    char label[LABEL_BYTES];
    size_t i = 0;
    for (const struct json *row = json_first(r->past); row; row = json_next(row), i++) {
        const char *name = json_kind(r->past) == JSON_OBJECT ? json_key(row) : NULL;
        double *to = take(r, out->n + out->horizon);
        enum status status = read_row(r, past_name, label_of(label, r, past_name, i, name), row, out->n,
                                      "as many as 'target'", to);
        if (status != STATUS_OK) return status;
        out->covariates[out->n_covariates++] = (struct row){.name = name, .values = to};
    }
    return STATUS_OK;
}

struct row *rows_find(const struct rows *rows, const char *name)
{
    for (size_t i = 0; i < rows->n_covariates; i++)
        if (rows->covariates[i].name && !strcmp(rows->covariates[i].name, name)) return &rows->covariates[i];
    return NULL;
}

static enum status read_future(struct reader *r)
{
    struct rows *out = r->out;
    char label[LABEL_BYTES];
    size_t i = 0;
    for (const struct json *row = json_first(r->future); row; row = json_next(row), i++) {
        const char *name = json_kind(r->future) == JSON_OBJECT ? json_key(row) : NULL;
        struct row *past = name ? rows_find(out, name) : NULL;
        double *to = past ? past->values + out->n : take(r, out->n + out->horizon);
        enum status status =
            past ? read_row(r, future_name, label_of(label, r, future_name, i, name), row, out->horizon,
                            "the horizon, because its past stands in 'past_covariates'", to)
                 : read_row(r, future_name, label_of(label, r, future_name, i, name), row,
                            out->n + out->horizon, "as many as 'target' and the horizon together", to);
        if (status != STATUS_OK) return status;
        if (past) past->known = true;
        else out->covariates[out->n_covariates++] = (struct row){.name = name, .values = to, .known = true};
    }
    return STATUS_OK;
}

/* ---- the whole ---- */

static enum status check_form(const struct reader *r, const char *field, const struct json *value)
{
    char label[LABEL_BYTES];
    enum json_kind kind = json_kind(value), inner = json_kind(json_first(value));
    if (!value || kind == JSON_OBJECT || (kind == JSON_ARRAY && (inner == JSON_ARRAY || !json_first(value))))
        return STATUS_OK;
    snprintf(label, sizeof label, "%s.%s", r->place, field);
    return expected(r, field, label, kind == JSON_ARRAY ? json_first(value) : value,
                    "an object of names, each with an array of numbers, or an array of such arrays");
}

double *rows_add(struct rows *rows, const char *name)
{
    double *values = rows->next;
    rows->next += rows->n + rows->horizon;
    rows->covariates[rows->n_covariates++] = (struct row){.name = name, .values = values, .known = true};
    return values;
}

/* Count values and rows, and make the block. */
static enum status make_room(struct reader *r, size_t max_values, size_t n_more)
{
    struct rows *out = r->out;
    const struct json *first = json_first(r->target);
    out->nested = json_kind(first) == JSON_ARRAY;
    out->n = json_count(out->nested ? first : r->target);
    out->n_targets = out->nested ? json_count(r->target) : 1;
    size_t n_covariates = json_count(r->past) + json_count(r->future);
    size_t n_rows = out->n_targets + n_covariates, values = out->n_targets * out->n;
    for (const struct json *row = json_first(r->past); row; row = json_next(row)) values += json_count(row);
    for (const struct json *row = json_first(r->future); row; row = json_next(row)) values += json_count(row);
    if (n_rows > ROWS_MOST)
        return error_set_param(r->err, STATUS_TOO_LONG, r->place,
                               "%s has %zu rows of target and covariates; expected at most %d", r->place,
                               n_rows, ROWS_MOST);
    if (values > max_values)
        return error_set_param(r->err, STATUS_TOO_LONG, r->place,
                               "%s has %zu values in all its rows; expected at most %zu", r->place, values,
                               max_values);
    n_covariates += n_more;
    size_t doubles = out->n_targets * out->n + n_covariates * (out->n + out->horizon);
    size_t bytes = n_covariates * sizeof *out->covariates + (doubles + 1) * sizeof(double);
    out->memory = memory_new(bytes, 1);
    if (!out->memory) return error_set(r->err, STATUS_NO_MEMORY, "no memory for the request");
    out->next = out->memory;
    out->covariates = (struct row *)((double *)out->memory + doubles + 1);
    return STATUS_OK;
}

enum status rows_read(const struct json *object, const char *place, size_t horizon, size_t max_values,
                      size_t n_more, struct rows *out, struct error *err)
{
    struct reader r = {.place = place, .out = out, .err = err, .target = json_get(object, "target"),
                       .past = json_get(object, past_name), .future = json_get(object, future_name)};
    char label[LABEL_BYTES];
    *out = (struct rows){.horizon = horizon};
    snprintf(label, sizeof label, "%s.target", place);
    if (json_kind(r.target) != JSON_ARRAY)
        return expected(&r, "target", label, r.target, "an array of numbers, or an array of such rows");
    enum status status = check_form(&r, past_name, r.past);
    if (status == STATUS_OK) status = check_form(&r, future_name, r.future);
    if (status == STATUS_OK) status = make_room(&r, max_values, n_more);
    if (status == STATUS_OK) status = read_targets(&r);
    if (status == STATUS_OK) status = read_past(&r);
    return status == STATUS_OK ? read_future(&r) : status;
}

void rows_free(struct rows *rows)
{
    memory_free(rows->memory);
    *rows = (struct rows){0};
}
