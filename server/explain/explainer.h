/* explainer: the one thread that runs explanations, so that they neither ride with the requests that are
 * served nor hold up the threads that read HTTP. Its priority is low. Tasks run one after the other in the
 * order of their coming, and a bounded number of them waits.
 *
 * explainer_new -> explainer_submit, any thread -> explainer_free, once nothing is submitted any more. */
#ifndef CAROUSEL_SERVER_EXPLAINER_H
#define CAROUSEL_SERVER_EXPLAINER_H

#include <stddef.h>

#include "core/base/status.h"

struct explainer;

/* What is submitted begins with this. It belongs to the explainer until run() returns, and run() may free
 * it. */
struct explainer_task {
    void (*run)(struct explainer_task *task);
    struct explainer_task *_next;
};

/* Start the thread. At most `queue` tasks wait. The caller owns *out. */
enum status explainer_new(size_t queue, struct explainer **out, struct error *err) MUST_CHECK;
/* Put a task at the end. STATUS_QUEUE_FULL; otherwise run() is called once, perhaps before this returns. */
enum status explainer_submit(struct explainer *explainer, struct explainer_task *task) MUST_CHECK;
/* Run what still waits, and end the thread. Accepts NULL. */
void explainer_free(struct explainer *explainer);

#endif
