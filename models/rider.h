/* rider: a sequence of a job. Private to the files of models/ that implement a task.
 *
 * A task's struct begins with its struct job and is the first part of one block (models/arena.h)
 * that holds everything else: riders, states, inputs, results. Making one:
 *
 *     job_plan(&plan.job, ...)            how many riders, of which the first are submitted
 *     the task's lay_out over an empty arena, which measures
 *     job_allocate(&arena)                judge the size, make the block
 *     copy the plan to its place, lay_out again, fill in
 *     job_init(&task->job, ...)           riders ready, model acquired; nothing fails after this
 *
 * A rider's places, and who moves it:
 *
 *     WAITING -job_start-> ABOARD          a submitted rider
 *     WAITING -rider_board-> ABOARD        a fork, in its parent's take()
 *     ABOARD -rider_finish-> ENDED
 *     WAITING -rider_finish of the parent-> ENDED    a fork that was never needed
 *
 * so that each rider is counted as ended exactly once, however the job ends. A fork boards on the
 * worker of its parent but may be shared out to another, so a family shares only what was written
 * before its forks boarded, and atomics. */
#ifndef CAROUSEL_MODELS_RIDER_H
#define CAROUSEL_MODELS_RIDER_H

#include "models/arena.h"
#include "models/job.h"

enum rider_place { RIDER_WAITING, RIDER_ABOARD, RIDER_ENDED };

struct rider {
    struct sequence sequence; /* first: a driver's sequence is its rider */
    struct job *job;
    size_t index;             /* of its work in the task's own table; its own number unless set */
    struct rider *children;   /* [n_children] forks of this one; NULL: none */
    size_t n_children;
    bool cut_short;           /* left because the job was cancelled */
    _Atomic int place;
};

/* Note what the sizes depend on. The first n_submitted of n_riders are submitted. */
void job_plan(struct job *job, struct model *model, size_t n_riders, size_t n_submitted);
/* Cut the job's own parts. The model must be set (job_plan). */
void job_lay_out(struct job *job, struct arena *arena);
/* After measuring: a zeroed block of that size becomes the arena's, which begins again. Fails with
 * STATUS_TOO_LONG over JOB_MAX_MEBIBYTES, or STATUS_NO_MEMORY; the block is the caller's until job_init, and
 * given back with job_release where it does not come to that. */
enum status job_allocate(struct arena *arena, struct error *err) MUST_CHECK;
void job_release(void *block);
/* All riders ready for `driver`, with the options of the job; one reference to the model. */
void job_init(struct job *job, const struct job_options *options, const struct driver *driver);

/* Give `parent` its forks. Before job_start. */
void rider_adopt(struct rider *parent, struct rider *children, size_t n_children);
/* From the parent's take(): the child goes on from a copy of the parent's state. */
void rider_board(const struct rider *parent, struct rider *child, struct worker *worker);
/* true where the job was cancelled: then take() should return this rider's LEAVE, and feed()
 * should not park it. */
bool rider_must_leave(struct rider *rider);
/* Every task's driver->finish. */
void rider_finish(struct sequence *sequence, enum status reason);

#endif
