/* arena: one block cut into parts, so that a job is one allocation, of a size that is known and
 * judged before it is made.
 *
 * The owner cuts twice with the same code: once over no memory, which only measures, then over a
 * block of the size found. In the first pass every part is NULL. One thread at a time. */
#ifndef CAROUSEL_MODELS_ARENA_H
#define CAROUSEL_MODELS_ARENA_H

#include <stdbool.h>
#include <stddef.h>

struct arena {
    char *base;   /* NULL while measuring */
    size_t used;  /* bytes */
    bool too_big; /* a size did not fit in size_t; stays set */
};

/* The next part: count * size bytes, aligned to MEMORY_ALIGNMENT, zero in a fresh block. */
void *arena_take(struct arena *arena, size_t count, size_t size);

#endif
