/* Bodies to models, options and tokens. */
#include "server/codec.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "core/memory.h"
#include "models/sentence.h"
#include "server/serve.h"
#include "server/work.h"

enum { NAMES_BYTES = 256 };

/* ---- the model ------------------------------------------------------------------------------ */

/* The models that serve one of the tasks, with commas, as far as they fit. */
static const char *list_models(const struct server *server, unsigned tasks, char out[NAMES_BYTES])
{
    struct model **models;
    size_t n, length = 0;
    out[0] = '\0';
    if (registry_list(server->registry, &models, &n) != STATUS_OK) return "";
    for (size_t i = 0; i < n; i++) {
        bool again = i && !strcmp(models[i]->name, models[i - 1]->name);
        if ((tasks >> models[i]->task & 1) && !again && length + MODEL_NAME_BYTES + 2 < NAMES_BYTES)
            length += (size_t)snprintf(out + length, NAMES_BYTES - length, "%s%s", length ? ", " : "",
                                       models[i]->name);
    }
    for (size_t i = 0; i < n; i++) model_drop(models[i]);
    memory_free(models);
    return length ? out : "none";
}

static bool find_model(struct call *call, unsigned tasks, const char *what)
{
    const struct server *server = call->request->server;
    const char *name = NULL;
    char names[NAMES_BYTES], shown[QUOTE_BYTES];
    size_t n = 0;
    if (!field_string(call->root, "model", MODEL_NAME_BYTES + MODEL_VERSION_BYTES + 1, &name, call->problem))
        return false;
    call->model = name ? registry_acquire(server->registry, name)
                       : registry_acquire_only(server->registry, tasks, &n);
    if (!call->model && name)
        return problem_set(call->problem, FAULT_MODEL_NOT_FOUND, "model",
                           "model %s is not served; served for this task: %s",
                           sentence_quote(shown, name, strlen(name)), list_models(server, tasks, names));
    if (!call->model && !n)
        return problem_set(call->problem, FAULT_MODEL_NOT_FOUND, "model", "no model is served for this task");
    if (!call->model)
        return problem_set(call->problem, FAULT_INVALID_VALUE, "model",
                           "'model' is missing; expected one of: %s", list_models(server, tasks, names));
    if (tasks >> call->model->task & 1) return true;
    return problem_set(call->problem, FAULT_UNSUPPORTED_FOR_MODEL, "model",
                       "model '%s' (%s) cannot %s; models that can: %s", call->model->name,
                       task_name(call->model->task), what, list_models(server, tasks, names));
}

/* ---- what every call may say ---------------------------------------------------------------- */

static const char *const common_fields[] = {"model", "user", "timeout_ms", "priority", "session",
                                            "step", "state", "return_state", NULL};

/* Fields that this version cannot honour are refused, never ignored. */
static bool refuse_sessions(struct call *call)
{
    static const char *const names[] = {"session", "step", "state"};
    bool wanted = false;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (value_get(call->root, names[i]))
            return problem_set(call->problem, FAULT_NOT_IMPLEMENTED, names[i],
                               "'%s': sessions are not built into this version", names[i]);
    if (!field_boolean(call->root, "return_state", &wanted, call->problem)) return false;
    return !wanted || problem_set(call->problem, FAULT_NOT_IMPLEMENTED, "return_state",
                                  "'return_state': sessions are not built into this version");
}

/* Who has no ceiling of his own finds limits.max_priority the end of the field's range; a key's own ceiling
 * is a matter of what the key may do. Who names no priority has 0, or what he may have where that is less. */
static bool read_priority(struct call *call)
{
    const struct caller *caller = &call->request->caller;
    int64_t most = caller->has_max_priority ? caller->max_priority : call->config->limits_max_priority;
    int64_t priority = most < 0 ? most : 0;
    if (!field_integer(call->root, "priority", SEQUENCE_PRIORITY_MIN,
                       caller->has_max_priority ? SEQUENCE_PRIORITY_MAX : most, &priority, call->problem))
        return false;
    call->options.priority = (int)priority;
    return priority <= most || problem_set(call->problem, FAULT_PERMISSION_DENIED, "priority",
                                           "'priority' is %lld; this API key may ask for %lld at most",
                                           (long long)priority, (long long)most);
}

static bool read_options(struct call *call)
{
    const struct config *config = call->config;
    int64_t timeout_ms = config->timeouts_request_ms;
    const char *user = NULL;
    if (!field_integer(call->root, "timeout_ms", 1, config->timeouts_request_max_ms, &timeout_ms,
                       call->problem) ||
        !read_priority(call) || !field_string(call->root, "user", 512, &user, call->problem))
        return false;
    const struct request *request = call->request;
    call->options.share = request->caller.share ? request->caller.share : request->peer;
    call->options.weight = request->caller.weight;
    call->options.deadline_us = timeout_ms ? call->request->began_us + timeout_ms * 1000 : 0;
    call->options.observer = (struct job_observer){
        .progress = request_progressed, .finished = request_finished, .context = call->request};
    return refuse_sessions(call);
}

/* Who would find no room is refused before the texts are read and a job is made. */
static bool find_room(struct call *call)
{
    enum route_id route = call->request->route;
    int64_t retry_us = 0;
    if (route == ROUTE_TOKENIZE || route == ROUTE_DETOKENIZE) return true;
    const struct queue_offer least = {.network = call->model->network, .share = call->options.share,
                                      .weight = call->options.weight, .priority = call->options.priority,
                                      .n = 1, .steps = 1};
    enum status status = scheduler_judge(call->request->server->scheduler, &least, &retry_us);
    if (status == STATUS_OK) return true;
    problem_from(call->problem, status, NULL, NULL);
    if (status == STATUS_QUEUE_FULL) call->problem->retry_after_s = work_retry_after_s(retry_us);
    return false;
}

bool call_open(struct call *call, struct request *request, struct reply *reply,
               const char *const *fields, unsigned tasks, const char *what)
{
    *call = (struct call){.request = request, .config = request->server->config, .problem = &reply->problem};
    const struct document_limits limits = {.depth = (size_t)call->config->limits_json_depth,
                                           .values = (size_t)call->config->limits_json_values};
    call->document = document_parse(request->body, request->body_bytes, &limits, call->problem);
    if (!call->document) return false;
    call->root = document_root(call->document);
    bool good = value_kind(call->root) == JSON_OBJECT ||
                problem_set(call->problem, FAULT_INVALID_JSON, NULL, "the body is not a JSON object");
    if (good && call->config->http_strict_json)
        good = field_check_known(call->root, fields, common_fields, call->problem);
    if (good) good = read_options(call) && find_model(call, tasks, what) && find_room(call);
    if (!good) call_close(call);
    return good;
}

void call_close(struct call *call)
{
    document_free(call->document);
    model_drop(call->model);
    call->document = NULL;
    call->model = NULL;
}

void call_record(struct call *call, size_t steps_in)
{
    struct record *record = &call->request->record;
    snprintf(record->model, sizeof record->model, "%s:%s", call->model->name, call->model->version);
    record->task = task_name(call->model->task);
    record->steps_in = steps_in;
}

/* ---- texts ---------------------------------------------------------------------------------- */

static bool no_memory(struct call *call)
{
    return problem_set(call->problem, FAULT_NO_MEMORY, NULL, NULL);
}

static bool too_many(struct call *call, const char *name, size_t n, size_t max)
{
    return problem_set(call->problem, FAULT_INPUT_TOO_LONG, name,
                       "'%s' has %zu elements; expected at most %zu", name, n, max);
}

/* "name[i]", or "name" where the field is the element itself. */
static const char *element(const char *name, const struct spans *spans, char out[ERROR_PARAM_BYTES])
{
    if (spans->single) snprintf(out, ERROR_PARAM_BYTES, "%s", name);
    else snprintf(out, ERROR_PARAM_BYTES, "%s[%zu]", name, spans->n);
    return out;
}

static bool add_text(struct call *call, const char *name, const struct value *value, struct spans *out)
{
    struct error err = {0};
    char param[ERROR_PARAM_BYTES];
    const char *text = value_text(value);
    int32_t *ids;
    size_t n;
    enum status status = tokenizer_encode(call->model->tokenizer, text, strlen(text),
                                          (size_t)call->config->limits_prompt_tokens, &ids, &n, &err);
    if (status != STATUS_OK) {
        err.param[0] = '\0';
        return problem_from(call->problem, status, &err, element(name, out, param));
    }
    out->spans[out->n++] = (struct token_span){ids, n};
    out->n_tokens += n;
    return true;
}

static bool add_ids(struct call *call, const char *name, const struct value *value, struct spans *out)
{
    char param[ERROR_PARAM_BYTES], at[ERROR_PARAM_BYTES + 24], expected[64];
    size_t n = value_count(value), max = (size_t)call->config->limits_prompt_tokens, i = 0;
    size_t vocabulary = tokenizer_size(call->model->tokenizer);
    element(name, out, param);
    if (n > max) return too_many(call, param, n, max);
    int32_t *ids = memory_new(n + 1, sizeof *ids);
    if (!ids) return no_memory(call);
    for (const struct value *id = value_first(value); id; id = value_next(id), i++) {
        int64_t integer;
        if (!value_is_integer(id, 0, (int64_t)vocabulary - 1, &integer)) {
            memory_free(ids);
            snprintf(at, sizeof at, "%s[%zu]", param, i);
            snprintf(expected, sizeof expected, "a token id from 0 to %zu", vocabulary - 1);
            return field_expected(id, at, expected, call->problem);
        }
        ids[i] = (int32_t)integer;
    }
    out->spans[out->n++] = (struct token_span){ids, n};
    out->n_tokens += n;
    return true;
}

static bool add_element(struct call *call, const char *name, const struct value *value, enum json_kind kind,
                        struct spans *out)
{
    char at[ERROR_PARAM_BYTES];
    if (value_kind(value) == kind)
        return kind == JSON_STRING ? add_text(call, name, value, out) : add_ids(call, name, value, out);
    return field_expected(value, element(name, out, at), kind == JSON_STRING ? "a string, as before it"
                          : "an array of token ids, as before it", call->problem);
}

bool spans_read(struct call *call, const char *name, unsigned texts, struct spans *out)
{
    static const char *const expected[] = {
        [TEXTS_LIST] = "an array of strings",
        [TEXTS_ONE] = "a string or an array of strings",
        [TEXTS_IDS] = "an array of token ids or an array of those",
        [TEXTS_ONE | TEXTS_IDS] = "a string, an array of strings, an array of token ids or an array of "
                                  "those"};
    const struct value *field = value_get(call->root, name),
                       *first = value_kind(field) == JSON_ARRAY ? value_first(field) : NULL;
    enum json_kind kind = value_kind(field), inner = value_kind(first);
    size_t max = (size_t)call->config->limits_inputs;
    *out = (struct spans){.single = kind == JSON_STRING || inner == JSON_NUMBER};
    bool good = kind == JSON_STRING                           ? texts & TEXTS_ONE
                : inner == JSON_STRING                        ? texts != TEXTS_IDS
                : inner == JSON_NUMBER || inner == JSON_ARRAY ? texts & TEXTS_IDS
                                                              : false;
    if (!good) return field_expected(field, name, expected[texts], call->problem);
    size_t n = out->single ? 1 : value_count(field);
    if (n > max) return too_many(call, name, n, max);
    out->spans = memory_new(n, sizeof *out->spans);
    if (!out->spans) return no_memory(call);
    if (kind == JSON_STRING) good = add_text(call, name, field, out);
    else if (out->single) good = add_ids(call, name, field, out);
    else
        for (const struct value *child = first; child && good; child = value_next(child))
            good = add_element(call, name, child, inner, out);
    if (!good) spans_free(out);
    return good;
}

void spans_free(struct spans *spans)
{
    for (size_t i = 0; i < spans->n; i++) memory_free((void *)(size_t)spans->spans[i].ids);
    memory_free(spans->spans);
    *spans = (struct spans){0};
}

/* ---- features ------------------------------------------------------------------------------- */

/* One step's numbers. */
static bool read_row(struct call *call, const char *param, size_t step, const struct value *row, size_t width,
                     float *out)
{
    char at[ERROR_PARAM_BYTES + 48];
    bool scalar = value_kind(row) == JSON_NUMBER && width == 1;
    snprintf(at, sizeof at, "%s[%zu]", param, step);
    if (!scalar && (value_kind(row) != JSON_ARRAY || value_count(row) != width)) {
        char expected[80];
        snprintf(expected, sizeof expected, "an array of %zu number%s (the features of a step)", width,
                 width == 1 ? "" : "s");
        return value_kind(row) != JSON_ARRAY ? field_expected(row, at, expected, call->problem)
               : problem_set(call->problem, FAULT_INVALID_VALUE, at, "'%s' has %zu elements; expected %s", at,
                             value_count(row), expected);
    }
    size_t i = 0;
    for (const struct value *cell = scalar ? row : value_first(row); i < width;
         cell = scalar ? cell : value_next(cell), i++) {
        double number = value_kind(cell) == JSON_NUMBER ? value_number(cell) : NAN;
        if (!(fabs(number) <= 3.4e38)) {
            if (!scalar) snprintf(at, sizeof at, "%s[%zu][%zu]", param, step, i);
            return field_expected(cell, at, "a number within the range of float32", call->problem);
        }
        out[i] = (float)number;
    }
    return true;
}

static bool add_features(struct call *call, const char *param, const struct value *rows, struct inputs *out)
{
    size_t width = network_input_size(call->model->network), n = value_count(rows), i = 0;
    size_t max = (size_t)call->config->limits_sequence_values;
    if (n > max / width)
        return problem_set(call->problem, FAULT_INPUT_TOO_LONG, param,
                           "'%s' has %zu steps of %zu numbers; expected at most %zu numbers", param, n, width,
                           max);
    float *values = memory_new(n * width, sizeof *values);
    if (!values) return no_memory(call);
    out->features[out->n] = values;
    out->inputs[out->n++] = (struct classification_input){.features = values, .n_steps = n};
    out->n_steps += n;
    for (const struct value *row = value_first(rows); row; row = value_next(row), i++)
        if (!read_row(call, param, i, row, width, values + i * width)) return false;
    return true;
}

/* How deep arrays nest, going by first elements. */
static size_t array_depth(const struct value *value)
{
    size_t depth = 0;
    for (; value_kind(value) == JSON_ARRAY; value = value_first(value)) depth++;
    return depth;
}

static bool read_features(struct call *call, const char *name, struct inputs *out)
{
    const struct value *field = value_get(call->root, name);
    size_t depth = array_depth(field),
           one = network_input_size(call->model->network) == 1 && depth == 1 ? 1 : 2;
    if (depth < one || depth > 3 || !value_first(field))
        return field_expected(field, name,
                              "an array of steps (each an array of numbers), or an array of such arrays",
                              call->problem);
    size_t n = depth > one ? value_count(field) : 1, max = (size_t)call->config->limits_inputs;
    if (n > max) return too_many(call, name, n, max);
    out->inputs = memory_new(n, sizeof *out->inputs);
    out->features = memory_new(n, sizeof *out->features);
    if (!out->inputs || !out->features) return no_memory(call);
    if (depth == one) return add_features(call, name, field, out);
    for (const struct value *child = value_first(field); child; child = value_next(child)) {
        char param[ERROR_PARAM_BYTES];
        snprintf(param, sizeof param, "%s[%zu]", name, out->n);
        if (value_kind(child) != JSON_ARRAY || !value_first(child))
            return field_expected(child, param, "an array of at least one step", call->problem);
        if (!add_features(call, param, child, out)) return false;
    }
    return true;
}

bool inputs_read(struct call *call, const char *name, unsigned texts, struct inputs *out)
{
    *out = (struct inputs){0};
    bool good;
    if (call->model->tokenizer) {
        good = spans_read(call, name, texts, &out->texts);
        if (good && !(out->inputs = memory_new(out->texts.n, sizeof *out->inputs))) good = no_memory(call);
        for (size_t i = 0; good && i < out->texts.n; i++)
            out->inputs[out->n++] = (struct classification_input){.tokens = out->texts.spans[i],
                                                                  .n_steps = out->texts.spans[i].n};
        out->n_steps = out->texts.n_tokens;
    } else good = read_features(call, name, out);
    if (!good) inputs_free(out);
    return good;
}

void inputs_free(struct inputs *inputs)
{
    for (size_t i = 0; inputs->features && i < inputs->n; i++) memory_free(inputs->features[i]);
    memory_free(inputs->features);
    memory_free(inputs->inputs);
    spans_free(&inputs->texts);
    *inputs = (struct inputs){0};
}
