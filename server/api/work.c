/* Jobs as operations. */
#include "server/api/work.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>

#include "server/api/branch.h"
#include "server/request/metrics.h"
#include "server/request/server.h"

unsigned work_retry_after_s(int64_t retry_us)
{
    return (unsigned)((retry_us + 999999) / 1000000);
}

bool work_start(void *context, struct problem *problem)
{
    struct work *work = context;
    work->started = true; /* before it is: it may have ended before that returns */
    enum status status = job_start_here(work->job, work->server->scheduler);
    if (status == STATUS_OK) return true;
    work->started = false;
    problem_from(problem, status, NULL, NULL);
    if (status == STATUS_QUEUE_FULL) problem->retry_after_s = work_retry_after_s(work->job->retry_us);
    if (status == STATUS_DEADLINE)
        problem_set(problem, FAULT_DEADLINE_EXCEEDED, "timeout_ms",
                    "the deadline has passed, or is sooner than this could ever be computed");
    return false;
}

void work_cancel(void *context)
{
    struct work *work = context;
    job_cancel(work->job);
}

uint64_t work_cost_steps(void *context, bool finished)
{
    struct work *work = context;
    struct job_timings timings;
    if (!finished) return job_cost_steps(work->job);
    job_timings(work->job, &timings);
    return timings.steps;
}

void work_release(struct work *work)
{
    job_free(work->job);
    free(work);
}

void work_free(void *context)
{
    struct work *work = context;
    if (work->started && !work->settled) { /* no client was there to be answered */
        job_timings(work->job, &work->timings);
        metrics_observe(work->server->metrics, HISTOGRAM_QUEUE, work->timings.queue_ms * 1e-3);
    }
    branch_free(work->branch);
    work->release(work);
}

bool work_settle(struct work *work, struct request *request, struct problem *problem)
{
    struct record *record = &request->record;
    struct job_timings *timings = &work->timings;
    work->settled = true;
    job_timings(work->job, timings);
    record->queue_ms = timings->queue_ms;
    record->compute_ms = timings->compute_ms;
    record->mean_batch = timings->mean_batch;
    metrics_observe(request->server->metrics, HISTOGRAM_QUEUE, timings->queue_ms * 1e-3);
    enum status status = job_status(work->job);
    /* at the end of a drain the server cancels, not the client */
    if (status == STATUS_CANCELLED && atomic_load(&request->server->phase) == SERVER_ENDING)
        status = STATUS_CLOSING;
    enum end end = status == STATUS_OK          ? END_COMPLETE
                   : status == STATUS_CANCELLED ? END_CANCELLED
                   : status == STATUS_DEADLINE  ? END_DEADLINE
                                                : END_ERROR;
    record->end = (int)end;
    record->finish = metrics_end_name(end);
    return status == STATUS_OK || problem_from(problem, status, NULL, NULL);
}

static void work_answer(void *context, struct request *request, struct reply *reply)
{
    struct work *work = context;
    if (!work_settle(work, request, &reply->problem)) return;
    if (!branch_keep(work->branch, work->job, &reply->problem)) return;
    work->print(work, request, reply);
    if (reply->problem.fault == FAULT_NONE)
        branch_finish(work->branch, reply->body, reply->body_bytes, &reply->problem);
}

void work_defer(struct work *work, struct request *request)
{
    static const struct operation operation = {
        .start = work_start, .cancel = work_cancel, .answer = work_answer, .cost_steps = work_cost_steps,
        .free = work_free};
    work->server = request->server;
    request->branch = work->branch;
    request->operation = &operation;
    request->work = work;
}
