/* bytes: one token a byte; the id is the byte. The vocabulary is its own: all 256. */
#include "models/tokenizers/tokenizer_type.h"

enum { N_BYTES = 256 };

static enum status fill(struct tokenizer *tokenizer, struct error *err)
{
    enum status status = tokenizer_reserve(tokenizer, N_BYTES, N_BYTES, err);
    if (status != STATUS_OK) return status;
    for (int32_t i = 0; i < N_BYTES; i++) {
        tokenizer->text[i] = (char)i;
        tokenizer->pieces[i] = (struct piece){tokenizer->text + i, 1, i};
    }
    return STATUS_OK;
}

static size_t next(const struct tokenizer *tokenizer, const char *text, size_t bytes, int32_t *id)
{
    (void)tokenizer, (void)bytes;
    *id = (unsigned char)*text;
    return 1;
}

const struct tokenizer_type tokenizer_bytes = {
    .name = "bytes",
    .fill = fill,
    .next = next,
    .unit = "byte",
    .separator = "",
};
