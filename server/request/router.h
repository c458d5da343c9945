/* router: which route a request means, by routes.def.
 *
 * A path that no row has is a 404; a path that a row has, with another method, is a 405 that lists the
 * methods. Paths are compared byte by byte after unescaping: no trailing slash, no doubled slash, no change
 * of case is forgiven, so that each resource has one name. Pure; any thread. */
#ifndef CAROUSEL_SERVER_ROUTER_H
#define CAROUSEL_SERVER_ROUTER_H

#include <stdbool.h>

#include "server/request/request.h"

enum { ROUTE_TAIL_BYTES = 160, ROUTE_ALLOW_BYTES = 64 };

struct match {
    enum route_id route; /* whose path it is, and whose method too, if has_method; ROUTE_NONE: no such path */
    bool has_method;              /* else the path has others, which `allow` lists */
    bool is_v2;                   /* the path, known or not, is /v2 or below: errors are {"error":"text"} */
    char tail[ROUTE_TAIL_BYTES];  /* what stands for {id}, and ":" and what stands for {version}; longer ones
                                   * are no known path */
    char allow[ROUTE_ALLOW_BYTES]; /* "GET, HEAD": the methods of a known path */
};

/* `path` is unescaped and without its query. HEAD matches GET. */
void route_find(const char *method, const char *path, struct match *match);

/* What the headers say, before any body: NULL if a header is missing. */
struct arrival {
    const char *method, *path, *content_type, *content_coding;
};

/* Check whether the route exists, has the method and can read such a body: 404, 405, 415. A POST without a
 * content type is taken for JSON. The sentence of a 404 says which route the client may want instead. */
bool route_check(const struct match *match, const struct arrival *arrival, struct problem *problem);

/* What a client hears that wants a chat of models that have none. */
extern const char route_no_chat[];

/* The row's path, as a label; "none" for ROUTE_NONE. */
const char *route_path(enum route_id route);
/* Whether it reads a body: the POST routes, which are those that compute. */
bool route_is_post(enum route_id route);
/* An API key with one of these may; SCOPES_OPEN for ROUTE_NONE. */
enum scopes route_scopes(enum route_id route);
request_handler *route_handler(enum route_id route);

#endif
