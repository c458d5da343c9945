/* GET /v1/models and /v1/models/{id}: what is served. */
#include <stdio.h>
#include <string.h>

#include "core/kernels/kernels.h"
#include "core/base/memory.h"
#include "models/features/feature.h"
#include "models/forecast/forecast_spec.h"
#include "models/repository/registry.h"
#include "models/text/sentence.h"
#include "server/api/answer.h"
#include "server/request/request.h"
#include "server/request/server.h"

enum { REPLY_BYTES = 16 << 20 };

/* The name alone means the highest version; others are asked for as "name:version". */
static void put_id(struct writer *out, const struct model *model, bool is_highest)
{
    char id[MODEL_NAME_BYTES + MODEL_VERSION_BYTES + 2];
    snprintf(id, sizeof id, is_highest ? "%s" : "%s:%s", model->name, model->version);
    put_named_string(out, "id", id);
}

/* The fields that a list has too; the object is left open. */
static void put_summary(struct writer *out, const struct model *model, bool is_highest)
{
    put_open(out, '{');
    put_id(out, model, is_highest);
    put_named_string(out, "object", "model");
    put_named_integer(out, "created", model->created_s);
    put_named_string(out, "owned_by", "carousel");
    put_named_string(out, "version", model->version);
    put_named_string(out, "task", model->task->name);
    put_named_string(out, "description", model->description);
}

void api_models(struct request *request, struct reply *reply)
{
    struct model **models;
    struct writer out;
    size_t n;
    if (registry_list(request->server->registry, &models, &n) != STATUS_OK) {
        problem_set(&reply->problem, FAULT_NO_MEMORY, NULL, NULL);
        return;
    }
    writer_init(&out, REPLY_BYTES);
    put_open(&out, '{');
    put_named_string(&out, "object", "list");
    put_name(&out, "data");
    put_open(&out, '[');
    for (size_t i = 0; i < n; i++) {
        struct model *highest = registry_acquire(request->server->registry, models[i]->name);
        put_summary(&out, models[i], highest == models[i]);
        put_close(&out, '}');
        model_drop(highest);
    }
    put_close(&out, ']');
    put_close(&out, '}');
    for (size_t i = 0; i < n; i++) model_drop(models[i]);
    memory_free(models);
    answer_writer(&out, reply);
}

static void put_layers(struct writer *out, const struct network *network)
{
    put_name(out, "layers");
    put_open(out, '[');
    const struct layer *layer;
    for (size_t i = 0; (layer = network_layer(network, i)); i++) {
        put_open(out, '{');
        put_named_string(out, "type", layer->type->name);
        put_named_integer(out, "input_size",
                          (int64_t)(layer->input_size ? layer->input_size : layer->vocabulary_size));
        put_named_integer(out, "output_size", (int64_t)layer->output_size);
        put_close(out, '}');
    }
    put_close(out, ']');
}

static void put_vocabulary(struct writer *out, const struct model *model)
{
    put_name(out, "vocabulary_size");
    if (model->tokenizer) put_integer(out, (int64_t)tokenizer_size(model->tokenizer));
    else put_null(out);
    put_name(out, "tokenizer");
    if (model->tokenizer) put_string(out, tokenizer_type(model->tokenizer));
    else put_null(out);
    put_named_boolean(out, "accepts_token_ids", model->accepts_token_ids);
    if (model->labels || model->activation != ACTIVATION_SOFTMAX)
        put_named_string(out, "activation", activation_name(model->activation));
    put_name(out, "labels");
    if (!model->labels) {
        put_null(out);
        return;
    }
    put_open(out, '[');
    for (size_t i = 0; i < model->n_labels; i++) put_string(out, model->labels[i]);
    put_close(out, ']');
}

/* The rows that a forecaster reads, if it reads several. */
static void put_columns(struct writer *out, const struct forecast_spec *spec)
{
    if (spec->n_columns < 2) return;
    put_name(out, "columns");
    put_open(out, '[');
    for (size_t i = 0; i < spec->n_columns; i++) {
        put_open(out, '{');
        put_named_string(out, "name", spec->columns[i].name);
        put_named_string(out, "role", forecast_role_name(spec->columns[i].role));
        put_close(out, '}');
    }
    put_close(out, ']');
}

static void put_details(struct writer *out, const struct model *model)
{
    const struct network *network = model->network;
    put_named_string(out, "license", model->license);
    put_named_string(out, "training_data", model->training_data);
    put_layers(out, network);
    put_named_integer(out, "input_size", (int64_t)network_input_size(network));
    put_named_integer(out, "hidden_size", (int64_t)network_hidden_size(network));
    put_named_integer(out, "output_size", (int64_t)network_output_size(network));
    put_vocabulary(out, model);
    if (model->front) put_named_string(out, "front_end", front_type_name(model->front));
    struct fact facts[TASK_FACTS];
    size_t n = model->task->facts ? model->task->facts(model, facts) : 0;
    for (size_t i = 0; i < n; i++) {
        put_name(out, facts[i].name);
        put_double(out, facts[i].number);
    }
    if (task_can(model->task, ABILITY_FORECAST)) put_columns(out, forecast_spec_of(model));
    put_named_string(out, "precision", precision_name(network_precision(network)));
    put_name(out, "recommended_precision");
    if (model->recommended == PRECISION_AUTO) put_null(out);
    else put_string(out, precision_name(model->recommended));
    put_named_string(out, "kernels", kernels_active()->name);
    put_named_boolean(out, "whole_sequences", network_is_whole(network));
    put_named_integer(out, "state_bytes", (int64_t)(network_state_floats(network) * sizeof(float)));
    put_named_integer(out, "memory_bytes", (int64_t)network_bytes(network));
    put_named_string(out, "sha256", model->hash);
    put_named_integer(out, "golden_cases", (int64_t)model->n_golden);
    put_name(out, "golden_error");
    put_double(out, model->proof.error);
    put_name(out, "golden_bound");
    put_double(out, model->proof.bound);
    put_name(out, "golden_error_float32");
    put_double(out, model->proof_float32.error);
    put_named_rounded(out, "load_ms", model->load_ms);
}

/* Why what lies on disk now is not what is served; null if it is. */
static void put_reload_error(struct writer *out, const struct server *server, const struct model *model)
{
    struct repository_entry entry;
    put_name(out, "reload_error");
    if (repository_find(server->repository, model->name, model->version, &entry) && *entry.reason)
        put_string(out, entry.reason);
    else put_null(out);
}

void api_model(struct request *request, struct reply *reply)
{
    struct registry *registry = request->server->registry;
    struct problem not_yet;
    char shown[QUOTE_BYTES];
    sentence_quote(shown, request->tail, strlen(request->tail));
    /* asked first, because the model may come between */
    bool loading = server_is_loading(request->server, &not_yet,
                                     "model %s is not served yet; models are still being loaded", shown);
    struct model *model = registry_acquire(registry, request->tail);
    if (!model) {
        if (loading) reply->problem = not_yet;
        else problem_set(&reply->problem, FAULT_MODEL_NOT_FOUND, "model", "model %s is not served", shown);
        return;
    }
    struct model *highest = registry_acquire(registry, model->name);
    struct writer out;
    writer_init(&out, REPLY_BYTES);
    put_summary(&out, model, highest == model);
    put_details(&out, model);
    put_reload_error(&out, request->server, model);
    put_close(&out, '}');
    model_drop(highest);
    model_drop(model);
    answer_writer(&out, reply);
}
