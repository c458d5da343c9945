#include "models/hash.h"

#include <nettle/memops.h>
#include <nettle/sha2.h>
#include <stdio.h>

#include "core/throttle.h"
#include "models/folder.h"

enum { CHUNK_BYTES = 64 * 1024 };

_Static_assert(HASH_BYTES == SHA256_DIGEST_SIZE, "the header does not know nettle's");

void hash_bytes(const void *bytes, size_t n, uint8_t hash[HASH_BYTES])
{
    struct sha256_ctx sha;
    sha256_init(&sha);
    sha256_update(&sha, n, bytes);
    sha256_digest(&sha, HASH_BYTES, hash);
}

void hash_print(const uint8_t hash[HASH_BYTES], char hex[HASH_HEX_BYTES])
{
    for (size_t i = 0; i < HASH_BYTES; i++) snprintf(hex + 2 * i, 3, "%02x", (unsigned)hash[i]);
}

bool hash_equal(const uint8_t a[HASH_BYTES], const uint8_t b[HASH_BYTES])
{
    return nettle_memeql_sec(a, b, HASH_BYTES);
}

enum status hash_read(int fd, const char *name, void *block, size_t n, char hex[HASH_HEX_BYTES],
                      struct error *err)
{
    uint8_t digest[HASH_BYTES], *bytes = block;
    struct sha256_ctx sha;
    sha256_init(&sha);
    for (size_t at = 0, part; at < n; at += part) {
        part = n - at < CHUNK_BYTES ? n - at : CHUNK_BYTES;
        enum status status = file_read(fd, name, at, bytes + at, part, err);
        if (status != STATUS_OK) return status;
        sha256_update(&sha, part, bytes + at);
        if (!throttle_rest()) return error_set(err, STATUS_CLOSING, "%s: the load was given up", name);
    }
    sha256_digest(&sha, sizeof digest, digest);
    hash_print(digest, hex);
    return STATUS_OK;
}
