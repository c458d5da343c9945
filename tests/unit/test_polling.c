/* polling: what lies on disk is served once it has been whole and still, and never before. */
#include <check.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

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

START_TEST(a_poll_reads_what_has_been_still)
{
    ck_assert_str_eq(shelf_sync(&shelf), "");
    written_bundle(&shelf.tmp, "m", TASK_TEXT_GENERATION);
    ck_assert_str_eq(shelf_poll(&shelf), "");
    ck_assert_str_eq(shelf_poll(&shelf), "+m:1;");
    ck_assert_str_eq(shelf_poll(&shelf), "");
    shelf_change(&shelf, "m");
    ck_assert_str_eq(shelf_poll(&shelf), "");
    shelf_change(&shelf, "m"); /* still being written */
    ck_assert_str_eq(shelf_poll(&shelf), "");
    ck_assert_str_eq(shelf_poll(&shelf), "+m:1;");
    ck_assert_str_eq(shelf_poll(&shelf), "");
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
    shelf_sync(&shelf);
    for (size_t i = 0; i < 3; i++) {
        size_t n;
        snprintf(from, sizeof from, ".source/%s", orders[_i][i]);
        snprintf(to, sizeof to, "m/%s", orders[_i][i]);
        char *bytes = tmp_read(&shelf.tmp, from, &n);
        for (size_t part = n / 2; part <= n; part += n - part ? n - part : 1) {
            if (part == n && i == 2) break;
            if (part < n && strcmp(orders[_i][i], "model.safetensors") != 0) continue;
            tmp_write(&shelf.tmp, to, bytes, part);
            for (int k = 0; k < 3; k++) ck_assert_str_eq(shelf_poll(&shelf), "");
        }
        if (i == 2) tmp_write(&shelf.tmp, to, bytes, n);
        free(bytes);
    }
    ck_assert_str_eq(shelf_served(&shelf), "");
    ck_assert_str_eq(shelf_poll(&shelf), "");
    ck_assert_str_eq(shelf_poll(&shelf), "+m:1;");
}
END_TEST

/* Weights that are written over in place, with a pause in the middle: as long as they should be, and
 * still. */
START_TEST(half_overwritten_weights_are_told_by_their_sum)
{
    size_t n;
    written_bundle(&shelf.tmp, "m", TASK_TEXT_GENERATION);
    written_sum(&shelf.tmp, "m");
    ck_assert_str_eq(shelf_sync(&shelf), "+m:1;");
    char *whole = tmp_read(&shelf.tmp, "m/model.safetensors", &n);
    char *half = tmp_read(&shelf.tmp, "m/model.safetensors", NULL);
    memset(half + n - 12, 0, 6);
    for (int again = 0; again < 2; again++) {
        tmp_write(&shelf.tmp, "m/model.safetensors", half, n);
        char path[TMP_PATH_BYTES];
        const struct timespec times[2] = {{.tv_sec = 1600000000 + again}, {.tv_sec = 1600000000 + again}};
        ck_assert_int_eq(utimensat(AT_FDCWD, tmp_path(&shelf.tmp, "m/model.safetensors", path), times, 0), 0);
        ck_assert_str_eq(shelf_poll(&shelf), "");
        shelf_poll(&shelf);
        ck_assert_ptr_nonnull(strstr(shelf.heard, "m!model.safetensors: its sha256 is "));
        ck_assert_ptr_nonnull(strstr(shelf_reason(&shelf, "m", "1"),
                                     ": the file is damaged, incomplete or "));
        ck_assert_str_eq(shelf_known(&shelf), "m:1=R "); /* the old one goes on */
        ck_assert_str_eq(shelf_poll(&shelf), "");
        shelf_refuses(&shelf, "m", STATUS_BAD_FORMAT, "model.safetensors: its sha256 is ");
        shelf_sync(&shelf);
        ck_assert_ptr_nonnull(strstr(shelf.heard, "m!model.safetensors: its sha256 is "));
    }
    tmp_write(&shelf.tmp, "m/model.safetensors", whole, n);
    ck_assert_str_eq(shelf_poll(&shelf), "");
    ck_assert_str_eq(shelf_poll(&shelf), "+m:1;");
    ck_assert_str_eq(shelf_reason(&shelf, "m", "1"), "");
    free(whole);
    free(half);
}
END_TEST

/* Cut short in place: the old one goes on, and why the new one does not come is said once, and shown. */
START_TEST(a_served_bundle_that_is_overwritten_by_half_is_told)
{
    size_t n;
    written_bundle(&shelf.tmp, "m", TASK_TEXT_GENERATION);
    ck_assert_str_eq(shelf_sync(&shelf), "+m:1;");
    char *whole = tmp_read(&shelf.tmp, "m/model.safetensors", &n);
    tmp_write(&shelf.tmp, "m/model.safetensors", whole, n - 4);
    ck_assert_str_eq(shelf_poll(&shelf), "");
    shelf_poll(&shelf);
    ck_assert_msg(strstr(shelf.heard, "m!model.safetensors: ") == shelf.heard, "%s", shelf.heard);
    ck_assert_str_eq(shelf_poll(&shelf), "");
    ck_assert_str_eq(shelf_known(&shelf), "m:1=R ");
    ck_assert_ptr_nonnull(strstr(shelf_reason(&shelf, "m", "1"), "model.safetensors: "));
    tmp_write(&shelf.tmp, "m/model.safetensors", whole, n);
    ck_assert_str_eq(shelf_poll(&shelf), "");
    ck_assert_str_eq(shelf_poll(&shelf), "+m:1;");
    ck_assert_str_eq(shelf_reason(&shelf, "m", "1"), "");
    free(whole);
}
END_TEST

START_TEST(a_poll_says_what_a_bundle_waits_for)
{
    char path[TMP_PATH_BYTES];
    shelf_sync(&shelf);
    written_bundle(&shelf.tmp, "m", TASK_TEXT_GENERATION);
    ck_assert_int_eq(unlink(tmp_path(&shelf.tmp, "m/golden.json", path)), 0);
    shelf_poll(&shelf);
    shelf_poll(&shelf);
    ck_assert_str_eq(shelf_known(&shelf), "m:1=u ");
    ck_assert_str_eq(shelf_reason(&shelf, "m", "1"), "golden.json is not there yet");
}
END_TEST

START_TEST(a_poll_tries_a_broken_bundle_once)
{
    shelf_sync(&shelf);
    written_bundle(&shelf.tmp, "m", TASK_TEXT_GENERATION);
    written_edit(&shelf.tmp, "m", "golden.json", "7.25", "7.5");
    ck_assert_str_eq(shelf_poll(&shelf), "");
    shelf_poll(&shelf);
    ck_assert_ptr_nonnull(strstr(shelf.heard, "m!golden.json"));
    ck_assert_str_eq(shelf_poll(&shelf), "");
    ck_assert_str_eq(shelf_poll(&shelf), "");
    written_edit(&shelf.tmp, "m", "golden.json", "7.5", "7.25");
    ck_assert_str_eq(shelf_poll(&shelf), "");
    ck_assert_str_eq(shelf_poll(&shelf), "+m:1;");
}
END_TEST

START_TEST(a_poll_between_two_renames_takes_nothing_out)
{
    written_bundle(&shelf.tmp, "m", TASK_TEXT_GENERATION);
    written_bundle(&shelf.tmp, ".new", TASK_TEXT_GENERATION);
    shelf_change(&shelf, ".new");
    shelf_sync(&shelf);
    shelf_rename(&shelf, "m", ".old");
    ck_assert_str_eq(shelf_poll(&shelf), "");
    shelf_rename(&shelf, ".new", "m");
    ck_assert_str_eq(shelf_poll(&shelf), "");
    ck_assert_str_eq(shelf_poll(&shelf), "+m:1;");
    shelf_rename(&shelf, "m", ".newer");
    ck_assert_str_eq(shelf_poll(&shelf), "");
    ck_assert_str_eq(shelf_poll(&shelf), "-m:1;");
    ck_assert_str_eq(shelf_known(&shelf), "");
}
END_TEST

Suite *polling_suite(void);

Suite *polling_suite(void)
{
    Suite *suite = suite_create("polling");
    TCase *core = tcase_create("core");
    tcase_add_checked_fixture(core, setup, teardown);
    tcase_set_timeout(core, 30);
    tcase_add_test(core, a_poll_reads_what_has_been_still);
    tcase_add_loop_test(core, a_half_written_bundle_is_never_read, 0, 3);
    tcase_add_test(core, half_overwritten_weights_are_told_by_their_sum);
    tcase_add_test(core, a_served_bundle_that_is_overwritten_by_half_is_told);
    tcase_add_test(core, a_poll_says_what_a_bundle_waits_for);
    tcase_add_test(core, a_poll_tries_a_broken_bundle_once);
    tcase_add_test(core, a_poll_between_two_renames_takes_nothing_out);
    suite_add_tcase(suite, core);
    return suite;
}
