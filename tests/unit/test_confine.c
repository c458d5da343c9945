/* confine: what a confined importer can still do, and what it cannot. Each test runs in a process of its own,
 * which confines itself in a child and tells by its exit code what the kernel let it do. */
#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "models/import/confine.h"
#include "tests/support/tmp.h"

static struct tmp tmp;
static char inside[TMP_PATH_BYTES], outside[TMP_PATH_BYTES], made[TMP_PATH_BYTES], flagged[TMP_PATH_BYTES];
static char file[TMP_PATH_BYTES], bundle[TMP_PATH_BYTES], linked[TMP_PATH_BYTES];

static void touch(const char *path)
{
    FILE *out = fopen(path, "w");
    ck_assert_ptr_nonnull(out);
    fputs("x", out);
    fclose(out);
}

/* in/model is imported to out/bundle, with other/labels; other/secret is none of its business. */
static void setup(void)
{
    char folder[TMP_PATH_BYTES];
    tmp_make(&tmp);
    static const char *const folders[] = {"in", "out", "other"};
    for (size_t i = 0; i < 3; i++) ck_assert_int_eq(mkdir(tmp_path(&tmp, folders[i], folder), 0700), 0);
    touch(tmp_path(&tmp, "in/model", file));
    touch(tmp_path(&tmp, "in/weights", inside));
    touch(tmp_path(&tmp, "other/labels", flagged));
    touch(tmp_path(&tmp, "other/secret", outside));
    touch(tmp_path(&tmp, "other/blob", linked)); /* as a cache of Hugging Face keeps its files */
    ck_assert_int_eq(symlink("../other/blob", tmp_path(&tmp, "in/linked", linked)), 0);
    tmp_path(&tmp, "out/bundle", bundle);
    tmp_path(&tmp, "out/made", made);
}

static void teardown(void)
{
    tmp_remove(&tmp);
}

static bool opens(const char *path, int flags)
{
    int fd = open(path, flags, 0600);
    return fd >= 0 && close(fd) == 0;
}

static void *nothing(void *argument)
{
    return argument;
}

static bool begins_thread(void)
{
    pthread_t thread;
    return pthread_create(&thread, NULL, nothing, NULL) == 0 && pthread_join(thread, NULL) == 0;
}

static bool begins_process(void)
{
    pid_t child = fork();
    if (child == 0) _exit(0);
    return child > 0;
}

static bool makes_socket(void)
{
    return socket(AF_INET, SOCK_STREAM, 0) >= 0;
}

enum {
    READS_INSIDE = 1,
    READS_FLAGGED = 2,
    WRITES_OUTPUT = 4,
    BEGINS_THREAD = 8,
    ALL_NEEDED = 15,
    READS_OUTSIDE = 16,
    WRITES_INPUT = 32,
    MAKES_SOCKET = 64,
    BEGINS_PROCESS = 128
};

static int what_it_can(bool dry_run)
{
    const struct options options = {.file = file, .output = bundle, .labels = flagged, .dry_run = dry_run};
    int status = 0;
    pid_t child = fork();
    if (child == 0) {
        confine(&options);
        _exit((opens(inside, O_RDONLY) && opens(linked, O_RDONLY) ? READS_INSIDE : 0) |
              (opens(flagged, O_RDONLY) ? READS_FLAGGED : 0) |
              (opens(made, O_WRONLY | O_CREAT) ? WRITES_OUTPUT : 0) | (begins_thread() ? BEGINS_THREAD : 0) |
              (opens(outside, O_RDONLY) ? READS_OUTSIDE : 0) | (opens(file, O_WRONLY) ? WRITES_INPUT : 0) |
              (makes_socket() ? MAKES_SOCKET : 0) | (begins_process() ? BEGINS_PROCESS : 0));
    }
    ck_assert_int_eq(waitpid(child, &status, 0), child);
    ck_assert(WIFEXITED(status));
    return WEXITSTATUS(status);
}

START_TEST(what_an_import_needs_is_left)
{
    ck_assert_int_eq(what_it_can(false) & ALL_NEEDED, ALL_NEEDED);
}
END_TEST

/* Machines whose system calls are filtered. */
#if !defined CAROUSEL_INSTRUMENTED && (defined __x86_64__ || defined __aarch64__ || defined __riscv)
#define IS_CONFINED
#endif

#ifdef IS_CONFINED
static bool runs_program(void)
{
    execl("/bin/true", "true", (char *)NULL);
    return errno != EPERM && errno != EACCES;
}

START_TEST(nothing_else_is)
{
    int can = what_it_can(false);
    ck_assert_int_eq(can & (MAKES_SOCKET | BEGINS_PROCESS), 0);
    if (!confine_has_landlock()) return; /* an older kernel */
    ck_assert_int_eq(can, ALL_NEEDED);
}
END_TEST

START_TEST(a_dry_run_cannot_write)
{
    if (confine_has_landlock()) ck_assert_int_eq(what_it_can(true), ALL_NEEDED & ~WRITES_OUTPUT);
}
END_TEST

START_TEST(no_program_runs)
{
    const struct options options = {.file = file};
    int status = 0;
    pid_t child = fork();
    if (child == 0) {
        confine(&options);
        _exit(runs_program() ? 1 : 2);
    }
    ck_assert_int_eq(waitpid(child, &status, 0), child);
    ck_assert_int_eq(WEXITSTATUS(status), 2);
}
END_TEST
#endif

Suite *confine_suite(void);
Suite *confine_suite(void)
{
    Suite *suite = suite_create("confine");
    TCase *tests = tcase_create("confine");
    tcase_add_checked_fixture(tests, setup, teardown);
    tcase_add_test(tests, what_an_import_needs_is_left);
#ifdef IS_CONFINED
    tcase_add_test(tests, nothing_else_is);
    tcase_add_test(tests, a_dry_run_cannot_write);
    tcase_add_test(tests, no_program_runs);
#endif
    suite_add_tcase(suite, tests);
    return suite;
}
