/* work: one job on behalf of one request; the operation that most tasks are.
 *
 * A task's own struct begins with a struct work. work_defer gives it to the request; from then on
 * exchange.c drives it (server/request/request.h says how), and `release` is called at its end on any
 * thread. */
#ifndef CAROUSEL_SERVER_WORK_H
#define CAROUSEL_SERVER_WORK_H

#include <stdbool.h>

#include "models/jobs/job.h"
#include "server/request/request.h"

/* What a client should know about an answer that is right all the same. */
enum { WARNINGS_MAX = 2, WARNING_BYTES = 320 };
struct warnings {
    char text[WARNINGS_MAX][WARNING_BYTES];
    size_t n;
};

struct work {
    struct job *job;      /* owned: release frees it (as the task's job) and the struct */
    struct server *server;
    struct branch *branch; /* owned; NULL: it neither goes on from a state nor keeps one */
    struct job_timings timings; /* once the job has finished */
    struct warnings warnings;
    _Bool started, settled;
    /* The job has ended well: print its answer. */
    void (*print)(struct work *work, struct request *request, struct reply *reply);
    void (*release)(struct work *work);
};

/* `work` is taken. */
void work_defer(struct work *work, struct request *request);

/* A release for a struct that owns nothing but its work and its job. */
void work_release(struct work *work);

/* The operation's calls, for a task that streams and has an operation of its own. */
_Bool work_start(void *work, struct problem *problem);
void work_cancel(void *work);
uint64_t work_cost_steps(void *work, bool finished);
void work_free(void *work);

/* Seconds for Retry-After, rounded up. */
unsigned work_retry_after_s(int64_t retry_us);

/* Once the job has finished: timings and the record are filled, and the end is counted. true if it ended
 * well; otherwise *problem says why it did not. */
bool work_settle(struct work *work, struct request *request, struct problem *problem);

#endif
