/* allocations: malloc, calloc, realloc and posix_memalign of all our objects, made to fail.
 *
 * The linker turns every call of them in our objects (the tests' included) into a call of this file (--wrap
 * in the Makefile); core/base/memory.h ends there too. libmicrohttpd's and the C library's
 * own calls are not touched. A thread may except itself. Any thread, but one at a time for the first two. */
#ifndef CAROUSEL_TESTS_UNIT_ALLOCATIONS_H
#define CAROUSEL_TESTS_UNIT_ALLOCATIONS_H

#include <stdbool.h>
#include <stdint.h>

/* Make the nth allocation from now on fail (1 is the next), and all after it where `for_good`. */
void allocations_fail_at(uint64_t nth, bool for_good);
/* Let them succeed again; whether one has failed. */
bool allocations_have_failed(void);
/* The calling thread's allocations neither count nor fail, from now on. */
void allocations_spare_me(void);

#endif
