#include "server/request/cors.h"

#include <string.h>
#include <strings.h>

static const char separators[] = " ,\t";

/* The next word of the list; NULL after the last. *n is its length, *list moves behind it. */
static const char *next(const char **list, size_t *n)
{
    const char *word = *list + strspn(*list, separators);
    *n = strcspn(word, separators);
    *list = word + *n;
    return *n ? word : NULL;
}

/* scheme://host[:port], nothing behind: what a browser sends, in lower case. */
static bool is_origin(const char *word, size_t n)
{
    static const char scheme[] = "abcdefghijklmnopqrstuvwxyz0123456789+-.";
    static const char host[] = "abcdefghijklmnopqrstuvwxyz0123456789.-_:[]";
    size_t at = strspn(word, scheme);
    if (!at || strncmp(word + at, "://", 3)) return false;
    at += 3;
    return at < n && strspn(word + at, host) >= n - at;
}

enum status cors_check(const char *list, struct error *err)
{
    const char *word;
    size_t n;
    while ((word = next(&list, &n)))
        if (!is_origin(word, n) && (n != 1 || *word != '*'))
            return error_set_param(err, STATUS_BAD_VALUE, "http.cors_origins",
                                   "http.cors_origins: '%.*s' is no origin; expected scheme://host or "
                                   "scheme://host:port in lower case, or *",
                                   (int)(n < 80 ? n : 80), word);
    return STATUS_OK;
}

const char *cors_allow(const char *list, const char *origin)
{
    const char *word;
    size_t n;
    while (origin && (word = next(&list, &n))) {
        if (n == 1 && *word == '*') return "*";
        if (strlen(origin) == n && !memcmp(word, origin, n)) return origin;
    }
    return NULL;
}

bool cors_is_own(const struct connection *connection)
{
    const char *origin = connection_header(connection, "Origin");
    const char *host = connection_header(connection, "Host");
    const char *site = connection_header(connection, "Sec-Fetch-Site");
    if (!origin || (site && !strcmp(site, "same-origin"))) return true;
    const char *name = strstr(origin, "://");
    return name && host && !strcasecmp(name + 3, host);
}

bool cors_is_unasked(const struct connection *connection, const char *method)
{
    static const char *const types[] = {"application/x-www-form-urlencoded", "multipart/form-data",
                                        "text/plain"};
    const char *type = connection_header(connection, "Content-Type");
    if (strcmp(method, "POST")) return false;
    for (size_t i = 0; type && i < sizeof types / sizeof *types; i++) {
        size_t n = strlen(types[i]);
        if (!strncasecmp(type, types[i], n) && (!type[n] || strchr("; \t", type[n]))) return true;
    }
    return !type;
}

bool cors_is_preflight(const struct connection *connection, const char *method)
{
    return !strcmp(method, "OPTIONS") && connection_header(connection, "Origin") &&
           connection_header(connection, "Access-Control-Request-Method");
}

void cors_write(struct head *head, const char *allowed, const char *methods)
{
    head_add(head, "Vary", "Origin");
    if (!allowed) return;
    head_add(head, "Access-Control-Allow-Origin", allowed);
    head_add(head, "Access-Control-Expose-Headers",
             "X-Request-Id, Server-Timing, Retry-After, WWW-Authenticate");
    if (!methods) return;
    head_add(head, "Access-Control-Allow-Methods", methods);
    /* * does not mean Authorization */
    head_add(head, "Access-Control-Allow-Headers",
             "Authorization, Content-Type, X-Request-Id, traceparent, *");
    head_add(head, "Access-Control-Max-Age", "600");
}
