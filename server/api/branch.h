/* branch: where a request goes on from, and what it leaves for the next one.
 *
 * An answer is a function of model, state, request and seed. So a request that names a state begins a branch
 * there: again, to go on; twice, to fork; at an older one, to rewind. Three fields name one, of which a
 * request has one at most: `previous_response_id`, an answer that was stored; `session` (or the header
 * X-Session-Id), a name that moves; `state`, a sealed token that the client carries. `store` and
 * `return_state` say what it leaves behind, beside the session's move.
 *
 * A branch is made by call_open and owned by its call, then by the work (server/api/work.h). A session is
 * moved by branch_finish alone, once the answer is there, so a request that fails, is refused or is cancelled
 * moves nothing. On the request's thread. */
#ifndef CAROUSEL_SERVER_BRANCH_H
#define CAROUSEL_SERVER_BRANCH_H

#include "models/jobs/job.h"
#include "server/api/document.h"
#include "server/base/json_writer.h"
#include "server/request/access.h"
#include "server/request/request.h"
#include "server/sessions/store.h"

struct branch {
    struct request *request;
    struct store *store;
    struct store_view view;     /* what it goes on from: model and state, which are NULL from the beginning */
    bool stores, returns_state, half; /* as the request asks; half: sealed as float16 */
    bool has_session, moves;    /* moves: the session is this request's step */
    int64_t ttl_s;
    struct session_step step;
    char id[REQUEST_ID_BYTES];  /* of the answer */
    /* once it was kept */
    uint64_t now_step;
    int64_t expires_s;
    struct state *kept;
    char *token;                /* sealed; from malloc */
    double loss;                /* largest difference by float16 */
};

/* The names of the fields, ended by NULL, for fields_check. */
extern const char *const branch_fields[];

/* What reading a request's branch came to. */
enum branch_reading {
    BRANCH_NONE,     /* it has none: *out is NULL */
    BRANCH_READ,     /* *out is the caller's */
    BRANCH_ANSWERED, /* the reply is filled, or the request waits for its session */
    BRANCH_REFUSED   /* the problem is filled */
};

/* false, with *problem: the header X-Session-Id is no name of a session. */
bool branch_header_is_good(const struct request *request, struct problem *problem);

/* Read the fields of `root` and the request's headers. */
enum branch_reading branch_read(struct request *request, const struct json *root, struct reply *reply,
                                struct branch **out);
/* Accepts NULL. A session that was not moved is free for its next step. */
void branch_free(struct branch *branch);

/* The state that it goes on from; NULL: from the beginning. Accepts NULL. */
const struct state *branch_from(const struct branch *branch);
/* Whether the job's state must be kept. Accepts NULL. */
bool branch_keeps(const struct branch *branch);
/* The seed of a request that names none. false: no seed is bound to the branch. Accepts NULL. */
bool branch_seed(const struct branch *branch, int64_t *seed);

/* The job has ended well: take its state, and seal it if that was asked for. Nothing has moved yet. Accepts
 * NULL. false: *problem. */
bool branch_keep(struct branch *branch, struct job *job, struct problem *problem);
/* The answer's id. Accepts NULL. */
void branch_name(struct branch *branch, const char *id);
/* The members of the answer that tell of what was kept: session, step, state, expires_at. Accepts NULL. */
void branch_put(const struct branch *branch, struct writer *out);
/* The answer has been streamed, so branch_finish keeps no reply for the same step asked again. Return whether
 * readers of the session wait for it (server/sessions/readers.h). Accepts NULL. */
bool branch_stream(struct branch *branch);
/* The answer is there, and has its name: store the state, and move the session. reply: what is sent, kept for
 * the same step asked again and told to the session's readers; NULL: that is not known. Accepts NULL. false:
 * *problem, if there is no room, or if the session has gone meanwhile. */
bool branch_finish(struct branch *branch, const char *reply, size_t bytes, struct problem *problem);

/* Open a sealed token and find its model; `param` holds it. view->model and state are the caller's to
 * release, also after a failure. */
bool branch_unseal(struct request *request, const char *param, const char *token, struct store_view *view,
                   struct problem *problem);

/* The problem of a name that was not found. */
bool branch_missing(enum store_found found, const char *param, const char *id, struct problem *problem);
/* The problem of an entry that the store did not keep. */
bool branch_kept(enum status status, struct problem *problem);

#endif
