/* POST /v1/transcribe and /v1/audio/transcriptions: strokes, WAV files in forms, all formats, what is
 * refused. The models are random. */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "client.h"

static struct server server;
static const char *const settings[] = {"CAROUSEL_MODELS_FOLDERS=tests/unit/bundles:tests/http/bundles",
                                       "CAROUSEL_SCHEDULER_MAX_ROWS=256", NULL};

static void start(void)
{
    server_start(&server, settings);
}

static void stop(void)
{
    ck_assert_int_eq(server_stop(&server), 0);
}

/* ---- strokes ---- */

#define STROKES "[[[0,0],[30,45],[33,2]],[[50,50]]]"

START_TEST(strokes_have_texts)
{
    struct reply *reply = post(&server, "/v1/transcribe", "{'model':'tiny-ink','strokes':" STROKES ",'n':3}");
    expect_ok(reply);
    ck_assert_str_eq(text_at(reply, "object"), "transcription");
    ck_assert_int_eq(length_at(reply, "alternatives"), 2);
    double score = number_at(reply, "score");
    ck_assert_double_le(number_at(reply, "alternatives.0.score"), score);
    ck_assert_double_lt(score, 0);
    int n = length_at(reply, "segments");
    ck_assert_int_gt(n, 0);
    ck_assert_double_ge(number_at(reply, "segments.0.start"), 0);
    ck_assert_double_lt(number_at(reply, "segments.0.start"), number_at(reply, "segments.0.end"));
    ck_assert_double_le(number_at(reply, "segments.0.end"), 4);
    char *text = strdup(text_at(reply, "text"));
    /* the other ways to write the same strokes */
    reply = post(&server, "/v1/transcribe", "{'model':'tiny-ink','n':3,'strokes':[[{'x':0,'y':0,'t':1},"
                 "{'x':30,'y':45},{'x':33,'y':2}],{'x':[50],'y':[50]}]}");
    expect_ok(reply);
    ck_assert_double_eq(number_at(reply, "score"), score);
    ck_assert_str_eq(text_at(reply, "text"), text);
    free(text);
}
END_TEST

START_TEST(a_model_tells_its_front_end)
{
    struct reply *reply = ask(&server, "GET", "/v1/models/tiny-ink", NULL);
    ck_assert_str_eq(text_at(reply, "front_end"), "ink");
    reply = ask(&server, "GET", "/v1/models/tiny-speech", NULL);
    ck_assert_str_eq(text_at(reply, "front_end"), "log_mel");
    reply = ask(&server, "GET", "/v1/models/tiny-music", NULL);
    expect_ok(reply);
    ck_assert_ptr_null(strstr(reply->body, "front_end"));
}
END_TEST

START_TEST(steps_are_read_too)
{
    struct reply *reply = post(&server, "/v1/transcribe", "{'model':'tiny-ink','num_beams':1,"
                               "'features':[[0,0,1,0,0,1,0,0,0,1],[0,1,0,0.2,0,1,1,0,0.5,1]]}");
    expect_ok(reply);
    ck_assert_double_eq(number_at(reply, "usage.steps_in"), 2);
    ck_assert_int_eq(length_at(reply, "alternatives"), 0);
}
END_TEST

START_TEST(what_cannot_be_is_refused_by_name)
{
    static const struct refused rows[] = {
        {"{'model':'tiny-ink'}", "invalid_value", "strokes", 400},
        {"{'model':'tiny-ink','strokes':[]}", "invalid_value", "strokes", 400},
        {"{'model':'tiny-ink','strokes':[[]]}", "invalid_value", "strokes", 400},
        {"{'model':'tiny-ink','strokes':[[[1]]]}", "invalid_value", "strokes", 400},
        {"{'model':'tiny-ink','strokes':[[[1,1e300]]]}", "invalid_value", "strokes", 400},
        {"{'model':'tiny-ink','strokes':[{'x':[1,2],'y':[1]}]}", "invalid_value", "strokes", 400},
        {"{'model':'tiny-ink','strokes':[[[0,0],[9,0],[0,0],[9,0],[0,0],[9,0],[0,0],[9,0],[0,0],[9,0]]]}",
         "input_too_long", "strokes", 400},
        {"{'model':'tiny-ink','strokes':[[[1,1]]],'n':65}", "invalid_value", "n", 400},
        {"{'model':'tiny-ink','strokes':[[[1,1]]],'n':3,'num_beams':2}", "invalid_value", "n", 400},
        {"{'model':'tiny-ink','strokes':[[[1,1]]],'ink':1}", "invalid_value", "ink", 400},
        {"{'model':'tiny-ink','features':[[1]]}", "invalid_value", "features[0]", 400},
        {"{'model':'tiny-speech','strokes':[[[1,1]]]}", "unsupported_for_model", "strokes", 422},
        {"{'model':'tiny-translation','strokes':[[[1,1]]]}", "unsupported_for_model", NULL, 422},
    };
    post_refused(&server, "/v1/transcribe", &rows[_i]);
}
END_TEST

/* ---- a language model ---- */

#define LANGUAGE "'language_model':'tiny-characters'"

/* Without weight and bonus it changes nothing; with them texts are ranked anew. */
START_TEST(a_language_model_weighs_texts)
{
    char texts[3][64];
    double scores[3];
    static const char *const more[] = {"'n':1", LANGUAGE ",'language_weight':0",
                                       LANGUAGE ",'language_weight':4,'length_bonus':9"};
    for (size_t i = 0; i < 3; i++) {
        struct reply *reply = postf(&server, "/v1/transcribe", "{'model':'tiny-ink','num_beams':8,'strokes':"
                                    STROKES ",%s}", more[i]);
        expect_ok(reply);
        snprintf(texts[i], sizeof texts[i], "%s", text_at(reply, "text"));
        scores[i] = number_at(reply, "score");
    }
    ck_assert_str_eq(texts[0], texts[1]);
    ck_assert_double_eq_tol(scores[0], scores[1], 1e-9);
    ck_assert(scores[2] > scores[0] + 1 || scores[2] < scores[0] - 1);
}
END_TEST

/* Pieces go on beside it. */
START_TEST(a_language_model_weighs_pieces)
{
    char id[200];
    struct reply *reply = post(&server, "/v1/transcribe", "{'model':'tiny-ink-live','store':true," LANGUAGE
                               ",'strokes':[[[0,0],[30,45],[33,2]]]}");
    expect_ok(reply);
    snprintf(id, sizeof id, "%s", text_at(reply, "id"));
    reply = postf(&server, "/v1/transcribe",
                  "{'previous_response_id':'%s'," LANGUAGE ",'strokes':[[[50,50]]]}", id);
    expect_ok(reply);
    double score = number_at(reply, "score");
    reply = post(&server, "/v1/transcribe", "{'model':'tiny-ink-live'," LANGUAGE ",'strokes':" STROKES "}");
    expect_ok(reply);
    ck_assert_double_eq(number_at(reply, "score"), score);
}
END_TEST

#define INK "{'model':'tiny-ink','strokes':[[[1,1]]],"
static const struct refused language_rows[] = {
    {INK "'language_model':'none'}", "model_not_found", "language_model", 404},
    {INK "'language_model':7}", "invalid_value", "language_model", 400},
    {INK "'language_model':'tiny-ink'}", "unsupported_for_model", "language_model", 422},
    {INK "'language_model':'tiny-words'}", "unsupported_for_model", "language_model", 422},
    {INK "'language_weight':1}", "invalid_value", "language_weight", 400},
    {INK "'length_bonus':1}", "invalid_value", "length_bonus", 400},
    {INK LANGUAGE ",'language_weight':11}", "invalid_value", "language_weight", 400},
    {INK LANGUAGE ",'length_bonus':-11}", "invalid_value", "length_bonus", 400},
};

START_TEST(other_language_models_are_refused)
{
    post_refused(&server, "/v1/transcribe", &language_rows[_i]);
}
END_TEST

/* ---- sound ---- */

enum { HEAD = 44, FRAMES = 900, ROOM = 1 << 16 };

static void put(char *at, unsigned long value, size_t n)
{
    for (size_t i = 0; i < n; i++) at[i] = (char)(value >> 8 * i);
}

/* A WAV file of 16 bits, one channel, 8 kHz, as long as its header says; returns its bytes. */
static size_t make_wav(char *out, unsigned long said)
{
    memcpy(out, "RIFF\0\0\0\0WAVEfmt \20\0\0\0\1\0\1\0\x40\x1f\0\0\x80\x3e\0\0\2\0\20\0data", 40);
    put(out + 4, 36 + 2 * FRAMES, 4);
    put(out + 40, said, 4);
    for (size_t i = 0; i < FRAMES; i++) put(out + HEAD + 2 * i, (i * i * 37) % 9000 + 60000, 2);
    return HEAD + 2 * FRAMES;
}

static struct reply *send_body(const char *body, size_t n)
{
    static struct reply reply;
    static struct client client;
    client_open(&client, &server);
    client_say(&client, "POST /v1/audio/transcriptions HTTP/1.1\r\nHost: test\r\nConnection: close\r\n"
               "Content-Type: multipart/form-data; boundary=xYz\r\nContent-Length: %zu\r\n\r\n", n);
    client_send(&client, body, n);
    ck_assert(client_read(&client, &reply));
    client_close(&client);
    return &reply;
}

/* A form with the file and further fields, "name=value&name=value". */
static struct reply *send_form(const char *fields, const char *file, size_t n_file)
{
    static char body[ROOM];
    size_t n = 0;
    for (const char *at = fields; *at;) {
        const char *value = strchr(at, '=') + 1, *end = value + strcspn(value, "&");
        n += (size_t)snprintf(body + n, ROOM - n, "--xYz\r\nContent-Disposition: form-data; "
                              "name=\"%.*s\"\r\n\r\n%.*s\r\n",
                              (int)(value - 1 - at), at, (int)(end - value), value);
        at = *end ? end + 1 : end;
    }
    if (file) {
        n += (size_t)snprintf(body + n, ROOM - n, "--xYz\r\nContent-Disposition: form-data; name=\"file\"; "
                              "filename=\"a \\\" b.wav\"\r\nContent-Type: audio/wav\r\n\r\n");
        memcpy(body + n, file, n_file);
        n += n_file;
        n += (size_t)snprintf(body + n, ROOM - n, "\r\n");
    }
    n += (size_t)snprintf(body + n, ROOM - n, "--xYz--\r\n");
    return send_body(body, n);
}

START_TEST(sound_has_a_text_in_all_formats)
{
    char file[ROOM];
    size_t n = make_wav(file, 2 * FRAMES);
    struct reply *reply = send_form("model=tiny-speech", file, n);
    expect_ok(reply);
    char *text = strdup(text_at(reply, "text"));
    ck_assert_double_eq_tol(number_at(reply, "usage.seconds"), 0.1125, 0.001);
    reply = send_form("model=tiny-speech&response_format=text&language=en&temperature=0", file, n);
    ck_assert_int_eq(reply->status, 200);
    ck_assert_str_eq(reply_header(reply, "Content-Type"), "text/plain; charset=utf-8");
    ck_assert(!strncmp(reply->body, text, strlen(text)) && !strcmp(reply->body + strlen(text), "\n"));
    reply = send_form("model=tiny-speech&response_format=verbose_json&timestamp_granularities[]=word&"
                      "timestamp_granularities[]=segment", file, n);
    expect_ok(reply);
    ck_assert_str_eq(text_at(reply, "task"), "transcribe");
    ck_assert_str_eq(text_at(reply, "language"), "en");
    ck_assert_double_eq_tol(number_at(reply, "duration"), 0.1125, 0.001);
    ck_assert_int_gt(length_at(reply, "words"), 0);
    ck_assert_int_gt(length_at(reply, "segments"), 0);
    ck_assert_double_le(number_at(reply, "segments.0.end"), 0.1126);
    reply = send_form("model=tiny-speech&response_format=srt", file, n);
    ck_assert(!strncmp(reply->body, "1\n00:00:00,", 11) && strstr(reply->body, " --> 00:00:00,"));
    reply = send_form("model=tiny-speech&response_format=vtt", file, n);
    ck_assert(!strncmp(reply->body, "WEBVTT\n\n00:00:00.", 17));
    ck_assert_str_eq(reply_header(reply, "Content-Type"), "text/vtt; charset=utf-8");
    free(text);
}
END_TEST

/* A stream's header says 0 or the most; what is there is read. */
START_TEST(lengths_of_headers_are_not_believed)
{
    char file[ROOM];
    size_t n = make_wav(file, 2 * FRAMES);
    struct reply *reply = send_form("model=tiny-speech", file, n);
    char *text = strdup(text_at(reply, "text"));
    const unsigned long lies[] = {0, 0xffffffff, 4000};
    for (size_t i = 0; i < 3; i++) {
        n = make_wav(file, lies[i]);
        reply = send_form("model=tiny-speech", file, n);
        expect_ok(reply);
        ck_assert_str_eq(text_at(reply, "text"), text);
    }
    free(text);
}
END_TEST

START_TEST(forms_that_cannot_be_are_refused)
{
    static const struct {
        const char *fields, *param;
        int cut, status; /* bytes that the file has less, or -1: there is none */
    } rows[] = {
        {"model=tiny-speech", "file", -1, 400},
        {"model=tiny-speech", "file", 2 * FRAMES, 400}, /* no samples */
        {"model=tiny-speech", "file", 2 * FRAMES + 20, 400},
        {"model=tiny-speech&file=x", "file", 0, 400},
        {"model=tiny-speech&response_format=mp3", "response_format", 0, 400},
        {"model=tiny-speech&timestamp_granularities[]=word", "timestamp_granularities", 0, 400},
        {"model=tiny-speech&temperature=0.5", "temperature", 0, 400},
        {"model=tiny-speech&temperature=hot", "temperature", 0, 400},
        {"model=tiny-speech&prompt=hello", "prompt", 0, 400},
        {"model=tiny-speech&stream=true", "stream", 0, 400},
        {"model=tiny-ink", "model", 0, 422},
        {"model=none", "model", 0, 404},
    };
    char file[ROOM];
    size_t n = make_wav(file, 2 * FRAMES);
    struct reply *reply = rows[_i].cut < 0 ? send_form(rows[_i].fields, NULL, 0)
                                           : send_form(rows[_i].fields, file, n - (size_t)rows[_i].cut);
    ck_assert_int_eq(reply->status, rows[_i].status);
    ck_assert_str_eq(text_at(reply, "error.param"), rows[_i].param);
}
END_TEST

START_TEST(a_sound_that_is_too_long_is_refused)
{
    static char file[HEAD + 2 * 25000];
    make_wav(file, 2 * 25000); /* 312 steps, and a turn has room for 256 */
    struct reply *reply = send_form("model=tiny-speech", file, sizeof file);
    expect_error(reply, 400, "input_too_long", "file");
}
END_TEST

START_TEST(bodies_that_are_no_forms_are_refused)
{
    expect_error(post(&server, "/v1/audio/transcriptions", "{'model':'tiny-speech'}"), 415,
                 "unsupported_media_type", NULL);
    static const char *const bodies[] = {"", "--xYz", "--xYz\r\n\r\n--xYz--", "--xYz--",
                                         "--xYz\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\nb"};
    for (size_t i = 0; i < 5; i++) {
        ck_assert_int_eq(send_body(bodies[i], strlen(bodies[i]))->status, 400);
    }
}
END_TEST

Suite *transcribe_suite(void);

Suite *transcribe_suite(void)
{
    Suite *suite = suite_create("transcribe");
    TCase *core = tcase_create("core");
    tcase_add_checked_fixture(core, start, stop);
    tcase_set_timeout(core, TEST_TIMEOUT_S);
    tcase_add_test(core, strokes_have_texts);
    tcase_add_test(core, a_model_tells_its_front_end);
    tcase_add_test(core, steps_are_read_too);
    tcase_add_loop_test(core, what_cannot_be_is_refused_by_name, 0, 13);
    tcase_add_test(core, a_language_model_weighs_texts);
    tcase_add_test(core, a_language_model_weighs_pieces);
    tcase_add_loop_test(core, other_language_models_are_refused, 0,
                        sizeof language_rows / sizeof *language_rows);
    tcase_add_test(core, sound_has_a_text_in_all_formats);
    tcase_add_test(core, lengths_of_headers_are_not_believed);
    tcase_add_loop_test(core, forms_that_cannot_be_are_refused, 0, 12);
    tcase_add_test(core, a_sound_that_is_too_long_is_refused);
    tcase_add_test(core, bodies_that_are_no_forms_are_refused);
    suite_add_tcase(suite, core);
    return suite;
}
