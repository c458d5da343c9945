/* Commands that compute: a server without its HTTP, one job, and a condition variable to wait on. */
#include "server/cli/cli.h"

#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "core/base/memory.h"
#include "models/jobs/scores.h"
#include "models/tasks/classification.h"
#include "models/forecast/forecasting.h"
#include "models/generation/generation.h"
#include "models/text/number.h"
#include "server/api/codec.h"
#include "server/cli/ask.h"
#include "server/cli/bodies.h"
#include "server/cli/picture_file.h"
#include "server/serve.h"

enum { MAX_INPUT_BYTES = 16 << 20, MAX_QUANTILES = 99 };

/* What the job tells: guarded by mu. */
struct waiting {
    pthread_mutex_t mu;
    pthread_cond_t changed;
    bool progressed, finished;
};

struct cli {
    const struct arguments *arguments;
    struct server server;
    struct model *model;
    struct waiting waiting;
    struct job_options options;
    size_t n_refused; /* bundles */
};

static void on_progress(void *context)
{
    struct waiting *waiting = context;
    pthread_mutex_lock(&waiting->mu);
    waiting->progressed = true;
    pthread_cond_signal(&waiting->changed);
    pthread_mutex_unlock(&waiting->mu);
}

static void on_finished(void *context)
{
    struct waiting *waiting = context;
    pthread_mutex_lock(&waiting->mu);
    waiting->finished = true;
    pthread_cond_signal(&waiting->changed);
    pthread_mutex_unlock(&waiting->mu);
}

/* Until there is news; true once the job has finished. */
static bool wait_news(struct waiting *waiting)
{
    pthread_mutex_lock(&waiting->mu);
    while (!waiting->progressed && !waiting->finished) pthread_cond_wait(&waiting->changed, &waiting->mu);
    waiting->progressed = false;
    bool finished = waiting->finished;
    pthread_mutex_unlock(&waiting->mu);
    return finished;
}

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

/* Start the job and wait until it has ended. */
static enum status run(struct cli *cli, struct job *job)
{
    enum status status = job_start(job, cli->server.scheduler);
    if (status != STATUS_OK) return status;
    while (!wait_news(&cli->waiting)) continue;
    return job_status(job);
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

static bool encode(struct cli *cli, const char *text, struct token_span *out)
{
    struct error err;
    int32_t *ids;
    size_t n;
    struct tokenizer_loss loss = {0};
    char warning[WARNING_BYTES];
    enum status status =
        tokenizer_read(cli->model->tokenizer, text, strlen(text),
                       (size_t)cli->server.config->limits_prompt_tokens, &ids, &n, &loss, &err);
    if (status != STATUS_OK) return complain(&err), false;
    if (tokenizer_loss_sentence(&loss, "input", warning, sizeof warning))
        fprintf(stderr, "carousel: warning: %s\n", warning);
    *out = (struct token_span){ids, n};
    return true;
}

/* ---- generate ------------------------------------------------------------------------------- */

/* What is new of the first choice, as it comes. */
static void tell_text(struct generation *generation, size_t *printed)
{
    struct generation_choice choice;
    generation_read(generation, 0, &choice);
    if (choice.n_text <= *printed) return;
    fwrite(choice.text + *printed, 1, choice.n_text - *printed, stdout);
    fflush(stdout);
    *printed = choice.n_text;
}

static int tell_generation(struct cli *cli, struct generation *generation)
{
    enum status status = job_start(generation_job(generation), cli->server.scheduler);
    size_t printed = 0;
    if (status != STATUS_OK) return complain_status(status);
    while (!wait_news(&cli->waiting)) tell_text(generation, &printed);
    status = job_status(generation_job(generation));
    if (status != STATUS_OK) return complain_status(status);
    tell_text(generation, &printed);
    putchar('\n');
    for (size_t i = 1; i < generation_n_choices(generation); i++) {
        struct generation_choice choice;
        generation_read(generation, i, &choice);
        printf("----\n");
        fwrite(choice.text, 1, choice.n_text, stdout);
        putchar('\n');
    }
    return 0;
}

static int generate(struct cli *cli)
{
    const struct arguments *a = cli->arguments;
    const struct generation_defaults *defaults = generation_defaults_of(cli->model);
    char *input = NULL;
    const char *text = a->prompt ? a->prompt : a->n_values ? a->values[0] : "";
    if (a->n_values + (a->prompt != NULL) > 1)
        return fprintf(stderr, "carousel: generate takes one prompt; put it in quotes\n"), 2;
    if (!strcmp(text, "-") && !(text = input = read_input())) return 1;
    struct token_span prompt;
    bool good = encode(cli, text, &prompt);
    free(input);
    if (!good) return 1;
    struct generation_request request = {
        .prompts = &prompt, .n_prompts = 1, .n = a->n >= 0 ? (size_t)a->n : 1, .logprobs = -1,
        .max_tokens = a->max_tokens >= 0 ? (size_t)a->max_tokens : (size_t)defaults->max_tokens,
        .temperature = a->temperature >= 0 ? a->temperature : defaults->temperature,
        .top_p = a->top_p >= 0 ? a->top_p : defaults->top_p,
        .min_p = a->min_p >= 0 ? a->min_p : defaults->min_p,
        .top_k = a->top_k >= 0 ? (size_t)a->top_k : (size_t)defaults->top_k,
        .repetition_penalty = defaults->repetition_penalty,
        .no_repeat_ngram_size = (size_t)defaults->no_repeat_ngram_size,
        .seed = a->seed >= 0 ? (uint64_t)a->seed : (uint64_t)time(NULL),
        .n_stops = a->n_stops};
    request.best_of = request.n;
    for (size_t i = 0; i < a->n_stops; i++) {
        request.stops[i] = a->stops[i];
        request.stop_bytes[i] = strlen(a->stops[i]);
    }
    struct generation *generation;
    struct error err;
    int code = generation_new(cli->model, &request, &cli->options, &generation, &err) == STATUS_OK
                   ? -1
                   : complain(&err);
    memory_free((void *)(size_t)prompt.ids);
    if (code >= 0) return code;
    code = tell_generation(cli, generation);
    job_free(generation_job(generation));
    return code;
}

/* ---- forecast ------------------------------------------------------------------------------- */

/* Numbers with commas between. */
static bool parse_quantiles(const char *text, double *levels, size_t *n)
{
    for (*n = 0; text && *text; (*n)++) {
        char *end;
        if (*n == MAX_QUANTILES) return false;
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

static void tell_number(const char *before, double value)
{
    char text[NUMBER_BYTES];
    number_print(text, value);
    printf("%s%s", before, text);
}

static void tell_forecast(const struct forecast_result *result, size_t horizon, const double *levels,
                          size_t n_levels)
{
    if (n_levels) {
        printf("mean");
        for (size_t q = 0; q < n_levels; q++) tell_number("\t", levels[q]);
        putchar('\n');
    }
    for (size_t t = 0; t < horizon; t++) {
        tell_number("", result->mean[t]);
        for (size_t q = 0; q < n_levels; q++) tell_number("\t", result->quantiles[q * horizon + t]);
        putchar('\n');
    }
}

static int run_forecast(struct cli *cli, const struct forecast_request *request)
{
    struct forecast *forecast;
    struct forecast_result result;
    struct error err;
    if (forecast_new(cli->model, request, &cli->options, &forecast, &err) != STATUS_OK) return complain(&err);
    int code = 0;
    enum status status = run(cli, forecast_job(forecast));
    if (status != STATUS_OK) code = complain_status(status);
    else {
        forecast_read(forecast, 0, &result);
        if (result.error) code = (fprintf(stderr, "carousel: %s\n", result.error), 1);
        else tell_forecast(&result, request->horizon, request->quantiles, request->n_quantiles);
    }
    job_free(forecast_job(forecast));
    return code;
}

static int forecast(struct cli *cli)
{
    const struct arguments *a = cli->arguments;
    double levels[MAX_QUANTILES];
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
    const struct forecast_series series = {.values = values, .n = n};
    struct forecast_request request = {.series = &series,
                                       .n_series = 1,
                                       .horizon = (size_t)a->horizon,
                                       .quantiles = levels,
                                       .n_quantiles = n_levels,
                                       .seed = a->seed >= 0 ? (uint64_t)a->seed : (uint64_t)time(NULL)};
    request.num_samples = a->num_samples >= 0 ? (size_t)a->num_samples
                          : n_levels          ? forecast_spec_of(cli->model)->num_samples
                                              : 0;
    int code = run_forecast(cli, &request);
    memory_free(values);
    return code;
}

/* ---- ask, predict --------------------------------------------------------------------------- */

/* What a value of the command line stands for: itself, or standard input if it is "-". The caller frees. */
static char *read_value(const char *value)
{
    return strcmp(value, "-") ? strdup(value) : read_input();
}

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

static size_t body_limit(const struct cli *cli)
{
    return (size_t)cli->server.config->limits_body_bytes;
}

/* Ask a route for the texts that are arguments, or for the rows on standard input. */
static int ask_inputs(struct cli *cli, const char *path)
{
    const struct arguments *a = cli->arguments;
    struct json_body body = {0};
    char *text = a->n_values ? NULL : read_input();
    if (!a->n_values && !text) return 1;
    enum status status = body_of_inputs(a, cli->model->name, text, body_limit(cli), &body);
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
    enum status status = body_of_picture(a, cli->model->name, url, 2 * body_limit(cli), &body);
    free(url);
    return ask_body(cli, "/v1/caption", status, &body);
}

static int answer(struct cli *cli)
{
    const struct arguments *a = cli->arguments;
    struct json_body body = {0};
    if (a->n_values < 2)
        return fprintf(stderr, "carousel: answer needs a CONTEXT and a QUESTION, each in quotes\n"), 2;
    char *context = read_value(a->values[0]);
    if (!context) return 1;
    enum status status = body_of_questions(a, cli->model->name, context, body_limit(cli), &body);
    free(context);
    return ask_body(cli, "/v1/answer", status, &body);
}

/* ---- classify ------------------------------------------------------------------------------- */

/* Print the best labels of each input, a line each. */
static enum status tell_labels(const struct model *model, const float *scores, size_t n, size_t top)
{
    struct label_rank *ranks = memory_new(model->n_labels, sizeof *ranks);
    if (!ranks) return STATUS_NO_MEMORY;
    for (size_t i = 0; i < n; i++) {
        scores_rank(scores + i * model->n_labels, model->n_labels, ranks);
        for (size_t k = 0; k < top && k < model->n_labels; k++)
            printf("%s%s\t%.6f", k ? "\t" : "", model->labels[ranks[k].label], (double)ranks[k].score);
        putchar('\n');
    }
    memory_free(ranks);
    return STATUS_OK;
}

static int run_classification(struct cli *cli, const struct input *inputs, size_t n)
{
    struct reading *job;
    struct error err;
    size_t top = cli->arguments->top_k > 0 ? (size_t)cli->arguments->top_k : cli->model->n_labels;
    const struct reading_want want = classification_want(cli->model);
    if (reading_new(cli->model, inputs, n, &want, scheduler_max_rows(cli->server.scheduler), &cli->options,
                    &job, &err) != STATUS_OK)
        return complain(&err);
    enum status status = run(cli, reading_job(job));
    if (status == STATUS_OK) status = tell_labels(cli->model, reading_rows(job, 0, NULL), n, top);
    job_free(reading_job(job));
    return status == STATUS_OK ? 0 : complain_status(status);
}

static int classify_texts(struct cli *cli)
{
    const struct arguments *a = cli->arguments;
    size_t n = a->n_values;
    struct input *inputs = memory_new(n + 1, sizeof *inputs);
    int code = inputs ? 0 : complain_status(STATUS_NO_MEMORY);
    for (size_t i = 0; i < n && !code; i++) code = encode(cli, a->values[i], &inputs[i].tokens) ? 0 : 1;
    if (!code) code = run_classification(cli, inputs, n);
    for (size_t i = 0; inputs && i < n; i++) memory_free((void *)(size_t)inputs[i].tokens.ids);
    memory_free(inputs);
    return code;
}

/* Numbers, white space between: a step after the other. */
static int classify_rows(struct cli *cli, const char *text)
{
    size_t width = network_input_size(cli->model->network), n = 0, room = strlen(text) / 2 + 1;
    double *values = memory_new(room, sizeof *values);
    if (!values) return complain_status(STATUS_NO_MEMORY);
    char *end;
    for (double value = strtod(text, &end); end != text && n < room; value = strtod(text = end, &end))
        values[n++] = value;
    int code;
    if (text[strspn(text, " \t\r\n")] || !n || n % width)
        code = (fprintf(stderr, "carousel: %zu numbers on standard input; expected steps of %zu numbers each"
                        "\n", n, width), 2);
    else {
        const struct input input = {.features = values, .n_steps = n / width};
        code = run_classification(cli, &input, 1);
    }
    memory_free(values);
    return code;
}

static int classify(struct cli *cli)
{
    const struct arguments *a = cli->arguments;
    if (task_can(cli->model->task, ABILITY_TAG)) return ask_inputs(cli, "/v1/classify");
    if (cli->model->tokenizer)
        return a->n_values ? classify_texts(cli) : (fprintf(stderr, "carousel: classify needs a text\n"), 2);
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
    pthread_mutex_init(&cli->waiting.mu, NULL);
    pthread_cond_init(&cli->waiting.changed, NULL);
    cli->options.observer = (struct job_observer){on_progress, on_finished, &cli->waiting};
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
    cli.arguments = arguments;
    int code = arguments->command == COMMAND_MODELS ? list_models(&cli)
               : arguments->command == COMMAND_ASK  ? ask_route(&cli)
                                                    : compute(&cli);
    server_close(&cli.server);
    return code;
}
