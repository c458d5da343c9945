/* riders: sequences made by hand for the tests of the scheduler, and schedulers for them. They have nothing
 * to do with the sequences of models/jobs/job_sequence.h, which belong to a job. What fails here fails the
 * test. */
#ifndef CAROUSEL_TESTS_SUPPORT_RIDERS_H
#define CAROUSEL_TESTS_SUPPORT_RIDERS_H

#include <stdatomic.h>

#include "core/scheduler/scheduler.h"

/* The vocabulary that riders expect of a network, and few hidden units. */
enum { RIDERS_V = 11, RIDERS_H = 9 };
enum { RIDER_STEPS = 1500, RIDER_CHILDREN = 8 };

/* A rider that reads a prompt and then feeds back the largest output, so that every output matters to all
 * later ones. With its first output its children board, each with a copy of its state and its own number as
 * its token. */
struct rider {
    struct sequence sequence;
    struct rider *children[RIDER_CHILDREN];
    size_t n_children;
    int32_t tokens[RIDER_STEPS]; /* the prompt, then what came out */
    size_t n_target;             /* steps */
    size_t n_known, n_fed, largest_room;
    float last[RIDERS_V];
    atomic_size_t park_at;       /* parks before feeding this step; 0: never */
    atomic_size_t n_parked;
    atomic_int finished;         /* times finish() was called */
    enum status reason;
    float *state;
};

/* So many steps of a prompt that depends on the seed; leaves after `target` steps in all. Borrows the
 * network. */
struct rider *rider_new(const struct network *network, size_t seed, size_t prompt, size_t target);
void rider_free(struct rider *rider); /* takes NULL */
enum status rider_submit(struct scheduler *scheduler, struct rider *rider);
/* With a deadline in so many milliseconds. A machine that takes longer to submit it is given another try. */
void rider_submit_in_time(struct scheduler *scheduler, struct rider *rider, int64_t ms);

/* A sequence that is fed the same token at each turn. Its driver holds the worker inside receive() until the
 * gate is open, and then leaves: what is submitted meanwhile stays in the queue. */
struct gate {
    struct sequence sequence;
    float *state;
    int32_t token;
    atomic_bool inside, open;
    atomic_int finished; /* times finish() was called */
};

struct gate *gate_new(const struct network *network);
/* Made, submitted, and in front of its worker. */
struct gate *gate_shut(struct scheduler *scheduler, const struct network *network);
void gate_free(struct gate *gate);
/* For drivers of a test's own, whose sequences are gates too. */
void gate_feed(struct sequence *sequence, size_t room, struct ride *ride);
void gate_finish(struct sequence *sequence, enum status reason);

/* So many workers, sequences a turn, steps a turn, and sequences in the queue. */
struct scheduler *riders_scheduler(size_t workers, size_t batch, size_t chunk, size_t queue);
/* Waits until nothing is in it. */
void riders_settle(struct scheduler *scheduler);
/* Waits until each of its two workers has begun and has nothing to do, on a network too small for a team. */
void riders_await_both(struct scheduler *scheduler, const struct network *small);

#endif
