/* vault: keeps entries of the store longer than the process. One file a kind of vault.
 *
 * A record is bytes under a name of 64 hexadecimal digits. Its first RECORD_HEAD bytes are a magic number,
 * the format's version, the step (little-endian, 8 bytes) and the SHA-256 of what follows, so that a record
 * that was cut or changed is found out.
 *
 * Servers may share a vault. Each then keeps copies of records that it has used, and compares the head of its
 * copy with the record's before each step of a session. A record is replaced only if its step is still the
 * one that the step went on from. A copy that is dropped leaves the record, which ends by its time to live.
 *
 * All calls come under the store's lock, one at a time: a record must not take the place of a later step's,
 * nor come back after its entry has been removed. */
#ifndef CAROUSEL_SERVER_VAULT_H
#define CAROUSEL_SERVER_VAULT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/base/status.h"

enum { VAULT_NAME_BYTES = 65, RECORD_HEAD = 48, RECORD_STEP_AT = 8, RECORD_MOST_BYTES = 1 << 28 };

/* The step of a record that is not there yet, as expected by a write that must be the first. */
#define VAULT_NO_STEP UINT64_MAX

enum vault_answer {
    VAULT_OK,
    VAULT_NOT,  /* read: there is no record; write: the record has another step than the expected one */
    VAULT_AWAY  /* the vault cannot be asked now, or does not take the record */
};

struct vault {
    bool is_shared;
    /* Write a record that lives so many seconds. expected: NULL, or the step that the record must have now,
     * if it is there. */
    enum vault_answer (*write)(struct vault *vault, const char *name, const void *bytes, size_t n,
                               int64_t ttl_s, const uint64_t *expected);
    /* Read the whole record: *bytes is from malloc, the caller's. */
    enum vault_answer (*read)(struct vault *vault, const char *name, void **bytes, size_t *n);
    /* Read the head of a record. NULL in a vault that is not shared. */
    enum vault_answer (*read_head)(struct vault *vault, const char *name, unsigned char head[RECORD_HEAD]);
    /* Let a record that was used live so many seconds from now on. */
    void (*touch)(struct vault *vault, const char *name, int64_t ttl_s);
    void (*remove)(struct vault *vault, const char *name);
    void (*close)(struct vault *vault);
};

/* Files in a folder, which must be there. Records that have expired or are broken are removed first, and so
 * are those beyond `most`. A rename replaces the old record, so a process that is killed leaves the
 * old or the new one whole. */
enum status vault_open_folder(const char *path, size_t most, struct vault **out,
                              struct error *err) MUST_CHECK;

/* Redis or Valkey at `address`: redis://HOST[:PORT][/DATABASE], or unix:PATH; shared. password_file: a file
 * with the password, or "". Fails if it does not answer. Later each call waits at most half a second for it;
 * after a failure calls fail at once for a second. Records are the keys carousel:NAME. */
enum status vault_open_redis(const char *address, const char *password_file, struct vault **out,
                             struct error *err) MUST_CHECK;

/* Return whether bytes[0..n) are a whole record. */
bool record_is_whole(const unsigned char *bytes, size_t n);
/* Write the head of a record of n bytes, whose rest is there. */
void record_seal(unsigned char *bytes, size_t n, uint64_t step);

#endif
