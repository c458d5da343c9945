/* POST /v2/models/{id}/generate and generate_stream: Triton's generate extension, by /v1/completions. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "server/api/bridge.h"
#include "server/api/codec.h"
#include "server/protocols/inference.h"
#include "server/request/server.h"

struct generate {
    struct model *model; /* one reference */
    bool streams;
};

static void put_text(const struct generate *generate, const struct json *root, struct writer *out)
{
    const struct json *choice = json_first(json_get(root, "choices")), *error = json_get(root, "error");
    put_open(out, '{');
    if (error) put_named_string(out, "error", json_string(json_get(error, "message")));
    else {
        put_named_string(out, "model_name", generate->model->name);
        put_named_string(out, "model_version", generate->model->version);
        put_named_string(out, "text_output", choice ? json_string(json_get(choice, "text")) : "");
        const struct json *finish = json_get(choice, "finish_reason");
        if (finish) put_named_string(out, "finish_reason", json_string(finish));
    }
    put_close(out, '}');
}

static void convert(void *context, struct request *request, struct reply *reply)
{
    struct writer out;
    struct json *document = bridge_parse(reply->body, reply->body_bytes, &reply->problem);
    if (!document) return;
    writer_init(&out, (size_t)request->server->config->limits_reply_bytes);
    put_text(context, document, &out);
    bridge_replace(&out, reply);
    json_free(document);
}

static void event(void *context, const char *json, size_t bytes, struct writer *out)
{
    struct problem problem;
    struct json *document = bridge_parse(json, bytes, &problem);
    if (document) put_text(context, document, out);
    else writer_fail(out);
    json_free(document);
}

static void release(void *context)
{
    struct generate *generate = context;
    model_drop(generate->model);
    free(generate);
}

/* Members beside text_input, and those of `parameters`, are fields of /v1/completions. */
static void put_fields(const struct json *object, struct writer *body)
{
    for (const struct json *v = json_first(object); v; v = json_next(v)) {
        const char *name = json_key(v);
        if (!strcmp(name, "text_input") || !strcmp(name, "parameters") || !strcmp(name, "stream") ||
            !strcmp(name, "id"))
            continue;
        bridge_put_field(body, name, v);
    }
}

static bool read(struct request *request, struct generate *generate, struct writer *body,
                 struct problem *problem)
{
    char name[MODEL_NAME_BYTES + MODEL_VERSION_BYTES + 2];
    const char *text = NULL;
    struct json *document = call_parse(request, problem);
    if (!document) return false;
    const struct json *root = document;
    const struct json *parameters = json_get(root, "parameters");
    bool good = field_string(root, "text_input", INT32_MAX, &text, problem) &&
                (text || field_expected(NULL, "text_input", "a string", problem)) &&
                (!parameters || json_kind(parameters) == JSON_OBJECT ||
                 field_expected(parameters, "parameters", "an object", problem));
    if (good) {
        snprintf(name, sizeof name, "%s:%s", generate->model->name, generate->model->version);
        put_open(body, '{');
        put_named_string(body, "model", name);
        put_named_string(body, "prompt", text);
        put_named_boolean(body, "stream", generate->streams);
        put_fields(root, body);
        put_fields(parameters, body);
        put_close(body, '}');
    }
    json_free(document);
    return good;
}

static void ask(struct request *request, struct reply *reply, bool streams)
{
    static const struct bridge_calls whole = {.convert = convert, .release = release};
    static const struct bridge_calls streaming = {.convert = convert, .event = event, .release = release};
    struct generate *generate = calloc(1, sizeof *generate);
    struct writer body;
    if (!generate) {
        problem_set(&reply->problem, FAULT_NO_MEMORY, NULL, NULL);
        return;
    }
    writer_init(&body, (size_t)request->server->config->limits_body_bytes * 8);
    generate->streams = streams;
    generate->model = inference_model(request, &reply->problem);
    if (generate->model && read(request, generate, &body, &reply->problem))
        bridge_ask(request, reply, api_completions, &body, streams ? &streaming : &whole, generate);
    else {
        release(generate);
        writer_release(&body);
    }
}

void api_generate(struct request *request, struct reply *reply)
{
    ask(request, reply, false);
}

void api_generate_stream(struct request *request, struct reply *reply)
{
    ask(request, reply, true);
}
