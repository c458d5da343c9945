/* repository: folders on disk to models in the registry, at start, on request and by polling. */
#define _GNU_SOURCE /* readdir64 */
#include <check.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/memory.h"
#include "core/throttle.h"
#include "tests/support/shelf.h"
#include "tests/support/written.h"

static struct shelf shelf;

/* Of folders' entries: how many are yet read before reading fails; negative: it does not. The program's own readdir
 * stands before the C library's, whose other name it calls. */
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

/* The calls, each of which begins a new record of what is heard. */
static const char *sync_all(void)
{
    struct error err = {.message = ""};
    shelf.heard[0] = '\0';
    ck_assert_msg(repository_sync(shelf.repository, &err) == STATUS_OK, "%s", err.message);
    return shelf.heard;
}

static const char *poll_all(void)
{
    struct error err = {.message = ""};
    shelf.heard[0] = '\0';
    ck_assert_msg(repository_poll(shelf.repository, &err) == STATUS_OK, "%s", err.message);
    return shelf.heard;
}

static const char *load(const char *id)
{
    struct error err = {.message = ""};
    shelf.heard[0] = '\0';
    ck_assert_msg(repository_load(shelf.repository, id, &err) == STATUS_OK, "%s", err.message);
    return shelf.heard;
}

static void expect_failure(const char *id, enum status wanted, const char *part)
{
    struct error err = {.message = ""};
    shelf.heard[0] = '\0';
    ck_assert_int_eq(repository_load(shelf.repository, id, &err), wanted);
    ck_assert_msg(strstr(err.message, part) != NULL, "'%s' is not in '%s'", part, err.message);
}

/* What is served, "name:version ", and what is known, "name:version=state " with the state's first letter. */
static const char *served(void)
{
    static char out[512];
    struct model **models;
    size_t n, at = 0;
    out[0] = '\0';
    ck_assert_int_eq(registry_list(shelf.registry, &models, &n), STATUS_OK);
    for (size_t i = 0; i < n; i++) {
        at += (size_t)snprintf(out + at, sizeof out - at, "%s:%s ", models[i]->name, models[i]->version);
        model_drop(models[i]);
    }
    memory_free(models);
    return out;
}

static const char *known(void)
{
    static char out[1024];
    struct repository_entry *entries;
    size_t n, at = 0;
    out[0] = '\0';
    ck_assert_int_eq(repository_list(shelf.repository, &entries, &n), STATUS_OK);
    for (size_t i = 0; i < n; i++)
        at += (size_t)snprintf(out + at, sizeof out - at, "%s:%s=%c ", entries[i].name, entries[i].version,
                               "ulR"[entries[i].state]);
    memory_free(entries);
    return out;
}

static const char *reason_of(const char *name, const char *version)
{
    static char out[ERROR_MESSAGE_BYTES];
    struct repository_entry *entries;
    size_t n;
    snprintf(out, sizeof out, "(not known)");
    ck_assert_int_eq(repository_list(shelf.repository, &entries, &n), STATUS_OK);
    for (size_t i = 0; i < n; i++)
        if (!strcmp(entries[i].name, name) && !strcmp(entries[i].version, version))
            memcpy(out, entries[i].reason, sizeof out);
    memory_free(entries);
    return out;
}

/* An edit that leaves the bundle good and changes its size, so that no clock is needed to see it. */
static void change(const char *name)
{
    written_edit(&shelf.tmp, name, "config.json", "Three letters", "Three letters or so");
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
    ck_assert_str_eq(sync_all(), "+apple:10;+apple:9;+mango:1;+zebra:1;");
    ck_assert_str_eq(served(), "apple:9 apple:10 mango:1 zebra:1 ");
    ck_assert_str_eq(known(), "apple:9=R apple:10=R mango:1=R zebra:1=R ");
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
    sync_all();
    ck_assert_ptr_nonnull(strstr(shelf.heard, "+a:1;b!golden.json: cases[0]: output[2] is 7.25"));
    ck_assert_ptr_nonnull(strstr(shelf.heard, "-d!model name '-d', expected"));
    ck_assert_ptr_nonnull(strstr(shelf.heard, "d!version 2: golden.json: "));
    ck_assert_str_eq(served(), "a:1 c:1 d:1 ");
    ck_assert_str_eq(known(), "a:1=R b:1=u c:1=R d:1=R d:2=u ");
    ck_assert_ptr_nonnull(strstr(reason_of("b", "1"), "golden.json: cases[0]: output[2] is 7.25"));
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
    ck_assert_str_eq(sync_all(), "+x:3;+y:1;");
    snprintf(shelf.bundles, sizeof shelf.bundles, "x=%s", tmp_path(&shelf.tmp, "mine", a));
    ck_assert_str_eq(sync_all(), "+x:1;-x:3;");
    ck_assert_str_eq(served(), "x:1 y:1 ");
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
    ck_assert_str_eq(sync_all(), "+a:1;");
    shelf_rename(&shelf, "models", "elsewhere");
    for (int i = 0; i < 3; i++) {
        ck_assert_int_eq(repository_sync(shelf.repository, &err), STATUS_NOT_FOUND);
        ck_assert_ptr_nonnull(strstr(err.message, "cannot open folder '"));
        ck_assert_int_eq(repository_poll(shelf.repository, &err), STATUS_NOT_FOUND);
    }
    ck_assert_int_eq(repository_load(shelf.repository, "a", &err), STATUS_NOT_FOUND);
    ck_assert_str_eq(served(), "a:1 ");
}
END_TEST

/* As over a network that goes away: half a list must not take the other half out of service. */
START_TEST(a_folder_whose_list_breaks_off_changes_nothing)
{
    struct error err = {.message = ""};
    for (int i = 0; i < 4; i++) {
        char name[8];
        snprintf(name, sizeof name, "m%d/1", i);
        written_bundle(&shelf.tmp, name, TASK_TEXT_GENERATION);
    }
    ck_assert_str_eq(sync_all(), "+m0:1;+m1:1;+m2:1;+m3:1;");
    for (int i = 0; i <= 6; i++) { /* two are . and .., the last call says that there are no more */
        for (int poll = 0; poll < 3; poll++) {
            entries_left = i;
            enum status status = poll ? repository_poll(shelf.repository, &err) : repository_sync(shelf.repository, &err);
            entries_left = -1;
            ck_assert_int_eq(status, STATUS_IO);
            ck_assert_ptr_nonnull(strstr(err.message, "cannot read folder '"));
        }
        ck_assert_str_eq(served(), "m0:1 m1:1 m2:1 m3:1 ");
    }
    for (int i = 7; i < 20; i++) { /* in the folders of the names */
        entries_left = i;
        ck_assert_int_eq(repository_sync(shelf.repository, &err), STATUS_OK);
        entries_left = -1;
        ck_assert_str_eq(served(), "m0:1 m1:1 m2:1 m3:1 ");
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
    ck_assert_str_eq(sync_all(), "+changes:1;+goes:1;+same:1;+v:1;");
    ck_assert_str_eq(sync_all(), "");
    change("changes");
    shelf_rename(&shelf, "goes", ".gone");
    written_bundle(&shelf.tmp, "comes", TASK_FORECASTING);
    written_bundle(&shelf.tmp, "v/2", TASK_TEXT_GENERATION);
    ck_assert_str_eq(sync_all(), "+changes:1;+comes:1;+v:2;-goes:1;");
    ck_assert_str_eq(known(), "changes:1=R comes:1=R same:1=R v:1=R v:2=R ");
}
END_TEST

START_TEST(every_file_of_a_bundle_counts_as_a_change)
{
    written_bundle(&shelf.tmp, "m", TASK_TEXT_CLASSIFICATION);
    ck_assert_str_eq(sync_all(), "+m:1;");
    written_edit(&shelf.tmp, "m", "vocab.txt", "bad", "badly");
    sync_all();
    ck_assert_ptr_nonnull(strstr(shelf.heard, "m!golden.json: cases[0]: tokens[1]"));
    written_edit(&shelf.tmp, "m", "golden.json", "Good bad !", "Good badly !");
    ck_assert_str_eq(sync_all(), "+m:1;");
}
END_TEST

START_TEST(a_bundle_that_fails_leaves_the_old_one)
{
    written_bundle(&shelf.tmp, "m", TASK_TEXT_GENERATION);
    sync_all();
    struct model *old = registry_acquire(shelf.registry, "m");
    written_edit(&shelf.tmp, "m", "config.json", "Three letters", "\\ud800");
    expect_failure("m", STATUS_BAD_FORMAT, "config.json: ");
    ck_assert_str_eq(known(), "m:1=R ");
    ck_assert_ptr_nonnull(strstr(reason_of("m", "1"), "config.json: "));
    struct model *still = registry_acquire(shelf.registry, "m");
    ck_assert_ptr_eq(still, old);
    written_edit(&shelf.tmp, "m", "config.json", "\\ud800", "Three letters");
    ck_assert_str_eq(load("m"), "+m:1;");
    ck_assert_str_eq(reason_of("m", "1"), "");
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
    sync_all();
    shelf.heard[0] = '\0';
    ck_assert_int_eq(repository_unload(shelf.repository, "m", &err), STATUS_OK);
    ck_assert_str_eq(shelf.heard, "-m:1;-m:2;");
    ck_assert_int_eq(repository_unload(shelf.repository, "m", &err), STATUS_OK); /* is out already */
    ck_assert_str_eq(served(), "other:1 ");
    ck_assert_str_eq(known(), "m:1=u m:2=u other:1=R ");
    ck_assert_str_eq(reason_of("m", "2"), "unloaded by request");
    change("m/1");
    ck_assert_str_eq(sync_all(), "");
    ck_assert_str_eq(poll_all(), "");
    ck_assert_str_eq(poll_all(), "");
    ck_assert_str_eq(load("m"), "+m:2;+m:1;");
    ck_assert_str_eq(load("m:1"), "+m:1;");
    change("m/2");
    ck_assert_str_eq(sync_all(), "+m:2;"); /* watched again */
    ck_assert_int_eq(repository_unload(shelf.repository, "n", &err), STATUS_NOT_FOUND);
    ck_assert_str_eq(err.message, "there is no model 'n'");
}
END_TEST

START_TEST(only_what_lies_on_disk_can_be_loaded)
{
    static const char *const ids[] = {"n", "m:2", "m:", "", ":1", "../m", "m:1:1"};
    written_bundle(&shelf.tmp, "m", TASK_TEXT_GENERATION);
    sync_all();
    for (size_t i = 0; i < sizeof ids / sizeof *ids; i++) {
        expect_failure(ids[i], STATUS_NOT_FOUND, "there is no bundle '");
        ck_assert_str_eq(shelf.heard, "");
    }
    shelf_rename(&shelf, "m", ".m");
    expect_failure("m", STATUS_NOT_FOUND, "there is no bundle 'm'");
    ck_assert_str_eq(served(), "m:1 "); /* a request to load takes nothing out */
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
    ck_assert_str_eq(sync_all(), "+all:2;+all:1;+m:9;");
    ck_assert_str_eq(known(), "all:1=R all:2=R m:1=u m:9=R ");
    ck_assert_str_eq(reason_of("m", "1"), "version 1 is not served: models.versions keeps the latest alone");
    expect_failure("m:1", STATUS_UNSUPPORTED,
                   "version 1 is not served: models.versions keeps the latest alone");

    written_bundle(&shelf.tmp, "m/10", TASK_TEXT_GENERATION);
    ck_assert_str_eq(sync_all(), "+m:10;-m:9;"); /* the new one comes before the old one goes */

    written_bundle(&shelf.tmp, "m/11", TASK_TEXT_GENERATION);
    written_edit(&shelf.tmp, "m/11", "golden.json", "7.25", "7.5");
    sync_all();
    ck_assert_ptr_nonnull(strstr(shelf.heard, "m!version 11: golden.json"));
    ck_assert_ptr_null(strstr(shelf.heard, "-m"));
    expect_failure("m", STATUS_BAD_GOLDEN, "version 11: golden.json");
    ck_assert_str_eq(served(), "all:1 all:2 m:10 ");

    shelf_rename(&shelf, "m/10", "m/.10");
    sync_all();
    ck_assert_ptr_nonnull(strstr(shelf.heard, "+m:9;-m:10;"));
    ck_assert_str_eq(served(), "all:1 all:2 m:9 ");
}
END_TEST

/* ------------------------------------------------------------------------------------------
 * Polling */

START_TEST(a_poll_reads_what_has_been_still)
{
    ck_assert_str_eq(sync_all(), "");
    written_bundle(&shelf.tmp, "m", TASK_TEXT_GENERATION);
    ck_assert_str_eq(poll_all(), "");
    ck_assert_str_eq(poll_all(), "+m:1;");
    ck_assert_str_eq(poll_all(), "");
    change("m");
    ck_assert_str_eq(poll_all(), "");
    change("m"); /* still being written */
    ck_assert_str_eq(poll_all(), "");
    ck_assert_str_eq(poll_all(), "+m:1;");
    ck_assert_str_eq(poll_all(), "");
}
END_TEST

/* Copied file by file, in any order, with weights that come in two halves and a pause in each place: every
 * poll sees what is there stay the same for a while, and none may read it. */
START_TEST(a_half_written_bundle_is_never_read)
{
    static const char *const orders[][3] = {{"config.json", "golden.json", "model.safetensors"},
                                            {"model.safetensors", "config.json", "golden.json"},
                                            {"golden.json", "model.safetensors", "config.json"}};
    char from[64], to[64];
    written_bundle(&shelf.tmp, ".source", TASK_TEXT_GENERATION);
    tmp_mkdir(&shelf.tmp, "m");
    sync_all();
    for (size_t i = 0; i < 3; i++) {
        size_t n;
        snprintf(from, sizeof from, ".source/%s", orders[_i][i]);
        snprintf(to, sizeof to, "m/%s", orders[_i][i]);
        char *bytes = tmp_read(&shelf.tmp, from, &n);
        for (size_t part = n / 2; part <= n; part += n - part ? n - part : 1) {
            if (part == n && i == 2) break;
            if (part < n && strcmp(orders[_i][i], "model.safetensors") != 0) continue;
            tmp_write(&shelf.tmp, to, bytes, part);
            for (int k = 0; k < 3; k++) ck_assert_str_eq(poll_all(), "");
        }
        if (i == 2) tmp_write(&shelf.tmp, to, bytes, n);
        free(bytes);
    }
    ck_assert_str_eq(served(), "");
    ck_assert_str_eq(poll_all(), "");
    ck_assert_str_eq(poll_all(), "+m:1;");
}
END_TEST

/* Weights that are written over in place, with a pause in the middle: as long as they should be, and still. */
START_TEST(half_overwritten_weights_are_told_by_their_sum)
{
    size_t n;
    written_bundle(&shelf.tmp, "m", TASK_TEXT_GENERATION);
    written_sum(&shelf.tmp, "m");
    ck_assert_str_eq(sync_all(), "+m:1;");
    char *whole = tmp_read(&shelf.tmp, "m/model.safetensors", &n);
    char *half = tmp_read(&shelf.tmp, "m/model.safetensors", NULL);
    memset(half + n - 12, 0, 6);
    for (int again = 0; again < 2; again++) {
        tmp_write(&shelf.tmp, "m/model.safetensors", half, n);
        char path[TMP_PATH_BYTES];
        const struct timespec times[2] = {{.tv_sec = 1600000000 + again}, {.tv_sec = 1600000000 + again}};
        ck_assert_int_eq(utimensat(AT_FDCWD, tmp_path(&shelf.tmp, "m/model.safetensors", path), times, 0), 0);
        ck_assert_str_eq(poll_all(), "");
        poll_all();
        ck_assert_ptr_nonnull(strstr(shelf.heard, "m!model.safetensors: its sha256 is "));
        ck_assert_ptr_nonnull(strstr(reason_of("m", "1"), ": the file is damaged, incomplete or "));
        ck_assert_str_eq(known(), "m:1=R "); /* the old one goes on */
        ck_assert_str_eq(poll_all(), "");
        expect_failure("m", STATUS_BAD_FORMAT, "model.safetensors: its sha256 is ");
        sync_all();
        ck_assert_ptr_nonnull(strstr(shelf.heard, "m!model.safetensors: its sha256 is "));
    }
    tmp_write(&shelf.tmp, "m/model.safetensors", whole, n);
    ck_assert_str_eq(poll_all(), "");
    ck_assert_str_eq(poll_all(), "+m:1;");
    ck_assert_str_eq(reason_of("m", "1"), "");
    free(whole);
    free(half);
}
END_TEST

START_TEST(a_poll_says_what_a_bundle_waits_for)
{
    char path[TMP_PATH_BYTES];
    sync_all();
    written_bundle(&shelf.tmp, "m", TASK_TEXT_GENERATION);
    ck_assert_int_eq(unlink(tmp_path(&shelf.tmp, "m/golden.json", path)), 0);
    poll_all();
    poll_all();
    ck_assert_str_eq(known(), "m:1=u ");
    ck_assert_str_eq(reason_of("m", "1"), "golden.json is not there yet");
}
END_TEST

START_TEST(a_poll_tries_a_broken_bundle_once)
{
    sync_all();
    written_bundle(&shelf.tmp, "m", TASK_TEXT_GENERATION);
    written_edit(&shelf.tmp, "m", "golden.json", "7.25", "7.5");
    ck_assert_str_eq(poll_all(), "");
    poll_all();
    ck_assert_ptr_nonnull(strstr(shelf.heard, "m!golden.json"));
    ck_assert_str_eq(poll_all(), "");
    ck_assert_str_eq(poll_all(), "");
    written_edit(&shelf.tmp, "m", "golden.json", "7.5", "7.25");
    ck_assert_str_eq(poll_all(), "");
    ck_assert_str_eq(poll_all(), "+m:1;");
}
END_TEST

START_TEST(a_poll_between_two_renames_takes_nothing_out)
{
    written_bundle(&shelf.tmp, "m", TASK_TEXT_GENERATION);
    written_bundle(&shelf.tmp, ".new", TASK_TEXT_GENERATION);
    change(".new");
    sync_all();
    shelf_rename(&shelf, "m", ".old");
    ck_assert_str_eq(poll_all(), "");
    shelf_rename(&shelf, ".new", "m");
    ck_assert_str_eq(poll_all(), "");
    ck_assert_str_eq(poll_all(), "+m:1;");
    shelf_rename(&shelf, "m", ".newer");
    ck_assert_str_eq(poll_all(), "");
    ck_assert_str_eq(poll_all(), "-m:1;");
    ck_assert_str_eq(known(), "");
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
static void stop_at_first(void *context, enum repository_event event, const char *name, const struct model *model,
                          const struct error *err)
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
                                               .sources = {.folders = shelf.folders, .bundles = shelf.bundles},
                                               .versions = "all", .precisions = "auto", .listener = stop_at_first};
    written_bundle(&shelf.tmp, "a", TASK_TEXT_GENERATION);
    written_bundle(&shelf.tmp, "b", TASK_TEXT_GENERATION);
    ck_assert_int_eq(repository_new(&options, &repository), STATUS_OK);
    throttle_set(100, &given_up);
    expect_given_up(repository);
    ck_assert_str_eq(served(), "a:1 ");
    repository_free(repository);

    atomic_store(&given_up, false);
    ck_assert_str_eq(sync_all(), "+a:1;+b:1;");
    change("a");
    shelf_rename(&shelf, "b", ".b");
    written_bundle(&shelf.tmp, "c", TASK_TEXT_GENERATION);
    atomic_store(&given_up, true);
    shelf.heard[0] = '\0';
    expect_given_up(shelf.repository);
    ck_assert_str_eq(shelf.heard, "");
    ck_assert_str_eq(known(), "a:1=R b:1=R ");

    atomic_store(&given_up, false);
    ck_assert_str_eq(sync_all(), "+a:1;+c:1;-b:1;");
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

    TCase *polling = tcase_create("polling");
    tcase_add_checked_fixture(polling, setup, teardown);
    tcase_set_timeout(polling, 30);
    tcase_add_test(polling, a_poll_reads_what_has_been_still);
    tcase_add_loop_test(polling, a_half_written_bundle_is_never_read, 0, 3);
    tcase_add_test(polling, half_overwritten_weights_are_told_by_their_sum);
    tcase_add_test(polling, a_poll_says_what_a_bundle_waits_for);
    tcase_add_test(polling, a_poll_tries_a_broken_bundle_once);
    tcase_add_test(polling, a_poll_between_two_renames_takes_nothing_out);
    suite_add_tcase(suite, polling);
    return suite;
}
