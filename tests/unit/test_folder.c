/* folder: links that stay below what is served are followed, as mounts of Kubernetes, git-sync and Hugging
 * Face's cache make them; links that lead out are refused. */
#include <check.h>
#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "models/text/folder.h"
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

static void link_to(const char *target, const char *name)
{
    char path[TMP_PATH_BYTES];
    ck_assert_int_eq(symlink(target, tmp_path(&shelf.tmp, name, path)), 0);
}

/* The three files of a bundle as links to PREFIX + name. */
static void link_files(const char *folder, const char *prefix)
{
    static const char *const names[] = {"config.json", "model.safetensors", "golden.json"};
    char target[TMP_PATH_BYTES], name[TMP_PATH_BYTES];
    tmp_mkdir(&shelf.tmp, folder);
    for (size_t i = 0; i < 3; i++) {
        snprintf(target, sizeof target, "%s%s", prefix, names[i]);
        snprintf(name, sizeof name, "%s/%s", folder, names[i]);
        link_to(target, name);
    }
}

/* The kubelet writes a new folder, and then exchanges the link ..data. */
START_TEST(a_config_map_is_a_bundle_and_its_update_is_noticed)
{
    tmp_mkdir(&shelf.tmp, "m");
    written_bundle(&shelf.tmp, "m/..2026_01", TASK_TEXT_GENERATION);
    link_to("..2026_01", "m/..data");
    link_files("m", "..data/");
    ck_assert_str_eq(shelf_sync(&shelf), "+m:1;");
    ck_assert_str_eq(shelf_poll(&shelf), "");
    written_bundle(&shelf.tmp, "m/..2026_02", TASK_TEXT_GENERATION);
    shelf_change(&shelf, "m/..2026_02");
    link_to("..2026_02", "m/..new");
    shelf_rename(&shelf, "m/..new", "m/..data");
    ck_assert_str_eq(shelf_poll(&shelf), "");
    ck_assert_str_eq(shelf_poll(&shelf), "+m:1;");
}
END_TEST

/* --root=R --link=current: the operator names R/current, which may lead anywhere. */
START_TEST(the_folder_of_git_sync_may_be_a_link)
{
    tmp_mkdir(&shelf.tmp, ".worktrees/abc");
    written_bundle(&shelf.tmp, ".worktrees/abc/m", TASK_TEXT_GENERATION);
    link_to("m", ".worktrees/abc/other");
    link_to(".worktrees/abc", "current");
    snprintf(shelf.folders, sizeof shelf.folders, "%.200s/current", shelf.tmp.path);
    shelf_close(&shelf);
    ck_assert_int_eq(shelf_open(&shelf, "all"), STATUS_OK);
    ck_assert_str_eq(shelf_sync(&shelf), "+m:1;+other:1;");
}
END_TEST

static void hugging_face_cache(const char *name)
{
    char path[TMP_PATH_BYTES];
    snprintf(path, sizeof path, "%s/blobs", name);
    written_bundle(&shelf.tmp, path, TASK_TEXT_GENERATION);
    snprintf(path, sizeof path, "%s/snapshots/00ff", name);
    link_files(path, "../../blobs/");
    snprintf(path, sizeof path, "%s/refs", name);
    tmp_mkdir(&shelf.tmp, path);
    snprintf(path, sizeof path, "%s/refs/main", name);
    tmp_write_text(&shelf.tmp, path, "00ff");
}

START_TEST(a_cache_of_hugging_face_is_a_bundle)
{
    hugging_face_cache("models--org--m");
    ck_assert_str_eq(shelf_sync(&shelf), "+models--org--m:1;");
    shelf_close(&shelf);
    snprintf(shelf.bundles, sizeof shelf.bundles, "m=%.200s/models--org--m", shelf.tmp.path);
    shelf.folders[0] = '\0';
    ck_assert_int_eq(shelf_open(&shelf, "all"), STATUS_OK);
    ck_assert_str_eq(shelf_sync(&shelf), "+m:1;");
}
END_TEST

/* What refs/main says is a name, and never a path. */
START_TEST(a_cache_that_names_no_commit_is_no_bundle)
{
    static const char *const refs[] = {"", "../blobs", "/etc", "abc", "main"};
    hugging_face_cache("models--org--m");
    for (size_t i = 0; i < sizeof refs / sizeof *refs; i++) {
        tmp_write_text(&shelf.tmp, "models--org--m/refs/main", refs[i]);
        ck_assert_str_eq(shelf_sync(&shelf), "");
    }
}
END_TEST

START_TEST(versions_may_share_files)
{
    written_bundle(&shelf.tmp, "m/1", TASK_TEXT_GENERATION);
    link_files("m/2", "../1/");
    link_to("2", "m/3");
    ck_assert_str_eq(shelf_sync(&shelf), "+m:3;+m:2;+m:1;");
}
END_TEST

static const struct {
    const char *name, *target; /* the first below the bundle's folder m */
    const char *part;
} leading_out[] = {
    {"m/golden.json", "../../outside/golden.json", "'golden.json' is a symbolic link that leads out"},
    {"m/golden.json", "../../inside/m/golden.json.is", "'golden.json' is a symbolic link that leads out"},
    {"m/golden.json", "/proc/self/environ", "'golden.json' is a symbolic link that leads out"},
    {"m/golden.json", "../link/golden.json", "'golden.json' is a symbolic link that leads out"},
    {"n", "../outside", "is a symbolic link that leads out of the folder that is served"},
    {"n", "/", NULL},
};

START_TEST(a_link_that_leads_out_is_refused)
{
    char path[TMP_PATH_BYTES];
    written_bundle(&shelf.tmp, "inside/m", TASK_TEXT_GENERATION);
    written_bundle(&shelf.tmp, "outside", TASK_TEXT_GENERATION);
    shelf_rename(&shelf, "inside/m/golden.json", "inside/m/golden.json.is");
    link_to("golden.json.is", "inside/m/golden.json");
    link_to("../outside", "inside/link");
    link_to(leading_out[_i].target, "inside/.new");
    snprintf(path, sizeof path, "inside/%s", leading_out[_i].name);
    shelf_rename(&shelf, "inside/.new", path);
    snprintf(shelf.folders, sizeof shelf.folders, "%.200s/inside", shelf.tmp.path);
    shelf_close(&shelf);
    ck_assert_int_eq(shelf_open(&shelf, "all"), STATUS_OK);
    const char *heard = shelf_sync(&shelf);
    ck_assert_msg(!leading_out[_i].part || strstr(heard, leading_out[_i].part), "%s", heard);
    ck_assert_msg(!strstr(heard, "+link") && !strstr(heard, "+n"), "%s", heard);
    ck_assert_msg(!strstr(heard, "+m:1;") == (leading_out[_i].name[0] == 'm'), "%s", heard);
}
END_TEST

/* Let openat2 fail, as an old kernel does and as old filters of containers do. */
static void forbid_openat2(int reason)
{
    struct sock_filter lines[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, (unsigned)offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_openat2, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | (unsigned)reason),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog program = {sizeof lines / sizeof *lines, lines};
    ck_assert_int_eq(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), 0);
    ck_assert_int_eq(prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program), 0);
}

START_TEST(without_the_call_every_link_is_refused)
{
    written_bundle(&shelf.tmp, "m", TASK_TEXT_GENERATION);
    link_files("n", "../m/");
    link_to("m", "o");
    forbid_openat2(_i ? EPERM : ENOSYS);
    const char *heard = shelf_sync(&shelf);
    ck_assert_msg(strstr(heard, "+m:1;") && !strstr(heard, "+n") && !strstr(heard, "+o"), "%s", heard);
    ck_assert_msg(strstr(heard, "'config.json' is a symbolic link, expected a regular file"), "%s", heard);
}
END_TEST

Suite *folder_suite(void);
Suite *folder_suite(void)
{
    Suite *suite = suite_create("folder");
    TCase *cases = tcase_create("links");
    tcase_add_checked_fixture(cases, setup, teardown);
    tcase_add_test(cases, a_config_map_is_a_bundle_and_its_update_is_noticed);
    tcase_add_test(cases, the_folder_of_git_sync_may_be_a_link);
    tcase_add_test(cases, a_cache_of_hugging_face_is_a_bundle);
    tcase_add_test(cases, a_cache_that_names_no_commit_is_no_bundle);
    tcase_add_test(cases, versions_may_share_files);
    tcase_add_loop_test(cases, a_link_that_leads_out_is_refused, 0, sizeof leading_out / sizeof *leading_out);
    tcase_add_loop_test(cases, without_the_call_every_link_is_refused, 0, 2);
    suite_add_tcase(suite, cases);
    return suite;
}
