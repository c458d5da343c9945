/* POST /v1/music: tunes, harmonies, files, what is refused. The model is random. */
#include <check.h>
#include <string.h>

#include "client.h"

static struct server server;
static const char *const settings[] = {"CAROUSEL_MODELS_FOLDERS=tests/unit/bundles",
                                       "CAROUSEL_LIMITS_MAX_TOKENS=200",
                                       NULL};

static void start(void)
{
    server_start(&server, settings);
}

static void stop(void)
{
    ck_assert_int_eq(server_stop(&server), 0);
}

START_TEST(a_tune_is_notes)
{
    struct reply *reply = post(&server, "/v1/music",
                               "{'bars':3,'metre':'3/4','key':'Dm','seed':7,'tempo':60}");
    expect_ok(reply);
    ck_assert_str_eq(text_at(reply, "object"), "music");
    ck_assert_str_eq(text_at(reply, "model"), "tiny-music");
    ck_assert_str_eq(text_at(reply, "finish_reason"), "length");
    ck_assert_double_eq(number_at(reply, "duration"), 9);
    ck_assert_double_eq(number_at(reply, "seed"), 7);
    ck_assert_double_eq(number_at(reply, "tempo"), 60);
    ck_assert_double_eq(number_at(reply, "notes.0.pitch"), 74); /* the triad of D minor */
    ck_assert_double_eq(number_at(reply, "usage.prompt_tokens"), 6);
    ck_assert_int_ge(length_at(reply, "notes"), 9);
    char first[4096];
    strncpy(first, strstr(reply->body, "\"notes\""), sizeof first - 1);
    *strstr(first, "\"usage\"") = 0;
    reply = post(&server, "/v1/music", "{'bars':3,'metre':'3/4','key':'Dm','seed':7}");
    ck_assert_ptr_nonnull(strstr(reply->body, first)); /* the same seed, the same notes */
}
END_TEST

START_TEST(a_melody_gets_voices)
{
    struct reply *reply = post(&server, "/v1/music", "{'melody':[72,74,null,76],'hold':true,'seed':1}");
    expect_ok(reply);
    ck_assert_double_eq(number_at(reply, "duration"), 4);
    ck_assert_double_eq(number_at(reply, "notes.0.pitch"), 72);
    ck_assert_double_eq(number_at(reply, "notes.2.pitch"), 76);
    ck_assert_double_eq(number_at(reply, "notes.2.start"), 3);
    ck_assert_double_eq(number_at(reply, "notes.3.voice"), 1);
}
END_TEST

START_TEST(files_have_their_media_types)
{
    struct reply *reply = post(&server, "/v1/music", "{'bars':2,'seed':3,'format':'midi'}");
    ck_assert_int_eq(reply->status, 200);
    ck_assert_str_eq(reply_header(reply, "Content-Type"), "audio/midi");
    ck_assert_mem_eq(reply->body, "MThd\0\0\0\6\0\1\0\5", 12);
    reply = ask_as(&server, "Accept: audio/midi\r\n", "POST", "/v1/music", "{\"bars\":2,\"seed\":3}");
    ck_assert_str_eq(reply_header(reply, "Content-Type"), "audio/midi");
    reply = post(&server, "/v1/music", "{'bars':2,'seed':3,'format':'abc','key':'Eb','title':'Mine'}");
    ck_assert_int_eq(reply->status, 200);
    ck_assert_str_eq(reply_header(reply, "Content-Type"), "text/vnd.abc; charset=utf-8");
    ck_assert_ptr_nonnull(strstr(reply->body, "X:1\nT:Mine\nM:4/4\nL:1/4\nQ:1/4=96\n"));
    ck_assert_ptr_nonnull(strstr(reply->body, "K:Eb\nV:1\n"));
    reply = post(&server, "/v1/music", "{'bars':2,'seed':3,'format':'abc'}");
    ck_assert_ptr_nonnull(strstr(reply->body, "T:tiny-music, seed 3\n"));
}
END_TEST

static const struct {
    const char *body, *code, *param;
    int status;
} refused[] = {
    {"{'format':'wav'}", "invalid_value", "format", 400},
    {"{'key':'H'}", "invalid_value", "key", 400},
    {"{'metre':'3/8'}", "invalid_value", "metre", 400}, /* a bar of one step and a half */
    {"{'metre':'3/7'}", "invalid_value", "metre", 400},
    {"{'tempo':9}", "invalid_value", "tempo", 400},
    {"{'program':128}", "invalid_value", "program", 400},
    {"{'title':'a\\nK:C'}", "invalid_value", "title", 400},
    {"{'bars':0}", "invalid_value", "bars", 400},
    {"{'bars':51}", "input_too_long", "bars", 400},
    {"{'bars':1e300}", "invalid_value", "bars", 400},
    {"{'bars':4,'melody':[60]}", "invalid_value", "bars", 400},
    {"{'melody':[]}", "invalid_value", "melody", 400},
    {"{'melody':'C'}", "invalid_value", "melody", 400},
    {"{'melody':[60.5]}", "invalid_value", "melody[0]", 400},
    {"{'melody':[60,128]}", "invalid_value", "melody[1]", 400},
    {"{'melody':[60,100]}", "invalid_value", "melody", 400}, /* the model ends at 83 */
    {"{'melody':[null]}", "invalid_value", "melody", 400},
    {"{'prime':[60]}", "invalid_value", "prime[0]", 400},
    {"{'prime':[[60],[-1]]}", "invalid_value", "prime[1]", 400},
    {"{'prime':[[60,61,62,63,64]]}", "invalid_value", "prime", 400},
    {"{'prime':[[60,61,62,63,64,65,66,67,68]]}", "invalid_value", "prime[0]", 400},
    {"{'prime':[[],[],[],[]],'bars':1}", "invalid_value", "bars", 400},
    {"{'temperature':3}", "invalid_value", "temperature", 400},
    {"{'meter':'3/4'}", "invalid_value", "meter", 400},
    {"{'model':'tiny-translation'}", "unsupported_for_model", NULL, 422},
};

START_TEST(what_cannot_be_is_refused_by_name)
{
    expect_error(post(&server, "/v1/music", refused[_i].body), refused[_i].status, refused[_i].code,
                 refused[_i].param);
}
END_TEST

START_TEST(models_say_what_notes_they_know)
{
    struct reply *reply = ask(&server, "GET", "/v1/models/tiny-music", NULL);
    expect_ok(reply);
    ck_assert_double_eq(number_at(reply, "lowest_note"), 48);
    ck_assert_double_eq(number_at(reply, "highest_note"), 83);
    ck_assert_double_eq(number_at(reply, "voices"), 4);
}
END_TEST

Suite *music_suite(void);

Suite *music_suite(void)
{
    Suite *suite = suite_create("music");
    TCase *core = tcase_create("core");
    tcase_add_checked_fixture(core, start, stop);
    tcase_set_timeout(core, TEST_TIMEOUT_S);
    tcase_add_test(core, a_tune_is_notes);
    tcase_add_test(core, a_melody_gets_voices);
    tcase_add_test(core, files_have_their_media_types);
    tcase_add_loop_test(core, what_cannot_be_is_refused_by_name, 0, sizeof refused / sizeof *refused);
    tcase_add_test(core, models_say_what_notes_they_know);
    suite_add_tcase(suite, core);
    return suite;
}
