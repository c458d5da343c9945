/* repository: folders on disk to models in the registry, at start, on request and by polling. */
#define _GNU_SOURCE /* readdir64 */
#include <check.h>
#include <dirent.h>
#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#include "core/base/memory.h"
#include "core/base/throttle.h"
#include "tests/support/shelf.h"
#include "tests/support/written.h"

static struct shelf shelf;

/* Of folders' entries: how many are yet read before reading fails; negative: it does not. The program's own
 * readdir stands before the C library's, whose other name it calls. */
static int entries_left = -1;
struct dirent *readdir(DIR *dir)
{
    if (entries_left == 0) return errno = EIO, NULL;
    if (entries_left > 0) entries_left--;
    return (struct dirent *)(void *)readdir64(dir);
}

static void setup(void)
{
    shelf_make(&shelf);
}

static void teardown(void)
{
    shelf_remove(&shelf);
}

/* ------------------------------------------------------------------------------------------
 * What lies on disk */

START_TEST(folders_and_versions_are_found)
{
    written_bundle(&shelf.tmp, "zebra", TASK_FORECASTING);
    written_bundle(&shelf.tmp, "apple/10", TASK_TEXT_GENERATION);
    written_bundle(&shelf.tmp, "apple/9", TASK_TEXT_GENERATION);
    written_bundle(&shelf.tmp, "apple/drafts", TASK_TEXT_GENERATION);
    written_bundle(&shelf.tmp, "apple/007", TASK_TEXT_GENERATION);
    written_bundle(&shelf.tmp, "mango", TASK_TEXT_CLASSIFICATION);
    tmp_mkdir(&shelf.tmp, "empty");
    tmp_mkdir(&shelf.tmp, ".hidden");
    tmp_write_text(&shelf.tmp, "README.md", "not a bundle");
    ck_assert_str_eq(shelf_sync(&shelf), "+apple:10;+apple:9;+mango:1;+zebra:1;");
    ck_assert_str_eq(shelf_served(&shelf), "apple:9 apple:10 mango:1 zebra:1 ");
    ck_assert_str_eq(shelf_known(&shelf), "apple:9=R apple:10=R mango:1=R zebra:1=R ");
}
END_TEST

/* Weights of any program, without a config.json, are a bundle that somebody meant to be served. */
START_TEST(weights_without_a_configuration_are_told)
{
    static const char *const files[] = {"model.safetensors", "pytorch_model.bin", "best.pt", "lstm.h5"};
    char path[TMP_PATH_BYTES], sentence[128];
    snprintf(path, sizeof path, "m/%s", files[_i]);
    tmp_mkdir(&shelf.tmp, "m");
    tmp_write_text(&shelf.tmp, path, "x");
    shelf_sync(&shelf);
    snprintf(sentence, sizeof sentence, "/m' holds %s but no config.json, so it is no bundle", files[_i]);
    ck_assert_msg(strstr(shelf.heard, sentence) != NULL, "%s", shelf.heard);
    ck_assert_str_eq(shelf_known(&shelf), "m:=u ");
    ck_assert_ptr_nonnull(strstr(shelf_reason(&shelf, "m", ""), sentence));
    shelf_refuses(&shelf, "m", STATUS_NOT_FOUND, sentence);
    written_bundle(&shelf.tmp, "m", TASK_TEXT_GENERATION);
    ck_assert_str_eq(shelf_sync(&shelf), "+m:1;");
    ck_assert_str_eq(shelf_known(&shelf), "m:1=R ");
}
END_TEST

START_TEST(versions_without_a_configuration_are_told)
{
    written_bundle(&shelf.tmp, "m/1", TASK_TEXT_GENERATION);
    tmp_mkdir(&shelf.tmp, "m/2");
    tmp_write_text(&shelf.tmp, "m/2/model.safetensors", "x");
    shelf_sync(&shelf);
    ck_assert_msg(strstr(shelf.heard, "m!version 2: 'config.json' is missing") != NULL, "%s", shelf.heard);
    ck_assert_str_eq(shelf_known(&shelf), "m:1=R m:2=u ");
}
END_TEST

START_TEST(a_bundle_in_place_of_a_folder_of_bundles_is_told)
{
    struct error err;
    written_bundle(&shelf.tmp, "m", TASK_TEXT_GENERATION);
    tmp_path(&shelf.tmp, "m", shelf.folders);
    ck_assert_int_eq(repository_sync(shelf.repository, &err), STATUS_NOT_FOUND);
    ck_assert_ptr_nonnull(strstr(err.message, "/m' is a bundle, not a folder of bundles"));
}
END_TEST

/* However many threads start together, the same is served. */
START_TEST(threads_load_together_what_one_would)
{
    struct error err;
    char name[32];
    for (int i = 0; i < 12; i++) {
        snprintf(name, sizeof name, i % 3 ? "m%02d" : "m%02d/7", i);
        written_bundle(&shelf.tmp, name, (enum task_id)(i % N_TASKS));
    }
    written_edit(&shelf.tmp, "m04", "config.json", "{", "?");
    ck_assert_int_eq(repository_start(shelf.repository, 4, &err), STATUS_OK);
    ck_assert_str_eq(shelf_served(&shelf),
                     "m00:7 m01:1 m02:1 m03:7 m05:1 m06:7 m07:1 m08:1 m09:7 m10:1 m11:1 ");
    ck_assert_ptr_nonnull(strstr(shelf.heard, "m04!config.json: line 1: not JSON"));
}
END_TEST

START_TEST(a_broken_bundle_leaves_the_others)
{
    written_bundle(&shelf.tmp, "a", TASK_TEXT_GENERATION);
    written_bundle(&shelf.tmp, "b", TASK_TEXT_GENERATION);
    written_edit(&shelf.tmp, "b", "golden.json", "7.25", "7.5");
    written_bundle(&shelf.tmp, "c", TASK_TEXT_GENERATION);
    written_bundle(&shelf.tmp, "d/1", TASK_TEXT_GENERATION);
    written_bundle(&shelf.tmp, "d/2", TASK_TEXT_GENERATION);
    written_edit(&shelf.tmp, "d/2", "golden.json", "7.25", "7.5");
    written_bundle(&shelf.tmp, "-d", TASK_TEXT_GENERATION);
    shelf_sync(&shelf);
    ck_assert_ptr_nonnull(strstr(shelf.heard, "+a:1;b!golden.json: cases[0]: output[2] is 7.25"));
    ck_assert_ptr_nonnull(strstr(shelf.heard, "-d!model name '-d', expected"));
    ck_assert_ptr_nonnull(strstr(shelf.heard, "d!version 2: golden.json: "));
    ck_assert_str_eq(shelf_served(&shelf), "a:1 c:1 d:1 ");
    ck_assert_str_eq(shelf_known(&shelf), "a:1=R b:1=u c:1=R d:1=R d:2=u ");
    ck_assert_ptr_nonnull(strstr(shelf_reason(&shelf, "b", "1"), "golden.json: cases[0]: output[2] is 7.25"));
}
END_TEST

START_TEST(single_bundles_and_later_folders_win)
{
    char a[TMP_PATH_BYTES], b[TMP_PATH_BYTES];
    tmp_mkdir(&shelf.tmp, "a");
    tmp_mkdir(&shelf.tmp, "b");
    written_bundle(&shelf.tmp, "a/x/5", TASK_TEXT_GENERATION);
    written_bundle(&shelf.tmp, "a/y", TASK_TEXT_GENERATION);
    written_bundle(&shelf.tmp, "b/x/3", TASK_TEXT_GENERATION);
    written_bundle(&shelf.tmp, "mine", TASK_TEXT_GENERATION);
    snprintf(shelf.folders, sizeof shelf.folders, "%s:%s", tmp_path(&shelf.tmp, "a", a),
             tmp_path(&shelf.tmp, "b", b));
    ck_assert_str_eq(shelf_sync(&shelf), "+x:3;+y:1;");
    snprintf(shelf.bundles, sizeof shelf.bundles, "x=%s", tmp_path(&shelf.tmp, "mine", a));
    ck_assert_str_eq(shelf_sync(&shelf), "+x:1;-x:3;");
    ck_assert_str_eq(shelf_served(&shelf), "x:1 y:1 ");
}
END_TEST

static const struct {
    const char *bundle; /* NAME=, and a path in tmp */
    enum status status; /* of the whole */
    const char *part;   /* of what is heard, or of the error */
} singles[] = {
    {"good=x", STATUS_OK, "+good:1;"},
    {"versions=v", STATUS_OK, "+versions:3;"},
    {"e=empty", STATUS_OK, "holds no bundle: no config.json, no folder 1, 2, ..."},
    {"e=nowhere", STATUS_OK, "e!cannot open folder"},
    {"not a name=x", STATUS_BAD_VALUE, "model 'not a name': expected NAME=PATH"},
};

START_TEST(single_bundles_have_a_name_and_a_path)
{
    struct error err = {.message = ""};
    char path[TMP_PATH_BYTES];
    const char *equals = strchr(singles[_i].bundle, '=');
    written_bundle(&shelf.tmp, "x", TASK_TEXT_GENERATION);
    written_bundle(&shelf.tmp, "v/3", TASK_TEXT_GENERATION);
    tmp_mkdir(&shelf.tmp, "empty");
    shelf.folders[0] = '\0';
    snprintf(shelf.bundles, sizeof shelf.bundles, "%.*s=%s", (int)(equals - singles[_i].bundle),
             singles[_i].bundle, tmp_path(&shelf.tmp, equals + 1, path));
    ck_assert_int_eq(repository_sync(shelf.repository, &err), singles[_i].status);
    const char *told = singles[_i].status == STATUS_OK ? shelf.heard : err.message;
    ck_assert_msg(strstr(told, singles[_i].part) != NULL, "%s", told);
}
END_TEST

START_TEST(a_folder_that_cannot_be_read_changes_nothing)
{
    struct error err = {.message = ""};
    written_bundle(&shelf.tmp, "models/a", TASK_TEXT_GENERATION);
    tmp_path(&shelf.tmp, "models", shelf.folders);
    ck_assert_str_eq(shelf_sync(&shelf), "+a:1;");
    shelf_rename(&shelf, "models", "elsewhere");
    for (int i = 0; i < 3; i++) {
        ck_assert_int_eq(repository_sync(shelf.repository, &err), STATUS_NOT_FOUND);
        ck_assert_ptr_nonnull(strstr(err.message, "cannot open folder '"));
        ck_assert_int_eq(repository_poll(shelf.repository, &err), STATUS_NOT_FOUND);
    }
    ck_assert_int_eq(repository_load(shelf.repository, "a", &err), STATUS_NOT_FOUND);
    ck_assert_str_eq(shelf_served(&shelf), "a:1 ");
}
END_TEST

/* As over a network that goes away: half a list must not take the other half out of service. */
START_TEST(a_folder_whose_list_breaks_off_changes_nothing)
{
    struct error err = {.message = ""};
    for (int i = 0; i < 4; i++) {
        char name[16];
        snprintf(name, sizeof name, "m%d/1", i);
        written_bundle(&shelf.tmp, name, TASK_TEXT_GENERATION);
    }
    ck_assert_str_eq(shelf_sync(&shelf), "+m0:1;+m1:1;+m2:1;+m3:1;");
    for (int i = 0; i <= 6; i++) { /* two are . and .., the last call says that there are no more */
        for (int poll = 0; poll < 3; poll++) {
            entries_left = i;
            enum status status = poll ? repository_poll(shelf.repository, &err)
                                      : repository_sync(shelf.repository, &err);
            entries_left = -1;
            ck_assert_int_eq(status, STATUS_IO);
            ck_assert_ptr_nonnull(strstr(err.message, "cannot read folder '"));
        }
        ck_assert_str_eq(shelf_served(&shelf), "m0:1 m1:1 m2:1 m3:1 ");
    }
    for (int i = 7; i < 20; i++) { /* in the folders of the names */
        entries_left = i;
        ck_assert_int_eq(repository_sync(shelf.repository, &err), STATUS_OK);
        entries_left = -1;
        ck_assert_str_eq(shelf_served(&shelf), "m0:1 m1:1 m2:1 m3:1 ");
    }
}
END_TEST

/* ------------------------------------------------------------------------------------------
 * A second look */

START_TEST(a_sync_follows_the_disk)
{
    written_bundle(&shelf.tmp, "same", TASK_TEXT_GENERATION);
    written_bundle(&shelf.tmp, "goes", TASK_TEXT_GENERATION);
    written_bundle(&shelf.tmp, "changes", TASK_TEXT_GENERATION);
    written_bundle(&shelf.tmp, "v/1", TASK_TEXT_GENERATION);
    ck_assert_str_eq(shelf_sync(&shelf), "+changes:1;+goes:1;+same:1;+v:1;");
    ck_assert_str_eq(shelf_sync(&shelf), "");
    shelf_change(&shelf, "changes");
    shelf_rename(&shelf, "goes", ".gone");
    written_bundle(&shelf.tmp, "comes", TASK_FORECASTING);
    written_bundle(&shelf.tmp, "v/2", TASK_TEXT_GENERATION);
    ck_assert_str_eq(shelf_sync(&shelf), "+changes:1;+comes:1;+v:2;-goes:1;");
    ck_assert_str_eq(shelf_known(&shelf), "changes:1=R comes:1=R same:1=R v:1=R v:2=R ");
}
END_TEST

START_TEST(every_file_of_a_bundle_counts_as_a_change)
{
    written_bundle(&shelf.tmp, "m", TASK_TEXT_CLASSIFICATION);
    ck_assert_str_eq(shelf_sync(&shelf), "+m:1;");
    written_edit(&shelf.tmp, "m", "vocab.txt", "bad", "badly");
    shelf_sync(&shelf);
    ck_assert_ptr_nonnull(strstr(shelf.heard, "m!golden.json: cases[0]: tokens[1]"));
    written_edit(&shelf.tmp, "m", "golden.json", "Good bad !", "Good badly !");
    ck_assert_str_eq(shelf_sync(&shelf), "+m:1;");
}
END_TEST

START_TEST(a_bundle_that_fails_leaves_the_old_one)
{
    written_bundle(&shelf.tmp, "m", TASK_TEXT_GENERATION);
    shelf_sync(&shelf);
    struct model *old = registry_acquire(shelf.registry, "m");
    written_edit(&shelf.tmp, "m", "config.json", "Three letters", "\\ud800");
    shelf_refuses(&shelf, "m", STATUS_BAD_FORMAT, "config.json: ");
    ck_assert_str_eq(shelf_known(&shelf), "m:1=R ");
    ck_assert_ptr_nonnull(strstr(shelf_reason(&shelf, "m", "1"), "config.json: "));
    struct model *still = registry_acquire(shelf.registry, "m");
    ck_assert_ptr_eq(still, old);
    written_edit(&shelf.tmp, "m", "config.json", "\\ud800", "Three letters");
    ck_assert_str_eq(shelf_load(&shelf, "m"), "+m:1;");
    ck_assert_str_eq(shelf_reason(&shelf, "m", "1"), "");
    struct model *new = registry_acquire(shelf.registry, "m");
    ck_assert_ptr_ne(new, old);
    model_drop(old);
    model_drop(still);
    model_drop(new);
}
END_TEST

START_TEST(what_was_unloaded_stays_out_until_it_is_loaded)
{
    struct error err;
    written_bundle(&shelf.tmp, "m/1", TASK_TEXT_GENERATION);
    written_bundle(&shelf.tmp, "m/2", TASK_TEXT_GENERATION);
    written_bundle(&shelf.tmp, "other", TASK_TEXT_GENERATION);
    shelf_sync(&shelf);
    shelf.heard[0] = '\0';
    ck_assert_int_eq(repository_unload(shelf.repository, "m", &err), STATUS_OK);
    ck_assert_str_eq(shelf.heard, "-m:1;-m:2;");
    ck_assert_int_eq(repository_unload(shelf.repository, "m", &err), STATUS_OK); /* is out already */
    ck_assert_str_eq(shelf_served(&shelf), "other:1 ");
    ck_assert_str_eq(shelf_known(&shelf), "m:1=u m:2=u other:1=R ");
    ck_assert_str_eq(shelf_reason(&shelf, "m", "2"), "unloaded by request");
    shelf_change(&shelf, "m/1");
    ck_assert_str_eq(shelf_sync(&shelf), "");
    ck_assert_str_eq(shelf_poll(&shelf), "");
    ck_assert_str_eq(shelf_poll(&shelf), "");
    ck_assert_str_eq(shelf_load(&shelf, "m"), "+m:2;+m:1;");
    ck_assert_str_eq(shelf_load(&shelf, "m:1"), "+m:1;");
    shelf_change(&shelf, "m/2");
    ck_assert_str_eq(shelf_sync(&shelf), "+m:2;"); /* watched again */
    ck_assert_int_eq(repository_unload(shelf.repository, "n", &err), STATUS_NOT_FOUND);
    ck_assert_str_eq(err.message, "there is no model 'n'");
}
END_TEST

START_TEST(only_what_lies_on_disk_can_be_loaded)
{
    static const char *const ids[] = {"n", "m:2", "m:", "", ":1", "../m", "m:1:1"};
    written_bundle(&shelf.tmp, "m", TASK_TEXT_GENERATION);
    shelf_sync(&shelf);
    for (size_t i = 0; i < sizeof ids / sizeof *ids; i++) {
        shelf_refuses(&shelf, ids[i], STATUS_NOT_FOUND, "there is no bundle '");
        ck_assert_str_eq(shelf.heard, "");
    }
    shelf_rename(&shelf, "m", ".m");
    shelf_refuses(&shelf, "m", STATUS_NOT_FOUND, "there is no bundle 'm'");
    ck_assert_str_eq(shelf_served(&shelf), "m:1 "); /* a request to load takes nothing out */
}
END_TEST

/* ------------------------------------------------------------------------------------------
 * models.versions */

START_TEST(latest_keeps_the_highest_that_loads)
{
    shelf_close(&shelf);
    ck_assert_int_eq(shelf_open(&shelf, "latest, all=all"), STATUS_OK);
    written_bundle(&shelf.tmp, "m/1", TASK_TEXT_GENERATION);
    written_bundle(&shelf.tmp, "m/9", TASK_TEXT_GENERATION);
    written_bundle(&shelf.tmp, "all/1", TASK_TEXT_GENERATION);
    written_bundle(&shelf.tmp, "all/2", TASK_TEXT_GENERATION);
    ck_assert_str_eq(shelf_sync(&shelf), "+all:2;+all:1;+m:9;");
    ck_assert_str_eq(shelf_known(&shelf), "all:1=R all:2=R m:1=u m:9=R ");
    ck_assert_str_eq(shelf_reason(&shelf, "m", "1"),
                     "version 1 is not served: models.versions keeps the latest alone");
    shelf_refuses(&shelf, "m:1", STATUS_UNSUPPORTED,
                   "version 1 is not served: models.versions keeps the latest alone");

    written_bundle(&shelf.tmp, "m/10", TASK_TEXT_GENERATION);
    ck_assert_str_eq(shelf_sync(&shelf), "+m:10;-m:9;"); /* the new one comes before the old one goes */

    written_bundle(&shelf.tmp, "m/11", TASK_TEXT_GENERATION);
    written_edit(&shelf.tmp, "m/11", "golden.json", "7.25", "7.5");
    shelf_sync(&shelf);
    ck_assert_ptr_nonnull(strstr(shelf.heard, "m!version 11: golden.json"));
    ck_assert_ptr_null(strstr(shelf.heard, "-m"));
    shelf_refuses(&shelf, "m", STATUS_BAD_GOLDEN, "version 11: golden.json");
    ck_assert_str_eq(shelf_served(&shelf), "all:1 all:2 m:10 ");

    shelf_rename(&shelf, "m/10", "m/.10");
    shelf_sync(&shelf);
    ck_assert_ptr_nonnull(strstr(shelf.heard, "+m:9;-m:10;"));
    ck_assert_str_eq(shelf_served(&shelf), "all:1 all:2 m:9 ");
}
END_TEST

START_TEST(no_memory_is_survived_everywhere)
{
    written_bundle(&shelf.tmp, "a", TASK_TEXT_GENERATION);
    written_bundle(&shelf.tmp, "b/1", TASK_FORECASTING);
    for (uint64_t nth = 1;; nth++) {
        struct error err = {.message = ""};
        shelf_close(&shelf);
        memory_fail_at(nth);
        enum status status = shelf_open(&shelf, "all");
        if (status == STATUS_OK) status = repository_sync(shelf.repository, &err);
        memory_fail_at(0);
        if (status == STATUS_OK && strcmp(shelf.heard, "+a:1;+b:1;") == 0) break;
        ck_assert_msg(status == STATUS_NO_MEMORY || strchr(shelf.heard, '!'), "allocation %d: %s", (int)nth,
                      shelf.heard);
    }
}
END_TEST

/* ------------------------------------------------------------------------------------------
 * What is given up */

static _Atomic bool given_up;

/* The server is told to stop as soon as the first model has come. */
static void stop_at_first(void *context, enum repository_event event, const char *name,
                          const struct model *model, const struct error *err)
{
    (void)context, (void)name, (void)model, (void)err;
    ck_assert_int_eq(event, REPOSITORY_LOADED);
    atomic_store(&given_up, true);
}

static void expect_given_up(struct repository *repository)
{
    struct error err = {.message = ""};
    ck_assert_int_eq(repository_sync(repository, &err), STATUS_CLOSING);
    ck_assert_str_eq(err.message, "the load was given up");
    ck_assert_int_eq(repository_poll(repository, &err), STATUS_CLOSING);
    ck_assert_int_eq(repository_load(repository, "b", &err), STATUS_CLOSING);
}

START_TEST(a_pass_that_is_given_up_changes_no_more)
{
    struct repository *repository;
    const struct repository_options options = {.registry = shelf.registry,
                                               .sources = {.folders = shelf.folders,
                                                           .bundles = shelf.bundles},
                                               .versions = "all", .precisions = "auto",
                                               .listener = stop_at_first};
    written_bundle(&shelf.tmp, "a", TASK_TEXT_GENERATION);
    written_bundle(&shelf.tmp, "b", TASK_TEXT_GENERATION);
    ck_assert_int_eq(repository_new(&options, &repository), STATUS_OK);
    throttle_set(100, &given_up);
    expect_given_up(repository);
    ck_assert_str_eq(shelf_served(&shelf), "a:1 ");
    repository_free(repository);

    atomic_store(&given_up, false);
    ck_assert_str_eq(shelf_sync(&shelf), "+a:1;+b:1;");
    shelf_change(&shelf, "a");
    shelf_rename(&shelf, "b", ".b");
    written_bundle(&shelf.tmp, "c", TASK_TEXT_GENERATION);
    atomic_store(&given_up, true);
    shelf.heard[0] = '\0';
    expect_given_up(shelf.repository);
    ck_assert_str_eq(shelf.heard, "");
    ck_assert_str_eq(shelf_known(&shelf), "a:1=R b:1=R ");

    atomic_store(&given_up, false);
    ck_assert_str_eq(shelf_sync(&shelf), "+a:1;+c:1;-b:1;");
    throttle_set(100, NULL);
}
END_TEST

Suite *repository_suite(void);

Suite *repository_suite(void)
{
    Suite *suite = suite_create("repository");
    TCase *disk = tcase_create("disk");
    tcase_add_checked_fixture(disk, setup, teardown);
    tcase_set_timeout(disk, 30);
    tcase_add_test(disk, folders_and_versions_are_found);
    tcase_add_loop_test(disk, weights_without_a_configuration_are_told, 0, 4);
    tcase_add_test(disk, versions_without_a_configuration_are_told);
    tcase_add_test(disk, a_bundle_in_place_of_a_folder_of_bundles_is_told);
    tcase_add_test(disk, threads_load_together_what_one_would);
    tcase_add_test(disk, a_broken_bundle_leaves_the_others);
    tcase_add_test(disk, single_bundles_and_later_folders_win);
    tcase_add_loop_test(disk, single_bundles_have_a_name_and_a_path, 0, sizeof singles / sizeof *singles);
    tcase_add_test(disk, a_folder_that_cannot_be_read_changes_nothing);
    tcase_add_test(disk, a_folder_whose_list_breaks_off_changes_nothing);
    tcase_add_test(disk, a_sync_follows_the_disk);
    tcase_add_test(disk, every_file_of_a_bundle_counts_as_a_change);
    tcase_add_test(disk, a_bundle_that_fails_leaves_the_old_one);
    tcase_add_test(disk, what_was_unloaded_stays_out_until_it_is_loaded);
    tcase_add_test(disk, only_what_lies_on_disk_can_be_loaded);
    tcase_add_test(disk, latest_keeps_the_highest_that_loads);
    tcase_add_test(disk, no_memory_is_survived_everywhere);
    tcase_add_test(disk, a_pass_that_is_given_up_changes_no_more);
    suite_add_tcase(suite, disk);
    return suite;
}
