/* Where each request ends: the cases of tests/http/smuggling.txt, however they are cut, and the limits. */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "server/http/framing.h"
#include "tests/support/cases.h"
#include "allocations.h"

enum { LIMIT = 16384, OUT_BYTES = 1 << 17 };

static struct framing framing;
static char out[OUT_BYTES];
static size_t n_out;

/* Put bytes through in pieces of so many, as server/http/wire.c does it with a room of `room`. */
static void put(const char *bytes, size_t n, size_t piece, size_t room)
{
    for (size_t at = 0, most; at < n; at += most) {
        most = n - at < piece ? n - at : piece;
        size_t space, direct = framing_direct(&framing, room);
        if (direct) {
            if (most > direct) most = direct;
            memcpy(out + n_out, bytes + at, most);
            n_out += most;
            framing_pass(&framing, most);
            continue;
        }
        char *into = framing_room(&framing, &space);
        ck_assert_ptr_nonnull(into);
        ck_assert_uint_gt(space, 0);
        if (most > space) most = space;
        memcpy(into, bytes + at, most);
        framing_take(&framing, most);
        for (size_t given = room; given == room;) {
            given = framing_give(&framing, out + n_out, room);
            n_out += given;
            ck_assert_uint_lt(n_out + room, sizeof out);
        }
    }
}

static void begin(size_t limit)
{
    framing_open(&framing, limit);
    n_out = 0;
}

static void end(void)
{
    ck_assert_uint_lt(n_out, sizeof out);
    out[n_out] = '\0';
    framing_close(&framing);
    ck_assert_ptr_null(framing.bytes);
}

static void expect_fault(enum fault fault, unsigned request)
{
    struct problem problem = {0};
    ck_assert_int_eq(framing_fault(&framing, request, &problem), fault != FAULT_NONE);
    ck_assert_int_eq(problem.fault, fault);
    ck_assert(!framing_fault(&framing, request + 1, &problem));
}

static enum fault fault_of(int status)
{
    return status == 400 ? FAULT_INVALID_HEADERS : status == 431 ? FAULT_HEADERS_TOO_LONG : FAULT_NONE;
}

START_TEST(cutting_changes_nothing)
{
    static const size_t pieces[] = {1, 2, 3, 7, 64, 1000, 5000, OUT_BYTES};
    size_t n;
    struct wire_case *cases = cases_read(&n);
    for (size_t i = 0; i < n; i++) {
        char *first = NULL;
        for (size_t k = 0; k < sizeof pieces / sizeof *pieces; k++) {
            begin(LIMIT);
            put(cases[i].bytes, cases[i].n, pieces[k], 1 + 97 * k * k);
            ck_assert_msg(framing_fault(&framing, framing.n_heads, &(struct problem){0}) ==
                              (fault_of(cases[i].status) != FAULT_NONE), "%s", cases[i].name);
            expect_fault(fault_of(cases[i].status), framing.n_heads);
            end();
            if (first) ck_assert_msg(strcmp(first, out) == 0, "%s, pieces of %zu", cases[i].name, pieces[k]);
            else first = strdup(out);
        }
        ck_assert_ptr_nonnull(first);
        ck_assert_msg(!strstr(first, "GET /livez HTTP/1.1\r\n") || cases[i].status != 400 ||
                          strstr(first, "\r\n20\r\nGET /livez"), "%s: %s", cases[i].name, first);
        free(first);
    }
    cases_free(cases, n);
}
END_TEST

static const struct {
    const char *from, *to;
} forms[] = {
    {"GET / HTTP/1.1\r\nHost: \t t \t\r\n\r\n", "GET / HTTP/1.1\r\nHost:t\r\n\r\n"},
    {"\r\nGET / HTTP/1.0\r\n\r\n\r\nGET /x HTTP/1.0\r\n\r\n",
     "GET / HTTP/1.0\r\n\r\nGET /x HTTP/1.0\r\n\r\n"},
    {"GET / HTTP/1.1\r\nCookie: a\r\nHost: t\r\ncookie: b\r\nExpect: 100-continue\r\n\r\n",
     "GET / HTTP/1.1\r\nHost:t\r\n\r\n"},
    {"PUT / HTTP/1.1\r\nHost:t\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n\r\nGET",
     "PUT / HTTP/1.1\r\nHost:t\r\nExpect:100-continue\r\nContent-Length:2\r\n\r\n\r\n"},
    {"PUT / HTTP/1.1\r\nHost:t\r\nTransfer-Encoding:chunked\r\n\r\n"
     "0003 ;x=y;z\r\nabc\r\n00;x\r\nX: y\r\nZ: z\r\n\r\nGET / HTTP/1.0\r\n\r\n",
     "PUT / HTTP/1.1\r\nHost:t\r\nTransfer-Encoding:chunked\r\n\r\n"
     "0003\r\nabc\r\n0\r\n\r\nGET / HTTP/1.0\r\n\r\n"},
    /* in doubt: what is sound of it is kept, and it ends there */
    {"PUT /x HTTP/1.1\r\nHost: t\r\nHost: t\r\n\r\n", "PUT /x HTTP/1.1\r\nHost:-\r\n\r\n"},
    {"PUT /x HTTP/1.1\nHost: t\r\n\r\n", "GET / HTTP/1.1\r\nHost:-\r\n\r\n"},
    {"PUT / HTTP/1.1\r\nHost:t\r\nTransfer-Encoding:chunked\r\n\r\n3\r\nabcd\r\n0\r\n\r\n",
     "PUT / HTTP/1.1\r\nHost:t\r\nTransfer-Encoding:chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n"},
    {"PUT / HTTP/1.1\r\nHost:t\r\nTransfer-Encoding:chunked\r\n\r\n3\r\nabc\r\nx\r\n",
     "PUT / HTTP/1.1\r\nHost:t\r\nTransfer-Encoding:chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n"},
    {"PUT / HTTP/1.1\r\nHost:t\r\nTransfer-Encoding:chunked\r\n\r\n0\r\nx\r\n\r\n",
     "PUT / HTTP/1.1\r\nHost:t\r\nTransfer-Encoding:chunked\r\n\r\n0\r\n\r\n"},
};

START_TEST(what_goes_on_has_one_form)
{
    for (size_t i = 0; i < sizeof forms / sizeof *forms; i++) {
        begin(LIMIT);
        put(forms[i].from, strlen(forms[i].from), OUT_BYTES, 4096);
        end();
        ck_assert_str_eq(out, forms[i].to);
    }
}
END_TEST

START_TEST(a_head_of_the_limit_passes_and_one_byte_more_does_not)
{
    static const char start[] = "GET / HTTP/1.0\r\nX:";
    for (size_t limit = 1024; limit <= 4096; limit *= 2)
        for (size_t over = 0; over < 2; over++) {
            static char head[4200];
            size_t n = limit + over;
            memset(head, 'y', n);
            memcpy(head, start, sizeof start - 1);
            memcpy(head + n - 4, "\r\n\r\n", 4);
            begin(limit);
            put(head, n, OUT_BYTES, 512);
            expect_fault(over ? FAULT_HEADERS_TOO_LONG : FAULT_NONE, 1);
            end();
            ck_assert_uint_eq(n_out, over ? strlen("GET / HTTP/1.1\r\nHost:-\r\n\r\n") : n);
        }
}
END_TEST

START_TEST(only_the_request_in_doubt_is_refused)
{
    static const char bytes[] = "GET /a HTTP/1.0\r\n\r\nGET /b HTTP/1.0\r\n\r\nGET /c HTTP/1.1\r\n\r\nGET /d";
    struct problem problem = {0};
    begin(LIMIT);
    put(bytes, sizeof bytes - 1, OUT_BYTES, 4096);
    ck_assert(!framing_fault(&framing, 1, &problem));
    ck_assert(!framing_fault(&framing, 2, &problem));
    expect_fault(FAULT_INVALID_HEADERS, 3);
    end();
    ck_assert_str_eq(out, "GET /a HTTP/1.0\r\n\r\nGET /b HTTP/1.0\r\n\r\nGET /c HTTP/1.1\r\nHost:-\r\n\r\n");
}
END_TEST

START_TEST(part_of_a_head_is_noticed)
{
    begin(LIMIT);
    ck_assert(!framing_is_in_head(&framing));
    put("GET /", 5, 5, 100);
    ck_assert(framing_is_in_head(&framing));
    put(" HTTP/1.0\r\nContent-Length: 2\r\n\r\n", 32, 32, 100);
    ck_assert(!framing_is_in_head(&framing));
    put("ab", 2, 1, 100);
    ck_assert(!framing_is_in_head(&framing));
    ck_assert_ptr_null(framing.bytes);
    put("G", 1, 1, 100);
    ck_assert(framing_is_in_head(&framing));
    end();
}
END_TEST

START_TEST(without_memory_there_is_no_room)
{
    size_t room;
    begin(LIMIT);
    allocations_fail_at(1, false);
    ck_assert_ptr_null(framing_room(&framing, &room));
    ck_assert(allocations_have_failed());
    ck_assert_ptr_nonnull(framing_room(&framing, &room));
    end();
}
END_TEST

Suite *framing_suite(void);

Suite *framing_suite(void)
{
    Suite *suite = suite_create("framing");
    TCase *cases = tcase_create("framing");
    tcase_set_timeout(cases, 60);
    tcase_add_test(cases, cutting_changes_nothing);
    tcase_add_test(cases, what_goes_on_has_one_form);
    tcase_add_test(cases, a_head_of_the_limit_passes_and_one_byte_more_does_not);
    tcase_add_test(cases, only_the_request_in_doubt_is_refused);
    tcase_add_test(cases, part_of_a_head_is_noticed);
    tcase_add_test(cases, without_memory_there_is_no_room);
    suite_add_tcase(suite, cases);
    return suite;
}
