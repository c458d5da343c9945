/* What clients send stays out of the log, at every level, and their credentials out of the answers too: a word that
 * stands nowhere else goes through every route, in every place where a client can put one. */
#include <check.h>
#include <stdio.h>
#include <string.h>

#include "client.h"

#define CANARY "c4n4ryZq7"
#define KEY "sk-k3yCanaryXw9"

static struct server server;

static const struct {
    const char *method, *path;
} routes[] = {
#define X(symbol, method, path, handler, ...) {#method, path},
#include "server/routes.def"
#undef X
};

enum { N_ROUTES = sizeof routes / sizeof *routes };

/* Bodies with the word in every kind of place: good ones, wrong types, fields that are unknown, JSON that is broken. */
static const char *const bodies[] = {
    "{'model':'tiny-characters','prompt':'" CANARY "','input':'" CANARY "','max_tokens':4,'echo':true,'user':'" CANARY "'}",
    "{'model':'tiny-characters','input':['" CANARY "'],'choices':['" CANARY "'],'prompt':['" CANARY "'],'max_tokens':2,"
    "'stop':'" CANARY "'}",
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

enum { N_BODIES = sizeof bodies / sizeof *bodies };

/* "/v1/models/{id}" with the word for the hole. */
static void fill(const char *pattern, char out[200])
{
    const char *hole = strstr(pattern, "{id}");
    if (hole == NULL) snprintf(out, 200, "%s", pattern);
    else snprintf(out, 200, "%.*s" CANARY "%s", (int)(hole - pattern), pattern, hole + 4);
}

static void ask_with_key(const char *method, const char *path, const char *body)
{
    struct client client;
    static struct reply reply;
    char json[1000];
    size_t n = (size_t)snprintf(json, sizeof json, "%s", body);
    for (size_t i = 0; i < n; i++)
        if (json[i] == '\'') json[i] = '"';
    client_open(&client, &server);
    client_say(&client,
               "%s %s?" CANARY "=" CANARY " HTTP/1.1\r\nHost: " CANARY "\r\nAuthorization: Bearer " KEY "\r\n"
               "Cookie: " CANARY "\r\nUser-Agent: " CANARY "\r\nX-Api-Key: " KEY "\r\ntraceparent: " CANARY "\r\n"
               "Content-Type: application/json\r\nContent-Length: %zu\r\nConnection: close\r\n\r\n%s",
               method, path, n, json);
    ck_assert(client_read(&client, &reply));
    ck_assert_msg(strstr(reply.head, KEY) == NULL && strstr(reply.body, KEY) == NULL, "%s %s answers with the key: %s",
                  method, path, reply.body);
    client_close(&client);
}

START_TEST(nothing_that_a_client_sends_is_logged)
{
    static const char *const settings[] = {"CAROUSEL_LOG_LEVEL=debug", "CAROUSEL_LOG_ACCESS=true", NULL};
    char path[200];
    server_start(&server, settings);
    for (int route = 0; route < N_ROUTES; route++) {
        bool takes = strcmp(routes[route].method, "POST") == 0;
        fill(routes[route].path, path);
        for (int i = 0; i < (takes ? N_BODIES : 1); i++)
            ask_with_key(routes[route].method, path, takes ? bodies[i] : "");
        ask_with_key(takes ? "GET" : "DELETE", path, "");
    }
    ask_with_key("GET", "/" CANARY, "");
    ck_assert_int_eq(server_stop(&server), 0);
    const char *log = server_log(&server);
    ck_assert_msg(strstr(log, "\"route\":\"/v1/score\"") != NULL, "the access log is missing");
    const char *found = strstr(log, CANARY);
    ck_assert_msg(found == NULL, "the log has what a client sent: %.300s", found);
    found = strstr(log, KEY);
    ck_assert_msg(found == NULL, "the log has the key: %.300s", found);
}
END_TEST

Suite *secrets_suite(void);

Suite *secrets_suite(void)
{
    Suite *suite = suite_create("secrets");
    TCase *cases = tcase_create("secrets");
    tcase_set_timeout(cases, 30);
    tcase_add_test(cases, nothing_that_a_client_sends_is_logged);
    suite_add_tcase(suite, cases);
    return suite;
}
