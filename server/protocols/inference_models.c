/* GET /v2 and below: what the server is, whether it is there, and what its models are. */
#include <stdlib.h>
#include <string.h>

#include "core/base/memory.h"
#include "server/protocols/inference.h"
#include "server/request/metrics.h"
#include "server/request/server.h"

enum { REPLY_BYTES = 1 << 20 };

static void begin(struct writer *out)
{
    writer_init(out, REPLY_BYTES);
    put_open(out, '{');
}

static void end(struct writer *out, struct reply *reply)
{
    put_close(out, '}');
    answer_writer(out, reply);
}

void api_v2(struct request *request, struct reply *reply)
{
    static const char *const extensions[] = {"binary_tensor_data", "sequence", "generate", "statistics",
                                             "model_configuration", "model_repository"};
    struct writer out;
    (void)request;
    begin(&out);
    put_named_string(&out, "name", "carousel");
    put_named_string(&out, "version", server_version());
    put_name(&out, "extensions");
    put_open(&out, '[');
    for (size_t i = 0; i < sizeof extensions / sizeof *extensions; i++) put_string(&out, extensions[i]);
    put_close(&out, ']');
    end(&out, reply);
}

void api_v2_live(struct request *request, struct reply *reply)
{
    struct writer out;
    (void)request;
    begin(&out);
    put_named_boolean(&out, "live", true);
    end(&out, reply);
}

void api_v2_ready(struct request *request, struct reply *reply)
{
    struct writer out;
    if (!server_is_ready(request->server, &reply->problem)) return;
    begin(&out);
    put_named_boolean(&out, "ready", true);
    end(&out, reply);
}

void api_v2_model_ready(struct request *request, struct reply *reply)
{
    struct writer out;
    struct model *model = inference_model(request, &reply->problem);
    if (!model) return;
    begin(&out);
    put_named_string(&out, "name", model->name);
    put_named_boolean(&out, "ready", true);
    end(&out, reply);
    model_drop(model);
}

/* ---- a model -------------------------------------------------------------------------------- */

/* The shape of a tensor as metadata tell it: -1 for what a request decides. */
static void put_shape(const struct model *model, const char *name, const char *list, struct writer *out)
{
    put_name(out, list);
    put_open(out, '[');
    put_integer(out, -1);
    if (!strcmp(name, "features") || !strcmp(name, "series") || !strcmp(name, "mean")) put_integer(out, -1);
    if (!strcmp(name, "quantiles")) put_integer(out, -1), put_integer(out, -1);
    if (!strcmp(name, "features")) put_integer(out, (int64_t)network_input_size(model->network));
    if (!strcmp(name, "scores")) put_integer(out, (int64_t)model->n_labels);
    put_close(out, ']');
}

/* The configuration of Triton's clients writes other names. */
static void put_tensor(const struct model *model, const char *name, const char *datatype, bool is_config,
                       struct writer *out)
{
    char type[32] = "TYPE_";
    strcat(type, !strcmp(datatype, "BYTES") ? "STRING" : datatype);
    put_open(out, '{');
    put_named_string(out, "name", name);
    put_named_string(out, is_config ? "data_type" : "datatype", is_config ? type : datatype);
    put_shape(model, name, is_config ? "dims" : "shape", out);
    put_close(out, '}');
}

static void put_tensors(const struct model *model, const struct signature *signature, bool is_config,
                        struct writer *out)
{
    const char *datatype, *input = signature_input(signature, model, &datatype);
    put_name(out, is_config ? "input" : "inputs");
    put_open(out, '[');
    put_tensor(model, input, datatype, is_config, out);
    put_close(out, ']');
    put_name(out, is_config ? "output" : "outputs");
    put_open(out, '[');
    for (size_t i = 0; i < 2; i++)
        put_tensor(model, signature->outputs[i].name, signature->outputs[i].datatype, is_config, out);
    put_close(out, ']');
}

/* All versions that are served. */
static void put_versions(const struct request *request, const char *name, struct writer *out)
{
    struct model **models;
    size_t n;
    put_name(out, "versions");
    put_open(out, '[');
    if (registry_list(request->server->registry, &models, &n) == STATUS_OK) {
        for (size_t i = 0; i < n; i++) {
            if (!strcmp(models[i]->name, name)) put_string(out, models[i]->version);
            model_drop(models[i]);
        }
        memory_free(models);
    } else writer_fail(out);
    put_close(out, ']');
}

static void describe(struct request *request, struct reply *reply, bool is_config)
{
    struct writer out;
    struct model *model = inference_model(request, &reply->problem);
    const struct signature *signature = model ? signature_of(model, &reply->problem) : NULL;
    if (signature) {
        begin(&out);
        put_named_string(&out, "name", model->name);
        if (!is_config) put_versions(request, model->name, &out);
        put_named_string(&out, "platform", "carousel");
        if (is_config) {
            put_named_string(&out, "backend", "carousel");
            put_named_integer(&out, "max_batch_size", 0); /* the first size of each shape is its own */
        }
        put_tensors(model, signature, is_config, &out);
        if (is_config && !network_is_whole(model->network)) {
            put_name(&out, "sequence_batching");
            put_open(&out, '{');
            put_named_integer(&out, "max_sequence_idle_microseconds",
                              request->server->config->sessions_ttl_s * 1000000);
            put_close(&out, '}');
        }
        end(&out, reply);
    }
    model_drop(model);
}

void api_v2_model(struct request *request, struct reply *reply)
{
    describe(request, reply, false);
}

void api_v2_config(struct request *request, struct reply *reply)
{
    describe(request, reply, true);
}

/* ---- statistics ----------------------------------------------------------------------------- */

static void put_duration(struct writer *out, const char *name, uint64_t count, uint64_t ns)
{
    put_name(out, name);
    put_open(out, '{');
    put_named_integer(out, "count", (int64_t)count);
    put_named_integer(out, "ns", (int64_t)ns);
    put_close(out, '}');
}

static void put_statistics(const struct request *request, const struct model *model, struct writer *out)
{
    struct metrics_model counts;
    metrics_read_model(request->server->metrics, model->name, &counts);
    put_open(out, '{');
    put_named_string(out, "name", model->name);
    put_named_string(out, "version", model->version);
    put_named_integer(out, "last_inference", (int64_t)counts.last_ms);
    put_named_integer(out, "inference_count", (int64_t)counts.succeeded);
    put_named_integer(out, "execution_count", (int64_t)counts.executions);
    put_name(out, "inference_stats");
    put_open(out, '{');
    put_duration(out, "success", counts.succeeded, counts.total_ns);
    put_duration(out, "fail", counts.failed, counts.failed_ns);
    put_duration(out, "queue", counts.succeeded, counts.queue_ns);
    put_duration(out, "compute_input", counts.succeeded, 0);
    put_duration(out, "compute_infer", counts.succeeded, counts.compute_ns);
    put_duration(out, "compute_output", counts.succeeded, 0);
    put_duration(out, "cache_hit", 0, 0);
    put_duration(out, "cache_miss", 0, 0);
    put_close(out, '}');
    put_name(out, "batch_stats");
    put_open(out, '[');
    for (size_t i = 0; i < METRICS_BATCHES; i++) {
        if (!counts.batches[i]) continue;
        put_open(out, '{');
        put_named_integer(out, "batch_size", (int64_t)(i + 1));
        put_duration(out, "compute_input", counts.batches[i], 0);
        put_duration(out, "compute_infer", counts.batches[i], counts.batch_ns[i]);
        put_duration(out, "compute_output", counts.batches[i], 0);
        put_close(out, '}');
    }
    put_close(out, ']');
    put_close(out, '}');
}

void api_v2_stats(struct request *request, struct reply *reply)
{
    struct writer out;
    struct model *model = inference_model(request, &reply->problem);
    if (!model) return;
    begin(&out);
    put_name(&out, "model_stats");
    put_open(&out, '[');
    put_statistics(request, model, &out);
    put_close(&out, ']');
    end(&out, reply);
    model_drop(model);
}

void api_v2_all_stats(struct request *request, struct reply *reply)
{
    struct writer out;
    struct model **models;
    size_t n;
    if (registry_list(request->server->registry, &models, &n) != STATUS_OK) {
        problem_set(&reply->problem, FAULT_NO_MEMORY, NULL, NULL);
        return;
    }
    begin(&out);
    put_name(&out, "model_stats");
    put_open(&out, '[');
    for (size_t i = 0; i < n; i++) {
        put_statistics(request, models[i], &out);
        model_drop(models[i]);
    }
    memory_free(models);
    put_close(&out, ']');
    end(&out, reply);
}
