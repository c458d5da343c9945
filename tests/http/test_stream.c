/* Server-sent events: their form, what they add up to, and readers who are slow or leave. */
#include <check.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "client.h"

static struct server server;
static struct client client;
static struct reply reply;

static void start(void)
{
    const char *const settings[] = {slow_setting(), "CAROUSEL_TIMEOUTS_WRITE_S=1", "CAROUSEL_STREAM_PING_S=1",
                                    "CAROUSEL_SCHEDULER_CHUNK_STEPS=1", NULL};
    server_start(&server, settings);
    client_open(&client, &server);
}

enum { UNREAD_TOKENS = 20 };

static void start_with_few_unread(void)
{
    static char unread[64];
    const char *const settings[] = {unread, NULL};
    snprintf(unread, sizeof unread, "CAROUSEL_LIMITS_UNREAD_TOKENS=%d", UNREAD_TOKENS);
    server_start(&server, settings);
    client_open(&client, &server);
}

static void stop(void)
{
    client_close(&client);
    ck_assert(metric_becomes(&server, "carousel_sequences_active", 0));
    ck_assert_int_eq(server_stop(&server), 0);
}

/* What a stream said. */
struct story {
    char text[4][4096]; /* by choice */
    char finish[4][16];
    int events, pings, usages, errors, finishes;
    double completion_tokens;
    bool is_done;
};

static void read_event(struct story *story, cJSON *event)
{
    story->events++;
    if (cJSON_GetObjectItemCaseSensitive(event, "error") != NULL) {
        story->errors++;
        return;
    }
    ck_assert_str_eq(json_at(event, "object")->valuestring, "text_completion");
    cJSON *usage = json_at(event, "usage");
    if (usage != NULL && cJSON_IsObject(usage)) {
        story->usages++;
        story->completion_tokens = json_at(usage, "completion_tokens")->valuedouble;
    }
    cJSON *choice;
    cJSON_ArrayForEach(choice, json_at(event, "choices"))
    {
        int i = (int)json_at(choice, "index")->valuedouble;
        ck_assert(i >= 0 && i < 4);
        ck_assert_msg(*story->finish[i] == '\0', "choice %d goes on after its end", i);
        strcat(story->text[i], json_at(choice, "text")->valuestring);
        cJSON *finish = json_at(choice, "finish_reason");
        ck_assert_ptr_nonnull(finish);
        if (cJSON_IsString(finish)) {
            story->finishes++;
            snprintf(story->finish[i], sizeof story->finish[i], "%s", finish->valuestring);
        }
    }
}

/* Every event is "data: ...\n\n", a ping is ": ...\n\n"; nothing comes after [DONE]. */
static void read_story(const struct reply *stream, struct story *story)
{
    memset(story, 0, sizeof *story);
    const char *at = stream->body;
    while (*at != '\0') {
        const char *end = strstr(at, "\n\n");
        ck_assert_msg(end != NULL, "an event does not end: %s", at);
        ck_assert_msg(!story->is_done, "something comes after [DONE]: %s", at);
        if (*at == ':') {
            story->pings++;
        } else {
            ck_assert_msg(strncmp(at, "data: ", 6) == 0, "not an event: %.80s", at);
            ck_assert_msg(memchr(at, '\n', (size_t)(end - at)) == NULL, "an event of two lines: %.80s", at);
            if (strncmp(at + 6, "[DONE]\n", 7) == 0) {
                story->is_done = true;
            } else {
                cJSON *event = cJSON_ParseWithLength(at + 6, (size_t)(end - at - 6));
                ck_assert_msg(event != NULL, "an event is not JSON: %.200s", at);
                read_event(story, event);
                cJSON_Delete(event);
            }
        }
        at = end + 2;
    }
}

static void expect_stream(struct story *story)
{
    ck_assert(client_read(&client, &reply));
    ck_assert_msg(reply.status == 200, "%d: %s", reply.status, reply.body);
    ck_assert_int_eq(strncmp(reply_header(&reply, "Content-Type"), "text/event-stream", 17), 0);
    ck_assert_str_eq(reply_header(&reply, "Cache-Control"), "no-cache");
    ck_assert_str_eq(reply_header(&reply, "X-Accel-Buffering"), "no");
    ck_assert(reply.complete);
    read_story(&reply, story);
}

static struct story story;

START_TEST(a_stream_tells_what_the_whole_answer_tells)
{
    struct reply *whole = post(&server, "/v1/completions",
                               "{'model':'tiny-characters','prompt':'ab','max_tokens':300,'seed':9}");
    expect_ok(whole);
    client_post(&client, "/v1/completions",
                "{'model':'tiny-characters','prompt':'ab','max_tokens':300,'seed':9,'stream':true}");
    expect_stream(&story);
    ck_assert(story.is_done);
    ck_assert_str_eq(story.text[0], text_at(whole, "choices.0.text"));
    ck_assert_str_eq(story.finish[0], "length");
    ck_assert_int_eq(story.usages, 0);
    /* And the connection serves on. */
    client_post(&client, "/v1/forecast", "{'series':[1,2],'horizon':1}");
    ck_assert(client_read(&client, &reply));
    expect_ok(&reply);
}
END_TEST

START_TEST(choices_of_a_stream_are_told_apart)
{
    struct reply *whole = post(
        &server, "/v1/completions",
        "{'model':'tiny-characters','prompt':['a','b'],'n':2,'max_tokens':50,'seed':3}");
    expect_ok(whole);
    client_post(
        &client, "/v1/completions",
        "{'model':'tiny-characters','prompt':['a','b'],'n':2,'max_tokens':50,'seed':3,'stream':true}");
    expect_stream(&story);
    ck_assert_int_eq(story.finishes, 4);
    for (int i = 0; i < 4; i++) {
        char path[32];
        snprintf(path, sizeof path, "choices.%d.text", i);
        ck_assert_str_eq(story.text[i], text_at(whole, path));
    }
}
END_TEST

START_TEST(usage_comes_last_where_asked)
{
    client_post(&client, "/v1/completions",
                "{'model':'tiny-characters','prompt':'ab','max_tokens':20,'stream':true,"
                "'stream_options':{'include_usage':true}}");
    expect_stream(&story);
    ck_assert_int_eq(story.usages, 1);
    ck_assert_double_eq(story.completion_tokens, 20);
    /* The usage event has no choices and stands right before [DONE]. */
    const char *usage = strstr(reply.body, "\"usage\":{");
    ck_assert_ptr_nonnull(usage);
    ck_assert_str_eq(strstr(usage, "\n\n"), "\n\ndata: [DONE]\n\n");
    ck_assert_ptr_nonnull(strstr(reply.body, "\"choices\":[]"));
}
END_TEST

START_TEST(a_stop_string_never_shows)
{
    for (int seed = 0; seed < 20; seed++) {
        char body[256];
        snprintf(body, sizeof body,
                 "{'model':'tiny-characters','prompt':'a','max_tokens':200,'seed':%d,'stream':true,"
                 "'stop':['e','ab','é→']}", seed);
        client_post(&client, "/v1/completions", body);
        expect_stream(&story);
        ck_assert(story.is_done);
        ck_assert_ptr_null(strchr(story.text[0], 'e'));
        ck_assert_ptr_null(strstr(story.text[0], "ab"));
        ck_assert_ptr_null(strstr(story.text[0], "é→"));
    }
}
END_TEST

START_TEST(events_hold_whole_code_points)
{
    static const char *const models[] = {"tiny-characters", "tiny-bytes"};
    for (int i = 0; i < 2; i++) {
        char body[256];
        snprintf(body, sizeof body, "{'model':'%s','prompt':'a','max_tokens':400,'seed':4,'stream':true}",
                 models[i]);
        client_post(&client, "/v1/completions", body);
        expect_stream(&story); /* cJSON takes any bytes, so look at them */
        const unsigned char *at = (const unsigned char *)reply.body;
        while (*at != '\0') {
            int more = *at < 0x80 ? 0 : *at >= 0xf0 ? 3 : *at >= 0xe0 ? 2 : *at >= 0xc2 ? 1 : -1;
            ck_assert_int_ge(more, 0);
            for (at++; more > 0; more--, at++)
                ck_assert_int_eq(*at & 0xc0, 0x80);
        }
    }
}
END_TEST

START_TEST(fast_tokens_share_events)
{
    client_post(&client, "/v1/completions",
                "{'model':'tiny-characters','prompt':'ab','max_tokens':2000,'stream':true,'seed':1}");
    expect_stream(&story);
    ck_assert_int_ge(story.events, 1);
    ck_assert_msg(story.events < 1000, "%d events for 2000 tokens", story.events);
}
END_TEST

/* No token is made while twenty wait to be sent, so a stream that held them back would never end. */
START_TEST(tokens_come_as_they_are_made)
{
    client_post(&client, "/v1/completions",
                "{'model':'tiny-characters','prompt':'ab','max_tokens':400,'stream':true,'seed':1}");
    expect_stream(&story);
    ck_assert_uint_ge(strlen(story.text[0]), 400);
    ck_assert_msg(story.events >= 400 / (UNREAD_TOKENS + 1), "%d events", story.events);
}
END_TEST

START_TEST(a_wrong_request_is_refused_before_the_stream)
{
    client_post(&client, "/v1/completions", "{'model':'tiny-characters','prompt':'ab','stream':true,'n':0}");
    ck_assert(client_read(&client, &reply));
    expect_error(&reply, 400, "invalid_value", "n");
}
END_TEST

START_TEST(logprobs_are_streamed)
{
    client_post(
        &client, "/v1/completions",
        "{'model':'tiny-characters','prompt':'ab','max_tokens':30,'stream':true,'logprobs':1,'seed':1}");
    expect_stream(&story);
    int tokens = 0;
    for (const char *at = reply.body; (at = strstr(at, "\"token_logprobs\":[")) != NULL; at++) {
        const char *end = strchr(at, ']');
        for (const char *comma = at; comma < end; comma++)
            tokens += *comma == ',';
        tokens += end[-1] != '[';
    }
    ck_assert_int_eq(tokens, 30);
}
END_TEST

START_TEST(a_deadline_in_mid_stream_is_told_as_an_error)
{
    char body[128];
    reply.status = 504; /* a machine that is too busy to begin in time is given more */
    for (int ms = 500; reply.status == 504; ms *= 2) {
        snprintf(body, sizeof body,
                 "{'model':'slow','prompt':'a','max_tokens':16000,'stream':true,'timeout_ms':%d}", ms);
        client_post(&client, "/v1/completions", body);
        ck_assert(client_read(&client, &reply));
    }
    ck_assert_int_eq(reply.status, 200);
    read_story(&reply, &story);
    ck_assert_int_eq(story.errors, 1);
    ck_assert(!story.is_done);
    ck_assert_ptr_nonnull(strstr(reply.body, "deadline_exceeded"));
    ck_assert(client_is_closed(&client, patience_ms(10000)));
}
END_TEST

START_TEST(who_leaves_in_mid_stream_frees_his_row)
{
    for (int reset = 0; reset < 2; reset++) {
        struct client other = {0};
        client_open(&other, &server);
        client_post(&other, "/v1/completions",
                    "{'model':'slow','prompt':'a','max_tokens':16000,'stream':true}");
        ck_assert(client_fill(&other, 400)); /* the stream is running */
        ck_assert(metric_becomes(&server, "carousel_sequences_active", 1));
        if (reset)
            client_abort(&other);
        else
            client_close(&other);
        ck_assert(metric_becomes(&server, "carousel_sequences_active", 0));
    }
    ck_assert(metric_becomes(&server, "carousel_requests_finished_total{reason=\"cancelled\"}", 2));
}
END_TEST

START_TEST(who_leaves_while_a_whole_answer_is_computed_frees_his_row)
{
    struct client other = {0};
    client_occupy(&other, &server);
    client_close(&other);
    ck_assert(metric_becomes(&server, "carousel_sequences_active", 0));
    ck_assert(metric_becomes(&server, "carousel_requests_finished_total{reason=\"cancelled\"}", 1));
}
END_TEST

START_TEST(who_leaves_the_queue_is_forgotten)
{
    const char *const settings[] = {slow_setting(), "CAROUSEL_SCHEDULER_WORKERS=1",
                                    "CAROUSEL_SCHEDULER_MAX_BATCH=1", NULL};
    struct server other;
    struct client one = {0}, two = {0};
    server_start(&other, settings);
    client_occupy(&one, &other);
    client_open(&two, &other);
    client_post(&two, "/v1/completions", "{'model':'slow','prompt':'a','max_tokens':16000}");
    ck_assert(metric_becomes(&other, "carousel_queue_depth", 1));
    client_close(&two);
    ck_assert(metric_becomes(&other, "carousel_queue_depth", 0));
    ck_assert(metric_becomes(&other, "carousel_requests_finished_total{reason=\"cancelled\"}", 1));
    ck_assert(metric_becomes(&other, "carousel_sequences_active", 1));
    client_close(&one);
    ck_assert(metric_becomes(&other, "carousel_sequences_active", 0));
    ck_assert_int_eq(server_stop(&other), 0);
}
END_TEST

START_TEST(a_reader_who_takes_nothing_is_dropped)
{
    struct client other = {0};
    int small = 4096;
    client_open(&other, &server);
    setsockopt(other.fd, SOL_SOCKET, SO_RCVBUF, &small, sizeof small);
    /* Far more than sockets buffer; the server must neither buffer it nor wait for ever. */
    client_post(
        &other, "/v1/completions",
        "{'model':'tiny-characters','prompt':'a','max_tokens':16000,'n':16,'logprobs':20,'stream':true}");
    ck_assert(metric_becomes(&server, "carousel_requests_finished_total{reason=\"cancelled\"}", 1));
    ck_assert(metric_becomes(&server, "carousel_sequences_active", 0));
    client_close(&other);
}
END_TEST

START_TEST(a_reader_who_is_slow_gets_all_of_it)
{
    struct reply *whole = post(&server, "/v1/completions",
                               "{'model':'tiny-characters','prompt':'a','max_tokens':3000,'seed':2}");
    expect_ok(whole);
    int small = 16384;
    setsockopt(client.fd, SOL_SOCKET, SO_RCVBUF, &small, sizeof small);
    client_post(
        &client, "/v1/completions",
        "{'model':'tiny-characters','prompt':'a','max_tokens':3000,'seed':2,'stream':true,'logprobs':5}");
    for (size_t n = 1000; n < 30000; n += 1000) {
        ck_assert(client_fill(&client, n));
        sleep_ms(20);
    }
    expect_stream(&story);
    ck_assert(story.is_done);
    ck_assert_str_eq(story.text[0], text_at(whole, "choices.0.text"));
}
END_TEST

Suite *stream_suite(void);

Suite *stream_suite(void)
{
    Suite *suite = suite_create("stream");
    TCase *form = tcase_create("form");
    tcase_add_checked_fixture(form, start, stop);
    tcase_set_timeout(form, TEST_TIMEOUT_S);
    tcase_add_test(form, a_stream_tells_what_the_whole_answer_tells);
    tcase_add_test(form, choices_of_a_stream_are_told_apart);
    tcase_add_test(form, usage_comes_last_where_asked);
    tcase_add_test(form, a_stop_string_never_shows);
    tcase_add_test(form, events_hold_whole_code_points);
    tcase_add_test(form, fast_tokens_share_events);
    tcase_add_test(form, a_wrong_request_is_refused_before_the_stream);
    tcase_add_test(form, logprobs_are_streamed);
    tcase_add_test(form, a_deadline_in_mid_stream_is_told_as_an_error);
    suite_add_tcase(suite, form);

    TCase *pieces = tcase_create("pieces");
    tcase_add_checked_fixture(pieces, start_with_few_unread, stop);
    tcase_set_timeout(pieces, TEST_TIMEOUT_S);
    tcase_add_test(pieces, tokens_come_as_they_are_made);
    suite_add_tcase(suite, pieces);

    TCase *readers = tcase_create("readers");
    tcase_add_checked_fixture(readers, start, stop);
    tcase_set_timeout(readers, TEST_TIMEOUT_S);
    tcase_add_test(readers, who_leaves_in_mid_stream_frees_his_row);
    tcase_add_test(readers, who_leaves_while_a_whole_answer_is_computed_frees_his_row);
    tcase_add_test(readers, who_leaves_the_queue_is_forgotten);
    tcase_add_test(readers, a_reader_who_takes_nothing_is_dropped);
    tcase_add_test(readers, a_reader_who_is_slow_gets_all_of_it);
    suite_add_tcase(suite, readers);
    return suite;
}
