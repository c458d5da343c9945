#include "server/stream/talk.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "models/features/feature.h"
#include "server/api/branch.h"
#include "server/api/bridge.h"
#include "server/api/fields.h"
#include "server/routes/steps.h"
#include "server/stream/channel.h"

enum { END_BYTES = 64, LAST_BYTES = 65536 };

#define MAX_INTEGER 9007199254740991

static const struct config *config_of(const struct channel *channel)
{
    return channel->streams->server->config;
}

/* Forget the stream; the socket may open another one. */
static void close_stream(struct talk *talk)
{
    talk_release(talk);
    talk->stage = TALK_CLOSED;
    talk->options = talk->last = NULL;
    talk->last_bytes = 0;
}

void talk_release(struct talk *talk)
{
    free(talk->options);
    free(talk->last);
}

/* ---- what is said --------------------------------------------------------------------------- */

static size_t say_problem(struct channel *channel, const struct problem *problem, const char *id)
{
    size_t n = 0;
    char *text = request_error_body(problem, id, false, &n);
    if (!text || !channel_send(channel, text, n)) channel_drop(channel);
    free(text);
    return n;
}

static size_t say(struct channel *channel, const char *text, size_t n)
{
    struct problem problem;
    if (channel->state != CHANNEL_OPEN) return 0;
    if (text && channel_send(channel, text, n)) return n;
    problem_set(&problem, FAULT_NO_MEMORY, NULL, NULL);
    return say_problem(channel, &problem, channel->id);
}

static void say_written(struct channel *channel, struct writer *out)
{
    size_t n = 0;
    char *text = writer_take(out, &n);
    say(channel, text, n);
    free(text);
}

/* ---- the first message ---------------------------------------------------------------------- */

/* What it asks for; texts are borrowed from its document. */
struct opening {
    const char *task, *model, *session, *previous, *state, *id;
    int64_t every, ttl_s, seed;
    bool has_seed;
};

static bool read_opening(struct channel *channel, const struct json *root, struct opening *opening,
                         struct problem *problem)
{
    const struct config *config = config_of(channel);
    const struct json *options = json_get(root, "options");
    *opening = (struct opening){.every = 1, .ttl_s = config->sessions_ttl_s};
    opening->has_seed = json_get(root, "seed") != NULL;
    if (!field_string(root, "task", sizeof channel->talk.task - 1, &opening->task, problem) ||
        !field_string(root, "model", sizeof channel->talk.model - 1, &opening->model, problem) ||
        !field_string(root, "session", STORE_ID_BYTES - 1, &opening->session, problem) ||
        !field_string(root, "previous_response_id", STORE_ID_BYTES - 1, &opening->previous, problem) ||
        !field_string(root, "state", INT_MAX, &opening->state, problem) ||
        !field_string(root, "id", STORE_ID_BYTES - 1, &opening->id, problem) ||
        !field_integer(root, "every", 1, 1000000, &opening->every, problem) ||
        !field_integer(root, "ttl_s", 1, config->sessions_ttl_max_s, &opening->ttl_s, problem) ||
        !field_integer(root, "seed", -MAX_INTEGER, MAX_INTEGER, &opening->seed, problem))
        return false;
    if (options && json_kind(options) != JSON_OBJECT)
        return field_expected(options, "options", "an object", problem);
    if ((opening->session != NULL) + (opening->previous != NULL) + (opening->state != NULL) > 1)
        return problem_set(problem, FAULT_INVALID_VALUE, opening->previous ? "previous_response_id" : "state",
                           "a stream goes on from one state; expected one of 'session', "
                           "'previous_response_id' and 'state'");
    if (opening->session && opening->id)
        return problem_set(problem, FAULT_INVALID_VALUE, "id",
                           "'id' is the name of a new session; leave it out, or 'session'");
    const char *from_header = channel->talk.session;
    bool is_new = opening->model || opening->previous || opening->state || opening->id;
    if (!opening->session && !is_new && *from_header) opening->session = from_header;
    return opening->session || is_new ||
           field_expected(NULL, "model", "the name of a model; or 'session', 'previous_response_id' or "
                                         "'state', to go on from there", problem);
}

/* The members of an object, without its brackets. */
static bool keep_options(struct talk *talk, const struct json *options)
{
    struct writer out;
    size_t n = 0;
    if (!options || !json_count(options)) return true;
    writer_init(&out, LAST_BYTES);
    for (const struct json *v = json_first(options); v; v = json_next(v))
        bridge_put_field(&out, json_key(v), v);
    talk->options = writer_take(&out, &n);
    return talk->options != NULL;
}

/* Make the session, or ask what it is. The answer comes to talk_answer. */
static void ask_session(struct channel *channel, const struct opening *opening)
{
    struct talk *talk = &channel->talk;
    struct writer body;
    size_t n = 0;
    talk->stage = TALK_OPENING;
    if (opening->session) {
        step_begin(channel, ROUTE_SESSION, opening->session, "", "", 0);
        return;
    }
    writer_init(&body, (size_t)config_of(channel)->limits_body_bytes);
    put_open(&body, '{');
    if (opening->model) put_named_string(&body, "model", opening->model);
    if (opening->id) put_named_string(&body, "id", opening->id);
    if (opening->previous || opening->state)
        put_named_string(&body, "from", opening->state ? opening->state : opening->previous);
    put_named_integer(&body, "ttl_s", opening->ttl_s);
    if (opening->has_seed) put_named_integer(&body, "seed", opening->seed);
    put_close(&body, '}');
    char *text = writer_take(&body, &n);
    if (text) step_begin(channel, ROUTE_SESSIONS, "", opening->id ? "" : talk->session, text, n);
    else {
        close_stream(talk);
        say(channel, NULL, 0);
    }
    free(text);
}

static void hear_first(struct channel *channel, const char *bytes, size_t n)
{
    static const char *const known[] = {"task", "model", "session", "previous_response_id", "state", "every",
                                        "options", "id", "ttl_s", "seed", NULL};
    static const struct fields fields = {.known = known};
    const struct config *config = config_of(channel);
    const struct json_limits limits = {.depth = (size_t)config->limits_json_depth,
                                       .values = (size_t)config->limits_json_values};
    struct talk *talk = &channel->talk;
    struct opening opening;
    struct problem problem = {0};
    struct json *document = document_parse(bytes, n, &limits, &problem);
    const struct json *root = document;
    bool good = root && (json_kind(root) == JSON_OBJECT ||
                         problem_set(&problem, FAULT_INVALID_JSON, NULL,
                                     "the first message is not a JSON object"));
    good = good && fields_check(root, &fields, NULL, false, &problem) &&
           read_opening(channel, root, &opening, &problem);
    if (good && !keep_options(talk, json_get(root, "options")))
        good = problem_set(&problem, FAULT_NO_MEMORY, "options", NULL);
    if (good) {
        talk->is_named = opening.session || opening.id || *talk->session;
        talk->every = (uint64_t)opening.every;
        talk->taken = 0;
        strcpy(talk->task, opening.task ? opening.task : "");
        strcpy(talk->model, opening.session && opening.model ? opening.model : "");
        ask_session(channel, &opening);
    } else say_problem(channel, &problem, channel->id);
    json_free(document);
}

/* Whether a name means this model. */
static bool is_model(const struct model *model, const char *name)
{
    size_t n = strlen(model->name);
    return !strncmp(name, model->name, n) &&
           (!name[n] || (name[n] == ':' && !strcmp(name + n + 1, model->version)));
}

/* Find what a binary message is to the route. */
static void find_form(struct talk *talk, const struct model *model)
{
    const bool transcribes = talk->route == ROUTE_TRANSCRIBE;
    talk->field = transcribes ? "features" : "input";
    talk->width = network_input_size(model->network);
    talk->depth = 2;
    if (talk->route == ROUTE_FORECAST) talk->field = "series", talk->width = talk->depth = 1;
    if (!transcribes || !model->front) return;
    const bool is_ink = front_media(model->front) == MEDIA_INK; /* a message is a stroke, or samples */
    talk->field = is_ink ? "strokes" : "samples";
    talk->width = is_ink ? 2 : 1;
    talk->depth = is_ink ? 3 : 1;
}

/* Find the route of the session's messages. */
static bool find_route(struct channel *channel, const struct store_key *key, struct problem *problem)
{
    struct talk *talk = &channel->talk;
    struct store_view view;
    enum store_found found = store_get(channel->streams->server->store, key, &view);
    bool good = branch_missing(found, "session", key->id, problem);
    if (good && *talk->model && !is_model(view.model, talk->model))
        good = problem_set(problem, FAULT_INVALID_VALUE, "model",
                           "the session is one of model '%s:%s'; expected that model, or none",
                           view.model->name, view.model->version);
    if (good) {
        talk->route = steps_route(view.model, talk->task, problem);
        good = talk->route != ROUTE_NONE;
        if (good) find_form(talk, view.model);
    }
    store_view_release(&view);
    return good;
}

/* The session is there, or is not. */
static size_t open_stream(struct channel *channel, const struct reply *reply)
{
    struct talk *talk = &channel->talk;
    struct store *store = channel->streams->server->store;
    const struct request *request = &channel->step.request;
    const struct store_key key = {STORE_SESSION, request->owner, request->session};
    struct problem problem = reply->problem;
    bool is_made = problem.fault == FAULT_NONE;
    if (is_made && find_route(channel, &key, &problem)) {
        talk->stage = TALK_OPEN;
        strcpy(talk->session, request->session);
        strcpy(talk->owner, request->owner);
        return say(channel, reply->body, reply->body_bytes);
    }
    if (is_made && request->route == ROUTE_SESSIONS) store_delete(store, &key);
    close_stream(talk);
    return say_problem(channel, &problem, request->id);
}

/* ---- the last message ----------------------------------------------------------------------- */

/* Whether a message is {"end":true}, which is never long. */
static bool is_end(const char *bytes, size_t n)
{
    static const struct json_limits limits = {.depth = 2, .values = 8};
    struct problem problem;
    if (n > END_BYTES) return false;
    struct json *document = document_parse(bytes, n, &limits, &problem);
    if (!document) return false;
    const struct json *end = json_get(document, "end");
    bool is = json_kind(document) == JSON_OBJECT && json_kind(end) == JSON_BOOLEAN && json_boolean(end) &&
              json_count(document) == 1;
    json_free(document);
    return is;
}

/* Keep the state after the last step under an id, as {"store":true} would have. */
static bool put_state(struct channel *channel, const struct store_view *view, struct writer *out,
                      struct problem *problem)
{
    char id[REQUEST_ID_BYTES];
    int64_t expires_s = 0;
    const struct store_key key = {STORE_ANSWER, channel->talk.owner, access_new_id("state-", id)};
    put_name(out, "id");
    if (!view->state) {
        put_null(out);
        return true;
    }
    enum status status = store_put(channel->streams->server->store, &key, view->model, view->state,
                                   view->ttl_s, &expires_s);
    if (status != STATUS_OK)
        return problem_set(problem, FAULT_NO_MEMORY, NULL,
                           "there is no room to keep the state (sessions.bytes, sessions.folder)");
    put_string(out, id);
    put_named_integer(out, "expires_at", expires_s);
    return true;
}

static void hear_end(struct channel *channel)
{
    struct talk *talk = &channel->talk;
    struct store *store = channel->streams->server->store;
    const struct store_key key = {STORE_SESSION, talk->owner, talk->session};
    struct store_view view;
    struct problem problem = {0};
    struct writer out;
    bool is_there = branch_missing(store_get(store, &key, &view), "session", key.id, &problem);
    writer_init(&out, (size_t)config_of(channel)->limits_reply_bytes);
    put_open(&out, '{');
    put_named_string(&out, "object", "stream.end");
    put_named_string(&out, "session", talk->session);
    if (is_there) put_named_integer(&out, "step", (int64_t)view.step);
    bool good = is_there && put_state(channel, &view, &out, &problem);
    put_name(&out, "last");
    if (talk->last) put_raw(&out, talk->last, talk->last_bytes);
    else put_null(&out);
    put_raw(&out, "}", 1);
    if (good) say_written(channel, &out);
    else say_problem(channel, &problem, channel->id);
    writer_release(&out);
    if (good && !talk->is_named) store_delete(store, &key);
    store_view_release(&view);
    if (good || !is_there) {
        close_stream(talk);
        *talk->session = '\0';
    }
}

/* ---- messages between ----------------------------------------------------------------------- */

/* Rows of float32 as the body of the route. */
static bool put_rows(struct talk *talk, const char *bytes, size_t n, struct writer *out)
{
    size_t n_rows = n / sizeof(float) / talk->width;
    put_open(out, '{');
    if (talk->options) {
        put_raw(out, talk->options, strlen(talk->options));
        out->need_comma = true;
    }
    put_name(out, talk->field);
    put_open(out, '[');
    if (talk->depth > 2) put_open(out, '[');
    for (size_t row = 0; row < n_rows; row++) {
        if (talk->depth > 1) put_open(out, '[');
        for (size_t i = 0; i < talk->width; i++, bytes += sizeof(float)) {
            uint32_t bits = 0;
            float value;
            for (size_t k = 0; k < sizeof bits; k++) bits |= (uint32_t)(uint8_t)bytes[k] << (8 * k);
            memcpy(&value, &bits, sizeof value);
            put_float(out, value);
        }
        if (talk->depth > 1) put_close(out, ']');
    }
    if (talk->depth > 2) put_close(out, ']');
    put_close(out, ']');
    put_close(out, '}');
    return !writer_failed(out);
}

static bool check_rows(const struct talk *talk, size_t n, struct problem *problem)
{
    if (!talk->width)
        return problem_set(problem, FAULT_UNSUPPORTED_FOR_MODEL, NULL,
                           "the message is binary, but the model reads text; expected a JSON object");
    size_t each = talk->width * sizeof(float);
    return (n && n % each == 0) ||
           problem_set(problem, FAULT_INVALID_VALUE, NULL,
                       "the binary message has %zu bytes; expected rows of %zu float32, %zu bytes each", n,
                       talk->width, each);
}

static void hear_rows(struct channel *channel, const char *bytes, size_t n)
{
    struct talk *talk = &channel->talk;
    struct problem problem = {0};
    struct writer body;
    size_t length = 0;
    if (!check_rows(talk, n, &problem)) {
        say_problem(channel, &problem, channel->id);
        return;
    }
    writer_init(&body, (size_t)config_of(channel)->limits_body_bytes);
    if (!put_rows(talk, bytes, n, &body)) {
        problem_set(&problem, body.is_over ? FAULT_PAYLOAD_TOO_LARGE : FAULT_NO_MEMORY, NULL,
                    body.is_over ? "as JSON the message is over limits.body_bytes; expected fewer rows"
                                 : NULL);
        say_problem(channel, &problem, channel->id);
        writer_release(&body);
        return;
    }
    char *text = writer_take(&body, &length);
    step_begin(channel, talk->route, "", talk->session, text, length);
    free(text);
}

void talk_hear(struct channel *channel, bool is_text, const char *bytes, size_t n)
{
    struct talk *talk = &channel->talk;
    struct problem problem = {0};
    if (talk->stage == TALK_OPEN && !is_text) hear_rows(channel, bytes, n);
    else if (talk->stage == TALK_OPEN && is_end(bytes, n)) hear_end(channel);
    else if (talk->stage == TALK_OPEN) step_begin(channel, talk->route, "", talk->session, bytes, n);
    else if (is_text) hear_first(channel, bytes, n);
    else {
        problem_set(&problem, FAULT_INVALID_VALUE, NULL,
                    "the first message is binary; expected a JSON object that names a model or a session");
        say_problem(channel, &problem, channel->id);
    }
}

/* ---- answers -------------------------------------------------------------------------------- */

/* An answer that is not sent is kept for the end of the stream, if it is not long. */
static void keep_last(struct talk *talk, struct reply *reply)
{
    free(talk->last);
    talk->last = reply->body_bytes <= LAST_BYTES ? reply->body : NULL;
    talk->last_bytes = reply->body_bytes;
    if (talk->last) reply->body = NULL;
}

static size_t answer(struct channel *channel, struct reply *reply)
{
    struct talk *talk = &channel->talk;
    enum fault fault = reply->problem.fault;
    if (talk->stage == TALK_OPENING) return open_stream(channel, reply);
    if (fault != FAULT_NONE) {
        size_t n = say_problem(channel, &reply->problem, channel->step.id);
        if (fault == FAULT_INVALID_API_KEY || fault == FAULT_PERMISSION_DENIED)
            channel_close(channel, CLOSE_POLICY, "the API key is no longer good for this");
        return n;
    }
    if (++talk->taken % talk->every) {
        keep_last(talk, reply);
        return 0;
    }
    free(talk->last);
    talk->last = NULL;
    return say(channel, reply->body, reply->body_bytes);
}

size_t talk_answer(struct channel *channel, struct reply *reply)
{
    size_t n = channel->state == CHANNEL_OPEN ? answer(channel, reply) : 0;
    free(reply->body);
    reply->body = NULL;
    return n;
}

size_t talk_event(struct channel *channel, const char *json, size_t n)
{
    return say(channel, json, n);
}
