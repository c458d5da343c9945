/* Any bytes as what comes before a body: method, path, and the headers that we read, a line each, the last
 * one the configured origins. What matches a route must be its path; what is refused must be told in JSON; an
 * id, a trace and an origin must be the client's own or none. */
#include <assert.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "server/request/access.h"
#include "server/request/cors.h"
#include "server/api/document.h"
#include "server/request/router.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { METHOD, PATH, TYPE, CODING, ID, TRACE, ORIGIN, ORIGINS, N_LINES };

/* The body must be JSON that names the id, or, for the routes of /v2, a sentence. */
static void check_body(const char *body, size_t bytes, const char *id, bool plain)
{
    const struct json_limits limits = {.depth = 2, .values = 20};
    struct problem problem = {0};
    const char *text = NULL;
    struct json *document = document_parse(body, bytes, &limits, &problem);
    assert(document);
    const struct json *error = json_get(document, "error");
    assert(error && json_kind(error) == (plain ? JSON_STRING : JSON_OBJECT));
    if (!plain)
        assert(field_string(error, "request_id", REQUEST_ID_BYTES, &text, &problem) && !strcmp(text, id));
    json_free(document);
}

static void check_refusal(const struct problem *problem, const char *id, bool plain)
{
    size_t bytes = 0, body_bytes = 0, told = 0;
    char text[1024], line[REQUEST_ID_BYTES + 32];
    struct head head = {.status = 413};
    assert(problem->fault != FAULT_NONE && problem->message[0]);
    char *body = request_error_body(problem, id, plain, &body_bytes);
    assert(body);
    check_body(body, body_bytes, id, plain);
    head_add(&head, "X-Request-Id", id);
    char *answer = request_refusal(&head, body, body_bytes, &bytes);
    assert(answer && body_bytes + 4 < bytes);
    snprintf(text, sizeof text, "%.*s", (int)(bytes - body_bytes), answer);
    const char *length = strstr(text, "\r\nContent-Length: ");
    assert(length && sscanf(length, "\r\nContent-Length: %zu\r\n", &told) == 1 && told == body_bytes);
    snprintf(line, sizeof line, "\r\nX-Request-Id: %s\r\n", id);
    assert(strstr(text, line) && !memcmp(answer + bytes - body_bytes - 4, "\r\n\r\n", 4));
    assert(!memcmp(answer + bytes - body_bytes, body, body_bytes));
    free(answer);
    free(body);
}

/* The route's path with the tail in its hole is the path that came. */
static void check_match(const struct match *match, const char *path)
{
    char whole[ROUTE_TAIL_BYTES + 64];
    const char *pattern = route_path(match->route), *hole = strstr(pattern, "{id}");
    assert(match->allow[0] && !strchr(match->tail, '/'));
    if (hole)
        snprintf(whole, sizeof whole, "%.*s%s%s", (int)(hole - pattern), pattern, match->tail, hole + 4);
    else snprintf(whole, sizeof whole, "%s", pattern);
    assert(!strcmp(whole, path) && !hole == !match->tail[0]);
}

static void try_route(char *const *lines, const char *id)
{
    struct match match;
    struct problem problem = {0};
    const struct arrival arrival = {lines[METHOD], lines[PATH], lines[TYPE], lines[CODING]};
    route_find(lines[METHOD], lines[PATH], &match);
    assert((match.route != ROUTE_NONE) == (match.allow[0] != '\0') &&
           (match.route != ROUTE_NONE || !match.has_method));
    if (match.route != ROUTE_NONE) check_match(&match, lines[PATH]);
    if (!route_check(&match, &arrival, &problem)) check_refusal(&problem, id, match.is_v2);
    else assert(match.has_method);
}

static void try_trace(const char *theirs)
{
    char trace[TRACE_ID_BYTES];
    access_take_trace(theirs, trace);
    if (!trace[0]) return;
    assert(strspn(trace, "0123456789abcdef") == 32 && strspn(trace, "0") < 32 &&
           !strncmp(theirs + 3, trace, 32));
}

static void try_origin(const char *origin, const char *origins)
{
    struct error err = {.message = ""};
    const char *allowed = cors_allow(origins, origin);
    if (allowed)
        assert(origin && (allowed == origin ? strstr(origins, origin) != NULL
                                            : !strcmp(allowed, "*") && strchr(origins, '*')));
    /* what may stand in a header of the answer cannot end it */
    if (cors_check(origins, &err) != STATUS_OK) assert(err.message[0]);
    else if (allowed) assert(!strpbrk(allowed, "\r\n \t,"));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char empty[] = "", *lines[N_LINES] = {NULL}, *text = malloc(size + 1), *at = text;
    char id[REQUEST_ID_BYTES];
    if (!text) return 0;
    if (size) memcpy(text, data, size);
    text[size] = '\0';
    for (size_t i = 0; i < N_LINES && at; i++) {
        lines[i] = at;
        at = strchr(at, '\n');
        if (at) *at++ = '\0';
    }
    if (!lines[PATH]) lines[PATH] = empty;
    access_take_id(lines[ID], id);
    assert(id[0] && (!strncmp(id, "req-", 4) || !strcmp(id, lines[ID])) && !strpbrk(id, "\r\n \"\\"));
    try_route(lines, id);
    try_trace(lines[TRACE]);
    if (lines[ORIGINS]) try_origin(lines[ORIGIN], lines[ORIGINS]);
    free(text);
    return 0;
}
