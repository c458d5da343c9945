#include "server/request/gzip.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include <zlib.h>

#include "server/request/server.h"

/* The largest window, with gzip's head and sum instead of zlib's. */
enum { STEP_BYTES = 16384, WINDOW_BITS = 15 + 16 };

/* ---- bodies --------------------------------------------------------------------------------- */

static bool refuse(const z_stream *stream, const char *what, struct problem *problem)
{
    return problem_set(problem, FAULT_INVALID_JSON, NULL,
                       "the body is not the gzip that its Content-Encoding names: %s at byte %lu", what,
                       stream->total_in);
}

/* Step by step, so that memory follows what has been unpacked and a bomb ends at the limit. */
static bool unpack(z_stream *stream, struct body *out, struct body_total *total, const struct config *config,
                   struct problem *problem)
{
    char step[STEP_BYTES];
    uint64_t most = (uint64_t)config->limits_body_bytes;
    for (int result = Z_OK; result != Z_STREAM_END;) {
        stream->next_out = (unsigned char *)step;
        stream->avail_out = sizeof step;
        result = inflate(stream, Z_NO_FLUSH);
        size_t n = sizeof step - stream->avail_out;
        if (result == Z_MEM_ERROR) return problem_set(problem, FAULT_NO_MEMORY, NULL, NULL);
        if (result == Z_BUF_ERROR) return refuse(stream, "it ends too early", problem);
        if (result != Z_OK && result != Z_STREAM_END) return refuse(stream, "damaged data", problem);
        if (out->n + n > most) return body_too_large(most, problem);
        if (!body_append(out, total, step, n, problem)) return false;
    }
    return !stream->avail_in || refuse(stream, "more bytes after its end", problem);
}

bool gzip_unpack(const struct body *packed, struct body *out, struct body_total *total,
                 const struct config *config, struct problem *problem)
{
    z_stream stream = {.next_in = (unsigned char *)packed->bytes, .avail_in = (unsigned)packed->n};
    if (inflateInit2(&stream, WINDOW_BITS) != Z_OK) return problem_set(problem, FAULT_NO_MEMORY, NULL, NULL);
    bool good = unpack(&stream, out, total, config, problem);
    inflateEnd(&stream);
    return good;
}

bool gzip_unpack_body(struct body *body, struct server *server, const struct connection *connection,
                      struct problem *problem)
{
    struct body plain = {.room.client = body->room.client};
    if (!body->n || !gzip_is_used(connection_header(connection, "Content-Encoding"))) return true;
    bool good = gzip_unpack(body, &plain, &server->bodies, server->config, problem);
    body_release(body, &server->bodies);
    body_move(body, &plain, &server->bodies);
    return good;
}

/* ---- answers -------------------------------------------------------------------------------- */

char *gzip_pack(const char *bytes, size_t n, size_t *packed_bytes)
{
    enum { MEMORY_LEVEL = 8 };
    z_stream stream = {.next_in = (unsigned char *)(size_t)bytes, .avail_in = (unsigned)n};
    if (n > INT_MAX || n < 2) return NULL;
    /* The fastest level: an answer of 4 MB must not hold up its thread's other connections. */
    if (deflateInit2(&stream, Z_BEST_SPEED, Z_DEFLATED, WINDOW_BITS, MEMORY_LEVEL, Z_DEFAULT_STRATEGY))
        return NULL;
    char *packed = malloc(n);
    stream.next_out = (unsigned char *)packed;
    stream.avail_out = (unsigned)n - 1; /* shorter, or not at all */
    bool good = packed && deflate(&stream, Z_FINISH) == Z_STREAM_END;
    *packed_bytes = stream.total_out;
    deflateEnd(&stream);
    if (good) {
        char *smaller = realloc(packed, *packed_bytes);
        return smaller ? smaller : packed;
    }
    free(packed);
    return NULL;
}

void gzip_pack_reply(struct reply *reply, const struct connection *connection)
{
    size_t n;
    if (reply->problem.fault != FAULT_NONE || reply->stream || !reply->body ||
        reply->body_bytes < GZIP_LEAST_BYTES)
        return;
    reply->packing = PACKING_PLAIN;
    if (!gzip_is_accepted(connection_header(connection, "Accept-Encoding"))) return;
    char *packed = gzip_pack(reply->body, reply->body_bytes, &n);
    if (!packed) return;
    free(reply->body);
    reply->body = packed;
    reply->body_bytes = n;
    reply->packing = PACKING_GZIP;
}

void gzip_write_head(const struct reply *reply, const struct connection *connection, struct head *head)
{
    if (head->status == 415 && !gzip_is_known(connection_header(connection, "Content-Encoding")))
        head_add(head, "Accept-Encoding", "gzip");
    /* an answer that found no room has become an error since */
    if (reply->problem.fault != FAULT_NONE || reply->packing == PACKING_NONE) return;
    if (reply->packing == PACKING_GZIP) head_add(head, "Content-Encoding", "gzip");
    head_add(head, "Vary", "Accept-Encoding");
}

/* ---- headers -------------------------------------------------------------------------------- */

static bool is_word(const char *text, size_t n, const char *word)
{
    return strlen(word) == n && !strncasecmp(text, word, n);
}

bool gzip_is_used(const char *coding)
{
    return coding && (!strcasecmp(coding, "gzip") || !strcasecmp(coding, "x-gzip"));
}

bool gzip_is_known(const char *coding)
{
    return !coding || !strcasecmp(coding, "identity") || gzip_is_used(coding);
}

/* ";q=0", "; Q = 0.000": the coding is excluded. */
static bool is_excluded(const char *parameters, size_t n)
{
    const char *q = memchr(parameters, '=', n), *end = parameters + n;
    if (!q) return false;
    for (q++; q < end; q++)
        if (*q >= '1' && *q <= '9') return false;
    return true;
}

bool gzip_is_accepted(const char *header)
{
    bool any = false;
    while (header && *header) {
        size_t whole = strcspn(header, ","), blank = strspn(header, " \t");
        const char *name = header + (blank < whole ? blank : whole);
        size_t length = (size_t)(header + whole - name), n = strcspn(name, " \t;,");
        if (n > length) n = length;
        bool wanted = !is_excluded(name + n, length - n);
        if (is_word(name, n, "gzip") || is_word(name, n, "x-gzip")) return wanted;
        if (is_word(name, n, "*")) any = wanted;
        header += whole + (header[whole] == ',');
    }
    return any;
}
