/* GET /openapi.json is the document docs/openapi.yaml, and it describes what the tables hold: every route,
 * every error, every default limit. What answers look like is compared by `make check-openapi`. */
#include <check.h>
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "client.h"

static struct server server;
static cJSON *document;

static const struct {
    const char *method, *path, *scopes;
} routes[] = {
#define X(symbol, method, path, handler, scopes) {#method, path, #scopes},
#include "server/request/routes.def"
};

static const struct {
    int status;
    const char *code, *type;
} faults[] = {
#define X(symbol, status, code, type, sentence) {status, code, type},
#include "server/base/errors.def"
};

enum { N_ROUTES = sizeof routes / sizeof *routes, N_FAULTS = sizeof faults / sizeof *faults };

static void start(void)
{
    server_start(&server, NULL);
    document = cJSON_Duplicate(reply_json(ask(&server, "GET", "/openapi.json", NULL)), true);
    ck_assert_ptr_nonnull(document);
}

static void stop(void)
{
    cJSON_Delete(document);
    ck_assert_int_eq(server_stop(&server), 0);
}

/* A path holds dots and braces, so json_at does not fit. */
static cJSON *operation(const char *method, const char *path)
{
    char name[16] = "";
    for (size_t i = 0; method[i] && i + 1 < sizeof name; i++)
        name[i] = (char)tolower((unsigned char)method[i]);
    cJSON *item = cJSON_GetObjectItemCaseSensitive(json_at(document, "paths"), path);
    return cJSON_GetObjectItemCaseSensitive(item, name);
}

START_TEST(it_is_the_file_byte_by_byte)
{
    size_t bytes;
    char *file = file_read("docs/openapi.yaml", &bytes);
    struct reply *reply = ask(&server, "GET", "/openapi.json", NULL);
    expect_ok(reply);
    ck_assert_str_eq(reply_header(reply, "Content-Type"), "application/json");
    ck_assert_uint_eq(reply->body_bytes, bytes);
    ck_assert_int_eq(memcmp(reply->body, file, bytes), 0);
    free(file);
}
END_TEST

START_TEST(every_route_is_described_and_nothing_else)
{
    int n = 0;
    for (int i = 0; i < N_ROUTES; i++) {
        ck_assert_msg(operation(routes[i].method, routes[i].path) != NULL, "docs/openapi.yaml lacks %s %s",
                      routes[i].method, routes[i].path);
        cJSON *preflight = operation("OPTIONS", routes[i].path);
        ck_assert_msg(json_at(json_at(preflight, "responses"), "204") != NULL &&
                          !json_at(preflight, "security"),
                      "docs/openapi.yaml lacks OPTIONS %s, which needs no key", routes[i].path);
    }
    const cJSON *path, *method;
    cJSON_ArrayForEach(path, json_at(document, "paths")) cJSON_ArrayForEach(method, path)
        n += strcmp(method->string, "parameters") && strcmp(method->string, "options");
    ck_assert_msg(n == N_ROUTES, "docs/openapi.yaml has %d operations; server/request/routes.def has %d", n,
                  N_ROUTES);
}
END_TEST

static bool lists(const cJSON *list, const char *text)
{
    const cJSON *item;
    cJSON_ArrayForEach(item, list) if (cJSON_IsString(item) && !strcmp(item->valuestring, text)) return true;
    return false;
}

/* All texts of the list are among the N_FAULTS ones of the table. */
static void check_enum(const char *schema, bool codes)
{
    char path[80];
    snprintf(path, sizeof path, "components.schemas.%s.enum", schema);
    const cJSON *list = json_at(document, path), *item;
    for (int i = 0; i < N_FAULTS; i++) {
        const char *text = codes ? faults[i].code : faults[i].type;
        ck_assert_msg(lists(list, text), "%s of docs/openapi.yaml lacks '%s'", schema, text);
    }
    cJSON_ArrayForEach(item, list) {
        bool found = false;
        for (int i = 0; i < N_FAULTS; i++)
            found |= !strcmp(item->valuestring, codes ? faults[i].code : faults[i].type);
        ck_assert_msg(found, "%s of docs/openapi.yaml has '%s', which server/base/errors.def has not", schema,
                      item->valuestring);
    }
}

START_TEST(every_error_is_described_and_nothing_else)
{
    check_enum("ErrorCode", true);
    check_enum("ErrorType", false);
}
END_TEST

static bool is_fault(int status)
{
    for (int i = 0; i < N_FAULTS; i++)
        if (faults[i].status == status) return true;
    return false;
}

START_TEST(statuses_are_those_of_the_table)
{
    bool seen[600] = {false};
    for (int i = 0; i < N_ROUTES; i++) {
        const cJSON *responses = json_at(operation(routes[i].method, routes[i].path), "responses"), *response;
        cJSON_ArrayForEach(response, responses) {
            int status = atoi(response->string);
            ck_assert_msg((status == 101 || status >= 200) && status < 600 && (status < 400 ||
                                                                               is_fault(status)),
                          "%s %s: status %s", routes[i].method, routes[i].path, response->string);
            seen[status] = true;
        }
    }
    for (int i = 0; i < N_FAULTS; i++)
        ck_assert_msg(seen[faults[i].status], "no route of docs/openapi.yaml has the status %d",
                      faults[i].status);
}
END_TEST

START_TEST(what_needs_a_key_says_so)
{
    for (int i = 0; i < N_ROUTES; i++) {
        cJSON *found = operation(routes[i].method, routes[i].path), *responses = json_at(found, "responses");
        bool key = strcmp(routes[i].scopes, "OPEN") != 0;
        ck_assert_msg((json_at(found, "security") != NULL) == key &&
                      (json_at(responses, "401") != NULL) == key &&
                      (json_at(responses, "403") != NULL) == key,
                      "%s %s has the scopes %s; expected %s in docs/openapi.yaml", routes[i].method,
                      routes[i].path, routes[i].scopes,
                      key ? "security, 401 and 403" : "none of security, 401, 403");
    }
}
END_TEST

/* Every "x-limit": the number beside it is the default that GET /v1/info tells. */
static int check_limits(const cJSON *node, cJSON *info)
{
    static const char *const bounds[] = {"maximum", "maxItems", "maxProperties", "maxLength"};
    const cJSON *child, *limit = cJSON_GetObjectItemCaseSensitive(node, "x-limit");
    int n = 0;
    if (cJSON_IsString(limit)) {
        const cJSON *bound = NULL, *value = json_at(info, limit->valuestring);
        for (size_t i = 0; i < sizeof bounds / sizeof *bounds && !bound; i++)
            bound = cJSON_GetObjectItemCaseSensitive(node, bounds[i]);
        ck_assert_msg(cJSON_IsNumber(bound) && cJSON_IsNumber(value), "x-limit %s", limit->valuestring);
        ck_assert_msg(bound->valuedouble == value->valuedouble,
                      "docs/openapi.yaml says %g for %s, which is %g", bound->valuedouble, limit->valuestring,
                      value->valuedouble);
        n++;
    }
    cJSON_ArrayForEach(child, node) n += check_limits(child, info);
    return n;
}

START_TEST(limits_are_the_defaults)
{
    struct reply *reply = ask(&server, "GET", "/v1/info", NULL);
    ck_assert_int_ge(check_limits(document, reply_json(reply)), 20);
}
END_TEST

/* "#/components/schemas/Text" */
static int check_references(const cJSON *node)
{
    const cJSON *child, *reference = cJSON_GetObjectItemCaseSensitive(node, "$ref");
    int n = 0;
    if (cJSON_IsString(reference)) {
        char path[160];
        ck_assert_int_eq(strncmp(reference->valuestring, "#/", 2), 0);
        snprintf(path, sizeof path, "%s", reference->valuestring + 2);
        for (char *slash = path; (slash = strchr(slash, '/')) != NULL;) *slash = '.';
        ck_assert_msg(json_at(document, path) != NULL, "%s leads nowhere", reference->valuestring);
        n++;
    }
    cJSON_ArrayForEach(child, node) n += check_references(child);
    return n;
}

START_TEST(every_reference_leads_somewhere)
{
    ck_assert_int_ge(check_references(document), 100);
}
END_TEST

Suite *openapi_suite(void);

Suite *openapi_suite(void)
{
    Suite *suite = suite_create("openapi");
    TCase *cases = tcase_create("openapi");
    tcase_add_checked_fixture(cases, start, stop);
    tcase_set_timeout(cases, TEST_TIMEOUT_S);
    tcase_add_test(cases, it_is_the_file_byte_by_byte);
    tcase_add_test(cases, every_route_is_described_and_nothing_else);
    tcase_add_test(cases, every_error_is_described_and_nothing_else);
    tcase_add_test(cases, statuses_are_those_of_the_table);
    tcase_add_test(cases, what_needs_a_key_says_so);
    tcase_add_test(cases, limits_are_the_defaults);
    tcase_add_test(cases, every_reference_leads_somewhere);
    suite_add_tcase(suite, cases);
    return suite;
}
