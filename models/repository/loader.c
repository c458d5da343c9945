/* The loader's thread. A poll is due poll_s after the last one; a task in the queue comes first. */
#define _GNU_SOURCE /* SCHED_IDLE */
#include "models/repository/loader.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <string.h>
#include <time.h>

#include "core/base/memory.h"
#include "core/base/throttle.h"

struct loader {
    struct loader_options options;
    char failure[ERROR_MESSAGE_BYTES]; /* the last one told; the thread's own */
    pthread_t thread;
    bool joined;
    pthread_mutex_t mu;
    pthread_cond_t news;
    struct loader_task *first, **last; /* guarded by mu, as are the rest */
    size_t n;
    bool wants_sync, closing;
    _Atomic bool gives_up; /* the load in hand, too */
};

static enum status run(struct repository *repository, const struct loader_task *task, struct error *err)
{
    switch (task->action) {
    case LOADER_LOAD: return repository_load(repository, task->id, err);
    case LOADER_UNLOAD: return repository_unload(repository, task->id, err);
    case LOADER_SYNC: return repository_sync(repository, err);
    }
    return error_set(err, STATUS_INTERNAL, "the loader knows no action %d", (int)task->action);
}

/* mu held. */
static struct loader_task *next_task(struct loader *loader)
{
    struct loader_task *task = loader->first;
    if (!task) return NULL;
    loader->first = task->_next;
    if (!loader->first) loader->last = &loader->first;
    loader->n--;
    return task;
}

static struct timespec after_s(int64_t seconds)
{
    struct timespec at;
    clock_gettime(CLOCK_MONOTONIC, &at);
    at.tv_sec += (time_t)seconds;
    return at;
}

/* Until there is something to do, or a poll is due. mu held. */
static void wait_for_news(struct loader *loader, const struct timespec *poll_at)
{
    while (!loader->first && !loader->wants_sync && !loader->closing) {
        if (loader->options.poll_s == 0) pthread_cond_wait(&loader->news, &loader->mu);
        else if (pthread_cond_timedwait(&loader->news, &loader->mu, poll_at) == ETIMEDOUT) return;
    }
}

static void do_task(struct loader *loader, struct loader_task *task)
{
    memset(&task->error, 0, sizeof task->error);
    task->status = run(loader->options.repository, task, &task->error);
    task->finished(task->context);
}

/* A look that no caller waits for. A folder that stays away is told to a caller that asked, and else once,
 * not at every poll. */
static void look(struct loader *loader, bool sync)
{
    struct error err;
    enum status status = sync ? repository_sync(loader->options.repository, &err)
                              : repository_poll(loader->options.repository, &err);
    if (status == STATUS_OK) loader->failure[0] = '\0';
    else if (status != STATUS_CLOSING && (sync || strcmp(loader->failure, err.message) != 0)) {
        memcpy(loader->failure, err.message, sizeof loader->failure);
        loader->options.failed(loader->options.context, &err);
    }
}

/* A worker that wakes gets the processor of a SCHED_IDLE thread at once, and a processor that runs nothing
 * else counts as free for it. Niceness 19 is not enough: at the same pace, p99 of a model of half a
 * millisecond rose by half with it, and by a tenth with this (tests/bench/reload.py). The priority is only
 * given up, never taken, so this cannot fail. On Linux 0 is the calling thread. */
static void give_way(void)
{
    (void)sched_setscheduler(0, SCHED_IDLE, &(struct sched_param){0});
}

static void *serve(void *context)
{
    struct loader *loader = context;
    give_way();
    throttle_set(loader->options.percent, &loader->gives_up);
    struct timespec poll_at = after_s(loader->options.poll_s);
    pthread_mutex_lock(&loader->mu);
    for (;;) {
        wait_for_news(loader, &poll_at);
        if (loader->closing) break;
        struct loader_task *task = next_task(loader);
        bool sync = !task && loader->wants_sync;
        if (sync) loader->wants_sync = false;
        pthread_mutex_unlock(&loader->mu);
        if (task) do_task(loader, task);
        else look(loader, sync);
        if (!task && !sync) poll_at = after_s(loader->options.poll_s);
        pthread_mutex_lock(&loader->mu);
    }
    for (struct loader_task *task; (task = next_task(loader));) {
        pthread_mutex_unlock(&loader->mu);
        task->status = error_set(&task->error, STATUS_CLOSING, "the server is shutting down");
        task->finished(task->context);
        pthread_mutex_lock(&loader->mu);
    }
    pthread_mutex_unlock(&loader->mu);
    return NULL;
}

/* Signals are main's. */
static int start_thread(struct loader *loader)
{
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int reason = pthread_create(&loader->thread, NULL, serve, loader);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return reason;
}

enum status loader_start(const struct loader_options *options, struct loader **out, struct error *err)
{
    pthread_condattr_t attributes;
    struct loader *loader = memory_new(1, sizeof *loader);
    if (!loader) return error_set(err, STATUS_NO_MEMORY, "no memory for the loader");
    loader->options = *options;
    loader->last = &loader->first;
    pthread_mutex_init(&loader->mu, NULL);
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(&loader->news, &attributes);
    pthread_condattr_destroy(&attributes);
    int reason = start_thread(loader);
    if (reason == 0) return *out = loader, STATUS_OK;
    loader->joined = true;
    loader_free(loader);
    return error_set(err, STATUS_NO_MEMORY, "the loader's thread does not start: %s", strerror(reason));
}

enum status loader_submit(struct loader *loader, struct loader_task *task)
{
    pthread_mutex_lock(&loader->mu);
    enum status status = loader->closing                      ? STATUS_CLOSING
                         : loader->n >= loader->options.queue ? STATUS_QUEUE_FULL
                                                              : STATUS_OK;
    if (status == STATUS_OK) {
        task->_next = NULL;
        *loader->last = task;
        loader->last = &task->_next;
        loader->n++;
        pthread_cond_signal(&loader->news);
    }
    pthread_mutex_unlock(&loader->mu);
    return status;
}

void loader_sync(struct loader *loader)
{
    pthread_mutex_lock(&loader->mu);
    loader->wants_sync = true;
    pthread_cond_signal(&loader->news);
    pthread_mutex_unlock(&loader->mu);
}

void loader_stop(struct loader *loader)
{
    if (!loader || loader->joined) return;
    atomic_store(&loader->gives_up, true);
    pthread_mutex_lock(&loader->mu);
    loader->closing = true;
    pthread_cond_signal(&loader->news);
    pthread_mutex_unlock(&loader->mu);
    pthread_join(loader->thread, NULL);
    loader->joined = true;
}

void loader_free(struct loader *loader)
{
    if (!loader) return;
    loader_stop(loader);
    pthread_cond_destroy(&loader->news);
    pthread_mutex_destroy(&loader->mu);
    memory_free(loader);
}
