/* Jobs as errands. */
#include "server/work.h"

#include <stdatomic.h>
#include <stdbool.h>

#include "server/metrics.h"
#include "server/serve.h"

enum status work_start(void *context)
{
    struct work *work = context;
    return job_start(work->job, work->server->scheduler);
}

void work_cancel(void *context)
{
    struct work *work = context;
    job_cancel(work->job);
}

void work_free(void *context)
{
    struct work *work = context;
    work->release(work);
}

bool work_settle(struct work *work, struct request *request, struct problem *problem)
{
    struct record *record = &request->record;
    struct job_timings *timings = &work->timings;
    job_timings(work->job, timings);
    record->queue_ms = timings->queue_ms;
    record->compute_ms = timings->compute_ms;
    record->mean_batch = timings->mean_batch;
    metrics_observe(request->server->metrics, HISTOGRAM_QUEUE, timings->queue_ms * 1e-3);
    enum status status = job_status(work->job);
    /* at the end of a drain the server cancels, not the client */
    if (status == STATUS_CANCELLED && atomic_load(&request->server->phase) == SERVER_ENDING) status = STATUS_CLOSING;
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
    if (work_settle(work, request, &reply->problem)) work->print(work, request, reply);
}

void work_defer(struct work *work, struct request *request)
{
    static const struct errand errand = {
        .start = work_start, .cancel = work_cancel, .answer = work_answer, .free = work_free};
    work->server = request->server;
    request->errand = &errand;
    request->work = work;
}
