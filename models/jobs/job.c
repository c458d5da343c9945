/* The life of a job: submitted, counted down, told.
 *
 * `_pending` counts the sequences that have not ended. Each end is one atomic subtraction with
 * acquire and release, so what a worker wrote for a sequence happens before the subtraction that
 * brings zero, and thereby before finished(). After its subtraction a worker touches
 * nothing of the job, except the one that brought zero: it calls finished(), which gives the job
 * away, and that call is the last it does. */
#include "models/jobs/job.h"

#include <assert.h>
#include <string.h>

#include "core/base/memory.h"
#include "models/jobs/job_sequence.h"

/* Floats from one state to the next, so that two never share a cache line. */
static size_t state_stride(const struct job *job)
{
    const size_t line = MEMORY_ALIGNMENT / sizeof(float);
    return (network_state_floats(job->model->network) + line - 1) / line * line;
}

void job_plan(struct job *job, struct model *model, size_t n_sequences, size_t n_submitted)
{
    assert(n_submitted >= 1 && n_submitted <= n_sequences);
    job->model = model;
    job->_n_sequences = n_sequences;
    job->_n_submitted = n_submitted;
}

void job_lay_out(struct job *job, struct arena *arena)
{
    job->_sequences = arena_take(arena, job->_n_sequences, sizeof *job->_sequences);
    job->_submitted = arena_take(arena, job->_n_submitted, sizeof *job->_submitted);
    job->_states = arena_take(arena, job->_n_sequences, state_stride(job) * sizeof *job->_states);
}

/* A block begins with its size, on cache lines of its own. */
enum { SIZE_ROOM = MEMORY_ALIGNMENT };

static _Atomic size_t all_bytes, all_limit = SIZE_MAX;

void job_total_limit(size_t bytes)
{
    atomic_store(&all_limit, bytes);
}

size_t job_total_bytes(void)
{
    return atomic_load(&all_bytes);
}

static bool jobs_reserve(size_t bytes)
{
    if (atomic_fetch_add(&all_bytes, bytes) + bytes <= atomic_load(&all_limit)) return true;
    atomic_fetch_sub(&all_bytes, bytes);
    return false;
}

enum status job_too_large(struct error *err)
{
    return error_set(err, STATUS_TOO_LONG, "the request would take more than %d MiB of memory to answer",
                     JOB_MAX_MEBIBYTES);
}

static enum status allocate(struct arena *arena, struct error *err)
{
    if (arena->too_big || arena->used > (size_t)JOB_MAX_MEBIBYTES << 20) return job_too_large(err);
    if (!jobs_reserve(arena->used))
        return error_set(err, STATUS_NO_MEMORY, "the requests in hand take all the memory that they may");
    char *block = memory_new(SIZE_ROOM + arena->used, 1);
    if (!block) {
        atomic_fetch_sub(&all_bytes, arena->used);
        return error_set(err, STATUS_NO_MEMORY, "no memory for the request");
    }
    memcpy(block, &arena->used, sizeof arena->used);
    *arena = (struct arena){.base = block + SIZE_ROOM};
    return STATUS_OK;
}

enum status job_make(void *plan, size_t bytes, job_layout *lay_out, const void *request, void **out,
                     struct error *err)
{
    struct arena arena = {0};
    (void)arena_take(&arena, 1, bytes);
    lay_out(plan, request, &arena);
    enum status status = allocate(&arena, err);
    if (status != STATUS_OK) return status;
    *out = arena_take(&arena, 1, bytes);
    memcpy(*out, plan, bytes);
    lay_out(*out, request, &arena);
    return STATUS_OK;
}

void job_release(void *block)
{
    size_t bytes;
    char *whole = (char *)block - SIZE_ROOM;
    memcpy(&bytes, whole, sizeof bytes);
    memory_free(whole);
    atomic_fetch_sub(&all_bytes, bytes);
}

void job_init(struct job *job, const struct job_options *options, const struct driver *driver)
{
    model_acquire(job->model);
    job->options = *options;
    atomic_init(&job->_pending, 0);
    atomic_init(&job->_status, STATUS_OK);
    atomic_init(&job->_cancelled, false);
    for (size_t i = 0; i < job->_n_sequences; i++) {
        struct job_sequence *seq = &job->_sequences[i];
        seq->sequence.driver = driver;
        seq->sequence.network = job->model->network;
        seq->sequence.state = job->_states + i * state_stride(job);
        seq->sequence.client = options->client;
        seq->sequence.weight = options->weight;
        seq->sequence.priority = options->priority;
        seq->sequence.deadline_us = options->deadline_us;
        seq->job = job;
        seq->index = i;
        atomic_init(&seq->place, JOB_SEQUENCE_WAITING);
        if (i < job->_n_submitted) job->_submitted[i] = &seq->sequence;
        if (i < job->_n_submitted && options->from)
            memcpy(seq->sequence.state, options->from->floats,
                   options->from->n_floats * sizeof *options->from->floats);
    }
    job->options.from = NULL; /* it was borrowed */
}

void job_sequence_adopt(struct job_sequence *parent, struct job_sequence *children, size_t n_children)
{
    parent->children = n_children ? children : NULL;
    parent->n_children = n_children;
}

uint64_t job_cost_steps(const struct job *job)
{
    uint64_t steps = 0;
    for (size_t i = 0; i < job->_n_submitted; i++) steps += job->_submitted[i]->cost_steps;
    return steps;
}

/* Sequences are moved before the scheduler gets them: it may finish them before it returns. */
static enum status start(struct job *job, struct scheduler *scheduler, bool here)
{
    job->_scheduler = scheduler;
    atomic_store(&job->_pending, job->_n_sequences);
    for (size_t i = 0; i < job->_n_submitted; i++)
        atomic_store(&job->_sequences[i].place, JOB_SEQUENCE_ABOARD);
    enum status status = (here ? scheduler_submit_here : scheduler_submit)(
        scheduler, job->_submitted, job->_n_submitted, &job->retry_us);
    if (status == STATUS_OK) return STATUS_OK; /* perhaps already over: not to be touched */
    for (size_t i = 0; i < job->_n_submitted; i++)
        atomic_store(&job->_sequences[i].place, JOB_SEQUENCE_WAITING);
    atomic_store(&job->_pending, 0);
    job->_scheduler = NULL;
    return status;
}

enum status job_start(struct job *job, struct scheduler *scheduler)
{
    return start(job, scheduler, false);
}

enum status job_start_here(struct job *job, struct scheduler *scheduler)
{
    return start(job, scheduler, true);
}

/* A fork that boards while this runs either is seen here, or sees the flag in its next receive():
 * both sides write, then read, in one order of all (seq_cst). A sequence that ends while this runs may be
 * cancelled after its end: the scheduler then sets a flag that is never read, in memory that lives as
 * long as the job. */
void job_cancel(struct job *job)
{
    atomic_store(&job->_cancelled, true);
    for (size_t i = 0; i < job->_n_sequences; i++)
        if (atomic_load(&job->_sequences[i].place) == JOB_SEQUENCE_ABOARD)
            scheduler_cancel(job->_scheduler, &job->_sequences[i].sequence);
}

void job_sequence_board(const struct job_sequence *parent, struct job_sequence *child, struct worker *worker)
{
    memcpy(child->sequence.state, parent->sequence.state,
           network_state_floats(parent->job->model->network) * sizeof *child->sequence.state);
    atomic_store(&child->place, JOB_SEQUENCE_ABOARD);
    scheduler_board(worker, &child->sequence);
}

bool job_sequence_must_leave(struct job_sequence *seq)
{
    if (atomic_load(&seq->job->_cancelled)) seq->cut_short = true;
    return seq->cut_short;
}

void job_sequence_finish(struct sequence *sequence, enum status reason)
{
    struct job_sequence *seq = (struct job_sequence *)sequence;
    struct job *job = seq->job;
    if (reason == STATUS_OK && seq->cut_short) reason = STATUS_CANCELLED;
    int none = STATUS_OK;
    if (reason != STATUS_OK) atomic_compare_exchange_strong(&job->_status, &none, (int)reason);
    size_t n_ended = 1;
    for (size_t i = 0; i < seq->n_children; i++) {
        struct job_sequence *child = &seq->children[i];
        if (atomic_load(&child->place) != JOB_SEQUENCE_WAITING) continue;
        atomic_store(&child->place, JOB_SEQUENCE_ENDED);
        n_ended++;
    }
    atomic_store(&seq->place, JOB_SEQUENCE_ENDED);
    if (atomic_fetch_sub_explicit(&job->_pending, n_ended, memory_order_acq_rel) != n_ended)
        return;
    if (job->options.observer.finished) job->options.observer.finished(job->options.observer.context);
}

enum status job_status(const struct job *job)
{
    return (enum status)atomic_load(&job->_status);
}

static int64_t earlier(int64_t a, int64_t b)
{
    if (a == 0 || b == 0) return a + b;
    return a < b ? a : b;
}

static double ms_between(int64_t from_us, int64_t to_us)
{
    return from_us && to_us > from_us ? (double)(to_us - from_us) / 1000 : 0;
}

/* On the wall clock, the job boards with its first sequence and ends with its last. What never came
 * about (it was cancelled in the queue) lasts until the end. */
void job_timings(const struct job *job, struct job_timings *out)
{
    struct sequence_stats sum = {0};
    for (size_t i = 0; i < job->_n_sequences; i++) {
        const struct sequence_stats *stats = &job->_sequences[i].sequence.stats;
        sum.submitted_us = earlier(sum.submitted_us, stats->submitted_us);
        sum.boarded_us = earlier(sum.boarded_us, stats->boarded_us);
        sum.first_output_us = earlier(sum.first_output_us, stats->first_output_us);
        if (stats->finished_us > sum.finished_us) sum.finished_us = stats->finished_us;
        sum.turns += stats->turns;
        sum.steps += stats->steps;
        sum.batch_rows += stats->batch_rows;
    }
    int64_t end = sum.finished_us;
    int64_t boarded = sum.boarded_us ? sum.boarded_us : end;
    int64_t first = sum.first_output_us ? sum.first_output_us : end;
    *out = (struct job_timings){
        .queue_ms = ms_between(sum.submitted_us, boarded),
        .prompt_ms = ms_between(boarded, first),
        .decode_ms = ms_between(first, end),
        .compute_ms = ms_between(boarded, end),
        .total_ms = ms_between(sum.submitted_us, end),
        .mean_batch = sum.turns ? (double)sum.batch_rows / (double)sum.turns : 0,
        .steps = sum.steps,
    };
}

enum status job_keep(struct job *job, struct state **out)
{
    return job->_keep(job, out);
}

void job_free(struct job *job)
{
    if (!job) return;
    assert(atomic_load(&job->_pending) == 0);
    model_drop(job->model);
    job_release(job);
}
