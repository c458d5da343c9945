/* POST /v1/handwriting: strokes and files, seeds, what is refused. The hand is random. */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "client.h"

static struct server server;
static const char *const settings[] = {"CAROUSEL_MODELS_FOLDERS=tests/unit/bundles", NULL};
#define ROUTE "/v1/handwriting"

static void start(void)
{
    server_start(&server, settings);
}

static void stop(void)
{
    ck_assert_int_eq(server_stop(&server), 0);
}

START_TEST(a_text_is_strokes)
{
    struct reply *reply = post(&server, ROUTE, "{'input':'ab cd','seed':5,'bias':1,'width':400,'size':50}");
    expect_ok(reply);
    ck_assert_str_eq(text_at(reply, "object"), "handwriting");
    ck_assert_str_eq(text_at(reply, "model"), "tiny-handwriting");
    ck_assert_double_eq(number_at(reply, "seed"), 5);
    ck_assert_double_eq(number_at(reply, "bias"), 1);
    ck_assert_double_eq(number_at(reply, "width"), 400);
    ck_assert_double_ge(number_at(reply, "height"), 90);
    ck_assert_int_ge(length_at(reply, "strokes"), 1);
    ck_assert_int_eq(length_at(reply, "strokes.0.0"), 2);
    ck_assert_double_le(number_at(reply, "strokes.0.0.0"), 400);
    ck_assert_double_eq(number_at(reply, "usage.prompt_tokens"), 6); /* the text and its end */
    const char *reason = text_at(reply, "finish_reason");
    ck_assert(!strcmp(reason, "stop") || !strcmp(reason, "length"));
}
END_TEST

/* What a seed writes is always the same, in each form. */
START_TEST(a_seed_is_a_hand)
{
    struct reply *reply = post(&server, ROUTE, "{'input':'abc','seed':8,'format':'svg'}");
    char *first = strdup(reply->body);
    reply = post(&server, ROUTE, "{'input':'abc','seed':8,'format':'svg'}");
    ck_assert_str_eq(reply->body, first);
    reply = post(&server, ROUTE, "{'input':'abc','seed':9,'format':'svg'}");
    ck_assert_str_ne(reply->body, first);
    free(first);
}
END_TEST

static const struct {
    const char *headers, *body, *media_type, *begins;
} files[] = {
    {"", "{\"input\":\"a\",\"format\":\"svg\"}", "image/svg+xml", "<svg xmlns="},
    {"Accept: image/svg+xml\r\n", "{\"input\":\"a\"}", "image/svg+xml", "<svg xmlns="},
    {"", "{\"input\":\"a\",\"format\":\"png\",\"align\":\"center\"}", "image/png", "\x89PNG\r\n"},
    {"Accept: image/png\r\n", "{\"input\":\"a\"}", "image/png", "\x89PNG\r\n"},
    {"", "{\"input\":\"a\",\"format\":\"gcode\",\"align\":\"right\"}", "text/x-gcode; charset=utf-8",
     "; 200.0 x"},
    {"Accept: text/x-gcode\r\n", "{\"input\":\"a\"}", "text/x-gcode; charset=utf-8", "; 200.0 x"},
    {"Accept: image/png\r\n", "{\"input\":\"a\",\"format\":\"strokes\"}", "application/json",
     "{\"id\":\"hand-"},
};

START_TEST(files_have_their_media_types)
{
    struct reply *reply = ask_as(&server, files[_i].headers, "POST", ROUTE, files[_i].body);
    ck_assert_int_eq(reply->status, 200);
    ck_assert_str_eq(reply_header(reply, "Content-Type"), files[_i].media_type);
    ck_assert_ptr_eq(strstr(reply->body, files[_i].begins), reply->body);
}
END_TEST

static const struct {
    const char *body, *code, *param;
    int status;
} refused[] = {
    {"{}", "invalid_value", "input", 400},
    {"{'input':''}", "invalid_value", "input", 400},
    {"{'input':7}", "invalid_value", "input", 400},
    {"{'input':['a','b']}", "invalid_value", "input", 400},
    {"{'input':'abz'}", "invalid_value", "input", 400},
    {"{'input':'a','bias':11}", "invalid_value", "bias", 400},
    {"{'input':'a','bias':-1}", "invalid_value", "bias", 400},
    {"{'input':'a','bias':'neat'}", "invalid_value", "bias", 400},
    {"{'input':'a','width':63}", "invalid_value", "width", 400},
    {"{'input':'a','size':513}", "invalid_value", "size", 400},
    {"{'input':'a','align':'justify'}", "invalid_value", "align", 400},
    {"{'input':'a','format':'pdf'}", "invalid_value", "format", 400},
    {"{'input':'a','seed':-1}", "invalid_value", "seed", 400},
    {"{'input':'a','style':-3}", "invalid_value", "style", 400},
    {"{'input':'a','style':1.5}", "invalid_value", "style", 400},
    {"{'input':'a','style':'neat'}", "invalid_value", "style", 400},
    {"{'input':'a','style':[1]}", "invalid_value", "style", 400},
    {"{'input':'a','style':{}}", "invalid_value", "style.text", 400},
    {"{'input':'a','style':{'strokes':[[[0,0],[9,9]]]}}", "invalid_value", "style.text", 400},
    {"{'input':'a','style':{'strokes':[[[0,0],[9,9]]],'text':''}}", "invalid_value", "style.text", 400},
    {"{'input':'a','style':{'strokes':[[[0,0],[9,9]]],'text':'axb'}}", "invalid_value", "style.text", 400},
    {"{'input':'a','style':{'text':'ab'}}", "invalid_value", "style.strokes", 400},
    {"{'input':'a','style':{'strokes':[],'text':'ab'}}", "invalid_value", "style.strokes", 400},
    {"{'input':'a','style':{'strokes':[[]],'text':'ab'}}", "invalid_value", "style.strokes", 400},
    {"{'input':'a','style':{'strokes':[[[0,null]]],'text':'ab'}}", "invalid_value", "style.strokes", 400},
    {"{'input':'a','style':{'strokes':[[[0,1e999]]],'text':'ab'}}", "invalid_value", "style.strokes", 400},
    {"{'input':'a','style':{'strokes':[[[0,2e9]]],'text':'ab'}}", "invalid_value", "style.strokes", 400},
    {"{'input':'a','style':{'strokes':[[[0,0]]],'text':'ab','slant':1}}", "invalid_value", "slant", 400},
    {"{'input':'a','colour':'red'}", "invalid_value", "colour", 400},
    {"{'model':'tiny-music','input':'a'}", "unsupported_for_model", NULL, 422},
};

START_TEST(what_cannot_be_is_refused_by_name)
{
    expect_error(post(&server, ROUTE, refused[_i].body), refused[_i].status, refused[_i].code,
                 refused[_i].param);
}
END_TEST

/* The strokes of a reply as text: [start of strokes, its end). The caller frees it. */
static char *strokes_of(const struct reply *reply)
{
    ck_assert_int_eq(reply->status, 200);
    const char *begin = strstr(reply->body, "\"strokes\""), *end = strstr(reply->body, "\"finish_reason\"");
    ck_assert(begin && end);
    return strndup(begin, (size_t)(end - begin));
}

static char *write_with(const char *style)
{
    char body[256];
    snprintf(body, sizeof body, "{'input':'ab','seed':4,'style':%s}", style);
    return strokes_of(post(&server, ROUTE, body));
}

/* Each style writes in its own way, and always in the same. */
START_TEST(a_style_is_a_hand)
{
    static const char *const styles[] = {
        "null", "0", "7", "{'text':'ab','strokes':[[[0,0],[3,8],[6,0]],[[9,0],[9,8]]]}",
        "{'text':'ab','strokes':[[[0,0],[3,2],[6,0]],[[9,0],[9,8]]]}",
        "{'text':'cb','strokes':[[[0,0],[3,8],[6,0]],[[9,0],[9,8]]]}"};
    enum { N = sizeof styles / sizeof *styles };
    char *written[N];
    for (size_t i = 0; i < N; i++) {
        written[i] = write_with(styles[i]);
        char *again = write_with(styles[i]);
        ck_assert_str_eq(again, written[i]);
        free(again);
        for (size_t k = 0; k < i; k++) ck_assert_str_ne(written[k], written[i]);
    }
    for (size_t i = 0; i < N; i++) free(written[i]);
    /* strokes count by their shape: another unit and another place, in columns, change nothing */
    char *one = write_with("{'text':'ab','strokes':[[[0,0],[32,64],[48,0]]]}");
    char *other = write_with("{'text':'ab','strokes':[{'x':[64,128,160],'y':[32,160,32]}]}");
    ck_assert_str_eq(one, other);
    free(one);
    free(other);
}
END_TEST

START_TEST(a_style_counts_to_the_text)
{
    enum { LONG = 1000 };
    char body[2 * LONG + 200] = "{'input':'", letters[LONG + 1];
    memset(letters, 'a', LONG);
    letters[LONG] = '\0';
    size_t at = strlen(body);
    snprintf(body + at, sizeof body - at, "%s','style':{'strokes':[[[0,0],[1,1]]],'text':'%s'}}", letters,
             letters);
    struct reply *reply = post(&server, ROUTE, body);
    expect_error(reply, 400, "input_too_long", "input");
    ck_assert_ptr_nonnull(strstr(text_at(reply, "error.message"), "those of the style included"));
    char scribble[20000] = "{'input':'ab','style':{'text':'ab','strokes':[[";
    for (size_t i = 0; i < 1200; i++) strcat(scribble, "[0,0],[1,9],");
    strcat(scribble, "[0,0]]]}}");
    expect_error(post(&server, ROUTE, scribble), 400, "input_too_long", "style.strokes");
    reply = post(&server, ROUTE, "{'input':'ab','style':{'text':'ab','strokes':[[[0,0],[1,9]]]}}");
    expect_ok(reply);
    ck_assert_double_eq(number_at(reply, "usage.prompt_tokens"), 6); /* "ab ab" and its end */
}
END_TEST

/* A letter that the hand has never written is named. */
START_TEST(an_unknown_letter_is_named)
{
    struct reply *reply = post(&server, ROUTE, "{'input':'abxc'}");
    expect_error(reply, 400, "invalid_value", "input");
    ck_assert_ptr_nonnull(strstr(text_at(reply, "error.message"), "'x'"));
}
END_TEST

START_TEST(a_refusal_says_what_it_found)
{
    struct reply *reply = post(&server, ROUTE, "{'input':'a','align':'justify'}");
    ck_assert_str_eq(text_at(reply, "error.message"),
                     "'align' is 'justify'; expected 'left', 'center' or 'right'");
    reply = post(&server, ROUTE, "{'input':'a','store':true}");
    expect_error(reply, 422, "unsupported_for_model", "store");
    ck_assert_ptr_nonnull(strstr(text_at(reply, "error.message"), "each page is written anew"));
}
END_TEST

START_TEST(a_long_text_is_refused)
{
    enum { LONG = 1700 };
    char body[LONG + 64] = "{'input':'";
    memset(body + strlen(body), 'a', LONG);
    strcat(body, "'}");
    expect_error(post(&server, ROUTE, body), 400, "input_too_long", "input");
}
END_TEST

Suite *handwriting_suite(void);

Suite *handwriting_suite(void)
{
    Suite *suite = suite_create("handwriting");
    TCase *core = tcase_create("core");
    tcase_add_checked_fixture(core, start, stop);
    tcase_set_timeout(core, TEST_TIMEOUT_S);
    tcase_add_test(core, a_text_is_strokes);
    tcase_add_test(core, a_seed_is_a_hand);
    tcase_add_loop_test(core, files_have_their_media_types, 0, sizeof files / sizeof *files);
    tcase_add_loop_test(core, what_cannot_be_is_refused_by_name, 0, sizeof refused / sizeof *refused);
    tcase_add_test(core, a_style_is_a_hand);
    tcase_add_test(core, a_style_counts_to_the_text);
    tcase_add_test(core, an_unknown_letter_is_named);
    tcase_add_test(core, a_refusal_says_what_it_found);
    tcase_add_test(core, a_long_text_is_refused);
    suite_add_tcase(suite, core);
    return suite;
}
