/* Handing over a task costs two cache lines crossing between cores, some 0.3 us: the member sees its seat's
 * _called change, the leader sees _done reach the number of members. Task, argument and number are
 * plain fields: written before _called is released, read after it is acquired, and not written again until
 * _done says that everyone called has read them. Who is not called looks at nothing else. */
#include "core/team.h"

#include <assert.h>
#include <sched.h>

#if defined(__x86_64__) || defined(__i386__)
#define PAUSE() __builtin_ia32_pause()
#elif defined(__aarch64__)
#define PAUSE() __asm__ volatile("yield")
#else
#define PAUSE() ((void)0)
#endif

enum {
    LOOKS_BEFORE_YIELD = 2000, /* some 50 us of looking before the core is offered to others */
    SHARED_WORK = 128 * 1024   /* R * K * N below which sharing gains nothing: a few us of one core */
};

/* Between two looks. */
static void pause_or_yield(unsigned *looks)
{
    if (++*looks < LOOKS_BEFORE_YIELD) PAUSE();
    else sched_yield();
}

void team_open(struct team *team)
{
    for (size_t seat = 1; seat < TEAM_MAX; seat++)
        atomic_store_explicit(&team->_seats[seat]._taken, false, memory_order_relaxed);
    atomic_store_explicit(&team->_dismissed, false, memory_order_release);
}

void team_join(struct team *team, size_t seat)
{
    assert(seat > 0 && seat < TEAM_MAX);
    struct team_seat *own = &team->_seats[seat];
    unsigned seen = atomic_load_explicit(&own->_called, memory_order_relaxed), looks = 0;
    atomic_store_explicit(&own->_taken, true, memory_order_release);
    while (!atomic_load_explicit(&team->_dismissed, memory_order_acquire)) {
        if (atomic_load_explicit(&own->_called, memory_order_acquire) == seen) {
            pause_or_yield(&looks);
            continue;
        }
        seen++;
        looks = 0;
        team->_task(team->_argument, seat, team->_n_members);
        atomic_fetch_add_explicit(&team->_done, 1, memory_order_release);
    }
}

void team_dismiss(struct team *team)
{
    atomic_store_explicit(&team->_dismissed, true, memory_order_release);
}

/* The leader, and those who sit in seats 1, 2, ... without a gap. A seat still looks taken when its member
 * has been dismissed. */
static size_t team_present(struct team *team)
{
    size_t n = 1;
    if (atomic_load_explicit(&team->_dismissed, memory_order_relaxed)) return n;
    while (n < TEAM_MAX && atomic_load_explicit(&team->_seats[n]._taken, memory_order_acquire)) n++;
    return n;
}

void team_run(struct team *team, team_task *task, void *argument)
{
    size_t n = team_present(team);
    team->_task = task;
    team->_argument = argument;
    team->_n_members = n;
    atomic_store_explicit(&team->_done, 0, memory_order_relaxed);
    for (size_t seat = 1; seat < n; seat++)
        atomic_fetch_add_explicit(&team->_seats[seat]._called, 1, memory_order_release);
    task(argument, 0, n);
    unsigned looks = 0;
    while (atomic_load_explicit(&team->_done, memory_order_acquire) != n - 1) pause_or_yield(&looks);
}

struct shared_product {
    const struct matrix *matrix;
    size_t R;
    const struct operand *A;
    const struct target *C;
};

static void multiply_share(void *argument, size_t member, size_t n_members)
{
    const struct shared_product *p = argument;
    size_t panels = matrix_panels(p->matrix);
    matrix_multiply_panels(p->matrix, p->R, p->A, p->C, panels * member / n_members,
                           panels * (member + 1) / n_members);
}

void team_multiply(struct team *team, const struct matrix *matrix, size_t R,
                   const struct operand *A, const struct target *C)
{
    size_t work = R * matrix_inputs(matrix) * matrix_outputs(matrix);
    struct shared_product product = {matrix, R, A, C};
    if (!team || work < SHARED_WORK || matrix_panels(matrix) < 2) matrix_multiply(matrix, R, A, C);
    else team_run(team, multiply_share, &product);
}
