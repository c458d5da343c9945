/* answer: parts of answers that several routes share.
 *
 * A handler writes its answer into a struct writer of at most limits.reply_bytes, without looking at failures
 * on the way, and hands the writer over in the end. Called on HTTP threads only, by the thread that has the
 * request in hand. */
#ifndef CAROUSEL_SERVER_ANSWER_H
#define CAROUSEL_SERVER_ANSWER_H

#include "models/job.h"
#include "server/json_writer.h"
#include "server/request.h"

/* The writer's text becomes the reply's body; the writer is released. A writer that has failed becomes a
 * problem: over limits.reply_bytes (a 400, for coming back would not help), or no memory (503). */
void answer_writer(struct writer *out, struct reply *reply);

/* "timings":{...}: what a job took, for tasks that are not streamed. */
void answer_timings(struct writer *out, const struct job_timings *timings);

#endif
