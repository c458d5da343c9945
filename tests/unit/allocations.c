#include "allocations.h"

#include <errno.h>
#include <stdatomic.h>
#include <stddef.h>

void *__real_malloc(size_t bytes);
void *__real_calloc(size_t n, size_t bytes);
void *__real_realloc(void *block, size_t bytes);
int __real_posix_memalign(void **block, size_t alignment, size_t bytes);
void *__wrap_malloc(size_t bytes);
void *__wrap_calloc(size_t n, size_t bytes);
void *__wrap_realloc(void *block, size_t bytes);
int __wrap_posix_memalign(void **block, size_t alignment, size_t bytes);

static atomic_int_fast64_t left; /* allocations until the one that fails, itself included; 0 or less: none */
static atomic_bool has_failed, all_fail;
static _Thread_local bool is_spared;

static bool fails(void)
{
    if (is_spared) return false;
    if (atomic_load(&all_fail) && atomic_load(&has_failed)) return true;
    if (atomic_load(&left) <= 0 || atomic_fetch_sub(&left, 1) != 1) return false;
    atomic_store(&has_failed, true);
    return true;
}

void *__wrap_malloc(size_t bytes)
{
    return fails() ? NULL : __real_malloc(bytes);
}

void *__wrap_calloc(size_t n, size_t bytes)
{
    return fails() ? NULL : __real_calloc(n, bytes);
}

void *__wrap_realloc(void *block, size_t bytes)
{
    return fails() ? NULL : __real_realloc(block, bytes);
}

int __wrap_posix_memalign(void **block, size_t alignment, size_t bytes)
{
    return fails() ? ENOMEM : __real_posix_memalign(block, alignment, bytes);
}

void allocations_fail_at(uint64_t nth, bool for_good)
{
    atomic_store(&has_failed, false);
    atomic_store(&all_fail, for_good);
    atomic_store(&left, (int_fast64_t)nth);
}

bool allocations_have_failed(void)
{
    atomic_store(&left, 0);
    atomic_store(&all_fail, false);
    return atomic_load(&has_failed);
}

void allocations_spare_me(void)
{
    is_spared = true;
}
