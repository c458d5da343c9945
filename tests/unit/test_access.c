/* Ids that clients send, and the traceparent header. */
#include "server/request/access.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>

#define TRACE "0af7651916cd43dd8448eb211c80319c"
#define SPAN "b7ad6b7169203331"
#define ZEROS "00000000000000000000000000000000"

static const struct {
    const char *header, *trace_id;
} traces[] = {
    {"00-" TRACE "-" SPAN "-01", TRACE},
    {"00-" TRACE "-" SPAN "-00", TRACE},
    {"00-" TRACE "-" SPAN "-ff", TRACE},
    {"cc-" TRACE "-" SPAN "-01", TRACE},
    {"cc-" TRACE "-" SPAN "-01-what-the-future-brings", TRACE},
    {"cc-" TRACE "-" SPAN "-01-", TRACE},
    {"cc-" TRACE "-" SPAN "-01.what", ""},
    {"00-" TRACE "-" SPAN "-01-what-the-future-brings", ""},
    {"00-" TRACE "-" SPAN "-01-", ""},
    {"00-" TRACE "-" SPAN "-01 ", ""},
    {"ff-" TRACE "-" SPAN "-01", ""},
    {"00-" ZEROS "-" SPAN "-01", ""},
    {"00-" TRACE "-0000000000000000-01", ""},
    {"00-0AF7651916CD43DD8448EB211C80319C-" SPAN "-01", ""},
    {"00-" TRACE "-B7AD6B7169203331-01", ""},
    {"00-" TRACE "-" SPAN "-0A", ""},
    {"0G-" TRACE "-" SPAN "-01", ""},
    {"00-" TRACE "-" SPAN "-0", ""},
    {"00-" TRACE "-" SPAN "-", ""},
    {"00-" TRACE "-" SPAN, ""},
    {"00-" TRACE "-b7ad6b716920333-01", ""},
    {"00-" TRACE "0-" SPAN "-01", ""},
    {"00-" TRACE, ""},
    {"00_" TRACE "_" SPAN "_01", ""},
    {"000-" TRACE "-" SPAN "-01", ""},
    {".0-" TRACE "-" SPAN "-01", ""},
    {" 00-" TRACE "-" SPAN "-01", ""},
    {"0", ""},
    {"00", ""},
    {"00-", ""},
    {"", ""},
    {NULL, ""},
};

START_TEST(a_traceparent_is_taken_or_ignored_as_a_whole)
{
    char found[TRACE_ID_BYTES];
    memset(found, 'x', sizeof found);
    access_take_trace(traces[_i].header, found);
    ck_assert_str_eq(found, traces[_i].trace_id);
}
END_TEST

START_TEST(no_beginning_of_a_traceparent_is_read_past_its_end)
{
    static const char whole[] = "00-" TRACE "-" SPAN "-01";
    char found[TRACE_ID_BYTES];
    for (size_t n = 0; n < sizeof whole - 1; n++) {
        char *part = strndup(whole, n); /* so that sanitizers see its end */
        ck_assert_ptr_nonnull(part);
        access_take_trace(part, found);
        ck_assert_str_eq(found, "");
        free(part);
    }
}
END_TEST

static const struct {
    const char *theirs;
    bool taken;
} ids[] = {
    {"a", true},    {"A-z.0_9:/", true}, {"", false},     {NULL, false},
    {"a b", false}, {"a\"b", false},     {"a\nb", false}, {"\xc3\xa4", false},
};

START_TEST(a_safe_id_is_kept_and_another_replaced)
{
    char found[REQUEST_ID_BYTES];
    access_take_id(ids[_i].theirs, found);
    if (ids[_i].taken) ck_assert_str_eq(found, ids[_i].theirs);
    else ck_assert_int_eq(strncmp(found, "req-", 4), 0);
}
END_TEST

START_TEST(an_id_has_a_longest_length)
{
    char longest[REQUEST_ID_BYTES], over[REQUEST_ID_BYTES + 1], found[REQUEST_ID_BYTES];
    memset(longest, 'a', sizeof longest);
    memset(over, 'a', sizeof over);
    longest[sizeof longest - 1] = over[sizeof over - 1] = '\0';
    access_take_id(longest, found);
    ck_assert_str_eq(found, longest);
    access_take_id(over, found);
    ck_assert_int_eq(strncmp(found, "req-", 4), 0);
}
END_TEST

Suite *access_suite(void);

Suite *access_suite(void)
{
    Suite *suite = suite_create("access");
    TCase *cases = tcase_create("access");
    tcase_add_loop_test(cases, a_traceparent_is_taken_or_ignored_as_a_whole, 0,
                        (int)(sizeof traces / sizeof *traces));
    tcase_add_test(cases, no_beginning_of_a_traceparent_is_read_past_its_end);
    tcase_add_loop_test(cases, a_safe_id_is_kept_and_another_replaced, 0, (int)(sizeof ids / sizeof *ids));
    tcase_add_test(cases, an_id_has_a_longest_length);
    suite_add_tcase(suite, cases);
    return suite;
}
