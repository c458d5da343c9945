/* Requests whose end or host could be read in two ways, and their neighbours that are sound: each is served
 * once or refused, and what it hides is never answered. */
#include <check.h>
#include <stdio.h>
#include <string.h>

#include "client.h"
#include "tests/support/cases.h"
#include "tls.h"

enum { GROUPS = 4 }; /* of cases, a server each; one of them by TLS too */

static struct server server;

static const char *const settings[] = {"CAROUSEL_LIMITS_BODY_BYTES=65536", NULL};

static void start(void)
{
    server_start(&server, settings);
}

static void start_secure(void)
{
    certificate_make("smuggling", "smuggling");
    server_start(&server, certificate_settings("smuggling", settings));
}

static void stop(void)
{
    ck_assert_int_eq(server_stop(&server), 0);
}

/* Refused in the form of all errors, with one head, and nothing after it. */
static void expect_refusal(struct client *client, struct reply *reply, int status)
{
    expect_error(reply, status, status == 431 ? "headers_too_long" : "invalid_headers", "");
    ck_assert_str_eq(reply_header(reply, "Connection"), "close");
    ck_assert_str_eq(reply_header(reply, "Content-Type"), "application/json");
    ck_assert(!client_read(client, reply));
}

static void try_case(const struct wire_case *wire_case)
{
    static struct reply reply; /* each reading frees the one before */
    struct client client = {0};
    client_open(&client, &server);
    client_send(&client, wire_case->bytes, wire_case->n);
    ck_assert(client_read(&client, &reply));
    ck_assert_msg(reply.status == wire_case->status, "%s: %d instead of %d: %s", wire_case->name,
                  reply.status, wire_case->status, reply.body);
    if (reply.status == 400 || reply.status == 431) expect_refusal(&client, &reply, reply.status);
    else if (reply.status != 413) {
        client_say(&client, "GET /v1/models HTTP/1.1\r\nHost: t\r\nX-Request-Id: after\r\n\r\n");
        ck_assert_msg(client_read(&client, &reply), "%s: closed after an answer", wire_case->name);
        expect_ok(&reply);
        ck_assert_str_eq(reply_header(&reply, "X-Request-Id"), "after");
    }
    client_close(&client);
}

START_TEST(each_case_ends_as_its_line_says)
{
    size_t n;
    struct wire_case *cases = cases_read(&n);
    ck_assert_uint_gt(n, 200);
    for (size_t i = (size_t)_i; i < n; i += GROUPS) {
        fprintf(stderr, "%s\n", cases[i].name); /* the last one is the one that failed */
        try_case(&cases[i]);
    }
    cases_free(cases, n);
    ck_assert_double_eq(metric(&server, "carousel_requests_total{route=\"/livez\",code=\"200\",model=\"\"}"),
                        0);
}
END_TEST

Suite *smuggling_suite(void);

Suite *smuggling_suite(void)
{
    static void (*const starts[])(void) = {start, start_secure};
    Suite *suite = suite_create("smuggling");
    for (size_t i = 0; i < 2; i++) {
        TCase *cases = tcase_create(i ? "secure" : "plain");
        tcase_add_checked_fixture(cases, starts[i], stop);
        tcase_set_timeout(cases, TEST_TIMEOUT_S);
        tcase_add_loop_test(cases, each_case_ends_as_its_line_says, 0, i ? 1 : GROUPS);
        suite_add_tcase(suite, cases);
    }
    return suite;
}
