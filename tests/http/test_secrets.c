/* What clients send stays out of the log, at every level, and their credentials out of the answers too: a
 * word that stands nowhere else goes through every route, in every place where a client can put one. */
#include <check.h>
#include <stdio.h>
#include <string.h>

#include "client.h"

#define CANARY "c4n4ryZq7"

/* Without keys, with a wrong one, and with one that may do everything; no part of `secret` may be told. */
static const struct {
    bool auth;
    const char *key, *secrets[2];
} runs[] = {
    {false, "sk-k3yCanaryXw9", {"k3yCanaryXw9", "k3yCanaryXw9"}},
    {true, "sk-k3yCanaryXw9", {"k3yCanaryXw9", "k3yCanaryXw9"}},
    {true, "ck_all", {"ck_all", "255e55b3"}}, /* the hash in the file */
};

static struct server server;

static const struct {
    const char *method, *path;
} routes[] = {
#define X(symbol, method, path, handler, ...) {#method, path},
#include "server/request/routes.def"
};

enum { N_ROUTES = sizeof routes / sizeof *routes };

/* Bodies with the word in every kind of place: good ones, wrong types, fields that are unknown, JSON that is
 * broken. */
static const char *const bodies[] = {
    "{'model':'tiny-characters','prompt':'" CANARY "','input':'" CANARY
    "','max_tokens':4,'echo':true,'user':'" CANARY "'}",
    "{'model':'tiny-characters','input':['" CANARY "'],'choices':['" CANARY "'],'prompt':['" CANARY
    "'],'max_tokens':2,'stop':'" CANARY "'}",
    "{'model':'tiny-characters','prompt':'abc','max_tokens':8,'stream':true,'" CANARY "':1}",
    "{'model':'tiny-labels','input':'" CANARY "'}",
    "{'model':'tiny-series','series':[{'id':'" CANARY "','target':[1,2,3]}]}",
    "{'model':'tiny-series','series':[{'id':'" CANARY "','target':['" CANARY "']}]}",
    "{'model':'" CANARY "','prompt':'" CANARY "','input':'" CANARY "','series':[1]}",
    "{'model':'tiny-characters','tokens':['" CANARY "'],'temperature':'" CANARY "'}",
    "{'model':'tiny-characters','prompt':'" CANARY "','logit_bias':{'" CANARY "':1}}",
    "{'" CANARY "'",
    "'" CANARY "'",
    "" CANARY "",
};

#define REQUEST_ID "secrets-request"

enum { N_BODIES = sizeof bodies / sizeof *bodies };

/* "/v1/models/{id}" with the word for the hole. */
static void fill(const char *pattern, char out[200])
{
    const char *hole = strstr(pattern, "{id}");
    if (hole == NULL) snprintf(out, 200, "%s", pattern);
    else snprintf(out, 200, "%.*s" CANARY "%s", (int)(hole - pattern), pattern, hole + 4);
}

static void ask_with_key(const char *key, const char *method, const char *pattern, const char *body)
{
    char headers[500], json[1000], path[300];
    snprintf(headers, sizeof headers,
             "Authorization: Bearer %s\r\nX-Api-Key: %s\r\nX-Request-Id: %s\r\nCookie: " CANARY "\r\n"
             "User-Agent: " CANARY "\r\nReferer: " CANARY "\r\ntraceparent: " CANARY "\r\n",
             key, key, REQUEST_ID);
    snprintf(path, sizeof path, "%s?" CANARY "=" CANARY, pattern);
    snprintf(json, sizeof json, "%s", body);
    for (char *at = json; *at; at++)
        if (*at == '\'') *at = '"';
    struct reply *reply = ask_as(&server, headers, method, path, json);
    ck_assert_msg(strstr(reply->head, key) == NULL && strstr(reply->body, key) == NULL,
                  "%s %s answers with the key: %s", method, path, reply->body);
}

START_TEST(nothing_that_a_client_sends_is_logged)
{
    const char *key = runs[_i].key;
    const char *settings[] = {"CAROUSEL_LOG_LEVEL=debug", "CAROUSEL_LOG_ACCESS=true",
                              runs[_i].auth ? keys_setting() : NULL, NULL};
    char path[200];
    int n = 0;
    server_start(&server, settings);
    for (int route = 0; route < N_ROUTES; route++) {
        bool takes = strcmp(routes[route].method, "POST") == 0;
        fill(routes[route].path, path);
        for (int i = 0; i < (takes ? N_BODIES : 1); i++, n++)
            ask_with_key(key, routes[route].method, path, takes ? bodies[i] : "");
        ask_with_key(key, takes ? "GET" : "DELETE", path, "");
        n++;
    }
    ask_with_key(key, "GET", "/" CANARY, "");
    await_log(&server, REQUEST_ID, n + 1);
    const char *log = server_log(&server), *found = strstr(log, CANARY);
    ck_assert_msg(found == NULL, "the log has what a client sent: %.300s", found);
    for (int i = 0; i < 2; i++) {
        found = strstr(log, runs[_i].secrets[i]);
        ck_assert_msg(found == NULL, "the log has the key or its hash: %.300s", found);
    }
    ck_assert_int_eq(server_stop(&server), 0);
}
END_TEST

Suite *secrets_suite(void);

Suite *secrets_suite(void)
{
    Suite *suite = suite_create("secrets");
    TCase *cases = tcase_create("secrets");
    tcase_set_timeout(cases, TEST_TIMEOUT_S);
    tcase_add_loop_test(cases, nothing_that_a_client_sends_is_logged, 0, (int)(sizeof runs / sizeof *runs));
    suite_add_tcase(suite, cases);
    return suite;
}
