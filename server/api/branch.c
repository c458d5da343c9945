#include "server/api/branch.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "server/request/access.h"
#include "server/request/router.h"
#include "server/request/server.h"
#include "server/sessions/readers.h"
#include "server/sessions/seal.h"

const char *const branch_fields[] = {"store", "ttl_s", "previous_response_id", "session", "step", "state",
                                     "return_state", NULL};
#define MAX_STEP 9007199254740991

bool branch_missing(enum store_found found, const char *param, const char *id, struct problem *problem)
{
    switch (found) {
    case STORE_FOUND: return true;
    case STORE_EXPIRED:
        return problem_set(problem, FAULT_SESSION_EXPIRED, param,
                           "the state of '%.128s' is kept no longer: it was not used in time, or gave way to "
                           "newer ones; begin again", id);
    case STORE_REPLACED:
        return problem_set(problem, FAULT_MODEL_REPLACED, param,
                           "the model of '%.128s' has been replaced, and its state went with it; begin again",
                           id);
    case STORE_AWAY:
        return problem_set(problem, FAULT_STORE_UNAVAILABLE, NULL,
                           "the state of '%.128s' cannot be read now (sessions.redis); try again", id);
    case STORE_NEVER: break;
    }
    return problem_set(problem, FAULT_SESSION_NOT_FOUND, param,
                       "nothing is kept under '%.128s'; expected the id of an answer that was stored, or of "
                       "a session", id);
}

bool branch_kept(enum status status, struct problem *problem)
{
    if (status == STATUS_IO)
        return problem_set(problem, FAULT_STORE_UNAVAILABLE, NULL,
                           "the state could not be written (sessions.folder, sessions.redis); try again");
    return status == STATUS_OK ||
           problem_set(problem, FAULT_NO_MEMORY, NULL,
                       "there is no room to keep the state (sessions.bytes); try again");
}

/* ---- waiting for a session ------------------------------------------------------------------ */

/* A request whose session is busy: it keeps its body, waits for its turn, and is then handled once more. */
struct waiting {
    struct request *request;
    struct branch *branch;
    char *body;
    size_t body_bytes;
    bool cancelled;
};

static struct store_key session_key(const struct request *request)
{
    return (struct store_key){STORE_SESSION, request->owner, request->session};
}

static bool wait_start(void *work, struct problem *problem)
{
    struct waiting *waiting = work;
    struct branch *branch = waiting->branch;
    const struct store_key key = session_key(waiting->request);
    struct store_view view;
    struct session_reply reply;
    enum store_found found;
    branch->step.wake = request_finished;
    branch->step.context = waiting->request;
    enum session_answer answer = session_begin(branch->store, &key, &branch->step, &found, &view, &reply);
    store_view_release(&view);
    free(reply.text);
    if (answer == SESSION_BUSY)
        return problem_set(problem, FAULT_SESSION_BUSY, "session",
                           "session '%s' is taking a step, and as many requests as may are waiting for it; "
                           "try again when one has been answered", key.id);
    if (answer != SESSION_WAITS) request_finished(waiting->request);
    return true;
}

static void wait_cancel(void *work)
{
    struct waiting *waiting = work;
    waiting->cancelled = true;
    session_abandon(&waiting->branch->step);
}

static uint64_t wait_cost(void *work, bool finished)
{
    (void)work;
    (void)finished;
    return 0;
}

static void wait_free(void *work)
{
    struct waiting *waiting = work;
    branch_free(waiting->branch);
    free(waiting->body);
    free(waiting);
}

/* Its turn has come. */
static void wait_answer(void *work, struct request *request, struct reply *reply)
{
    struct waiting *waiting = work;
    request->operation = NULL;
    request->work = NULL;
    if (waiting->cancelled) problem_set(&reply->problem, FAULT_CLIENT_CLOSED_REQUEST, NULL, NULL);
    else {
        request->waited = waiting->branch;
        waiting->branch = NULL;
        request->body = waiting->body;
        request->body_bytes = waiting->body_bytes;
        request_handler *handler = request->again ? request->again : route_handler(request->route);
        handler(request, reply);
        request->body = NULL;
        branch_free(request->waited); /* if the handler did not come to it */
        request->waited = NULL;
    }
    wait_free(waiting);
}

static enum branch_reading wait_for_session(struct branch *branch, struct reply *reply)
{
    static const struct operation operation = {.start = wait_start, .cancel = wait_cancel,
                                               .answer = wait_answer, .cost_steps = wait_cost,
                                               .free = wait_free};
    struct request *request = branch->request;
    struct waiting *waiting = calloc(1, sizeof *waiting);
    if (waiting) waiting->body = malloc(request->body_bytes + 1);
    if (!waiting || !waiting->body) {
        free(waiting);
        branch_free(branch);
        problem_set(&reply->problem, FAULT_NO_MEMORY, NULL, NULL);
        return BRANCH_REFUSED;
    }
    memcpy(waiting->body, request->body, request->body_bytes);
    waiting->body_bytes = request->body_bytes;
    waiting->request = request;
    waiting->branch = branch;
    request->operation = &operation;
    request->work = waiting;
    return BRANCH_ANSWERED;
}

/* ---- reading -------------------------------------------------------------------------------- */

static void hash_request(const struct request *request, uint8_t hash[HASH_BYTES])
{
    hash_bytes(request->body, request->body_bytes, hash);
    hash[0] ^= (uint8_t)request->route;
}

/* A step is an integer in the body, or an entity tag in If-Match: "3", with its quotes or without. */
static bool read_step(struct branch *branch, const struct json *root, struct problem *problem)
{
    const char *tag = branch->request->if_match;
    int64_t step = -1;
    if (!field_integer(root, "step", 0, MAX_STEP, &step, problem)) return false;
    if (step < 0 && tag) {
        char *end;
        tag += *tag == '"';
        step = *tag >= '0' && *tag <= '9' ? strtoll(tag, &end, 10) : -1;
        if (step < 0 || step > MAX_STEP || strspn(end, "\"") != strlen(end))
            return problem_set(problem, FAULT_INVALID_VALUE, "If-Match",
                               "the header If-Match is '%.40s'; expected a step of the session, such as "
                               "\"3\"",
                               branch->request->if_match);
    }
    if (step >= 0 && !branch->has_session)
        return problem_set(problem, FAULT_INVALID_VALUE, "step",
                           "'step' goes with 'session' only; leave it out");
    branch->step.has_step = step >= 0;
    branch->step.step = step < 0 ? 0 : (uint64_t)step;
    return true;
}

bool branch_header_is_good(const struct request *request, struct problem *problem)
{
    return !request->session_is_bad ||
           problem_set(problem, FAULT_INVALID_VALUE, "X-Session-Id",
                       "the header X-Session-Id is no name of a session; expected 1 to 128 letters, digits "
                       "and ._:-");
}

/* The name of a session, from the body or the header. */
static bool read_session(struct branch *branch, const struct json *root, struct problem *problem)
{
    struct request *request = branch->request;
    const char *name = NULL;
    if (!field_string(root, "session", STORE_ID_BYTES - 1, &name, problem)) return false;
    if (name && !access_session_is_valid(name))
        return problem_set(problem, FAULT_INVALID_VALUE, "session",
                           "'session' is no name of a session; expected 1 to 128 letters, digits and ._:-");
    if (name && *request->session && strcmp(name, request->session))
        return problem_set(problem, FAULT_INVALID_VALUE, "session",
                           "'session' and the header X-Session-Id differ; expected one of them, or the same "
                           "twice");
    if (!branch_header_is_good(request, problem)) return false;
    if (name) memcpy(request->session, name, strlen(name) + 1);
    branch->has_session = *request->session != '\0';
    return true;
}

/* true, or the precision of what is sealed. */
static bool read_return_state(struct branch *branch, const struct json *root, struct problem *problem)
{
    const struct json *field = json_get(root, "return_state");
    if (json_kind(field) != JSON_STRING)
        return field_boolean(root, "return_state", &branch->returns_state, problem);
    branch->returns_state = true;
    branch->half = !strcmp(json_string(field), "float16");
    return branch->half || !strcmp(json_string(field), "float32") ||
           field_word_expected(field, "return_state", "true, false, \"float32\" or \"float16\"", problem);
}

static bool read_fields(struct branch *branch, const struct json *root, const char **previous,
                        const char **token, struct problem *problem)
{
    const struct config *config = branch->request->server->config;
    branch->ttl_s = config->sessions_ttl_s;
    if (!read_session(branch, root, problem) || !read_step(branch, root, problem) ||
        !field_boolean(root, "store", &branch->stores, problem) ||
        !read_return_state(branch, root, problem) ||
        !field_integer(root, "ttl_s", 1, config->sessions_ttl_max_s, &branch->ttl_s, problem) ||
        !field_string(root, "previous_response_id", STORE_ID_BYTES - 1, previous, problem) ||
        !field_string(root, "state", INT_MAX, token, problem))
        return false;
    if (branch->has_session + (*previous != NULL) + (*token != NULL) > 1)
        return problem_set(problem, FAULT_INVALID_VALUE,
                           *previous ? "previous_response_id" : "state",
                           "a request goes on from one state; expected one of 'session', "
                           "'previous_response_id' and 'state'");
    if (!*token && !branch->returns_state) return true;
    if (!server_serves(branch->request->server, problem)) return false;
    if (seal_has_keys(branch->request->server->seals)) return true;
    return problem_set(problem, FAULT_NOT_IMPLEMENTED, *token ? "state" : "return_state",
                       "this server has no key to seal states (sessions.seal_keys_file); send 'store' "
                       "instead");
}

bool branch_unseal(struct request *request, const char *param, const char *token, struct store_view *view,
                   struct problem *problem)
{
    static const enum fault faults[] = {
        [SEAL_UNKNOWN_KEY] = FAULT_STATE_UNKNOWN_KEY, [SEAL_TAMPERED] = FAULT_STATE_TAMPERED,
        [SEAL_EXPIRED] = FAULT_STATE_EXPIRED, [SEAL_OTHER_OWNER] = FAULT_STATE_OTHER_OWNER,
        [SEAL_NO_MEMORY] = FAULT_NO_MEMORY};
    struct sealed sealed;
    char id[MODEL_NAME_BYTES + MODEL_VERSION_BYTES + 2];
    enum seal_opened opened = seal_open(request->server->seals, token, strlen(token), request->owner,
                                        (int64_t)time(NULL), &sealed);
    if (opened != SEAL_OPENED) return problem_set(problem, faults[opened], param, NULL);
    snprintf(id, sizeof id, "%s:%s", sealed.model, sealed.version);
    view->state = sealed.state;
    view->model = registry_acquire(request->server->registry, id);
    if (view->model && !strcmp(view->model->hash, sealed.hash)) return true;
    if (!view->model && server_is_loading(request->server, problem,
                                          "model '%s' is not served yet; models are still being loaded", id))
        return false;
    return problem_set(problem, FAULT_STATE_OTHER_MODEL, param,
                       "the state is of model '%s' with other weights than those that are served; begin "
                       "again", id);
}

/* A state that was kept over a restart is found when its model has been loaded. */
static bool is_early(const struct branch *branch, enum store_found found, struct problem *problem)
{
    return found != STORE_FOUND &&
           server_is_loading(branch->request->server, problem,
                             "models are still being loaded, and perhaps that of this state");
}

static bool go_on_from_answer(struct branch *branch, const char *id, struct problem *problem)
{
    const struct store_key key = {STORE_ANSWER, branch->request->owner, id};
    enum store_found found = store_get(branch->store, &key, &branch->view);
    return !is_early(branch, found, problem) && branch_missing(found, "previous_response_id", id, problem);
}

static enum branch_reading refuse(struct branch *branch)
{
    branch_free(branch);
    return BRANCH_REFUSED;
}

/* The same step asked again: with the reply that was kept, or by computing it again from where it began. */
static enum branch_reading answer_again(struct branch *branch, struct session_reply *kept,
                                        struct reply *reply, struct branch **out)
{
    branch->now_step = branch->view.step;
    branch->request->session_step = (int64_t)branch->now_step;
    branch->ttl_s = branch->view.ttl_s;
    if (!kept->text) {
        *out = branch;
        return BRANCH_READ;
    }
    reply->body = kept->text;
    reply->body_bytes = kept->bytes;
    branch_free(branch);
    return BRANCH_ANSWERED;
}

static enum branch_reading begin_step(struct branch *branch, struct reply *reply, struct branch **out)
{
    struct problem *problem = &reply->problem;
    const struct store_key key = session_key(branch->request);
    struct session_reply kept;
    enum store_found found;
    branch->step.wake = NULL;
    enum session_answer answer =
        session_begin(branch->store, &key, &branch->step, &found, &branch->view, &kept);
    switch (answer) {
    case SESSION_WAITS:
    case SESSION_BUSY: return wait_for_session(branch, reply);
    case SESSION_AGAIN: return answer_again(branch, &kept, reply, out);
    case SESSION_MISMATCH:
        branch->request->session_step = (int64_t)branch->view.step;
        problem_set(problem, FAULT_STEP_MISMATCH, "step",
                    "session '%s' is at step %llu; expected that as 'step', not %llu", key.id,
                    (unsigned long long)branch->view.step, (unsigned long long)branch->step.step);
        return refuse(branch);
    case SESSION_GONE:
        if (!is_early(branch, found, problem)) branch_missing(found, "session", key.id, problem);
        return refuse(branch);
    case SESSION_BEGUN: break;
    }
    branch->moves = true;
    branch->ttl_s = branch->view.ttl_s;
    *out = branch;
    return BRANCH_READ;
}

/* A streamed answer is not kept: a step that is repeated is then computed again. A request that did not
 * stream and repeats one that did has another body. */
enum branch_reading branch_read(struct request *request, const struct json *root, struct reply *reply,
                                struct branch **out)
{
    const char *previous = NULL, *token = NULL;
    struct branch *branch = request->waited ? request->waited : calloc(1, sizeof *branch);
    *out = NULL;
    request->waited = NULL;
    if (!branch) {
        problem_set(&reply->problem, FAULT_NO_MEMORY, NULL, NULL);
        return BRANCH_REFUSED;
    }
    branch->request = request;
    branch->store = request->server->store;
    if (!read_fields(branch, root, &previous, &token, &reply->problem)) return refuse(branch);
    if (!branch->has_session && !previous && !token && !branch->stores && !branch->returns_state) {
        branch_free(branch);
        return BRANCH_NONE;
    }
    if (!server_serves(request->server, &reply->problem)) return refuse(branch);
    if (branch->has_session) {
        hash_request(request, branch->step.body);
        return begin_step(branch, reply, out);
    }
    if (previous && !go_on_from_answer(branch, previous, &reply->problem)) return refuse(branch);
    if (token && !branch_unseal(request, "state", token, &branch->view,
                                &reply->problem)) return refuse(branch);
    *out = branch;
    return BRANCH_READ;
}

void branch_free(struct branch *branch)
{
    if (!branch) return;
    session_leave(&branch->step);
    store_view_release(&branch->view);
    state_drop(branch->kept);
    free(branch->token);
    free(branch);
}

/* ---- the job's side ------------------------------------------------------------------------- */

const struct state *branch_from(const struct branch *branch)
{
    return branch ? branch->view.state : NULL;
}

bool branch_keeps(const struct branch *branch)
{
    return branch && (branch->has_session || branch->stores || branch->returns_state);
}

bool branch_seed(const struct branch *branch, int64_t *seed)
{
    if (!branch || !branch->has_session) return false;
    *seed = (int64_t)branch->view.seed;
    return true;
}

static bool seal(struct branch *branch, struct problem *problem)
{
    const struct request *request = branch->request;
    branch->token = seal_make(request->server->seals, branch->view.model, branch->kept, request->owner,
                              (int64_t)time(NULL), branch->expires_s, branch->half, &branch->loss);
    if (branch->token) return true;
    if (!branch->half) return problem_set(problem, FAULT_NO_MEMORY, NULL, NULL);
    return problem_set(problem, FAULT_INVALID_VALUE, "return_state",
                       "the state has a number over 65504, which float16 does not hold; expected 'float32'");
}

bool branch_keep(struct branch *branch, struct job *job, struct problem *problem)
{
    if (!branch_keeps(branch)) return true;
    if (job_keep(job, &branch->kept) != STATUS_OK) return problem_set(problem, FAULT_NO_MEMORY, NULL, NULL);
    if (!branch->view.model) branch->view.model = model_acquire(job->model);
    branch->expires_s = (int64_t)time(NULL) + branch->ttl_s;
    if (branch->moves) branch->now_step = branch->view.step + 1;
    return !branch->returns_state || seal(branch, problem);
}

void branch_name(struct branch *branch, const char *id)
{
    if (branch) memcpy(branch->id, id, strlen(id) + 1);
}

void branch_put(const struct branch *branch, struct writer *out)
{
    if (!branch_keeps(branch)) return;
    if (branch->has_session) {
        put_named_string(out, "session", branch->request->session);
        put_named_integer(out, "step", (int64_t)branch->now_step);
    }
    if (branch->token) put_named_string(out, "state", branch->token);
    if (branch->half) {
        put_name(out, "state_loss");
        put_double(out, branch->loss);
    }
    put_named_integer(out, "expires_at", branch->expires_s);
}

static bool store(struct branch *branch, struct problem *problem)
{
    const struct store_key key = {STORE_ANSWER, branch->request->owner, branch->id};
    int64_t expires_s;
    enum status status =
        store_put(branch->store, &key, branch->view.model, branch->kept, branch->ttl_s, &expires_s);
    return branch_kept(status, problem);
}

bool branch_stream(struct branch *branch)
{
    if (!branch || !branch->moves) return false;
    branch->step.is_streamed = true;
    return session_is_followed(&branch->step);
}

bool branch_finish(struct branch *branch, const char *reply, size_t bytes, struct problem *problem)
{
    uint64_t now_step;
    int64_t expires_s;
    if (!branch || (branch->stores && !store(branch, problem))) return !branch;
    if (!branch->moves) return true;
    branch->moves = false;
    enum status status = session_end(&branch->step, branch->kept, reply, bytes, &now_step, &expires_s);
    if (status == STATUS_BAD_VALUE)
        return branch_missing(STORE_NEVER, "session", branch->request->session, problem);
    if (status == STATUS_CANCELLED)
        return problem_set(problem, FAULT_SESSION_BUSY, "session",
                           "session '%s' took a step at another server meanwhile; ask where it is, and send "
                           "the step again", branch->request->session);
    if (!branch_kept(status, problem)) return false;
    branch->request->session_step = (int64_t)now_step;
    return true;
}
