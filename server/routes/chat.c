/* POST /v1/chat/completions: OpenAI's shape of a chat, by /v1/completions, for models whose bundle says how
 * messages become a text ("chat_template" in config.json). */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "models/generation/generation.h"
#include "server/api/answer.h"
#include "server/api/bridge.h"
#include "server/api/codec.h"
#include "server/request/router.h"
#include "server/request/server.h"

struct chat {
    struct model *model; /* one reference */
    uint64_t begun;      /* of a stream: the choices whose first event has been sent, as bits */
};

/* ---- the request ---------------------------------------------------------------------------- */

/* Fields of /v1/completions that mean the same here. */
static const char *const same[] = {
    "temperature", "top_p", "max_tokens", "n", "stop", "seed", "stream", "stream_options", "presence_penalty",
    "frequency_penalty", "logit_bias", "user", "top_k", "min_p", "repetition_penalty", "no_repeat_ngram_size",
    "timeout_ms", "priority", "store", "ttl_s", "previous_response_id", "session", "step", "state",
    "return_state", NULL};

static const char *const known[] = {"model", "messages", "max_completion_tokens", NULL};

static const struct refusal refusals[] = {
    {"tools", "these models call no tools: leave it out", JSON_ABSENT},
    {"tool_choice", "these models call no tools: leave it out", JSON_ABSENT},
    {"functions", "these models call no functions: leave it out", JSON_ABSENT},
    {"function_call", "these models call no functions: leave it out", JSON_ABSENT},
    {"response_format", "the text is not bound to a format: leave it out", JSON_ABSENT},
    {"logprobs", "ask for them on /v1/completions", JSON_BOOLEAN},
    {"top_logprobs", "ask for them on /v1/completions", JSON_ABSENT},
    {"modalities", "these models write text only: leave it out", JSON_ABSENT},
    {"audio", "these models write text only: leave it out", JSON_ABSENT},
    {NULL, NULL, JSON_ABSENT}};

static const struct fields fields = {.known = known, .refusals = refusals, .is_open = true};

/* Add `text` to the prompt, which grows in `out` as raw bytes. */
static void add(struct writer *out, const char *text)
{
    put_raw(out, text, strlen(text));
}

/* The text of a message: a string, or parts of type "text". */
static bool add_content(const struct json *message, struct writer *out, struct problem *problem)
{
    const struct json *content = json_get(message, "content");
    if (json_kind(content) == JSON_STRING) {
        add(out, json_string(content));
        return true;
    }
    for (const struct json *v = json_first(content); v &&
         json_kind(content) == JSON_ARRAY; v = json_next(v)) {
        const char *text = NULL;
        if (json_kind(v) != JSON_OBJECT || !field_string(v, "text", INT32_MAX, &text, problem) || !text)
            return problem_set(problem, FAULT_INVALID_VALUE, "messages",
                               "a part of a message's content is not of type 'text'; these models read text "
                               "only");
        add(out, text);
    }
    return json_kind(content) == JSON_ARRAY || !content ||
           field_expected(content, "messages", "contents that are strings, or arrays of texts", problem);
}

static const char *title_of(const char *role)
{
    return !strcmp(role, "assistant") ? "Assistant: " : !strcmp(role, "user") ? "User: " : "";
}

/* plain: the contents, one under the other. roles: each after the name of its speaker, and the assistant's
 * last. */
static bool write_prompt(const struct chat *chat, const struct json *messages, struct writer *prompt,
                         struct problem *problem)
{
    bool roles = generation_defaults_of(chat->model)->chat_template == CHAT_ROLES, first = true;
    if (json_kind(messages) != JSON_ARRAY || !json_first(messages))
        return field_expected(messages, "messages", "an array of messages with 'role' and 'content'",
                              problem);
    for (const struct json *v = json_first(messages); v; v = json_next(v), first = false) {
        const char *role = NULL;
        if (json_kind(v) != JSON_OBJECT)
            return field_expected(v, "messages", "objects with 'role' and 'content'", problem);
        if (!field_string(v, "role", 32, &role, problem)) return false;
        if (!role)
            return problem_set(problem, FAULT_INVALID_VALUE, "messages",
                               "a message has no 'role'; expected one, such as \"user\"");
        if (!first) add(prompt, "\n");
        if (roles) add(prompt, title_of(role));
        if (!add_content(v, prompt, problem)) return false;
    }
    if (roles) add(prompt, "\nAssistant:");
    return true;
}

static bool write_body(const struct chat *chat, const struct json *root, struct writer *body,
                       struct problem *problem)
{
    char name[MODEL_NAME_BYTES + MODEL_VERSION_BYTES + 2];
    struct writer prompt;
    writer_init(&prompt, (size_t)1 << 28);
    bool good = write_prompt(chat, json_get(root, "messages"), &prompt, problem);
    snprintf(name, sizeof name, "%s:%s", chat->model->name, chat->model->version);
    put_open(body, '{');
    put_named_string(body, "model", name);
    put_name(body, "prompt");
    put_string_n(body, prompt.text ? prompt.text : "", prompt.n);
    for (size_t i = 0; same[i]; i++)
        if (json_get(root, same[i])) bridge_put_field(body, same[i], json_get(root, same[i]));
    if (json_get(root, "max_completion_tokens") && !json_get(root, "max_tokens"))
        bridge_put_field(body, "max_tokens", json_get(root, "max_completion_tokens"));
    if (!json_get(root, "stop") && generation_defaults_of(chat->model)->chat_template == CHAT_ROLES)
        put_named_string(body, "stop", "\nUser:");
    put_close(body, '}');
    writer_release(&prompt);
    return good;
}

/* ---- the answer ----------------------------------------------------------------------------- */

static void put_choice(struct chat *chat, const struct json *choice, bool is_event, struct writer *out)
{
    size_t index = (size_t)json_number(json_get(choice, "index"));
    bool first = !is_event || index >= 64 || !(chat->begun >> index & 1);
    if (index < 64) chat->begun |= UINT64_C(1) << index;
    put_open(out, '{');
    put_named_integer(out, "index", (int64_t)index);
    put_name(out, is_event ? "delta" : "message");
    put_open(out, '{');
    if (first) put_named_string(out, "role", "assistant");
    bridge_put_field(out, "content", json_get(choice, "text"));
    put_close(out, '}');
    put_name(out, "logprobs");
    put_null(out);
    bridge_put_field(out, "finish_reason", json_get(choice, "finish_reason"));
    put_close(out, '}');
}

/* All members of the completion, except that the choices and the object have other names. */
static void put_answer(struct chat *chat, const struct json *root, bool is_event, struct writer *out)
{
    put_open(out, '{');
    for (const struct json *v = json_first(root); v; v = json_next(v)) {
        const char *name = json_key(v);
        if (!strcmp(name, "object"))
            put_named_string(out, name, is_event ? "chat.completion.chunk" : "chat.completion");
        else if (strcmp(name, "choices") || json_kind(v) != JSON_ARRAY) bridge_put_field(out, name, v);
        else {
            put_name(out, name);
            put_open(out, '[');
            for (const struct json *choice = json_first(v); choice; choice = json_next(choice))
                put_choice(chat, choice, is_event, out);
            put_close(out, ']');
        }
    }
    put_close(out, '}');
}

static void convert(void *context, struct request *request, struct reply *reply)
{
    struct writer out;
    struct json *document = bridge_parse(reply->body, reply->body_bytes, &reply->problem);
    if (!document) return;
    writer_init(&out, (size_t)request->server->config->limits_reply_bytes);
    put_answer(context, document, false, &out);
    bridge_replace(&out, reply);
    json_free(document);
}

static void event(void *context, const char *json, size_t bytes, struct writer *out)
{
    struct problem problem;
    struct json *document = bridge_parse(json, bytes, &problem);
    if (document) put_answer(context, document, true, out);
    else writer_fail(out);
    json_free(document);
}

static void release(void *context)
{
    struct chat *chat = context;
    model_drop(chat->model);
    free(chat);
}

/* ---- the route ------------------------------------------------------------------------------ */

/* The model that is asked: the one named, or the only one that chats. Models that do not are told apart from
 * routes that are not there by the sentence alone: most clients show no more. */
static struct model *find_model(struct request *request, const struct json *root, struct problem *problem)
{
    const char *name = NULL;
    size_t n = 0;
    if (!field_string(root, "model", MODEL_NAME_BYTES + MODEL_VERSION_BYTES + 1, &name, problem)) return NULL;
    struct registry *registry = request->server->registry;
    struct model *model = name ? registry_acquire(registry, name)
                               : registry_acquire_only(registry, ABILITY_COMPLETE, &n);
    if (!model && server_is_loading(request->server, problem, "models are still being loaded")) return NULL;
    if (model && task_can(model->task, ABILITY_COMPLETE) && generation_defaults_of(model)->chat_template)
        return model;
    if (name && !model) problem_set(problem, FAULT_MODEL_NOT_FOUND, "model", "model '%.80s' is not served",
                                    name);
    else problem_set(problem, FAULT_NOT_FOUND, NULL, "there is no route /v1/chat/completions: %s",
                     route_no_chat);
    model_drop(model);
    return NULL;
}

void api_chat(struct request *request, struct reply *reply)
{
    static const struct bridge_calls calls = {
        .convert = convert, .event = event, .release = release, .keeps_done = true};
    struct chat *chat = calloc(1, sizeof *chat);
    struct json *document = call_parse(request, &reply->problem);
    struct writer body;
    writer_init(&body, (size_t)request->server->config->limits_body_bytes * 8);
    if (!chat) problem_set(&reply->problem, FAULT_NO_MEMORY, NULL, NULL);
    bool good = chat && document;
    if (good) chat->model = find_model(request, document, &reply->problem);
    good = good && chat->model &&
           fields_check(document, &fields, same, request->server->config->http_strict_json,
                        &reply->problem) &&
           write_body(chat, document, &body, &reply->problem);
    json_free(document);
    if (good) bridge_ask(request, reply, api_completions, &body, &calls, chat);
    else {
        if (chat) release(chat);
        writer_release(&body);
    }
}
