/* POST /v1/embeddings: the hidden vector of a text or sequence, in OpenAI's shape. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/memory.h"
#include "models/embedding.h"
#include "server/answer.h"
#include "server/codec.h"
#include "server/serve.h"
#include "server/work.h"

struct embed {
    struct work work;
    struct embedding *job;
    size_t n;
    bool base64;
};

/* The vector's little-endian float32 as base64 (RFC 4648), as OpenAI's Python client asks for it. */
static void put_base64(struct writer *out, const float *vector, size_t n)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    size_t bytes = 4 * n, length = 0;
    char *text = memory_new((bytes + 2) / 3 * 4 + 1, 1);
    uint32_t group = 0;
    if (!text) out->failed = true;
    for (size_t i = 0; text && i < (bytes + 2) / 3 * 3; i++) {
        uint32_t bits = 0;
        if (i < bytes) memcpy(&bits, &vector[i / 4], sizeof bits);
        group = group << 8 | (bits >> 8 * (i % 4) & 0xff);
        if (i % 3 < 2) continue;
        for (int shift = 18; shift >= 0; shift -= 6) text[length++] = digits[group >> shift & 63];
        group = 0;
    }
    for (size_t i = 0; text && i < (3 - bytes % 3) % 3; i++) text[length - 1 - i] = '=';
    if (text) put_string_n(out, text, length);
    memory_free(text);
}

static void put_vector(struct writer *out, const float *vector, size_t n, bool base64)
{
    put_name(out, "embedding");
    if (base64) {
        put_base64(out, vector, n);
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
    const float *vectors = embedding_vectors(task->job);
    struct writer out;
    writer_init(&out, (size_t)request->server->config->limits_reply_bytes);
    put_open(&out, '{');
    put_named_string(&out, "object", "list");
    put_name(&out, "data");
    put_open(&out, '[');
    for (size_t i = 0; i < task->n; i++) {
        put_open(&out, '{');
        put_named_string(&out, "object", "embedding");
        put_named_integer(&out, "index", (int64_t)i);
        put_vector(&out, vectors + i * width, width, task->base64);
        put_close(&out, '}');
    }
    put_close(&out, ']');
    put_named_string(&out, "model", work->job->model->name);
    put_name(&out, "usage");
    put_open(&out, '{');
    put_named_integer(&out, "prompt_tokens", (int64_t)request->record.steps_in);
    put_named_integer(&out, "total_tokens", (int64_t)request->record.steps_in);
    put_close(&out, '}');
    answer_timings(&out, &work->timings);
    put_close(&out, '}');
    answer_writer(&out, reply);
}

static void release(struct work *work)
{
    job_free(work->job);
    free(work);
}

static bool submit(struct call *call, const struct inputs *inputs, enum embedding_pooling pooling,
                   bool base64)
{
    struct server *server = call->request->server;
    struct error err = {0};
    struct embed *task = calloc(1, sizeof *task);
    if (!task) return problem_set(call->problem, FAULT_NO_MEMORY, NULL, NULL);
    enum status status = embedding_new(call->model, inputs->inputs, inputs->n, pooling,
                                       scheduler_max_rows(server->scheduler), &call->options, &task->job,
                                       &err);
    if (status != STATUS_OK) {
        free(task);
        return problem_from(call->problem, status, &err, "input");
    }
    task->work.job = embedding_job(task->job);
    task->work.print = print;
    task->work.release = release;
    task->n = inputs->n;
    task->base64 = base64;
    work_defer(&task->work, call->request);
    return true;
}

/* One of two words; *second says which. */
static bool read_choice(struct call *call, const char *name, const char *a, const char *b, bool *second)
{
    const char *word = NULL;
    char expected[64];
    if (!field_string(call->root, name, 64, &word, call->problem)) return false;
    if (!word || !strcmp(word, a)) return true;
    if (!strcmp(word, b)) return *second = true;
    snprintf(expected, sizeof expected, "'%s' or '%s'", a, b);
    return problem_set(call->problem, FAULT_INVALID_VALUE, name, "'%s' is an unknown word; expected %s", name,
                       expected);
}

static bool check_dimensions(struct call *call)
{
    size_t width = network_hidden_size(call->model->network), dimensions = width;
    if (!field_size(call->root, "dimensions", 1, (size_t)1 << 20, &dimensions, call->problem)) return false;
    return dimensions == width ||
           problem_set(call->problem, FAULT_UNSUPPORTED_FOR_MODEL, "dimensions",
                       "'dimensions' is %zu; model '%s' gives %zu", dimensions, call->model->name, width);
}

void api_embeddings(struct request *request, struct reply *reply)
{
    static const char *const fields[] = {"input", "encoding_format", "dimensions", "pooling", NULL};
    const unsigned tasks = ANY_TASK & ~TASK_BIT(FORECASTING);
    struct call call;
    struct inputs inputs;
    bool base64 = false, mean = false;
    if (!call_open(&call, request, reply, fields, tasks, "give embeddings")) return;
    if (read_choice(&call, "encoding_format", "float", "base64", &base64) &&
        read_choice(&call, "pooling", "last", "mean", &mean) && check_dimensions(&call) &&
        inputs_read(&call, "input", TEXTS_ONE | TEXTS_IDS, &inputs)) {
        call_record(&call, inputs.n_steps);
        submit(&call, &inputs, mean ? EMBEDDING_MEAN : EMBEDDING_LAST, base64);
        inputs_free(&inputs);
    }
    call_close(&call);
}
