/* GET /v1/sessions/{id}/events: what a second reader of a session hears, and when it ends. */
#define _GNU_SOURCE
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "client.h"

static struct server server;
static struct client readers[3];
static char event[1 << 20];

Suite *events_suite(void);

#define READERS "carousel_session_readers"

static void start(const char *const *settings)
{
    server_start(&server, settings);
    ck_assert_int_eq(post(&server, "/v1/sessions", "{'model':'tiny-characters','id':'s','seed':5}")->status,
                     201);
}

/* Ask for the events of a session, and read the head of the answer. */
static void follow(struct client *reader, const char *id, const char *headers)
{
    client_open(reader, &server);
    client_say(reader, "GET /v1/sessions/%s/events HTTP/1.1\r\nHost: t\r\n%s\r\n", id, headers);
    while (!reader->n || !memmem(reader->buffer, reader->n, "\r\n\r\n", 4))
        ck_assert(client_fill(reader, reader->n + 1));
    char *end = memmem(reader->buffer, reader->n, "\r\n\r\n", 4);
    size_t head = (size_t)(end - reader->buffer) + 4;
    ck_assert_msg(!strncmp(reader->buffer, "HTTP/1.1 200", 12), "%.*s", (int)reader->n, reader->buffer);
    ck_assert_ptr_nonnull(memmem(reader->buffer, head, "text/event-stream", 17));
    ck_assert_ptr_nonnull(memmem(reader->buffer, head, "X-Session-Id: ", 14));
    memmove(reader->buffer, end + 4, reader->n - head);
    reader->n -= head;
}

/* The next event, without the lengths of the chunks that it came in: "" at the end. */
static const char *next_event(struct client *reader)
{
    size_t n = 0;
    for (;;) {
        char *line = NULL;
        while (!reader->n || !(line = memmem(reader->buffer, reader->n, "\r\n", 2)))
            if (!client_fill(reader, reader->n + 1)) return "";
        size_t length = strtoul(reader->buffer, NULL, 16), skip = (size_t)(line + 2 - reader->buffer);
        ck_assert_uint_lt(n + length, sizeof event);
        if (!client_fill(reader, skip + length + 2)) return "";
        memcpy(event + n, reader->buffer + skip, length);
        n += length;
        event[n] = '\0';
        reader->n -= skip + length + 2;
        memmove(reader->buffer, reader->buffer + skip + length + 2, reader->n);
        if (!length || (n > 1 && !memcmp(event + n - 2, "\n\n", 2))) return event;
    }
}

/* Two events may come in one chunk: the last one is followed by [DONE]. */
static void expect_event(struct client *reader, const char *text)
{
    const char *found = next_event(reader);
    ck_assert_msg(strstr(found, text) != NULL, "expected '%s' in '%s'", text, found);
}

static const char *step(const char *fields)
{
    struct reply *answer = postf(&server, "/v1/completions", "{'session':'s','max_tokens':4%s}", fields);
    ck_assert_int_eq(answer->status, 200);
    return answer->body;
}

static void expect_step(struct client *reader, int n, const char *answer)
{
    char expected[4096];
    snprintf(expected, sizeof expected,
             "id: %d\ndata: {\"object\":\"session.step\",\"session\":\"s\",\"step\":%d,\"answer\":%s}\n\n",
             n, n, answer);
    ck_assert_str_eq(next_event(reader), expected);
}

START_TEST(each_step_is_told_with_its_answer)
{
    char first[4096];
    start(NULL);
    follow(&readers[0], "s", "");
    expect_event(&readers[0], "data: {\"id\":\"s\",\"object\":\"session\",\"model\":\"tiny-characters\"");
    ck_assert(metric_becomes(&server, READERS, 1));
    snprintf(first, sizeof first, "%s", step(",'step':0,'prompt':'abc'"));
    expect_step(&readers[0], 1, first);
    step(",'step':0,'prompt':'abc'"); /* asked again: no step */
    expect_error(post(&server, "/v1/completions", "{'session':'s','step':7}"), 409, "step_mismatch", "step");
    expect_error(post(&server, "/v1/completions", "{'session':'s','max_tokens':-1}"), 400, "invalid_value",
                 "max_tokens");
    follow(&readers[1], "s", "Last-Event-ID: 0\r\n");
    expect_event(&readers[1], "\"step\":1,\"state_bytes\"");
    expect_step(&readers[1], 1, first);
    follow(&readers[2], "s", "Last-Event-ID: 1\r\n");
    expect_event(&readers[2], "\"step\":1,\"state_bytes\"");
    step(",'stream':true"); /* told as if it had not been streamed */
    for (int i = 0; i < 3; i++) {
        const char *told = next_event(&readers[i]);
        ck_assert_ptr_nonnull(strstr(told, "id: 2\ndata: {"));
        ck_assert_ptr_nonnull(strstr(told, "\"answer\":{\"id\":\"cmpl-"));
        ck_assert_ptr_nonnull(strstr(told, "\"finish_reason\":\"length\""));
    }
    expect_ok(ask(&server, "DELETE", "/v1/sessions/s", NULL));
    for (int i = 0; i < 3; i++) {
        expect_event(&readers[i], "{\"object\":\"session.end\",\"session\":\"s\",\"reason\":\"deleted\"}\n\n"
                                  "data: [DONE]\n\n");
        client_close(&readers[i]);
    }
    ck_assert(metric_becomes(&server, READERS, 0));
    ck_assert_int_eq(server_stop(&server), 0);
}
END_TEST

/* A step by POST .../steps is told one by one; what a reader asks wrongly is refused. */
START_TEST(what_is_no_session_has_no_events)
{
    start(NULL);
    expect_error(ask(&server, "GET", "/v1/sessions/other/events", NULL), 404, "session_not_found", "");
    expect_error(ask_as(&server, "Last-Event-ID: x\r\n", "GET", "/v1/sessions/s/events", NULL), 400,
                 "invalid_value", "Last-Event-ID");
    expect_error(ask(&server, "POST", "/v1/sessions/s/events", "{}"), 405, "method_not_allowed", "");
    follow(&readers[0], "s", "");
    expect_event(&readers[0], "\"step\":0");
    struct reply *answer = post(&server, "/v1/sessions/s/steps",
                                "[{'prompt':'a','max_tokens':1},{'max_tokens':2}]");
    ck_assert_int_eq(answer->status, 200);
    expect_event(&readers[0], "id: 1\n");
    expect_event(&readers[0], "id: 2\n");
    client_open(&readers[1], &server);
    client_say(&readers[1], "HEAD /v1/sessions/s/events HTTP/1.1\r\nHost: t\r\n\r\n");
    static struct reply head;
    ck_assert(client_read_head(&readers[1], &head));
    ck_assert_int_eq(head.status, 200);
    client_close(&readers[1]);
    client_close(&readers[0]);
    ck_assert(metric_becomes(&server, READERS, 0));
    ck_assert_int_eq(server_stop(&server), 0);
}
END_TEST

START_TEST(readers_are_bounded_and_leave)
{
    const char *const settings[] = {"CAROUSEL_SESSIONS_READERS=2", NULL};
    start(settings);
    for (int i = 0; i < 2; i++) follow(&readers[i], "s", "");
    struct reply *refused = ask(&server, "GET", "/v1/sessions/s/events", NULL);
    expect_error(refused, 429, "rate_limited", "");
    client_abort(&readers[0]); /* noticed without a step, and without a ping */
    client_close(&readers[1]);
    ck_assert(metric_becomes(&server, READERS, 0));
    follow(&readers[0], "s", "");
    client_close(&readers[0]);
    ck_assert_int_eq(server_stop(&server), 0);
}
END_TEST

START_TEST(events_belong_to_the_key)
{
    const char *const settings[] = {keys_setting(), "CAROUSEL_SESSIONS_KEY_READERS=1", NULL};
    server_start(&server, settings);
    for (int i = 0; i < 2; i++) {
        char body[80];
        snprintf(body, sizeof body, "{\"model\":\"tiny-characters\",\"id\":\"%c\"}", 's' + i);
        ck_assert_int_eq(ask_as(&server, BEARER("ck_infer"), "POST", "/v1/sessions", body)->status, 201);
    }
    ck_assert_int_eq(ask(&server, "GET", "/v1/sessions/s/events", NULL)->status, 401);
    ck_assert_int_eq(ask_as(&server, BEARER("ck_metrics"), "GET", "/v1/sessions/s/events", NULL)->status,
                     403);
    expect_error(ask_as(&server, BEARER("ck_all"), "GET", "/v1/sessions/s/events", NULL), 404,
                 "session_not_found", "");
    follow(&readers[0], "s", BEARER("ck_infer"));
    expect_error(ask_as(&server, BEARER("ck_infer"), "GET", "/v1/sessions/t/events", NULL), 429,
                 "rate_limited", "");
    client_close(&readers[0]);
    ck_assert_int_eq(server_stop(&server), 0);
}
END_TEST

/* A session that ends by time ends its events; pings come meanwhile, and do not keep it. */
START_TEST(a_session_that_expires_ends_its_events)
{
    const char *const settings[] = {"CAROUSEL_STREAM_PING_S=1", NULL};
    server_start(&server, settings);
    ck_assert_int_eq(post(&server, "/v1/sessions", "{'model':'tiny-characters','id':'s','ttl_s':3}")->status,
                     201);
    follow(&readers[0], "s", "");
    expect_event(&readers[0], "\"step\":0");
    expect_event(&readers[0], ": ping\n\n");
    const char *last = next_event(&readers[0]);
    while (!strcmp(last, ": ping\n\n")) last = next_event(&readers[0]);
    ck_assert_ptr_nonnull(strstr(last, "\"reason\":\"expired\"}\n\ndata: [DONE]"));
    client_close(&readers[0]);
    ck_assert_int_eq(server_stop(&server), 0);
}
END_TEST

/* A client that reads nothing holds little, and hears that it was too slow. */
START_TEST(a_slow_reader_is_dropped)
{
    const char *const settings[] = {"CAROUSEL_TIMEOUTS_WRITE_S=600", NULL};
    start(settings);
    follow(&readers[0], "s", "");
    for (int i = 0; i < 240; i++) /* more than two sockets hold */
        ck_assert_int_eq(post(&server, "/v1/completions",
                              "{'session':'s','max_tokens':600,'logprobs':5,'prompt':'a'}")->status, 200);
    const char *last = "";
    bool is_slow = false;
    for (int i = 0; i < 300 && *(last = next_event(&readers[0])); i++)
        if (strstr(last, "\"code\":\"reader_too_slow\"")) is_slow = true;
    ck_assert_msg(is_slow, "%.200s", event);
    ck_assert(metric_becomes(&server, READERS, 0));
    client_close(&readers[0]);
    ck_assert_int_eq(server_stop(&server), 0);
}
END_TEST

START_TEST(a_server_that_stops_ends_the_events)
{
    start(NULL);
    follow(&readers[0], "s", "");
    expect_event(&readers[0], "\"step\":0");
    server_signal(&server, 15);
    expect_event(&readers[0], "\"code\":\"draining\"");
    ck_assert_str_eq(next_event(&readers[0]), "");
    ck_assert_int_eq(server_wait(&server), 0);
    client_close(&readers[0]);
}
END_TEST

Suite *events_suite(void)
{
    Suite *suite = suite_create("events");
    TCase *cases = tcase_create("events");
    tcase_set_timeout(cases, TEST_TIMEOUT_S);
    tcase_add_test(cases, each_step_is_told_with_its_answer);
    tcase_add_test(cases, what_is_no_session_has_no_events);
    tcase_add_test(cases, readers_are_bounded_and_leave);
    tcase_add_test(cases, events_belong_to_the_key);
    tcase_add_test(cases, a_session_that_expires_ends_its_events);
    tcase_add_test(cases, a_slow_reader_is_dropped);
    tcase_add_test(cases, a_server_that_stops_ends_the_events);
    suite_add_tcase(suite, cases);
    return suite;
}
