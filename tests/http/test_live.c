/* POST /v1/transcribe piece by piece: each answer is that of the whole input so far, by a session, from
 * answer to answer and on a WebSocket; models that look at whole inputs are refused. The models are random.
 */
#include <check.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "websocket.h"

static struct server server;
static const char *const settings[] = {"CAROUSEL_MODELS_FOLDERS=tests/unit/bundles", NULL};
#define ROUTE "/v1/transcribe"

enum { ROOM = 1 << 15, N_SAMPLES = 900 };

static void start(void)
{
    server_start(&server, settings);
}

static void stop(void)
{
    ck_assert_int_eq(server_stop(&server), 0);
}

/* What an answer says of its input: from its text to its alternatives. The caller frees it. */
static char *said(const char *body)
{
    const char *begin = strstr(body, "\"text\""), *end = strstr(body, "\"usage\"");
    ck_assert_msg(begin && end, "%s", body);
    return strndup(begin, (size_t)(end - begin));
}

static char *ask_for(const char *head, const char *input)
{
    static char body[ROOM];
    ck_assert_int_lt(snprintf(body, ROOM, "{%s,%s,'n':4}", head, input), ROOM);
    struct reply *reply = post(&server, ROUTE, body);
    expect_ok(reply);
    return said(reply->body);
}

/* ---- a pen -------------------------------------------------------------------------------------- */

/* Pieces of one to three strokes, points and long lines among them. */
static const char *const pieces[] = {
    "[[0,0],[30,45],[33,2]]", "[[50,50]]", "[[10,22],[60,20],[64,-14],[70,-3.5]],[[3,3]],[[4,4],[4,30]]",
    "[[80,5],[90,30],[95,10],[420,12]]", "[[81,5]]", "[[82,5]]", "[[100,0],[101,1]],[[200,-20],[203,40]]"};
enum { N_PIECES = sizeof pieces / sizeof *pieces };

/* The first n pieces as a field. */
static const char *strokes(size_t first, size_t n)
{
    static char out[ROOM];
    strcpy(out, "'strokes':[");
    for (size_t i = first; i < n; i++) {
        if (i > first) strcat(out, ",");
        strcat(out, pieces[i]);
    }
    return strcat(out, "]");
}

START_TEST(strokes_of_a_session_add_up)
{
    ck_assert_int_eq(post(&server, "/v1/sessions", "{'model':'tiny-ink-live','id':'pen'}")->status, 201);
    for (size_t i = 0; i < N_PIECES; i++) {
        char *part = ask_for("'session':'pen'", strokes(i, i + 1));
        char *whole = ask_for("'model':'tiny-ink-live'", strokes(0, i + 1));
        ck_assert_str_eq(part, whole);
        free(part);
        free(whole);
    }
}
END_TEST

/* An older answer is a rewind; the one that was taken back leaves no trace. */
START_TEST(answers_are_names_of_states)
{
    char body[ROOM], id[200];
    snprintf(body, ROOM, "{'model':'tiny-ink-live','store':true,%s}", strokes(0, 2));
    struct reply *reply = post(&server, ROUTE, body);
    expect_ok(reply);
    snprintf(id, sizeof id, "'previous_response_id':'%s'", text_at(reply, "id"));
    free(ask_for(id, strokes(4, 6)));
    char *part = ask_for(id, strokes(2, N_PIECES));
    char *whole = ask_for("'model':'tiny-ink-live'", strokes(0, N_PIECES));
    ck_assert_str_eq(part, whole);
    free(part);
    free(whole);
}
END_TEST

/* ---- sound -------------------------------------------------------------------------------------- */

static double sample(size_t i)
{
    return floor(400 * sin(0.02 * (double)i * (1 + (double)i / 700))) / 1024;
}

static const char *samples(size_t first, size_t end)
{
    static char out[ROOM];
    size_t n = (size_t)snprintf(out, ROOM, "'samples':[");
    for (size_t i = first; i < end; i++)
        n += (size_t)snprintf(out + n, ROOM - n, "%s%.12g", i > first ? "," : "", sample(i));
    snprintf(out + n, ROOM - n, "]");
    return out;
}

/* Also while there is less than one window, and a piece that completes none. */
START_TEST(samples_of_a_session_add_up)
{
    static const size_t ends[] = {1, 31, 128, 129, 167, 168, 169, 500, 501, N_SAMPLES};
    ck_assert_int_eq(post(&server, "/v1/sessions", "{'model':'tiny-speech-live','id':'microphone'}")->status,
                     201);
    for (size_t i = 0; i < sizeof ends / sizeof *ends; i++) {
        char *part = ask_for("'session':'microphone'", samples(i ? ends[i - 1] : 0, ends[i]));
        char *whole = ask_for("'model':'tiny-speech-live'", samples(0, ends[i]));
        ck_assert_str_eq(part, whole);
        free(part);
        free(whole);
    }
}
END_TEST

/* A binary message is samples, or a stroke. */
START_TEST(a_websocket_hears_a_microphone_and_a_pen)
{
    static const float stroke[] = {0, 0, 30, 45, 33, 2};
    static struct client client;
    static struct frame frame;
    float piece[N_SAMPLES];
    for (size_t i = 0; i < N_SAMPLES; i++) piece[i] = (float)sample(i);
    ws_open(&client, &server, "");
    ws_say(&client, "{'model':'tiny-speech-live','options':{'n':4}}");
    ws_hear(&client, &frame);
    for (size_t i = 0; i < N_SAMPLES; i += 300) {
        ws_frame(&client, FINAL | FRAME_BINARY, piece + i, 300 * sizeof *piece);
        ws_hear(&client, &frame);
        ck_assert_int_eq((int)frame_number(&frame, "step"), (int)(i / 300 + 1));
        struct reply *whole = postf(&server, ROUTE, "{'model':'tiny-speech-live',%s}", samples(0, i + 300));
        ck_assert_str_eq(frame_text(&frame, "text"), text_at(whole, "text"));
        ck_assert_double_eq_tol(frame_number(&frame, "score"), number_at(whole, "score"), 1e-5); /* float32 */
    }
    ws_frame(&client, FINAL | FRAME_BINARY, piece, 6);
    ws_hear_error(&client, &frame, "invalid_value");
    ws_say(&client, "{'end':true}");
    ws_hear(&client, &frame);
    ws_say(&client, "{'model':'tiny-ink-live','task':'transcribe','options':{'n':4}}");
    ws_hear(&client, &frame);
    ws_frame(&client, FINAL | FRAME_BINARY, stroke, sizeof stroke);
    ws_hear(&client, &frame);
    char *part = said(frame.text), *whole = ask_for("'model':'tiny-ink-live'", strokes(0, 1));
    ck_assert_str_eq(part, whole);
    free(part);
    free(whole);
    ws_say(&client, "{'features':[[0,0,1,0,0,1,0,0,0,1]]}");
    ws_hear_error(&client, &frame, "unsupported_for_model");
    ws_close(&client);
}
END_TEST

/* ---- what is refused ---------------------------------------------------------------------------- */

START_TEST(what_looks_at_whole_inputs_is_refused)
{
    struct reply *reply = post(&server, ROUTE, "{'model':'tiny-ink','strokes':[[[0,0],[9,9]]],'store':true}");
    expect_error(reply, 422, "unsupported_for_model", NULL);
    ck_assert_str_eq(text_at(reply, "error.message"), "model 'tiny-ink' reads forwards and backwards, so it "
                     "needs the whole input at once and cannot go on from a part");
    reply = post(&server, "/v1/sessions", "{'model':'tiny-ink'}");
    expect_error(reply, 422, "unsupported_for_model", "model");
}
END_TEST

static const struct refused rows[] = {
    {"{'model':'tiny-speech-live'}", "invalid_value", "strokes", 400},
    {"{'model':'tiny-speech-live','samples':[]}", "invalid_value", "samples", 400},
    {"{'model':'tiny-speech-live','samples':[0,1.5]}", "invalid_value", "samples", 400},
    {"{'model':'tiny-speech-live','samples':[0,'a']}", "invalid_value", "samples", 400},
    {"{'model':'tiny-speech-live','samples':[1e999]}", "invalid_value", "samples", 400},
    {"{'model':'tiny-speech-live','samples':0.5}", "invalid_value", "samples", 400},
    {"{'model':'tiny-speech-live','samples':[0],'strokes':[[[1,1]]]}", "invalid_value", "strokes", 400},
    {"{'model':'tiny-speech-live','strokes':[[[1,1]]]}", "unsupported_for_model", "strokes", 422},
    {"{'model':'tiny-ink-live','samples':[0]}", "unsupported_for_model", "samples", 422},
    {"{'model':'tiny-ink-live','store':true,'features':[[0,0,1,0,0,1,0,0,0,1]]}", "unsupported_for_model",
     "features", 422},
};

START_TEST(what_cannot_be_is_refused_by_name)
{
    post_refused(&server, ROUTE, &rows[_i]);
}
END_TEST

Suite *live_suite(void);

Suite *live_suite(void)
{
    Suite *suite = suite_create("live");
    TCase *core = tcase_create("core");
    tcase_add_checked_fixture(core, start, stop);
    tcase_set_timeout(core, TEST_TIMEOUT_S);
    tcase_add_test(core, strokes_of_a_session_add_up);
    tcase_add_test(core, answers_are_names_of_states);
    tcase_add_test(core, samples_of_a_session_add_up);
    tcase_add_test(core, a_websocket_hears_a_microphone_and_a_pen);
    tcase_add_test(core, what_looks_at_whole_inputs_is_refused);
    tcase_add_loop_test(core, what_cannot_be_is_refused_by_name, 0, sizeof rows / sizeof *rows);
    suite_add_tcase(suite, core);
    return suite;
}
