#include "models/text/hash.h"

#include <nettle/memops.h>
#include <nettle/sha1.h>
#include <nettle/sha2.h>
#include <pthread.h>
#include <stdio.h>

#include "core/base/throttle.h"
#include "models/text/folder.h"

enum {
    CHUNK_BYTES = 64 * 1024,
    LARGE_BYTES = 8 << 20,   /* from which two threads share the work: one reads, the other hashes */
    FOLLOWED_BYTES = 1 << 20 /* that the one hands over to the other at a time */
};

_Static_assert(HASH_BYTES == SHA256_DIGEST_SIZE && HASH_SHA1_BYTES == SHA1_DIGEST_SIZE,
               "the header does not know nettle's");

void hash_bytes(const void *bytes, size_t n, uint8_t hash[HASH_BYTES])
{
    struct sha256_ctx sha;
    sha256_init(&sha);
    sha256_update(&sha, n, bytes);
    sha256_digest(&sha, HASH_BYTES, hash);
}

void hash_sha1(const void *bytes, size_t n, uint8_t hash[HASH_SHA1_BYTES])
{
    struct sha1_ctx sha;
    sha1_init(&sha);
    sha1_update(&sha, n, bytes);
    sha1_digest(&sha, HASH_SHA1_BYTES, hash);
}

void hash_print(const uint8_t hash[HASH_BYTES], char hex[HASH_HEX_BYTES])
{
    for (size_t i = 0; i < HASH_BYTES; i++) snprintf(hex + 2 * i, 3, "%02x", (unsigned)hash[i]);
}

bool hash_equal(const uint8_t a[HASH_BYTES], const uint8_t b[HASH_BYTES])
{
    return nettle_memeql_sec(a, b, HASH_BYTES);
}

static _Atomic uint64_t all_read;

uint64_t hash_bytes_read(void)
{
    return all_read;
}

/* A thread that hashes what another one reads, a little behind it. */
struct follower {
    struct sha256_ctx sha;
    const uint8_t *bytes;
    pthread_t thread;
    pthread_mutex_t mu;
    pthread_cond_t grown;
    size_t n_read; /* with mu */
    bool is_over;  /* with mu: no more will be read */
};

static void *follow(void *context)
{
    struct follower *f = context;
    for (size_t at = 0, n;; at = n) {
        pthread_mutex_lock(&f->mu);
        while (f->n_read == at && !f->is_over) pthread_cond_wait(&f->grown, &f->mu);
        n = f->n_read;
        pthread_mutex_unlock(&f->mu);
        if (n == at) return NULL;
        sha256_update(&f->sha, n - at, f->bytes + at);
    }
}

/* Hand the next bytes over; `is_over` if they are the last. */
static void lead(struct follower *f, size_t n, bool is_over)
{
    pthread_mutex_lock(&f->mu);
    f->n_read += n;
    f->is_over = is_over;
    pthread_cond_signal(&f->grown);
    pthread_mutex_unlock(&f->mu);
}

/* Read `n` bytes to `bytes`, or to nowhere if that is NULL. They are hashed on the way, or by `follower`. */
static enum status read_all(int fd, const char *name, uint8_t *bytes, size_t n, struct sha256_ctx *sha,
                            struct follower *follower, struct error *err)
{
    uint8_t chunk[CHUNK_BYTES];
    for (size_t at = 0, part, most = follower ? FOLLOWED_BYTES : CHUNK_BYTES; at < n; at += part) {
        part = n - at < most ? n - at : most;
        uint8_t *to = bytes ? bytes + at : chunk;
        enum status status = file_read(fd, name, at, to, part, err);
        if (status != STATUS_OK) return status;
        all_read += part;
        if (follower) lead(follower, part, false);
        else sha256_update(sha, part, to);
        if (!throttle_rest()) return error_set(err, STATUS_CLOSING, "%s: the load was given up", name);
    }
    return STATUS_OK;
}

enum status hash_read(int fd, const char *name, void *block, size_t n, char hex[HASH_HEX_BYTES],
                      struct error *err)
{
    uint8_t digest[HASH_BYTES];
    struct follower f = {.bytes = block};
    sha256_init(&f.sha);
    pthread_mutex_init(&f.mu, NULL);
    pthread_cond_init(&f.grown, NULL);
    bool is_followed = block && n >= LARGE_BYTES && throttle_is_free() &&
                       pthread_create(&f.thread, NULL, follow, &f) == 0;
    enum status status = read_all(fd, name, block, n, &f.sha, is_followed ? &f : NULL, err);
    if (is_followed) {
        lead(&f, 0, true);
        pthread_join(f.thread, NULL);
    }
    pthread_mutex_destroy(&f.mu);
    pthread_cond_destroy(&f.grown);
    if (status != STATUS_OK) return status;
    sha256_digest(&f.sha, sizeof digest, digest);
    hash_print(digest, hex);
    return STATUS_OK;
}
