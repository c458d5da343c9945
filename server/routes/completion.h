/* completion: one /v1/completions request while it is computed and sent.
 *
 * server/routes/completions.c reads the request into it and prints the answer in one piece;
 * server/routes/completion_stream.c tells it as events while it runs. Owned by the request as its work; used
 * by the connection's HTTP thread, one at a time. */
#ifndef CAROUSEL_SERVER_COMPLETION_H
#define CAROUSEL_SERVER_COMPLETION_H

#include "models/generation/generation.h"
#include "server/request/access.h"
#include "server/api/events.h"

/* How far a choice has been sent. */
struct sent {
    size_t text;       /* bytes */
    size_t characters; /* code points of these bytes, for text_offset */
    size_t tokens;
    bool finish;
};

struct completion {
    struct work work;
    struct generation *job;
    char id[REQUEST_ID_BYTES];
    int64_t created_s;
    int64_t seed;
    int logprobs;           /* -1: none */
    bool echo, include_usage;
    size_t n_cached;        /* tokens of the prompt that were not read again */
    struct sent *sent;      /* [n_choices], memory_free */
    struct events events;   /* streams only */
};

/* One choice as an object: what lies between *sent and `choice`, which is then sent. */
void completion_put_choice(struct writer *out, const struct completion *completion, size_t index,
                           const struct generation_choice *choice, struct sent *sent);
/* The fields before "choices" of an answer or event. */
void completion_put_head(struct writer *out, const struct completion *completion);
/* "usage":{...}. */
void completion_put_usage(struct writer *out, const struct completion *completion);
/* ,"seed":...,"timings":{...}: once finished. */
void completion_put_timings(struct writer *out, const struct completion *completion);
/* The whole answer: once finished. */
void completion_put_whole(struct writer *out, const struct completion *completion);
/* Look for the beginning of the prompt among those that were read before. *prefix is the caller's to
 * state_drop. */
void completion_find_prefix(struct completion *completion, const struct request *request,
                            const struct model *model, const struct job_options *options,
                            struct generation_request *r, struct state **prefix);
/* Once finished well: keep the states after the beginnings of the prompt. */
void completion_keep_prefixes(const struct completion *completion, const struct request *request);
/* Steps, times and the reason, into the record and the metrics, once finished well. */
void completion_record(struct completion *completion, struct request *request);

/* The operation of a streamed completion. */
extern const struct operation completion_stream;

#endif
