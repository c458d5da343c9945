/* pool: memory of one import, freed all at once and bounded as a whole.
 *
 * A file that is read here is untrusted, so nothing that it can make grow is unbounded: whatever a reader
 * makes comes from a pool, and a pool that has given `limit` bytes gives NULL. One thread. */
#ifndef CAROUSEL_MODELS_IMPORT_POOL_H
#define CAROUSEL_MODELS_IMPORT_POOL_H

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include "core/base/status.h"

struct pool;

/* A pool of at most `limit` bytes; NULL if there is no memory. */
struct pool *pool_new(uint64_t limit);
void pool_free(struct pool *pool); /* accepts NULL */

/* count * size zeroed bytes, borrowed from the pool; NULL if memory or the limit is used up. */
void *pool_take(struct pool *pool, size_t count, size_t size);
/* The same for a few bytes, from a shared block, aligned to 16 bytes. */
void *pool_small(struct pool *pool, size_t bytes);
/* text[0..bytes) with a zero byte after it. */
char *pool_text(struct pool *pool, const char *text, size_t bytes);
char *pool_print(struct pool *pool, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* The sentence for a NULL. */
MUST_CHECK enum status pool_spent(struct error *err);

/* Room for one more element of `size` bytes in *array, which holds n and has room for *room. The old block
 * stays until the pool goes, so arrays double. */
MUST_CHECK enum status pool_grow(struct pool *pool, void **array, size_t n, size_t *room, size_t size,
                                 struct error *err);

#endif
