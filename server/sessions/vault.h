/* vault: where entries of the store outlive the process. One file a kind of vault.
 *
 * A record is bytes under a name of 64 hexadecimal digits. Its first RECORD_HEAD bytes are a magic number,
 * the format's version, the step (little-endian, 8 bytes) and the SHA-256 of what follows, so that a record
 * that was cut or changed is found out. A vault that several servers share says so: the store then looks
 * there before each step, and a record is replaced only if its step is still the one that the step went on
 * from.
 *
 * All calls come under the store's lock, one at a time: a record must not take the place of a later step's,
 * nor come back after its entry has been removed. */
#ifndef CAROUSEL_SERVER_VAULT_H
#define CAROUSEL_SERVER_VAULT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/base/status.h"

enum { VAULT_NAME_BYTES = 65, RECORD_HEAD = 48, RECORD_STEP_AT = 8 };

struct vault {
    bool is_shared;
    /* Write a record that lives so many seconds. expected: NULL, or the step that the record must have now,
     * if it is there. false: it has not, or the vault does not take it. */
    bool (*write)(struct vault *vault, const char *name, const void *bytes, size_t n, int64_t ttl_s,
                  const uint64_t *expected);
    /* Read a record: from malloc, the caller's; NULL if there is none. */
    void *(*read)(struct vault *vault, const char *name, size_t *n);
    void (*remove)(struct vault *vault, const char *name);
    void (*close)(struct vault *vault);
};

/* Files in a folder, which must be there. Records that have expired or are broken are removed first, and so
 * are those beyond `most`. A rename takes the place of the old record, so a process that is killed leaves the
 * old or the new one whole. */
enum status vault_open_folder(const char *path, size_t most, struct vault **out,
                              struct error *err) MUST_CHECK;

/* Return whether bytes[0..n) are a whole record. */
bool record_is_whole(const unsigned char *bytes, size_t n);
/* Write the head of a record of n bytes, whose rest is there. */
void record_seal(unsigned char *bytes, size_t n, uint64_t step);

#endif
