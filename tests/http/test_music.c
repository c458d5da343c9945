/* POST /v1/music: tunes, harmonies, files, what is refused; the same on a staff. The models are random. */
#include <check.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "client.h"

static struct server server;

static void start(void)
{
    static const char bundles[] = "CAROUSEL_MODELS_BUNDLES=tiny-music=tests/unit/bundles/tiny-music:"
                                  "tiny-translation=tests/unit/bundles/tiny-translation";
    server_start(&server, (const char *const[]){bundles, "CAROUSEL_LIMITS_MAX_TOKENS=200", NULL});
}

static void start_staff(void)
{
    static const char bundles[] = "CAROUSEL_MODELS_BUNDLES=tiny-staff=tests/unit/bundles/tiny-staff";
    server_start(&server, (const char *const[]){bundles, "CAROUSEL_LIMITS_MAX_TOKENS=400", NULL});
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
    ck_assert_str_eq(text_at(reply, "key"), "Dm");
    ck_assert_str_eq(text_at(reply, "metre"), "3/4");
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

/* Go on from a stored tune, and by a session: the notes are those of the tune in one piece, `from` quarters
 * later. */
static void expect_rest(struct reply *reply, char pitches[64][4], int n)
{
    char shown[4];
    expect_ok(reply);
    ck_assert_int_eq(length_at(reply, "notes"), n);
    for (int i = 0; i < n; i++) {
        char path[32];
        snprintf(path, sizeof path, "notes.%d.pitch", i);
        snprintf(shown, sizeof shown, "%d", (int)number_at(reply, path));
        ck_assert_str_eq(shown, pitches[i]);
    }
}

START_TEST(a_tune_goes_on)
{
    char pitches[64][4], id[64];
    int n = 0;
    struct reply *reply = post(&server, "/v1/music", "{'bars':2,'metre':'3/4','seed':7}");
    expect_ok(reply);
    for (int i = 0; i < length_at(reply, "notes"); i++) {
        char path[32];
        snprintf(path, sizeof path, "notes.%d.start", i);
        if (number_at(reply, path) < 3) continue;
        snprintf(path, sizeof path, "notes.%d.pitch", i);
        ck_assert_int_lt(n, 64);
        snprintf(pitches[n++], sizeof *pitches, "%d", (int)number_at(reply, path));
    }
    reply = post(&server, "/v1/music", "{'bars':1,'metre':'3/4','seed':7,'store':true}");
    expect_ok(reply);
    snprintf(id, sizeof id, "%s", text_at(reply, "id"));
    ck_assert_double_gt(number_at(reply, "expires_at"), 0);
    for (int i = 0; i < 2; i++)
        expect_rest(postf(&server, "/v1/music", "{'previous_response_id':'%s','bars':1,'metre':'3/4'}", id),
                    pitches, n);
    reply = postf(&server, "/v1/sessions", "{'from':'%s','id':'tune'}", id);
    ck_assert_int_eq(reply->status, 201);
    expect_rest(post(&server, "/v1/music", "{'session':'tune','step':0,'bars':1,'metre':'3/4'}"), pitches, n);
    reply = post(&server, "/v1/sessions/tune/steps", "[{'bars':1},{'bars':1}]");
    ck_assert_int_eq(reply->status, 200);
    ck_assert_ptr_nonnull(strstr(reply->body, "\"step\":3"));
    expect_error(post(&server, "/v1/music", "{'bars':1,'store':true,'format':'midi'}"), 400, "invalid_value",
                 "format");
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

/* ---- a staff ---- */

START_TEST(a_tune_on_a_staff_has_a_metre_and_a_key)
{
    struct reply *reply = post(&server, "/v1/music", "{'metre':'6/8','key':'Ador','bars':8,'seed':5}");
    expect_ok(reply);
    ck_assert_str_eq(text_at(reply, "key"), "Ador");
    ck_assert_str_eq(text_at(reply, "metre"), "6/8");
    ck_assert_double_eq(number_at(reply, "voices"), 1);
    ck_assert_str_eq(text_at(reply, "finish_reason"), "length");
    ck_assert_double_eq(number_at(reply, "usage.prompt_tokens"), 3);
    double duration = number_at(reply, "duration"); /* eight bars, of which some are played twice */
    ck_assert(duration >= 24 && duration <= 48 && fmod(duration, 3) == 0);
    double at = 0; /* each part begins where the last one, played, has ended */
    for (int i = 0; i < length_at(reply, "parts"); i++) {
        cJSON *part = cJSON_GetArrayItem(reply_at(reply, "parts"), i);
        double start = json_at(part, "start")->valuedouble, end = json_at(part, "end")->valuedouble;
        ck_assert_double_eq(start, at);
        at = cJSON_IsTrue(json_at(part, "repeated")) ? 2 * end - start : end;
    }
    ck_assert_double_eq(at, duration);
    reply = post(&server, "/v1/music", "{'seed':5}");
    expect_ok(reply);
    char drawn[16];
    strcpy(drawn, text_at(reply, "key"));
    ck_assert(!strcmp(drawn, "D") || !strcmp(drawn, "Dm") || !strcmp(drawn, "Ddor"));
    reply = ask(&server, "GET", "/v1/models/tiny-staff", NULL);
    ck_assert_double_eq(number_at(reply, "tonic"), 62);
    ck_assert_double_eq(number_at(reply, "lowest_note"), 57);
}
END_TEST

START_TEST(a_prime_on_a_staff_is_kept)
{
    struct reply *reply = post(&server, "/v1/music",
                               "{'metre':'3/4','key':'G','bars':4,'seed':5,"
                               "'prime':[{'pitch':62,'duration':1},'|',"
                               "{'pitch':67,'duration':0.333},{'pitch':69,'duration':0.333},"
                               "{'duration':0.333,'pitch':null},{'pitch':71,'duration':2}]}");
    expect_ok(reply);
    ck_assert_double_eq(number_at(reply, "notes.0.pitch"), 62);
    ck_assert_double_eq(number_at(reply, "notes.1.start"), 1);
    ck_assert_double_eq(number_at(reply, "notes.3.pitch"), 71);
    ck_assert_double_eq(number_at(reply, "notes.3.start"), 2);
    ck_assert_double_eq(number_at(reply, "notes.3.duration"), 2);
    ck_assert_double_eq(number_at(reply, "parts.0.start"), 0);
    ck_assert_double_eq(number_at(reply, "parts.0.bars.0"), 1); /* after the pickup */
    ck_assert_double_eq(number_at(reply, "parts.0.bars.1"), 4);
    expect_error(post(&server, "/v1/music", "{'bars':1,'store':true}"), 422, "unsupported_for_model",
                 "model");
}
END_TEST

START_TEST(a_staff_as_a_file)
{
    struct reply *reply = post(&server, "/v1/music",
                               "{'format':'abc','key':'G','metre':'C|','bars':4,'seed':2}");
    ck_assert_int_eq(reply->status, 200);
    ck_assert_str_eq(reply_header(reply, "Content-Type"), "text/vnd.abc; charset=utf-8");
    ck_assert_ptr_nonnull(strstr(reply->body, "X:1\nT:tiny-staff, seed 2\nM:2/2\nL:1/8\nQ:1/4=96\nK:G\n"));
    char first[4096];
    strncpy(first, reply->body, sizeof first - 1);
    first[sizeof first - 1] = 0;
    reply = post(&server, "/v1/music", "{'format':'abc','key':'G','metre':'C|','bars':4,'seed':2}");
    ck_assert_str_eq(reply->body, first);
    reply = post(&server, "/v1/music", "{'format':'midi','bars':4,'seed':2}");
    ck_assert_int_eq(reply->status, 200);
    ck_assert_mem_eq(reply->body, "MThd\0\0\0\6\0\1\0\2", 12);
}
END_TEST

static const struct {
    const char *body, *code, *param;
    int status;
} refused_staff[] = {
    {"{'melody':[60]}", "unsupported_for_model", "melody", 422},
    {"{'metre':'5/4'}", "invalid_value", "metre", 400},
    {"{'metre':'3/7'}", "invalid_value", "metre", 400},
    {"{'key':'Amix'}", "invalid_value", "key", 400},
    {"{'key':'Alyd'}", "invalid_value", "key", 400},
    {"{'bars':101}", "input_too_long", "bars", 400},
    {"{'bars':9,'metre':'2/2'}", "input_too_long", "bars", 400}, /* 48 ticks each, of at most 400 */
    {"{'prime':[[60]],'key':'G','metre':'3/4'}", "invalid_value", "prime[0]", 400},
    {"{'prime':['||'],'key':'G','metre':'3/4'}", "invalid_value", "prime[0]", 400},
    {"{'prime':[{'pitch':60}],'key':'G','metre':'3/4'}", "invalid_value", "prime[0]", 400},
    {"{'prime':[{'duration':1}],'key':'G','metre':'3/4'}", "invalid_value", "prime[0]", 400},
    {"{'prime':[{'pitch':60,'duration':0.4}],'key':'G','metre':'3/4'}", "invalid_value", "prime[0]", 400},
    {"{'prime':[{'pitch':60,'duration':1e300}],'key':'G','metre':'3/4'}", "invalid_value", "prime[0]", 400},
    {"{'prime':[{'pitch':60,'duration':1,'voice':0}],'key':'G','metre':'3/4'}", "invalid_value", "prime[0]",
     400},
    {"{'prime':[{'pitch':67,'duration':1}],'key':'G'}", "invalid_value", "prime", 400},
    {"{'prime':[{'pitch':20,'duration':1}],'key':'G','metre':'3/4'}", "invalid_value", "prime", 400},
    {"{'prime':[{'pitch':67,'duration':5}],'key':'G','metre':'3/4'}", "invalid_value", "prime", 400},
};

START_TEST(what_a_staff_cannot_be_is_refused_by_name)
{
    expect_error(post(&server, "/v1/music", refused_staff[_i].body), refused_staff[_i].status,
                 refused_staff[_i].code, refused_staff[_i].param);
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
    tcase_add_test(core, a_tune_goes_on);
    tcase_add_loop_test(core, what_cannot_be_is_refused_by_name, 0, sizeof refused / sizeof *refused);
    tcase_add_test(core, models_say_what_notes_they_know);
    suite_add_tcase(suite, core);
    TCase *staff = tcase_create("staff");
    tcase_add_checked_fixture(staff, start_staff, stop);
    tcase_set_timeout(staff, TEST_TIMEOUT_S);
    tcase_add_test(staff, a_tune_on_a_staff_has_a_metre_and_a_key);
    tcase_add_test(staff, a_prime_on_a_staff_is_kept);
    tcase_add_test(staff, a_staff_as_a_file);
    tcase_add_loop_test(staff, what_a_staff_cannot_be_is_refused_by_name, 0,
                        sizeof refused_staff / sizeof *refused_staff);
    suite_add_tcase(suite, staff);
    return suite;
}
