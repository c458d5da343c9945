/* GET /, /docs and /playground/{id}: the embedded files with their policy, their tags and their setting.
 * What the page does in a browser is checked by `make check-page`. */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "client.h"

Suite *page_suite(void);

static const struct {
    const char *name, *file, *type;
} files[] = {
#define X(symbol, name, file, type) {name, file, type},
#include "server/playground/assets.def"
};

enum { N_FILES = sizeof files / sizeof *files };

static struct server server;

static void start(void)
{
    server_start(&server, NULL);
}

static void stop(void)
{
    ck_assert_int_eq(server_stop(&server), 0);
}

static const char *path_of(int i)
{
    static char path[96];
    snprintf(path, sizeof path, "/playground/%s", files[i].name);
    return *files[i].name ? path : "/openapi.json";
}

START_TEST(a_file_is_given_as_it_is)
{
    size_t bytes;
    char *file = file_read(files[_i].file, &bytes);
    struct reply *reply = ask(&server, "GET", path_of(_i), NULL);
    ck_assert_int_eq(reply->status, 200);
    ck_assert_str_eq(reply_header(reply, "Content-Type"), files[_i].type);
    ck_assert_uint_eq(reply->body_bytes, bytes);
    ck_assert_int_eq(memcmp(reply->body, file, bytes), 0);
    free(file);
}
END_TEST

/* A client that has the file, by its tag, is not sent it again. */
START_TEST(a_known_file_is_not_sent)
{
    char header[128];
    snprintf(header, sizeof header, "If-None-Match: \"other\", %s\r\n",
             reply_header(ask(&server, "GET", path_of(_i), NULL), "ETag"));
    struct reply *reply = ask_as(&server, header, "GET", path_of(_i), NULL);
    ck_assert_int_eq(reply->status, 304);
    ck_assert_uint_eq(reply->body_bytes, 0);
    ck_assert_str_ne(reply_header(reply, "ETag"), "");
    ck_assert_int_eq(ask_as(&server, "If-None-Match: \"other\"\r\n", "GET", path_of(_i), NULL)->status, 200);
}
END_TEST

/* A page runs nothing but its own files, and is in no frame. */
START_TEST(a_page_has_a_policy)
{
    static const char *const paths[] = {"/", "/docs", "/playground/app.js"};
    for (size_t i = 0; i < sizeof paths / sizeof *paths; i++) {
        struct reply *reply = ask(&server, "GET", paths[i], NULL);
        ck_assert_int_eq(reply->status, 200);
        const char *policy = reply_header(reply, "Content-Security-Policy");
        ck_assert_ptr_nonnull(strstr(policy, "default-src 'none'"));
        ck_assert_ptr_nonnull(strstr(policy, "script-src 'self'"));
        ck_assert_ptr_nonnull(strstr(policy, "frame-ancestors 'none'"));
        ck_assert_ptr_null(strstr(policy, "unsafe"));
        ck_assert_str_eq(reply_header(reply, "X-Content-Type-Options"), "nosniff");
    }
    expect_error(ask(&server, "GET", "/playground/nothing.js", NULL), 404, "not_found", "");
    ck_assert_str_eq(reply_header(ask(&server, "GET", "/playground/nothing.js", NULL), "ETag"), "");
}
END_TEST

/* No address of another host, no inline script or style: the policy would forbid them in silence. */
START_TEST(a_page_asks_no_other_host)
{
    size_t bytes;
    if (!strstr(files[_i].file, "playground")) return;
    char *file = file_read(files[_i].file, &bytes);
    bool is_html = strstr(files[_i].type, "html") != NULL;
    ck_assert_msg(!strstr(file, "https://"), "%s", files[_i].file);
    ck_assert_msg(!is_html || (!strstr(file, "<style") && !strstr(file, "style=") && !strstr(file,
                                                                                             "<script>")),
                                                                                                 "%s",
                  files[_i].file);
    free(file);
}
END_TEST

/* server.playground, and what `auto` means for a public address with and without keys. */
START_TEST(the_page_has_a_setting)
{
    struct {
        const char *settings[4];
        int status;
    } rows[] = {
        {{"CAROUSEL_SERVER_PLAYGROUND=off", NULL}, 404},
        {{"CAROUSEL_SERVER_HOST=0.0.0.0", NULL}, 404},
        {{"CAROUSEL_SERVER_HOST=0.0.0.0", "CAROUSEL_SERVER_PLAYGROUND=on", NULL}, 200},
        {{"CAROUSEL_SERVER_HOST=0.0.0.0", keys_setting(), NULL}, 200},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        server_start(&server, rows[i].settings);
        ck_assert_msg(ask(&server, "GET", "/", NULL)->status == rows[i].status, "row %zu", i);
        ck_assert_int_eq(ask(&server, "GET", "/docs", NULL)->status, rows[i].status);
        ck_assert_int_eq(ask(&server, "GET", "/openapi.json", NULL)->status, 200);
        stop();
    }
}
END_TEST

Suite *page_suite(void)
{
    Suite *suite = suite_create("page");
    TCase *all = tcase_create("page"), *settings = tcase_create("settings");
    tcase_set_timeout(all, TEST_TIMEOUT_S);
    tcase_add_unchecked_fixture(all, start, stop);
    tcase_add_loop_test(all, a_file_is_given_as_it_is, 0, N_FILES);
    tcase_add_loop_test(all, a_known_file_is_not_sent, 0, N_FILES);
    tcase_add_test(all, a_page_has_a_policy);
    tcase_add_loop_test(all, a_page_asks_no_other_host, 0, N_FILES);
    suite_add_tcase(suite, all);
    tcase_set_timeout(settings, TEST_TIMEOUT_S);
    tcase_add_test(settings, the_page_has_a_setting);
    suite_add_tcase(suite, settings);
    return suite;
}
