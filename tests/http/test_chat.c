/* Chats: messages become a text as the bundle says, and the answer has OpenAI's shape. */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "client.h"

static struct server server;

/* Copies of bundles with two ways to make a text of a chat. */
static void copy_with(const char *name, const char *bundle, const char *chat_template)
{
    char config[96];
    size_t bytes;
    snprintf(config, sizeof config, "chats/%s", name);
    bundle_copy(bundle, config);
    snprintf(config, sizeof config, "chats/%s/config.json", name);
    char *text = file_read(scratch_path(config), &bytes), *changed = malloc(bytes + 128);
    ck_assert_ptr_nonnull(changed);
    int n = snprintf(changed, bytes + 128, "{\"generation\": {\"chat_template\": \"%s\"},%s", chat_template,
                                             text + 1);
    file_write(scratch_path(config), changed, (size_t)n);
    free(text);
    free(changed);
}

static void setup(void)
{
    char setting[1024];
    copy_with("plain", "tiny-characters", "plain");
    copy_with("roles", "tiny-bytes", "roles");
    snprintf(setting, sizeof setting, "CAROUSEL_MODELS_FOLDERS=%s:%s", BUNDLES, scratch_path("chats"));
    const char *const settings[] = {setting, NULL};
    server_start(&server, settings);
}

static void teardown(void)
{
    ck_assert_int_eq(server_stop(&server), 0);
}

START_TEST(messages_become_a_text)
{
    struct reply *reply = post(&server, "/v1/completions",
                               "{'model':'plain','prompt':'be brief\\nhello\\nyes','max_tokens':20,"
                               "'seed':3}");
    char text[256];
    snprintf(text, sizeof text, "%s", text_at(reply, "choices.0.text"));
    reply = post(&server, "/v1/chat/completions",
                 "{'model':'plain','messages':[{'role':'system','content':'be brief'},{'role':'user',"
                 "'content':[{'type':'text','text':'hel'},{'type':'text','text':'lo'}]},"
                 "{'role':'assistant','content':'yes'}],"
                 "'max_completion_tokens':20,'seed':3}");
    expect_ok(reply);
    ck_assert_str_eq(text_at(reply, "object"), "chat.completion");
    ck_assert_str_eq(text_at(reply, "choices.0.message.role"), "assistant");
    ck_assert_str_eq(text_at(reply, "choices.0.message.content"), text);
    ck_assert_str_eq(text_at(reply, "choices.0.finish_reason"), "length");
    ck_assert_int_eq((int)number_at(reply, "usage.completion_tokens"), 20);
    reply = post(&server, "/v1/completions",
                 "{'model':'roles','prompt':'User: "
                 "hello\\nAssistant:','max_tokens':20,'seed':3,'stop':'\\nUser:'}");
    snprintf(text, sizeof text, "%s", text_at(reply, "choices.0.text"));
    reply = post(&server, "/v1/chat/completions",
                 "{'model':'roles','messages':[{'role':'user','content':'hello'}],'max_tokens':20,'seed':3}");
    ck_assert_str_eq(text_at(reply, "choices.0.message.content"), text);
}
END_TEST

START_TEST(a_chat_is_streamed)
{
    static const char body[] = "{'model':'plain','messages':[{'role':'user','content':'hello'}],"
                               "'max_tokens':40,'seed':3%s}";
    struct reply *reply = postf(&server, "/v1/chat/completions", body, "");
    char whole[512], parts[512] = "";
    int n_roles = 0;
    snprintf(whole, sizeof whole, "%s", text_at(reply, "choices.0.message.content"));
    reply = postf(&server, "/v1/chat/completions", body, ",'stream':true");
    ck_assert_int_eq(reply->status, 200);
    size_t n = strlen(reply->body);
    ck_assert(n > 14 && !strcmp(reply->body + n - 14, "data: [DONE]\n\n"));
    for (char *event = strtok(reply->body, "\n"); event; event = strtok(NULL, "\n")) {
        if (strncmp(event, "data: {", 7)) continue;
        cJSON *json = cJSON_Parse(event + 6), *delta = json_at(json, "choices.0.delta");
        ck_assert_str_eq(json_at(json, "object")->valuestring, "chat.completion.chunk");
        strcat(parts, json_at(delta, "content")->valuestring);
        n_roles += json_at(delta, "role") != NULL;
        cJSON_Delete(json);
    }
    ck_assert_str_eq(parts, whole);
    ck_assert_int_eq(n_roles, 1);
}
END_TEST

START_TEST(what_is_no_chat_is_refused)
{
    struct reply *reply = post(&server, "/v1/chat/completions",
                               "{'model':'tiny-characters','messages':[{'role':'user','content':'a'}]}");
    expect_error(reply, 404, "not_found", NULL);
    ck_assert_ptr_nonnull(strstr(text_at(reply, "error.message"), "know no chat"));
    expect_error(post(&server, "/v1/chat/completions", "{'model':'plain'}"), 400, "invalid_value",
                 "messages");
    expect_error(post(&server, "/v1/chat/completions",
                      "{'model':'plain','messages':[{'role':'user','content':5}]}"),
                 400, "invalid_value", "messages");
    expect_error(post(&server, "/v1/chat/completions", "{'model':'plain','messages':[{'content':'a'}]}"), 400,
                 "invalid_value", "messages");
    expect_error(post(&server, "/v1/chat/completions",
                      "{'model':'plain','messages':[{'role':'user','content':'a'}],'tools':[{}]}"),
                 400, "invalid_value", "tools");
    expect_error(post(&server, "/v1/chat/completions",
                      "{'model':'plain','messages':[{'role':'user','content':[{'type':'image_url'}]}]}"),
                 400, "invalid_value", "messages");
    expect_error(post(&server, "/v1/chat/completions", "{'model':'nobody','messages':[]}"), 404,
                 "model_not_found",
                 "model");
}
END_TEST

Suite *chat_suite(void);

Suite *chat_suite(void)
{
    Suite *suite = suite_create("chat");
    TCase *cases = tcase_create("chat");
    tcase_set_timeout(cases, TEST_TIMEOUT_S);
    tcase_add_checked_fixture(cases, setup, teardown);
    tcase_add_test(cases, messages_become_a_text);
    tcase_add_test(cases, a_chat_is_streamed);
    tcase_add_test(cases, what_is_no_chat_is_refused);
    suite_add_tcase(suite, cases);
    return suite;
}
