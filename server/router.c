/* The table of routes. */
#include "server/router.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

static const struct {
    const char *method, *path;
    request_handler *handler;
    enum scopes scopes;
} routes[] = {
#define X(symbol, method, path, handler, scopes) [ROUTE_##symbol] = {#method, path, handler, SCOPES_##scopes},
#include "server/routes.def"
#undef X
};

static bool path_matches(const char *pattern, const char *path, struct match *match)
{
    const char *hole = strstr(pattern, "{id}");
    if (!hole) return !strcmp(pattern, path);
    size_t before = (size_t)(hole - pattern);
    if (strncmp(pattern, path, before)) return false;
    size_t n = strcspn(path + before, "/");
    if (!n || n >= sizeof match->tail || strcmp(path + before + n, hole + strlen("{id}"))) return false;
    snprintf(match->tail, sizeof match->tail, "%.*s", (int)n, path + before);
    return true;
}

static void allow(struct match *match, const char *method)
{
    size_t n = strlen(match->allow);
    snprintf(match->allow + n, sizeof match->allow - n, "%s%s%s", n ? ", " : "", method,
             !strcmp(method, "GET") ? ", HEAD" : "");
}

void route_find(const char *method, const char *path, struct match *match)
{
    *match = (struct match){.route = ROUTE_NONE};
    if (!strcmp(method, "HEAD")) method = "GET";
    for (int i = 0; i < N_ROUTES; i++) {
        if (!path_matches(routes[i].path, path, match)) continue;
        match->is_v2 = !strncmp(path, "/v2/", 4);
        allow(match, routes[i].method);
        bool fits = !strcmp(routes[i].method, method);
        if (fits || match->route == ROUTE_NONE) match->route = (enum route_id)i;
        match->has_method |= fits;
    }
}

const char *route_path(enum route_id route)
{
    return route < N_ROUTES ? routes[route].path : "none";
}

bool route_is_post(enum route_id route)
{
    return route < N_ROUTES && !strcmp(routes[route].method, "POST");
}

enum scopes route_scopes(enum route_id route)
{
    return route < N_ROUTES ? routes[route].scopes : SCOPES_OPEN;
}

request_handler *route_handler(enum route_id route)
{
    return routes[route].handler;
}

static bool is_json(const char *type)
{
    static const char json[] = "application/json";
    if (strncasecmp(type, json, sizeof json - 1)) return false;
    type += sizeof json - 1;
    type += strspn(type, " \t");
    if (!*type) return true;
    if (*type++ != ';') return false;
    type += strspn(type, " \t");
    return strncasecmp(type, "charset=", 8) || !strcasecmp(type + 8, "utf-8") ||
           !strcasecmp(type + 8, "\"utf-8\"");
}

bool route_check(const struct match *match, const struct arrival *arrival, struct problem *problem)
{
    const char *type = arrival->content_type, *coding = arrival->content_coding;
    if (match->route == ROUTE_NONE)
        return problem_set(problem, FAULT_NOT_FOUND, NULL, "there is no route %.100s", arrival->path);
    if (!match->has_method)
        return problem_set(problem, FAULT_METHOD_NOT_ALLOWED, NULL,
                           "%s is not a method of this route; it has %s", arrival->method, match->allow);
    if (!route_is_post(match->route)) return true;
    if (type && !is_json(type))
        return problem_set(problem, FAULT_UNSUPPORTED_MEDIA_TYPE, NULL,
                           "the content type is %.80s; expected application/json", type);
    if (coding && strcasecmp(coding, "identity"))
        return problem_set(problem, FAULT_UNSUPPORTED_MEDIA_TYPE, NULL,
                           "the content encoding is %.40s; expected none", coding);
    return true;
}
