/* team: a worker that leads a turn, and idle workers that lend it their cores.
 *
 * A step of a few sequences streams all weights once; two cores stream them in half the time, and each
 * core's share is more likely to stay in its own L2. So products are split by their outputs
 * (matrix_multiply_panels), which changes no bit of the result.
 *
 * A task is a range of parts (panels). Each seat that is taken is dealt an equal share of them. A thread
 * claims parts from its own share first, and from the shares of the others when its own is used up. So the
 * leader never waits for a member that has not begun: it makes the member's parts itself. It waits only for
 * parts that a member has claimed and not finished.
 *
 * Members wait for the next task by spinning, because a task comes every few microseconds while a turn
 * lasts: waking a sleeping thread would take longer than the task. That helps only while the member has a
 * core of its own. A member that shares the leader's core sleeps for a moment, so that the system puts it on
 * another one. A member that goes on losing its core leaves the team (core/network/hold.h).
 *
 * A team belongs to its leader, which alone calls the functions that say so. */
#ifndef CAROUSEL_CORE_TEAM_H
#define CAROUSEL_CORE_TEAM_H

#include <stdatomic.h>

#include "core/network/hold.h"
#include "core/network/matrix.h"

enum {
    TEAM_MAX = 64, /* leader included */
    /* Sequences of a turn up to which a team pays: so few rows cost little more than the weights they
     * stream, which a team streams once for all of them. Of more, each core is better given its own. */
    TEAM_RIDERS = 16
};

/* Make the parts [first, end). Called with parts that no other thread makes. */
typedef void team_task(void *argument, size_t first, size_t end);

/* What a member looks at: a cache line of its own. */
struct team_seat {
    _Alignas(64) atomic_uint_fast64_t _share; /* of the parts, not claimed yet */
    atomic_bool _taken;
};

/* Zero is a team of the leader alone. Fields are private. */
struct team {
    struct team_seat _seats[TEAM_MAX]; /* the leader's is 0 */
    size_t _n_seats;                   /* while the team is open; 0: the leader alone */
    team_task *_task;
    void *_argument;
    _Alignas(64) atomic_size_t _finished; /* parts of this task that members have made */
    _Alignas(64) atomic_bool _dismissed;
    atomic_int _processor; /* on which the leader runs */
};

/* Leader. Open the seats 1 .. n_seats - 1; n_seats <= TEAM_MAX. No thread may be in team_join. */
void team_open(struct team *team, size_t n_seats);

/* Member. Take a seat that is open and free, and part in every task until the team is dismissed. Blocks,
 * spinning. `hold` watches whether this thread keeps its core; may be NULL. Return false if the member
 * left because it did not. */
bool team_join(struct team *team, size_t seat, struct hold *hold);

/* Leader. Between two tasks: members leave, and a member that comes late leaves at once. Does not wait. */
void team_dismiss(struct team *team);

/* Leader. The threads that would take part in a task now, the leader included. */
size_t team_size(struct team *team);

/* Leader. Run `task` over the parts [0, n), shared with the members that are there; return when all are
 * made. Each thread goes through its share from the end if `backwards`. n <= UINT32_MAX. */
void team_run(struct team *team, team_task *task, void *argument, size_t n, bool backwards);

/* Leader. matrix_multiply, shared if the product is large enough to gain by it. team may be NULL: alone.
 * Same bits as matrix_multiply. */
void team_multiply(struct team *team, const struct matrix *matrix, size_t R,
                   const struct operand *A, const struct target *C);

#endif
