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

#include "models/classification.h"
#include "server/json.h"
#include "server/request.h"

struct call {
    struct request *request;
    const struct config *config;
    struct problem *problem;     /* borrowed: the reply's */
    struct document *document;   /* owned */
    const struct value *root;    /* an object */
    struct model *model;         /* one reference, owned */
    struct job_options options;
};

#define TASK_BIT(task) (1u << TASK_##task)
enum { ANY_TASK = (1 << N_TASKS) - 1 };

/* Parse the body and find the model. `fields` (NULL-terminated) are the route's own, for strict_json; `tasks`
 * the mask of tasks that it serves; `what` completes "model 'x' (task) cannot ...". Fields that ask for
 * sessions are refused as not built. On failure the call is closed. */
bool call_open(struct call *call, struct request *request, struct reply *reply,
               const char *const *fields, unsigned tasks, const char *what);
void call_close(struct call *call);

/* Texts as tokens, owned. */
struct spans {
    struct token_span *spans; /* [n] */
    size_t n;
    size_t n_tokens;          /* of all */
    bool single;              /* the field held one text, not an array of them */
};

/* What a field of texts may be, besides an array of strings. */
enum texts { TEXTS_LIST = 0, TEXTS_ONE = 1, TEXTS_IDS = 2 };

/* The field `name`: an array of strings; with TEXTS_ONE a string too; with TEXTS_IDS an array of token ids or
 * an array of those too. At most limits.inputs of them. Absent: false. */
bool spans_read(struct call *call, const char *name, unsigned texts, struct spans *out);
void spans_free(struct spans *spans);

/* The inputs of a model that reads whole sequences: texts, or rows of numbers by its task. */
struct inputs {
    struct classification_input *inputs; /* [n] */
    size_t n;
    size_t n_steps;                      /* of all */
    struct spans texts;                  /* what inputs point to */
    float **features;                    /* [n] */
};

/* The field `name`. For features: an array of steps, each an array of input_size numbers (or a number where
 * that is 1), or an array of those. `texts` as for spans_read. */
bool inputs_read(struct call *call, const char *name, unsigned texts, struct inputs *out);
void inputs_free(struct inputs *inputs);

/* "name:version" into the record, and the task. */
void call_record(struct call *call, size_t steps_in);

#endif
