/* ngrams: neighbouring tokens as one, for tokenizers that cut words or characters. Each width goes through
 * the text once, with the last tokens at hand. */
#include <string.h>

#include "models/tokenizers/tokenizer_type.h"
#include "models/text/utf8.h"

/* The id of the tokens of a text at `places`, joined as the vocabulary has them, or TOKEN_NONE. */
static int32_t look_up(const struct tokenizer *t, const char *text, const struct text_span *places, size_t n)
{
    char joined[TOKENIZER_MAX_PIECE];
    size_t used = 0, gap = strlen(t->type->separator);
    for (size_t i = 0; i < n; i++) {
        size_t bytes = places[i].end - places[i].start, before = i ? gap : 0;
        if (bytes + before > sizeof joined - used) return TOKEN_NONE;
        memcpy(joined + used, t->type->separator, before);
        memcpy(joined + used + before, text + places[i].start, bytes);
        used += before + bytes;
    }
    return tokenizer_look_up(t, joined, used);
}

struct gram_writer {
    int32_t *ids;             /* [room], or NULL */
    struct text_span *places; /* the same */
    size_t n, room;
};

static enum status put(const struct tokenizer *t, const char *text, const struct text_span *places,
                       size_t width, struct gram_writer *out, struct error *err)
{
    int32_t id = look_up(t, text, places, width);
    if (id == TOKEN_NONE) id = t->unk;
    if (id == TOKEN_NONE && width == 1 && !t->type->drops_unknown)
        return tokenizer_not_found(t, text + places->start, places->end - places->start, places->start, err);
    if (id == TOKEN_NONE) return STATUS_OK;
    if (out->n == out->room) return error_set(err, STATUS_TOO_LONG, "more than %zu tokens", out->room);
    if (out->ids) out->ids[out->n] = id;
    if (out->places) out->places[out->n] = (struct text_span){places[0].start, places[width - 1].end};
    out->n++;
    return STATUS_OK;
}

/* All n-grams of one width, from left to right. */
static enum status put_width(const struct tokenizer *t, const char *text, size_t bytes, size_t width,
                             struct gram_writer *out, struct error *err)
{
    struct text_span last[TOKENIZER_MAX_NGRAM];
    size_t held = 0, length;
    enum status status = STATUS_OK;
    for (size_t at = 0; at < bytes && status == STATUS_OK; at += length) {
        int32_t id = TOKEN_NONE;
        length = t->type->next(t, text + at, bytes - at, &id);
        if (length == 0) {
            utf8_is_valid(text, bytes, &at);
            return error_set(err, STATUS_BAD_FORMAT, "not UTF-8 at byte %zu", at);
        }
        if (id == TOKEN_SKIP) continue;
        if (held == width) memmove(last, last + 1, --held * sizeof *last);
        last[held++] = (struct text_span){at, at + length};
        if (held == width) status = put(t, text, last, width, out, err);
    }
    return status;
}

enum status tokenizer_put_ngrams(const struct tokenizer *t, const char *text, size_t bytes, size_t room,
                                 int32_t *ids, struct text_span *places, size_t *n, struct error *err)
{
    struct gram_writer out = {.ids = ids, .places = places, .room = room};
    enum status status = STATUS_OK;
    for (size_t i = 0; i < t->n_ngrams && status == STATUS_OK; i++)
        status = put_width(t, text, bytes, t->ngrams[i], &out, err);
    *n = out.n;
    return status;
}

enum status tokenizer_set_ngrams(struct tokenizer *t, const struct tokenizer_spec *spec, struct error *err)
{
    if (spec->n_ngrams == 0) return STATUS_OK;
    if (!t->type->may_ngram)
        return error_set(err, STATUS_BAD_VALUE,
                         "'ngrams' has no place for type '%s', only for 'characters' and those of words",
                         t->type->name);
    if (spec->unknown) return error_set(err, STATUS_BAD_VALUE, "'unknown' has no use beside 'ngrams'");
    for (size_t i = 0; i < spec->n_ngrams; i++) {
        bool twice = false;
        for (size_t j = 0; j < i; j++) twice = twice || spec->ngrams[j] == spec->ngrams[i];
        if (spec->ngrams[i] < 1 || spec->ngrams[i] > TOKENIZER_MAX_NGRAM || twice)
            return error_set(err, STATUS_BAD_VALUE, "'ngrams': %zu%s, expected lengths from 1 to %d",
                             spec->ngrams[i], twice ? " is there twice" : "", (int)TOKENIZER_MAX_NGRAM);
        t->ngrams[t->n_ngrams++] = spec->ngrams[i];
    }
    return STATUS_OK;
}
