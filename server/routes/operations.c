/* GET /health, /livez, /readyz, /metrics, /v1/info. None needs a worker. */
#include <stdlib.h>
#include <string.h>

#include "core/kernels/kernels.h"
#include "models/bundle/room.h"
#include "models/generation/generation.h"
#include "server/api/answer.h"
#include "server/base/fit.h"
#include "server/request/metrics.h"
#include "server/request/request.h"
#include "server/request/server.h"

enum { TEXT_BYTES = 16 << 20 };

static const char *phase_name(const struct server *server)
{
    int phase = atomic_load(&server->phase);
    return phase == SERVER_READY ? "ok" : phase == SERVER_LOADING ? "loading" : "draining";
}

static void write_health(struct request *request, struct reply *reply)
{
    struct writer out;
    writer_init(&out, TEXT_BYTES);
    put_open(&out, '{');
    put_named_string(&out, "status", phase_name(request->server));
    put_close(&out, '}');
    answer_writer(&out, reply);
}

/* The process runs: 200 as long as it can answer at all. */
void api_livez(struct request *request, struct reply *reply)
{
    write_health(request, reply);
}

/* It may be sent work. */
void api_readyz(struct request *request, struct reply *reply)
{
    if (server_is_ready(request->server, &reply->problem)) write_health(request, reply);
}

void api_health(struct request *request, struct reply *reply)
{
    api_readyz(request, reply);
}

void api_metrics(struct request *request, struct reply *reply)
{
    struct writer out;
    writer_init(&out, TEXT_BYTES);
    metrics_print(request->server->metrics, request->server, &out);
    answer_writer(&out, reply);
    reply->content_type = "text/plain; version=0.0.4; charset=utf-8";
}

/* Every integer key of the sections that bound a request. */
static void write_limits(struct writer *out, const struct config *config)
{
    static const char *const sections[] = {"limits", "timeouts", "sessions", "stream", "scheduler"};
    for (size_t s = 0; s < sizeof sections / sizeof *sections; s++) {
        put_name(out, sections[s]);
        put_open(out, '{');
        const struct config_row *row;
        for (size_t i = 0; (row = config_row(i)); i++)
            if (row->kind == CONFIG_INTEGER && !strcmp(row->section, sections[s]))
                put_named_integer(out, row->key, config_integer(config, row));
        if (!s) {
            put_named_integer(out, "stop_strings", GENERATION_MAX_STOPS);
            put_named_integer(out, "logprobs", GENERATION_MAX_LOGPROBS);
        }
        put_close(out, '}');
    }
}

/* What the machine or its cgroup allows, and what requests may take by all limits together. */
static void write_memory(struct writer *out, const struct config *config)
{
    struct room room;
    room_read(&room);
    put_name(out, "memory");
    put_open(out, '{');
    put_named_integer(out, "allowed_bytes", room.limit > INT64_MAX ? INT64_MAX : (int64_t)room.limit);
    put_named_integer(out, "limits_bytes", (int64_t)config_memory(config));
    put_close(out, '}');
}

void api_info(struct request *request, struct reply *reply)
{
    const struct server *server = request->server;
    struct writer out;
    writer_init(&out, TEXT_BYTES);
    put_open(&out, '{');
    put_named_string(&out, "name", "carousel");
    put_named_string(&out, "version", server_version());
    put_named_string(&out, "status", phase_name(server));
    put_named_integer(&out, "started", server->started_s);
    put_named_string(&out, "kernels", kernels_active()->name);
    put_name(&out, "kernels_available");
    put_open(&out, '[');
    const char *name;
    for (size_t i = 0; (name = kernels_available_name(i)); i++) put_string(&out, name);
    put_close(&out, ']');
    put_named_string(&out, "precision", server->config->models_precision);
    put_named_integer(&out, "workers", (int64_t)server->n_workers);
    put_named_boolean(&out, "strict_json", server->config->http_strict_json);
    write_limits(&out, server->config);
    write_memory(&out, server->config);
    put_close(&out, '}');
    answer_writer(&out, reply);
}
