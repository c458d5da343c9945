/* codec: what the bodies of all /v1 routes have in common, read once and checked once.
 *
 * A call is a body while it is read: its document, the model that it means, and what every task
 * may say (timeout_ms, priority). It lives on the handler's stack and owns what it holds until call_close;
 * jobs copy what they need. All functions return false with the call's problem filled, which is the
 * reply's. */
#ifndef CAROUSEL_SERVER_CODEC_H
#define CAROUSEL_SERVER_CODEC_H

#include <stdbool.h>
#include <stddef.h>

#include "models/jobs/reading.h"
#include "server/api/fields.h"
#include "server/api/document.h"
#include "server/api/work.h"
#include "server/request/request.h"

struct call {
    struct request *request;
    const struct config *config;
    struct problem *problem;     /* borrowed: the reply's */
    struct json *document;   /* owned */
    const struct json *root;    /* an object */
    struct model *model;         /* one reference, owned */
    struct job_options options;
    struct branch *branch;       /* where it goes on from; NULL: nowhere. Owned until call_take_branch */
    struct warnings warnings;    /* about what was read; one a field of texts */
};

/* Parse the body, which must be an object. The caller owns the document; NULL with *problem filled. */
struct json *call_parse(const struct request *request, struct problem *problem);
/* The same for a text that stands for the body. */
struct json *call_parse_text(const struct request *request, const char *text, size_t bytes,
                             struct problem *problem);
/* A seed for a request that names none: uniform in what JavaScript reads exactly, and short enough to copy.
 * */
int64_t call_random_seed(void);

/* Parse the body, check the names of its fields and find the model, whose task must have the `ability`.
 * `fields` are the route's own, a constant. On failure the call is closed. It
 * also fails, without a problem, if the reply is filled already or the request waits for its session: the
 * handler returns in any case. */
bool call_open(struct call *call, struct request *request, struct reply *reply,
               const struct fields *fields, enum ability ability);
void call_close(struct call *call);
/* Hand the branch to the work that answers; NULL if there is none. */
struct branch *call_take_branch(struct call *call);
/* Give the work, which is taken, to the request, with the call's warnings. */
void call_defer(const struct call *call, struct work *work);

/* Where a piece lies in the texts of a request: bytes [start, end) of text `text`. */
struct piece_of {
    size_t text, start, end;
};

/* Texts as tokens, owned. */
struct spans {
    struct token_span *spans; /* [n] */
    const char **texts;       /* [n_texts] what they were made of, the document's; NULL for token ids */
    struct piece_of *pieces;  /* [n] with TEXTS_CUT: what each span is of the texts; else NULL */
    size_t n, n_texts;        /* as many, except with TEXTS_CUT */
    size_t n_tokens;          /* of all */
    struct tokenizer_loss loss; /* in all texts */
    bool single;              /* the field held one text, not an array of them */
};

/* What a field of texts may be, besides an array of strings. */
enum texts { TEXTS_LIST = 0, TEXTS_ONE = 1, TEXTS_IDS = 2, TEXTS_CUT = 4 };

/* The field `name`: an array of strings; with TEXTS_ONE a string too; with TEXTS_IDS an array of token ids or
 * an array of those too; with TEXTS_IDS alone an empty array is one list without ids. At most
 * limits.inputs of them. With TEXTS_CUT each sentence is a span (models/tokenizers/segments.h); at most
 * limits.inputs of those too. Absent: false. */
bool spans_read(struct call *call, const char *name, unsigned texts, struct spans *out);
void spans_free(struct spans *spans);

/* The inputs of a model that reads whole sequences: texts, or rows of numbers by its task. */
struct inputs {
    struct input *inputs; /* [n] */
    size_t n;
    size_t n_steps;                      /* of all */
    struct spans texts;                  /* what inputs point to */
    double **features;                   /* [n] */
};

/* The field `name`. For features: an array of steps, each an array of input_size numbers (or a number if
 * that is 1), or an array of those. `texts` as for spans_read. */
bool inputs_read(struct call *call, const char *name, unsigned texts, struct inputs *out);
void inputs_free(struct inputs *inputs);

/* "name:version" into the record, and the task. */
void call_record(struct call *call, size_t steps_in);

#endif
