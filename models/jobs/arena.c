#include "models/jobs/arena.h"

#include <stdint.h>

#include "core/base/memory.h"

void *arena_take(struct arena *arena, size_t count, size_t size)
{
    size_t bytes;
    if (!size_multiply(count, size, &bytes) || bytes > SIZE_MAX / 2) {
        arena->too_big = true;
        return NULL;
    }
    bytes = (bytes + MEMORY_ALIGNMENT - 1) / MEMORY_ALIGNMENT * MEMORY_ALIGNMENT;
    if (bytes > SIZE_MAX / 2 - arena->used) {
        arena->too_big = true;
        return NULL;
    }
    char *part = arena->base ? arena->base + arena->used : NULL;
    arena->used += bytes;
    return part;
}
