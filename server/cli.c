/* Commands that compute: a server without its HTTP, one job, and a condition variable to wait on. */
#include "server/cli.h"

#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "core/memory.h"
#include "models/classification.h"
#include "models/forecasting.h"
#include "server/codec.h"
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

/* All of standard input; the caller frees. NULL where it is too long or there is no memory. */
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
    enum status status = tokenizer_encode(cli->model->tokenizer, text, strlen(text),
                                          (size_t)cli->server.config->limits_prompt_tokens, &ids, &n, &err);
    if (status != STATUS_OK) return complain(&err), false;
    *out = (struct token_span){ids, n};
    return true;
}

/* ---- generate ------------------------------------------------------------------------------- */

/* What is new of the first choice, as it comes. */
static void tell_text(struct generation *generation, size_t *told)
{
    struct generation_choice choice;
    generation_read(generation, 0, &choice);
    if (choice.n_text <= *told) return;
    fwrite(choice.text + *told, 1, choice.n_text - *told, stdout);
    fflush(stdout);
    *told = choice.n_text;
}

static int tell_generation(struct cli *cli, struct generation *generation)
{
    enum status status = job_start(generation_job(generation), cli->server.scheduler);
    size_t told = 0;
    if (status != STATUS_OK) return complain_status(status);
    while (!wait_news(&cli->waiting)) tell_text(generation, &told);
    status = job_status(generation_job(generation));
    if (status != STATUS_OK) return complain_status(status);
    tell_text(generation, &told);
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
    const struct generation_defaults *defaults = &cli->model->generation;
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

static void tell_forecast(const struct forecast_result *result, size_t horizon, const double *levels,
                          size_t n_levels)
{
    if (n_levels) {
        printf("mean");
        for (size_t q = 0; q < n_levels; q++) printf("\t%g", levels[q]);
        putchar('\n');
    }
    for (size_t t = 0; t < horizon; t++) {
        printf("%.7g", result->mean[t]);
        for (size_t q = 0; q < n_levels; q++) printf("\t%.7g", result->quantiles[q * horizon + t]);
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
                                       .horizon = a->horizon >= 0 ? (size_t)a->horizon : 1,
                                       .quantiles = levels,
                                       .n_quantiles = n_levels,
                                       .seed = a->seed >= 0 ? (uint64_t)a->seed : (uint64_t)time(NULL)};
    request.num_samples = a->num_samples >= 0 ? (size_t)a->num_samples
                          : n_levels          ? cli->model->forecast.num_samples
                                              : 0;
    int code = run_forecast(cli, &request);
    memory_free(values);
    return code;
}

/* ---- classify ------------------------------------------------------------------------------- */

static void tell_labels(const struct model *model, const float *scores, size_t top)
{
    bool told[1024] = {0};
    for (size_t k = 0; k < top && k < model->n_labels; k++) {
        size_t best = SIZE_MAX;
        for (size_t i = 0; i < model->n_labels && i < sizeof told; i++)
            if (!told[i] && (best == SIZE_MAX || scores[i] > scores[best])) best = i;
        if (best == SIZE_MAX) return;
        told[best] = true;
        printf("%s%s\t%.6f", k ? "\t" : "", model->labels[best], (double)scores[best]);
    }
    putchar('\n');
}

static int run_classification(struct cli *cli, const struct classification_input *inputs, size_t n)
{
    struct classification *job;
    struct error err;
    size_t top = cli->arguments->top_k > 0 ? (size_t)cli->arguments->top_k : cli->model->n_labels;
    if (classification_new(cli->model, inputs, n, scheduler_max_rows(cli->server.scheduler), &cli->options,
                           &job, &err) != STATUS_OK)
        return complain(&err);
    enum status status = run(cli, classification_job(job));
    for (size_t i = 0; status == STATUS_OK && i < n; i++)
        tell_labels(cli->model, classification_scores(job) + i * cli->model->n_labels, top);
    job_free(classification_job(job));
    return status == STATUS_OK ? 0 : complain_status(status);
}

static int classify_texts(struct cli *cli)
{
    const struct arguments *a = cli->arguments;
    size_t n = a->n_values;
    struct classification_input *inputs = memory_new(n + 1, sizeof *inputs);
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
    float *values = memory_new(room, sizeof *values);
    if (!values) return complain_status(STATUS_NO_MEMORY);
    char *end;
    for (double value = strtod(text, &end); end != text && n < room; value = strtod(text = end, &end))
        values[n++] = (float)value;
    int code;
    if (text[strspn(text, " \t\r\n")] || !n || n % width)
        code = (fprintf(stderr, "carousel: %zu numbers on standard input; expected steps of %zu numbers each"
                        "\n", n, width), 2);
    else {
        const struct classification_input input = {.features = values, .n_steps = n / width};
        code = run_classification(cli, &input, 1);
    }
    memory_free(values);
    return code;
}

static int classify(struct cli *cli)
{
    const struct arguments *a = cli->arguments;
    if (cli->model->task == TASK_TEXT_CLASSIFICATION)
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
    unsigned tasks;
    int (*run)(struct cli *cli);
} commands[] = {
    [COMMAND_GENERATE] = {TASK_BIT(TEXT_GENERATION), generate},
    [COMMAND_FORECAST] = {TASK_BIT(FORECASTING), forecast},
    [COMMAND_CLASSIFY] = {TASK_BIT(TEXT_CLASSIFICATION) | TASK_BIT(SEQUENCE_CLASSIFICATION), classify},
};

/* Only the models that were refused are worth a word. */
static void on_model(void *context, enum repository_event event, const char *name, const struct model *model,
                     const struct error *err)
{
    (void)context, (void)event, (void)model;
    if (err) fprintf(stderr, "carousel: model %s: %s\n", name, err->message);
}

/* The end of a sentence: the models that serve one of the tasks. */
static void tell_models(struct registry *registry, unsigned tasks)
{
    struct model **models;
    size_t n, told = 0;
    if (registry_list(registry, &models, &n) != STATUS_OK) n = 0, models = NULL;
    for (size_t i = 0; i < n; i++) {
        if (tasks >> models[i]->task & 1 && (!told || strcmp(models[i]->name, models[i - 1]->name)))
            fprintf(stderr, "%s %s", told++ ? "," : "; name one of:", models[i]->name);
    }
    fprintf(stderr, told ? "\n" : "; name a folder that holds one by --models DIR\n");
    for (size_t i = 0; i < n; i++) model_drop(models[i]);
    memory_free(models);
}

static struct model *find_model(struct cli *cli, unsigned tasks)
{
    const char *name = cli->arguments->model;
    size_t n;
    struct model *model = *name ? registry_acquire(cli->server.registry, name)
                                : registry_acquire_only(cli->server.registry, tasks, &n);
    if (model && tasks >> model->task & 1) return model;
    if (model)
        fprintf(stderr, "carousel: model '%s' (%s) cannot do this", model->name, task_name(model->task));
    else if (*name) fprintf(stderr, "carousel: there is no model '%s'", name);
    else fprintf(stderr, "carousel: --model NAME is needed: %zu models can do this", n);
    tell_models(cli->server.registry, tasks);
    model_drop(model);
    return NULL;
}

int cli_run(const struct arguments *arguments, const struct config *config)
{
    static struct cli cli;
    struct error err;
    if (server_open(&cli.server, config, on_model, NULL, &err) != STATUS_OK) return complain(&err);
    if (server_load(&cli.server, &err) != STATUS_OK) {
        server_close(&cli.server);
        return complain(&err);
    }
    cli.arguments = arguments;
    pthread_mutex_init(&cli.waiting.mu, NULL);
    pthread_cond_init(&cli.waiting.changed, NULL);
    cli.options.observer = (struct job_observer){on_progress, on_finished, &cli.waiting};
    int code = 1;
    cli.model = find_model(&cli, commands[arguments->command].tasks);
    if (cli.model) code = commands[arguments->command].run(&cli);
    model_drop(cli.model);
    server_close(&cli.server);
    return code;
}
