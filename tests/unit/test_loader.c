/* loader: it does what a repository is asked to do, on a thread of its own. */
#include <check.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#include "models/repository/loader.h"
#include "tests/support/await.h"
#include "tests/support/shelf.h"
#include "tests/support/written.h"

static struct shelf shelf;

static void setup(void)
{
    shelf_make(&shelf);
}

static void teardown(void)
{
    shelf_remove(&shelf);
}

struct waiting {
    pthread_mutex_t mu;
    pthread_cond_t news;
    int n;
    bool hold; /* keep the loader's thread */
};

#define WAITING(held) {.mu = PTHREAD_MUTEX_INITIALIZER, .news = PTHREAD_COND_INITIALIZER, .hold = (held)}

static void finished(void *context)
{
    struct waiting *waiting = context;
    pthread_mutex_lock(&waiting->mu);
    waiting->n++;
    pthread_cond_broadcast(&waiting->news);
    while (waiting->hold) pthread_cond_wait(&waiting->news, &waiting->mu);
    pthread_mutex_unlock(&waiting->mu);
}

static void wait_for(struct waiting *waiting, int n)
{
    pthread_mutex_lock(&waiting->mu);
    while (waiting->n < n) pthread_cond_wait(&waiting->news, &waiting->mu);
    pthread_mutex_unlock(&waiting->mu);
}

static void let_go(struct waiting *waiting)
{
    pthread_mutex_lock(&waiting->mu);
    waiting->hold = false;
    pthread_cond_broadcast(&waiting->news);
    pthread_mutex_unlock(&waiting->mu);
}

static atomic_int failures;

static void on_failure(void *context, const struct error *err)
{
    (void)context;
    ck_assert_ptr_nonnull(strstr(err->message, "cannot open folder '"));
    atomic_fetch_add(&failures, 1);
}

static struct loader *start(size_t queue, int64_t poll_s)
{
    struct loader *loader;
    struct error err;
    const struct loader_options options = {.repository = shelf.repository, .queue = queue, .percent = 50,
                                           .poll_s = poll_s, .failed = on_failure};
    atomic_store(&failures, 0);
    ck_assert_msg(loader_start(&options, &loader, &err) == STATUS_OK, "%s", err.message);
    return loader;
}

static struct loader_task made(enum loader_action action, const char *id, struct waiting *waiting)
{
    struct loader_task task = {.action = action, .finished = finished, .context = waiting};
    snprintf(task.id, sizeof task.id, "%s", id);
    return task;
}

START_TEST(the_loader_does_one_thing_after_the_other)
{
    struct waiting waiting = WAITING(false);
    written_bundle(&shelf.tmp, "m", TASK_TEXT_GENERATION);
    struct loader *loader = start(4, 0);
    struct loader_task tasks[] = {made(LOADER_LOAD, "m", &waiting), made(LOADER_LOAD, "n", &waiting),
                                  made(LOADER_UNLOAD, "m", &waiting), made(LOADER_SYNC, "", &waiting)};
    for (size_t i = 0; i < 4; i++) ck_assert_int_eq(loader_submit(loader, &tasks[i]), STATUS_OK);
    wait_for(&waiting, 4);
    ck_assert_int_eq(tasks[0].status, STATUS_OK);
    ck_assert_int_eq(tasks[1].status, STATUS_NOT_FOUND);
    ck_assert_ptr_nonnull(strstr(tasks[1].error.message, "there is no bundle 'n'"));
    ck_assert_int_eq(tasks[2].status, STATUS_OK);
    ck_assert_int_eq(tasks[3].status, STATUS_OK);
    loader_free(loader);
    ck_assert_str_eq(shelf.heard, "+m:1;-m:1;");
}
END_TEST

START_TEST(the_loaders_queue_is_bounded_and_ends)
{
    struct waiting waiting = WAITING(true);
    written_bundle(&shelf.tmp, "m", TASK_TEXT_GENERATION);
    struct loader *loader = start(2, 0);
    struct loader_task tasks[4];
    for (size_t i = 0; i < 4; i++) tasks[i] = made(LOADER_LOAD, "m", &waiting);
    ck_assert_int_eq(loader_submit(loader, &tasks[0]), STATUS_OK);
    wait_for(&waiting, 1); /* out of the queue, and its thread is held */
    ck_assert_int_eq(loader_submit(loader, &tasks[1]), STATUS_OK);
    ck_assert_int_eq(loader_submit(loader, &tasks[2]), STATUS_OK);
    ck_assert_int_eq(loader_submit(loader, &tasks[3]), STATUS_QUEUE_FULL);
    let_go(&waiting);
    wait_for(&waiting, 3);
    loader_stop(loader);
    ck_assert_int_eq(loader_submit(loader, &tasks[3]), STATUS_CLOSING);
    loader_stop(loader);
    loader_free(loader);
    ck_assert_int_eq(waiting.n, 3);
}
END_TEST

static void *stop_it(void *context)
{
    loader_stop(context);
    return NULL;
}

/* What waits when the loader is stopped is told so. The queue is full, so it says when the stop has begun. */
START_TEST(a_stop_ends_what_waits)
{
    struct waiting waiting = WAITING(true);
    struct loader_task tasks[3];
    for (size_t i = 0; i < 3; i++) tasks[i] = made(LOADER_SYNC, "", &waiting);
    struct loader *loader = start(1, 0);
    pthread_t stopper;
    ck_assert_int_eq(loader_submit(loader, &tasks[0]), STATUS_OK);
    wait_for(&waiting, 1);
    ck_assert_int_eq(loader_submit(loader, &tasks[1]), STATUS_OK);
    ck_assert_int_eq(pthread_create(&stopper, NULL, stop_it, loader), 0);
    AWAIT(loader_submit(loader, &tasks[2]) == STATUS_CLOSING);
    let_go(&waiting);
    pthread_join(stopper, NULL);
    ck_assert_int_eq(waiting.n, 2);
    ck_assert_int_eq(tasks[0].status, STATUS_OK);
    ck_assert_int_eq(tasks[1].status, STATUS_CLOSING);
    loader_free(loader);
}
END_TEST

static bool is_served(const char *name)
{
    struct model *model = registry_acquire(shelf.registry, name);
    model_drop(model);
    return model != NULL;
}

START_TEST(the_loader_looks_when_asked_and_by_itself)
{
    struct loader *loader = start(1, _i);
    written_bundle(&shelf.tmp, ".m", TASK_TEXT_GENERATION);
    shelf_rename(&shelf, ".m", "m");
    if (!_i) loader_sync(loader);
    AWAIT(is_served("m"));
    shelf_rename(&shelf, "m", ".m");
    if (!_i) loader_sync(loader);
    AWAIT(!is_served("m"));
    tmp_remove(&shelf.tmp);
    if (!_i) loader_sync(loader);
    AWAIT(atomic_load(&failures) == 1);
    if (_i) sleep_ms(2500); /* the same reason is not told at every poll */
    else loader_sync(loader);
    AWAIT(atomic_load(&failures) == 2 - _i);
    loader_free(loader);
    tmp_make(&shelf.tmp);
}
END_TEST

Suite *loader_suite(void);

Suite *loader_suite(void)
{
    Suite *suite = suite_create("loader");
    TCase *core = tcase_create("core");
    tcase_add_checked_fixture(core, setup, teardown);
    tcase_set_timeout(core, 240); /* its thread gets only the time that no other thread wants */
    tcase_add_test(core, the_loader_does_one_thing_after_the_other);
    tcase_add_test(core, the_loaders_queue_is_bounded_and_ends);
    tcase_add_test(core, a_stop_ends_what_waits);
    tcase_add_loop_test(core, the_loader_looks_when_asked_and_by_itself, 0, 2);
    suite_add_tcase(suite, core);
    return suite;
}
