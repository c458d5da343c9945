/* The explainer's thread and its queue. */
#include "server/explain/explainer.h"

#include <pthread.h>
#include <stdbool.h>
#include <sys/resource.h>

#include "core/base/memory.h"

/* Not the loader's SCHED_IDLE: a client waits, and would wait for ever while the workers are busy. */
enum { NICENESS = 10 };

struct explainer {
    pthread_t thread;
    pthread_mutex_t mu;
    pthread_cond_t news;
    struct explainer_task *first, **last; /* guarded by mu, as are the rest */
    size_t n, most;
    bool closing;
};

/* Take the first task; NULL at the end. */
static struct explainer_task *next_task(struct explainer *explainer)
{
    pthread_mutex_lock(&explainer->mu);
    while (!explainer->first && !explainer->closing) pthread_cond_wait(&explainer->news, &explainer->mu);
    struct explainer_task *task = explainer->first;
    if (task) {
        explainer->first = task->_next;
        if (!explainer->first) explainer->last = &explainer->first;
        explainer->n--;
    }
    pthread_mutex_unlock(&explainer->mu);
    return task;
}

static void *serve(void *context)
{
    struct explainer *explainer = context;
    /* a tenth of a processor that the workers want too; on Linux 0 is the calling thread, and this cannot
       fail */
    (void)setpriority(PRIO_PROCESS, 0, NICENESS);
    for (struct explainer_task *task; (task = next_task(explainer));) task->run(task);
    return NULL;
}

enum status explainer_new(size_t queue, struct explainer **out, struct error *err)
{
    struct explainer *explainer = memory_new(1, sizeof *explainer);
    if (!explainer) return error_set(err, STATUS_NO_MEMORY, "no memory for the explainer");
    explainer->last = &explainer->first;
    explainer->most = queue;
    pthread_mutex_init(&explainer->mu, NULL);
    pthread_cond_init(&explainer->news, NULL);
    if (pthread_create(&explainer->thread, NULL, serve, explainer)) {
        pthread_cond_destroy(&explainer->news);
        pthread_mutex_destroy(&explainer->mu);
        memory_free(explainer);
        return error_set(err, STATUS_NO_MEMORY, "the system gives no thread for the explainer");
    }
    *out = explainer;
    return STATUS_OK;
}

enum status explainer_submit(struct explainer *explainer, struct explainer_task *task)
{
    pthread_mutex_lock(&explainer->mu);
    bool fits = explainer->n < explainer->most;
    if (fits) {
        task->_next = NULL;
        *explainer->last = task;
        explainer->last = &task->_next;
        explainer->n++;
        pthread_cond_signal(&explainer->news);
    }
    pthread_mutex_unlock(&explainer->mu);
    return fits ? STATUS_OK : STATUS_QUEUE_FULL;
}

void explainer_free(struct explainer *explainer)
{
    if (!explainer) return;
    pthread_mutex_lock(&explainer->mu);
    explainer->closing = true;
    pthread_cond_signal(&explainer->news);
    pthread_mutex_unlock(&explainer->mu);
    pthread_join(explainer->thread, NULL);
    pthread_cond_destroy(&explainer->news);
    pthread_mutex_destroy(&explainer->mu);
    memory_free(explainer);
}
