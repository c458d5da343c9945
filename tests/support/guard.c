#define _DEFAULT_SOURCE /* MAP_ANONYMOUS */
#include "tests/support/guard.h"

#include <check.h>
#include <sys/mman.h>
#include <unistd.h>

static size_t page_bytes(void)
{
    return (size_t)sysconf(_SC_PAGESIZE);
}

/* Whole pages that hold `bytes`, between two that may not be touched. */
static size_t inner_bytes(size_t bytes)
{
    return (bytes + page_bytes() - 1) / page_bytes() * page_bytes();
}

void *guard_new(size_t bytes)
{
    const size_t inner = inner_bytes(bytes), page = page_bytes();
    unsigned char *map =
        mmap(NULL, inner + 2 * page, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    ck_assert_ptr_ne(map, MAP_FAILED);
    ck_assert_int_eq(inner ? mprotect(map + page, inner, PROT_READ | PROT_WRITE) : 0, 0);
    return map + page + inner - bytes;
}

void guard_free(void *buffer, size_t bytes)
{
    const size_t inner = inner_bytes(bytes), page = page_bytes();
    ck_assert_int_eq(munmap((unsigned char *)buffer + bytes - inner - page, inner + 2 * page), 0);
}
