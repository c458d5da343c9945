/* entry: one name of the store. Private to server/sessions/. All fields are guarded by the store's lock. */
#ifndef CAROUSEL_SERVER_ENTRY_H
#define CAROUSEL_SERVER_ENTRY_H

#include <pthread.h>

#include "server/sessions/store.h"

/* A model that entries hold: one reference for all of them. */
struct held_model {
    struct model *model;
    size_t n_entries;
    int64_t gone_s; /* since when it is not served; 0: it is */
    struct held_model *next;
};

struct link {
    struct entry *newer, *older;
};

struct owner {
    char name[STORE_OWNER_BYTES];
    size_t n_entries, bytes;
    struct entry *newest, *oldest;
    struct owner *next;
};

struct entry {
    struct entry *next;      /* of its row in the table */
    struct link all, owned;  /* by time of use */
    struct owner *owner;
    struct held_model *held;
    enum store_kind kind;
    char id[STORE_ID_BYTES];
    uint64_t hash;
    unsigned char head[RECORD_HEAD]; /* of its record in a vault, as it was written or read last */
    size_t bytes;
    int64_t ttl_s, expires_s;
    struct state *state;
    /* of a session */
    uint64_t step, seed;
    struct state *before;         /* that the last step went on from */
    uint8_t body[HASH_BYTES];     /* of the last step */
    char *reply;                  /* of the last step; NULL: not kept */
    size_t reply_bytes;
    struct session_step *current; /* under way; or NULL */
    struct session_step *waiting; /* the first to have come is the first to go */
    size_t n_waiting;
};

struct gone {
    uint64_t hash; /* 0: none */
    enum store_found how;
};

struct reader;
struct topic;

enum { GONE_ROWS = 1 << 16, TOPIC_ROWS = 256 };

struct store {
    struct store_options options;
    pthread_mutex_t mu;
    struct entry **rows; /* [n_rows], a power of two */
    size_t n_rows;
    struct owner *owners;
    struct held_model *models;
    struct entry *newest, *oldest;
    struct gone *gone;   /* [GONE_ROWS], by hash; a newer one replaces it */
    struct topic *topics[TOPIC_ROWS]; /* the sessions that have readers, by hash */
    struct reader *woken; /* those that store_unlock wakes */
    size_t n_readers;
    _Atomic size_t told_bytes; /* of answers that wait for readers */
    size_t n_entries, n_sessions, bytes;
    bool is_closing; /* entries go, their records stay */
    int64_t swept_s;
    struct store_stats stats;
};

/* Let go of the lock, and wake the readers that have news. */
void store_unlock(struct store *store);

/* All with the lock held. */
struct entry *entry_find(struct store *store, const struct store_key *key, enum store_found *found);
/* Make an entry, not yet filled: it has a model and counts in its owner's number. NULL without memory. */
struct entry *entry_new(struct store *store, const struct store_key *key, struct model *model, int64_t ttl_s);
/* Note the bytes that the entry has now, and make room for them at the cost of others; false if that cannot
 * be: the caller then removes the entry. */
bool entry_weigh(struct store *store, struct entry *entry);
/* It was used: it expires later, and gives way later. */
void entry_touch(struct store *store, struct entry *entry);
/* Take it out and free it; steps of it that are under way have no entry any more, and none may wait. `how` is
 * what a client hears from then on (STORE_NEVER: nothing is remembered). */
void entry_remove(struct store *store, struct entry *entry, enum store_found how);
void entry_view(const struct entry *entry, struct store_view *view);
/* Drop what has expired, once a second. */
void store_sweep(struct store *store);
/* Write the entry's record into the vault: VAULT_OK also without a vault; expected: as for the vault. */
enum vault_answer record_write(struct store *store, struct entry *entry, const uint64_t *expected);
/* Remove the entry's record, of a shared vault only if `for_all`: other servers may use it. */
void record_remove(struct store *store, const struct entry *entry, bool for_all);
/* Make an entry of its record. NULL: there is none, or *found says why it cannot be had. */
struct entry *record_read(struct store *store, const struct store_key *key, enum store_found *found);
/* Return whether a copy of a shared record is what the record is now. */
enum vault_answer record_compare(struct store *store, const struct entry *entry);
void record_touch(struct store *store, const struct entry *entry);
void record_name(const struct store_key *key, char out[VAULT_NAME_BYTES]);
/* Take all that wait out of the entry, as a list for session_wake. */
struct session_step *entry_dismiss(struct store *store, struct entry *entry);
/* Tell the readers of a session the step that it has made; or let them look what became of it. */
void readers_tell(struct store *store, const struct entry *entry, const char *answer, size_t bytes);
void readers_look(struct store *store, const struct entry *entry);
/* Wake a list of steps. Without the lock. */
void session_wake(struct session_step *list);

#endif
