/* POST /v2/models/{id}/infer: tensors of the Open Inference Protocol, by the /v1 route of the model's
 * ability.
 *
 * A table says which tensors an ability reads and gives (server/protocols/inference.h). Parameters that are
 * not the protocol's are fields of the /v1 route, such as max_tokens or horizon. sequence_id is a session's
 * name: sequence_start makes the session anew, sequence_end ends it. */
#include "server/protocols/inference.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "models/text/sentence.h"
#include "server/api/branch.h"
#include "server/api/bridge.h"
#include "server/api/codec.h"
#include "server/api/tensor.h"
#include "server/request/access.h"
#include "server/request/server.h"

enum { OUTPUTS = 2, ID_BYTES = 256 };

struct inference {
    struct model *model; /* one reference */
    const struct signature *signature;
    char id[ID_BYTES];
    size_t n;            /* texts, inputs or series */
    bool wanted[OUTPUTS], binary[OUTPUTS];
    bool has_sequence;   /* request->session is "MODEL:ID" of sequence_id */
    bool ends;           /* the sequence, after this */
};

/* ---- models --------------------------------------------------------------------------------- */

static const struct signature signatures[] = {
    {ABILITY_COMPLETE, api_completions, "text_input", "BYTES",
     {{"text_output", "BYTES"}, {"finish_reason", "BYTES"}}},
    {ABILITY_CLASSIFY, api_classify, NULL, NULL, {{"scores", "FP32"}, {"label", "BYTES"}}},
    {ABILITY_FORECAST, api_forecast, "series", "FP64", {{"mean", "FP64"}, {"quantiles", "FP64"}}},
};

const struct signature *signature_of(const struct model *model, struct problem *problem)
{
    for (size_t i = 0; i < sizeof signatures / sizeof *signatures; i++)
        if (task_can(model->task, signatures[i].ability) && !task_can(model->task, ABILITY_TAG))
            return &signatures[i];
    problem_set(problem, FAULT_UNSUPPORTED_FOR_MODEL, NULL,
                "model '%s' (%s) has no form as tensors; ask it on its /v1 route", model->name,
                model->task->name);
    return NULL;
}

const char *signature_input(const struct signature *signature, const struct model *model,
                            const char **datatype)
{
    *datatype = signature->datatype ? signature->datatype : model->tokenizer ? "BYTES" : "FP32";
    return signature->input ? signature->input : model->tokenizer ? "text" : "features";
}

struct model *inference_model(const struct request *request, struct problem *problem)
{
    char shown[QUOTE_BYTES];
    struct model *model = registry_acquire(request->server->registry, request->tail);
    sentence_quote(shown, request->tail, strlen(request->tail));
    if (!model && !server_is_loading(request->server, problem,
                                     "model %s is not served yet; models are still being loaded", shown))
        problem_set(problem, FAULT_MODEL_NOT_FOUND, NULL, "model %s is not served", shown);
    return model;
}

/* ---- parameters ----------------------------------------------------------------------------- */

static bool is_of_protocol(const char *name)
{
    static const char *const names[] = {"sequence_id", "sequence_start", "sequence_end", "binary_data_output",
                                        "timeout", "priority", "triton_enable_empty_final_response", NULL};
    for (size_t i = 0; names[i]; i++)
        if (!strcmp(names[i], name)) return true;
    return false;
}

/* "0.1,0.9" is how a list fits into a parameter. */
static void put_list(struct writer *body, const char *text)
{
    char *end;
    put_open(body, '[');
    for (; *text; text = end + (*end == ',')) {
        double number = strtod(text, &end);
        if (end == text) break;
        put_double(body, number);
    }
    put_close(body, ']');
}

/* Parameters of the model are members of the /v1 body, which says what is wrong with them. */
static void put_parameters(const struct json *parameters, struct writer *body)
{
    for (const struct json *v = json_first(parameters); v; v = json_next(v)) {
        const char *name = json_key(v);
        if (is_of_protocol(name)) continue;
        put_name(body, name);
        switch (json_kind(v)) {
        case JSON_NUMBER: put_double(body, json_number(v)); break;
        case JSON_BOOLEAN: put_boolean(body, json_boolean(v)); break;
        case JSON_STRING:
            if (!strcmp(name, "quantiles")) put_list(body, json_string(v));
            else put_string(body, json_string(v));
            break;
        case JSON_ABSENT:
        case JSON_NULL:
        case JSON_ARRAY:
        case JSON_OBJECT: put_null(body); break;
        }
    }
}

/* The sequence's name as a session's: "MODEL:ID"; false if it is none. */
static bool read_sequence_id(struct request *request, const struct model *model,
                             const struct json *parameters,
                             bool *has, struct problem *problem)
{
    const struct json *value = json_get(parameters, "sequence_id");
    int64_t number = 0;
    int n = 0;
    *has = false;
    if (!value || (json_kind(value) == JSON_NUMBER && json_number(value) == 0)) return true;
    if (json_kind(value) == JSON_STRING && !json_string(value)[0]) return true;
    if (json_kind(value) == JSON_STRING)
        n = snprintf(request->session, sizeof request->session, "%s:%s", model->name, json_string(value));
    else if (json_is_integer(value, 1, INT64_C(1) << 53, &number))
        n = snprintf(request->session, sizeof request->session, "%s:%lld", model->name, (long long)number);
    *has = n > 0 && n < (int)sizeof request->session && access_session_is_valid(request->session);
    if (*has) return server_serves(request->server, problem);
    *request->session = '\0';
    return problem_set(problem, FAULT_INVALID_VALUE, "parameters",
                       "'sequence_id' is neither an integer above 0 nor a name of letters, digits and ._:-");
}

static bool start_sequence(struct request *request, struct model *model, struct problem *problem)
{
    const struct store_key key = {STORE_SESSION, request->owner, request->session};
    int64_t expires_s;
    if (network_is_whole(model->network))
        return problem_set(problem, FAULT_UNSUPPORTED_FOR_MODEL, "parameters",
                           "model '%s' reads whole inputs and takes no sequences", model->name);
    enum status status;
    do { /* another request may start the same sequence between these two calls */
        (void)store_delete(request->server->store, &key);
        status = session_new(request->server->store, &key, model, NULL, (uint64_t)call_random_seed(),
                             request->server->config->sessions_ttl_s, &expires_s);
    } while (status == STATUS_BAD_VALUE);
    return status == STATUS_OK || problem_set(problem, FAULT_NO_MEMORY, NULL, "the sequence finds no room");
}

/* What the protocol's own parameters say. */
static bool read_parameters(struct request *request, struct inference *inference, const struct json *root,
                            struct writer *body, struct problem *problem)
{
    const struct json *parameters = json_get(root, "parameters");
    bool has = false, starts = false, binary = false, streams = false;
    int64_t timeout_us = 0;
    if (parameters && json_kind(parameters) != JSON_OBJECT)
        return field_expected(parameters, "parameters", "an object", problem);
    if (!parameters) return true;
    if (!field_boolean(parameters, "stream", &streams, problem) ||
        !field_boolean(parameters, "binary_data_output", &binary, problem) ||
        !field_boolean(parameters, "sequence_start", &starts, problem) ||
        !field_boolean(parameters, "sequence_end", &inference->ends, problem) ||
        !field_integer(parameters, "timeout", 0, INT64_C(1) << 53, &timeout_us, problem) ||
        !read_sequence_id(request, inference->model, parameters, &has, problem))
        return false;
    if (streams)
        return problem_set(problem, FAULT_INVALID_VALUE, "parameters",
                           "'stream' is true, but tensors come in one answer; ask generate_stream");
    for (size_t i = 0; i < OUTPUTS; i++) inference->binary[i] = binary;
    if (timeout_us) put_named_integer(body, "timeout_ms", (timeout_us + 999) / 1000);
    inference->has_sequence = has;
    inference->ends &= has;
    if (has && starts && !start_sequence(request, inference->model, problem)) return false;
    if (has) put_named_string(body, "session", request->session);
    put_parameters(parameters, body);
    return true;
}

/* ---- inputs --------------------------------------------------------------------------------- */

static void put_row(struct writer *body, const double *numbers, size_t n)
{
    put_open(body, '[');
    for (size_t i = 0; i < n; i++) put_double(body, numbers[i]);
    put_close(body, ']');
}

static bool put_features(struct inference *inference, const struct tensor *tensor, struct writer *body,
                         struct problem *problem)
{
    size_t size = network_input_size(inference->model->network), rank = tensor->rank;
    const size_t *shape = tensor->shape;
    bool flat = size == 1 && rank == 2; /* [inputs, steps] */
    if (!(flat || (rank >= 2 && rank <= 3 && shape[rank - 1] == size)))
        return problem_set(problem, FAULT_INVALID_VALUE, "inputs",
                           "input 'features': expected the shape [inputs, steps, %zu]", size);
    inference->n = flat || rank == 3 ? shape[0] : 1;
    size_t steps = tensor->n / inference->n / size;
    put_name(body, "input");
    put_open(body, '[');
    for (size_t i = 0; i < inference->n; i++) {
        put_open(body, '[');
        for (size_t t = 0; t < steps; t++) put_row(body, tensor->numbers + (i * steps + t) * size, size);
        put_close(body, ']');
    }
    put_close(body, ']');
    return true;
}

static bool put_series(struct inference *inference, const struct tensor *tensor,
                       const struct json *parameters,
                       struct writer *body, struct problem *problem)
{
    if (tensor->rank > 2)
        return problem_set(problem, FAULT_INVALID_VALUE, "inputs",
                           "input 'series': expected the shape [values] or [series, values]");
    inference->n = tensor->rank == 2 ? tensor->shape[0] : 1;
    size_t n = tensor->n / inference->n;
    put_name(body, "series");
    put_open(body, '[');
    for (size_t i = 0; i < inference->n; i++) put_row(body, tensor->numbers + i * n, n);
    put_close(body, ']');
    if (!json_get(parameters, "horizon")) put_named_integer(body, "horizon", 1);
    return true;
}

static void put_texts(struct inference *inference, const struct tensor *tensor, const char *name,
                      struct writer *body)
{
    inference->n = tensor->n;
    put_name(body, name);
    put_open(body, '[');
    for (size_t i = 0; i < tensor->n; i++) put_string(body, tensor->texts[i]);
    put_close(body, ']');
}

static bool put_input(struct inference *inference, const struct tensor *tensor, const struct json *root,
                      struct writer *body, struct problem *problem)
{
    const char *datatype, *name = signature_input(inference->signature, inference->model, &datatype);
    if (strcmp(tensor->name, name) || tensor->is_text != !strcmp(datatype, "BYTES"))
        return problem_set(problem, FAULT_INVALID_VALUE, "inputs",
                           "model '%s' takes the input '%s' of datatype %s", inference->model->name, name,
                           datatype);
    if (tensor->is_text)
        put_texts(inference, tensor,
                  inference->signature->ability == ABILITY_COMPLETE ? "prompt" : "input", body);
    else if (inference->signature->ability == ABILITY_FORECAST)
        return put_series(inference, tensor, json_get(root, "parameters"), body, problem);
    else return put_features(inference, tensor, body, problem);
    return true;
}

static bool read_outputs(struct inference *inference, const struct json *root, struct problem *problem)
{
    const struct json *outputs = json_get(root, "outputs");
    for (size_t i = 0; i < OUTPUTS; i++) inference->wanted[i] = !outputs;
    for (const struct json *v = json_first(outputs); v; v = json_next(v)) {
        const struct json *parameters = json_get(v, "parameters");
        const char *name = "";
        size_t i = 0;
        if (!field_string(v, "name", 256, &name, problem)) return false;
        while (i < OUTPUTS && strcmp(inference->signature->outputs[i].name, name)) i++;
        if (i == OUTPUTS)
            return problem_set(problem, FAULT_INVALID_VALUE, "outputs", "model '%s' gives the outputs '%s' "
                                                                        "and '%s'",
                               inference->model->name, inference->signature->outputs[0].name,
                               inference->signature->outputs[1].name);
        inference->wanted[i] = true;
        if (parameters && !field_boolean(parameters, "binary_data", &inference->binary[i],
                                         problem)) return false;
    }
    return true;
}

static bool read_request(struct request *request, struct inference *inference, const struct json *root,
                         struct tensor_bytes *rest, struct writer *body, struct problem *problem)
{
    const struct json *inputs = json_get(root, "inputs");
    const char *id = "";
    struct tensor tensor;
    char name[MODEL_NAME_BYTES + MODEL_VERSION_BYTES + 2];
    snprintf(name, sizeof name, "%s:%s", inference->model->name, inference->model->version);
    if (!field_string(root, "id", ID_BYTES - 1, &id, problem)) return false;
    snprintf(inference->id, sizeof inference->id, "%s", id);
    if (json_kind(inputs) != JSON_ARRAY || json_count(inputs) != 1)
        return field_expected(inputs, "inputs", "an array of one tensor", problem);
    put_open(body, '{');
    put_named_string(body, "model", name);
    bool good = tensor_read(json_first(inputs), rest, (size_t)request->server->config->limits_json_values,
                            &tensor, problem) &&
                read_outputs(inference, root, problem) &&
                put_input(inference, &tensor, root, body, problem) &&
                read_parameters(request, inference, root, body, problem);
    put_close(body, '}');
    tensor_release(&tensor);
    return good && (!rest->n || problem_set(problem, FAULT_INVALID_VALUE, "inputs",
                                            "%zu bytes follow the tensors' own", rest->n));
}

/* ---- the answer ----------------------------------------------------------------------------- */

/* What the /v1 answer becomes: at most two tensors. Memory is the reply's while it is written. */
struct result {
    struct tensor_out out[OUTPUTS];
    size_t n;
    double *numbers;
    const char **texts;
    const char *error;
};

static size_t label_index(const struct model *model, const char *label)
{
    size_t i = 0;
    while (i + 1 < model->n_labels && strcmp(model->labels[i], label)) i++;
    return i;
}

static bool read_classification(const struct inference *inference, const struct json *root, struct result *r)
{
    const size_t n = inference->n, L = inference->model->n_labels;
    r->numbers = calloc(n * L, sizeof *r->numbers);
    r->texts = calloc(n, sizeof *r->texts);
    if (!r->numbers || !r->texts) return false;
    const struct json *list = json_first(json_get(root, "results"));
    for (size_t i = 0; i < n && list; i++, list = json_next(list)) {
        r->texts[i] = json_string(json_get(json_first(list), "label"));
        for (const struct json *v = json_first(list); v; v = json_next(v))
            r->numbers[i * L + label_index(inference->model, json_string(json_get(v, "label")))] =
                json_number(json_get(v, "score"));
    }
    r->out[0] = (struct tensor_out){.shape = {n, L}, .rank = 2, .n = n * L, .numbers = r->numbers};
    r->out[1] = (struct tensor_out){.shape = {n}, .rank = 1, .n = n, .texts = r->texts};
    r->n = 2;
    return true;
}

static bool read_completion(const struct inference *inference, const struct json *root, struct result *r)
{
    const struct json *choices = json_get(root, "choices");
    size_t n = json_count(choices), i = 0;
    (void)inference;
    r->texts = calloc(2 * n + 1, sizeof *r->texts);
    if (!r->texts) return false;
    for (const struct json *v = json_first(choices); v; v = json_next(v), i++) {
        r->texts[i] = json_string(json_get(v, "text"));
        r->texts[n + i] = json_string(json_get(v, "finish_reason"));
    }
    r->out[0] = (struct tensor_out){.shape = {n}, .rank = 1, .n = n, .texts = r->texts};
    r->out[1] = (struct tensor_out){.shape = {n}, .rank = 1, .n = n, .texts = r->texts + n};
    r->n = 2;
    return true;
}

static void copy_numbers(const struct json *array, double *to)
{
    for (const struct json *v = json_first(array); v; v = json_next(v))
        *to++ = json_kind(v) == JSON_NUMBER ? json_number(v) : NAN;
}

static bool read_forecast(const struct inference *inference, const struct json *root, struct result *r)
{
    const struct json *list = json_first(json_get(root, "forecasts"));
    size_t n = inference->n, h = (size_t)json_number(json_get(root, "horizon"));
    size_t levels = json_count(json_get(list, "quantiles")), i = 0;
    r->numbers = calloc(n * h * (1 + levels), sizeof *r->numbers);
    if (!r->numbers) return false;
    double *quantiles = r->numbers + n * h;
    for (; list && i < n; list = json_next(list), i++) {
        size_t q = 0;
        if (json_get(list, "error")) r->error = json_string(json_get(list, "error"));
        if (r->error) return true;
        copy_numbers(json_get(list, "mean"), r->numbers + i * h);
        for (const struct json *v = json_first(json_get(list, "quantiles")); v; v = json_next(v), q++)
            copy_numbers(v, quantiles + (i * levels + q) * h);
    }
    r->out[0] = (struct tensor_out){.shape = {n, h}, .rank = 2, .n = n * h, .numbers = r->numbers};
    r->out[1] = (struct tensor_out){.shape = {n, levels, h}, .rank = 3, .n = n * levels * h,
                                    .numbers = quantiles};
    r->n = levels ? 2 : 1;
    return true;
}

static void put_answer(const struct inference *inference, const struct request *request, struct result *r,
                       struct writer *out, struct writer *binary)
{
    put_open(out, '{');
    if (*inference->id) put_named_string(out, "id", inference->id);
    put_named_string(out, "model_name", inference->model->name);
    put_named_string(out, "model_version", inference->model->version);
    if (inference->has_sequence) {
        const char *id = request->session + strlen(inference->model->name) + 1;
        put_name(out, "parameters");
        put_open(out, '{');
        put_named_string(out, "sequence_id", id);
        put_close(out, '}');
    }
    put_name(out, "outputs");
    put_open(out, '[');
    for (size_t i = 0; i < r->n; i++) {
        if (!inference->wanted[i]) continue;
        r->out[i].name = inference->signature->outputs[i].name;
        r->out[i].datatype = inference->signature->outputs[i].datatype;
        tensor_put(&r->out[i], out, inference->binary[i] ? binary : NULL);
    }
    put_close(out, ']');
    put_close(out, '}');
}

/* The JSON, and behind it the binary tensors. */
static void join(struct writer *out, const struct writer *binary, struct reply *reply)
{
    reply->json_bytes = out->n;
    put_raw(out, binary->text, binary->n);
    if (writer_failed(binary)) writer_fail(out);
    reply->content_type = "application/octet-stream";
}

static void convert(void *context, struct request *request, struct reply *reply)
{
    struct inference *inference = context;
    const struct config *config = request->server->config;
    struct json *document = bridge_parse(reply->body, reply->body_bytes, &reply->problem);
    struct result r = {.n = 0};
    struct writer out, binary;
    if (!document) return;
    const struct json *root = document;
    writer_init(&out, (size_t)config->limits_reply_bytes);
    writer_init(&binary, (size_t)config->limits_reply_bytes);
    enum ability ability = inference->signature->ability;
    bool good = (ability == ABILITY_COMPLETE   ? read_completion
                 : ability == ABILITY_CLASSIFY ? read_classification
                                               : read_forecast)(inference, root, &r);
    if (!good) problem_set(&reply->problem, FAULT_NO_MEMORY, NULL, NULL);
    else if (r.error) problem_set(&reply->problem, FAULT_INVALID_VALUE, "inputs", "%s", r.error);
    else {
        put_answer(inference, request, &r, &out, &binary);
        if (binary.n) join(&out, &binary, reply);
        bridge_replace(&out, reply);
    }
    if (inference->ends) {
        const struct store_key key = {STORE_SESSION, request->owner, request->session};
        (void)store_delete(request->server->store, &key);
    }
    free(r.numbers);
    free(r.texts);
    writer_release(&binary);
    writer_release(&out);
    json_free(document);
}

static void release(void *context)
{
    struct inference *inference = context;
    model_drop(inference->model);
    free(inference);
}

/* ---- the route ------------------------------------------------------------------------------ */

/* How many bytes of the body are JSON. */
static bool read_json_bytes(const struct request *request, size_t *n, struct problem *problem)
{
    const char *header = request->json_length;
    char *end;
    *n = request->body_bytes;
    if (!header) return true;
    unsigned long long number = *header >= '0' && *header <= '9' ? strtoull(header, &end, 10) : 0;
    if (!number || *end || number > request->body_bytes)
        return problem_set(problem, FAULT_INVALID_VALUE, "Inference-Header-Content-Length",
                           "the header Inference-Header-Content-Length is '%.32s'; expected the bytes of "
                           "JSON in the body", header);
    *n = (size_t)number;
    return true;
}

void api_infer(struct request *request, struct reply *reply)
{
    static const struct bridge_calls calls = {.convert = convert, .release = release};
    struct problem *problem = &reply->problem;
    struct inference *inference = calloc(1, sizeof *inference);
    struct writer body;
    size_t n;
    if (!inference) {
        problem_set(problem, FAULT_NO_MEMORY, NULL, NULL);
        return;
    }
    writer_init(&body, (size_t)request->server->config->limits_body_bytes * 8);
    inference->model = inference_model(request, problem);
    inference->signature = inference->model ? signature_of(inference->model, problem) : NULL;
    struct json *document = NULL;
    if (inference->signature && read_json_bytes(request, &n, problem)) {
        struct request json = *request;
        json.body_bytes = n;
        document = call_parse(&json, problem);
    }
    bool good = false;
    if (document) {
        struct tensor_bytes rest = {(const unsigned char *)request->body + n, request->body_bytes - n};
        good = read_request(request, inference, document, &rest, &body, problem);
    }
    json_free(document);
    if (good) bridge_ask(request, reply, inference->signature->handler, &body, &calls, inference);
    else {
        release(inference);
        writer_release(&body);
    }
}
