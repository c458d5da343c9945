/* Commands that compute: a server without its HTTP, whose handlers are asked. */
#include "server/cli/cli.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/memory.h"
#include "models/forecast/forecasting.h"
#include "models/text/utf8.h"
#include "server/cli/ask.h"
#include "server/cli/bodies.h"
#include "server/cli/picture_file.h"
#include "server/cli/plain.h"
#include "server/serve.h"

enum { MAX_INPUT_BYTES = 16 << 20 };

struct cli {
    const struct arguments *arguments;
    struct server server;
    struct model *model;
    size_t n_refused; /* bundles */
};

static int complain(const struct error *err)
{
    fprintf(stderr, "carousel: %s\n", err->message);
    return 1;
}

static int complain_status(enum status status)
{
    fprintf(stderr, "carousel: %s\n", status_text(status));
    return 1;
}

/* ---- input ---------------------------------------------------------------------------------- */

/* All of standard input; the caller frees. NULL if it is too long or there is no memory. */
static char *read_input(void)
{
    size_t n = 0, capacity = 65536;
    char *text = malloc(capacity + 1);
    while (text) {
        n += fread(text + n, 1, capacity - n, stdin);
        if (n < capacity) break;
        char *more = capacity < MAX_INPUT_BYTES ? realloc(text, 2 * capacity + 1) : NULL;
        if (!more) {
            free(text);
            fprintf(stderr, "carousel: standard input is longer than %d bytes\n", MAX_INPUT_BYTES);
            return NULL;
        }
        text = more;
        capacity *= 2;
    }
    if (text) text[n] = '\0';
    return text;
}

/* What a value of the command line stands for: itself, or standard input if it is "-". The caller frees. */
static char *read_value(const char *value)
{
    return strcmp(value, "-") ? strdup(value) : read_input();
}

/* false, with a sentence on stderr: a writer would put U+FFFD for bytes that are not UTF-8. */
static bool are_utf8(const char *const *texts, size_t n)
{
    size_t bad;
    for (size_t i = 0; i < n; i++) {
        if (utf8_is_valid(texts[i], strlen(texts[i]), &bad)) continue;
        fprintf(stderr, "carousel: text %zu is not UTF-8 at byte %zu\n", i, bad);
        return false;
    }
    return true;
}

static const char *model_name(const struct cli *cli)
{
    return *cli->arguments->model ? cli->arguments->model : cli->model->name;
}

static size_t body_limit(const struct cli *cli)
{
    return (size_t)cli->server.config->limits_body_bytes;
}

/* ---- generate ------------------------------------------------------------------------------- */

static int generate(struct cli *cli)
{
    const struct arguments *a = cli->arguments;
    struct json_body body = {0};
    if (a->n_values + (a->prompt != NULL) > 1)
        return fprintf(stderr, "carousel: generate takes one prompt; put it in quotes\n"), 2;
    char *prompt = read_value(a->prompt ? a->prompt : a->n_values ? a->values[0] : "");
    if (!prompt) return 1;
    bool good = are_utf8((const char *const[]){prompt}, 1) && are_utf8(a->stops, a->n_stops);
    enum status status =
        good ? body_of_prompt(a, model_name(cli), prompt, body_limit(cli), &body) : STATUS_BAD_VALUE;
    free(prompt);
    if (!good) return 1;
    if (status != STATUS_OK) return complain_status(status);
    int code = plain_completion(&cli->server, body.text, body.bytes, a->n > 1 ? (size_t)a->n : 1);
    free(body.text);
    return code;
}

/* ---- forecast ------------------------------------------------------------------------------- */

/* Numbers with commas between. */
static bool parse_quantiles(const char *text, double *levels, size_t *n)
{
    for (*n = 0; text && *text; (*n)++) {
        char *end;
        if (*n == FORECAST_MAX_QUANTILES) return false;
        levels[*n] = strtod(text, &end);
        if (end == text || (*end && *end != ',') || !(levels[*n] > 0 && levels[*n] < 1)) return false;
        text = *end ? end + 1 : end;
    }
    return true;
}

static bool parse_value(const char *text, double *value)
{
    char *end;
    if (!strcmp(text, "null") || !strcmp(text, "nan")) return *value = NAN, true;
    *value = strtod(text, &end);
    return end != text && !*end && isfinite(*value);
}

static int forecast(struct cli *cli)
{
    const struct arguments *a = cli->arguments;
    double levels[FORECAST_MAX_QUANTILES];
    size_t n_levels, n = a->n_values;
    if (!parse_quantiles(a->quantiles, levels, &n_levels))
        return fprintf(stderr, "carousel: --quantiles %s: expected numbers between 0 and 1, with commas\n",
                       a->quantiles),
               2;
    if (!n) return fprintf(stderr, "carousel: forecast needs the values of a series\n"), 2;
    if (a->horizon < 0)
        return fprintf(stderr, "carousel: forecast needs --horizon N, the number of values to forecast\n"), 2;
    double *values = memory_new(n, sizeof *values);
    if (!values) return complain_status(STATUS_NO_MEMORY);
    for (size_t i = 0; i < n; i++)
        if (!parse_value(a->values[i], &values[i])) {
            fprintf(stderr, "carousel: '%s' is no number; expected numbers, or null for a missing one\n",
                    a->values[i]);
            memory_free(values);
            return 2;
        }
    struct json_body body = {0};
    enum status status =
        body_of_series(a, model_name(cli), values, levels, n_levels, body_limit(cli), &body);
    memory_free(values);
    if (status != STATUS_OK) return complain_status(status);
    int code = plain_forecast(&cli->server, body.text, body.bytes, levels, n_levels);
    free(body.text);
    return code;
}

/* ---- ask, predict --------------------------------------------------------------------------- */

static int ask_route(struct cli *cli)
{
    const struct arguments *a = cli->arguments;
    if (a->n_values < 1 || a->n_values > 2)
        return fprintf(stderr, "carousel: ask needs a ROUTE such as /v1/classify, and perhaps JSON\n"), 2;
    char *body = a->n_values == 2 ? read_value(a->values[1]) : NULL;
    if (a->n_values == 2 && !body) return 1;
    int code = ask(&cli->server, a->values[0], body, body ? strlen(body) : 0);
    free(body);
    return code;
}

/* Ask a route with a body, whose making ended with `status`; it is freed. */
static int ask_body(struct cli *cli, const char *path, enum status status, struct json_body *body)
{
    int code = status == STATUS_OK ? ask(&cli->server, path, body->text, body->bytes)
                                   : complain_status(status);
    free(body->text);
    return code;
}

/* Ask a route for the texts that are arguments, or for the rows on standard input. */
static int ask_inputs(struct cli *cli, const char *path)
{
    const struct arguments *a = cli->arguments;
    struct json_body body = {0};
    if (!are_utf8(a->values, a->n_values)) return 1;
    char *text = a->n_values ? NULL : read_input();
    if (!a->n_values && !text) return 1;
    enum status status = body_of_inputs(a, model_name(cli), text, body_limit(cli), &body);
    free(text);
    if (status != STATUS_BAD_VALUE) return ask_body(cli, path, status, &body);
    fprintf(stderr, "carousel: standard input holds something that is no number; expected a line of "
                    "numbers a step\n");
    return 2;
}

static int predict(struct cli *cli)
{
    return ask_inputs(cli, "/v1/predict");
}

static int pronounce(struct cli *cli)
{
    if (!cli->arguments->n_values) return fprintf(stderr, "carousel: pronounce needs a WORD\n"), 2;
    return ask_inputs(cli, "/v1/pronounce");
}

static int caption(struct cli *cli)
{
    const struct arguments *a = cli->arguments;
    struct json_body body = {0};
    if (a->n_values != 1) return fprintf(stderr, "carousel: caption needs one FILE\n"), 2;
    char *url = picture_file_url(a->values[0], body_limit(cli) / 4 * 3);
    if (!url) return 1;
    enum status status = body_of_picture(a, model_name(cli), url, 2 * body_limit(cli), &body);
    free(url);
    return ask_body(cli, "/v1/caption", status, &body);
}

static int answer(struct cli *cli)
{
    const struct arguments *a = cli->arguments;
    struct json_body body = {0};
    if (a->n_values < 2)
        return fprintf(stderr, "carousel: answer needs a CONTEXT and a QUESTION, each in quotes\n"), 2;
    if (!are_utf8(a->values, a->n_values)) return 1;
    char *context = read_value(a->values[0]);
    if (!context) return 1;
    enum status status = body_of_questions(a, model_name(cli), context, body_limit(cli), &body);
    free(context);
    return ask_body(cli, "/v1/answer", status, &body);
}

/* ---- classify ------------------------------------------------------------------------------- */

/* Ask for the labels of a body, whose making ended with `status`; it is freed. */
static int ask_labels(struct cli *cli, enum status status, struct json_body *body)
{
    int code = status == STATUS_OK ? plain_labels(&cli->server, body->text, body->bytes)
                                   : complain_status(status);
    free(body->text);
    return code;
}

static int classify_rows(struct cli *cli, const char *text)
{
    size_t width = network_input_size(cli->model->network), n;
    struct json_body body = {0};
    enum status status =
        body_of_steps(cli->arguments, model_name(cli), text, width, &n, body_limit(cli), &body);
    if (status != STATUS_BAD_VALUE) return ask_labels(cli, status, &body);
    fprintf(stderr, "carousel: %zu numbers on standard input; expected steps of %zu finite numbers each\n", n,
            width);
    return 2;
}

static int classify(struct cli *cli)
{
    const struct arguments *a = cli->arguments;
    if (task_can(cli->model->task, ABILITY_TAG)) return ask_inputs(cli, "/v1/classify");
    if (cli->model->tokenizer) {
        struct json_body body = {0};
        if (!a->n_values) return fprintf(stderr, "carousel: classify needs a text\n"), 2;
        if (!are_utf8(a->values, a->n_values)) return 1;
        enum status status = body_of_inputs(a, model_name(cli), NULL, body_limit(cli), &body);
        return ask_labels(cli, status, &body);
    }
    if (a->n_values) return fprintf(stderr, "carousel: this model reads numbers, from standard input\n"), 2;
    char *text = read_input();
    if (!text) return 1;
    int code = classify_rows(cli, text);
    free(text);
    return code;
}

/* ---- all ------------------------------------------------------------------------------------ */

static const struct {
    enum ability ability;
    int (*run)(struct cli *cli);
} commands[] = {
    [COMMAND_GENERATE] = {ABILITY_COMPLETE, generate},
    [COMMAND_FORECAST] = {ABILITY_FORECAST, forecast},
    [COMMAND_CLASSIFY] = {ABILITY_CLASSIFY, classify},
    [COMMAND_PREDICT] = {ABILITY_PREDICT, predict},
    [COMMAND_PRONOUNCE] = {ABILITY_PRONOUNCE, pronounce},
    [COMMAND_ANSWER] = {ABILITY_ANSWER, answer},
    [COMMAND_CAPTION] = {ABILITY_CAPTION, caption},
};

/* Only the models that were refused are worth a word. */
static void on_model(void *context, enum repository_event event, const char *name, const struct model *model,
                     const struct error *err)
{
    struct cli *cli = context;
    (void)event, (void)model;
    if (!err) return;
    cli->n_refused++;
    fprintf(stderr, "carousel: model %s: %s\n", name, err->message);
}

/* The end of a sentence: the models that have the ability. */
static void tell_models(struct registry *registry, enum ability ability)
{
    struct model **models;
    size_t n, named = 0;
    if (registry_list(registry, &models, &n) != STATUS_OK) n = 0, models = NULL;
    for (size_t i = 0; i < n; i++) {
        if (task_can(models[i]->task, ability) && (!named || strcmp(models[i]->name, models[i - 1]->name)))
            fprintf(stderr, "%s %s", named++ ? "," : "; name one of:", models[i]->name);
    }
    fprintf(stderr, named ? "\n" : "; name a folder that holds one by --models DIR\n");
    for (size_t i = 0; i < n; i++) model_drop(models[i]);
    memory_free(models);
}

static int list_models(struct cli *cli)
{
    struct model **models;
    size_t n;
    enum status status = registry_list(cli->server.registry, &models, &n);
    if (status != STATUS_OK) return complain_status(status);
    for (size_t i = 0; i < n; i++) {
        const struct model *model = models[i];
        printf("%s\t%s\t%s\t%s\t%zu\n", model->name, model->version, model->task->name,
               precision_name(network_precision(model->network)), model_bytes(model));
        model_drop(models[i]);
    }
    memory_free(models);
    return cli->n_refused ? 1 : 0;
}

static struct model *find_model(struct cli *cli, enum ability ability)
{
    const char *name = cli->arguments->model;
    size_t n;
    struct model *model = *name ? registry_acquire(cli->server.registry, name)
                                : registry_acquire_only(cli->server.registry, ability, &n);
    if (model && task_can(model->task, ability)) return model;
    if (model)
        fprintf(stderr, "carousel: model '%s' (%s) cannot %s", model->name, model->task->name,
                ability_text(ability));
    else if (*name) fprintf(stderr, "carousel: there is no model '%s'", name);
    else fprintf(stderr, "carousel: --model NAME is needed: %zu models can %s", n, ability_text(ability));
    tell_models(cli->server.registry, ability);
    model_drop(model);
    return NULL;
}

/* The commands that compute. */
static int compute(struct cli *cli)
{
    enum command command = cli->arguments->command;
    cli->model = find_model(cli, commands[command].ability);
    int code = cli->model ? commands[command].run(cli) : 1;
    model_drop(cli->model);
    return code;
}

int cli_run(const struct arguments *arguments, const struct config *config)
{
    static struct cli cli;
    struct error err;
    if (server_open(&cli.server, config, on_model, NULL, &cli, &err) != STATUS_OK) return complain(&err);
    if (server_load(&cli.server, &err) != STATUS_OK) {
        server_close(&cli.server);
        return complain(&err);
    }
    atomic_store(&cli.server.phase, SERVER_READY); /* no other model comes */
    cli.arguments = arguments;
    int code = arguments->command == COMMAND_MODELS ? list_models(&cli)
               : arguments->command == COMMAND_ASK  ? ask_route(&cli)
                                                    : compute(&cli);
    server_close(&cli.server);
    return code;
}
