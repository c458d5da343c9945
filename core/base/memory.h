/* memory: allocation that can be counted and made to fail by tests.
 *
 * All of core/ and models/ allocates through these, so that tests/ can make the nth
 * allocation fail, and can count that the step path makes none. Any thread. */
#ifndef CAROUSEL_CORE_MEMORY_H
#define CAROUSEL_CORE_MEMORY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { MEMORY_ALIGNMENT = 64 }; /* bytes: one cache line, one AVX-512 register */

/* Allocate count * size zeroed bytes, aligned to MEMORY_ALIGNMENT; NULL if there is no memory or the
 * product overflows. A count or size of 0 gives a pointer that may be freed. The caller owns the block
 * and frees it with memory_free. If the thread has set itself a share (core/base/throttle.h), a large
 * block is cleared with rests between, so the thread must not hold a lock that others wait for; and the
 * result is NULL if the thread's work is given up. */
void *memory_new(size_t count, size_t size);
/* The same for `bytes` bytes that are all written anyway: not zeroed, never given up. The pages of a large
 * block come from the system as they are written. */
void *memory_unset(size_t bytes);
/* The same for a few bytes: not zeroed, aligned as malloc aligns. */
void *memory_raw(size_t bytes);
void memory_free(void *block); /* accepts NULL */

/* From now on, blocks of at least so many bytes go back to the system as soon as they are freed, by whichever
 * thread, so that a model that has been unloaded no longer counts. Before other threads start. */
void memory_return_from(size_t bytes);

/* Copy `bytes` bytes and put a zero byte after them; NULL if there is no memory. */
char *memory_copy_text(const char *text, size_t bytes);

/* true and *product = a * b, or false if that does not fit. */
bool size_multiply(size_t a, size_t b, size_t *product);

/* For tests. The number of allocations so far in this process, and: make the nth allocation
 * from now fail, once (0: none). */
uint64_t memory_allocations(void);
void memory_fail_at(uint64_t nth);

#endif
