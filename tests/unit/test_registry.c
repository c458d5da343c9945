/* registry: folders to models, names and versions to references, and replacing while others read. */
#include <check.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#include "core/memory.h"
#include "models/registry.h"
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

/* What the listener was told, as "name:version;" or "name!sentence;". */
struct heard {
    char text[4096];
};

static void hear(void *context, const char *name, const struct model *model,
                 const struct error *err)
{
    struct heard *heard = context;
    size_t at = strlen(heard->text);
    ck_assert((model == NULL) != (err == NULL));
    snprintf(heard->text + at, sizeof heard->text - at, model ? "%s:%s;" : "%s!%s;", name,
             model ? model->version : err->message);
}

static enum status load_folder(struct heard *heard)
{
    struct error err;
    heard->text[0] = '\0';
    return registry_load_folder(registry, tmp.path, "float32", hear, heard, &err);
}

static enum status load(const char *folder, const char *name, struct error *err)
{
    char path[TMP_PATH_BYTES];
    return registry_load(registry, tmp_path(&tmp, folder, path), name, "float32", NULL, NULL,
                         err);
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

START_TEST(a_folder_is_loaded_sorted)
{
    struct heard heard;
    char listing[512];
    written_bundle(&tmp, "zebra", TASK_FORECASTING);
    written_bundle(&tmp, "apple/10", TASK_TEXT_GENERATION);
    written_bundle(&tmp, "apple/9", TASK_TEXT_GENERATION);
    written_bundle(&tmp, "apple/drafts", TASK_TEXT_GENERATION);
    written_bundle(&tmp, "apple/007", TASK_TEXT_GENERATION);
    written_bundle(&tmp, "mango", TASK_TEXT_CLASSIFICATION);
    tmp_mkdir(&tmp, "empty");
    tmp_mkdir(&tmp, ".hidden");
    tmp_write_text(&tmp, "README.md", "not a bundle");
    ck_assert_int_eq(load_folder(&heard), STATUS_OK);
    ck_assert_str_eq(heard.text, "apple:10;apple:9;mango:1;zebra:1;");
    list(listing);
    ck_assert_str_eq(listing, "apple:9 apple:10 mango:1 zebra:1 ");
}
END_TEST

START_TEST(a_broken_bundle_leaves_the_others)
{
    struct heard heard;
    char listing[512];
    written_bundle(&tmp, "a", TASK_TEXT_GENERATION);
    written_bundle(&tmp, "b", TASK_TEXT_GENERATION);
    written_edit(&tmp, "b", "golden.json", "7.25", "7.5");
    written_bundle(&tmp, "c", TASK_TEXT_GENERATION);
    written_bundle(&tmp, "-d", TASK_TEXT_GENERATION);
    ck_assert_int_eq(load_folder(&heard), STATUS_OK);
    ck_assert_ptr_nonnull(strstr(heard.text, "a:1;b!golden.json: cases[0]: output[2] is 7.25"));
    ck_assert_ptr_nonnull(strstr(heard.text, "-d!model name '-d', expected"));
    list(listing);
    ck_assert_str_eq(listing, "a:1 c:1 ");
}
END_TEST

START_TEST(names_and_versions_are_found)
{
    static const struct {
        const char *id, *version; /* NULL: not found */
    } rows[] = {
        {"apple", "10"}, {"apple:9", "9"}, {"apple:10", "10"}, {"apple:1", NULL}, {"appl", NULL},
        {"apples", NULL}, {"", NULL}, {":9", NULL}, {"apple:", NULL}, {"apple:9:9", NULL},
    };
    struct heard heard;
    written_bundle(&tmp, "apple/10", TASK_TEXT_GENERATION);
    written_bundle(&tmp, "apple/9", TASK_TEXT_GENERATION);
    ck_assert_int_eq(load_folder(&heard), STATUS_OK);
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
    const unsigned generation = 1u << TASK_TEXT_GENERATION, forecasting = 1u << TASK_FORECASTING;
    const unsigned classes = 1u << TASK_TEXT_CLASSIFICATION | 1u << TASK_SEQUENCE_CLASSIFICATION;
    struct heard heard;
    size_t n;
    written_bundle(&tmp, "gen/1", TASK_TEXT_GENERATION);
    written_bundle(&tmp, "gen/2", TASK_TEXT_GENERATION);
    written_bundle(&tmp, "text", TASK_TEXT_CLASSIFICATION);
    written_bundle(&tmp, "rows", TASK_SEQUENCE_CLASSIFICATION);
    ck_assert_int_eq(load_folder(&heard), STATUS_OK);
    struct model *model = registry_acquire_only(registry, generation, &n);
    ck_assert_ptr_nonnull(model);
    ck_assert_str_eq(model->version, "2");
    ck_assert_uint_eq(n, 1);
    model_drop(model);
    ck_assert_ptr_null(registry_acquire_only(registry, classes, &n));
    ck_assert_uint_eq(n, 2);
    ck_assert_ptr_null(registry_acquire_only(registry, forecasting, &n));
    ck_assert_uint_eq(n, 0);
}
END_TEST

START_TEST(one_bundle_is_loaded_under_a_name)
{
    struct error err = {.message = ""};
    char listing[512];
    written_bundle(&tmp, "x", TASK_TEXT_GENERATION);
    written_bundle(&tmp, "v/3", TASK_TEXT_GENERATION);
    tmp_mkdir(&tmp, "empty");
    ck_assert_int_eq(load("x", "mine", &err), STATUS_OK);
    ck_assert_int_eq(load("v", "theirs", &err), STATUS_OK);
    list(listing);
    ck_assert_str_eq(listing, "mine:1 theirs:3 ");
    ck_assert_int_eq(load("empty", "e", &err), STATUS_NOT_FOUND);
    ck_assert_ptr_nonnull(strstr(err.message, "holds no bundle: no config.json, no folder 1, 2, ..."));
    ck_assert_int_eq(load("nowhere", "e", &err), STATUS_NOT_FOUND);
    ck_assert_ptr_nonnull(strstr(err.message, "cannot open folder"));
    ck_assert_int_eq(load("x", "not a name", &err), STATUS_BAD_VALUE);
}
END_TEST

START_TEST(a_missing_folder_is_an_error)
{
    struct error err;
    ck_assert_int_eq(registry_load_folder(registry, "/nowhere/at/all", "float32", NULL, NULL,
                                          &err), STATUS_NOT_FOUND);
    ck_assert_str_eq(err.message,
                     "cannot open folder '/nowhere/at/all': No such file or directory");
}
END_TEST

START_TEST(a_reload_replaces_and_a_failed_one_does_not)
{
    struct error err;
    written_bundle(&tmp, "x", TASK_TEXT_GENERATION);
    ck_assert_int_eq(load("x", "m", &err), STATUS_OK);
    struct model *old = registry_acquire(registry, "m");
    written_edit(&tmp, "x", "config.json", "Three letters.", "Again.");
    ck_assert_int_eq(load("x", "m", &err), STATUS_OK);
    struct model *new = registry_acquire(registry, "m");
    ck_assert_ptr_ne(old, new);
    ck_assert_str_eq(old->description, "Three letters."); /* who holds it keeps it */
    ck_assert_str_eq(new->description, "Again.");
    written_edit(&tmp, "x", "config.json", "Again.", "\\ud800");
    ck_assert_int_eq(load("x", "m", &err), STATUS_BAD_FORMAT);
    struct model *still = registry_acquire(registry, "m");
    ck_assert_ptr_eq(still, new);
    model_drop(old);
    model_drop(new);
    model_drop(still);
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
    struct error err;
    written_bundle(&tmp, "x", TASK_TEXT_GENERATION);
    ck_assert_int_eq(load("x", "m", &err), STATUS_OK);
    atomic_store(&done, false);
    for (int i = 0; i < READERS; i++)
        ck_assert_int_eq(pthread_create(&threads[i], NULL, read_on, &seen[i]), 0);
    for (int i = 0; i < RELOADS; i++) ck_assert_int_eq(load("x", "m", &err), STATUS_OK);
    atomic_store(&done, true);
    for (int i = 0; i < READERS; i++) {
        pthread_join(threads[i], NULL);
        ck_assert_uint_ge(seen[i], 1);
    }
}
END_TEST

START_TEST(no_memory_is_survived_everywhere)
{
    struct heard heard;
    written_bundle(&tmp, "a", TASK_TEXT_GENERATION);
    written_bundle(&tmp, "b/1", TASK_FORECASTING);
    registry_free(registry);
    for (uint64_t nth = 1;; nth++) {
        registry = NULL;
        memory_fail_at(nth);
        enum status status = registry_new(&registry);
        if (status == STATUS_OK) status = load_folder(&heard);
        memory_fail_at(0);
        if (status == STATUS_OK && strcmp(heard.text, "a:1;b:1;") == 0) break;
        ck_assert_msg(status == STATUS_NO_MEMORY || strchr(heard.text, '!'), "allocation %d: %s",
                      (int)nth, heard.text);
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
    tcase_add_test(core, a_folder_is_loaded_sorted);
    tcase_add_test(core, a_broken_bundle_leaves_the_others);
    tcase_add_test(core, names_and_versions_are_found);
    tcase_add_test(core, the_only_model_of_a_task_needs_no_name);
    tcase_add_test(core, one_bundle_is_loaded_under_a_name);
    tcase_add_test(core, a_missing_folder_is_an_error);
    tcase_add_test(core, a_reload_replaces_and_a_failed_one_does_not);
    tcase_add_test(core, readers_never_miss_a_model_that_is_replaced);
    tcase_add_test(core, no_memory_is_survived_everywhere);
    suite_add_tcase(suite, core);
    return suite;
}
