/* A completion sent as server-sent events while it runs (server/api/events.h): gather() collects what every
 * choice has new, one event a choice. While the socket accepts nothing, nothing is gathered: the job sees
 * that its reader is behind (generation_consumed is not called) and pauses. */
#include "server/api/branch.h"
#include "server/request/server.h"
#include "server/routes/completion.h"

static void put_event(struct completion *completion, size_t index, const struct generation_choice *choice,
                      bool last)
{
    struct writer *out = &completion->events.sse.out;
    sse_begin(&completion->events.sse);
    put_open(out, '{');
    completion_put_head(out, completion);
    put_name(out, "choices");
    put_open(out, '[');
    completion_put_choice(out, completion, index, choice, &completion->sent[index]);
    put_close(out, ']');
    if (completion->include_usage) {
        put_name(out, "usage");
        put_null(out);
    }
    if (last) completion_put_timings(out, completion);
    else put_named_integer(out, "seed", completion->seed);
    put_close(out, '}');
    sse_end(&completion->events.sse);
}

static void put_usage_event(struct completion *completion)
{
    struct writer *out = &completion->events.sse.out;
    sse_begin(&completion->events.sse);
    put_open(out, '{');
    completion_put_head(out, completion);
    put_name(out, "choices");
    put_open(out, '[');
    put_close(out, ']');
    completion_put_usage(out, completion);
    put_named_integer(out, "seed", completion->seed);
    put_close(out, '}');
    sse_end(&completion->events.sse);
}

/* Tell what is new of every choice; true if there was anything. `finished`: nothing more will come. */
static bool gather(struct completion *completion, bool finished)
{
    size_t n = generation_n_choices(completion->job), left = 0;
    bool any = false;
    for (size_t i = 0; i < n; i++) left += !completion->sent[i].finish;
    for (size_t i = 0; i < n; i++) {
        struct generation_choice choice;
        struct sent *sent = &completion->sent[i];
        if (sent->finish) continue;
        generation_read(completion->job, i, &choice);
        bool ends = choice.finish != FINISH_NONE;
        if (ends && left == 1 && !finished)
            ends = false; /* timings come with the last event: wait for finished */
        if (!finished)
            generation_consumed(completion->job, i, choice.n_tokens); /* also of tokens without text */
        if (choice.n_text == sent->text && !ends) continue;
        if (!ends) choice.finish = FINISH_NONE;
        left -= ends;
        put_event(completion, i, &choice, ends && !left);
        any = true;
    }
    return any;
}

static bool gather_more(void *work)
{
    return gather(work, false);
}

/* Readers of the session hear the answer as if it had not been streamed. */
static bool finish_branch(struct completion *completion, struct request *request, struct problem *problem)
{
    struct branch *branch = completion->work.branch;
    struct writer out;
    writer_init(&out, (size_t)request->server->config->sessions_reply_bytes);
    if (branch_stream(branch)) completion_put_whole(&out, completion);
    bool good = branch_finish(branch, writer_failed(&out) ? NULL : out.text, out.n, problem);
    writer_release(&out);
    return good;
}

static bool conclude(void *work, struct request *request, struct problem *problem)
{
    struct completion *completion = work;
    completion_record(completion, request);
    if (!branch_keep(completion->work.branch, completion->work.job, problem) ||
        !finish_branch(completion, request, problem))
        return false;
    gather(completion, true);
    if (completion->include_usage) put_usage_event(completion);
    return true;
}

static enum stream_step read(void *work, struct request *request, char *out, size_t room, size_t *n,
                             int64_t *due_us)
{
    static const struct events_calls calls = {gather_more, conclude};
    struct completion *completion = work;
    return events_read(&completion->events, &calls, work, request, out, room, n, due_us);
}

const struct operation completion_stream = {
    .start = work_start, .cancel = work_cancel, .answer = events_answer, .read = read,
    .cost_steps = work_cost_steps, .free = work_free};
