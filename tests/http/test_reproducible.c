/* The same request with the same seed gives the same bytes, alone and among 64 others, whatever the number of
 * workers and the length of a chunk. */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "client.h"

enum { COMPANY = 64 };

static struct server server;
static struct reply reply;

static const struct {
    const char *path, *body;
    const char *part; /* of the answer: the rest holds ids and times */
} requests[] = {
    {"/v1/completions",
     "{'model':'tiny-characters','prompt':'hello, world','max_tokens':120,'seed':7,'logprobs':5}",
     "choices"},
    {"/v1/completions",
     "{'model':'tiny-characters','prompt':['a','bc'],'n':3,'best_of':4,'max_tokens':40,'seed':8,'top_p':0.9,"
     "'top_k':20,'min_p':0.01,'repetition_penalty':1.1,'presence_penalty':0.5,'frequency_penalty':0.3,"
     "'stop':['zz','qq']}",
     "choices"},
    {"/v1/completions", "{'model':'tiny-words','prompt':'the cat sat','n':4,'max_tokens':60,'seed':9}",
     "choices"},
    {"/v1/completions",
     "{'model':'tiny-bytes','prompt':'0','n':2,'max_tokens':60,'seed':10,'temperature':1.5}", "choices"},
    {"/v1/score", "{'model':'tiny-characters','input':'the quick brown fox jumps over the lazy dog.'}", NULL},
    {"/v1/forecast",
     "{'series':[[1,2,3,4],[5,null,3,2,1,0,-1],[100]],'horizon':12,'num_samples':5,'seed':3,'quantiles':[0.1,"
     "0.5,0.9]}",
     "forecasts"},
    {"/v1/classify", "{'model':'tiny-labels','input':['a very good film .','bad bad film','not a film']}",
     "results"},
    {"/v1/classify", "{'model':'tiny-gestures','input':[[1,0,-2],[0,1,-1],[3,3,3]]}", "results"},
    {"/v1/embeddings", "{'model':'tiny-characters','input':['hello','a']}", "data"},
};
enum { N_REQUESTS = sizeof requests / sizeof *requests };

/* The part of the answer that must be the same, as text; freed by cJSON_free. */
static char *essence(struct reply *answer, int i)
{
    expect_ok(answer);
    if (requests[i].part == NULL) {
        static const char *const passing[] = {"id", "created", "timings"};
        for (size_t k = 0; k < 3; k++)
            cJSON_DeleteItemFromObjectCaseSensitive(reply_json(answer), passing[k]);
        return cJSON_PrintUnformatted(reply_json(answer));
    }
    /* The bytes themselves, not what a parser makes of them. */
    char key[32];
    snprintf(key, sizeof key, "\"%s\":", requests[i].part);
    const char *from = strstr(answer->body, key);
    ck_assert_msg(from != NULL, "no %s in %s", key, answer->body);
    const char *end = from + strlen(key);
    int depth = 0;
    bool quoted = false;
    do {
        if (*end == '\\' && quoted)
            end++;
        else if (*end == '"')
            quoted = !quoted;
        else if (!quoted)
            depth += (*end == '[' || *end == '{') - (*end == ']' || *end == '}');
        end++;
    } while (depth > 0);
    char *text = cJSON_malloc((size_t)(end - from) + 1);
    ck_assert_ptr_nonnull(text);
    memcpy(text, from, (size_t)(end - from));
    text[end - from] = '\0';
    return text;
}

/* A request of the company: any of them, with a seed and a length of its own. */
static void join(struct client *client, int k)
{
    char body[512];
    client_open(client, &server);
    switch (k % 4) {
    case 0:
        snprintf(body, sizeof body, "{'model':'tiny-characters','prompt':'%.*s','max_tokens':%d,'seed':%d}",
                 1 + k % 20, "abcdefghijklmnopqrstuvwxyz", 20 + 7 * k, k);
        client_post(client, "/v1/completions", body);
        break;
    case 1:
        snprintf(body, sizeof body, "{'series':[%d,2,3],'horizon':%d,'num_samples':%d}", k, 5 + k, 1 + k % 9);
        client_post(client, "/v1/forecast", body);
        break;
    case 2:
        client_post(client, "/v1/classify", "{'model':'tiny-labels','input':'a very very bad film'}");
        break;
    case 3:
        snprintf(body, sizeof body, "{'model':'tiny-bytes','prompt':'x','max_tokens':%d,'seed':%d,'n':2}",
                 30 + 5 * k, k);
        client_post(client, "/v1/completions", body);
        break;
    }
}

/* All requests alone, then each among 64 others. */
static void compare(const char *const *settings, char **expected)
{
    static struct client company[COMPANY], client;
    server_start(&server, settings);
    for (int i = 0; i < N_REQUESTS; i++) {
        char *alone = essence(post(&server, requests[i].path, requests[i].body), i);
        if (expected[i] == NULL) {
            expected[i] = alone;
        } else {
            ck_assert_msg(strcmp(alone, expected[i]) == 0, "%s\n%s\nand with %s\n%s", requests[i].body,
                          expected[i], settings[0], alone);
            cJSON_free(alone);
        }
    }
    for (int i = 0; i < N_REQUESTS; i++) {
        for (int k = 0; k < COMPANY / 2; k++)
            join(&company[k], k + i);
        client_open(&client, &server);
        client_post(&client, requests[i].path, requests[i].body);
        for (int k = COMPANY / 2; k < COMPANY; k++)
            join(&company[k], k + i);
        ck_assert(client_read(&client, &reply));
        char *together = essence(&reply, i);
        ck_assert_msg(strcmp(together, expected[i]) == 0, "%s\nalone:    %s\ntogether: %s", requests[i].body,
                      expected[i], together);
        cJSON_free(together);
        client_close(&client);
        for (int k = 0; k < COMPANY; k++) {
            ck_assert(client_read(&company[k], &reply));
            expect_ok(&reply);
            client_close(&company[k]);
        }
    }
    ck_assert_int_eq(server_stop(&server), 0);
}

START_TEST(company_changes_no_byte)
{
    char *expected[N_REQUESTS] = {NULL};
    static const char *const settings[][3] = {
        {"CAROUSEL_SCHEDULER_WORKERS=1", NULL},
        {"CAROUSEL_SCHEDULER_WORKERS=3", "CAROUSEL_SCHEDULER_CHUNK_STEPS=5", NULL},
        {"CAROUSEL_SCHEDULER_CHUNK_STEPS=1", "CAROUSEL_SCHEDULER_MAX_BATCH=7", NULL},
    };
    for (size_t i = 0; i < sizeof settings / sizeof *settings; i++)
        compare(settings[i], expected);
    for (int i = 0; i < N_REQUESTS; i++)
        cJSON_free(expected[i]);
}
END_TEST

START_TEST(company_changes_no_byte_in_other_precisions)
{
    static const char *const settings[][3] = {
        {"CAROUSEL_MODELS_PRECISION=float16", "CAROUSEL_SCHEDULER_WORKERS=1", NULL},
        {"CAROUSEL_MODELS_PRECISION=int8", "CAROUSEL_SCHEDULER_WORKERS=1", NULL},
        {"CAROUSEL_SCHEDULER_KERNELS=portable", "CAROUSEL_SCHEDULER_WORKERS=1", NULL},
    };
    for (size_t i = 0; i < sizeof settings / sizeof *settings; i++) {
        char *expected[N_REQUESTS] = {NULL};
        compare(settings[i], expected);
        for (int k = 0; k < N_REQUESTS; k++)
            cJSON_free(expected[k]);
    }
}
END_TEST

Suite *reproducible_suite(void);

Suite *reproducible_suite(void)
{
    Suite *suite = suite_create("reproducible");
    TCase *cases = tcase_create("company");
    tcase_set_timeout(cases, TEST_TIMEOUT_S);
    tcase_add_test(cases, company_changes_no_byte);
    tcase_add_test(cases, company_changes_no_byte_in_other_precisions);
    suite_add_tcase(suite, cases);
    return suite;
}
