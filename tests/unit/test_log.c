/* log: who reads stderr may stop, and nobody waits for him. */
#include "server/base/log.h"

#include <check.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "tests/support/await.h"

Suite *log_suite(void);

enum { PIPE_ROOM = 1 << 20 };

static int reader, stderr_before;
static uint64_t lost_before;
static char *text; /* what was read */

/* stderr becomes a pipe. */
static void setup(void)
{
    int ends[2];
    signal(SIGPIPE, SIG_IGN);
    lost_before = log_lost();
    stderr_before = dup(STDERR_FILENO);
    ck_assert_int_eq(pipe(ends), 0);
    ck_assert_int_eq(dup2(ends[1], STDERR_FILENO), STDERR_FILENO);
    close(ends[1]);
    reader = ends[0];
    ck_assert_int_eq(fcntl(reader, F_SETFL, O_NONBLOCK), 0);
    text = calloc(PIPE_ROOM + 1, 1);
    ck_assert_ptr_nonnull(text);
}

static void teardown(void)
{
    dup2(stderr_before, STDERR_FILENO);
    close(stderr_before);
    close(reader);
    free(text);
}

/* What lies in the pipe; the number of lines in it. */
static size_t take_lines(void)
{
    size_t n = 0, lines = 0;
    ssize_t more;
    while ((more = read(reader, text + n, PIPE_ROOM - n)) > 0) n += (size_t)more;
    text[n] = '\0';
    for (const char *at = text; (at = strchr(at, '\n')); at++) lines++;
    return lines;
}

START_TEST(a_line_is_taken_whole)
{
    log_line(LOG_INFO, "a %s\nb", "word");
    log_json("{}", 2);
    ck_assert_uint_eq(take_lines(), 2);
    ck_assert_ptr_nonnull(strstr(text, " info    a word?b\n{}\n"));
    ck_assert_uint_eq(log_lost(), lost_before);
}
END_TEST

START_TEST(what_finds_no_room_is_counted_and_told)
{
    enum { LINES = 20000 };
    double began_ms = now_ms();
    for (int i = 0; i < LINES; i++) log_line(LOG_INFO, "line %d of a log that nobody reads", i);
    ck_assert_double_lt(now_ms() - began_ms, patience_ms(AWAIT_MS));
    uint64_t lost = log_lost() - lost_before;
    ck_assert_uint_gt(lost, 0);
    ck_assert_uint_eq(take_lines() + lost, LINES);
    ck_assert_ptr_null(strstr(text, "were lost"));
    log_line(LOG_INFO, "somebody reads again");
    ck_assert_uint_eq(take_lines(), 2);
    char told[80];
    snprintf(told, sizeof told, " %llu lines of this log were lost", (unsigned long long)lost);
    ck_assert_msg(strstr(text, told) && strstr(text, "somebody reads again\n"), "%s", text);
    log_line(LOG_INFO, "once is enough");
    ck_assert_uint_eq(take_lines(), 1);
    ck_assert_uint_eq(log_lost(), lost_before + lost);
}
END_TEST

START_TEST(a_reader_who_is_gone_holds_up_nobody)
{
    close(reader);
    reader = -1;
    for (int i = 0; i < 20000; i++) log_line(LOG_INFO, "to nobody");
    ck_assert_uint_eq(log_lost(), lost_before + 20000);
    close(STDERR_FILENO);
    log_line(LOG_INFO, "nowhere");
    ck_assert_uint_eq(log_lost(), lost_before + 20001);
}
END_TEST

static void limit_files(rlim_t bytes)
{
    struct rlimit limit;
    ck_assert_int_eq(getrlimit(RLIMIT_FSIZE, &limit), 0);
    limit.rlim_cur = bytes;
    ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &limit), 0);
}

/* The disk takes half of the third line, and none of the next two. */
START_TEST(what_a_full_disk_does_not_take_is_counted_and_told)
{
    static const char line[] = "{\"a\":1234567890}";
    char path[] = "/tmp/carousel-log-XXXXXX", told[80];
    int file = mkstemp(path);
    ck_assert_int_ge(file, 0);
    unlink(path);
    signal(SIGXFSZ, SIG_IGN);
    ck_assert_int_eq(dup2(file, STDERR_FILENO), STDERR_FILENO);
    limit_files(sizeof line * 5 / 2);
    for (int i = 0; i < 5; i++) log_json(line, strlen(line));
    limit_files(RLIM_INFINITY);
    ck_assert_uint_eq(log_lost(), lost_before + 3);
    log_json(line, strlen(line));
    log_json(line, strlen(line));
    ck_assert_uint_eq(log_lost(), lost_before + 3);
    ssize_t n = pread(file, text, PIPE_ROOM, 0);
    ck_assert_int_gt(n, 0);
    text[n] = '\0';
    close(file);
    char *rest = text + sizeof line * 5 / 2; /* a line of its own after the one that was cut */
    snprintf(told, sizeof told, " warning 3 lines of this log were lost");
    ck_assert_int_eq(*rest, '\n');
    ck_assert_msg(strstr(rest, told) != NULL, "%s", text);
    ck_assert_ptr_null(strstr(strstr(rest, told) + 1, told));
    char *last = strstr(rest, "take them\n");
    ck_assert_ptr_nonnull(last);
    snprintf(told, sizeof told, "take them\n%s\n%s\n", line, line);
    ck_assert_str_eq(last, told);
}
END_TEST

START_TEST(a_disk_that_is_full_counts_every_line)
{
    int full = open("/dev/full", O_WRONLY);
    ck_assert_int_ge(full, 0);
    ck_assert_int_eq(dup2(full, STDERR_FILENO), STDERR_FILENO);
    close(full);
    for (int i = 0; i < 10; i++) log_line(LOG_INFO, "line %d", i);
    ck_assert_uint_eq(log_lost(), lost_before + 10);
}
END_TEST

Suite *log_suite(void)
{
    Suite *suite = suite_create("log");
    TCase *core = tcase_create("core");
    tcase_add_checked_fixture(core, setup, teardown);
    tcase_add_test(core, a_line_is_taken_whole);
    tcase_add_test(core, what_finds_no_room_is_counted_and_told);
    tcase_add_test(core, what_a_full_disk_does_not_take_is_counted_and_told);
    tcase_add_test(core, a_disk_that_is_full_counts_every_line);
    tcase_add_test(core, a_reader_who_is_gone_holds_up_nobody);
    tcase_set_timeout(core, 60);
    suite_add_tcase(suite, core);
    return suite;
}
