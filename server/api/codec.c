/* Bodies to models, options and tokens. */
#include "server/api/codec.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/memory.h"
#include "models/tokenizers/segments.h"
#include "models/text/sentence.h"
#include "server/request/access.h"
#include "server/request/server.h"
#include "server/api/branch.h"
#include "server/api/work.h"

enum { NAMES_BYTES = 256 };

/* ---- the model ------------------------------------------------------------------------------ */

/* The models that have the ability, with commas, as far as they fit. */
static const char *list_models(const struct server *server, enum ability ability, char out[NAMES_BYTES])
{
    struct model **models;
    size_t n, length = 0;
    out[0] = '\0';
    if (registry_list(server->registry, &models, &n) != STATUS_OK) return "";
    for (size_t i = 0; i < n; i++) {
        bool again = i && !strcmp(models[i]->name, models[i - 1]->name);
        if (task_can(models[i]->task, ability) && !again && length + MODEL_NAME_BYTES + 2 < NAMES_BYTES)
            length += (size_t)snprintf(out + length, NAMES_BYTES - length, "%s%s", length ? ", " : "",
                                       models[i]->name);
    }
    for (size_t i = 0; i < n; i++) model_drop(models[i]);
    memory_free(models);
    return length ? out : "none";
}

/* The state's own model, which the request may name. */
static bool find_branch_model(struct call *call, enum ability ability)
{
    struct model *model = call->branch->view.model;
    const char *name = NULL;
    char whole[MODEL_NAME_BYTES + MODEL_VERSION_BYTES + 2];
    if (!field_string(call->root, "model", MODEL_NAME_BYTES + MODEL_VERSION_BYTES + 1, &name, call->problem))
        return false;
    snprintf(whole, sizeof whole, "%s:%s", model->name, model->version);
    if (name && strcmp(name, model->name) && strcmp(name, whole))
        return problem_set(call->problem, FAULT_INVALID_VALUE, "model",
                           "the state is of model '%s'; expected that name, or none", whole);
    call->model = model_acquire(model);
    if (task_can(model->task, ability)) return true;
    return problem_set(call->problem, FAULT_UNSUPPORTED_FOR_MODEL, "model",
                       "the state is of model '%s' (%s), which cannot %s", whole, model->task->name,
                       ability_text(ability));
}

static bool find_model(struct call *call, enum ability ability)
{
    if (call->branch && call->branch->view.model) return find_branch_model(call, ability);
    const struct server *server = call->request->server;
    const char *name = NULL;
    char names[NAMES_BYTES], shown[QUOTE_BYTES];
    size_t n = 0;
    if (!field_string(call->root, "model", MODEL_NAME_BYTES + MODEL_VERSION_BYTES + 1, &name, call->problem))
        return false;
    if (!name && server_is_loading(server, call->problem,
                                   "models are still being loaded, and 'model' is missing; served so far: %s",
                                   list_models(server, ability, names)))
        return false;
    call->model = name ? registry_acquire(server->registry, name)
                       : registry_acquire_only(server->registry, ability, &n);
    if (!call->model && name &&
        server_is_loading(server, call->problem, "model %s is not served yet; models are still being loaded",
                          sentence_quote(shown, name, strlen(name))))
        return false;
    if (!call->model && name)
        return problem_set(call->problem, FAULT_MODEL_NOT_FOUND, "model",
                           "model %s is not served; served for this task: %s",
                           sentence_quote(shown, name, strlen(name)), list_models(server, ability, names));
    if (!call->model && !n)
        return problem_set(call->problem, FAULT_MODEL_NOT_FOUND, "model", "no model is served for this task");
    if (!call->model)
        return problem_set(call->problem, FAULT_INVALID_VALUE, "model",
                           "'model' is missing; expected one of: %s", list_models(server, ability, names));
    if (task_can(call->model->task, ability)) return true;
    return problem_set(call->problem, FAULT_UNSUPPORTED_FOR_MODEL, "model",
                       "model '%s' (%s) cannot %s; models that can: %s", call->model->name,
                       call->model->task->name, ability_text(ability),
                       list_models(server, ability, names));
}

/* ---- what every call may say ---------------------------------------------------------------- */

static const char *const common_fields[] = {
    "model", "user", "timeout_ms", "priority", "store", "ttl_s", "previous_response_id", "session", "step",
    "state", "return_state", NULL};

/* Read where the request goes on from. A route that keeps nothing refuses the fields, never ignores them. */
static bool read_branch(struct call *call, struct reply *reply, const struct fields *fields)
{
    enum branch_reading reading = branch_read(call->request, call->root, reply, &call->branch);
    if (reading != BRANCH_READ) return reading == BRANCH_NONE;
    call->options.from = branch_from(call->branch);
    call->options.keeps = branch_keeps(call->branch);
    if (fields->goes_on) return true;
    const bool begins = fields->begins_from && call->options.from && !call->options.keeps;
    if (begins) return true;
    for (size_t i = 0; branch_fields[i]; i++)
        if (json_get(call->root, branch_fields[i]))
            return problem_set(call->problem, FAULT_UNSUPPORTED_FOR_MODEL, branch_fields[i],
                               "'%s' has no meaning here: %s; leave it out", branch_fields[i],
                               fields->stateless ? fields->stateless : "nothing is computed step by step");
    call->options.from = NULL;
    call->options.keeps = false;
    branch_free(call_take_branch(call)); /* the header alone, which a proxy may add */
    return true;
}

/* For a client without a ceiling of its own the field's range ends at limits.max_priority; a key's own
 * ceiling is a matter of what the key may do. Without the field the priority is 0, or the ceiling if that is
 * less. */
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
    call->options.client = call->request->caller.client;
    call->options.weight = call->request->caller.weight;
    call->options.deadline_us = timeout_ms ? call->request->began_us + timeout_ms * 1000 : 0;
    call->options.observer = (struct job_observer){
        .progress = request_progressed, .finished = request_finished, .context = call->request};
    return true;
}

/* Refuse a request that would find no room before its texts are read and a job is made. */
static bool find_room(struct call *call)
{
    enum route_id route = call->request->route;
    int64_t retry_us = 0;
    if (route == ROUTE_TOKENIZE || route == ROUTE_DETOKENIZE) return true;
    const struct queue_offer least = {.network = call->model->network, .client = call->options.client,
                                      .weight = call->options.weight, .priority = call->options.priority,
                                      .n = 1, .steps = 1};
    enum status status = scheduler_judge(call->request->server->scheduler, &least, &retry_us);
    if (status == STATUS_OK) return true;
    problem_from(call->problem, status, NULL, NULL);
    if (status == STATUS_QUEUE_FULL) call->problem->retry_after_s = work_retry_after_s(retry_us);
    return false;
}

struct json *call_parse(const struct request *request, struct problem *problem)
{
    return call_parse_text(request, request->body, request->body_bytes, problem);
}

struct json *call_parse_text(const struct request *request, const char *text, size_t bytes,
                             struct problem *problem)
{
    const struct config *config = request->server->config;
    const struct json_limits limits = {.depth = (size_t)config->limits_json_depth,
                                       .values = (size_t)config->limits_json_values};
    struct json *document = document_parse(text, bytes, &limits, problem);
    if (!document || json_kind(document) == JSON_OBJECT) return document;
    problem_set(problem, FAULT_INVALID_JSON, NULL, "the body is not a JSON object");
    json_free(document);
    return NULL;
}

int64_t call_random_seed(void)
{
    char id[REQUEST_ID_BYTES];
    access_new_id("", id);
    id[8] = '\0';
    return (int64_t)strtoul(id, NULL, 16);
}

bool call_open(struct call *call, struct request *request, struct reply *reply,
               const struct fields *fields, enum ability ability)
{
    *call = (struct call){.request = request, .config = request->server->config, .problem = &reply->problem};
    call->document = call_parse(request, call->problem);
    if (!call->document) return false;
    call->root = call->document;
    bool good =
        fields_check(call->root, fields, common_fields, call->config->http_strict_json, call->problem);
    if (good)
        good = read_options(call) && read_branch(call, reply, fields) && find_model(call, ability) &&
               find_room(call);
    if (!good) call_close(call);
    return good;
}

void call_close(struct call *call)
{
    json_free(call->document);
    model_drop(call->model);
    branch_free(call_take_branch(call));
    call->document = NULL;
    call->model = NULL;
}

struct branch *call_take_branch(struct call *call)
{
    struct branch *branch = call->branch;
    call->branch = NULL;
    return branch;
}

void call_defer(const struct call *call, struct work *work)
{
    work->warnings = call->warnings;
    work_defer(work, call->request);
}

void call_record(struct call *call, size_t steps_in)
{
    struct record *record = &call->request->record;
    snprintf(record->model, sizeof record->model, "%s:%s", call->model->name, call->model->version);
    record->task = call->model->task->name;
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

/* "name[i]", or "name" if the field is the element itself. */
static const char *element(const char *name, const struct spans *spans, char out[ERROR_PARAM_BYTES])
{
    if (spans->single) snprintf(out, ERROR_PARAM_BYTES, "%s", name);
    else snprintf(out, ERROR_PARAM_BYTES, "%s[%zu]", name, spans->n_texts);
    return out;
}

/* Add text[0..bytes), all or a piece of the text that is read, as a span. */
static bool add_span(struct call *call, const char *name, const char *text, size_t bytes, struct spans *out)
{
    struct error err = {0};
    char param[ERROR_PARAM_BYTES];
    int32_t *ids;
    size_t n;
    enum status status = tokenizer_read(call->model->tokenizer, text, bytes,
                                        (size_t)call->config->limits_prompt_tokens, &ids, &n, &out->loss,
                                        &err);
    if (status != STATUS_OK) {
        err.param[0] = '\0';
        return problem_from(call->problem, status, &err, element(name, out, param));
    }
    if (n == 0 && bytes && out->loss.n_skipped > 0) { /* nothing is left of it */
        memory_free(ids);
        tokenizer_loss_sentence(&out->loss, element(name, out, param), err.message, sizeof err.message);
        return problem_set(call->problem, FAULT_INVALID_VALUE, param, "%s; expected others too", err.message);
    }
    out->spans[out->n++] = (struct token_span){ids, n};
    out->n_tokens += n;
    return true;
}

/* Add the sentences of a text. A text without any is one. */
static bool add_sentences(struct call *call, const char *name, const char *text, struct spans *out)
{
    struct text_span sentence;
    size_t at = 0, bytes = strlen(text), first = out->n;
    while (segments_next(text, bytes, &at, &sentence)) {
        out->pieces[out->n] = (struct piece_of){out->n_texts, sentence.start, sentence.end};
        if (!add_span(call, name, text + sentence.start, sentence.end - sentence.start, out)) return false;
    }
    if (out->n > first) return true;
    out->pieces[out->n] = (struct piece_of){out->n_texts, 0, bytes};
    return add_span(call, name, text, bytes, out);
}

static bool add_text(struct call *call, const char *name, const struct json *value, struct spans *out)
{
    const char *text = json_string(value);
    bool good = out->pieces ? add_sentences(call, name, text, out)
                            : add_span(call, name, text, strlen(text), out);
    if (good) out->texts[out->n_texts++] = text;
    return good;
}

static bool add_ids(struct call *call, const char *name, const struct json *value, struct spans *out)
{
    char param[ERROR_PARAM_BYTES], at[ERROR_PARAM_BYTES + 24], expected[64];
    size_t n = json_count(value), max = (size_t)call->config->limits_prompt_tokens, i = 0;
    size_t vocabulary = tokenizer_size(call->model->tokenizer);
    element(name, out, param);
    if (n > max) return too_many(call, param, n, max);
    int32_t *ids = memory_new(n + 1, sizeof *ids);
    if (!ids) return no_memory(call);
    for (const struct json *id = json_first(value); id; id = json_next(id), i++) {
        int64_t integer;
        if (!json_is_integer(id, 0, (int64_t)vocabulary - 1, &integer)) {
            memory_free(ids);
            snprintf(at, sizeof at, "%s[%zu]", param, i);
            snprintf(expected, sizeof expected, "a token id from 0 to %zu", vocabulary - 1);
            return field_expected(id, at, expected, call->problem);
        }
        ids[i] = (int32_t)integer;
    }
    out->spans[out->n++] = (struct token_span){ids, n};
    out->n_texts++;
    out->n_tokens += n;
    return true;
}

static bool add_element(struct call *call, const char *name, const struct json *value, enum json_kind kind,
                        struct spans *out)
{
    char at[ERROR_PARAM_BYTES];
    if (json_kind(value) == kind)
        return kind == JSON_STRING ? add_text(call, name, value, out) : add_ids(call, name, value, out);
    return field_expected(value, element(name, out, at), kind == JSON_STRING ? "a string, as before it"
                          : "an array of token ids, as before it", call->problem);
}

/* How many sentences a field of texts has; each text counts as one at least. */
static size_t count_sentences(const struct json *field, bool single)
{
    size_t n = 0;
    for (const struct json *v = single ? field : json_first(field); v; v = single ? NULL : json_next(v)) {
        const char *text = json_kind(v) == JSON_STRING ? json_string(v) : "";
        size_t sentences = segments_count(text, strlen(text));
        n += sentences ? sentences : 1;
    }
    return n;
}

/* Room for n spans of n_texts texts. */
static bool reserve_spans(struct spans *out, size_t n, size_t n_texts, bool cut)
{
    out->spans = memory_new(n, sizeof *out->spans);
    out->texts = memory_new(n_texts, sizeof *out->texts);
    if (cut) out->pieces = memory_new(n, sizeof *out->pieces);
    if (out->spans && out->texts && (out->pieces || !cut)) return true;
    spans_free(out);
    return false;
}

bool spans_read(struct call *call, const char *name, unsigned texts, struct spans *out)
{
    static const char *const expected[] = {
        [TEXTS_LIST] = "an array of strings",
        [TEXTS_ONE] = "a string or an array of strings",
        [TEXTS_IDS] = "an array of token ids or an array of those",
        [TEXTS_ONE | TEXTS_IDS] = "a string, an array of strings, an array of token ids or an array of "
                                  "those"};
    const struct json *field = json_get(call->root, name),
                       *first = json_kind(field) == JSON_ARRAY ? json_first(field) : NULL;
    enum json_kind kind = json_kind(field), inner = json_kind(first);
    size_t max = (size_t)call->config->limits_inputs;
    bool cut = texts & TEXTS_CUT;
    texts &= ~(unsigned)TEXTS_CUT;
    bool no_ids = texts == TEXTS_IDS && kind == JSON_ARRAY && !first;
    *out = (struct spans){.single = kind == JSON_STRING || inner == JSON_NUMBER || no_ids};
    bool good = no_ids                                        ? true
                : kind == JSON_STRING                         ? texts & TEXTS_ONE
                : inner == JSON_STRING                        ? texts != TEXTS_IDS
                : inner == JSON_NUMBER || inner == JSON_ARRAY ? texts & TEXTS_IDS
                                                              : false;
    if (!good) return field_expected(field, name, expected[texts], call->problem);
    size_t n = out->single ? 1 : json_count(field);
    if (n > max) return too_many(call, name, n, max);
    size_t n_spans = cut ? count_sentences(field, out->single) : n;
    if (n_spans > max)
        return problem_set(call->problem, FAULT_INPUT_TOO_LONG, name,
                           "'%s' has %zu sentences; expected at most %zu", name, n_spans, max);
    if (!reserve_spans(out, n_spans, n, cut)) return no_memory(call);
    if (kind == JSON_STRING) good = add_text(call, name, field, out);
    else if (out->single) good = add_ids(call, name, field, out);
    else
        for (const struct json *child = first; child && good; child = json_next(child))
            good = add_element(call, name, child, inner, out);
    struct warnings *warnings = &call->warnings;
    if (!good) spans_free(out);
    else if (warnings->n < WARNINGS_MAX &&
             tokenizer_loss_sentence(&out->loss, name, warnings->text[warnings->n], WARNING_BYTES))
        warnings->n++;
    return good;
}

void spans_free(struct spans *spans)
{
    for (size_t i = 0; i < spans->n; i++) memory_free((void *)(size_t)spans->spans[i].ids);
    memory_free((void *)spans->texts);
    memory_free(spans->pieces);
    memory_free(spans->spans);
    *spans = (struct spans){0};
}

/* ---- features ------------------------------------------------------------------------------- */

/* One step's numbers. */
static bool read_row(struct call *call, const char *param, size_t step, const struct json *row, size_t width,
                     double *out)
{
    char at[ERROR_PARAM_BYTES + 48];
    bool scalar = json_kind(row) == JSON_NUMBER && width == 1;
    if (json_numbers(row, out, width)) return true;
    snprintf(at, sizeof at, "%s[%zu]", param, step);
    if (!scalar && (json_kind(row) != JSON_ARRAY || json_count(row) != width)) {
        char expected[80];
        snprintf(expected, sizeof expected, "an array of %zu number%s (the features of a step)", width,
                 width == 1 ? "" : "s");
        return json_kind(row) != JSON_ARRAY ? field_expected(row, at, expected, call->problem)
               : problem_set(call->problem, FAULT_INVALID_VALUE, at, "'%s' has %zu elements; expected %s", at,
                             json_count(row), expected);
    }
    size_t i = 0;
    for (const struct json *cell = scalar ? row : json_first(row); i < width;
         cell = scalar ? cell : json_next(cell), i++) {
        double number = json_kind(cell) == JSON_NUMBER ? json_number(cell) : NAN;
        if (!isfinite(number)) {
            if (!scalar) snprintf(at, sizeof at, "%s[%zu][%zu]", param, step, i);
            return field_expected(cell, at, "a finite number", call->problem);
        }
        out[i] = number;
    }
    return true;
}

static bool add_features(struct call *call, const char *param, const struct json *rows, struct inputs *out)
{
    size_t width = network_input_size(call->model->network), n = json_count(rows), i = 0;
    size_t max = (size_t)call->config->limits_sequence_values;
    if (n > max / width)
        return problem_set(call->problem, FAULT_INPUT_TOO_LONG, param,
                           "'%s' has %zu steps of %zu numbers; expected at most %zu numbers", param, n, width,
                           max);
    double *values = memory_new(n * width, sizeof *values);
    if (!values) return no_memory(call);
    out->features[out->n] = values;
    out->inputs[out->n++] = (struct input){.features = values, .n_steps = n};
    out->n_steps += n;
    for (const struct json *row = json_first(rows); row; row = json_next(row), i++)
        if (!read_row(call, param, i, row, width, values + i * width)) return false;
    return true;
}

/* How deep arrays nest, going by first elements. */
static size_t array_depth(const struct json *value)
{
    size_t depth = 0;
    for (; json_kind(value) == JSON_ARRAY; value = json_first(value)) depth++;
    return depth;
}

static bool read_features(struct call *call, const char *name, struct inputs *out)
{
    const struct json *field = json_get(call->root, name);
    size_t depth = array_depth(field),
           one = network_input_size(call->model->network) == 1 && depth == 1 ? 1 : 2;
    if (depth < one || depth > 3 || !json_first(field))
        return field_expected(field, name,
                              "an array of steps (each an array of numbers), or an array of such arrays",
                              call->problem);
    size_t n = depth > one ? json_count(field) : 1, max = (size_t)call->config->limits_inputs;
    if (n > max) return too_many(call, name, n, max);
    out->inputs = memory_new(n, sizeof *out->inputs);
    out->features = memory_new(n, sizeof *out->features);
    if (!out->inputs || !out->features) return no_memory(call);
    if (depth == one) return add_features(call, name, field, out);
    for (const struct json *child = json_first(field); child; child = json_next(child)) {
        char param[ERROR_PARAM_BYTES];
        snprintf(param, sizeof param, "%s[%zu]", name, out->n);
        if (json_kind(child) != JSON_ARRAY || !json_first(child))
            return field_expected(child, param, "an array of at least one step", call->problem);
        if (!add_features(call, param, child, out)) return false;
    }
    return true;
}

bool inputs_read(struct call *call, const char *name, unsigned texts, struct inputs *out)
{
    *out = (struct inputs){0};
    bool good;
    if (network_vocabulary_size(call->model->network) > 0) {
        good = spans_read(call, name, texts, &out->texts);
        if (good && !(out->inputs = memory_new(out->texts.n, sizeof *out->inputs))) good = no_memory(call);
        for (size_t i = 0; good && i < out->texts.n; i++)
            out->inputs[out->n++] = (struct input){.tokens = out->texts.spans[i],
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
