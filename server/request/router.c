/* The table of routes. */
#include "server/request/gzip.h"
#include "server/request/multipart.h"
#include "server/request/router.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

static const struct {
    const char *method, *path;
    request_handler *handler;
    enum scopes scopes;
} routes[] = {
#define X(symbol, method, path, handler, scopes) [ROUTE_##symbol] = {#method, path, handler, SCOPES_##scopes},
#include "server/request/routes.def"
};

/* What stands for the holes of the pattern goes into the tail, with ':' between two. */
static bool path_matches(const char *pattern, const char *path, struct match *match)
{
    char tail[sizeof match->tail];
    size_t used = 0;
    tail[0] = '\0';
    for (; *pattern; pattern++) {
        if (*pattern != '{') {
            if (*path++ != *pattern) return false;
            continue;
        }
        size_t n = strcspn(path, "/");
        if (!n || used + n + 2 > sizeof tail) return false;
        used += (size_t)snprintf(tail + used, sizeof tail - used, "%s%.*s", used ? ":" : "", (int)n, path);
        path += n;
        pattern = strchr(pattern, '}');
    }
    if (*path) return false;
    memcpy(match->tail, tail, used + 1);
    return true;
}

static void allow(struct match *match, const char *method)
{
    size_t n = strlen(match->allow);
    if (strstr(match->allow, method)) return;
    snprintf(match->allow + n, sizeof match->allow - n, "%s%s%s", n ? ", " : "", method,
             !strcmp(method, "GET") ? ", HEAD" : "");
}

void route_find(const char *method, const char *path, struct match *match)
{
    bool is_v2 = !strncmp(path, "/v2", 3) && (!path[3] || path[3] == '/');
    *match = (struct match){.route = ROUTE_NONE, .is_v2 = is_v2};
    if (!strcmp(method, "HEAD")) method = "GET";
    for (int i = 0; i < N_ROUTES && !match->has_method; i++) {
        if (!path_matches(routes[i].path, path, match)) continue;
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

/* Whether a body of this type is read besides JSON: tensors may follow the JSON as bytes, steps may come one
 * a line, files come in forms, and LibreTranslate's clients send forms too. */
static bool takes_type(enum route_id route, const char *type)
{
    static const char form_type[] = "application/x-www-form-urlencoded";
    if (route == ROUTE_AUDIO_TRANSCRIPTIONS || route == ROUTE_CAPTION) return multipart_is_type(type);
    if (route == ROUTE_LIBRE_TRANSLATE) return !strncasecmp(type, form_type, sizeof form_type - 1);
    if (route == ROUTE_SESSION_STEPS) return !strcasecmp(type, "application/x-ndjson");
    return (route == ROUTE_INFER || route == ROUTE_VERSION_INFER) && !strcasecmp(type,
                                                                                 "application/octet-stream");
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

/* Routes that clients of other servers ask for, and what this one has instead. */
#define NO_CHAT                                                                                              \
    "these models complete texts and know no chat: send 'prompt' to /v1/completions (OpenAI's client: "      \
    "completions.create; LangChain: OpenAI instead of ChatOpenAI; LlamaIndex: OpenAILike with "              \
    "is_chat_model=False; LiteLLM: text-completion-openai/MODEL; Continue: useLegacyCompletionsEndpoint)"
#define OTHER_TEXT "send 'prompt' to /v1/completions, which has the shape of OpenAI's"

const char route_no_chat[] = NO_CHAT;

static const struct {
    const char *path, *advice;
} elsewhere[] = {
    {"/chat/completions", NO_CHAT},
    {"/v1/responses", NO_CHAT},
    {"/responses", NO_CHAT},
    {"/api/chat", NO_CHAT},
    {"/api/generate", OTHER_TEXT},
    {"/generate", OTHER_TEXT},
    {"/completion", OTHER_TEXT},
    {"/api/embed", "send 'input' to /v1/embeddings, which has the shape of OpenAI's"},
    {"/api/embeddings", "send 'input' to /v1/embeddings, which has the shape of OpenAI's"},
    {"/api/tags", "the models are listed by GET /v1/models"},
    {"/detect", "this server does not tell languages apart; GET /languages lists those that it translates"},
    {"/predict", "each task has a route of its own: GET /openapi.json lists them"},
};

static bool path_exists(const char *path)
{
    struct match match;
    route_find("GET", path, &match);
    return match.route != ROUTE_NONE;
}

/* Find the known path that was meant if a base URL has one /v1 too few or too many, or a slash too many; NULL
 * if there is none. `path` is not known. */
static const char *nearest_path(const char *path, char out[ROUTE_TAIL_BYTES + 64])
{
    size_t size = ROUTE_TAIL_BYTES + 64, n = strlen(path);
    if (n + sizeof "/v1" > size) return NULL;
    snprintf(out, size, "/v1%s", path);
    if (path_exists(out)) return out;
    snprintf(out, size, "%s", strncmp(path, "/v1/v1/", 7) ? path : path + 3);
    for (n = strlen(out); n > 1 && out[n - 1] == '/'; n--) out[n - 1] = '\0';
    return path_exists(out) ? out : NULL;
}

static bool refuse_path(const char *path, struct problem *problem)
{
    char near[ROUTE_TAIL_BYTES + 64];
    for (size_t i = 0; i < sizeof elsewhere / sizeof *elsewhere; i++)
        if (!strcmp(path, elsewhere[i].path))
            return problem_set(problem, FAULT_NOT_FOUND, NULL, "there is no route %s: %s", path,
                               elsewhere[i].advice);
    if (nearest_path(path, near))
        return problem_set(problem, FAULT_NOT_FOUND, NULL, "there is no route %.100s; did you mean %.120s?",
                           path, near);
    return problem_set(problem, FAULT_NOT_FOUND, NULL, "there is no route %.100s", path);
}

bool route_check(const struct match *match, const struct arrival *arrival, struct problem *problem)
{
    const char *type = arrival->content_type, *coding = arrival->content_coding;
    if (match->route == ROUTE_NONE)
        return refuse_path(arrival->path, problem);
    if (!match->has_method)
        return problem_set(problem, FAULT_METHOD_NOT_ALLOWED, NULL,
                           "%s is not a method of this route; it has %s", arrival->method, match->allow);
    if (!route_is_post(match->route)) return true;
    if (type && !is_json(type) && !takes_type(match->route, type))
        return problem_set(problem, FAULT_UNSUPPORTED_MEDIA_TYPE, NULL,
                           "the content type is %.80s; expected application/json", type);
    if (!gzip_is_known(coding))
        return problem_set(problem, FAULT_UNSUPPORTED_MEDIA_TYPE, NULL,
                           "the content encoding is %.40s; expected gzip or none", coding);
    return true;
}
