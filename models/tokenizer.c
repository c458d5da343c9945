#include "models/tokenizer.h"

#include <stdlib.h>
#include <string.h>

#include "core/memory.h"
#include "models/sentence.h"
#include "models/tokenizer_type.h"
#include "models/utf8.h"

enum { MAX_VOCABULARY = 1 << 20, MAX_PIECE_BYTES = 1024 };

static const struct tokenizer_type *const types[] = {
#define X(symbol) &tokenizer_##symbol,
#include "models/tokenizer.def"
#undef X
};
enum { N_TYPES = sizeof types / sizeof *types };

/* ------------------------------------------------------------------------------------------
 * The vocabulary */

enum status tokenizer_reserve(struct tokenizer *t, size_t n, size_t bytes, struct error *err)
{
    t->n = n;
    t->text = memory_new(bytes, 1);
    t->pieces = memory_new(n, sizeof *t->pieces);
    t->sorted = memory_new(n, sizeof *t->sorted);
    if (t->text && t->pieces && t->sorted) return STATUS_OK;
    return error_set(err, STATUS_NO_MEMORY, "vocabulary: no memory");
}

static unsigned char lowered(char c)
{
    return (unsigned char)(c >= 'A' && c <= 'Z' ? c - 'A' + 'a' : c);
}

/* The order of the sorted pieces: by bytes, a prefix first. */
static int compare(const struct piece *a, const struct piece *b)
{
    size_t n = a->bytes < b->bytes ? a->bytes : b->bytes;
    int order = memcmp(a->text, b->text, n);
    if (order != 0) return order;
    return a->bytes < b->bytes ? -1 : a->bytes > b->bytes;
}

static int by_bytes(const void *a, const void *b)
{
    return compare(a, b);
}

static int compare_lowered(const char *text, size_t bytes, const struct piece *piece)
{
    size_t n = bytes < piece->bytes ? bytes : piece->bytes;
    for (size_t i = 0; i < n; i++) {
        int order = (int)lowered(text[i]) - (int)(unsigned char)piece->text[i];
        if (order != 0) return order;
    }
    return bytes < piece->bytes ? -1 : bytes > piece->bytes;
}

static int32_t find(const struct tokenizer *t, const char *text, size_t bytes, bool lowercase)
{
    const struct piece key = {.text = text, .bytes = bytes};
    size_t low = 0, high = t->n;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        const struct piece *piece = &t->sorted[middle];
        int order = lowercase ? compare_lowered(text, bytes, piece) : compare(&key, piece);
        if (order == 0) return piece->id;
        if (order < 0) high = middle;
        else low = middle + 1;
    }
    return TOKEN_NONE;
}

static bool is_special(const struct tokenizer *t, int32_t id)
{
    return id == t->bos || id == t->eos || id == t->unk;
}

/* More than one character, or one byte: what a special token is called, rather than a part of a text. */
static bool is_name(const struct piece *piece)
{
    uint32_t code;
    return piece->bytes > 1 && utf8_decode(piece->text, piece->bytes, &code) != piece->bytes;
}

int32_t tokenizer_look_up(const struct tokenizer *t, const char *text, size_t bytes)
{
    int32_t id = find(t, text, bytes, t->lowercase);
    return id != TOKEN_NONE && is_special(t, id) && is_name(&t->pieces[id]) ? TOKEN_NONE : id;
}

static enum status check_entry(size_t i, const char *text, size_t bytes, struct error *err)
{
    size_t bad;
    if (bytes == 0)
        return error_set(err, STATUS_BAD_VALUE, "vocabulary: entry %zu is empty", i);
    if (bytes > MAX_PIECE_BYTES)
        return error_set(err, STATUS_TOO_LONG, "vocabulary: entry %zu has %zu bytes, expected at most %d",
                         i, bytes, (int)MAX_PIECE_BYTES);
    if (!utf8_is_valid(text, bytes, &bad))
        return error_set(err, STATUS_BAD_FORMAT, "vocabulary: entry %zu is not UTF-8 at its byte %zu",
                         i, bad);
    return STATUS_OK;
}

static enum status copy_vocabulary(struct tokenizer *t, const struct tokenizer_spec *spec,
                                   struct error *err)
{
    size_t total = 0, n = spec->n_vocabulary;
    if (n == 0 || n > MAX_VOCABULARY)
        return error_set(err, STATUS_BAD_VALUE, "vocabulary: %zu entries, expected 1 to %d", n,
                         (int)MAX_VOCABULARY);
    for (size_t i = 0; i < n; i++) {
        size_t bytes = spec->vocabulary_bytes[i];
        enum status status = check_entry(i, spec->vocabulary[i], bytes, err);
        if (status != STATUS_OK) return status;
        total += bytes;
    }
    enum status status = tokenizer_reserve(t, n, total, err);
    if (status != STATUS_OK) return status;
    char *to = t->text;
    for (size_t i = 0; i < n; to += t->pieces[i++].bytes) {
        size_t bytes = spec->vocabulary_bytes[i];
        memcpy(to, spec->vocabulary[i], bytes);
        t->pieces[i] = (struct piece){to, bytes, (int32_t)i};
    }
    return STATUS_OK;
}

/* Sort, refuse an entry that is there twice, and measure the longest. */
static enum status index_vocabulary(struct tokenizer *t, struct error *err)
{
    char quoted[QUOTE_BYTES];
    memcpy(t->sorted, t->pieces, t->n * sizeof *t->sorted);
    qsort(t->sorted, t->n, sizeof *t->sorted, by_bytes);
    for (size_t i = 0; i < t->n; i++) {
        const struct piece *a = &t->sorted[i], *b = a + 1;
        if (a->bytes > t->max_piece) t->max_piece = a->bytes;
        if (i + 1 == t->n || compare(a, b) != 0) continue;
        return error_set(err, STATUS_BAD_VALUE, "vocabulary: entries %d and %d are both %s",
                         a->id < b->id ? a->id : b->id, a->id < b->id ? b->id : a->id,
                         sentence_quote(quoted, a->text, a->bytes));
    }
    t->max_piece += strlen(t->type->separator);
    return STATUS_OK;
}

/* ------------------------------------------------------------------------------------------
 * Special tokens */

static enum status set_special(const struct tokenizer *t, const char *key, const char *name,
                               int32_t *id, struct error *err)
{
    char quoted[QUOTE_BYTES];
    if (!name) return STATUS_OK;
    *id = find(t, name, strlen(name), false);
    if (*id != TOKEN_NONE) return STATUS_OK;
    return error_set(err, STATUS_BAD_VALUE, "'%s' is %s, which is not in the vocabulary", key,
                     sentence_quote(quoted, name, strlen(name)));
}

static enum status set_specials(struct tokenizer *t, const struct tokenizer_spec *spec,
                                struct error *err)
{
    t->bos = t->eos = t->unk = TOKEN_NONE;
    enum status status = set_special(t, "unk_token", spec->unk_token, &t->unk, err);
    if (status == STATUS_OK) status = set_special(t, "bos_token", spec->bos_token, &t->bos, err);
    if (status == STATUS_OK) status = set_special(t, "eos_token", spec->eos_token, &t->eos, err);
    if (status != STATUS_OK) return status;
    if (t->unk != TOKEN_NONE && !t->type->has_vocabulary)
        return error_set(err, STATUS_BAD_VALUE, "'unk_token' has no use: every byte has an id");
    if (t->unk != TOKEN_NONE && (t->unk == t->bos || t->unk == t->eos))
        return error_set(err, STATUS_BAD_VALUE,
                         "'unk_token' is also '%s', expected a token of its own",
                         t->unk == t->bos ? "bos_token" : "eos_token");
    return STATUS_OK;
}

/* ------------------------------------------------------------------------------------------ */

static enum status build(struct tokenizer *t, const struct tokenizer_spec *spec, struct error *err)
{
    char quoted[QUOTE_BYTES];
    for (size_t i = 0; i < N_TYPES; i++)
        if (strcmp(types[i]->name, spec->type) == 0) t->type = types[i];
    if (!t->type)
        return error_set(err, STATUS_BAD_VALUE, "'type' is %s, expected characters, bytes or words",
                         sentence_quote(quoted, spec->type, strlen(spec->type)));
    if (t->type->has_vocabulary != (spec->vocabulary != NULL))
        return error_set(err, STATUS_BAD_VALUE, "'vocabulary' %s for type '%s'",
                         spec->vocabulary ? "has no place" : "is missing", t->type->name);
    if (spec->lowercase && !t->type->may_lower)
        return error_set(err, STATUS_BAD_VALUE, "'lowercase' has no place for type '%s', only for 'words'",
                         t->type->name);
    t->lowercase = spec->lowercase;
    enum status status = t->type->fill ? t->type->fill(t, err) : copy_vocabulary(t, spec, err);
    if (status == STATUS_OK) status = index_vocabulary(t, err);
    if (status == STATUS_OK) status = set_specials(t, spec, err);
    return status;
}

enum status tokenizer_new(const struct tokenizer_spec *spec, struct tokenizer **out,
                          struct error *err)
{
    struct tokenizer *t = memory_new(1, sizeof *t);
    enum status status =
        t ? build(t, spec, err) : error_set(err, STATUS_NO_MEMORY, "tokenizer: no memory");
    if (status != STATUS_OK) tokenizer_free(t);
    else *out = t;
    return status;
}

void tokenizer_free(struct tokenizer *t)
{
    if (!t) return;
    memory_free(t->text);
    memory_free(t->pieces);
    memory_free(t->sorted);
    memory_free(t);
}

const char *tokenizer_type(const struct tokenizer *t)
{
    return t->type->name;
}

size_t tokenizer_size(const struct tokenizer *t)
{
    return t->n;
}

int32_t tokenizer_bos(const struct tokenizer *t)
{
    return t->bos;
}

int32_t tokenizer_eos(const struct tokenizer *t)
{
    return t->eos;
}

int32_t tokenizer_unk(const struct tokenizer *t)
{
    return t->unk;
}

/* ------------------------------------------------------------------------------------------
 * Text to ids and back */

static enum status not_found(const struct tokenizer *t, const char *text, size_t bytes, size_t at,
                             struct error *err)
{
    char shown[QUOTE_BYTES], character[CHARACTER_BYTES];
    uint32_t code;
    const char *what = utf8_decode(text, bytes, &code) == bytes
                           ? sentence_character(character, code)
                           : sentence_quote(shown, text, bytes);
    return error_set(err, STATUS_BAD_VALUE, "%s %s at byte %zu is not in the vocabulary",
                     t->type->unit, what, at);
}

static enum status encode(const struct tokenizer *t, const char *text, size_t bytes,
                          size_t max_tokens, int32_t *ids, size_t *n, struct error *err)
{
    *n = 0;
    for (size_t at = 0, length; at < bytes; at += length) {
        int32_t id = TOKEN_NONE;
        length = t->type->next(t, text + at, bytes - at, &id);
        if (length == 0) {
            utf8_is_valid(text, bytes, &at);
            return error_set(err, STATUS_BAD_FORMAT, "not UTF-8 at byte %zu", at);
        }
        if (id == TOKEN_SKIP) continue;
        if (id == TOKEN_NONE) id = t->unk;
        if (id == TOKEN_NONE) return not_found(t, text + at, length, at, err);
        if (*n == max_tokens)
            return error_set(err, STATUS_TOO_LONG, "more than %zu tokens", max_tokens);
        ids[(*n)++] = id;
    }
    return STATUS_OK;
}

enum status tokenizer_encode(const struct tokenizer *t, const char *text, size_t bytes,
                             size_t max_tokens, int32_t **ids, size_t *n, struct error *err)
{
    size_t room = (bytes < max_tokens ? bytes : max_tokens) + 1, count;
    int32_t *block = room == 0 ? NULL : memory_new(room, sizeof *block);
    if (!block) return error_set(err, STATUS_NO_MEMORY, "no memory for %zu tokens", room);
    enum status status = encode(t, text, bytes, max_tokens, block, &count, err);
    if (status != STATUS_OK) {
        memory_free(block);
        return status;
    }
    *ids = block;
    *n = count;
    return STATUS_OK;
}

const char *tokenizer_piece(const struct tokenizer *t, int32_t id, size_t *bytes)
{
    *bytes = t->pieces[id].bytes;
    return t->pieces[id].text;
}

/* bos or eos by a name of its own. One that is a single character may come from a text, and must come out as
 * it went in. */
bool tokenizer_is_silent(const struct tokenizer *t, int32_t id)
{
    if (id == TOKEN_NONE) return true;
    return (id == t->bos || id == t->eos) && is_name(&t->pieces[id]);
}

size_t tokenizer_append(const struct tokenizer *t, int32_t previous, int32_t id, char *out)
{
    if (tokenizer_is_silent(t, id)) return 0;
    size_t gap = tokenizer_is_silent(t, previous) ? 0 : strlen(t->type->separator);
    memcpy(out, t->type->separator, gap);
    memcpy(out + gap, t->pieces[id].text, t->pieces[id].bytes);
    return gap + t->pieces[id].bytes;
}

size_t tokenizer_max_piece(const struct tokenizer *t)
{
    return t->max_piece;
}
