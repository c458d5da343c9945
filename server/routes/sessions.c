/* /v1/sessions: names that move from state to state. */
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "models/text/sentence.h"
#include "server/api/answer.h"
#include "server/api/branch.h"
#include "server/api/codec.h"
#include "server/request/access.h"
#include "server/request/server.h"
#include "server/routes/sessions.h"
#include "server/sessions/seal.h"

#define MAX_SEED 9007199254740991

void session_put(struct writer *out, const struct request *request, const struct store_view *view)
{
    const struct model *model = view->model;
    size_t bytes = view->state ? view->state->n_floats * sizeof(float) + view->state->n_rest
                               : network_state_floats(model->network) * sizeof(float);
    put_open(out, '{');
    put_named_string(out, "id", request->session);
    put_named_string(out, "object", "session");
    put_named_string(out, "model", model->name);
    put_named_string(out, "version", model->version);
    put_named_integer(out, "step", (int64_t)view->step);
    put_named_integer(out, "state_bytes", (int64_t)bytes);
    put_named_integer(out, "ttl_s", view->ttl_s);
    put_named_integer(out, "expires_at", view->expires_s);
    put_close(out, '}');
}

static void print(struct request *request, const struct store_view *view, struct reply *reply)
{
    struct writer out;
    writer_init(&out, (size_t)request->server->config->limits_reply_bytes);
    session_put(&out, request, view);
    request->session_step = (int64_t)view->step;
    answer_writer(&out, reply);
}

/* ---- POST ----------------------------------------------------------------------------------- */

/* What a new session is made of; owned by the handler. */
struct making {
    struct request *request;
    const struct json *root;
    struct problem *problem;
    struct store_view view;
};

static bool read_id(struct making *making)
{
    struct request *request = making->request;
    const char *id = NULL;
    if (!branch_header_is_good(request, making->problem) ||
        !field_string(making->root, "id", STORE_ID_BYTES - 1, &id, making->problem))
        return false;
    if (id && !access_session_is_valid(id))
        return problem_set(making->problem, FAULT_INVALID_VALUE, "id",
                           "'id' is no name of a session; expected 1 to 128 letters, digits and ._:-");
    if (id) strcpy(request->session, id);
    else if (!*request->session) access_new_id("sess-", request->session);
    return true;
}

static bool read_from(struct making *making)
{
    struct store *store = making->request->server->store;
    const char *from = NULL;
    if (!field_string(making->root, "from", INT_MAX, &from, making->problem)) return false;
    if (!from) return true;
    if (seal_is_token(from))
        return branch_unseal(making->request, "from", from, &making->view, making->problem);
    const struct store_key key = {STORE_ANSWER, making->request->owner, from};
    return branch_missing(store_get(store, &key, &making->view), "from", from, making->problem);
}

static bool read_model(struct making *making)
{
    struct registry *registry = making->request->server->registry;
    const char *name = NULL;
    char shown[QUOTE_BYTES];
    if (!field_string(making->root, "model", MODEL_NAME_BYTES + MODEL_VERSION_BYTES + 1, &name,
                      making->problem))
        return false;
    if (!name && making->view.model) return true;
    if (!name && server_is_loading(making->request->server, making->problem,
                                   "models are still being loaded, and 'model' is missing"))
        return false;
    if (!name) return field_expected(NULL, "model", "the name of a model, or 'from'", making->problem);
    struct model *model = registry_acquire(registry, name);
    if (!model && server_is_loading(making->request->server, making->problem,
                                    "model %s is not served yet; models are still being loaded",
                                    sentence_quote(shown, name, strlen(name))))
        return false;
    if (!model)
        return problem_set(making->problem, FAULT_MODEL_NOT_FOUND, "model", "model %s is not served",
                           sentence_quote(shown, name, strlen(name)));
    bool same = !making->view.model || making->view.model == model;
    if (making->view.model) model_drop(model);
    else making->view.model = model;
    if (!same)
        return problem_set(making->problem, FAULT_INVALID_VALUE, "model",
                           "'from' is a state of model '%s:%s'; expected that model, or none",
                           making->view.model->name, making->view.model->version);
    return !network_is_whole(making->view.model->network) ||
           problem_set(making->problem, FAULT_UNSUPPORTED_FOR_MODEL, "model",
                       "model '%s' reads whole inputs and cannot go on from one to the next",
                       making->view.model->name);
}

static bool make(struct making *making, struct reply *reply)
{
    struct request *request = making->request;
    const struct config *config = request->server->config;
    struct store_view *view = &making->view;
    int64_t seed = call_random_seed(), ttl_s = config->sessions_ttl_s;
    if (!read_id(making) || !read_from(making) || !read_model(making) ||
        !field_integer(making->root, "ttl_s", 1, config->sessions_ttl_max_s, &ttl_s, making->problem) ||
        !field_integer(making->root, "seed", -MAX_SEED, MAX_SEED, &seed, making->problem))
        return false;
    const struct store_key key = {STORE_SESSION, request->owner, request->session};
    view->ttl_s = ttl_s;
    view->step = 0;
    enum status status = session_new(request->server->store, &key, view->model, view->state, (uint64_t)seed,
                                     ttl_s, &view->expires_s);
    if (status == STATUS_BAD_VALUE)
        return problem_set(making->problem, FAULT_SESSION_EXISTS, "id",
                           "a session '%s' is there already; expected another id, or none", key.id);
    if (!branch_kept(status, making->problem)) return false;
    reply->status = 201;
    print(request, view, reply);
    return true;
}

void api_sessions(struct request *request, struct reply *reply)
{
    static const char *const known[] = {"model", "ttl_s", "id", "from", "seed", NULL};
    static const struct fields fields = {.known = known};
    struct making making = {.request = request, .problem = &reply->problem};
    if (!server_serves(request->server, &reply->problem)) return;
    struct json *document = call_parse(request, &reply->problem);
    if (!document) return;
    making.root = document;
    if (fields_check(making.root, &fields, NULL, false, &reply->problem)) make(&making, reply);
    store_view_release(&making.view);
    json_free(document);
}

/* ---- GET, DELETE ---------------------------------------------------------------------------- */

static bool is_name(struct request *request, struct problem *problem)
{
    if (!server_serves(request->server, problem)) return false;
    if (!access_session_is_valid(request->tail))
        return branch_missing(STORE_NEVER, NULL, request->tail, problem);
    strcpy(request->session, request->tail);
    return true;
}

bool session_is_early(const struct request *request, enum store_found found, struct problem *problem)
{
    return found != STORE_FOUND &&
           server_is_loading(request->server, problem,
                             "models are still being loaded, and perhaps that of this session");
}

void api_session(struct request *request, struct reply *reply)
{
    struct store_view view;
    const struct store_key key = {STORE_SESSION, request->owner, request->session};
    if (!is_name(request, &reply->problem)) return;
    enum store_found found = store_get(request->server->store, &key, &view);
    if (!session_is_early(request, found, &reply->problem) &&
        branch_missing(found, NULL, key.id, &reply->problem))
        print(request, &view, reply);
    store_view_release(&view);
}

void api_session_delete(struct request *request, struct reply *reply)
{
    struct writer out;
    const struct store_key key = {STORE_SESSION, request->owner, request->session};
    if (!is_name(request, &reply->problem)) return;
    enum store_found found = store_delete(request->server->store, &key);
    if (found != STORE_FOUND) {
        if (session_is_early(request, found, &reply->problem)) return;
        branch_missing(found == STORE_AWAY ? found : STORE_NEVER, NULL, key.id, &reply->problem);
        return;
    }
    writer_init(&out, (size_t)request->server->config->limits_reply_bytes);
    put_open(&out, '{');
    put_named_string(&out, "id", request->session);
    put_named_string(&out, "object", "session");
    put_named_boolean(&out, "deleted", true);
    put_close(&out, '}');
    answer_writer(&out, reply);
}
