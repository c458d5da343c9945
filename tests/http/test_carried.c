/* States that are carried: over several steps of one request, over the end of a process, from server to
 * server. */
#include <check.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "client.h"

static struct server server;

enum { TOKENS = 24, TEXT = 4096 };
#define MODEL "'model':'tiny-characters','seed':5,'temperature':1.2"

/* The text of an answer, which must be good. */
static const char *text_of(struct reply *answer)
{
    expect_ok(answer);
    return text_at(answer, "choices.0.text");
}

static void whole_text(char out[TEXT])
{
    snprintf(out, TEXT, "%s",
             text_of(postf(&server, "/v1/completions", "{" MODEL ",'prompt':'abc','max_tokens':%d}",
                           TOKENS)));
}

static void make_session(const char *id)
{
    struct reply *answer = postf(&server, "/v1/sessions", "{'model':'tiny-characters','id':'%s','seed':5}",
                                 id);
    ck_assert_int_eq(answer->status, 201);
    ck_assert_str_eq(text_at(answer, "id"), id);
    ck_assert_int_eq((int)number_at(answer, "step"), 0);
}

/* A server that is killed after each step, with everything that it remembers on disk. */
START_TEST(acknowledged_steps_outlive_a_killed_server)
{
    char whole[TEXT], parts[TEXT] = "", folder[512], setting[600], id[64];
    snprintf(folder, sizeof folder, "%s", scratch_path("states"));
    file_write(scratch_path("states/.keep"), "", 0);
    snprintf(setting, sizeof setting, "CAROUSEL_SESSIONS_FOLDER=%s", folder);
    const char *const settings[] = {setting, NULL};
    server_start(&server, settings);
    whole_text(whole);
    (void)ask(&server, "DELETE", "/v1/sessions/killed", NULL);
    make_session("killed");
    struct reply *first = post(&server, "/v1/completions",
                               "{" MODEL ",'prompt':'abc','max_tokens':8,'store':true}");
    snprintf(id, sizeof id, "%s", text_at(first, "id"));
    for (int step = 0; step < 3; step++) {
        char body[128];
        snprintf(body, sizeof body, "{" MODEL ",'session':'killed','step':%d,'max_tokens':8%s}", step,
                 step ? "" : ",'prompt':'abc'");
        struct reply *answer = post(&server, "/v1/completions", body);
        strncat(parts, text_of(answer), sizeof parts - strlen(parts) - 1);
        server.may_fail = true;
        server_signal(&server, SIGKILL);
        ck_assert_int_eq(server_wait(&server), 128 + SIGKILL);
        server_start(&server, settings);
        answer = post(&server, "/v1/completions", body); /* the client did not hear it: the same again */
        ck_assert_int_eq((int)number_at(answer, "step"), step + 1);
    }
    ck_assert_str_eq(parts, whole);
    expect_ok(postf(&server, "/v1/completions", "{'previous_response_id':'%s','max_tokens':1}", id));
    server.may_fail = false;
    ck_assert_int_eq(server_stop(&server), 0);
}
END_TEST

/* Several steps in one request, as an array and one a line; the first that fails is the last. */
START_TEST(steps_come_together)
{
    char whole[TEXT], parts[TEXT] = "";
    server_start(&server, NULL);
    whole_text(whole);
    for (int lines = 0; lines < 2; lines++) {
        make_session(lines ? "lines" : "array");
        struct reply *answer =
            lines ? ask(&server, "POST", "/v1/sessions/lines/steps",
                        "{\"prompt\":\"abc\",\"max_tokens\":8,\"temperature\":1.2,\"step\":0}\n"
                        "{\"max_tokens\":8,\"temperature\":1.2}\n{\"max_tokens\":8,\"temperature\":1.2}\n")
                  : post(&server, "/v1/sessions/array/steps",
                         "[{'prompt':'abc','max_tokens':8,'temperature':1.2},"
                         "{'max_tokens':8,'temperature':1.2},"
                         "{'max_tokens':8,'temperature':1.2}]");
        ck_assert_msg(answer->status == 200, "%s", answer->body);
        ck_assert_str_eq(reply_header(answer, "Content-Type"), "application/x-ndjson");
        int n = 0;
        parts[0] = '\0';
        for (char *line = strtok(answer->body, "\n"); line; line = strtok(NULL, "\n"), n++) {
            cJSON *json = cJSON_Parse(line);
            ck_assert_int_eq(json_at(json, "step")->valueint, n + 1);
            strncat(parts, json_at(json, "choices.0.text")->valuestring, sizeof parts - strlen(parts) - 1);
            cJSON_Delete(json);
        }
        ck_assert_int_eq(n, 3);
        ck_assert_str_eq(parts, whole);
    }
    struct reply *answer = post(&server, "/v1/sessions/array/steps",
                                "[{'max_tokens':1},{'max_tokens':-1},{'max_tokens':1}]");
    ck_assert_int_eq(answer->status, 200);
    ck_assert_ptr_nonnull(strstr(answer->body, "invalid_value"));
    ck_assert_int_eq((int)number_at(ask(&server, "GET", "/v1/sessions/array", NULL), "step"), 4);
    expect_error(post(&server, "/v1/sessions/none/steps", "[{}]"), 404, "session_not_found", "");
    expect_error(post(&server, "/v1/sessions/array/steps", ""), 400, "invalid_value", "");
    expect_error(post(&server, "/v1/sessions/array/steps", "["), 400, "invalid_json", "");
    expect_error(post(&server, "/v1/sessions/array/steps", "[{'max_tokens':1},[]]"), 400,
                 "invalid_value", "");
    expect_error(post(&server, "/v1/sessions/array/steps", "'a'"), 400, "invalid_value", "");
    expect_error(post(&server, "/v1/sessions/none/steps", "null"), 400, "invalid_value", "");
    ck_assert_int_eq((int)number_at(ask(&server, "GET", "/v1/sessions/array", NULL), "step"), 4);
    ck_assert_int_eq(server_stop(&server), 0);
}
END_TEST

/* ---- sealed states ---- */

static const char *seal_setting(const char *name, const char *lines)
{
    static char settings[4][256];
    static int next;
    char *setting = settings[next++ % 4];
    const char *path = scratch_path(name);
    file_write(path, lines, strlen(lines));
    snprintf(setting, 256, "CAROUSEL_SESSIONS_SEAL_KEYS_FILE=%s", path);
    return setting;
}

#define SEAL_A "a 000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f\n"
#define SEAL_B "b 101112131415161718191a1b1c1d1e1f000102030405060708090a0b0c0d0e0f\n"

/* Three servers, each with one more key than the one before; none remembers anything. */
START_TEST(a_text_is_carried_from_server_to_server)
{
    static struct server servers[3];
    static const char *const lines[] = {SEAL_A, SEAL_A SEAL_B, SEAL_B SEAL_A};
    char whole[TEXT], parts[TEXT] = "", token[8192] = "";
    for (int i = 0; i < 3; i++) {
        char name[32];
        snprintf(name, sizeof name, "seal-keys-%d", i);
        const char *const settings[] = {seal_setting(name, lines[i]), NULL};
        server_start(&servers[i], settings);
    }
    server = servers[0];
    whole_text(whole);
    for (int part = 0; part < TOKENS / 4; part++) {
        int at = part % 3; /* the second server's tokens are sealed with b, which the first has not */
        if (at == 1) at = 2;
        struct reply *answer =
            postf(&servers[at], "/v1/completions", "{" MODEL ",'max_tokens':4,'return_state':true%s%s%s}",
                  part ? ",'state':'" : ",'prompt':'abc", token, "'");
        strncat(parts, text_of(answer), sizeof parts - strlen(parts) - 1);
        snprintf(token, sizeof token, "%s", text_at(answer, "state"));
    }
    ck_assert_str_eq(parts, whole);
    ck_assert_int_eq((int)metric(&servers[0], "carousel_session_state_bytes"), 0);
    struct reply *second = postf(&servers[1], "/v1/completions",
                                 "{'state':'%s','max_tokens':1,'return_state':'float16'}", token);
    expect_ok(second);
    ck_assert_double_gt(number_at(second, "state_loss"), 0);
    snprintf(token, sizeof token, "%s", text_at(second, "state"));
    expect_error(postf(&servers[0], "/v1/completions", "{'state':'%s','max_tokens':1}", token), 400,
                 "state_unknown_key", "state");
    expect_ok(postf(&servers[2], "/v1/completions", "{'state':'%s','max_tokens':1}", token));
    struct reply *session = postf(&servers[2], "/v1/sessions", "{'from':'%s'}", token);
    ck_assert_int_eq(session->status, 201);
    token[100] = token[100] == 'A' ? 'B' : 'A';
    expect_error(postf(&servers[2], "/v1/completions", "{'state':'%s','max_tokens':1}", token), 400,
                 "state_tampered", "state");
    expect_error(post(&servers[2], "/v1/completions", "{'state':'x','max_tokens':1}"), 400, "state_tampered",
                 "state");
    ck_assert_ptr_nonnull(strstr(server_log(&servers[1]), "the keys a, b"));
    for (int i = 0; i < 3; i++) ck_assert_int_eq(server_stop(&servers[i]), 0);
}
END_TEST

START_TEST(a_token_is_its_owners_until_it_expires)
{
    char token[8192], body[9000];
    const char *const settings[] = {keys_setting(), seal_setting("seal-keys", SEAL_A), NULL};
    server_start(&server, settings);
    struct reply *answer = ask_as(&server, BEARER("ck_infer"), "POST", "/v1/completions",
                                  "{\"model\":\"tiny-characters\",\"prompt\":\"a\",\"max_tokens\":1,"
                                  "\"return_state\":true,\"ttl_s\":1}");
    expect_ok(answer);
    snprintf(token, sizeof token, "%s", text_at(answer, "state"));
    snprintf(body, sizeof body, "{\"state\":\"%s\",\"max_tokens\":1}", token);
    expect_error(ask_as(&server, BEARER("ck_all"), "POST", "/v1/completions", body), 400, "state_other_owner",
                 "state");
    do answer = ask_as(&server, BEARER("ck_infer"), "POST", "/v1/completions", body);
    while (answer->status == 200);
    expect_error(answer, 400, "state_expired", "state");
    ck_assert_int_eq(server_stop(&server), 0);
    server_start(&server, NULL);
    expect_error(post(&server, "/v1/completions", "{" MODEL ",'prompt':'a','return_state':true}"), 501,
                 "not_implemented", "return_state");
    ck_assert_int_eq(server_stop(&server), 0);
}
END_TEST

Suite *carried_suite(void);

Suite *carried_suite(void)
{
    Suite *suite = suite_create("carried");
    TCase *cases = tcase_create("carried");
    tcase_set_timeout(cases, TEST_TIMEOUT_S);
    tcase_add_test(cases, steps_come_together);
    tcase_add_test(cases, acknowledged_steps_outlive_a_killed_server);
    tcase_add_test(cases, a_text_is_carried_from_server_to_server);
    tcase_add_test(cases, a_token_is_its_owners_until_it_expires);
    suite_add_tcase(suite, cases);
    return suite;
}
