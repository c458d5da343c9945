/* log: who reads stderr may stop, and nobody waits for him. */
#include "server/log.h"

#include <check.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
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
    ck_assert_uint_eq(log_lost(), lost_before); /* there was room for them */
    close(STDERR_FILENO);
    log_line(LOG_INFO, "nowhere");
    ck_assert_uint_eq(log_lost(), lost_before);
}
END_TEST

Suite *log_suite(void)
{
    Suite *suite = suite_create("log");
    TCase *core = tcase_create("core");
    tcase_add_checked_fixture(core, setup, teardown);
    tcase_add_test(core, a_line_is_taken_whole);
    tcase_add_test(core, what_finds_no_room_is_counted_and_told);
    tcase_add_test(core, a_reader_who_is_gone_holds_up_nobody);
    tcase_set_timeout(core, 60);
    suite_add_tcase(suite, core);
    return suite;
}
