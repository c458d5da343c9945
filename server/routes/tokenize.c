/* POST /v1/tokenize and /v1/detokenize: what a model's tokenizer makes of a text, and back. No worker is
 * needed. */
#include <string.h>

#include "core/base/memory.h"
#include "server/api/answer.h"
#include "server/api/codec.h"
#include "server/request/server.h"

static void begin(struct writer *out, const struct call *call)
{
    writer_init(out, (size_t)call->config->limits_reply_bytes);
    put_open(out, '{');
    put_named_string(out, "model", call->model->name);
}

static void put_tokens(struct writer *out, const struct token_span *span)
{
    put_open(out, '[');
    for (size_t i = 0; i < span->n; i++) put_integer(out, span->ids[i]);
    put_close(out, ']');
}

static void put_pieces(struct writer *out, const struct tokenizer *tokenizer, const struct token_span *span)
{
    put_open(out, '[');
    for (size_t i = 0; i < span->n; i++) {
        size_t bytes;
        const char *piece = tokenizer_piece(tokenizer, span->ids[i], &bytes);
        put_string_n(out, piece, bytes);
    }
    put_close(out, ']');
}

void api_tokenize(struct request *request, struct reply *reply)
{
    static const char *const known[] = {"input", NULL};
    static const struct fields fields = {.known = known};
    struct call call;
    struct spans spans;
    struct writer out;
    if (!call_open(&call, request, reply, &fields, ABILITY_TOKENIZE)) return;
    if (spans_read(&call, "input", TEXTS_ONE, &spans)) {
        call_record(&call, spans.n_tokens);
        begin(&out, &call);
        put_name(&out, "tokens");
        if (!spans.single) put_open(&out, '[');
        for (size_t i = 0; i < spans.n; i++) put_tokens(&out, &spans.spans[i]);
        if (!spans.single) put_close(&out, ']');
        put_name(&out, "pieces");
        if (!spans.single) put_open(&out, '[');
        for (size_t i = 0; i < spans.n; i++) put_pieces(&out, call.model->tokenizer, &spans.spans[i]);
        if (!spans.single) put_close(&out, ']');
        put_named_integer(&out, "count", (int64_t)spans.n_tokens);
        answer_warnings(&out, &call.warnings);
        put_close(&out, '}');
        answer_writer(&out, reply);
        spans_free(&spans);
    }
    call_close(&call);
}

static bool put_text(struct writer *out, const struct tokenizer *tokenizer, const struct token_span *span)
{
    size_t room = tokenizer_max_piece(tokenizer), bytes = 0;
    char *text = memory_new(span->n * room + 1, 1);
    if (!text) return false;
    for (size_t i = 0; i < span->n; i++)
        bytes += tokenizer_append(tokenizer, i ? span->ids[i - 1] : TOKEN_NONE, span->ids[i], text + bytes);
    put_string_n(out, text, bytes);
    memory_free(text);
    return true;
}

void api_detokenize(struct request *request, struct reply *reply)
{
    static const char *const known[] = {"tokens", NULL};
    static const struct fields fields = {.known = known};
    struct call call;
    struct spans spans;
    struct writer out;
    if (!call_open(&call, request, reply, &fields, ABILITY_TOKENIZE)) return;
    if (spans_read(&call, "tokens", TEXTS_IDS, &spans)) {
        call_record(&call, spans.n_tokens);
        begin(&out, &call);
        put_name(&out, "text");
        bool good = true;
        if (!spans.single) put_open(&out, '[');
        for (size_t i = 0; i < spans.n && good; i++)
            good = put_text(&out, call.model->tokenizer, &spans.spans[i]);
        if (!spans.single) put_close(&out, ']');
        put_close(&out, '}');
        answer_writer(&out, reply);
        if (!good) problem_set(&reply->problem, FAULT_NO_MEMORY, NULL, NULL);
        spans_free(&spans);
    }
    call_close(&call);
}
