/* hash: SHA-256, which is how a model's weights are told apart, and how API keys are kept. By nettle, which
 * the HTTP library brings along; models/text/hash.c alone includes it. Any thread. */
#ifndef CAROUSEL_MODELS_HASH_H
#define CAROUSEL_MODELS_HASH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/base/status.h"

enum { HASH_BYTES = 32, HASH_HEX_BYTES = 65, /* 64 digits and a zero byte */
       HASH_SHA1_BYTES = 20 };

/* Hash bytes[0..n). */
void hash_bytes(const void *bytes, size_t n, uint8_t hash[HASH_BYTES]);
/* The SHA-1 of bytes[0..n), for the handshake of a WebSocket (RFC 6455, 4.2.2); it proves nothing. */
void hash_sha1(const void *bytes, size_t n, uint8_t hash[HASH_SHA1_BYTES]);
/* In lower-case hexadecimal. */
void hash_print(const uint8_t hash[HASH_BYTES], char hex[HASH_HEX_BYTES]);
/* Compare in a time that tells nothing of where they differ. */
bool hash_equal(const uint8_t a[HASH_BYTES], const uint8_t b[HASH_BYTES]);

/* Read block[0..n), the first bytes of the open file `fd` (whose offset is left alone), and hash what was
 * read, in hexadecimal: the hash is that of the block, whatever becomes of the file meanwhile. `name` is for
 * the sentence. STATUS_IO, also if the file ends before; STATUS_CLOSING if it is given up
 * (core/base/throttle.h). `block` may be NULL: what was read is not kept. */
MUST_CHECK enum status hash_read(int fd, const char *name, void *block, size_t n, char hex[HASH_HEX_BYTES],
                                 struct error *err);

/* The same in two calls. hash_begin returns when the block has been read; a second thread may still hash it,
 * if the block is large and this thread is not throttled. So the caller uses the block meanwhile, changes
 * nothing in it, and asks for the hash before it trusts what it made. Each *out ends with one of the
 * others. */
struct hash_reading;
MUST_CHECK enum status hash_begin(int fd, const char *name, void *block, size_t n, struct hash_reading **out,
                                  struct error *err);
void hash_finish(struct hash_reading *reading, char hex[HASH_HEX_BYTES]); /* waits for the hash */
void hash_drop(struct hash_reading *reading); /* without it; soon; accepts NULL */

/* Bytes that all calls of hash_read have read so far. */
uint64_t hash_bytes_read(void);

#endif
