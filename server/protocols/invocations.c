/* POST /invocations and GET /ping: the shape of SageMaker's DeepAR, and of Vertex AI, which calls the
 * configuration `parameters`. POST /v1/timeseries/forecast: KServe's
 * shape. Both are /v1/forecast in other clothes. */
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "server/api/answer.h"
#include "server/api/bridge.h"
#include "server/api/codec.h"
#include "server/request/server.h"

/* What the answer repeats of the request: owned, as the document is gone by then. */
struct forecasting {
    struct json *document; /* of the request */
    bool mean, quantiles, samples; /* DeepAR's output_types */
};

static void release(void *context)
{
    struct forecasting *forecasting = context;
    json_free(forecasting->document);
    free(forecasting);
}

static void ask(struct request *request, struct reply *reply, const struct bridge_calls *calls,
                bool (*write)(struct request *request, struct forecasting *forecasting, struct writer *body,
                              struct problem *problem))
{
    struct forecasting *forecasting = calloc(1, sizeof *forecasting);
    struct writer body;
    if (!forecasting) {
        problem_set(&reply->problem, FAULT_NO_MEMORY, NULL, NULL);
        return;
    }
    writer_init(&body, (size_t)request->server->config->limits_body_bytes * 8);
    forecasting->document = call_parse(request, &reply->problem);
    bool is_early = forecasting->document && !json_get(forecasting->document, "model") &&
                    server_is_loading(request->server, &reply->problem,
                                      "models are still being loaded, and 'model' is missing");
    if (forecasting->document && !is_early && write(request, forecasting, &body, &reply->problem))
        bridge_ask(request, reply, api_forecast, &body, calls, forecasting);
    else {
        release(forecasting);
        writer_release(&body);
    }
}

/* ---- SageMaker ------------------------------------------------------------------------------ */

/* DeepAR's "NaN" is our null. */
static void put_target(struct writer *body, const struct json *target)
{
    put_open(body, '[');
    for (const struct json *v = json_first(target); v; v = json_next(v)) {
        bool missing = json_kind(v) == JSON_STRING && !strcmp(json_string(v), "NaN");
        if (missing) put_null(body);
        else bridge_put_value(body, v);
    }
    put_close(body, ']');
}

/* Return whether `cat` asks for nothing: a model without categories has one, the first. */
static bool is_first_category(const struct json *cat)
{
    int64_t first;
    for (const struct json *v = json_first(cat); v; v = json_next(v))
        if (!json_is_integer(v, 0, 0, &first)) return false;
    return !cat || json_kind(cat) == JSON_ARRAY;
}

/* One instance as an object of `series`. DeepAR's rows of dynamic_feat are known ahead: they are as long as
 * the target and the horizon together. */
static bool put_instance(const struct json *instance, struct writer *body, struct problem *problem)
{
    const struct json *features = json_get(instance, "dynamic_feat");
    if (json_kind(json_get(instance, "target")) != JSON_ARRAY)
        return field_expected(instance, "instances", "an array of objects with 'target'", problem);
    if (!is_first_category(json_get(instance, "cat")))
        return problem_set(problem, FAULT_UNSUPPORTED_FOR_MODEL, "instances",
                           "'cat' names a category, but models here have none; leave 'cat' out");
    put_open(body, '{');
    put_name(body, "target");
    put_target(body, json_get(instance, "target"));
    if (features) bridge_put_field(body, "future_covariates", features);
    put_close(body, '}');
    return true;
}

static bool put_instances(const struct json *root, struct writer *body, struct problem *problem)
{
    const struct json *instances = json_get(root, "instances");
    if (json_kind(instances) != JSON_ARRAY || !json_first(instances))
        return field_expected(instances, "instances", "an array of objects with 'target'", problem);
    put_name(body, "series");
    put_open(body, '[');
    for (const struct json *v = json_first(instances); v; v = json_next(v))
        if (!put_instance(v, body, problem)) return false;
    put_close(body, ']');
    return true;
}

/* DeepAR writes its quantiles as texts. */
static void put_levels(const struct json *levels, struct writer *body)
{
    put_name(body, "quantiles");
    put_open(body, '[');
    for (const struct json *v = json_first(levels); v; v = json_next(v))
        put_double(body, json_kind(v) == JSON_STRING ? strtod(json_string(v), NULL) : json_number(v));
    if (!levels)
        for (int i = 1; i < 10; i++) put_double(body, i / 10.0);
    put_close(body, ']');
}

/* Those that are not asked for are checked too. */
static bool check_levels(const struct json *levels, struct problem *problem)
{
    const struct json *wrong = levels && json_kind(levels) != JSON_ARRAY ? levels : NULL;
    for (const struct json *v = wrong ? NULL : json_first(levels); v && !wrong; v = json_next(v))
        if (json_kind(v) != JSON_STRING && json_kind(v) != JSON_NUMBER) wrong = v;
    return !wrong || field_expected(wrong, "configuration.quantiles", "an array of levels such as \"0.1\"",
                                    problem);
}

static bool read_types(const struct json *types, struct forecasting *forecasting, struct problem *problem)
{
    forecasting->mean = forecasting->quantiles = !types;
    if (types && json_kind(types) != JSON_ARRAY)
        return field_expected(types, "configuration.output_types", "an array", problem);
    for (const struct json *v = json_first(types); v; v = json_next(v)) {
        const char *name = json_kind(v) == JSON_STRING ? json_string(v) : "";
        bool *type = !strcmp(name, "mean")        ? &forecasting->mean
                     : !strcmp(name, "quantiles") ? &forecasting->quantiles
                     : !strcmp(name, "samples")   ? &forecasting->samples
                                                  : NULL;
        if (!type)
            return field_expected(v, "configuration.output_types", "'mean', 'quantiles' and 'samples'",
                                  problem);
        *type = true;
    }
    return true;
}

/* The object with the options of the forecast, under the name by which the client has it. */
static const struct json *configuration_of(const struct json *root, const char **name)
{
    *name = json_get(root, "parameters") ? "parameters" : "configuration";
    return json_get(root, *name);
}

static bool write_deepar(struct request *request, struct forecasting *forecasting, struct writer *body,
                         struct problem *problem)
{
    const struct json *root = forecasting->document;
    const char *name;
    const struct json *configuration = configuration_of(root, &name);
    const struct json *samples = json_get(configuration, "num_samples");
    const struct json *horizon = json_get(configuration, "prediction_length");
    const struct json *model = json_get(root, "model") ? json_get(root, "model")
                                                         : json_get(configuration, "model");
    if (configuration && json_kind(configuration) != JSON_OBJECT)
        return field_expected(configuration, name, "an object", problem);
    if (json_get(root, "parameters") && json_get(root, "configuration"))
        return problem_set(problem, FAULT_INVALID_VALUE, "parameters",
                           "'parameters' and 'configuration' are one thing; send one of them");
    if (!field_integer(configuration, "num_samples", 1, INT_MAX, &(int64_t){0}, problem) ||
        !read_types(json_get(configuration, "output_types"), forecasting, problem) ||
        !check_levels(json_get(configuration, "quantiles"), problem))
        return false;
    put_open(body, '{');
    if (model) bridge_put_field(body, "model", model);
    if (horizon) bridge_put_field(body, "horizon", horizon);
    else put_named_integer(body, "horizon", request->server->config->http_invocations_horizon);
    if (forecasting->quantiles) put_levels(json_get(configuration, "quantiles"), body);
    if (forecasting->samples && !samples) put_named_integer(body, "num_samples", 100);
    if (samples && (forecasting->samples || forecasting->quantiles)) bridge_put_field(body, "num_samples",
                                                                                      samples);
    if (!put_instances(root, body, problem)) return false;
    put_close(body, '}');
    return true;
}

static void convert_deepar(void *context, struct request *request, struct reply *reply)
{
    const struct forecasting *forecasting = context;
    struct json *document = bridge_parse(reply->body, reply->body_bytes, &reply->problem);
    struct writer out;
    if (!document) return;
    writer_init(&out, (size_t)request->server->config->limits_reply_bytes);
    put_open(&out, '{');
    put_name(&out, "predictions");
    put_open(&out, '[');
    for (const struct json *v = json_first(json_get(document, "forecasts")); v;
         v = json_next(v)) {
        put_open(&out, '{');
        if (json_get(v, "error")) bridge_put_field(&out, "error", json_get(v, "error"));
        else {
            if (forecasting->mean) bridge_put_field(&out, "mean", json_get(v, "mean"));
            if (forecasting->quantiles) bridge_put_field(&out, "quantiles", json_get(v, "quantiles"));
            if (forecasting->samples) bridge_put_field(&out, "samples", json_get(v, "samples"));
        }
        put_close(&out, '}');
    }
    put_close(&out, ']');
    put_close(&out, '}');
    bridge_replace(&out, reply);
    json_free(document);
}

void api_invocations(struct request *request, struct reply *reply)
{
    static const struct bridge_calls calls = {.convert = convert_deepar, .release = release};
    ask(request, reply, &calls, write_deepar);
}

void api_ping(struct request *request, struct reply *reply)
{
    api_readyz(request, reply);
}

/* ---- KServe --------------------------------------------------------------------------------- */

/* KServe's names of frequencies are ours, or words. */
static const char *frequency_of(const char *name)
{
    static const char *const words[][2] = {{"second", "S"}, {"minute", "T"}, {"hour", "H"}, {"day", "D"},
                                           {"week", "W"}, {"month", "M"}, {"quarter", "Q"}, {"year", "Y"}};
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        if (!strcmp(words[i][0], name)) return words[i][1];
    return name;
}

static bool put_input(const struct json *input, struct writer *body, struct problem *problem)
{
    const char *type = "", *frequency = NULL, *start = NULL;
    if (!field_string(input, "type", 64, &type, problem) ||
        !field_string(input, "frequency", 16, &frequency, problem) ||
        !field_string(input, "start_timestamp", 64, &start, problem))
        return false;
    if (*type && strcmp(type, "univariate_time_series"))
        return problem_set(problem, FAULT_UNSUPPORTED_FOR_MODEL, "inputs",
                           "a series of type '%.64s'; these models read univariate_time_series", type);
    put_open(body, '{');
    if (json_get(input, "name")) bridge_put_field(body, "id", json_get(input, "name"));
    bridge_put_field(body, "target", json_get(input, "series"));
    if (start && frequency) {
        put_named_string(body, "start", start);
        put_named_string(body, "freq", frequency_of(frequency));
    }
    put_close(body, '}');
    return true;
}

static bool write_kserve(struct request *request, struct forecasting *forecasting, struct writer *body,
                         struct problem *problem)
{
    const struct json *root = forecasting->document, *options = json_get(root, "options");
    const struct json *inputs = json_get(root, "inputs");
    (void)request;
    if (json_kind(options) != JSON_OBJECT)
        return field_expected(options, "options", "an object with 'horizon'", problem);
    if (json_kind(inputs) != JSON_ARRAY || !json_first(inputs))
        return field_expected(inputs, "inputs", "an array of series", problem);
    put_open(body, '{');
    if (json_get(root, "model")) bridge_put_field(body, "model", json_get(root, "model"));
    for (const struct json *v = json_first(options); v; v = json_next(v)) bridge_put_field(body,
                                                                                           json_key(v),
                                                                                                  v);
    put_name(body, "series");
    put_open(body, '[');
    for (const struct json *v = json_first(inputs); v; v = json_next(v))
        if (!put_input(v, body, problem)) return false;
    put_close(body, ']');
    put_close(body, '}');
    return true;
}

static void put_content(struct writer *out, const struct json *input, const struct json *forecast)
{
    const struct json *first = json_first(json_get(forecast, "timestamps"));
    put_open(out, '{');
    put_named_string(out, "type", "univariate_time_series");
    bridge_put_field(out, "name", json_get(forecast, "id"));
    bridge_put_field(out, "mean_forecast", json_get(forecast, "mean"));
    bridge_put_field(out, "frequency", json_get(input, "frequency"));
    put_named_string(out, "start_timestamp", first ? json_string(first) : "");
    if (json_get(forecast, "quantiles")) bridge_put_field(out, "quantiles", json_get(forecast,
                                                                                     "quantiles"));
    put_close(out, '}');
}

static void put_output(struct writer *out, const struct json *input, const struct json *forecast,
                       const char *id)
{
    const struct json *error = json_get(forecast, "error");
    put_open(out, '{');
    put_named_string(out, "type", "time_series_forecast");
    put_named_string(out, "id", id);
    put_named_string(out, "status", error ? "error" : "completed");
    put_name(out, "content");
    put_open(out, '[');
    if (!error) put_content(out, input, forecast);
    put_close(out, ']');
    put_name(out, "error");
    if (error) {
        put_open(out, '{');
        bridge_put_field(out, "message", error);
        put_named_string(out, "type", "invalid_request_error");
        put_close(out, '}');
    } else put_null(out);
    put_close(out, '}');
}

static void convert_kserve(void *context, struct request *request, struct reply *reply)
{
    const struct forecasting *forecasting = context;
    struct json *document = bridge_parse(reply->body, reply->body_bytes, &reply->problem);
    struct writer out;
    if (!document) return;
    const struct json *root = document;
    const struct json *input = json_first(json_get(forecasting->document, "inputs"));
    writer_init(&out, (size_t)request->server->config->limits_reply_bytes);
    put_open(&out, '{');
    bridge_put_field(&out, "id", json_get(root, "id"));
    bridge_put_field(&out, "created_at", json_get(root, "created"));
    put_named_string(&out, "status", "completed");
    put_name(&out, "error");
    put_null(&out);
    bridge_put_field(&out, "model", json_get(root, "model"));
    put_name(&out, "outputs");
    put_open(&out, '[');
    for (const struct json *v = json_first(json_get(root, "forecasts")); v; v = json_next(v)) {
        put_output(&out, input, v, json_string(json_get(root, "id")));
        input = input ? json_next(input) : NULL;
    }
    put_close(&out, ']');
    put_close(&out, '}');
    bridge_replace(&out, reply);
    json_free(document);
}

void api_timeseries(struct request *request, struct reply *reply)
{
    static const struct bridge_calls calls = {.convert = convert_kserve, .release = release};
    ask(request, reply, &calls, write_kserve);
}
