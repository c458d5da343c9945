/* Models on the move: what lies on disk and what of it is served, loading, unloading and loading anew.
 * Administration alone may. The loader's thread does the work (models/repository/loader.h) while the
 * connection is suspended. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/memory.h"
#include "models/text/sentence.h"
#include "server/api/answer.h"
#include "server/api/fields.h"
#include "server/api/document.h"
#include "server/request/metrics.h"
#include "server/request/request.h"
#include "server/request/server.h"

enum { REPLY_BYTES = 16 << 20 };

static const char *const state_names[] = {
    [REPOSITORY_UNAVAILABLE] = "UNAVAILABLE", [REPOSITORY_LOADING] = "LOADING", [REPOSITORY_READY] = "READY"};

/* ---- bodies: none, or an object ------------------------------------------------------------- */

static bool read_index(const struct json *root, bool *ready, struct problem *problem)
{
    return field_boolean(root, "ready", ready, problem);
}

/* Parameters would say something else than the bundle does; the one that clients send unasked says nothing
 * here. */
static bool check_parameters(const struct json *root, struct problem *problem)
{
    const struct json *parameters = json_get(root, "parameters");
    if (!parameters) return true;
    if (json_kind(parameters) != JSON_OBJECT)
        return problem_set(problem, FAULT_INVALID_VALUE, "parameters", "'parameters' is not an object");
    for (const struct json *v = json_first(parameters); v; v = json_next(v)) {
        char shown[QUOTE_BYTES];
        const char *key = json_key(v);
        if (strcmp(key, "unload_dependents") != 0)
            return problem_set(problem, FAULT_NOT_IMPLEMENTED, "parameters",
                               "parameter %s is not built into this version: a bundle is loaded as it stands",
                               sentence_quote(shown, key, strlen(key)));
    }
    return true;
}

/* ready NULL: the body is that of a load or an unload. */
static bool read_body(const struct request *request, bool *ready, struct problem *problem)
{
    static const char *const of_index[] = {"ready", NULL}, *const of_load[] = {"parameters", NULL};
    const struct fields fields = {.known = ready ? of_index : of_load,
                                  .is_open = request->route != ROUTE_RELOAD};
    const struct config *config = request->server->config;
    const struct json_limits limits = {.depth = (size_t)config->limits_json_depth,
                                       .values = (size_t)config->limits_json_values};
    if (request->body_bytes == 0) return true;
    struct json *document = document_parse(request->body, request->body_bytes, &limits, problem);
    if (!document) return false;
    const struct json *root = document;
    bool good = json_kind(root) == JSON_OBJECT ||
                problem_set(problem, FAULT_INVALID_JSON, NULL, "the body is not a JSON object");
    if (good) good = fields_check(root, &fields, NULL, config->http_strict_json, problem);
    if (good) good = ready ? read_index(root, ready, problem) : check_parameters(root, problem);
    json_free(document);
    return good;
}

/* ---- the index ------------------------------------------------------------------------------ */

static void put_entry(struct writer *out, const struct repository_entry *entry)
{
    put_open(out, '{');
    put_named_string(out, "name", entry->name);
    put_named_string(out, "version", entry->version);
    put_named_string(out, "state", state_names[entry->state]);
    put_named_string(out, "reason", entry->reason);
    put_close(out, '}');
}

/* The entries of one name, or of all (NULL). */
static void answer_index(const struct request *request, const char *name, bool only_ready,
                         struct reply *reply)
{
    struct repository_entry *entries;
    struct writer out;
    size_t n;
    if (repository_list(request->server->repository, &entries, &n) != STATUS_OK) {
        problem_set(&reply->problem, FAULT_NO_MEMORY, NULL, NULL);
        return;
    }
    writer_init(&out, REPLY_BYTES);
    put_open(&out, '[');
    for (size_t i = 0; i < n; i++)
        if ((!name || !strcmp(entries[i].name, name)) &&
            (!only_ready || entries[i].state == REPOSITORY_READY))
            put_entry(&out, &entries[i]);
    put_close(&out, ']');
    memory_free(entries);
    answer_writer(&out, reply);
}

void api_repository_index(struct request *request, struct reply *reply)
{
    bool ready = false;
    if (read_body(request, &ready, &reply->problem)) answer_index(request, NULL, ready, reply);
}

/* ---- what the loader does ------------------------------------------------------------------- */

struct change {
    struct loader_task task;
    struct loader *loader;
    void (*print)(struct request *request, struct reply *reply); /* it has gone well */
};

static bool change_start(void *work, struct problem *problem)
{
    struct change *change = work;
    enum status status = loader_submit(change->loader, &change->task);
    if (status == STATUS_QUEUE_FULL)
        return problem_set(problem, FAULT_QUEUE_FULL, NULL,
                           "too many models wait to be loaded (models.queue); try again soon");
    return status == STATUS_OK || problem_from(problem, status, NULL, NULL);
}

/* A client that leaves does not stop a load: others may want the model too. */
static void change_cancel(void *work)
{
    (void)work;
}

/* A load costs no step of a model. */
static uint64_t change_cost(void *work, bool finished)
{
    (void)work, (void)finished;
    return 0;
}

/* The loader's sentence is for keys that may administer, paths and all. */
static void set_problem(const struct loader_task *task, struct problem *problem)
{
    switch (task->status) {
    case STATUS_NOT_FOUND:
        problem_set(problem, FAULT_MODEL_NOT_FOUND, "model", "%s", task->error.message);
        break;
    case STATUS_BAD_FORMAT:
    case STATUS_BAD_VALUE:
    case STATUS_BAD_SHAPE:
    case STATUS_BAD_GOLDEN:
    case STATUS_TOO_LONG:
    case STATUS_UNSUPPORTED:
    case STATUS_IO:
        problem_set(problem, FAULT_BUNDLE_REFUSED, "model", "%s", task->error.message);
        break;
    case STATUS_OK:
    case STATUS_NO_MEMORY:
    case STATUS_QUEUE_FULL:
    case STATUS_CLOSING:
    case STATUS_CANCELLED:
    case STATUS_DEADLINE:
    case STATUS_INTERNAL:
        problem_from(problem, task->status, &task->error, NULL);
        break;
    }
}

static void change_answer(void *work, struct request *request, struct reply *reply)
{
    struct change *change = work;
    enum end end = change->task.status == STATUS_OK ? END_COMPLETE : END_ERROR;
    request->record.end = (int)end;
    request->record.finish = metrics_end_name(end);
    /* else it is whatever the client wrote, and not for the log */
    if (change->task.status != STATUS_NOT_FOUND)
        snprintf(request->record.model, sizeof request->record.model, "%s", change->task.id);
    if (change->task.status == STATUS_OK) change->print(request, reply);
    else set_problem(&change->task, &reply->problem);
}

static void defer(struct request *request, enum loader_action action,
                  void (*print)(struct request *request, struct reply *reply), struct reply *reply)
{
    static const struct operation operation = {
        .start = change_start, .cancel = change_cancel, .answer = change_answer, .cost_steps = change_cost,
        .free = free};
    if (!server_serves(request->server, &reply->problem)) return;
    if (!read_body(request, NULL, &reply->problem)) return;
    struct change *change = calloc(1, sizeof *change);
    if (!change) {
        problem_set(&reply->problem, FAULT_NO_MEMORY, NULL, NULL);
        return;
    }
    change->task = (struct loader_task){.action = action, .finished = request_finished, .context = request};
    /* an id that is cut is none that could be found */
    snprintf(change->task.id, sizeof change->task.id, "%s", request->tail);
    change->loader = request->server->loader;
    change->print = print;
    request->operation = &operation;
    request->work = change;
}

static void print_entries(struct request *request, struct reply *reply)
{
    char name[LOADER_ID_BYTES];
    snprintf(name, sizeof name, "%.*s", (int)strcspn(request->tail, ":"), request->tail);
    answer_index(request, name, false, reply);
}

void api_repository_load(struct request *request, struct reply *reply)
{
    defer(request, LOADER_LOAD, print_entries, reply);
}

void api_repository_unload(struct request *request, struct reply *reply)
{
    defer(request, LOADER_UNLOAD, print_entries, reply);
}

void api_reload(struct request *request, struct reply *reply)
{
    defer(request, LOADER_LOAD, api_model, reply);
}
