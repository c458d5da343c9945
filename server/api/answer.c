#include "server/api/answer.h"

#include <time.h>

#include "server/api/branch.h"
#include "server/request/access.h"
#include "server/request/server.h"

void answer_open(struct writer *out, const struct request *request, const char *prefix, const char *object,
                 const struct model *model)
{
    char id[REQUEST_ID_BYTES];
    writer_init(out, (size_t)request->server->config->limits_reply_bytes);
    put_open(out, '{');
    branch_name(request->branch, access_new_id(prefix, id));
    put_named_string(out, "id", id);
    put_named_string(out, "object", object);
    put_named_integer(out, "created", (int64_t)time(NULL));
    put_named_string(out, "model", model->name);
    branch_put(request->branch, out);
}

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

static void put_timings(struct writer *out, const struct job_timings *timings)
{
    put_name(out, "timings");
    put_open(out, '{');
    put_named_rounded(out, "queue_ms", timings->queue_ms);
    put_named_rounded(out, "compute_ms", timings->compute_ms);
    put_named_rounded(out, "total_ms", timings->total_ms);
    put_named_rounded(out, "mean_batch", timings->mean_batch);
    put_close(out, '}');
}

void answer_warnings(struct writer *out, const struct warnings *warnings)
{
    if (warnings->n == 0) return;
    put_name(out, "warnings");
    put_open(out, '[');
    for (size_t i = 0; i < warnings->n; i++) put_string(out, warnings->text[i]);
    put_close(out, ']');
}

void answer_end(struct writer *out, const struct usage *usage, size_t n_usage, const struct work *work)
{
    put_name(out, "usage");
    put_open(out, '{');
    for (size_t i = 0; i < n_usage; i++) put_named_integer(out, usage[i].name, (int64_t)usage[i].n);
    put_close(out, '}');
    answer_warnings(out, &work->warnings);
    put_timings(out, &work->timings);
    put_close(out, '}');
}

void answer_close(struct writer *out, const struct usage *usage, size_t n_usage,
                  const struct work *work, struct reply *reply)
{
    answer_end(out, usage, n_usage, work);
    answer_writer(out, reply);
}
