/* keys: which clients may ask, for what, and how much.
 *
 * The file has one API key a line: a name, the SHA-256 of the key, and what it may do:
 *
 *   # website: two thirds of the machine, half a million steps a minute
 *   website sha256:4f…64 digits…1c scopes=infer requests_per_minute=600 steps_per_minute=500000 weight=2
 *
 * scopes is a list of infer, metrics and admin with commas between; left out, it is infer. A quota that is
 * left out, or 0, is none. weight is 1 to 100. max_priority is the highest priority that a request may ask
 * for, -10 to 10; left out, it is limits.max_priority. Blank lines and lines that begin with # are ignored.
 * `carousel keys add` makes keys of 32 random bytes, which cannot be guessed. So one round of SHA-256 is as
 * good as the slow hashes that passwords need, and costs little time. Neither a key nor its hash is logged.
 *
 * Life: keys_open -> keys_reread (main; a broken file leaves all as it was) -> keys_close, when no client is
 * held. A client is what a name stands for: it keeps its number and its used quota when the file is reread,
 * and it lives on for the requests that hold it when its line is gone. One lock, never held together with
 * another. Any thread. */
#ifndef CAROUSEL_SERVER_KEYS_H
#define CAROUSEL_SERVER_KEYS_H

#include "models/text/hash.h"
#include "server/request/request.h"

enum { KEY_NAME_BYTES = 65, KEY_MAX_BYTES = 256, KEYS_MAX = 1024, KEYS_FILE_BYTES = 1 << 20,
      KEY_MAX_WEIGHT = 100 };
enum { SCOPES_TEXT_BYTES = 32 };

struct keys;
struct client;

/* One line of the file. */
struct key {
    char name[KEY_NAME_BYTES]; /* [A-Za-z0-9._-] */
    uint8_t hash[HASH_BYTES];
    enum scopes scopes;
    uint64_t requests_per_minute, steps_per_minute; /* 0: no quota */
    uint32_t weight;
    _Bool has_max_priority; /* else max_priority says nothing */
    int max_priority;       /* SEQUENCE_PRIORITY_MIN to _MAX */
};

/* The keys of a file's text, from memory_new in *out (NULL if there is none). `name` stands before the line
 * number in errors: "NAME:7: ...". Pure. */
MUST_CHECK enum status keys_parse(const char *text, size_t bytes, const char *name, struct key **out,
                                  size_t *n, struct error *err);
MUST_CHECK enum status keys_load(const char *path, struct key **out, size_t *n, struct error *err);
/* The key as a line of the file, without its end. Returns the length, as snprintf does. */
int key_print(const struct key *key, char *out, size_t room);
/* "infer,metrics", both ways; false if it is no such list. */
const char *scopes_print(enum scopes scopes, char out[SCOPES_TEXT_BYTES]);
_Bool scopes_parse(const char *text, enum scopes *out);
/* The value of max_priority=; false if it is none. */
_Bool key_priority_parse(const char *text, struct key *key);
_Bool key_name_is_valid(const char *name);

/* The key in "Bearer KEY" (RFC 6750, 2.1), not zero-terminated; NULL if there is none of 1 to
 * KEY_MAX_BYTES. */
const char *key_in_header(const char *authorization, size_t *n);

/* The keys in force. An empty path means no file: then requests need no key, and administration is off. */
MUST_CHECK enum status keys_open(const char *path, struct keys **out, size_t *n, struct error *err);
MUST_CHECK enum status keys_reread(struct keys *keys, size_t *n, struct error *err);
/* Return true if the file was written, replaced or removed since keys_reread read it, or if it is there and
 * could not be read for want of a right or of memory. Only the thread that rereads calls this. */
_Bool keys_have_changed(const struct keys *keys);
/* Accepts NULL. */
void keys_close(struct keys *keys);
/* Whether a key is needed at all. */
_Bool keys_are_needed(const struct keys *keys);

/* Whether a client that sends this Authorization header (NULL: none) may use a route of these scopes and has
 * a request left in its quota. *client is then acquired for the caller, or NULL if no key is needed. The
 * time is the same for every key. */
_Bool keys_admit(struct keys *keys, enum scopes scopes, const char *authorization, struct client **client,
                 struct problem *problem);

/* Borrowed until the client is dropped; "" for NULL. */
const char *client_name(const struct client *client);
struct caller client_caller(const struct client *client); /* not of NULL */
/* Charge steps, or fail with a 429; and refund what was not used. NULL is never charged. */
_Bool client_charge(struct client *client, uint64_t steps, struct problem *problem);
void client_refund(struct client *client, uint64_t steps);
/* Accepts NULL. */
void client_drop(struct client *client);

#endif
