/* The table of routes. */
#include "server/router.h"

#include <stdio.h>
#include <string.h>

static const struct {
    const char *method, *path;
    request_handler *handler;
} routes[] = {
#define X(symbol, method, path, handler) [ROUTE_##symbol] = {#method, path, handler},
#include "server/routes.def"
#undef X
};

static bool path_matches(const char *pattern, const char *path, struct match *match)
{
    const char *hole = strstr(pattern, "{id}");
    if (!hole) return !strcmp(pattern, path);
    size_t n = (size_t)(hole - pattern);
    if (strncmp(pattern, path, n) || !path[n] || strlen(path + n) >= sizeof match->tail) return false;
    snprintf(match->tail, sizeof match->tail, "%s", path + n);
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
        match->path_is_known = true;
        allow(match, routes[i].method);
        if (!strcmp(routes[i].method, method)) match->route = (enum route_id)i;
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

request_handler *route_handler(enum route_id route)
{
    return routes[route].handler;
}
