/* State between requests, over HTTP: stored answers, sessions, and clients that lose their connection. */
#include <check.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "client.h"

static struct server server;
static struct client clients[4];
static struct reply reply;

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

START_TEST(a_stored_answer_goes_on_at_every_cut)
{
    char whole[TEXT], parts[TEXT], id[64];
    server_start(&server, NULL);
    whole_text(whole);
    for (int cut = 0; cut < TOKENS; cut++) {
        struct reply *answer = postf(&server, "/v1/completions",
                                     "{" MODEL ",'prompt':'abc','max_tokens':%d,'store':true}", cut);
        snprintf(parts, sizeof parts, "%s", text_of(answer));
        snprintf(id, sizeof id, "%s", text_at(answer, "id"));
        ck_assert_double_gt(number_at(answer, "expires_at"), 0);
        for (int again = 0; again < 2; again++) { /* a fork has the same bytes */
            answer = postf(&server, "/v1/completions",
                           "{'previous_response_id':'%s','temperature':1.2,'max_tokens':%d}", id,
                               TOKENS - cut);
            const char *rest = text_of(answer);
            ck_assert_msg(!strncmp(whole, parts, strlen(parts)) && !strcmp(whole + strlen(parts), rest),
                          "cut after %d: '%s' + '%s', expected '%s'", cut, parts, rest, whole);
            ck_assert_int_eq((int)number_at(answer, "seed"), 5);
        }
    }
    ck_assert_int_eq((int)metric(&server, "carousel_stored_answers"), TOKENS);
    ck_assert_int_eq(server_stop(&server), 0);
}
END_TEST

/* The part of an answer between two names, which must be the same. */
static void part_of(const struct reply *answer, const char *from, const char *to, char out[TEXT])
{
    const char *begin = strstr(answer->body, from), *end = begin ? strstr(begin, to) : NULL;
    ck_assert_msg(begin && end, "%s", answer->body);
    snprintf(out, TEXT, "%.*s", (int)(end - begin), begin);
}

START_TEST(a_series_takes_one_value_after_the_other)
{
    char whole[TEXT], parts[TEXT], id[64];
    server_start(&server, NULL);
    struct reply *answer = post(&server, "/v1/forecast", "{'series':[1,2,4,7],'horizon':3,'store':true}");
    expect_ok(answer);
    snprintf(id, sizeof id, "%s", text_at(answer, "id"));
    answer = postf(&server, "/v1/forecast",
                   "{'previous_response_id':'%s','series':[11,null,22],'horizon':3}", id);
    expect_ok(answer);
    part_of(answer, "\"forecasts\"", "\"seed\"", whole);
    answer = postf(&server, "/v1/sessions", "{'from':'%s'}", id);
    ck_assert_int_eq(answer->status, 201);
    snprintf(id, sizeof id, "%s", text_at(answer, "id"));
    static const char *const values[] = {"11", "null", "22"};
    for (int i = 0; i < 3; i++) {
        answer = postf(&server, "/v1/forecast", "{'session':'%s','step':%d,'series':[%s],'horizon':3}", id, i,
                       values[i]);
        expect_ok(answer);
        ck_assert_int_eq((int)number_at(answer, "usage.steps_in"), 1);
    }
    part_of(answer, "\"forecasts\"", "\"seed\"", parts);
    ck_assert_str_eq(parts, whole);
    expect_error(postf(&server, "/v1/forecast", "{'session':'%s','series':[[1],[2]],'horizon':3}", id), 400,
                 "invalid_value", "series");
    expect_error(postf(&server, "/v1/classify", "{'session':'%s','input':[[1,2,3]]}", id), 422,
                 "unsupported_for_model", "model");
    ck_assert_int_eq((int)number_at(postf(&server, "/v1/forecast",
                                          "{'session':'%s','series':[1],'horizon':1}", id),
                                    "step"), 4);
    ck_assert_int_eq(server_stop(&server), 0);
}
END_TEST

START_TEST(a_verdict_is_updated)
{
    char whole[TEXT], parts[TEXT], id[64];
    server_start(&server, NULL);
    part_of(post(&server, "/v1/classify", "{'model':'tiny-gestures','input':[[1,0,-2],[0,1,-1],[3,3,3]]}"),
            "\"results\"", "\"usage\"", whole);
    struct reply *answer = post(&server, "/v1/classify",
                                "{'model':'tiny-gestures','input':[[1,0,-2]],'store':true}");
    expect_ok(answer);
    snprintf(id, sizeof id, "%s", text_at(answer, "id"));
    answer = postf(&server, "/v1/classify", "{'previous_response_id':'%s','input':[[0,1,-1],[3,3,3]]}", id);
    expect_ok(answer);
    part_of(answer, "\"results\"", "\"usage\"", parts);
    ck_assert_str_eq(parts, whole);
    expect_error(post(&server, "/v1/classify", "{'model':'tiny-labels','input':'a','store':true}"), 422,
                 "unsupported_for_model", NULL);
    ck_assert_int_eq(server_stop(&server), 0);
}
END_TEST

/* A score begins from a state, and leaves none; an embedding goes on. At every cut they are those of the
 * whole text. */
START_TEST(scores_and_embeddings_go_on)
{
    static const char text[] = "abcabacbc";
    char whole[TEXT], parts[TEXT], id[64];
    server_start(&server, NULL);
    part_of(postf(&server, "/v1/embeddings", "{'model':'tiny-characters','input':'%s'}", text),
            "\"data\"", "\"model\"", whole);
    for (int cut = 1; cut < (int)sizeof text - 1; cut++) {
        struct reply *answer = postf(&server, "/v1/embeddings",
                                     "{'model':'tiny-characters','input':'%.*s','store':true}", cut, text);
        expect_ok(answer);
        snprintf(id, sizeof id, "%s", text_at(answer, "id"));
        answer = postf(&server, "/v1/embeddings", "{'previous_response_id':'%s','input':'%s'}", id,
                       text + cut);
        expect_ok(answer);
        part_of(answer, "\"data\"", "\"model\"", parts);
        ck_assert_str_eq(parts, whole);
        answer = postf(&server, "/v1/score", "{'model':'tiny-characters','input':'%.*s','choices':['%s']}",
                       cut, text, text + cut);
        expect_ok(answer);
        double expected = number_at(answer, "results.0.0.log_likelihood");
        answer = postf(&server, "/v1/completions",
                       "{'model':'tiny-characters','prompt':'%.*s','max_tokens':0,'store':true}", cut, text);
        expect_ok(answer);
        snprintf(id, sizeof id, "%s", text_at(answer, "id"));
        answer = postf(&server, "/v1/score", "{'previous_response_id':'%s','input':'%s'}", id, text + cut);
        expect_ok(answer);
        ck_assert_double_eq(number_at(answer, "results.0.log_likelihood"), expected);
    }
    expect_error(postf(&server, "/v1/score", "{'previous_response_id':'%s','input':'a','store':true}", id),
                 422, "unsupported_for_model", "store");
    expect_error(post(&server, "/v1/embeddings",
                      "{'model':'tiny-characters','input':'a','store':true,'pooling':'mean'}"), 400,
                 "invalid_value", "pooling");
    ck_assert_int_eq(server_stop(&server), 0);
}
END_TEST

/* A prompt that begins as an earlier one did is read from there on, and answered with the same bytes. */
START_TEST(beginnings_of_prompts_are_remembered)
{
    char prompt[400] = "", first[TEXT], body[600];
    for (int i = 0; i < 300; i++) prompt[i] = (char)('a' + i * 7 % 26);
    snprintf(body, sizeof body, "{" MODEL ",'prompt':'%s','max_tokens':20}", prompt);
    const char *const none[] = {"CAROUSEL_SESSIONS_PREFIX_BYTES=1", NULL};
    server_start(&server, none);
    snprintf(first, sizeof first, "%s", text_of(post(&server, "/v1/completions", body)));
    ck_assert_str_eq(text_of(post(&server, "/v1/completions", body)), first);
    ck_assert_int_eq((int)metric(&server, "carousel_prefix_cache_hits_total"), 0);
    ck_assert_int_eq(server_stop(&server), 0);
    server_start(&server, NULL);
    ck_assert_str_eq(text_of(post(&server, "/v1/completions", body)), first);
    struct reply *again = post(&server, "/v1/completions", body);
    ck_assert_str_eq(text_of(again), first);
    ck_assert_int_eq((int)number_at(again, "usage.prompt_tokens_details.cached_tokens"), 299);
    ck_assert_int_eq((int)number_at(again, "usage.prompt_tokens"), 300);
    prompt[200] = '.';
    again = postf(&server, "/v1/completions", "{" MODEL ",'prompt':'%s','max_tokens':20}", prompt);
    ck_assert_int_eq((int)number_at(again, "usage.prompt_tokens_details.cached_tokens"), 128);
    ck_assert_int_eq((int)metric(&server, "carousel_prefix_cache_tokens_total"), 299 + 128);
    ck_assert_int_eq(server_stop(&server), 0);
}
END_TEST

START_TEST(a_stream_is_stored_too)
{
    char whole[TEXT], first[TEXT];
    server_start(&server, NULL);
    whole_text(whole);
    struct reply *answer = post(&server, "/v1/completions",
                                "{" MODEL ",'prompt':'abc','max_tokens':10,'store':true,'stream':true}");
    ck_assert_int_eq(answer->status, 200);
    ck_assert_ptr_nonnull(strstr(answer->body, "\"expires_at\":"));
    char *id = strstr(answer->body, "cmpl-");
    ck_assert_ptr_nonnull(id);
    id = strndup(id, strcspn(id, "\""));
    snprintf(first, sizeof first, "%s", text_of(post(&server, "/v1/completions",
                                                    "{" MODEL ",'prompt':'abc','max_tokens':10}")));
    answer = postf(&server, "/v1/completions",
                   "{'previous_response_id':'%s','temperature':1.2,'max_tokens':%d}", id, TOKENS - 10);
    ck_assert_str_eq(text_of(answer), whole + strlen(first));
    free(id);
    ck_assert_int_eq(server_stop(&server), 0);
}
END_TEST

START_TEST(what_cannot_go_on_is_refused)
{
    server_start(&server, NULL);
    expect_error(post(&server, "/v1/completions", "{'previous_response_id':'cmpl-1','max_tokens':1}"), 404,
                 "session_not_found", "previous_response_id");
    expect_error(post(&server, "/v1/completions", "{" MODEL ",'prompt':'a','session':'s'}"), 404,
                 "session_not_found", "session");
    expect_error(post(&server, "/v1/completions", "{" MODEL ",'prompt':['a','b'],'store':true}"), 400,
                 "invalid_value", "prompt");
    expect_error(post(&server, "/v1/completions", "{" MODEL ",'prompt':'a','n':2,'store':true}"), 400,
                 "invalid_value", "n");
    expect_error(post(&server, "/v1/completions", "{" MODEL ",'prompt':'a','step':1}"), 400, "invalid_value",
                 "step");
    expect_error(post(&server, "/v1/completions", "{" MODEL ",'prompt':'a','session':'no name'}"), 400,
                 "invalid_value", "session");
    expect_error(post(&server, "/v1/completions",
                      "{" MODEL ",'prompt':'a','session':'s','previous_response_id':'x'}"),
                 400, "invalid_value", "previous_response_id");
    expect_error(post(&server, "/v1/score", "{'model':'tiny-characters','input':'ab','store':true}"), 422,
                 "unsupported_for_model", "store");
    expect_error(post(&server, "/v1/sessions", "{}"), 400, "invalid_value", "model");
    expect_error(post(&server, "/v1/sessions", "{'model':'nobody'}"), 404, "model_not_found", "model");
    expect_error(post(&server, "/v1/sessions", "{'model':'tiny-labels'}"), 422, "unsupported_for_model",
                 "model");
    expect_error(post(&server, "/v1/sessions", "{'model':'tiny-characters','from':'cmpl-1'}"), 404,
                 "session_not_found", "from");
    struct reply *answer = post(&server, "/v1/completions",
                                "{" MODEL ",'prompt':'a','max_tokens':1,'store':true}");
    char id[64];
    snprintf(id, sizeof id, "%s", text_at(answer, "id"));
    expect_error(postf(&server, "/v1/completions", "{'model':'tiny-bytes','previous_response_id':'%s'}", id),
                 400, "invalid_value", "model");
    ck_assert_int_eq(server_stop(&server), 0);
}
END_TEST

static void make_session(const char *id)
{
    struct reply *answer = postf(&server, "/v1/sessions", "{'model':'tiny-characters','id':'%s','seed':5}",
                                 id);
    ck_assert_int_eq(answer->status, 201);
    ck_assert_str_eq(text_at(answer, "id"), id);
    ck_assert_int_eq((int)number_at(answer, "step"), 0);
}

START_TEST(a_session_moves_step_by_step)
{
    char whole[TEXT], parts[TEXT] = "", last[TEXT] = "";
    server_start(&server, NULL);
    whole_text(whole);
    make_session("s");
    expect_error(post(&server, "/v1/sessions", "{'model':'tiny-characters','id':'s'}"), 409,
                 "session_exists", "id");
    for (int step = 0; step < TOKENS; step++) {
        struct reply *answer;
        for (int again = 0; again < 2; again++) {
            answer = postf(&server, "/v1/completions",
                           "{" MODEL ",'session':'s','step':%d%s,'max_tokens':1}", step,
                           step ? "" : ",'prompt':'abc'");
            expect_ok(answer);
            if (again) ck_assert_str_eq(answer->body, last);
            snprintf(last, sizeof last, "%s", answer->body);
            ck_assert_str_eq(reply_header(answer, "X-Session-Id"), "s");
            ck_assert_int_eq((int)number_at(answer, "step"), step + 1);
        }
        strncat(parts, text_at(answer, "choices.0.text"), sizeof parts - strlen(parts) - 1);
    }
    ck_assert_str_eq(parts, whole);
    struct reply *wrong = ask_as(&server, "X-Session-Id: s\r\nIf-Match: \"3\"\r\n", "POST", "/v1/completions",
                                 "{\"max_tokens\":1}");
    expect_error(wrong, 409, "step_mismatch", "step");
    ck_assert_str_eq(reply_header(wrong, "ETag"), "\"24\"");
    expect_error(ask_as(&server, "X-Session-Id: s\r\n", "POST", "/v1/completions", "{\"max_tokens\":-1}"),
                 400,
                 "invalid_value", "max_tokens");
    expect_error(ask_as(&server, "X-Session-Id: a b\r\n", "POST", "/v1/sessions",
                        "{\"model\":\"tiny-characters\"}"), 400, "invalid_value", "X-Session-Id");
    expect_error(ask_as(&server, "X-Session-Id: a/b\r\n", "POST", "/v1/sessions",
                        "{\"model\":\"tiny-characters\"}"), 400, "invalid_value", "X-Session-Id");
    expect_error(ask_as(&server, "X-Session-Id: s\r\nIf-Match: W\r\n", "POST", "/v1/completions",
                        "{\"max_tokens\":1}"), 400, "invalid_value", "If-Match");
    struct reply *at = ask(&server, "GET", "/v1/sessions/s", NULL);
    expect_ok(at);
    ck_assert_int_eq((int)number_at(at, "step"), TOKENS);
    expect_ok(ask(&server, "DELETE", "/v1/sessions/s", NULL));
    expect_error(ask(&server, "GET", "/v1/sessions/s", NULL), 404, "session_not_found", "");
    expect_error(ask(&server, "DELETE", "/v1/sessions/s", NULL), 404, "session_not_found", "");
    ck_assert_int_eq(server_stop(&server), 0);
}
END_TEST

START_TEST(a_session_begins_with_a_stored_answer)
{
    char whole[TEXT], first[TEXT];
    server_start(&server, NULL);
    whole_text(whole);
    struct reply *answer = post(&server, "/v1/completions",
                                "{" MODEL ",'prompt':'abc','max_tokens':9,'store':true}");
    snprintf(first, sizeof first, "%s", text_of(answer));
    answer = postf(&server, "/v1/sessions", "{'from':'%s'}", text_at(answer, "id"));
    ck_assert_int_eq(answer->status, 201);
    ck_assert_str_eq(text_at(answer, "model"), "tiny-characters");
    answer = postf(&server, "/v1/completions", "{'session':'%s','temperature':1.2,'max_tokens':%d}",
                   text_at(answer, "id"), TOKENS - 9);
    ck_assert_str_eq(text_of(answer), whole + strlen(first));
    ck_assert_int_eq(server_stop(&server), 0);
}
END_TEST

/* A long step of the slow model; the others wait behind it, in order, and one is too many. */
START_TEST(steps_of_one_session_wait_for_each_other)
{
    const char *const settings[] = {slow_setting(), "CAROUSEL_SESSIONS_WAITING=2", NULL};
    server_start(&server, settings);
    ck_assert_int_eq(post(&server, "/v1/sessions", "{'model':'slow','id':'s'}")->status, 201);
    for (int i = 0; i < 3; i++) {
        client_open(&clients[i], &server);
        client_post(&clients[i], "/v1/completions",
                    i ? "{'session':'s','prompt':'a','max_tokens':3}"
                      : "{'session':'s','prompt':'a','max_tokens':16000}");
        ck_assert(metric_becomes(&server, "carousel_sequences_active", 1));
        ck_assert(metric_becomes(&server, "carousel_sessions_waiting", i));
    }
    expect_error(post(&server, "/v1/completions", "{'session':'s','prompt':'a','max_tokens':1}"), 409,
                 "session_busy", "session");
    client_abort(&clients[0]);
    for (int i = 1; i < 3; i++) {
        ck_assert(client_read(&clients[i], &reply));
        expect_ok(&reply);
        ck_assert_int_eq((int)number_at(&reply, "step"), i);
        client_close(&clients[i]);
    }
    ck_assert_int_eq(server_stop(&server), 0);
}
END_TEST

START_TEST(a_client_that_leaves_moves_nothing)
{
    const char *const settings[] = {slow_setting(), NULL};
    server_start(&server, settings);
    ck_assert_int_eq(post(&server, "/v1/sessions", "{'model':'slow','id':'s'}")->status, 201);
    client_open(&clients[0], &server);
    client_post(&clients[0], "/v1/completions", "{'session':'s','prompt':'a','max_tokens':10000}");
    ck_assert(metric_becomes(&server, "carousel_sequences_active", 1));
    client_open(&clients[1], &server);
    client_post(&clients[1], "/v1/completions", "{'session':'s','prompt':'a','max_tokens':10000}");
    client_abort(&clients[1]);
    client_abort(&clients[0]);
    struct reply *answer = post(&server, "/v1/completions",
                                "{'session':'s','step':0,'prompt':'a','max_tokens':1}");
    expect_ok(answer);
    ck_assert_int_eq((int)number_at(answer, "step"), 1);
    ck_assert(metric_becomes(&server, "carousel_sequences_active", 0));
    ck_assert_int_eq(server_stop(&server), 0);
}
END_TEST

START_TEST(a_name_belongs_to_its_key)
{
    const char *const settings[] = {keys_setting(), NULL};
    server_start(&server, settings);
    ck_assert_int_eq(ask_as(&server, BEARER("ck_infer"), "POST", "/v1/sessions",
                            "{\"model\":\"tiny-characters\",\"id\":\"s\"}")->status, 201);
    expect_ok(ask_as(&server, BEARER("ck_infer"), "GET", "/v1/sessions/s", NULL));
    expect_error(ask_as(&server, BEARER("ck_all"), "GET", "/v1/sessions/s", NULL), 404, "session_not_found",
                 "");
    expect_error(ask_as(&server, BEARER("ck_all"), "POST", "/v1/completions",
                        "{\"session\":\"s\",\"prompt\":\"a\"}"), 404, "session_not_found", "session");
    ck_assert_int_eq(ask_as(&server, BEARER("ck_all"), "POST", "/v1/sessions",
                            "{\"model\":\"tiny-characters\",\"id\":\"s\"}")->status, 201);
    expect_ok(ask_as(&server, BEARER("ck_infer"), "DELETE", "/v1/sessions/s", NULL));
    expect_ok(ask_as(&server, BEARER("ck_all"), "GET", "/v1/sessions/s", NULL));
    ck_assert_int_eq(server_stop(&server), 0);
}
END_TEST

START_TEST(what_is_not_used_expires)
{
    server_start(&server, NULL);
    struct reply *answer =
        post(&server, "/v1/completions", "{" MODEL ",'prompt':'a','max_tokens':1,'store':true,'ttl_s':1}");
    char id[64];
    snprintf(id, sizeof id, "%s", text_at(answer, "id"));
    ck_assert(metric_becomes(&server, "carousel_sessions_ended_total{reason=\"expired\"}", 1));
    expect_error(postf(&server, "/v1/completions", "{'previous_response_id':'%s'}", id), 410,
                 "session_expired",
                 "previous_response_id");
    ck_assert_int_eq((int)metric(&server, "carousel_session_state_bytes"), 0);
    ck_assert_int_eq(server_stop(&server), 0);
}
END_TEST

/* ---- kill and retry ---- */

enum { WRITERS = 6, PARTS = 12, PART_TOKENS = 4 };

struct writer {
    pthread_t thread;
    int number, n_killed;
    bool by_session;
    uint32_t random;
    char text[TEXT];
    struct reply answer; /* which keeps what it owns within reach */
};

static uint32_t draw(struct writer *writer)
{
    return writer->random = writer->random * 1664525 + 1013904223, writer->random >> 8;
}

/* Ask until an answer has come. Three of four times the connection is dropped first: at once, in the middle
 * of the request, or while the answer is made. */
static void ask_stubbornly(struct writer *writer, const char *body, struct reply *answer)
{
    for (;;) {
        struct client client = {0};
        char head[256];
        uint32_t chance = draw(writer) % 4;
        snprintf(head, sizeof head,
                 "POST /v1/completions HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n"
                 "Content-Length: %zu\r\n\r\n", strlen(body));
        client_open(&client, &server);
        (void)client_send(&client, head, strlen(head));
        (void)client_send(&client, body, chance == 1 ? strlen(body) / 2 : strlen(body));
        bool answered = chance == 3 && client_read(&client, answer);
        if (chance == 2) (void)client_fill(&client, 1);
        if (chance == 3) client_close(&client);
        else client_abort(&client);
        if (answered) return;
        writer->n_killed++;
    }
}

static void *write_a_text(void *context)
{
    struct writer *writer = context;
    struct reply *answer = &writer->answer;
    char body[512], id[80] = "";
    for (int part = 0; part < PARTS; part++) {
        int n = snprintf(body, sizeof body,
                         "{\"model\":\"tiny-characters\",\"temperature\":1.2,\"max_tokens\":%d,\"seed\":%d",
                         PART_TOKENS, writer->number);
        if (!part) n += snprintf(body + n, sizeof body - (size_t)n, ",\"prompt\":\"abc\"");
        if (writer->by_session)
            snprintf(body + n, sizeof body - (size_t)n, ",\"session\":\"w%d\",\"step\":%d}", writer->number,
                part);
        else
            snprintf(body + n, sizeof body - (size_t)n, ",\"store\":true%s%s%s}",
                     part ? ",\"previous_response_id\":\"" : "", id, part ? "\"" : "");
        ask_stubbornly(writer, body, answer);
        expect_ok(answer);
        snprintf(id, sizeof id, "%s", text_at(answer, "id"));
        strncat(writer->text, text_at(answer, "choices.0.text"), TEXT - strlen(writer->text) - 1);
    }
    return NULL;
}

START_TEST(lost_connections_leave_the_bytes_of_an_undisturbed_run)
{
    static struct writer writers[WRITERS];
    int n_killed = 0;
    server_start(&server, NULL);
    for (int i = 0; i < WRITERS; i++) {
        writers[i] = (struct writer){.number = i, .by_session = i % 2, .random = (uint32_t)(i + 1) * 77777};
        char body[128];
        snprintf(body, sizeof body, "{'model':'tiny-characters','id':'w%d'}", i);
        if (i % 2) ck_assert_int_eq(post(&server, "/v1/sessions", body)->status, 201);
    }
    for (int i = 0; i < WRITERS; i++)
        ck_assert_int_eq(pthread_create(&writers[i].thread, NULL, write_a_text, &writers[i]), 0);
    for (int i = 0; i < WRITERS; i++) pthread_join(writers[i].thread, NULL);
    for (int i = 0; i < WRITERS; i++) {
        struct reply *answer = postf(&server, "/v1/completions",
                                     "{'model':'tiny-characters','temperature':1.2,'max_tokens':%d,'seed':%d,"
                                     "'prompt':'abc'}", PARTS * PART_TOKENS, i);
        ck_assert_str_eq(writers[i].text, text_of(answer));
        n_killed += writers[i].n_killed;
    }
    ck_assert_int_ge(n_killed, WRITERS * PARTS);
    for (int i = 1; i < WRITERS; i += 2) {
        char path[64];
        snprintf(path, sizeof path, "/v1/sessions/w%d", i);
        ck_assert_int_eq((int)number_at(ask(&server, "GET", path, NULL), "step"), PARTS);
    }
    ck_assert_int_eq(server_stop(&server), 0);
}
END_TEST

Suite *state_suite(void);

Suite *state_suite(void)
{
    Suite *suite = suite_create("state");
    TCase *cases = tcase_create("state");
    tcase_set_timeout(cases, TEST_TIMEOUT_S);
    tcase_add_test(cases, a_stored_answer_goes_on_at_every_cut);
    tcase_add_test(cases, a_series_takes_one_value_after_the_other);
    tcase_add_test(cases, a_verdict_is_updated);
    tcase_add_test(cases, scores_and_embeddings_go_on);
    tcase_add_test(cases, beginnings_of_prompts_are_remembered);
    tcase_add_test(cases, a_stream_is_stored_too);
    tcase_add_test(cases, what_cannot_go_on_is_refused);
    tcase_add_test(cases, a_session_moves_step_by_step);
    tcase_add_test(cases, a_session_begins_with_a_stored_answer);
    tcase_add_test(cases, steps_of_one_session_wait_for_each_other);
    tcase_add_test(cases, a_client_that_leaves_moves_nothing);
    tcase_add_test(cases, a_name_belongs_to_its_key);
    tcase_add_test(cases, what_is_not_used_expires);
    tcase_add_test(cases, lost_connections_leave_the_bytes_of_an_undisturbed_run);
    suite_add_tcase(suite, cases);
    return suite;
}
