/* POST /v1/embeddings: the hidden vector of a text or sequence, in OpenAI's shape. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/memory.h"
#include "server/api/answer.h"
#include "server/api/branch.h"
#include "server/api/readings.h"
#include "server/api/words.h"
#include "server/request/access.h"
#include "server/request/server.h"

struct embed {
    struct reading_work reading; /* first */
    bool base64;
};

/* The vector's little-endian float32 as base64, as OpenAI's Python client asks for it. */
static void put_packed(struct writer *out, const float *vector, size_t n)
{
    uint8_t *bytes = memory_new(n, sizeof *vector);
    if (!bytes) out->failed = true;
    for (size_t i = 0; bytes && i < n * sizeof *vector; i++) {
        uint32_t bits;
        memcpy(&bits, &vector[i / 4], sizeof bits);
        bytes[i] = (uint8_t)(bits >> 8 * (i % 4));
    }
    if (bytes) put_base64(out, bytes, n * sizeof *vector);
    memory_free(bytes);
}

static void put_vector(struct writer *out, const float *vector, size_t n, bool base64)
{
    put_name(out, "embedding");
    if (base64) {
        put_packed(out, vector, n);
        return;
    }
    put_open(out, '[');
    for (size_t i = 0; i < n; i++) put_float(out, vector[i]);
    put_close(out, ']');
}

static void print(struct work *work, struct request *request, struct reply *reply)
{
    struct embed *task = (struct embed *)work;
    size_t width = network_hidden_size(work->job->model->network);
    const float *vectors = reading_rows(task->reading.reading, 0, NULL);
    const struct usage usage[] = {{"prompt_tokens", request->record.steps_in},
                                  {"total_tokens", request->record.steps_in}};
    struct writer out;
    writer_init(&out, (size_t)request->server->config->limits_reply_bytes);
    put_open(&out, '{');
    if (work->branch) {
        char id[REQUEST_ID_BYTES];
        branch_name(work->branch, access_new_id("embd-", id));
        put_named_string(&out, "id", id);
        branch_put(work->branch, &out);
    }
    put_named_string(&out, "object", "list");
    put_name(&out, "data");
    put_open(&out, '[');
    for (size_t i = 0; i < task->reading.n; i++) {
        put_open(&out, '{');
        put_named_string(&out, "object", "embedding");
        put_named_integer(&out, "index", (int64_t)i);
        put_vector(&out, vectors + i * width, width, task->base64);
        put_close(&out, '}');
    }
    put_close(&out, ']');
    put_named_string(&out, "model", work->job->model->name);
    answer_close(&out, usage, 2, work, reply);
}

static bool submit(struct call *call, const struct inputs *inputs, enum reading_rows rows, bool base64)
{
    const struct reading_want want = {.ability = ABILITY_EMBED, .tap = TAP_HIDDEN, .rows = rows};
    struct embed *task = calloc(1, sizeof *task);
    if (task) task->base64 = base64;
    return readings_submit(call, inputs, &want, false, (struct reading_work *)task, print);
}

static bool check_dimensions(struct call *call)
{
    size_t width = network_hidden_size(call->model->network), dimensions = width;
    if (!field_size(call->root, "dimensions", 1, (size_t)1 << 20, &dimensions, call->problem)) return false;
    return dimensions == width ||
           problem_set(call->problem, FAULT_UNSUPPORTED_FOR_MODEL, "dimensions",
                       "'dimensions' is %zu; model '%s' gives %zu", dimensions, call->model->name, width);
}

/* Clients that count tokens themselves, as LangChain does with OpenAI's tokenizer, send ids that mean other
 * texts to this model: ids are accepted only if the bundle says that its clients know better. */
static bool check_input(struct call *call)
{
    const struct json *leaf = json_get(call->root, "input");
    if (!call->model->tokenizer || call->model->accepts_token_ids) return true;
    while (json_kind(leaf) == JSON_ARRAY) leaf = json_first(leaf);
    return json_kind(leaf) != JSON_NUMBER ||
           problem_set(call->problem, FAULT_UNSUPPORTED_FOR_MODEL, "input",
                       "'input' holds token ids; model '%s' expects text, because ids of another tokenizer "
                       "would mean another text: send strings (LangChain: check_embedding_ctx_length=False)",
                       call->model->name);
}

/* A state is of the last step: it does not have the steps before it, of which a mean is. */
static bool check_pooling(struct call *call, bool mean)
{
    return !mean || (!call->options.from && !call->options.keeps) ||
           problem_set(call->problem, FAULT_INVALID_VALUE, "pooling",
                       "'pooling' is 'mean', which a state does not know of the steps before it; expected "
                       "'last'");
}

void api_embeddings(struct request *request, struct reply *reply)
{
    static const char *const known[] = {"input", "encoding_format", "dimensions", "pooling", NULL};
    static const struct fields fields = {.known = known, .goes_on = true, .is_open = true};
    struct call call;
    struct inputs inputs;
    bool base64 = false, mean = false;
    if (!call_open(&call, request, reply, &fields, ABILITY_EMBED)) return;
    if (choice_read(&call, "encoding_format", "float", "base64", &base64) &&
        choice_read(&call, "pooling", "last", "mean", &mean) && check_dimensions(&call) &&
        check_pooling(&call, mean) &&
        check_input(&call) && inputs_read(&call, "input", TEXTS_ONE | TEXTS_IDS, &inputs)) {
        call_record(&call, inputs.n_steps);
        submit(&call, &inputs, mean ? READING_MEAN : READING_LAST, base64);
        inputs_free(&inputs);
    }
    call_close(&call);
}
