/* store: what is kept between requests, by name.
 *
 * Two kinds of names stand here. An answer's own id names the state after it, which never changes. A session
 * is a name that moves: it names a state, the number of its steps, and what its last step answered. A name
 * belongs to its owner, which is the name of an API key, or "" if no key is needed; another owner does not
 * find it.
 *
 * The store is bounded in number and in bytes, of all owners together and of each owner with a key. The entry
 * that was used least recently gives way. An entry that is not used for its time to live expires. What gave
 * way or expired is remembered for a while as a hash, so that a client hears that it is gone, and not that it
 * never was.
 *
 * An entry holds its model. If a model is replaced or unloaded, its entries go on with the version that they
 * began with for the options' drain time, and are gone then; if the new version has the same weights in the
 * same precision, they go on with that one.
 *
 * With a vault (server/sessions/vault.h) each entry is written when it is made or moves, before the answer,
 * and is read when it is asked for and not there. So an answer that a client has seen outlives the process.
 * Servers that share a vault share the names: a session may take each step at another server.
 *
 * Life: store_new -> any thread -> store_free, when no waiter is left. One lock, under which no other is
 * taken except the registry's. Time is that of options.now_s. */
#ifndef CAROUSEL_SERVER_STORE_H
#define CAROUSEL_SERVER_STORE_H

#include <stdbool.h>

#include "models/jobs/state.h"
#include "models/repository/registry.h"
#include "models/text/hash.h"
#include "server/sessions/vault.h"

enum { STORE_ID_BYTES = 129, STORE_OWNER_BYTES = 65 };

struct store;

struct store_options {
    size_t entries, bytes;   /* of all owners */
    size_t owner_percent;    /* of both, for one owner with a key */
    size_t waiting;          /* requests that may wait for one session */
    size_t reply_bytes;      /* longest reply that a session keeps; a longer one is computed again */
    size_t readers;          /* clients that may follow one session (server/sessions/readers.h) */
    size_t owner_readers;    /* and the sessions of one owner with a key */
    int64_t drain_s;         /* how long entries outlive their model */
    int64_t (*now_s)(void);  /* Unix seconds */
    struct vault *vault;       /* entries in it outlive the process; the store's from then on; NULL: none */
    struct registry *registry; /* that says which models are served */
};

enum store_kind { STORE_ANSWER, STORE_SESSION };

struct store_key {
    enum store_kind kind;
    const char *owner, *id;
};

/* Whether an entry was found, or what became of it. */
enum store_found {
    STORE_FOUND, STORE_NEVER, STORE_EXPIRED, STORE_REPLACED,
    STORE_AWAY /* the vault, which may have it, does not answer */
};

/* An entry, as it was when it was found. The references are the caller's (store_view_release). */
struct store_view {
    struct model *model;
    struct state *state;   /* NULL: a session without a step */
    uint64_t step;         /* of a session: steps that it has taken */
    uint64_t seed;         /* of a session: of requests that name none */
    int64_t ttl_s, expires_s;
};

enum status store_new(const struct store_options *options, struct store **out) MUST_CHECK;
void store_free(struct store *store); /* accepts NULL */

/* Keep `state`, of `model`, under the key; both are acquired. *expires_s says until when. Fails with
 * STATUS_NO_MEMORY if it does not fit, even alone. An entry of that key is replaced. */
enum status store_put(struct store *store, const struct store_key *key, struct model *model,
                      struct state *state, int64_t ttl_s, int64_t *expires_s) MUST_CHECK;
/* Look up an entry, and begin its time to live anew. */
enum store_found store_get(struct store *store, const struct store_key *key, struct store_view *view);
void store_view_release(struct store_view *view);
/* Take an entry out. STORE_FOUND if it was there. */
enum store_found store_delete(struct store *store, const struct store_key *key);

/* The models that are served have changed. */
void store_models_changed(struct store *store);

struct store_stats {
    size_t answers, sessions, bytes, waiting; /* now; waiting: steps that wait for their session */
    uint64_t created, expired, evicted, replaced, deleted; /* since the start */
};
void store_stats(struct store *store, struct store_stats *out);

/* ---- sessions ---- */

/* A new session of `model` that begins with `state` (NULL: from the beginning). STATUS_BAD_VALUE if the name
 * is taken; STATUS_IO if the vault does not answer. *expires_s as for store_put. */
enum status session_new(struct store *store, const struct store_key *key, struct model *model,
                        struct state *state, uint64_t seed, int64_t ttl_s, int64_t *expires_s) MUST_CHECK;

/* A request that wants to move a session. It lives until session_leave, at one address. */
struct session_step {
    /* the caller's */
    bool has_step;
    uint64_t step;              /* if has_step: the session's step as the client knows it */
    uint8_t body[HASH_BYTES];   /* of the request, so that a repeated one is known */
    bool is_streamed;           /* the reply is for readers: the same step asked again is computed again */
    void (*wake)(void *context); /* after SESSION_WAITS, once: call session_begin again. On any thread,
                                  * without the lock; the step is not touched after it. NULL: it does not wait
                                  * */
    void *context;
    /* the store's */
    struct store *_store;
    struct entry *_entry;       /* NULL: it has none any more */
    struct session_step *_next;
    int _place;
};

enum session_answer {
    SESSION_BEGUN,    /* the session is this step's until session_end or session_leave */
    SESSION_AGAIN,    /* the step was taken by the same request: *reply, or if that was not kept, the state
                       * that it went on from, in view->state */
    SESSION_WAITS,    /* another step is under way: wake will be called */
    SESSION_BUSY,     /* another step is under way, and as many wait as may */
    SESSION_MISMATCH, /* view->step is another one */
    SESSION_GONE      /* *found says how */
};

struct session_reply {
    char *text; /* from malloc, the caller's */
    size_t bytes;
};

enum session_answer session_begin(struct store *store, const struct store_key *key, struct session_step *step,
                                  enum store_found *found, struct store_view *view,
                                  struct session_reply *reply);
/* The step has been taken whole: the session moves to `state`, which is acquired, and keeps a copy of the
 * reply (NULL: none). STATUS_BAD_VALUE if the session is no longer there; STATUS_NO_MEMORY if there is no
 * room for the step; STATUS_IO if the vault did not take it; STATUS_CANCELLED if another server that shares
 * the vault took the step meanwhile. What the vault has counts. */
enum status session_end(struct session_step *step, struct state *state, const char *reply,
                        size_t reply_bytes, uint64_t *now_step, int64_t *expires_s) MUST_CHECK;
/* A step that waits is no longer wanted: it does not count any more. It is woken all the same, perhaps later.
 * */
void session_abandon(struct session_step *step);
/* The request ends. A step that was not taken has moved nothing, and the next one may begin. Any number of
 * times; not while it waits. */
void session_leave(struct session_step *step);

#endif
