#include "server/api/initial.h"

#include <float.h>
#include <math.h>
#include <stdio.h>

#include "core/base/memory.h"
#include "core/recurrent/initial.h"

enum { MAX_ROWS = 512, PLACE_BYTES = 64 };
static const char name[] = "initial_state";

static const char *const names[] = {"h", "c", NULL};
static const struct fields fields = {.known = names};

/* Read the numbers of one row. */
static bool read_row(const struct call *call, const struct json *array, const char *place, size_t n,
                     float *to)
{
    char at[PLACE_BYTES + 24];
    size_t i = 0, count = json_count(array);
    if (json_kind(array) != JSON_ARRAY)
        return field_expected(array, place, "an array of numbers", call->problem);
    if (count != n)
        return problem_set(call->problem, FAULT_INVALID_VALUE, place,
                           "'%s' has %zu numbers; expected %zu, as many as the layer has", place, count, n);
    for (const struct json *cell = json_first(array); cell; cell = json_next(cell), i++) {
        double number = json_kind(cell) == JSON_NUMBER ? json_number(cell) : (double)NAN;
        snprintf(at, sizeof at, "%s[%zu]", place, i);
        if (!(fabs(number) <= (double)FLT_MAX))
            return field_expected(cell, at, "a number that float can hold", call->problem);
        to[i] = (float)number;
    }
    return true;
}

/* Read h, or c of the layers that have it. */
static bool read_part(const struct call *call, const struct json *object, bool is_c,
                      const struct initial_row *rows, size_t n_rows, float *state)
{
    const struct json *part = json_get(object, is_c ? "c" : "h"), *row = json_first(part);
    char place[PLACE_BYTES];
    size_t due = 0, last = 0, seen = 0;
    for (size_t i = 0; i < n_rows; i++)
        if (!is_c || rows[i].n_c) due++, last = i;
    snprintf(place, sizeof place, "%s.%c", name, is_c ? 'c' : 'h');
    if (due == 0 && !part) return true;
    if (due == 0)
        return problem_set(call->problem, FAULT_INVALID_VALUE, place,
                           "'%s' has no place: model '%s' has no lstm layer; leave it out", place,
                           call->model->name);
    if (due == 1 && json_kind(part) == JSON_ARRAY && json_kind(row) != JSON_ARRAY)
        return read_row(call, part, place, is_c ? rows[last].n_c : rows[last].n_h,
                        state + (is_c ? rows[last].c_at : rows[last].h_at));
    if (json_kind(part) != JSON_ARRAY)
        return field_expected(part, place, "an array with a row of numbers for each layer", call->problem);
    if (json_count(part) != due)
        return problem_set(call->problem, FAULT_INVALID_VALUE, place,
                           "'%s' has %zu rows; expected %zu, one for each layer of model '%s'", place,
                           json_count(part), due, call->model->name);
    for (size_t i = 0; i < n_rows; i++) {
        size_t n = is_c ? rows[i].n_c : rows[i].n_h, at = is_c ? rows[i].c_at : rows[i].h_at;
        if (n == 0) continue;
        snprintf(place, sizeof place, "%s.%c[%zu]", name, is_c ? 'c' : 'h', seen++);
        if (!read_row(call, row, place, n, state + at)) return false;
        row = json_next(row);
    }
    return true;
}

bool initial_read(const struct call *call, float **state)
{
    const struct network *network = call->model->network;
    const struct json *object = json_get(call->root, name);
    struct initial_row rows[MAX_ROWS];
    *state = NULL;
    if (!object) return true;
    size_t n_rows = initial_rows(network, rows, MAX_ROWS);
    if (n_rows == 0 || n_rows > MAX_ROWS)
        return problem_set(call->problem, FAULT_UNSUPPORTED_FOR_MODEL, name,
                           "model '%s' %s; leave '%s' out", call->model->name,
                           network_is_whole(network) ? "reads whole inputs and keeps no state"
                                                     : "has no lstm, gru or rnn layer to begin with it",
                           name);
    if (call->options.from)
        return problem_set(call->problem, FAULT_INVALID_VALUE, name,
                           "'%s' would replace the state that the request goes on from; send one of the two",
                           name);
    if (json_kind(object) != JSON_OBJECT)
        return field_expected(object, name, "an object with 'h' and, for an lstm, 'c'", call->problem);
    if (!fields_check(object, &fields, NULL, true, call->problem)) return false;
    *state = memory_new(network_state_floats(network), sizeof **state);
    if (!*state) return problem_set(call->problem, FAULT_NO_MEMORY, NULL, NULL);
    initial_mark(network, *state);
    return read_part(call, object, false, rows, n_rows, *state) &&
           read_part(call, object, true, rows, n_rows, *state);
}
