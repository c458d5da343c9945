/* loader: the thread that loads models while others are served.
 *
 * It runs at the lowest priority, so that it runs on what the workers leave, and it alone changes the
 * repository once it has been started. What it is asked for waits in a short queue and is done one after the
 * other:
 *
 *   struct loader_task (caller's) -loader_submit-> queued -> done -> finished(context),
 *   once, on the loader's thread
 *
 * loader_stop gives up the load in hand (core/base/throttle.h): within moments its task ends with
 * STATUS_CLOSING, as those that wait do, and no more are taken. What was served before still is. loader.mu
 * guards the queue; no other lock is taken under it. Functions may be called by any thread but the loader's
 * own. */
#ifndef CAROUSEL_MODELS_LOADER_H
#define CAROUSEL_MODELS_LOADER_H

#include "models/repository/repository.h"

struct loader;

enum loader_action { LOADER_LOAD, LOADER_UNLOAD, LOADER_SYNC };

enum { LOADER_ID_BYTES = MODEL_NAME_BYTES + MODEL_VERSION_BYTES + 2 };

/* The caller's storage from submission until finished. */
struct loader_task {
    enum loader_action action;
    char id[LOADER_ID_BYTES];        /* LOAD: "name" or "name:version"; UNLOAD: "name" */
    void (*finished)(void *context); /* must not block */
    void *context;
    /* once finished */
    enum status status;
    struct error error;
    struct loader_task *_next;
};

struct loader_options {
    struct repository *repository; /* borrowed until loader_free */
    size_t queue;                  /* tasks that may wait */
    unsigned percent;              /* of one processor: core/base/throttle.h */
    int64_t poll_s;                /* between two looks at the folders (repository_poll); 0: none */
    /* A look that no caller waits for found a folder that cannot be read; nothing has changed. On the
     * loader's thread. A poll does not tell what the look before it has told. */
    void (*failed)(void *context, const struct error *err);
    void *context;
};

MUST_CHECK enum status loader_start(const struct loader_options *options, struct loader **out,
                                    struct error *err);
/* STATUS_QUEUE_FULL, STATUS_CLOSING: finished will not be called. */
MUST_CHECK enum status loader_submit(struct loader *loader, struct loader_task *task);
/* A LOADER_SYNC that no caller waits for (SIGHUP); several that wait are one. */
void loader_sync(struct loader *loader);
void loader_stop(struct loader *loader); /* accepts NULL; may be called twice */
void loader_free(struct loader *loader); /* accepts NULL; stops it */

#endif
