/* Seats of threads, and accept4. */
#define _DEFAULT_SOURCE /* syscall */
#include "server/http/balance.h"

#include <errno.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "core/base/clock.h"

enum {
    MAX_THREADS = 64,
    COURTESY_US = 1000, /* how long a fuller thread leaves connections to others */
    UNWANTED = 4        /* and how many it accepts then at once */
};

/* There is one accept4 in a process, and it comes without a context. */
static atomic_int listener = -1;
static atomic_size_t n_threads, n_seated;
static atomic_size_t n_open[MAX_THREADS];

static _Thread_local size_t seat; /* 1 + its number; 0: none yet */
static _Thread_local int64_t waits_since_us;
static _Thread_local unsigned n_unwanted; /* that may be accepted without waiting */

void balance_open(int descriptor, size_t n)
{
    atomic_store(&n_seated, 0);
    for (size_t i = 0; i < MAX_THREADS; i++) atomic_store(&n_open[i], 0);
    atomic_store(&n_threads, n <= MAX_THREADS ? n : 0);
    atomic_store(&listener, descriptor);
}

void balance_close(void)
{
    atomic_store(&listener, -1);
}

/* The calling thread's count; NULL: it has none. A thread that has not been here yet counts as empty. */
static atomic_size_t *own_count(void)
{
    if (!seat) seat = 1 + atomic_fetch_add(&n_seated, 1);
    return seat <= atomic_load(&n_threads) ? &n_open[seat - 1] : NULL;
}

void balance_add(void)
{
    atomic_size_t *own = own_count();
    if (own) atomic_fetch_add(own, 1);
}

void balance_remove(void)
{
    atomic_size_t *own = own_count();
    if (own) atomic_fetch_sub(own, 1);
}

static bool has_more_than_another(void)
{
    const atomic_size_t *own = own_count();
    size_t n = own ? atomic_load(own) : 0, threads = atomic_load(&n_threads);
    for (size_t i = 0; i < threads && n; i++)
        if (atomic_load(&n_open[i]) < n) return true;
    return false;
}

/* Whether to leave what there is to another thread. */
static bool leaves(void)
{
    int64_t now = clock_us();
    if (!has_more_than_another()) {
        waits_since_us = 0;
        return false;
    }
    if (n_unwanted) {
        n_unwanted--;
        return false;
    }
    if (!waits_since_us) waits_since_us = now;
    if (now - waits_since_us < COURTESY_US) return true;
    n_unwanted = UNWANTED - 1;
    waits_since_us = 0;
    return false;
}

/* As <sys/socket.h> has it for GNU's programs, but for a union there. */
int accept4(int descriptor, struct sockaddr *restrict address, socklen_t *restrict bytes, int flags);

int accept4(int descriptor, struct sockaddr *restrict address, socklen_t *restrict bytes, int flags)
{
    if (descriptor == atomic_load(&listener) && leaves()) {
        sched_yield();
        errno = EAGAIN;
        return -1;
    }
    return (int)syscall(SYS_accept4, descriptor, address, bytes, flags);
}
