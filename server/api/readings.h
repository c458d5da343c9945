/* readings: the work of the routes whose job is a reading: classify, embeddings, predict. */
#ifndef CAROUSEL_SERVER_READINGS_H
#define CAROUSEL_SERVER_READINGS_H

#include "server/api/codec.h"
#include "server/api/texts.h"
#include "server/api/work.h"

/* A route's own struct begins with it. */
struct reading_work {
    struct work work;
    struct reading *reading;
    struct kept_texts texts; /* of the inputs, if the route keeps them */
    size_t n;                /* inputs */
    void *kept;              /* what the route keeps besides: one block, owned; NULL */
    size_t n_before;         /* rows of each input before those of its tokens: of a bos */
};

/* Defer the request with a reading of the inputs, whose answer `print` prints. `task` is from calloc and is
 * taken, also if it is NULL (no memory). false with the call's problem filled. */
bool readings_submit(struct call *call, const struct inputs *inputs, const struct reading_want *want,
                     bool keeps_texts, struct reading_work *task,
                     void (*print)(struct work *work, struct request *request, struct reply *reply));

#endif
