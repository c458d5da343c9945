#include "models/text/hash.h"

#include <nettle/memops.h>
#include <nettle/sha1.h>
#include <nettle/sha2.h>
#include <pthread.h>
#include <stdio.h>

#include "core/base/memory.h"
#include "core/base/throttle.h"
#include "models/text/folder.h"

enum {
    CHUNK_BYTES = 64 * 1024,
    LARGE_BYTES = 8 << 20,   /* from which two threads share the work: one reads, the other hashes */
    FOLLOWED_BYTES = 1 << 20 /* that are handed over at a time, and hashed before a look at is_dropped */
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

/* A block that is read by the caller, and hashed by it or by a thread a little behind it. */
struct hash_reading {
    struct sha256_ctx sha;
    const uint8_t *bytes;
    bool is_followed;
    pthread_t thread;
    pthread_mutex_t mu;
    pthread_cond_t grown;
    size_t n_read; /* with mu */
    bool is_over;  /* with mu: no more will be read */
    _Atomic bool is_dropped;
};

static void *follow(void *context)
{
    struct hash_reading *f = context;
    for (size_t at = 0, n;;) {
        pthread_mutex_lock(&f->mu);
        while (f->n_read == at && !f->is_over) pthread_cond_wait(&f->grown, &f->mu);
        n = f->n_read;
        pthread_mutex_unlock(&f->mu);
        if (n == at) return NULL;
        for (size_t part; at < n; at += part) {
            if (f->is_dropped) return NULL;
            part = n - at < FOLLOWED_BYTES ? n - at : FOLLOWED_BYTES;
            sha256_update(&f->sha, part, f->bytes + at);
        }
    }
}

/* Hand the next bytes over; `is_over` if they are the last. */
static void lead(struct hash_reading *f, size_t n, bool is_over)
{
    pthread_mutex_lock(&f->mu);
    f->n_read += n;
    f->is_over = is_over;
    pthread_cond_signal(&f->grown);
    pthread_mutex_unlock(&f->mu);
}

/* Read `n` bytes to `bytes`, or to nowhere if that is NULL. */
static enum status read_all(struct hash_reading *f, int fd, const char *name, uint8_t *bytes, size_t n,
                            struct error *err)
{
    uint8_t chunk[CHUNK_BYTES];
    for (size_t at = 0, part, most = f->is_followed ? FOLLOWED_BYTES : CHUNK_BYTES; at < n; at += part) {
        part = n - at < most ? n - at : most;
        uint8_t *to = bytes ? bytes + at : chunk;
        enum status status = file_read(fd, name, at, to, part, err);
        if (status != STATUS_OK) return status;
        all_read += part;
        if (f->is_followed) lead(f, part, false);
        else sha256_update(&f->sha, part, to);
        if (!throttle_rest()) return error_set(err, STATUS_CLOSING, "%s: the load was given up", name);
    }
    return STATUS_OK;
}

/* Wait for the thread, and let go of what the two share. */
static void part_ways(struct hash_reading *f)
{
    if (f->is_followed) pthread_join(f->thread, NULL);
    pthread_mutex_destroy(&f->mu);
    pthread_cond_destroy(&f->grown);
}

enum status hash_begin(int fd, const char *name, void *block, size_t n, struct hash_reading **out,
                       struct error *err)
{
    struct hash_reading *f = memory_new(1, sizeof *f);
    if (!f) return error_set(err, STATUS_NO_MEMORY, "%s: no memory", name);
    f->bytes = block;
    sha256_init(&f->sha);
    pthread_mutex_init(&f->mu, NULL);
    pthread_cond_init(&f->grown, NULL);
    f->is_followed = block && n >= LARGE_BYTES && throttle_is_free() &&
                     pthread_create(&f->thread, NULL, follow, f) == 0;
    enum status status = read_all(f, fd, name, block, n, err);
    f->is_dropped = status != STATUS_OK;
    if (f->is_followed) lead(f, 0, true);
    if (status == STATUS_OK) return *out = f, STATUS_OK;
    hash_drop(f);
    return status;
}

void hash_finish(struct hash_reading *f, char hex[HASH_HEX_BYTES])
{
    uint8_t digest[HASH_BYTES];
    part_ways(f);
    sha256_digest(&f->sha, sizeof digest, digest);
    hash_print(digest, hex);
    memory_free(f);
}

void hash_drop(struct hash_reading *f)
{
    if (!f) return;
    f->is_dropped = true;
    part_ways(f);
    memory_free(f);
}

enum status hash_read(int fd, const char *name, void *block, size_t n, char hex[HASH_HEX_BYTES],
                      struct error *err)
{
    struct hash_reading *reading;
    enum status status = hash_begin(fd, name, block, n, &reading, err);
    if (status == STATUS_OK) hash_finish(reading, hex);
    return status;
}
