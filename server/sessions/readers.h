/* readers: clients that follow a session without moving it.
 *
 * A reader hears of each step that the session has made from then on, with its answer, and of the session's
 * end. If one falls READER_BEHIND_MAX steps or READER_BEHIND_BYTES of answers behind, all that waits for it
 * is dropped; it is told so, and may begin again. So a slow client holds a bounded amount of memory. All
 * readers of a session share the memory of an answer, and READERS_BYTES bounds all of them.
 *
 * A step that another server made, and an end by time, are seen by reader_look only, which the caller calls
 * now and then.
 *
 * Life: reader_open -> reader_next ... -> reader_close. All guarded by the store's lock; `wake` is called
 * without it, on any thread, and not after reader_close. */
#ifndef CAROUSEL_SERVER_READERS_H
#define CAROUSEL_SERVER_READERS_H

#include "server/sessions/store.h"

enum { READER_BEHIND_MAX = 16, READER_BEHIND_BYTES = 256 << 10, READERS_BYTES = 64 << 20 };

struct reader;

/* A step as readers hear of it; shared and immutable. */
struct told {
    _Atomic size_t n_refs, *_total;
    uint64_t step;   /* of the session after it */
    bool has_answer; /* false: longer than options.reply_bytes, made at another server and not kept there,
                      * or READERS_BYTES are held */
    size_t bytes;
    char answer[];   /* [bytes] */
};
void told_drop(struct told *told); /* accepts NULL */

enum reader_opened {
    READER_OPENED,
    READER_GONE,         /* *found says how */
    READER_SESSION_FULL, /* the session has options.readers */
    READER_OWNER_FULL,   /* the owner, which is an API key, has options.owner_readers */
    READER_NO_MEMORY
};

struct reader_call {
    void (*wake)(void *context); /* there is news */
    void *context;
    const uint64_t *seen; /* the last step of which the client has heard: if the session is further, its last
                           * step is the first news. NULL: from now on */
};

/* Follow the session of the key; a use of the session, as store_get is. *view is filled if it was found, and
 * then the caller's. */
enum reader_opened reader_open(struct store *store, const struct store_key *key,
                               const struct reader_call *call, struct reader **out, struct store_view *view,
                               enum store_found *found);
void reader_close(struct reader *reader); /* accepts NULL */

enum reader_news {
    READER_NOTHING, /* wait for `wake` */
    READER_STEP,    /* *told is the caller's */
    READER_TOO_SLOW, /* it fell behind; nothing comes any more */
    READER_ENDED    /* the session has ended, as *found says (STORE_NEVER: it was deleted) */
};
enum reader_news reader_next(struct reader *reader, struct told **told, enum store_found *found);
/* Compare with the store, and with its vault if that is shared, at the next reader_next. */
void reader_look(struct reader *reader);

/* Wake all readers. */
void readers_wake(struct store *store);
/* Whether a step's session has a reader, to which its answer will be told. */
bool session_is_followed(const struct session_step *step);

#endif
