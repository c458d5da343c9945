#include "models/formats/pool.h"

#include <stdio.h>
#include <string.h>

#include "core/base/memory.h"

enum { SHARED_BYTES = 64 * 1024, SMALL_BYTES = 4096, FIRST_ROOM = 8, PRINT_BYTES = 1024 };

/* What stands before each block. */
struct block {
    struct block *next;
};

struct pool {
    uint64_t left;
    struct block *blocks;
    uint8_t *shared; /* the block that small pieces are cut from */
    size_t shared_left;
};

struct pool *pool_new(uint64_t limit)
{
    struct pool *pool = memory_new(1, sizeof *pool);
    if (pool) pool->left = limit;
    return pool;
}

void pool_free(struct pool *pool)
{
    if (!pool) return;
    for (struct block *block = pool->blocks, *next; block; block = next) {
        next = block->next;
        memory_free(block);
    }
    memory_free(pool);
}

void *pool_take(struct pool *pool, size_t count, size_t size)
{
    size_t bytes;
    if (!size_multiply(count, size, &bytes) || bytes > pool->left || pool->left - bytes < MEMORY_ALIGNMENT ||
        bytes > SIZE_MAX - MEMORY_ALIGNMENT)
        return NULL;
    uint8_t *block = memory_new(bytes + MEMORY_ALIGNMENT, 1);
    if (!block) return NULL;
    pool->left -= bytes + MEMORY_ALIGNMENT;
    ((struct block *)block)->next = pool->blocks;
    pool->blocks = (struct block *)block;
    return block + MEMORY_ALIGNMENT;
}

void *pool_small(struct pool *pool, size_t bytes)
{
    size_t whole = (bytes + 15) / 16 * 16;
    if (bytes > SMALL_BYTES) return pool_take(pool, bytes, 1);
    if (whole > pool->shared_left) {
        pool->shared = pool_take(pool, SHARED_BYTES, 1);
        pool->shared_left = pool->shared ? SHARED_BYTES : 0;
        if (!pool->shared) return NULL;
    }
    void *piece = pool->shared;
    pool->shared += whole;
    pool->shared_left -= whole;
    return piece;
}

char *pool_text(struct pool *pool, const char *text, size_t bytes)
{
    char *copy = bytes < SIZE_MAX ? pool_small(pool, bytes + 1) : NULL;
    if (copy && bytes) memcpy(copy, text, bytes);
    return copy;
}

char *pool_print(struct pool *pool, const char *format, ...)
{
    char text[PRINT_BYTES];
    va_list list;
    va_start(list, format);
    vsnprintf(text, sizeof text, format, list);
    va_end(list);
    return pool_text(pool, text, strlen(text));
}

enum status pool_spent(struct error *err)
{
    return error_set(err, STATUS_NO_MEMORY,
                     "reading the file takes more memory than there is or than is allowed");
}

enum status pool_grow(struct pool *pool, void **array, size_t n, size_t *room, size_t size, struct error *err)
{
    if (n < *room) return STATUS_OK;
    size_t more = *room ? 2 * *room : FIRST_ROOM, bytes;
    void *grown = size_multiply(more, size, &bytes) ? pool_small(pool, bytes) : NULL;
    if (!grown) return pool_spent(err);
    if (n) memcpy(grown, *array, n * size);
    *array = grown;
    *room = more;
    return STATUS_OK;
}
