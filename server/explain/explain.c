/* POST /v1/explain: the cells of a model while it reads an input, and what an output owes to each step. */
#include <math.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "core/base/clock.h"
#include "core/base/memory.h"
#include "models/explain/explanation.h"
#include "models/features/feature.h"
#include "server/api/codec.h"
#include "server/explain/explain_answer.h"
#include "server/explain/explainer.h"
#include "server/api/work.h"
#include "server/request/metrics.h"
#include "server/request/server.h"

enum { UNITS = 32, RETRY_S = 1 };

/* The operation. */
struct explain {
    struct explainer_task task; /* first */
    struct server *server;
    struct request *request;
    struct explanation *explanation;
    bool safetensors;
    int64_t deadline_us; /* 0: none */
    int64_t submitted_us, begun_us;
    enum status status;
    atomic_bool cancelled;
};

/* ---- what is asked ------------------------------------------------------------------------- */

/* What the request's pointers point to, owned. */
struct asked {
    struct explanation_request request;
    struct inputs inputs;
    struct steps steps;
    struct front_steps front;
    int32_t *written;
    double *series, *follow;
    size_t *units;
    bool safetensors;
};

static void asked_free(struct asked *asked)
{
    inputs_free(&asked->inputs);
    front_steps_free(&asked->front);
    memory_free(asked->steps.tokens);
    memory_free(asked->steps.features);
    memory_free(asked->written);
    memory_free(asked->series);
    memory_free(asked->follow);
    memory_free(asked->units);
}

static bool no_memory(struct call *call)
{
    return problem_set(call->problem, FAULT_NO_MEMORY, NULL, NULL);
}

/* Read an array of at most `max` numbers, each of which may be null if `holes`: *out is the caller's to
 * free. */
static bool read_numbers(struct call *call, const char *name, bool holes, size_t max, double **out, size_t *n)
{
    const struct json *field = json_get(call->root, name);
    char at[ERROR_PARAM_BYTES];
    if (json_kind(field) != JSON_ARRAY || !json_first(field))
        return field_expected(field, name, "an array of numbers", call->problem);
    *n = json_count(field);
    if (*n > max)
        return problem_set(call->problem, FAULT_INPUT_TOO_LONG, name,
                           "'%s' has %zu elements; expected at most %zu",
                           name, *n, max);
    *out = memory_new(*n, sizeof **out);
    if (!*out) return no_memory(call);
    double *to = *out;
    for (const struct json *cell = json_first(field); cell; cell = json_next(cell)) {
        bool is_hole = holes && json_kind(cell) == JSON_NULL;
        double number = json_kind(cell) == JSON_NUMBER ? json_number(cell) : NAN;
        if (!is_hole && !isfinite(number)) {
            snprintf(at, sizeof at, "%s[%zu]", name, (size_t)(to - *out));
            return field_expected(cell, at, holes ? "a finite number or null" : "a finite number",
                                  call->problem);
        }
        *to++ = number;
    }
    return true;
}

/* Whether an input is neither a text nor rows of numbers: strokes, samples, a picture, a question. */
static bool has_own_input(const struct task *task)
{
    static const enum ability own[] = {ABILITY_TRANSCRIBE, ABILITY_ANSWER, ABILITY_DRAW, ABILITY_CAPTION};
    bool has = false;
    for (size_t i = 0; i < sizeof own / sizeof *own; i++) has |= task_can(task, own[i]);
    return has;
}

/* Run the model's front end over strokes or samples. */
static bool read_front(struct call *call, const struct json *field, struct asked *asked)
{
    struct error err = {0};
    struct raw_owned raw;
    struct explanation_request *r = &asked->request;
    const struct front *front = call->model->front;
    size_t most = (size_t)call->config->limits_sequence_values / network_input_size(call->model->network);
    enum status status = raw_read(front, field, &raw, &err);
    if (status == STATUS_OK) status = front_run(front, &raw.raw, most, &asked->front, &err);
    raw_free(&raw);
    if (status != STATUS_OK) return problem_from(call->problem, status, &err, "input");
    r->features = asked->front.values;
    r->n_steps = asked->front.n;
    r->origin = asked->front.origin;
    return true;
}

/* Read an input of the task's own form, as golden.json has it. */
static bool read_own_input(struct call *call, struct asked *asked)
{
    struct error err = {0};
    const struct json *field = json_get(call->root, "input");
    if (!field) return field_expected(NULL, "input", "an input, as docs/http-api.md says", call->problem);
    if (call->model->front) return read_front(call, field, asked);
    enum status status = call->model->task->steps(call->model, field, &asked->steps, &err);
    if (status != STATUS_OK) return problem_from(call->problem, status, &err, "input");
    asked->request.steps = &asked->steps;
    return true;
}

static bool read_input(struct call *call, struct asked *asked)
{
    struct explanation_request *r = &asked->request;
    if (has_own_input(call->model->task)) return read_own_input(call, asked);
    if (task_can(call->model->task, ABILITY_FORECAST)) {
        if (!read_numbers(call, "input", true, (size_t)call->config->limits_series_values, &asked->series,
                          &r->n_steps))
            return false;
        r->series = asked->series;
        return true;
    }
    if (!inputs_read(call, "input", TEXTS_ONE | TEXTS_IDS, &asked->inputs)) return false;
    if (asked->inputs.n != 1)
        return problem_set(call->problem, FAULT_INVALID_VALUE, "input",
                           "'input' holds %zu inputs; expected one, because the answer is long",
                               asked->inputs.n);
    r->tokens = asked->inputs.inputs->tokens;
    r->features = asked->inputs.inputs->features;
    r->n_steps = asked->inputs.inputs->n_steps;
    return true;
}

/* Read token ids into asked->written. */
static bool read_ids(struct call *call, const struct json *field, struct asked *asked)
{
    size_t n = json_count(field), most = (size_t)call->config->limits_prompt_tokens;
    if (n > most)
        return problem_set(call->problem, FAULT_INPUT_TOO_LONG, "output",
                           "'output' has %zu tokens; expected at most %zu", n, most);
    asked->written = memory_new(n + 1, sizeof *asked->written);
    if (!asked->written) return no_memory(call);
    asked->request.written = (struct token_span){.ids = asked->written, .n = n};
    size_t i = 0;
    for (const struct json *id = json_first(field); id; id = json_next(id)) {
        int64_t value;
        if (!json_is_integer(id, 0, INT32_MAX, &value))
            return field_expected(id, "output", "ids of tokens", call->problem);
        asked->written[i++] = (int32_t)value;
    }
    return true;
}

/* Read what a model with a decoder wrote: a text, or token ids. */
static bool read_written(struct call *call, struct asked *asked)
{
    struct error err = {0};
    const struct json *field = json_get(call->root, "output");
    bool has_decoder = call->model->decoder;
    if (!has_decoder && !field) return true;
    if (!has_decoder)
        return problem_set(call->problem, FAULT_INVALID_VALUE, "output",
                           "'output' is of models that write a text for an input; model '%s' does not",
                           call->model->name);
    if (json_kind(field) == JSON_ARRAY) return read_ids(call, field, asked);
    if (json_kind(field) != JSON_STRING)
        return field_expected(field, "output",
                              "the text that the model wrote for the input, or its token ids", call->problem);
    const char *text = json_string(field);
    size_t n;
    size_t most = (size_t)call->config->limits_prompt_tokens;
    enum status status = tokenizer_encode(call->model->target, text, strlen(text), most, &asked->written, &n,
                                          &err);
    if (status != STATUS_OK) return problem_from(call->problem, status, &err, "output");
    asked->request.written = (struct token_span){.ids = asked->written, .n = n};
    return true;
}

static bool read_what(struct call *call, unsigned *what)
{
    static const struct {
        const char *name;
        unsigned bit;
    } parts[] = {{"cells", EXPLAIN_CELLS}, {"gates", EXPLAIN_GATES}, {"gradients", EXPLAIN_GRADIENTS}};
    const struct json *field = json_get(call->root, "what");
    const size_t n = sizeof parts / sizeof *parts;
    *what = field ? 0 : EXPLAIN_ALL;
    if (field && (json_kind(field) != JSON_ARRAY || !json_first(field)))
        return field_expected(field, "what", "an array of \"cells\", \"gates\" and \"gradients\"",
                              call->problem);
    for (const struct json *part = json_first(field); part; part = json_next(part)) {
        size_t i = 0;
        while (i < n && !(json_kind(part) == JSON_STRING && !strcmp(json_string(part), parts[i].name))) i++;
        if (i == n)
            return field_word_expected(part, "what", "\"cells\", \"gates\" or \"gradients\"", call->problem);
        *what |= parts[i].bit;
    }
    return true;
}

/* Read a number of units, or a list of them. */
static bool read_units(struct call *call, struct asked *asked)
{
    const struct json *field = json_get(call->root, "units");
    struct explanation_request *r = &asked->request;
    r->n_units = UNITS;
    if (json_kind(field) == JSON_NUMBER)
        return field_size(call->root, "units", 1, (size_t)1 << 20, &r->n_units, call->problem);
    if (!field) return true;
    if (json_kind(field) != JSON_ARRAY || !json_first(field))
        return field_expected(field, "units", "a number of units, or an array of their indices",
                              call->problem);
    r->n_units = 0;
    r->units = asked->units = memory_new(json_count(field), sizeof *asked->units);
    if (!asked->units) return no_memory(call);
    for (const struct json *unit = json_first(field); unit; unit = json_next(unit)) {
        int64_t index;
        if (!json_is_integer(unit, 0, 1 << 20, &index))
            return field_expected(unit, "units", "indices of units, from 0", call->problem);
        for (size_t i = 0; i < r->n_units; i++)
            if (asked->units[i] == (size_t)index)
                return problem_set(call->problem, FAULT_INVALID_VALUE, "units",
                                   "'units' names unit %lld twice; expected each once", (long long)index);
        asked->units[r->n_units++] = (size_t)index;
    }
    return true;
}

/* Find the token that a text is. */
static bool read_token(struct call *call, const struct json *field, size_t *output)
{
    struct error err = {0};
    const char *text = json_string(field);
    int32_t *ids;
    size_t n;
    enum status status = tokenizer_encode(call->model->target, text, strlen(text), 2, &ids, &n, &err);
    if (status != STATUS_OK && status != STATUS_TOO_LONG)
        return problem_from(call->problem, status, &err, "target.token");
    if (status == STATUS_OK && n == 1) *output = (size_t)ids[0];
    if (status == STATUS_OK) memory_free(ids);
    if (status == STATUS_OK && n == 1) return true;
    return problem_set(call->problem, FAULT_INVALID_VALUE, "target.token",
                       "'target.token' is not one token; expected the text or the id of one");
}

static bool read_label(struct call *call, const struct json *field, size_t *output)
{
    const struct model *model = call->model;
    for (size_t i = 0; json_kind(field) == JSON_STRING && i < model->n_labels; i++)
        if (!strcmp(model->labels[i], json_string(field))) {
            *output = i;
            return true;
        }
    if (json_kind(field) != JSON_STRING)
        return field_expected(field, "target.label", "a string", call->problem);
    return problem_set(call->problem, FAULT_INVALID_VALUE, "target.label",
                       "model '%s' has no such label; GET /v1/models/%s lists them", model->name,
                           model->name);
}

/* Read what names an output in a target: one of these, by the task. */
static bool read_output(struct call *call, const struct json *target, size_t *output)
{
    static const char *const names[] = {"token", "label", "output"}; /* by enum explanation_target */
    enum explanation_target kind = explanation_target_of(call->model);
    const char *ours = names[kind];
    const struct network *last = call->model->decoder ? call->model->decoder : call->model->network;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (json_get(target, names[i]) && strcmp(names[i], ours))
            return problem_set(call->problem, FAULT_INVALID_VALUE, "target",
                               "'target' has '%s'; of model '%s' it takes '%s' and 'step'", names[i],
                               call->model->name, ours);
    const struct json *field = json_get(target, ours);
    if (!field) return true;
    if (kind == TARGET_LABEL) return read_label(call, field, output);
    if (kind == TARGET_TOKEN && json_kind(field) == JSON_STRING) return read_token(call, field, output);
    return field_size(target, ours, 0, network_output_size(last) - 1, output, call->problem);
}

static bool read_target(struct call *call, struct explanation_request *r)
{
    static const char *const known[] = {"step", "token", "label", "output", NULL};
    static const struct fields fields = {
        .known = known, .stateless = "an explanation is of one whole input"};
    const struct json *target = json_get(call->root, "target");
    r->step = r->output = EXPLAIN_DEFAULT;
    if (!target) return true;
    if (json_kind(target) != JSON_OBJECT)
        return field_expected(target, "target", "an object with 'step', and 'token', 'label' or 'output'",
                              call->problem);
    return fields_check(target, &fields, NULL, call->config->http_strict_json, call->problem) &&
           field_size(target, "step", 0, (size_t)1 << 30, &r->step, call->problem) &&
           read_output(call, target, &r->output);
}

static bool read_format(struct call *call, bool *safetensors)
{
    const char *format = NULL;
    if (!field_string(call->root, "format", 16, &format, call->problem)) return false;
    *safetensors = format && !strcmp(format, "safetensors");
    if (!format || *safetensors || !strcmp(format, "json")) return true;
    return field_word_expected(json_get(call->root, "format"), "format", "\"json\" or \"safetensors\"",
                          call->problem);
}

static bool read_asked(struct call *call, struct asked *asked)
{
    struct explanation_request *r = &asked->request;
    r->max_values = (size_t)call->config->limits_explain_values;
    r->layer = EXPLAIN_DEFAULT;
    if (!read_what(call, &r->what) || !read_units(call, asked) || !read_target(call, r) ||
        !field_size(call->root, "layer", 0, 1 << 20, &r->layer, call->problem) ||
        !read_format(call, &asked->safetensors) || !read_input(call, asked) || !read_written(call, asked))
        return false;
    if (!json_get(call->root, "follow")) return true;
    if (asked->units)
        return problem_set(call->problem, FAULT_INVALID_VALUE, "follow",
                           "'follow' chooses the units, and so does a list of 'units'; expected one");
    r->n_follow = 0;
    if (!read_numbers(call, "follow", false, r->max_values, &asked->follow, &r->n_follow)) return false;
    r->follow = asked->follow;
    return true;
}

/* ---- the operation ------------------------------------------------------------------------------ */

static bool gives_up(void *context)
{
    struct explain *explain = context;
    if (atomic_load_explicit(&explain->cancelled, memory_order_relaxed)) explain->status = STATUS_CANCELLED;
    else if (explain->deadline_us && clock_us() > explain->deadline_us) explain->status = STATUS_DEADLINE;
    return explain->status != STATUS_OK;
}

/* Compute it, on the explainer's thread. */
static void run(struct explainer_task *task)
{
    struct explain *explain = (struct explain *)task;
    explain->begun_us = clock_us();
    enum status status = gives_up(explain) ? explain->status
                                           : explanation_run(explain->explanation, gives_up, explain);
    if (explain->status == STATUS_OK) explain->status = status;
    request_finished(explain->request);
}

/* Submit it. A command line has no explainer: there it is computed at once. */
static bool start(void *work, struct problem *problem)
{
    struct explain *explain = work;
    explain->submitted_us = clock_us();
    if (!explain->server->explainer) {
        run(&explain->task);
        return true;
    }
    enum status status = explainer_submit(explain->server->explainer, &explain->task);
    if (status == STATUS_OK) return true;
    problem_set(problem, FAULT_QUEUE_FULL, NULL,
                "%lld explanations wait already (limits.explain_queue); try again when Retry-After says",
                (long long)explain->server->config->limits_explain_queue);
    problem->retry_after_s = RETRY_S;
    return false;
}

static void cancel(void *work)
{
    struct explain *explain = work;
    atomic_store(&explain->cancelled, true);
}

static void answer(void *work, struct request *request, struct reply *reply)
{
    struct explain *explain = work;
    struct record *record = &request->record;
    enum status status = explain->status;
    if (status == STATUS_CANCELLED && atomic_load(&request->server->phase) == SERVER_ENDING)
        status = STATUS_CLOSING;
    enum end end = status == STATUS_OK          ? END_COMPLETE
                   : status == STATUS_CANCELLED ? END_CANCELLED
                   : status == STATUS_DEADLINE  ? END_DEADLINE
                                                : END_ERROR;
    record->queue_ms = (double)(explain->begun_us - explain->submitted_us) / 1000;
    record->compute_ms = explain->explanation->compute_ms;
    record->end = (int)end;
    record->finish = metrics_end_name(end);
    if (status == STATUS_OK) explain_answer(explain->explanation, explain->safetensors, request, reply);
    else problem_from(&reply->problem, status, NULL, NULL);
}

static uint64_t cost_steps(void *work, bool finished)
{
    (void)finished;
    const struct explanation *explanation = ((struct explain *)work)->explanation;
    return explanation->T + explanation->n_written;
}

static void explain_free(void *work)
{
    struct explain *explain = work;
    explanation_free(explain->explanation);
    free(explain);
}

static bool defer(struct call *call, const struct asked *asked)
{
    static const struct operation operation = {.start = start, .cancel = cancel, .answer = answer,
                                               .cost_steps = cost_steps, .free = explain_free};
    struct error err = {0};
    struct explain *explain = calloc(1, sizeof *explain);
    if (!explain) return no_memory(call);
    enum status status = explanation_new(call->model, &asked->request, &explain->explanation, &err);
    if (status != STATUS_OK) {
        free(explain);
        return problem_from(call->problem, status, &err, "input");
    }
    explain->task.run = run;
    explain->server = call->request->server;
    explain->request = call->request;
    explain->safetensors = asked->safetensors;
    explain->deadline_us = call->options.deadline_us;
    call_record(call, explain->explanation->T + explain->explanation->n_written);
    call->request->operation = &operation;
    call->request->work = explain;
    return true;
}

void api_explain(struct request *request, struct reply *reply)
{
    static const char *const known[] = {"input", "output", "what", "layer", "units", "follow", "target",
                                        "format", NULL};
    static const struct fields fields = {
        .known = known, .stateless = "an explanation is of one whole input"};
    struct call call;
    struct asked asked = {0};
    if (!call_open(&call, request, reply, &fields, ABILITY_EXPLAIN)) return;
    if (read_asked(&call, &asked)) defer(&call, &asked);
    asked_free(&asked);
    call_close(&call);
}
