#include "server/cli/bodies.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "server/base/json_writer.h"

/* Options that are not given are negative. */
static void put_given_integer(struct writer *out, const char *name, int64_t value)
{
    if (value >= 0) put_named_integer(out, name, value);
}

static void put_given_number(struct writer *out, const char *name, double value)
{
    if (!(value >= 0)) return;
    put_name(out, name);
    put_double(out, value);
}

/* Begin a body: the model, and how many results. */
static void open_body(struct writer *out, const struct arguments *a, const char *model, size_t most)
{
    writer_init(out, most);
    put_open(out, '{');
    put_named_string(out, "model", model);
    put_given_integer(out, "n", a->n);
}

static enum status close_body(struct writer *out, struct json_body *body)
{
    put_close(out, '}');
    body->text = writer_take(out, &body->bytes);
    return body->text ? STATUS_OK : STATUS_TOO_LONG;
}

static void put_strings(struct writer *out, const char *name, const char *const *texts, size_t n)
{
    put_name(out, name);
    put_open(out, '[');
    for (size_t i = 0; i < n; i++) put_string(out, texts[i]);
    put_close(out, ']');
}

static void put_numbers(struct writer *out, const char *name, const double *values, size_t n)
{
    put_name(out, name);
    put_open(out, '[');
    for (size_t i = 0; i < n; i++) put_double(out, values[i]);
    put_close(out, ']');
}

/* The arguments from number `first` on. */
static void put_values(struct writer *out, const char *name, const struct arguments *a, size_t first)
{
    put_strings(out, name, a->values + first, a->n_values - first);
}

/* Lines of numbers as rows of JSON. false: something is no number. */
static bool put_rows(struct writer *out, char *text)
{
    char *rest, *end;
    put_open(out, '[');
    for (char *line = strtok_r(text, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest)) {
        if (!line[strspn(line, " \t\r")]) continue;
        put_open(out, '[');
        for (double value = strtod(line, &end); end != line; value = strtod(line = end, &end))
            put_double(out, value);
        put_close(out, ']');
        if (line[strspn(line, " \t\r")]) return false;
    }
    put_close(out, ']');
    return true;
}

enum status body_of_inputs(const struct arguments *a, const char *model, char *rows, size_t most,
                           struct json_body *out)
{
    struct writer writer;
    bool good = true;
    open_body(&writer, a, model, most);
    if (a->returns) put_named_string(&writer, "return", a->returns);
    if (a->top_k > 0) put_named_integer(&writer, "top_k", a->top_k);
    if (a->alphabet) put_named_string(&writer, "alphabet", a->alphabet);
    if (rows) {
        put_name(&writer, "input");
        good = put_rows(&writer, rows);
    } else put_values(&writer, "input", a, 0);
    enum status status = close_body(&writer, out);
    if (good) return status;
    free(out->text);
    out->text = NULL;
    return STATUS_BAD_VALUE;
}

enum status body_of_steps(const struct arguments *a, const char *model, const char *text, size_t width,
                          size_t *n, size_t most, struct json_body *out)
{
    struct writer writer;
    char *end;
    bool good = true;
    *n = 0;
    open_body(&writer, a, model, most);
    if (a->top_k > 0) put_named_integer(&writer, "top_k", a->top_k);
    put_name(&writer, "input");
    put_open(&writer, '[');
    for (double value = strtod(text, &end); end != text; value = strtod(text = end, &end)) {
        if (*n % width == 0) put_open(&writer, '[');
        put_double(&writer, value);
        good &= isfinite(value);
        if (++*n % width == 0) put_close(&writer, ']');
    }
    put_close(&writer, ']');
    good &= !text[strspn(text, " \t\r\n")] && *n && *n % width == 0;
    if (good) return close_body(&writer, out);
    writer_release(&writer);
    return STATUS_BAD_VALUE;
}

enum status body_of_prompt(const struct arguments *a, const char *model, const char *prompt, size_t most,
                           struct json_body *out)
{
    struct writer writer;
    open_body(&writer, a, model, most);
    put_named_string(&writer, "prompt", prompt);
    put_given_integer(&writer, "max_tokens", a->max_tokens);
    put_given_number(&writer, "temperature", a->temperature);
    put_given_number(&writer, "top_p", a->top_p);
    put_given_number(&writer, "min_p", a->min_p);
    put_given_integer(&writer, "top_k", a->top_k);
    put_given_integer(&writer, "seed", a->seed);
    if (a->n_stops) put_strings(&writer, "stop", a->stops, a->n_stops);
    put_named_boolean(&writer, "stream", true);
    return close_body(&writer, out);
}

enum status body_of_series(const struct arguments *a, const char *model, const double *values,
                           const double *levels, size_t n_levels, size_t most, struct json_body *out)
{
    struct writer writer;
    open_body(&writer, a, model, most);
    put_numbers(&writer, "series", values, a->n_values);
    put_named_integer(&writer, "horizon", a->horizon);
    put_given_integer(&writer, "num_samples", a->num_samples);
    put_given_integer(&writer, "seed", a->seed);
    if (n_levels) put_numbers(&writer, "quantiles", levels, n_levels);
    return close_body(&writer, out);
}

enum status body_of_picture(const struct arguments *a, const char *model, const char *url, size_t most,
                            struct json_body *out)
{
    struct writer writer;
    open_body(&writer, a, model, most);
    put_named_string(&writer, "image", url);
    return close_body(&writer, out);
}

enum status body_of_questions(const struct arguments *a, const char *model, const char *context, size_t most,
                              struct json_body *out)
{
    struct writer writer;
    open_body(&writer, a, model, most);
    put_named_string(&writer, "context", context);
    put_values(&writer, "question", a, 1);
    return close_body(&writer, out);
}
