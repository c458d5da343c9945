#define _DEFAULT_SOURCE /* madvise */
#include "core/base/memory.h"

#include <malloc.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "core/base/throttle.h"

static atomic_uint_fast64_t allocations;
static atomic_uint_fast64_t failing; /* the value of `allocations` that fails; 0: none */

/* A page of 2 MiB, if Linux has them. Weights are streamed: in pages of 4 KiB every fourth page of a large
 * network is one that the processor has to look up again. */
enum { LARGE_PAGE = 2 << 20, CLEARED_BYTES = 256 << 10 };

bool size_multiply(size_t a, size_t b, size_t *product)
{
    if (b != 0 && a > SIZE_MAX / b) return false;
    *product = a * b;
    return true;
}

/* Count an allocation; true if a test wants it to fail. */
static bool fails(void)
{
    uint64_t nth = atomic_fetch_add_explicit(&allocations, 1, memory_order_relaxed) + 1;
    return nth == atomic_load_explicit(&failing, memory_order_relaxed);
}

void *memory_raw(size_t bytes)
{
    return fails() ? NULL : malloc(bytes ? bytes : 1);
}

/* The pages of a large block come from the system as they are written, which takes a while. false: the
 * work that needs it is given up. */
static bool clear(char *block, size_t bytes)
{
    for (size_t n; bytes; block += n, bytes -= n) {
        n = bytes < CLEARED_BYTES ? bytes : CLEARED_BYTES;
        memset(block, 0, n);
        if (n == CLEARED_BYTES && !throttle_rest()) return false;
    }
    return true;
}

/* A whole number of lines, at least one byte more than asked for; 0 if that does not fit. */
static size_t rounded(size_t bytes)
{
    if (bytes > SIZE_MAX - MEMORY_ALIGNMENT) return 0;
    return (bytes + MEMORY_ALIGNMENT) / MEMORY_ALIGNMENT * MEMORY_ALIGNMENT;
}

void *memory_unset(size_t asked)
{
    size_t bytes = rounded(asked);
    void *block; /* not from aligned_alloc, which wants whole multiples of the alignment */
    if (fails() || !bytes) return NULL;
    if (posix_memalign(&block, bytes < LARGE_PAGE ? MEMORY_ALIGNMENT : LARGE_PAGE, bytes)) return NULL;
#ifdef MADV_HUGEPAGE
    if (bytes >= LARGE_PAGE) madvise(block, bytes, MADV_HUGEPAGE); /* advice: nothing depends on it */
#endif
    return block;
}

void *memory_new(size_t count, size_t size)
{
    size_t bytes;
    void *block = size_multiply(count, size, &bytes) ? memory_unset(bytes) : NULL;
    if (!block || clear(block, rounded(bytes))) return block;
    free(block);
    return NULL;
}

void memory_free(void *block)
{
    free(block);
}

/* Setting the threshold fixes it: by itself malloc would raise it to the size of the largest block freed so
 * far, and keep what comes after. */
void memory_return_from(size_t bytes)
{
    mallopt(M_MMAP_THRESHOLD, (int)bytes);
}

char *memory_copy_text(const char *text, size_t bytes)
{
    char *copy = bytes == SIZE_MAX ? NULL : memory_new(bytes + 1, 1);
    if (copy) memcpy(copy, text, bytes);
    return copy;
}

uint64_t memory_allocations(void)
{
    return atomic_load_explicit(&allocations, memory_order_relaxed);
}

void memory_fail_at(uint64_t nth)
{
    uint64_t now = memory_allocations();
    atomic_store_explicit(&failing, nth ? now + nth : 0, memory_order_relaxed);
}
