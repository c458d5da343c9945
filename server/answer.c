#include "server/answer.h"

void answer_writer(struct writer *out, struct reply *reply)
{
    bool is_over = out->is_over;
    reply->body = writer_take(out, &reply->body_bytes);
    if (reply->body) return;
    if (!is_over) problem_set(&reply->problem, FAULT_NO_MEMORY, NULL, NULL);
    else
        problem_set(&reply->problem, FAULT_INPUT_TOO_LONG, NULL,
                    "the answer is longer than %zu bytes (limits.reply_bytes); ask for less in one request",
                    out->limit);
}

void answer_timings(struct writer *out, const struct job_timings *timings)
{
    put_name(out, "timings");
    put_open(out, '{');
    put_named_rounded(out, "queue_ms", timings->queue_ms);
    put_named_rounded(out, "compute_ms", timings->compute_ms);
    put_named_rounded(out, "total_ms", timings->total_ms);
    put_named_rounded(out, "mean_batch", timings->mean_batch);
    put_close(out, '}');
}
