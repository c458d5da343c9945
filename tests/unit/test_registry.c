/* registry: names and versions to references, and replacing while others read. */
#include <check.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#include "core/base/memory.h"
#include "models/repository/registry.h"
#include "tests/support/tmp.h"
#include "tests/support/written.h"

static struct tmp tmp;
static struct registry *registry;

static void setup(void)
{
    tmp_make(&tmp);
    ck_assert_int_eq(registry_new(&registry), STATUS_OK);
}

static void teardown(void)
{
    registry_free(registry);
    tmp_remove(&tmp);
}

/* Load the bundle in `folder` of tmp, as `name`. */
static enum status put(const char *folder, const char *name, const char *version)
{
    char path[TMP_PATH_BYTES];
    struct model *model;
    struct error err;
    enum status status = model_load(tmp_path(&tmp, folder, path), name, version, PRECISION_FLOAT32, &model,
                                    &err);
    if (status == STATUS_OK && (status = registry_put(registry, model)) != STATUS_OK) {
        model_drop(model);
        return status;
    }
    if (status != STATUS_OK && status != STATUS_NO_MEMORY) ck_abort_msg("%s", err.message);
    return status;
}

/* The listing as "name:version ". */
static void list(char out[512])
{
    struct model **models;
    size_t n, at = 0;
    out[0] = '\0';
    ck_assert_int_eq(registry_list(registry, &models, &n), STATUS_OK);
    for (size_t i = 0; i < n; i++) {
        at += (size_t)snprintf(out + at, 512 - at, "%s:%s ", models[i]->name, models[i]->version);
        model_drop(models[i]);
    }
    memory_free(models);
}

START_TEST(models_are_sorted_by_name_then_version)
{
    char listing[512];
    written_bundle(&tmp, "x", TASK_TEXT_GENERATION);
    static const char *const ids[][2] = {{"zebra", "1"}, {"apple", "10"}, {"mango", "1"}, {"apple", "9"}};
    for (size_t i = 0; i < 4; i++) ck_assert_int_eq(put("x", ids[i][0], ids[i][1]), STATUS_OK);
    list(listing);
    ck_assert_str_eq(listing, "apple:9 apple:10 mango:1 zebra:1 ");
}
END_TEST

START_TEST(what_is_taken_out_is_the_callers)
{
    char listing[512];
    written_bundle(&tmp, "x", TASK_TEXT_GENERATION);
    ck_assert_int_eq(put("x", "a", "1"), STATUS_OK);
    ck_assert_int_eq(put("x", "a", "2"), STATUS_OK);
    ck_assert_ptr_null(registry_take(registry, "a", "3"));
    ck_assert_ptr_null(registry_take(registry, "b", "1"));
    struct model *model = registry_take(registry, "a", "2");
    ck_assert_str_eq(model->version, "2");
    list(listing);
    ck_assert_str_eq(listing, "a:1 ");
    ck_assert_str_eq(model->description, "Three letters.");
    model_drop(model);
}
END_TEST

START_TEST(names_and_versions_are_found)
{
    static const struct {
        const char *id, *version; /* NULL: not found */
    } rows[] = {
        {"apple", "10"}, {"apple:latest", "10"}, {"apple:late", NULL}, {"appl:latest", NULL},
        {"apple:9", "9"}, {"apple:10", "10"}, {"apple:1", NULL}, {"appl", NULL}, {"apples", NULL}, {"", NULL},
        {":9", NULL}, {"apple:", NULL}, {"apple:9:9", NULL},
    };
    written_bundle(&tmp, "x", TASK_TEXT_GENERATION);
    ck_assert_int_eq(put("x", "apple", "10"), STATUS_OK);
    ck_assert_int_eq(put("x", "apple", "9"), STATUS_OK);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct model *model = registry_acquire(registry, rows[i].id);
        ck_assert_msg((model != NULL) == (rows[i].version != NULL), "'%s'", rows[i].id);
        if (model) ck_assert_str_eq(model->version, rows[i].version);
        model_drop(model);
    }
}
END_TEST

START_TEST(the_only_model_of_a_task_needs_no_name)
{
    size_t n;
    written_bundle(&tmp, "gen", TASK_TEXT_GENERATION);
    written_bundle(&tmp, "text", TASK_TEXT_CLASSIFICATION);
    written_bundle(&tmp, "rows", TASK_SEQUENCE_CLASSIFICATION);
    ck_assert_int_eq(put("gen", "gen", "1"), STATUS_OK);
    ck_assert_int_eq(put("gen", "gen", "2"), STATUS_OK);
    ck_assert_int_eq(put("text", "text", "1"), STATUS_OK);
    ck_assert_int_eq(put("rows", "rows", "1"), STATUS_OK);
    struct model *model = registry_acquire_only(registry, ABILITY_COMPLETE, &n);
    ck_assert_ptr_nonnull(model);
    ck_assert_str_eq(model->version, "2");
    ck_assert_uint_eq(n, 1);
    model_drop(model);
    ck_assert_ptr_null(registry_acquire_only(registry, ABILITY_CLASSIFY, &n));
    ck_assert_uint_eq(n, 2);
    ck_assert_ptr_null(registry_acquire_only(registry, ABILITY_FORECAST, &n));
    ck_assert_uint_eq(n, 0);
}
END_TEST

START_TEST(who_holds_a_model_that_is_replaced_keeps_it)
{
    written_bundle(&tmp, "x", TASK_TEXT_GENERATION);
    ck_assert_int_eq(put("x", "m", "1"), STATUS_OK);
    struct model *old = registry_acquire(registry, "m");
    written_edit(&tmp, "x", "config.json", "Three letters.", "Again.");
    ck_assert_int_eq(put("x", "m", "1"), STATUS_OK);
    struct model *new = registry_acquire(registry, "m");
    ck_assert_ptr_ne(old, new);
    ck_assert_str_eq(old->description, "Three letters.");
    ck_assert_str_eq(new->description, "Again.");
    model_drop(old);
    model_drop(new);
}
END_TEST

enum { READERS = 3, RELOADS = 20 };

static atomic_bool done;

static void *read_on(void *context)
{
    size_t *seen = context;
    do {
        struct model *model = registry_acquire(registry, "m"), **models;
        size_t n;
        *seen += model && model->description[0] == 'T';
        model_drop(model);
        if (registry_list(registry, &models, &n) != STATUS_OK) break;
        while (n > 0) model_drop(models[--n]);
        memory_free(models);
    } while (!atomic_load(&done));
    return NULL;
}

START_TEST(readers_never_miss_a_model_that_is_replaced)
{
    pthread_t threads[READERS];
    size_t seen[READERS] = {0};
    written_bundle(&tmp, "x", TASK_TEXT_GENERATION);
    ck_assert_int_eq(put("x", "m", "1"), STATUS_OK);
    atomic_store(&done, false);
    for (int i = 0; i < READERS; i++)
        ck_assert_int_eq(pthread_create(&threads[i], NULL, read_on, &seen[i]), 0);
    for (int i = 0; i < RELOADS; i++) ck_assert_int_eq(put("x", "m", "1"), STATUS_OK);
    atomic_store(&done, true);
    for (int i = 0; i < READERS; i++) {
        pthread_join(threads[i], NULL);
        ck_assert_uint_ge(seen[i], 1);
    }
}
END_TEST

START_TEST(no_memory_is_survived_everywhere)
{
    written_bundle(&tmp, "x", TASK_TEXT_GENERATION);
    registry_free(registry);
    for (uint64_t nth = 1;; nth++) {
        registry = NULL;
        memory_fail_at(nth);
        enum status status = registry_new(&registry);
        if (status == STATUS_OK) status = put("x", "a", "1");
        memory_fail_at(0);
        if (status == STATUS_OK) break;
        ck_assert_int_eq(status, STATUS_NO_MEMORY);
        registry_free(registry);
    }
}
END_TEST

Suite *registry_suite(void);

Suite *registry_suite(void)
{
    Suite *suite = suite_create("registry");
    TCase *core = tcase_create("registry");
    tcase_add_checked_fixture(core, setup, teardown);
    tcase_set_timeout(core, 30);
    tcase_add_test(core, models_are_sorted_by_name_then_version);
    tcase_add_test(core, what_is_taken_out_is_the_callers);
    tcase_add_test(core, names_and_versions_are_found);
    tcase_add_test(core, the_only_model_of_a_task_needs_no_name);
    tcase_add_test(core, who_holds_a_model_that_is_replaced_keeps_it);
    tcase_add_test(core, readers_never_miss_a_model_that_is_replaced);
    tcase_add_test(core, no_memory_is_survived_everywhere);
    suite_add_tcase(suite, core);
    return suite;
}
