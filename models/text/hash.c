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
    LARGE_BYTES = 8 << 20, /* from which two threads share the work */
    PIECE_BYTES = 1 << 20
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

/* A block that is read and hashed by the caller alone, or by two threads: both read pieces of it, and the
 * second one hashes them in their order. Reading is the faster part, so the caller does most of it, and goes
 * on to use the block while the rest is hashed. */
struct hash_reading {
    struct sha256_ctx sha;
    int fd;
    const char *name;
    uint8_t *bytes;
    size_t n, n_pieces;
    bool is_shared;
    pthread_t thread;
    _Atomic bool is_dropped;
    pthread_mutex_t mu; /* of what follows */
    pthread_cond_t news;
    size_t n_begun, n_read; /* pieces */
    struct error err;       /* of the first piece that was not read */
    bool has_failed;        /* or is given up: no more is read */
    bool is_read[];         /* [n_pieces] */
};

static size_t piece_bytes(const struct hash_reading *f, size_t piece)
{
    size_t left = f->n - piece * PIECE_BYTES;
    return left < PIECE_BYTES ? left : PIECE_BYTES;
}

/* Read the first piece that no thread has begun. false: there is none. */
static bool read_piece(struct hash_reading *f)
{
    pthread_mutex_lock(&f->mu);
    size_t piece = f->n_begun;
    bool is_wanted = piece < f->n_pieces && !f->has_failed;
    f->n_begun += is_wanted;
    pthread_mutex_unlock(&f->mu);
    if (!is_wanted) return false;
    struct error err;
    size_t at = piece * PIECE_BYTES, n = piece_bytes(f, piece);
    bool is_read = file_read(f->fd, f->name, at, f->bytes + at, n, &err) == STATUS_OK;
    pthread_mutex_lock(&f->mu);
    f->is_read[piece] = is_read;
    f->n_read += is_read;
    all_read += is_read ? n : 0;
    if (!is_read && !f->has_failed) f->err = err;
    f->has_failed |= !is_read;
    pthread_cond_broadcast(&f->news);
    pthread_mutex_unlock(&f->mu);
    return is_read;
}

static void *hash_pieces(void *context)
{
    struct hash_reading *f = context;
    for (size_t piece = 0; piece < f->n_pieces; piece++) {
        pthread_mutex_lock(&f->mu);
        while (!f->is_read[piece] && !f->has_failed) pthread_cond_wait(&f->news, &f->mu);
        bool goes_on = f->is_read[piece] && !f->has_failed;
        pthread_mutex_unlock(&f->mu);
        if (!goes_on || f->is_dropped) return NULL;
        sha256_update(&f->sha, piece_bytes(f, piece), f->bytes + piece * PIECE_BYTES);
        read_piece(f);
    }
    return NULL;
}

/* Read the pieces with the other thread. */
static enum status read_shared(struct hash_reading *f, struct error *err)
{
    bool goes_on = true;
    while (goes_on && read_piece(f)) goes_on = throttle_rest();
    pthread_mutex_lock(&f->mu);
    if (!goes_on && !f->has_failed) {
        error_set(&f->err, STATUS_CLOSING, "%s: the load was given up", f->name);
        f->has_failed = true;
        pthread_cond_broadcast(&f->news);
    }
    while (f->n_read < f->n_pieces && !f->has_failed) pthread_cond_wait(&f->news, &f->mu);
    enum status status = f->has_failed ? f->err.status : STATUS_OK;
    if (f->has_failed && err) *err = f->err;
    pthread_mutex_unlock(&f->mu);
    return status;
}

/* Read and hash alone; to nowhere if there is no block. */
static enum status read_alone(struct hash_reading *f, struct error *err)
{
    uint8_t chunk[CHUNK_BYTES];
    for (size_t at = 0, part; at < f->n; at += part) {
        part = f->n - at < CHUNK_BYTES ? f->n - at : CHUNK_BYTES;
        uint8_t *to = f->bytes ? f->bytes + at : chunk;
        enum status status = file_read(f->fd, f->name, at, to, part, err);
        if (status != STATUS_OK) return status;
        all_read += part;
        sha256_update(&f->sha, part, to);
        if (!throttle_rest()) return error_set(err, STATUS_CLOSING, "%s: the load was given up", f->name);
    }
    return STATUS_OK;
}

/* Wait for the thread, and let go of what the two share. */
static void part_ways(struct hash_reading *f)
{
    if (f->is_shared) pthread_join(f->thread, NULL);
    pthread_mutex_destroy(&f->mu);
    pthread_cond_destroy(&f->news);
}

enum status hash_begin(int fd, const char *name, void *block, size_t n, struct hash_reading **out,
                       struct error *err)
{
    size_t n_pieces = n / PIECE_BYTES + (n % PIECE_BYTES != 0);
    struct hash_reading *f = memory_new(1, sizeof *f + n_pieces * sizeof *f->is_read);
    if (!f) return error_set(err, STATUS_NO_MEMORY, "%s: no memory", name);
    f->fd = fd;
    f->name = name;
    f->bytes = block;
    f->n = n;
    f->n_pieces = n_pieces;
    sha256_init(&f->sha);
    pthread_mutex_init(&f->mu, NULL);
    pthread_cond_init(&f->news, NULL);
    f->is_shared = block && n >= LARGE_BYTES && throttle_is_free() &&
                   pthread_create(&f->thread, NULL, hash_pieces, f) == 0;
    enum status status = f->is_shared ? read_shared(f, err) : read_alone(f, err);
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
