/* Characters that a model does not know, if its bundle says `unknown`: the answer comes with a warning. */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "client.h"

static struct server server;

/* tiny-characters, which has no capitals and no digits, with a rule for what is unknown. */
static void put(const char *name, const char *rule)
{
    static const char type[] = "\"type\": \"characters\",";
    char folder[64], path[80], edited[8192];
    size_t bytes;
    snprintf(folder, sizeof folder, "unknown/%s", name);
    snprintf(path, sizeof path, "unknown/%s/config.json", name);
    bundle_copy("tiny-characters", folder);
    char *text = file_read(scratch_path(path), &bytes), *at = strstr(text, type);
    ck_assert_ptr_nonnull(at);
    int n = snprintf(edited, sizeof edited, "%.*s%s \"unknown\": \"%s\",%s", (int)(at - text), text, type,
                     rule, at + strlen(type));
    ck_assert_int_lt(n, (int)sizeof edited);
    file_write(scratch_path(path), edited, (size_t)n);
    free(text);
}

static void start(void)
{
    char setting[700];
    put("folding", "fold");
    put("skipping", "skip");
    snprintf(setting, sizeof setting, "CAROUSEL_MODELS_FOLDERS=%s", scratch_path("unknown"));
    server_start(&server, (const char *const[]){setting, NULL});
}

static void stop(void)
{
    if (server_stop(&server) != 0)
        abort(); /* check does not count failures of an unchecked teardown */
}

#define WARNING "'prompt' has 4 characters that are not in the vocabulary; 3 read as others, first 'A' " \
                "(U+0041) at byte 0; 1 left out, first '7' (U+0037) at byte 3"
#define UNKNOWN "'prompt':'A\\u00ea7\\u2026'"

START_TEST(a_prompt_of_unknown_characters_is_answered_with_a_warning)
{
    struct reply *reply =
        post(&server, "/v1/completions",
             "{'model':'folding'," UNKNOWN ",'echo':true,'max_tokens':1,'temperature':0}");
    expect_ok(reply);
    ck_assert_int_eq(strncmp(text_at(reply, "choices.0.text"), "ae...", 5), 0);
    ck_assert_str_eq(text_at(reply, "warnings.0"), WARNING);
    ck_assert_ptr_null(reply_at(reply, "warnings.1"));
    reply = post(&server, "/v1/completions", "{'model':'folding','prompt':'plain','max_tokens':1}");
    expect_ok(reply);
    ck_assert_ptr_null(reply_at(reply, "warnings"));
}
END_TEST

START_TEST(a_stream_ends_with_the_warning)
{
    struct reply *reply = post(&server, "/v1/completions",
                               "{'model':'folding'," UNKNOWN ",'max_tokens':3,'stream':true}");
    ck_assert_int_eq(reply->status, 200);
    ck_assert_ptr_nonnull(strstr(reply->body, "\"warnings\":[\"'prompt' has 4 characters"));
}
END_TEST

START_TEST(each_field_of_texts_has_a_warning)
{
    struct reply *reply =
        post(&server, "/v1/score", "{'model':'skipping','input':['aA'],'choices':['bB','c']}");
    expect_ok(reply);
    ck_assert_str_eq(text_at(reply, "warnings.0"), "'input' has 1 character that is not in the vocabulary; "
                                                   "1 left out, first 'A' (U+0041) at byte 1");
    ck_assert_int_eq(strncmp(text_at(reply, "warnings.1"), "'choices' has 1", 15), 0);
    reply = post(&server, "/v1/tokenize", "{'model':'skipping','input':'aA'}");
    expect_ok(reply);
    ck_assert_double_eq(number_at(reply, "count"), 1);
    ck_assert_ptr_nonnull(reply_at(reply, "warnings.0"));
    reply = post(&server, "/v1/embeddings", "{'model':'skipping','input':'aA'}");
    expect_ok(reply);
    ck_assert_ptr_nonnull(reply_at(reply, "warnings.0"));
}
END_TEST

START_TEST(a_prompt_of_nothing_else_is_refused)
{
    struct reply *reply = post(&server, "/v1/completions", "{'model':'skipping','prompt':'789'}");
    expect_error(reply, 400, "invalid_value", "prompt");
    ck_assert_msg(strstr(reply->body, "has 3 characters that are not in the vocabulary"), "%s", reply->body);
}
END_TEST

Suite *unknown_suite(void);

Suite *unknown_suite(void)
{
    Suite *suite = suite_create("unknown");
    TCase *cases = tcase_create("unknown");
    tcase_add_unchecked_fixture(cases, start, stop);
    tcase_set_timeout(cases, TEST_TIMEOUT_S);
    tcase_add_test(cases, a_prompt_of_unknown_characters_is_answered_with_a_warning);
    tcase_add_test(cases, a_stream_ends_with_the_warning);
    tcase_add_test(cases, each_field_of_texts_has_a_warning);
    tcase_add_test(cases, a_prompt_of_nothing_else_is_refused);
    suite_add_tcase(suite, cases);
    return suite;
}
