/* guard: buffers that end where memory ends.
 *
 * A test that hands a kernel such a buffer faults on the first byte read or written past the
 * shape it gave. The byte before the page of the first one is out of bounds too. */
#ifndef CAROUSEL_TESTS_SUPPORT_GUARD_H
#define CAROUSEL_TESTS_SUPPORT_GUARD_H

#include <stddef.h>

/* `bytes` zeroed bytes whose end is the start of a page that may not be touched (0 bytes: a
 * pointer that may not be touched at all). So the buffer is aligned as far as its size is. Never
 * NULL: fails the test if there is no memory. */
void *guard_new(size_t bytes);
void guard_free(void *buffer, size_t bytes); /* `bytes` as given to guard_new */

#endif
