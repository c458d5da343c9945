/* job: what one request asks of one model, as sequences for the scheduler.
 *
 * Each task's job begins with a struct job: generation.h, scoring.h, forecasting.h,
 * models/jobs/reading.h. Life: X_new (checks the request against the model: everything that can be
 * wrong is found there; allocates all that the job will ever need) -> job_start -> the workers
 * run it -> finished() once, on the thread of the last turn -> read the results -> job_free.
 *
 *   NEW -job_start-> RUNNING -last sequence finishes-> FINISHED -job_free
 *   NEW -job_free   (never started)
 *
 * A job can go on from a state (models/jobs/state.h) and keep its own, by options->from and keeps; job_keep
 * makes the state after it. The parts of an input then give what the input gives in one piece.
 */
#ifndef CAROUSEL_MODELS_JOB_H
#define CAROUSEL_MODELS_JOB_H

#include <stdatomic.h>
#include <stdbool.h>

#include "core/scheduler/scheduler.h"
#include "models/bundle/model.h"
#include "models/jobs/state.h"

struct job;
struct job_sequence;

/* The most memory that one job may take; X_new refuses more with STATUS_TOO_LONG. */
enum { JOB_MAX_MEBIBYTES = 256 };

/* What all jobs of the process may take together; X_new refuses more with STATUS_NO_MEMORY. No limit unless
 * set. And what they take now. Any thread. */
void job_total_limit(size_t bytes);
size_t job_total_bytes(void);

/* Both run on the thread of a worker, or within job_start_here, and must neither block nor free the job.
 * progress: there is new output to read (jobs that stream: once a token, once a row of a picture). finished:
 * the last call; the job may be freed from then on, by another thread. */
struct job_observer {
    void (*progress)(void *context);
    void (*finished)(void *context);
    void *context;
};

/* What every request may say. */
struct job_options {
    uint32_t client, weight; /* whose work it is (core/scheduler/queue.h) */
    int priority;        /* SEQUENCE_PRIORITY_MIN to _MAX */
    int64_t deadline_us; /* monotonic; 0: none */
    struct job_observer observer;
    const struct state *from; /* what its one sequence goes on from, borrowed until X_new returns; NULL:
                               * nothing */
    bool keeps;               /* job_keep will be called once it has finished */
};

/* Summed and averaged over the job's sequences; readable once finished. */
struct job_timings {
    double queue_ms;   /* submit to the first sequence's boarding */
    double prompt_ms;  /* boarding to the first output */
    double decode_ms;  /* first output to the end */
    double compute_ms; /* boarding to the end */
    double total_ms;
    double mean_batch; /* sequences aboard in the average turn */
    uint64_t steps;
};

struct job {
    struct model *model;          /* owns one reference */
    struct job_options options;
    int64_t retry_us;             /* after STATUS_QUEUE_FULL from job_start: when to come back, from then */
    /* private: see models/jobs/job_sequence.h */
    enum status (*_keep)(struct job *job, struct state **out); /* the task's; NULL: nothing can be kept */
    struct scheduler *_scheduler;    /* NULL before job_start */
    struct job_sequence *_sequences; /* [n_sequences]: all that will ever ride, forks included */
    struct sequence **_submitted;    /* [n_submitted]: the first of them; the rest board as forks */
    float *_states;                  /* [n_sequences, state], each on its own cache lines */
    size_t _n_sequences, _n_submitted;
    _Atomic size_t _pending;         /* sequences that have not ended */
    _Atomic int _status;
    atomic_bool _cancelled;
};

/* The most steps that it can take, all sequences and forks together. Any time before it is freed. */
uint64_t job_cost_steps(const struct job *job);
/* Submit. If that fails (scheduler_submit says how) the job is as new and finished() will not be called.
 * On success finished() is called exactly once, perhaps before this returns. */
enum status job_start(struct job *job, struct scheduler *scheduler) MUST_CHECK;
/* As job_start; a short job may be run by the calling thread (scheduler_submit_here), and is over then. */
enum status job_start_here(struct job *job, struct scheduler *scheduler) MUST_CHECK;
/* Ask it to end soon (the client left); finished() still comes. Only between job_start and finished(). */
void job_cancel(struct job *job);
/* STATUS_OK, or why it ended early. Once finished. */
enum status job_status(const struct job *job);
void job_timings(const struct job *job, struct job_timings *out);
/* The state after a job that keeps, once it has finished well. The caller owns one reference.
 * STATUS_NO_MEMORY if there is none. */
enum status job_keep(struct job *job, struct state **out) MUST_CHECK;
/* Accepts NULL, a new job or a finished one; never a running one. */
void job_free(struct job *job);

#endif
