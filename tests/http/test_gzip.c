/* Bodies and answers in gzip: as curl and Python's clients send and ask for them. */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "client.h"

static struct server server;
static struct reply reply;

static void start(void)
{
    static const char *const settings[] = {"CAROUSEL_LIMITS_BODY_BYTES=4096", NULL};
    server_start(&server, settings);
}

static void stop(void)
{
    if (server_stop(&server) != 0) abort(); /* check does not count failures of an unchecked teardown */
}

/* {"series":[1,2,3],"horizon":1} */
static const unsigned char packed[] = {
    0x1f, 0x8b, 0x08, 0x00, 0x00, 0x00, 0x00, 0x00, 0x02, 0x03, 0xab, 0x56, 0x2a, 0x4e, 0x2d, 0xca, 0x4c,
    0x2d, 0x56, 0xb2, 0x8a, 0x36, 0xd4, 0x31, 0xd2, 0x31, 0x8e, 0xd5, 0x51, 0xca, 0xc8, 0x2f, 0xca, 0xac,
    0xca, 0xcf, 0x53, 0xb2, 0x32, 0xac, 0x05, 0x00, 0xc7, 0xc0, 0xa2, 0x35, 0x1e, 0x00, 0x00, 0x00,
};

/* 100,000 spaces: more than the limit. */
static const unsigned char bomb[] = {
    0x1f, 0x8b, 0x08, 0x00, 0x00, 0x00, 0x00, 0x00, 0x02, 0x03, 0xed, 0xc1, 0x31, 0x01, 0x00, 0x00, 0x00,
    0xc2, 0xa0, 0x2a, 0xeb, 0x9f, 0xd2, 0x1a, 0x1e, 0x40, 0x01, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,
    0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,
    0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,
    0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,
    0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,
    0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,
    0x00, 0x00, 0x00, 0x00, 0xaf, 0x06, 0x2d, 0xf0, 0x79, 0xca, 0xa0, 0x86, 0x01, 0x00,
};

static void send_body(const char *path, const char *headers, const void *body, size_t n)
{
    struct client client = {0};
    client_open(&client, &server);
    client_say(&client, "POST %s HTTP/1.1\r\nHost: t\r\n%sContent-Length: %zu\r\n\r\n", path, headers, n);
    ck_assert(client_send(&client, body, n));
    ck_assert(client_read(&client, &reply));
    client_close(&client);
}

START_TEST(a_body_in_gzip_is_read)
{
    static const char *const names[] = {"gzip", "x-gzip", "GZip"};
    char headers[64];
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        snprintf(headers, sizeof headers, "Content-Encoding: %s\r\n", names[i]);
        send_body("/v1/forecast", headers, packed, sizeof packed);
        expect_ok(&reply);
        ck_assert_int_eq(length_at(&reply, "forecasts.0.mean"), 1);
    }
    send_body("/v1/forecast", "Content-Encoding: identity\r\n", "{\"series\":[1],\"horizon\":1}", 26);
    expect_ok(&reply);
}
END_TEST

START_TEST(what_is_not_gzip_is_refused)
{
    send_body("/v1/forecast", "Content-Encoding: gzip\r\n", "{\"series\":[1],\"horizon\":1}", 26);
    expect_error(&reply, 400, "invalid_json", "");
    ck_assert_ptr_nonnull(strstr(reply.body, "is not the gzip"));
    send_body("/v1/forecast", "Content-Encoding: gzip\r\n", packed, sizeof packed - 1);
    expect_error(&reply, 400, "invalid_json", "");
    send_body("/v1/forecast", "", packed, sizeof packed);
    expect_error(&reply, 400, "invalid_json", "");
    send_body("/v1/forecast", "Content-Encoding: gzip\r\n", "", 0);
    expect_error(&reply, 400, "invalid_json", "");
    expect_ok(post(&server, "/v1/forecast", "{'series':[1],'horizon':1}"));
}
END_TEST

START_TEST(a_bomb_is_a_413)
{
    for (int i = 0; i < 20; i++) {
        send_body("/v1/forecast", "Content-Encoding: gzip\r\n", bomb, sizeof bomb);
        expect_error(&reply, 413, "payload_too_large", "");
    }
    expect_ok(post(&server, "/v1/forecast", "{'series':[1],'horizon':1}"));
}
END_TEST

START_TEST(another_coding_is_refused_by_name)
{
    static const char *const names[] = {"br", "zstd", "deflate", "compress", "gzip, gzip"};
    char headers[64];
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        snprintf(headers, sizeof headers, "Content-Encoding: %s\r\n", names[i]);
        send_body("/v1/forecast", headers, packed, sizeof packed);
        expect_error(&reply, 415, "unsupported_media_type", "");
        ck_assert_msg(strstr(reply.body, names[i]) != NULL, "%s", reply.body);
        ck_assert_str_eq(reply_header(&reply, "Accept-Encoding"), "gzip");
    }
    send_body("/v1/forecast", "Content-Type: text/plain\r\n", "{}", 2);
    expect_error(&reply, 415, "unsupported_media_type", "");
    ck_assert_str_eq(reply_header(&reply, "Accept-Encoding"), "");
}
END_TEST

START_TEST(a_large_answer_is_packed_if_asked_for)
{
    struct reply *plain = ask(&server, "GET", "/openapi.json", NULL);
    size_t bytes = plain->body_bytes;
    ck_assert_str_eq(reply_header(plain, "Vary"), "Accept-Encoding");
    ck_assert_str_eq(reply_header(plain, "Content-Encoding"), "");
    struct reply *small = ask_as(&server, "Accept-Encoding: gzip, deflate\r\n", "GET", "/openapi.json", NULL);
    ck_assert_int_eq(small->status, 200);
    ck_assert_str_eq(reply_header(small, "Content-Encoding"), "gzip");
    ck_assert_str_eq(reply_header(small, "Vary"), "Accept-Encoding");
    ck_assert_str_eq(reply_header(small, "Content-Type"), "application/json");
    ck_assert_uint_lt(small->body_bytes, bytes / 4);
    ck_assert_int_eq(memcmp(small->body, "\x1f\x8b\x08", 3), 0);
    /* the last four bytes of gzip are the length of what it holds */
    const unsigned char *end = (const unsigned char *)small->body + small->body_bytes - 4;
    ck_assert_uint_eq((size_t)end[0] | (size_t)end[1] << 8 | (size_t)end[2] << 16, bytes);
    small = ask_as(&server, "Accept-Encoding: gzip;q=0\r\n", "GET", "/openapi.json", NULL);
    ck_assert_str_eq(reply_header(small, "Content-Encoding"), "");
    ck_assert_uint_eq(small->body_bytes, bytes);
}
END_TEST

START_TEST(small_answers_and_streams_go_as_they_are)
{
    struct reply *answer = ask_as(&server, "Accept-Encoding: gzip\r\n", "GET", "/livez", NULL);
    ck_assert_str_eq(reply_header(answer, "Content-Encoding"), "");
    ck_assert_str_eq(reply_header(answer, "Vary"), "");
    answer = ask_as(&server, "Accept-Encoding: gzip\r\n", "POST", "/v1/completions",
                    "{\"model\":\"tiny-characters\",\"prompt\":\"a\",\"max_tokens\":4000,\"stream\":true}");
    ck_assert_int_eq(answer->status, 200);
    ck_assert_uint_gt(answer->body_bytes, 1400);
    ck_assert_str_eq(reply_header(answer, "Content-Encoding"), "");
    ck_assert_int_eq(strncmp(answer->body, "data: {", 7), 0);
    answer = ask_as(&server, "Accept-Encoding: gzip\r\n", "GET", "/nothing", NULL);
    expect_error(answer, 404, "not_found", "");
}
END_TEST

Suite *gzip_suite(void);

Suite *gzip_suite(void)
{
    Suite *suite = suite_create("gzip");
    TCase *cases = tcase_create("bodies and answers");
    tcase_add_unchecked_fixture(cases, start, stop);
    tcase_set_timeout(cases, TEST_TIMEOUT_S);
    tcase_add_test(cases, a_body_in_gzip_is_read);
    tcase_add_test(cases, what_is_not_gzip_is_refused);
    tcase_add_test(cases, a_bomb_is_a_413);
    tcase_add_test(cases, another_coding_is_refused_by_name);
    tcase_add_test(cases, a_large_answer_is_packed_if_asked_for);
    tcase_add_test(cases, small_answers_and_streams_go_as_they_are);
    suite_add_tcase(suite, cases);
    return suite;
}
