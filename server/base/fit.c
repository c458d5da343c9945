#include "server/base/fit.h"

#include <string.h>

/* Bytes of a JSON value; of a unit's step in a trace (core/recurrent/trace.h); buffers of a connection, each
 * as long as its headers may be, and what it has besides (connection_memory in server/http/http.c, and a
 * head in server/http/framing.c). */
enum { VALUE_BYTES = 100, TRACE_BYTES = 24, BUFFERS = 3, BUFFER_BYTES = 32768 };

/* A limit that is 0 becomes limit / divisor, divided by the HTTP threads if each thread has its own, and
 * by the bytes of one unit; at least `least` and at most `most`. */
static const struct share {
    size_t offset;
    uint64_t divisor, unit;
    bool per_thread;
    int64_t least, most;
} shares[] = {
    {offsetof(struct config, limits_jobs_bytes), 8, 1, false, 1 << 20, 1 << 30},
    {offsetof(struct config, limits_bodies_bytes), 16, 1, false, 1 << 16, 256 << 20},
    {offsetof(struct config, limits_replies_bytes), 16, 1, false, 1 << 16, 256 << 20},
    {offsetof(struct config, sessions_bytes), 16, 1, false, 1 << 16, 256 << 20},
    {offsetof(struct config, sessions_prefix_bytes), 64, 1, false, 1 << 16, 64 << 20},
    {offsetof(struct config, limits_reply_bytes), 16, 1, true, 1 << 16, 64 << 20},
    {offsetof(struct config, limits_explain_values), 128, 2 * TRACE_BYTES, false, 1 << 14, 1 << 19},
    {offsetof(struct config, limits_json_values), 16, VALUE_BYTES, true, 1000, 500000},
};

void config_fit(struct config *config, uint64_t limit)
{
    for (size_t i = 0; i < sizeof shares / sizeof *shares; i++) {
        const struct share *share = &shares[i];
        int64_t *value = (int64_t *)(void *)((char *)config + share->offset);
        if (*value) continue;
        uint64_t fitted = limit / share->divisor / share->unit;
        if (share->per_thread) fitted /= (uint64_t)config->server_http_threads;
        *value = fitted < (uint64_t)share->least  ? share->least
                 : fitted > (uint64_t)share->most ? share->most
                                                  : (int64_t)fitted;
    }
}

uint64_t config_memory(const struct config *config)
{
    uint64_t threads = (uint64_t)config->server_http_threads;
    uint64_t sum = (uint64_t)config->limits_bodies_bytes + (uint64_t)config->limits_jobs_bytes +
                   (uint64_t)config->limits_replies_bytes + (uint64_t)config->sessions_bytes +
                   (uint64_t)config->sessions_prefix_bytes;
    sum += threads * (uint64_t)config->limits_json_values * VALUE_BYTES;
    sum += threads * (uint64_t)config->limits_reply_bytes;
    uint64_t explanation = TRACE_BYTES + sizeof(float) * (uint64_t)config->limits_explain_queue;
    sum += (uint64_t)config->limits_explain_values * explanation;
    uint64_t connection = BUFFERS * (uint64_t)config->limits_header_bytes + BUFFER_BYTES;
    return sum + (uint64_t)config->limits_connections * connection;
}
