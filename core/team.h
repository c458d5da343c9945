/* team: a worker that leads a turn, and idle workers that lend it their cores.
 *
 * A step of a few sequences streams all weights once; two cores stream them in half the time, and each
 * core's share is more likely to stay in its own L2. So products are split by their outputs
 * (matrix_multiply_panels), which changes no bit of the result.
 *
 * Members wait for the next task by spinning, for a task comes every few microseconds while a turn lasts:
 * waking a sleeping thread would take longer than the task. A member that spins for long yields its core
 * between looks.
 *
 * A team belongs to its leader, who alone calls the functions that say so. */
#ifndef CAROUSEL_CORE_TEAM_H
#define CAROUSEL_CORE_TEAM_H

#include <stdatomic.h>

#include "core/matrix.h"

enum { TEAM_MAX = 64 }; /* leader included */

typedef void team_task(void *argument, size_t member, size_t n_members);

/* Where one member looks: a cache line of its own. */
struct team_seat {
    _Alignas(64) atomic_uint _called; /* counts the tasks this member was called to; the leader writes */
    atomic_bool _taken;
};

/* Zero is a team of the leader alone. Fields are private. */
struct team {
    struct team_seat _seats[TEAM_MAX]; /* the leader's, 0, is not used */
    team_task *_task;
    void *_argument;
    size_t _n_members;                 /* of this task, leader included */
    _Alignas(64) atomic_uint _done;    /* members that have finished it */
    atomic_bool _dismissed;
};

/* Leader. While nobody is in team_join. */
void team_open(struct team *team);

/* Member. Take seat 1, 2, ... TEAM_MAX - 1 (no two the same) and part in every task until the team is
 * dismissed. Blocks, spinning. */
void team_join(struct team *team, size_t seat);

/* Leader. Between two tasks: members leave, and who comes late leaves at once. Does not wait. */
void team_dismiss(struct team *team);

/* Leader. Run task(argument, member, n_members) on those who have taken the first seats, and itself as
 * member 0; returns when all are done. */
void team_run(struct team *team, team_task *task, void *argument);

/* Leader. matrix_multiply, shared where the product is large enough to gain by it. team may be NULL: alone.
 * Same bits as matrix_multiply. */
void team_multiply(struct team *team, const struct matrix *matrix, size_t R,
                   const struct operand *A, const struct target *C);

#endif
