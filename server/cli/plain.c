#include "server/cli/plain.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "models/forecast/forecasting.h"
#include "models/text/json.h"
#include "models/text/number.h"
#include "server/api/bridge.h"
#include "server/base/json_writer.h"
#include "server/cli/ask.h"

static int complain(const char *sentence)
{
    fprintf(stderr, "carousel: %s\n", sentence);
    return 1;
}

static void print_warnings(const struct json *answer)
{
    const struct json *warning = json_first(json_get(answer, "warnings"));
    for (; warning; warning = json_next(warning))
        fprintf(stderr, "carousel: warning: %s\n", json_string(warning));
}

/* ---- whole answers -------------------------------------------------------------------------- */

static void collect(void *context, const char *bytes, size_t n)
{
    put_raw(context, bytes, n);
}

/* Ask, and read the answer into *answer, which the caller owns; NULL if the code is not 0. */
static int ask_json(struct server *server, const char *path, const char *body, size_t bytes,
                    struct json **answer)
{
    struct writer text;
    struct problem problem = {0};
    *answer = NULL;
    writer_init(&text, (size_t)server->config->limits_reply_bytes);
    int code = ask_reading(server, path, body, bytes, collect, &text);
    if (!code && writer_failed(&text)) code = complain("no memory for the answer");
    if (!code && !(*answer = bridge_parse(text.text, text.n, &problem))) code = complain(problem.message);
    writer_release(&text);
    if (*answer) print_warnings(*answer);
    return code;
}

static void print_number(const char *before, double value)
{
    char text[NUMBER_BYTES];
    number_print(text, value);
    printf("%s%s", before, text);
}

static void print_forecast(const struct json *forecast, const double *levels, size_t n_levels)
{
    const struct json *quantiles = json_get(forecast, "quantiles");
    const struct json *value = json_first(json_get(forecast, "mean"));
    if (n_levels) {
        printf("mean");
        for (size_t q = 0; q < n_levels; q++) print_number("\t", levels[q]);
        putchar('\n');
    }
    const struct json *next[FORECAST_MAX_QUANTILES];
    for (size_t q = 0; q < n_levels; q++) {
        char name[NUMBER_BYTES];
        number_print(name, levels[q]);
        next[q] = json_first(json_get(quantiles, name));
    }
    for (; value; value = json_next(value)) {
        print_number("", json_number(value));
        for (size_t q = 0; q < n_levels; q++) {
            print_number("\t", json_number(next[q]));
            next[q] = json_next(next[q]);
        }
        putchar('\n');
    }
}

int plain_forecast(struct server *server, const char *body, size_t bytes, const double *levels,
                   size_t n_levels)
{
    struct json *answer;
    int code = ask_json(server, "/v1/forecast", body, bytes, &answer);
    if (code) return code;
    const struct json *forecast = json_first(json_get(answer, "forecasts"));
    const struct json *error = json_get(forecast, "error");
    if (error) code = complain(json_string(error));
    else print_forecast(forecast, levels, n_levels);
    json_free(answer);
    return code;
}

int plain_labels(struct server *server, const char *body, size_t bytes)
{
    struct json *answer;
    int code = ask_json(server, "/v1/classify", body, bytes, &answer);
    if (code) return code;
    const struct json *result = json_first(json_get(answer, "results"));
    for (; result; result = json_next(result)) {
        const char *before = "";
        for (const struct json *v = json_first(result); v; v = json_next(v), before = "\t")
            printf("%s%s\t%.6f", before, json_string(json_get(v, "label")),
                   json_number(json_get(v, "score")));
        putchar('\n');
    }
    json_free(answer);
    return 0;
}

/* ---- streams -------------------------------------------------------------------------------- */

/* The texts of a stream: what has come of its last line, and of the choices after the first. */
struct texts {
    struct writer line;
    struct writer *later; /* [n - 1] */
    size_t n;
    bool failed;
};

static void read_choice(struct texts *texts, const struct json *choice)
{
    size_t index = (size_t)json_number(json_get(choice, "index"));
    const char *text = json_string(json_get(choice, "text"));
    if (index == 0) {
        fputs(text, stdout);
        fflush(stdout);
    } else if (index < texts->n) put_raw(&texts->later[index - 1], text, strlen(text));
}

static void read_event(struct texts *texts, const char *text, size_t n)
{
    struct problem problem = {0};
    struct json *event = bridge_parse(text, n, &problem);
    if (!event) {
        complain(problem.message);
        texts->failed = true;
        return;
    }
    const struct json *error = json_get(event, "error");
    if (error) complain(json_string(json_get(error, "message")));
    for (const struct json *v = json_first(json_get(event, "choices")); v; v = json_next(v))
        read_choice(texts, v);
    print_warnings(event);
    json_free(event);
}

/* Lines are "data: {json}", "data: [DONE]", a comment that begins with a colon, and empty ones. */
static void read_stream(void *context, const char *bytes, size_t n)
{
    static const char data[] = "data: {";
    struct texts *texts = context;
    struct writer *line = &texts->line;
    for (const char *end; (end = memchr(bytes, '\n', n)); n -= (size_t)(end + 1 - bytes), bytes = end + 1) {
        put_raw(line, bytes, (size_t)(end - bytes));
        if (line->n >= strlen(data) && !memcmp(line->text, data, strlen(data)))
            read_event(texts, line->text + strlen(data) - 1, line->n - strlen(data) + 1);
        texts->failed |= writer_failed(line);
        writer_clear(line);
    }
    put_raw(line, bytes, n);
}

static int print_later(struct texts *texts)
{
    putchar('\n');
    for (size_t i = 0; i + 1 < texts->n; i++) {
        if (writer_failed(&texts->later[i])) return complain("no memory for the texts");
        printf("----\n");
        fwrite(texts->later[i].text, 1, texts->later[i].n, stdout);
        putchar('\n');
    }
    return 0;
}

int plain_completion(struct server *server, const char *body, size_t bytes, size_t n)
{
    const size_t most = (size_t)server->config->limits_reply_bytes;
    struct texts texts = {.n = n, .later = calloc(n, sizeof *texts.later)};
    if (!texts.later) return complain("no memory for the texts");
    writer_init(&texts.line, most);
    for (size_t i = 0; i < n; i++) writer_init(&texts.later[i], most);
    int code = ask_reading(server, "/v1/completions", body, bytes, read_stream, &texts);
    if (!code && texts.failed) code = complain("the answer cannot be read");
    if (!code) code = print_later(&texts);
    for (size_t i = 0; i < n; i++) writer_release(&texts.later[i]);
    writer_release(&texts.line);
    free(texts.later);
    return code;
}
