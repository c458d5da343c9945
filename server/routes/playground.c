/* GET /, /docs, /playground/{id} and /openapi.json: the embedded files. */
#include <stdlib.h>
#include <string.h>

#include "server/playground/assets.h"
#include "server/request/request.h"
#include "server/request/server.h"

/* What a page of ours may do: run and fetch what comes from here, be in no frame, and send nothing
 * elsewhere. */
static const char *const page_headers[] = {
    "Content-Security-Policy",
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options", "nosniff",
    "Referrer-Policy", "no-referrer",
    "Cross-Origin-Opener-Policy", "same-origin",
    "Cross-Origin-Resource-Policy", "same-origin",
    "Cache-Control", "no-cache",
    NULL};

/* Fill the reply with a file, or with 304 if the client has it. */
static void give(const struct request *request, const struct asset *asset, struct reply *reply)
{
    reply->content_type = asset->type;
    reply->tag = asset->tag;
    if (request->if_none_match && strstr(request->if_none_match, asset->tag + strlen("W/"))) {
        reply->status = 304;
        return;
    }
    reply->body = malloc(asset->n);
    if (!reply->body) {
        problem_set(&reply->problem, FAULT_NO_MEMORY, NULL, NULL);
        return;
    }
    memcpy(reply->body, asset->bytes, asset->n);
    reply->body_bytes = asset->n;
}

void api_openapi(struct request *request, struct reply *reply)
{
    give(request, asset_of(ASSET_OPENAPI), reply);
}

static void give_page(const struct request *request, const struct asset *asset, struct reply *reply)
{
    if (!atomic_load(&request->server->has_page)) {
        problem_set(&reply->problem, FAULT_NOT_FOUND, NULL,
                    "the page is off (server.playground); GET /openapi.json describes the routes");
        return;
    }
    if (!asset) {
        problem_set(&reply->problem, FAULT_NOT_FOUND, NULL, "the page has no file %.100s", request->tail);
        return;
    }
    give(request, asset, reply);
    reply->headers = page_headers;
}

void api_page(struct request *request, struct reply *reply)
{
    give_page(request, asset_of(ASSET_INDEX), reply);
}

void api_docs(struct request *request, struct reply *reply)
{
    give_page(request, asset_of(ASSET_DOCS), reply);
}

void api_asset(struct request *request, struct reply *reply)
{
    give_page(request, asset_find(request->tail), reply);
}
