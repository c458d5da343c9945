/* Handing over a task costs two cache lines crossing between cores, some 0.3 us: the member sees its seat's
 * _share filled, the leader sees _finished reach the number of parts that it did not make.
 *
 * Task, argument and direction are plain fields. The leader writes them before it fills the shares. A member
 * reads them after it has claimed parts, and adds to _finished after it has made them; the leader writes
 * again only when _finished says that all claimed parts are made. So a member may look at a share as late as
 * it likes: if it finds parts there, they are those of the present task, although the share
 * may have been empty and filled again since. */
#define _GNU_SOURCE /* sched_getcpu */
#include "core/network/team.h"

#include <assert.h>
#include <sched.h>
#include <time.h>

#include "core/base/clock.h"

#if defined(__x86_64__) || defined(__i386__)
#define PAUSE() __builtin_ia32_pause()
#elif defined(__aarch64__)
#define PAUSE() __asm__ volatile("yield")
#else
#define PAUSE() ((void)0)
#endif

enum {
    LOOKS_BEFORE_YIELD = 2000, /* some 50 us of looking before the core is offered to others */
    LOOKS_PER_WATCH = 64,      /* between two looks at clock and core: a microsecond or two */
    NAP_NS = 20 * 1000,        /* the system chooses a core anew for a thread that wakes */
    SHARED_WORK = 128 * 1024   /* R * K * N below which sharing gains nothing: a few us of one core */
};

/* Between two looks. */
static void pause_or_yield(unsigned *looks)
{
    if (++*looks < LOOKS_BEFORE_YIELD) PAUSE();
    else sched_yield();
}

/* ---- shares --------------------------------------------------------------------------------- */

/* A share is one word: its first part, its end, and from which side its owner claims. */
static const uint_fast64_t FROM_END = (uint_fast64_t)1 << 63;

static uint_fast64_t share_of(size_t first, size_t end, uint_fast64_t side)
{
    return side | (uint_fast64_t)end << 32 | (uint_fast64_t)first;
}

/* Claim half of the parts that are left in a share: the last claims are small, so that all threads end
 * together. The owner claims from its side, the others from the other one. Return false if none is left. */
static bool claim(atomic_uint_fast64_t *share, bool is_owner, size_t *first, size_t *end)
{
    uint_fast64_t seen = atomic_load_explicit(share, memory_order_relaxed), rest;
    do {
        uint_fast64_t side = seen & FROM_END;
        *first = (size_t)(seen & UINT32_MAX);
        *end = (size_t)((seen ^ side) >> 32);
        if (*first == *end) return false;
        size_t count = (*end - *first + 1) / 2;
        if (is_owner == (side != 0)) {
            rest = share_of(*first, *end - count, side);
            *first = *end - count;
        } else {
            rest = share_of(*first + count, *end, side);
            *end = *first + count;
        }
    } while (!atomic_compare_exchange_weak_explicit(share, &seen, rest, memory_order_acquire,
                                                    memory_order_relaxed));
    return true;
}

/* Make parts of the share of `victim` until none is left there; give their number. */
static size_t work_off(struct team *team, size_t seat, size_t victim)
{
    size_t made = 0, first, end;
    while (claim(&team->_seats[victim]._share, seat == victim, &first, &end)) {
        team->_task(team->_argument, first, end);
        made += end - first;
        if (seat) atomic_fetch_add_explicit(&team->_finished, end - first, memory_order_release);
    }
    return made;
}

/* Make the parts of one's own share, then those of the others'; give their number. */
static size_t work(struct team *team, size_t seat)
{
    size_t made = 0;
    for (size_t i = 0; i < team->_n_seats; i++) made += work_off(team, seat, (seat + i) % team->_n_seats);
    return made;
}

static bool has_work(struct team_seat *seat)
{
    uint_fast64_t share = atomic_load_explicit(&seat->_share, memory_order_relaxed) & ~FROM_END;
    return (share & UINT32_MAX) != share >> 32;
}

/* ---- members -------------------------------------------------------------------------------- */

void team_open(struct team *team, size_t n_seats)
{
    assert(n_seats > 0 && n_seats <= TEAM_MAX);
    for (size_t seat = 0; seat < n_seats; seat++)
        atomic_store_explicit(&team->_seats[seat]._taken, false, memory_order_relaxed);
    team->_n_seats = n_seats;
    atomic_store_explicit(&team->_processor, sched_getcpu(), memory_order_relaxed);
    atomic_store_explicit(&team->_dismissed, false, memory_order_release);
}

/* Look whether this thread has a core of its own. If it shares the leader's it sleeps for a moment, because
 * a thread that wakes is put on an idle core if there is one. Return false if it is to leave. */
static bool keeps_core(struct team *team, struct hold *hold)
{
    int64_t now = clock_us();
    if (sched_getcpu() != atomic_load_explicit(&team->_processor, memory_order_relaxed))
        return !hold_is_due(hold, now) || hold_look(hold, now, clock_thread_us());
    nanosleep(&(struct timespec){.tv_nsec = NAP_NS}, NULL);
    return hold_move(hold, clock_us(), clock_thread_us());
}

bool team_join(struct team *team, size_t seat, struct hold *hold)
{
    assert(seat > 0 && seat < team->_n_seats);
    struct team_seat *own = &team->_seats[seat];
    bool stays = true, takes_part = false;
    for (unsigned looks = 0; !atomic_load_explicit(&team->_dismissed, memory_order_acquire);) {
        if (hold && looks % LOOKS_PER_WATCH == 0 && !(stays = keeps_core(team, hold))) break;
        if (!takes_part && !(hold && hold_is_on_probation(hold))) {
            takes_part = true;
            atomic_store_explicit(&own->_taken, true, memory_order_relaxed);
        }
        if (takes_part && has_work(own) && work(team, seat)) looks = 0;
        else pause_or_yield(&looks);
    }
    atomic_store_explicit(&own->_taken, false, memory_order_relaxed);
    return stays;
}

void team_dismiss(struct team *team)
{
    atomic_store_explicit(&team->_dismissed, true, memory_order_release);
}

/* ---- the leader ----------------------------------------------------------------------------- */

/* The seats that are taken, the leader's first; give their number. */
static size_t taken_seats(struct team *team, size_t seats[TEAM_MAX])
{
    size_t n = 1;
    seats[0] = 0;
    for (size_t seat = 1; seat < team->_n_seats; seat++)
        if (atomic_load_explicit(&team->_seats[seat]._taken, memory_order_relaxed)) seats[n++] = seat;
    return n;
}

size_t team_size(struct team *team)
{
    size_t seats[TEAM_MAX];
    return taken_seats(team, seats);
}

/* Deal the parts [0, n) to the leader and to those of the seats that are taken, an equal share each. A
 * member that leaves meanwhile leaves its share to the others. */
static void deal(struct team *team, const size_t *seats, size_t n_seats, size_t n, bool backwards)
{
    uint_fast64_t side = backwards ? FROM_END : 0;
    for (size_t i = 0; i < n_seats; i++)
        atomic_store_explicit(&team->_seats[seats[i]]._share,
                              share_of(n * i / n_seats, n * (i + 1) / n_seats, side), memory_order_release);
}

void team_run(struct team *team, team_task *task, void *argument, size_t n, bool backwards)
{
    size_t seats[TEAM_MAX], n_taken = taken_seats(team, seats);
    int processor = sched_getcpu();
    if (processor != atomic_load_explicit(&team->_processor, memory_order_relaxed))
        atomic_store_explicit(&team->_processor, processor, memory_order_relaxed);
    if (n_taken == 1) {
        task(argument, 0, n);
        return;
    }
    team->_task = task;
    team->_argument = argument;
    atomic_store_explicit(&team->_finished, 0, memory_order_relaxed);
    deal(team, seats, n_taken, n, backwards);
    size_t made = work(team, 0);
    for (unsigned looks = 0; atomic_load_explicit(&team->_finished, memory_order_acquire) != n - made;)
        pause_or_yield(&looks);
}

struct shared_product {
    const struct matrix *matrix;
    size_t R;
    const struct operand *A;
    const struct target *C;
};

static void multiply_panels(void *argument, size_t first, size_t end)
{
    const struct shared_product *p = argument;
    matrix_multiply_panels(p->matrix, p->R, p->A, p->C, first, end);
}

void team_multiply(struct team *team, const struct matrix *matrix, size_t R,
                   const struct operand *A, const struct target *C)
{
    size_t work = R * matrix_inputs(matrix) * matrix_outputs(matrix);
    struct shared_product product = {matrix, R, A, C};
    if (!team || work < SHARED_WORK || matrix_panels(matrix) < 2) matrix_multiply(matrix, R, A, C);
    else team_run(team, multiply_panels, &product, matrix_panels(matrix), C->backwards);
}
