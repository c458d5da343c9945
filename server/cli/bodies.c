#include "server/cli/bodies.h"

#include <stdlib.h>
#include <string.h>

#include "server/base/json_writer.h"

/* Begin a body: the model, and how many results. */
static void open_body(struct writer *out, const struct arguments *a, const char *model, size_t most)
{
    writer_init(out, most);
    put_open(out, '{');
    put_named_string(out, "model", model);
    if (a->n >= 0) put_named_integer(out, "n", a->n);
}

static enum status close_body(struct writer *out, struct json_body *body)
{
    put_close(out, '}');
    body->text = writer_take(out, &body->bytes);
    return body->text ? STATUS_OK : STATUS_TOO_LONG;
}

/* The arguments from number `first` on. */
static void put_values(struct writer *out, const char *name, const struct arguments *a, size_t first)
{
    put_name(out, name);
    put_open(out, '[');
    for (size_t i = first; i < a->n_values; i++) put_string(out, a->values[i]);
    put_close(out, ']');
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
