#include "models/hash.h"

#include <errno.h>
#include <nettle/memops.h>
#include <nettle/sha2.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "core/memory.h"
#include "core/throttle.h"

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

enum status hash_file(int fd, const char *name, char hex[HASH_HEX_BYTES], struct error *err)
{
    uint8_t *chunk = memory_new(CHUNK_BYTES, 1), digest[SHA256_DIGEST_SIZE];
    if (!chunk) return error_set(err, STATUS_NO_MEMORY, "%s: no memory", name);
    struct sha256_ctx sha;
    sha256_init(&sha);
    ssize_t n = 0;
    for (off_t at = 0; (n = pread(fd, chunk, CHUNK_BYTES, at)) != 0; at += n) {
        if (n < 0 && errno == EINTR) n = 0;
        else if (n < 0) break;
        sha256_update(&sha, (size_t)n, chunk);
        throttle_rest();
    }
    int problem = errno;
    memory_free(chunk);
    if (n < 0) return error_set(err, STATUS_IO, "%s: %s", name, strerror(problem));
    sha256_digest(&sha, sizeof digest, digest);
    hash_print(digest, hex);
    return STATUS_OK;
}
