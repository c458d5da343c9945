#include "server/api/pen_strokes.h"

#include <math.h>

#include "core/base/memory.h"
#include "server/base/config.h"

/* What is being read. */
struct reader {
    struct call *call;
    const char *param;
};

static bool read_coordinate(const struct reader *reader, const struct json *value, double *out)
{
    double number = json_kind(value) == JSON_NUMBER ? json_number(value) : (double)INFINITY;
    *out = number;
    return fabs(number) <= 1e9 || field_expected(value, reader->param,
                                                 "points of two numbers between -1e9 and 1e9: "
                                                 "{\"x\": 1, \"y\": 2} or [1, 2]", reader->call->problem);
}

/* Append one point, an object or an array. */
static bool read_point(const struct reader *reader, const struct json *point, double *out)
{
    const struct json *x = json_get(point, "x"), *y = json_get(point, "y");
    if (json_kind(point) == JSON_ARRAY) {
        x = json_first(point);
        y = x ? json_next(x) : NULL;
    }
    return read_coordinate(reader, x, &out[0]) && read_coordinate(reader, y, &out[1]);
}

/* Append a stroke that is {"x": [...], "y": [...]}. */
static bool read_columns(const struct reader *reader, const struct json *stroke, double *out)
{
    const struct json *x = json_first(json_get(stroke, "x")), *y = json_first(json_get(stroke, "y"));
    for (; x && y; x = json_next(x), y = json_next(y), out += 2)
        if (!read_coordinate(reader, x, &out[0]) || !read_coordinate(reader, y, &out[1])) return false;
    return (!x && !y) || problem_set(reader->call->problem, FAULT_INVALID_VALUE, reader->param,
                                     "a stroke has more of 'x' than of 'y', or fewer; expected as many");
}

/* The points of a stroke: its elements, or its columns'. */
static size_t count_points(const struct json *stroke)
{
    const struct json *x = json_get(stroke, "x");
    if (json_kind(stroke) == JSON_OBJECT) return json_kind(x) == JSON_ARRAY ? json_count(x) : 0;
    return json_kind(stroke) == JSON_ARRAY ? json_count(stroke) : 0;
}

/* Count strokes and points, of which there must be some, and not too many. */
static bool measure(const struct reader *reader, const struct json *field, size_t *n_strokes, size_t *n)
{
    struct problem *problem = reader->call->problem;
    const size_t most = (size_t)reader->call->config->limits_sequence_values / 2;
    *n = *n_strokes = 0;
    for (const struct json *s = json_kind(field) == JSON_ARRAY ? json_first(field) : NULL; s;
         s = json_next(s), ++*n_strokes) {
        size_t points = count_points(s);
        if (!points)
            return problem_set(problem, FAULT_INVALID_VALUE, reader->param,
                               "'%s[%zu]' has no points; expected an array of points, or "
                               "{\"x\": [...], \"y\": [...]}", reader->param, *n_strokes);
        *n += points;
    }
    if (!*n)
        return field_expected(field, reader->param, "an array of strokes, each an array of points", problem);
    return *n <= most || problem_set(problem, FAULT_INPUT_TOO_LONG, reader->param,
                                     "'%s' has %zu points; expected at most %zu", reader->param, *n, most);
}

bool strokes_read(struct call *call, const struct json *field, const char *param, struct raw_owned *out)
{
    const struct reader reader = {call, param};
    size_t n, n_strokes;
    *out = (struct raw_owned){.values = NULL};
    if (!measure(&reader, field, &n_strokes, &n)) return false;
    out->values = memory_new(n, 2 * sizeof *out->values);
    out->ends = memory_new(n_strokes, sizeof *out->ends);
    if (!out->values || !out->ends) return problem_set(call->problem, FAULT_NO_MEMORY, NULL, NULL);
    struct raw *raw = &out->raw;
    *raw = (struct raw){.media = MEDIA_INK, .values = out->values, .ends = out->ends};
    for (const struct json *s = json_first(field); s; s = json_next(s)) {
        bool is_object = json_kind(s) == JSON_OBJECT;
        if (is_object && !read_columns(&reader, s, out->values + 2 * raw->n)) return false;
        if (is_object) raw->n += count_points(s);
        for (const struct json *p = is_object ? NULL : json_first(s); p; p = json_next(p))
            if (!read_point(&reader, p, out->values + 2 * raw->n++)) return false;
        out->ends[raw->n_ends++] = raw->n;
    }
    return true;
}
