/* answer: the frame that the answers of several routes share: id, object, created and model first, usage and
 * timings last.
 *
 * A handler writes its answer into a struct writer of at most limits.reply_bytes, without looking at failures
 * on the way, and hands the writer over in the end. Called on HTTP threads only, by the thread that has the
 * request in hand. */
#ifndef CAROUSEL_SERVER_ANSWER_H
#define CAROUSEL_SERVER_ANSWER_H

#include "models/jobs/job.h"
#include "server/base/json_writer.h"
#include "server/api/work.h"
#include "server/request/request.h"

/* Begin an answer: {"id": prefix and a new id, "object", "created", "model", and what was kept
 * (server/api/branch.h). */
void answer_open(struct writer *out, const struct request *request, const char *prefix, const char *object,
                 const struct model *model);

struct usage {
    const char *name;
    size_t n;
};

/* End it: "usage" of the n_usage amounts, the "warnings" and "timings" of the work, }. */
void answer_end(struct writer *out, const struct usage *usage, size_t n_usage, const struct work *work);
/* The same, then answer_writer. */
void answer_close(struct writer *out, const struct usage *usage, size_t n_usage,
                  const struct work *work, struct reply *reply);

/* The writer's text becomes the reply's body; the writer is released. A writer that has failed becomes a
 * problem: over limits.reply_bytes (a 400, for coming back would not help), or no memory (503). */
void answer_writer(struct writer *out, struct reply *reply);

/* "warnings":["..."]: nothing if there are none. */
void answer_warnings(struct writer *out, const struct warnings *warnings);

#endif
