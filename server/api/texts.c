#include "server/api/texts.h"

#include <stdio.h>
#include <string.h>

#include "core/base/memory.h"
#include "models/text/sentence.h"
#include "models/text/utf8.h"

enum { MAX_STRANGE = 6 }; /* characters that a sentence names */

bool texts_keep(const struct spans *spans, struct kept_texts *out)
{
    *out = (struct kept_texts){.texts = memory_new(spans->n_texts + 1, sizeof *out->texts)};
    if (!out->texts) return false;
    for (; out->n < spans->n_texts; out->n++) {
        const char *text = spans->texts[out->n];
        if (text && !(out->texts[out->n] = memory_copy_text(text, strlen(text)))) {
            texts_free(out);
            return false;
        }
    }
    return true;
}

void texts_free(struct kept_texts *texts)
{
    for (size_t i = 0; i < texts->n; i++) memory_free(texts->texts[i]);
    memory_free(texts->texts);
    *texts = (struct kept_texts){0};
}

/* A byte of a text, and the code points and UTF-16 units before it. */
struct offset {
    size_t byte, points, units;
};

/* Move on to `byte`. One in the middle of a code point, where a token of bytes may begin, counts as the
 * code point's own. */
static void move_to(struct offset *offset, const char *text, size_t bytes, size_t byte)
{
    uint32_t code = 0;
    size_t length;
    while ((length = utf8_decode(text + offset->byte, bytes - offset->byte, &code)) > 0 &&
           offset->byte + length <= byte) {
        offset->byte += length;
        offset->points++;
        offset->units += code > 0xffff ? 2 : 1;
    }
}

static size_t code_point_bytes(const char *text)
{
    uint32_t code;
    return utf8_decode(text, strlen(text), &code);
}

/* Find where bytes [start, end) lie; *offset is at or before them, and moves to their beginning. */
static struct text_place place_of(struct offset *offset, const char *text, size_t bytes, size_t start,
                                  size_t end)
{
    move_to(offset, text, bytes, start);
    struct text_place place = {.start_byte = start, .end_byte = end, .start = offset->points,
                               .start_utf16 = offset->units};
    struct offset last = *offset;
    move_to(&last, text, bytes, end);
    if (last.byte < end) move_to(&last, text, bytes, last.byte + code_point_bytes(text + last.byte));
    place.end = last.points;
    place.end_utf16 = last.units;
    return place;
}

void texts_pieces(const char *text, const struct piece_of *pieces, size_t n, struct text_place *places)
{
    struct offset offset = {0};
    for (size_t i = 0; i < n; i++)
        places[i] = place_of(&offset, text, strlen(text), pieces[i].start, pieces[i].end);
}

bool texts_places(const struct kept_texts *texts, const struct tokenizer *tokenizer, size_t i, size_t n,
                  struct text_place **places, size_t *n_places)
{
    const char *text = i < texts->n ? texts->texts[i] : NULL;
    *places = NULL;
    *n_places = 0;
    if (!text) return true;
    size_t bytes = strlen(text);
    struct text_span *spans = memory_new(n + 1, sizeof *spans);
    *places = memory_new(n + 1, sizeof **places);
    if (spans && *places) *n_places = tokenizer_places(tokenizer, text, bytes, spans, n);
    struct offset offset = {0};
    for (size_t t = 0; t < *n_places; t++)
        (*places)[t] = place_of(&offset, text, bytes, spans[t].start, spans[t].end);
    bool there = spans && *places;
    memory_free(spans);
    if (!there) memory_free(*places);
    if (!there) *places = NULL;
    return there;
}

/* Append the characters of a text that the model has never seen to a list for people. */
static size_t list_strange(const struct tokenizer *tokenizer, const char *text, uint32_t *seen, size_t n_seen,
                           char *list, size_t room)
{
    size_t bytes = strlen(text), length;
    for (size_t at = 0; at < bytes && n_seen < MAX_STRANGE; at += length) {
        struct tokenizer_loss loss = {0};
        struct error err;
        uint32_t code;
        int32_t *ids;
        size_t n, i = 0;
        char shown[CHARACTER_BYTES];
        if (!(length = utf8_decode(text + at, bytes - at, &code))) break;
        if (tokenizer_read(tokenizer, text + at, length, 64, &ids, &n, &loss, &err) != STATUS_OK) continue;
        memory_free(ids);
        while (i < n_seen && seen[i] != code) i++;
        if (!loss.n_skipped || i < n_seen) continue;
        size_t used = strlen(list);
        snprintf(list + used, room - used, "%s%s", n_seen ? ", " : "", sentence_character(shown, code));
        seen[n_seen++] = code;
    }
    return n_seen;
}

bool texts_check_letters(const struct call *call, const char *field, const struct spans *spans,
                         const char *kind)
{
    uint32_t seen[MAX_STRANGE];
    char list[MAX_STRANGE * (CHARACTER_BYTES + 2) + 1] = "";
    size_t n_seen = 0;
    if (!spans->loss.n_skipped) return true;
    for (size_t i = 0; i < spans->n; i++)
        n_seen = list_strange(call->model->tokenizer, spans->texts[i], seen, n_seen, list, sizeof list);
    return problem_set(call->problem, FAULT_INVALID_VALUE, field,
                       "'%s' has characters that model '%s' has never seen: %s%s; expected %s without them",
                       field, call->model->name, list, n_seen == MAX_STRANGE ? " and perhaps others" : "",
                       kind);
}
