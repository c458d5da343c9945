#include "models/text/hash.h"

#include <nettle/memops.h>
#include <nettle/sha1.h>
#include <nettle/sha2.h>
#include <stdio.h>

#include "core/base/throttle.h"
#include "models/text/folder.h"

enum { CHUNK_BYTES = 64 * 1024 };

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

enum status hash_read(int fd, const char *name, void *block, size_t n, char hex[HASH_HEX_BYTES],
                      struct error *err)
{
    uint8_t digest[HASH_BYTES], chunk[CHUNK_BYTES], *bytes = block;
    struct sha256_ctx sha;
    sha256_init(&sha);
    for (size_t at = 0, part; at < n; at += part) {
        part = n - at < CHUNK_BYTES ? n - at : CHUNK_BYTES;
        uint8_t *to = bytes ? bytes + at : chunk;
        enum status status = file_read(fd, name, at, to, part, err);
        if (status != STATUS_OK) return status;
        all_read += part;
        sha256_update(&sha, part, to);
        if (!throttle_rest()) return error_set(err, STATUS_CLOSING, "%s: the load was given up", name);
    }
    sha256_digest(&sha, sizeof digest, digest);
    hash_print(digest, hex);
    return STATUS_OK;
}
