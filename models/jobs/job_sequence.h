/* job_sequence: a sequence of a job. Private to the files of models/ that implement a task.
 *
 * A task's struct begins with its struct job and is the first part of one block (models/jobs/arena.h)
 * that holds everything else: sequences, states, inputs, results. Making one:
 *
 *     job_plan(&plan.job, ...)            how many sequences, of which the first are submitted
 *     job_make(&plan, ..., lay_out, ...)  measure with lay_out, judge the size, make the block, fill it
 *     copy the inputs; job_release if that fails
 *     job_init(&task->job, ...)           sequences ready, model acquired; nothing fails after this
 *
 * The places of a sequence, and what moves it:
 *
 *     WAITING -job_start-> ABOARD           a submitted sequence
 *     WAITING -job_sequence_board-> ABOARD  a fork, in its parent's receive()
 *     ABOARD -job_sequence_finish-> ENDED
 *     WAITING -job_sequence_finish of the parent-> ENDED   a fork that was never needed
 *
 * so that each sequence is counted as ended exactly once, however the job ends. A fork boards on the
 * worker of its parent but may be shared out to another, so a family shares only what was written
 * before its forks boarded, and atomics. */
#ifndef CAROUSEL_MODELS_JOB_SEQUENCE_H
#define CAROUSEL_MODELS_JOB_SEQUENCE_H

#include "models/jobs/arena.h"
#include "models/jobs/job.h"

enum job_sequence_place { JOB_SEQUENCE_WAITING, JOB_SEQUENCE_ABOARD, JOB_SEQUENCE_ENDED };

struct job_sequence {
    struct sequence sequence;      /* first: a driver's sequence is cast to it */
    struct job *job;
    size_t index;                  /* of its work in the task's own table; its own number unless set */
    struct job_sequence *children; /* [n_children] forks of this one; NULL: none */
    size_t n_children;
    bool cut_short;                /* left because the job was cancelled */
    _Atomic int place;
};

/* Note what the sizes depend on. The first n_submitted of n_sequences are submitted. */
void job_plan(struct job *job, struct model *model, size_t n_sequences, size_t n_submitted);
/* Cut the job's own parts. The model must be set (job_plan). */
void job_lay_out(struct job *job, struct arena *arena);
/* Make a job's struct of `bytes` bytes, a copy of *plan, at the head of one zeroed block, and lay it out. The
 * job's lay_out is called twice: over an empty arena, which only measures, then over the block. Fails with
 * STATUS_TOO_LONG over JOB_MAX_MEBIBYTES, or STATUS_NO_MEMORY; the block is the caller's until job_init, and
 * given back with job_release if it does not come to that. */
typedef void job_layout(void *job, const void *request, struct arena *arena);
enum status job_make(void *plan, size_t bytes, job_layout *lay_out, const void *request, void **out,
                     struct error *err) MUST_CHECK;
/* Refuse as too large what cannot even be laid out. */
enum status job_too_large(struct error *err);
void job_release(void *block);
/* All sequences ready for `driver`, with the options of the job; one reference to the model. */
void job_init(struct job *job, const struct job_options *options, const struct driver *driver);

/* Give `parent` its forks. Before job_start. */
void job_sequence_adopt(struct job_sequence *parent, struct job_sequence *children, size_t n_children);
/* From the parent's receive(): the child goes on from a copy of the parent's state. */
void job_sequence_board(const struct job_sequence *parent, struct job_sequence *child, struct worker *worker);
/* true if the job was cancelled: then receive() should return this sequence's LEAVE, and feed()
 * should not park it. */
bool job_sequence_must_leave(struct job_sequence *seq);
/* Every task's driver->finish. */
void job_sequence_finish(struct sequence *sequence, enum status reason);

#endif
