/* POST /translate and GET /languages: LibreTranslate's shape, as JSON and as a form. The model is random. */
#include <check.h>
#include <stdio.h>
#include <string.h>

#include "client.h"

static struct server server;
static const char *const settings[] = {"CAROUSEL_MODELS_FOLDERS=tests/unit/bundles", NULL};

static void start(void)
{
    server_start(&server, settings);
}

static void stop(void)
{
    ck_assert_int_eq(server_stop(&server), 0);
}

/* A form as Python's urllib sends it. */
static struct reply *post_form(const char *body)
{
    static struct client client;
    static struct reply reply;
    client_open(&client, &server);
    client_say(&client, "POST /translate HTTP/1.1\r\nHost: t\r\nConnection: close\r\n"
                        "Content-Type: application/x-www-form-urlencoded\r\nContent-Length: %zu\r\n\r\n%s",
               strlen(body), body);
    ck_assert(client_read(&client, &reply));
    client_close(&client);
    return &reply;
}

START_TEST(texts_are_translated_by_their_languages)
{
    char text[64];
    struct reply *reply = post(&server, "/v1/translate", "{'model':'tiny-sentences','input':'abc'}");
    expect_ok(reply);
    snprintf(text, sizeof text, "%s", text_at(reply, "translations.0.text"));
    reply = post(&server, "/translate",
                 "{'q':'abc','source':'en','target':'fr','format':'text','api_key':''}");
    expect_ok(reply);
    ck_assert_str_eq(text_at(reply, "translatedText"), text);
    ck_assert_ptr_null(strstr(reply->body, "alternatives"));
    reply = post(&server, "/translate", "{'q':['abc','b'],'source':'auto','target':'FR','alternatives':2}");
    expect_ok(reply);
    ck_assert_int_eq(length_at(reply, "translatedText"), 2);
    ck_assert_str_eq(text_at(reply, "translatedText.0"), text);
    ck_assert_int_eq(length_at(reply, "alternatives"), 2);
    ck_assert_int_eq(length_at(reply, "alternatives.1"), 2);
}
END_TEST

START_TEST(forms_are_read)
{
    char text[64];
    struct reply *reply = post(&server, "/translate", "{'q':'ab c','source':'en','target':'fr'}");
    expect_ok(reply);
    snprintf(text, sizeof text, "%s", text_at(reply, "translatedText"));
    reply = post_form("q=a%62+c&source=en&target=fr&&alternatives=3");
    expect_ok(reply);
    ck_assert_str_eq(text_at(reply, "translatedText"), text);
    ck_assert_int_eq(length_at(reply, "alternatives"), 3);
    expect_error(post_form("q=a&source=en&target=fr&q=b"), 400, "invalid_json", NULL);
    expect_error(post_form("q=%ff&source=en&target=fr"), 400, "invalid_value", "input");
    expect_error(post_form("q=a&source=en&target=fr&alternatives=x"), 400, "invalid_value", "alternatives");
    expect_error(post_form(""), 400, "invalid_value", "source");
}
END_TEST

START_TEST(languages_are_listed)
{
    struct reply *reply = ask(&server, "GET", "/languages", NULL);
    expect_ok(reply);
    ck_assert_str_eq(text_at(reply, "0.code"), "en");
    ck_assert_str_eq(text_at(reply, "0.name"), "English");
    ck_assert_str_eq(text_at(reply, "0.targets.0"), "fr");
    ck_assert_str_eq(text_at(reply, "1.code"), "fr");
    ck_assert_int_eq(length_at(reply, "1.targets"), 0);
}
END_TEST

START_TEST(what_cannot_be_is_refused_by_name)
{
    static const struct {
        const char *body, *code, *param;
    } rows[] = {
        {"{'q':'a','source':'fr','target':'en'}", "invalid_value", "target"},
        {"{'q':'a','source':'en'}", "invalid_value", "target"},
        {"{'q':'a','source':5,'target':'fr'}", "invalid_value", "source"},
        {"{'q':5,'source':'en','target':'fr'}", "invalid_value", "q"},
        {"{'source':'en','target':'fr'}", "invalid_value", "q"},
        {"{'q':'a','source':'en','target':'fr','format':'html'}", "invalid_value", "format"},
        {"{'q':'a','source':'en','target':'fr','alternatives':16}", "invalid_value", "alternatives"},
        {"{'q':'a',", "invalid_json", NULL},
    };
    expect_error(post(&server, "/translate", rows[_i].body), 400, rows[_i].code, rows[_i].param);
}
END_TEST

/* A text of three sentences: each with its place, and all together with the white space between them. */
START_TEST(long_texts_are_cut_into_sentences)
{
    struct reply *reply =
        post(&server, "/v1/translate", "{'model':'tiny-sentences','input':['Ab. \xc3\x89" "cd!\\n Ef','a']}");
    char joined[256], parts[3][64];
    expect_ok(reply);
    ck_assert_int_eq(length_at(reply, "translations"), 2);
    ck_assert_int_eq(length_at(reply, "translations.0.sentences"), 3);
    for (int i = 0; i < 3; i++) {
        char path[64];
        snprintf(path, sizeof path, "translations.0.sentences.%d.text", i);
        snprintf(parts[i], sizeof parts[i], "%s", text_at(reply, path));
    }
    snprintf(joined, sizeof joined, "%s %s\n %s", parts[0], parts[1], parts[2]);
    ck_assert_str_eq(text_at(reply, "translations.0.text"), joined);
    ck_assert_double_eq(number_at(reply, "translations.0.sentences.1.start"), 4);
    ck_assert_double_eq(number_at(reply, "translations.0.sentences.1.end"), 8);
    ck_assert_double_eq(number_at(reply, "translations.0.sentences.2.start"), 10);
    reply = post(&server, "/v1/translate",
                 "{'model':'tiny-sentences','input':'Ab. Cd! Ef','split_sentences':false}");
    expect_ok(reply);
    ck_assert_ptr_null(strstr(reply->body, "\"sentences\""));
}
END_TEST

Suite *libretranslate_suite(void);

Suite *libretranslate_suite(void)
{
    Suite *suite = suite_create("libretranslate");
    TCase *core = tcase_create("core");
    tcase_add_checked_fixture(core, start, stop);
    tcase_set_timeout(core, TEST_TIMEOUT_S);
    tcase_add_test(core, texts_are_translated_by_their_languages);
    tcase_add_test(core, forms_are_read);
    tcase_add_test(core, languages_are_listed);
    tcase_add_loop_test(core, what_cannot_be_is_refused_by_name, 0, 8);
    tcase_add_test(core, long_texts_are_cut_into_sentences);
    suite_add_tcase(suite, core);
    return suite;
}
