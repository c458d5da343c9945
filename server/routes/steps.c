/* POST /v1/sessions/{id}/steps: several steps of one session, one after the other.
 *
 * The body is a JSON array of bodies of the model's /v1 route, or one body a line. The answer is one line a
 * step. The first step that fails is the last: its error stands in its line, and the session has moved by
 * those before it. Each step is an operation of its own, which the one before it leaves behind. */
#include "server/routes/steps.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "server/api/answer.h"
#include "server/api/branch.h"
#include "server/api/bridge.h"
#include "server/api/codec.h"
#include "server/request/access.h"
#include "server/request/router.h"
#include "server/request/server.h"
#include "server/routes/sessions.h"

struct procession {
    const struct operation *inner; /* of the step under way; NULL: none */
    void *inner_work;
    request_handler *handler;
    struct writer bodies; /* one a line */
    size_t at;            /* of the next one */
    struct writer out;    /* the answers so far, one a line */
    bool is_over;
};

static void steps_free(void *work)
{
    struct procession *steps = work;
    if (steps->inner) steps->inner->free(steps->inner_work);
    writer_release(&steps->bodies);
    writer_release(&steps->out);
    free(steps);
}

/* The answer of one step, or its error, as a line. */
static void add_line(struct procession *steps, struct request *request, struct reply *reply)
{
    size_t bytes = reply->body_bytes;
    char *text = reply->body;
    if (reply->problem.fault != FAULT_NONE) {
        free(reply->body);
        text = request_error_body(&reply->problem, request->id, false, &bytes);
        steps->is_over = true;
    }
    if (text) put_raw(&steps->out, text, bytes);
    put_raw(&steps->out, "\n", 1);
    free(text);
    *reply = (struct reply){0};
}

/* Handle bodies until one leaves an operation (true) or all are done. */
static bool go_on(struct procession *steps, struct request *request, struct reply *reply)
{
    while (!steps->is_over && !writer_failed(&steps->out) && steps->at < steps->bodies.n) {
        const char *line = steps->bodies.text + steps->at;
        const char *end = memchr(line, '\n', steps->bodies.n - steps->at);
        size_t n = end ? (size_t)(end - line) : steps->bodies.n - steps->at;
        steps->at += n + 1;
        request->operation = NULL;
        request->work = NULL;
        request->body = line;
        request->body_bytes = n;
        request->again = steps->handler;
        steps->handler(request, reply);
        if (request->operation && request->operation->read)
            problem_set(&reply->problem, FAULT_INVALID_VALUE, "stream", "a step of several is not streamed");
        if (request->operation && reply->problem.fault == FAULT_NONE) {
            steps->inner = request->operation;
            steps->inner_work = request->work;
            return true;
        }
        if (request->operation) request->operation->free(request->work);
        add_line(steps, request, reply);
    }
    return false;
}

static void finish(struct procession *steps, struct reply *reply)
{
    answer_writer(&steps->out, reply);
    reply->content_type = "application/x-ndjson";
}

/* ---- the operation ----------------------------------------------------------------------------- */

static bool start(void *work, struct problem *problem)
{
    struct procession *steps = work;
    return steps->inner->start(steps->inner_work, problem);
}

static void cancel(void *work)
{
    struct procession *steps = work;
    steps->inner->cancel(steps->inner_work);
}

static uint64_t cost_steps(void *work, bool finished)
{
    struct procession *steps = work;
    return steps->inner ? steps->inner->cost_steps(steps->inner_work, finished) : 0;
}

static void answer(void *work, struct request *request, struct reply *reply);
static void refuse(void *work, struct request *request, struct reply *reply);

static const struct operation operation = {.start = start, .cancel = cancel, .answer = answer,
                                           .refuse = refuse, .cost_steps = cost_steps, .free = steps_free};

/* A step that finds no room or no quota is the last one; those before it have moved the session. */
static void refuse(void *work, struct request *request, struct reply *reply)
{
    struct procession *steps = work;
    if (!steps->out.n) return;
    add_line(steps, request, reply);
    finish(steps, reply);
}

/* The exchange knows a new operation by its address. */
static void leave(struct procession *steps, struct request *request, struct reply *reply)
{
    struct procession *next = malloc(sizeof *next);
    if (!next) {
        request->operation = &operation;
        request->work = steps;
        problem_set(&reply->problem, FAULT_NO_MEMORY, NULL, NULL);
        return;
    }
    *next = *steps;
    free(steps);
    request->operation = &operation;
    request->work = next;
}

static void answer(void *work, struct request *request, struct reply *reply)
{
    struct procession *steps = work;
    void *inner_work = steps->inner_work;
    request->operation = steps->inner;
    request->work = inner_work;
    steps->inner->answer(inner_work, request, reply);
    if (request->work != inner_work && request->operation) { /* it has waited, and begins now */
        steps->inner = request->operation;
        steps->inner_work = request->work;
        leave(steps, request, reply);
        return;
    }
    if (request->work == inner_work) steps->inner->free(inner_work);
    steps->inner = NULL;
    add_line(steps, request, reply);
    if (go_on(steps, request, reply)) {
        leave(steps, request, reply);
        return;
    }
    request->operation = &operation;
    request->work = steps;
    finish(steps, reply);
}

/* ---- the route ------------------------------------------------------------------------------ */

/* One body a line: as they stand, or the elements of an array. */
static bool read_bodies(const struct request *request, struct writer *out, struct problem *problem)
{
    const struct config *config = request->server->config;
    const struct json_limits limits = {.depth = (size_t)config->limits_json_depth,
                                       .values = (size_t)config->limits_json_values};
    size_t skip = 0;
    while (skip < request->body_bytes && isspace((unsigned char)request->body[skip])) skip++;
    if (skip == request->body_bytes)
        return problem_set(problem, FAULT_INVALID_VALUE, NULL,
                           "the body is empty; expected an array of steps, or one step a line");
    if (request->body[skip] != '[' && request->body[skip] != '{')
        return problem_set(problem, FAULT_INVALID_VALUE, NULL,
                           "the body begins with neither [ nor {; expected an array of steps, or one step a "
                           "line");
    if (request->body[skip] == '{') {
        size_t end = request->body_bytes;
        while (isspace((unsigned char)request->body[end - 1])) end--;
        put_raw(out, request->body + skip, end - skip);
        return true;
    }
    struct json *document = document_parse(request->body, request->body_bytes, &limits, problem);
    if (!document) return false;
    bool good = true;
    size_t n = 0;
    for (const struct json *v = json_first(document); good && v; v = json_next(v), n++) {
        if (json_kind(v) != JSON_OBJECT)
            good = problem_set(problem, FAULT_INVALID_VALUE, NULL,
                               "element %zu of the array is no object; expected the body of a step", n);
        out->need_comma = false;
        bridge_put_value(out, v);
        out->need_comma = false;
        put_raw(out, "\n", 1);
    }
    json_free(document);
    return good;
}

enum route_id steps_route(const struct model *model, const char *task, struct problem *problem)
{
    static const struct { enum ability ability; const char *name; enum route_id route; } routes[] = {
        {ABILITY_COMPLETE, "complete", ROUTE_COMPLETIONS}, {ABILITY_CLASSIFY, "classify", ROUTE_CLASSIFY},
        {ABILITY_FORECAST, "forecast", ROUTE_FORECAST}, {ABILITY_PREDICT, "predict", ROUTE_PREDICT},
        {ABILITY_COMPOSE, "compose", ROUTE_MUSIC}, {ABILITY_DRAW, "draw", ROUTE_IMAGES},
        {ABILITY_TRANSCRIBE, "transcribe", ROUTE_TRANSCRIBE}};
    bool is_any = !*task || !strcmp(task, model->task->name);
    for (size_t i = 0; i < sizeof routes / sizeof *routes; i++)
        if (task_can(model->task, routes[i].ability) && (is_any || !strcmp(task, routes[i].name)))
            return routes[i].route;
    if (is_any)
        problem_set(problem, FAULT_UNSUPPORTED_FOR_MODEL, NULL, "model '%s' (%s) takes no steps of a session",
                    model->name, model->task->name);
    else
        problem_set(problem, FAULT_UNSUPPORTED_FOR_MODEL, "task",
                    "model '%s' (%s) takes no steps of the task '%.40s'; expected complete, classify, "
                    "forecast, predict, compose, draw or transcribe, as the model can, or none", model->name,
                    model->task->name, task);
    return ROUTE_NONE;
}

static request_handler *find_handler(struct request *request, struct problem *problem)
{
    struct store_view view;
    const struct store_key key = {STORE_SESSION, request->owner, request->session};
    enum store_found found = store_get(request->server->store, &key, &view);
    if (session_is_early(request, found, problem)) return NULL;
    enum route_id route = ROUTE_NONE;
    if (branch_missing(found, NULL, key.id, problem)) route = steps_route(view.model, "", problem);
    store_view_release(&view);
    return route == ROUTE_NONE ? NULL : route_handler(route);
}

void api_session_steps(struct request *request, struct reply *reply)
{
    if (!server_serves(request->server, &reply->problem)) return;
    struct procession *steps = calloc(1, sizeof *steps);
    if (!steps) {
        problem_set(&reply->problem, FAULT_NO_MEMORY, NULL, NULL);
        return;
    }
    writer_init(&steps->bodies, (size_t)request->server->config->limits_body_bytes * 8);
    writer_init(&steps->out, (size_t)request->server->config->limits_reply_bytes);
    bool good = access_session_is_valid(request->tail) || branch_missing(STORE_NEVER, NULL, request->tail,
                                                                    &reply->problem);
    if (good) strcpy(request->session, request->tail);
    good = good && read_bodies(request, &steps->bodies, &reply->problem);
    if (good) steps->handler = find_handler(request, &reply->problem);
    good = good && steps->handler;
    if (good && writer_failed(&steps->bodies))
        good = problem_set(&reply->problem, FAULT_NO_MEMORY, NULL, NULL);
    if (good && go_on(steps, request, reply)) {
        request->operation = &operation;
        request->work = steps;
        return;
    }
    request->operation = NULL;
    request->work = NULL;
    if (good) finish(steps, reply);
    steps_free(steps);
}
