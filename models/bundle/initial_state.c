#include "models/bundle/initial_state.h"

#include <float.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "core/recurrent/initial.h"
#include "models/text/sentence.h"

enum { MAX_ROWS = 512, PLACE_BYTES = 40 };

static enum status expected(const struct json *value, const char *place, const char *what, struct error *err)
{
    static const char *const kinds[] = {[JSON_ABSENT] = "missing",  [JSON_NULL] = "null",
                                        [JSON_BOOLEAN] = "a boolean", [JSON_NUMBER] = "a number",
                                        [JSON_STRING] = "a string",   [JSON_ARRAY] = "an array",
                                        [JSON_OBJECT] = "an object"};
    return error_set_param(err, STATUS_BAD_VALUE, place, "'%s' is %s; expected %s", place,
                           kinds[json_kind(value)], what);
}

/* Read the numbers of one row. */
static enum status read_row(const struct json *array, const char *place, size_t n, float *to,
                            struct error *err)
{
    char at[ERROR_PARAM_BYTES];
    size_t i = 0;
    if (json_kind(array) != JSON_ARRAY)
        return expected(array, place, "an array of numbers", err);
    if (json_count(array) != n)
        return error_set_param(err, STATUS_BAD_VALUE, place,
                               "'%s' has %zu numbers; expected %zu, as many as the layer has", place,
                               json_count(array), n);
    for (const struct json *cell = json_first(array); cell; cell = json_next(cell), i++) {
        double number = json_kind(cell) == JSON_NUMBER ? json_number(cell) : (double)NAN;
        snprintf(at, sizeof at, "%s[%zu]", place, i);
        if (!(fabs(number) <= (double)FLT_MAX))
            return expected(cell, at, "a number that float can hold", err);
        to[i] = (float)number;
    }
    return STATUS_OK;
}

/* Read h, or c of the layers that have it. */
static enum status read_part(const struct json *part, bool is_c, const struct initial_row *rows,
                             size_t n_rows, float *state, struct error *err)
{
    const char *name = is_c ? INITIAL_STATE ".c" : INITIAL_STATE ".h";
    char place[PLACE_BYTES];
    size_t due = 0, last = 0, seen = 0;
    enum status status = STATUS_OK;
    for (size_t i = 0; i < n_rows; i++)
        if (!is_c || rows[i].n_c) due++, last = i;
    if (due == 0 && !part) return STATUS_OK;
    if (due == 0)
        return error_set_param(err, STATUS_BAD_VALUE, name,
                               "'%s' has no place: the model has no lstm layer; leave it out", name);
    const struct json *row = json_kind(part) == JSON_ARRAY ? json_first(part) : NULL;
    if (due == 1 && row && json_kind(row) != JSON_ARRAY)
        return read_row(part, name, is_c ? rows[last].n_c : rows[last].n_h,
                        state + (is_c ? rows[last].c_at : rows[last].h_at), err);
    if (json_kind(part) != JSON_ARRAY)
        return expected(part, name, "an array with a row of numbers for each layer", err);
    if (json_count(part) != due)
        return error_set_param(err, STATUS_BAD_VALUE, name,
                               "'%s' has %zu rows; expected %zu, one for each layer of the model", name,
                               json_count(part), due);
    for (size_t i = 0; i < n_rows && status == STATUS_OK; i++) {
        size_t n = is_c ? rows[i].n_c : rows[i].n_h, at = is_c ? rows[i].c_at : rows[i].h_at;
        if (n == 0) continue;
        snprintf(place, sizeof place, "%s[%zu]", name, seen++);
        status = read_row(row, place, n, state + at, err);
        row = json_next(row);
    }
    return status;
}

enum status initial_state_read(const struct network *network, const struct json *object, float *state,
                               struct error *err)
{
    struct initial_row rows[MAX_ROWS];
    size_t n_rows = initial_rows(network, rows, MAX_ROWS);
    if (n_rows == 0 || n_rows > MAX_ROWS)
        return error_set_param(err, STATUS_UNSUPPORTED, INITIAL_STATE, "the model %s; leave '%s' out",
                               network_is_whole(network)
                                   ? "reads whole inputs and keeps no state"
                                   : "has no lstm, gru or rnn layer to begin with it",
                               INITIAL_STATE);
    if (json_kind(object) != JSON_OBJECT)
        return expected(object, INITIAL_STATE, "an object with 'h' and, for an lstm, 'c'", err);
    for (const struct json *m = json_first(object); m; m = json_next(m)) {
        char quoted[QUOTE_BYTES];
        if (strcmp(json_key(m), "h") && strcmp(json_key(m), "c"))
            return error_set_param(err, STATUS_BAD_VALUE, INITIAL_STATE,
                                   "'%s' has %s; expected 'h' and, for an lstm, 'c'", INITIAL_STATE,
                                   sentence_quote(quoted, json_key(m), strlen(json_key(m))));
    }
    initial_mark(network, state);
    enum status status = read_part(json_get(object, "h"), false, rows, n_rows, state, err);
    return status == STATUS_OK ? read_part(json_get(object, "c"), true, rows, n_rows, state, err) : status;
}
