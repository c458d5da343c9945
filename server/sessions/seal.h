/* seal: states that the client carries, in tokens that only the configured keys can make and open.
 *
 * A token is text: "cs1." and base64url (RFC 4648, 5) without padding of
 *
 *   8 bytes   the key's id, padded with zeros
 *   24 bytes  nonce, random
 *   n bytes   XChaCha20-Poly1305 (libsodium's crypto_aead_xchacha20poly1305_ietf) of the fields below, with
 * the
 *             purpose "carousel state 1" and the key's id as additional data
 *   16 bytes  its tag
 *
 * and the fields are, little-endian and at fixed places: format version, precision of the floats, SHA-256 of
 * the model's weights, SHA-256 of the owner's name, task, model, version, times of making and expiry, step,
 * number of floats and of bytes of the rest; then the floats and the rest. Lengths are checked before the
 * tag, and nothing else is looked at before it. The floats of a token are finite.
 *
 * Keys come from a file alone, one a line: an id of 1 to 8 letters and digits, and 64 hexadecimal digits.
 * Blank lines and lines that begin with # are ignored. The last key of the file seals; all of them open. So a
 * new key is added at the end, and an old one removed when its last token has expired.
 *
 * A token that is sent again only repeats an old branch. Any thread. This is the only file that includes
 * sodium.h. */
#ifndef CAROUSEL_SERVER_SEAL_H
#define CAROUSEL_SERVER_SEAL_H

#include <stdbool.h>
#include <stddef.h>

#include "models/bundle/model.h"
#include "models/jobs/state.h"

enum { SEAL_KEYS_MAX = 16, SEAL_KEY_ID_BYTES = 9, SEAL_TASK_BYTES = 48 };

struct seal_ring;

/* Read the keys. An empty path gives a ring without keys, which neither seals nor opens. */
enum status seal_ring_open(const char *path, struct seal_ring **out, struct error *err) MUST_CHECK;
/* Read them again; on failure all stays as it was. */
enum status seal_ring_reread(struct seal_ring *ring, struct error *err) MUST_CHECK;
void seal_ring_close(struct seal_ring *ring); /* accepts NULL */
/* The keys of a file's text; `name` stands before the line number in errors: "NAME:7: ...". */
enum status seal_ring_read(struct seal_ring *ring, const char *text, size_t bytes, const char *name,
                           struct error *err) MUST_CHECK;
bool seal_has_keys(struct seal_ring *ring);
/* The ids with commas between, for the log; returns out. */
const char *seal_key_ids(struct seal_ring *ring, char *out, size_t room);

/* What a token says. */
struct sealed {
    char model[MODEL_NAME_BYTES + 1], version[MODEL_VERSION_BYTES + 1], task[SEAL_TASK_BYTES];
    char hash[65];          /* of the weights, hexadecimal */
    int64_t created_s, expires_s;
    struct state *state;    /* a reference of the caller's */
};

/* Seal `state` of `model` for `owner`, as text from malloc, the caller's; NULL without memory, without keys,
 * or with `half` for floats that float16 cannot hold. half: the floats are rounded to float16, and *loss is
 * the largest difference. */
char *seal_make(struct seal_ring *ring, const struct model *model, const struct state *state,
                const char *owner, int64_t now_s, int64_t expires_s, bool half, double *loss);

enum seal_opened { SEAL_OPENED, SEAL_UNKNOWN_KEY, SEAL_TAMPERED, SEAL_EXPIRED, SEAL_OTHER_OWNER,
                  SEAL_NO_MEMORY };

/* Open text[0..n). The state's model is the caller's to compare. */
enum seal_opened seal_open(struct seal_ring *ring, const char *text, size_t n, const char *owner,
                           int64_t now_s, struct sealed *out);
/* Whether a text claims to be a token. */
bool seal_is_token(const char *text);

#endif
