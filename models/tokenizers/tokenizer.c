#include "models/tokenizers/tokenizer.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/memory.h"
#include "models/text/fold.h"
#include "models/text/sentence.h"
#include "models/tokenizers/tokenizer_type.h"
#include "models/text/utf8.h"

static const struct tokenizer_type *const types[] = {
#define X(symbol) &tokenizer_##symbol,
#include "models/tokenizers/tokenizer.def"
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
        int order = (int)(unsigned char)tokenizer_lower(text[i]) - (int)(unsigned char)piece->text[i];
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
    return id == t->bos || id == t->eos || id == t->unk || id == t->pad;
}

/* More than one character, or one byte: what a special token is called, rather than a part of a text. */
static bool is_name(const struct piece *piece)
{
    uint32_t code;
    return piece->bytes > 1 && utf8_decode(piece->text, piece->bytes, &code) != piece->bytes;
}

int32_t tokenizer_look_up_as(const struct tokenizer *t, const char *text, size_t bytes, bool lowered)
{
    int32_t id = find(t, text, bytes, lowered);
    return id != TOKEN_NONE && is_special(t, id) && is_name(&t->pieces[id]) ? TOKEN_NONE : id;
}

int32_t tokenizer_look_up(const struct tokenizer *t, const char *text, size_t bytes)
{
    return tokenizer_look_up_as(t, text, bytes, t->lowercase);
}

static enum status check_entry(size_t i, const char *text, size_t bytes, struct error *err)
{
    size_t bad;
    if (bytes == 0)
        return error_set(err, STATUS_BAD_VALUE, "vocabulary: entry %zu is empty", i);
    if (bytes > TOKENIZER_MAX_PIECE)
        return error_set(err, STATUS_TOO_LONG, "vocabulary: entry %zu has %zu bytes, expected at most %d",
                         i, bytes, (int)TOKENIZER_MAX_PIECE);
    if (!utf8_is_valid(text, bytes, &bad))
        return error_set(err, STATUS_BAD_FORMAT, "vocabulary: entry %zu is not UTF-8 at its byte %zu",
                         i, bad);
    return STATUS_OK;
}

static enum status copy_vocabulary(struct tokenizer *t, const struct tokenizer_spec *spec,
                                   struct error *err)
{
    size_t total = 0, n = spec->n_vocabulary;
    if (n == 0 || n > TOKENIZER_MAX_VOCABULARY)
        return error_set(err, STATUS_BAD_VALUE, "vocabulary: %zu entries, expected 1 to %d", n,
                         (int)TOKENIZER_MAX_VOCABULARY);
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
    t->bos = t->eos = t->unk = t->pad = TOKEN_NONE;
    enum status status = set_special(t, "unk_token", spec->unk_token, &t->unk, err);
    if (status == STATUS_OK) status = set_special(t, "bos_token", spec->bos_token, &t->bos, err);
    if (status == STATUS_OK) status = set_special(t, "eos_token", spec->eos_token, &t->eos, err);
    if (status == STATUS_OK) status = set_special(t, "pad_token", spec->pad_token, &t->pad, err);
    if (status != STATUS_OK) return status;
    if (t->unk != TOKEN_NONE && !t->type->has_vocabulary)
        return error_set(err, STATUS_BAD_VALUE, "'unk_token' has no use: every byte has an id");
    if (t->unk != TOKEN_NONE && (t->unk == t->bos || t->unk == t->eos))
        return error_set(err, STATUS_BAD_VALUE,
                         "'unk_token' is also '%s', expected a token of its own",
                         t->unk == t->bos ? "bos_token" : "eos_token");
    return STATUS_OK;
}

static enum status set_unknown(struct tokenizer *t, const struct tokenizer_spec *spec, struct error *err)
{
    static const char *const names[] = {"refuse", "skip", "fold", "shape"};
    char quoted[QUOTE_BYTES];
    if (!spec->unknown) return STATUS_OK;
    if (!t->type->unknowns)
        return error_set(err, STATUS_BAD_VALUE, "'unknown' has no place for type '%s', only for "
                         "'characters', 'bpe' and 'words'", t->type->name);
    bool has_shapes = t->type->unknowns & 1u << UNKNOWN_SHAPE;
    if (spec->unk_token && !has_shapes)
        return error_set(err, STATUS_BAD_VALUE,
                         "'unknown' has no use beside 'unk_token': leave one of them out");
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        if (strcmp(spec->unknown, names[i]) != 0 || !(t->type->unknowns & 1u << i)) continue;
        t->unknown = (enum unknown)i;
        return STATUS_OK;
    }
    return error_set(err, STATUS_BAD_VALUE, "'unknown' is %s, expected %s for type '%s'",
                     sentence_quote(quoted, spec->unknown, strlen(spec->unknown)),
                     has_shapes ? "refuse or shape" : "refuse, skip or fold", t->type->name);
}

static enum status set_filters(struct tokenizer *t, const struct tokenizer_spec *spec, struct error *err)
{
    const char *at = spec->filters;
    size_t left = at ? strlen(at) : 0;
    if (!at) return STATUS_OK;
    if (left == 0) return error_set(err, STATUS_BAD_VALUE, "'filters' is empty, so no words are told apart");
    t->filters = memory_new(TOKENIZER_MAX_FILTERS, sizeof *t->filters);
    if (!t->filters) return error_set(err, STATUS_NO_MEMORY, "tokenizer: no memory");
    while (left > 0) {
        uint32_t code;
        size_t n = utf8_decode(at, left, &code);
        if (n == 0 || t->n_filters == TOKENIZER_MAX_FILTERS)
            return error_set(err, STATUS_BAD_VALUE, "'filters' has more than %d characters, or is not UTF-8",
                             (int)TOKENIZER_MAX_FILTERS);
        t->filters[t->n_filters++] = code;
        at += n, left -= n;
    }
    return STATUS_OK;
}

/* ------------------------------------------------------------------------------------------ */

static enum status build(struct tokenizer *t, const struct tokenizer_spec *spec, struct error *err)
{
    char quoted[QUOTE_BYTES];
    for (size_t i = 0; i < N_TYPES; i++)
        if (strcmp(types[i]->name, spec->type) == 0) t->type = types[i];
    if (!t->type)
        return error_set(err, STATUS_BAD_VALUE,
                         "'type' is %s, expected characters, bytes, words, words_keras, whitespace or bpe",
                         sentence_quote(quoted, spec->type, strlen(spec->type)));
    if (t->type->has_vocabulary != (spec->vocabulary != NULL))
        return error_set(err, STATUS_BAD_VALUE, "'vocabulary' %s for type '%s'",
                         spec->vocabulary ? "has no place" : "is missing", t->type->name);
    if (spec->lowercase && !t->type->may_lower)
        return error_set(err, STATUS_BAD_VALUE,
                         "'lowercase' has no place for type '%s', only for 'characters' and 'words'",
                         t->type->name);
    if (spec->merges && !t->type->may_merge)
        return error_set(err, STATUS_BAD_VALUE, "'merges' has no place for type '%s', only for 'bpe'",
                         t->type->name);
    if (spec->filters && !t->type->may_filter)
        return error_set(err, STATUS_BAD_VALUE,
                         "'filters' has no place for type '%s', only for 'words_keras'", t->type->name);
    t->lowercase = spec->lowercase;
    enum status status = set_unknown(t, spec, err);
    if (status == STATUS_OK) status = set_filters(t, spec, err);
    if (status == STATUS_OK) status = tokenizer_set_ngrams(t, spec, err);
    if (status != STATUS_OK) return status;
    status = t->type->fill ? t->type->fill(t, err) : copy_vocabulary(t, spec, err);
    if (status == STATUS_OK) status = index_vocabulary(t, err);
    if (status == STATUS_OK) status = set_specials(t, spec, err);
    if (status == STATUS_OK) status = tokenizer_set_merges(t, spec, err);
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
    memory_free(t->merges);
    memory_free(t->filters);
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

int32_t tokenizer_pad(const struct tokenizer *t)
{
    return t->pad;
}

size_t tokenizer_ngrams(const struct tokenizer *t, const size_t **lengths)
{
    *lengths = t->ngrams;
    return t->n_ngrams;
}

/* ------------------------------------------------------------------------------------------
 * Text to ids and back */

enum status tokenizer_not_found(const struct tokenizer *t, const char *text, size_t bytes, size_t at,
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

/* The id of one ASCII character, or of its other case, or TOKEN_NONE. */
static int32_t look_up_plain(const struct tokenizer *t, char c)
{
    int32_t id = tokenizer_look_up(t, &c, 1);
    bool is_letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
    if (id != TOKEN_NONE || !is_letter) return id;
    c ^= 'a' ^ 'A';
    return tokenizer_look_up(t, &c, 1);
}

/* The ids that stand for a character which is not in the vocabulary, at most as many as it has bytes; depth
 * counts how often it has been folded already. */
static size_t fold(const struct tokenizer *t, uint32_t code, int depth, int32_t *ids)
{
    char plain[FOLD_CHARACTERS];
    size_t n = fold_character(code, plain), n_ids = 0;
    if (n == FOLD_NONE || depth > 1) return 0;
    for (size_t i = 0; i < n; i++) {
        ids[n_ids] = look_up_plain(t, plain[i]);
        if (ids[n_ids] != TOKEN_NONE) n_ids++;
        else n_ids += fold(t, (unsigned char)plain[i], depth + 1, ids + n_ids);
    }
    return n_ids;
}

size_t tokenizer_replace(const struct tokenizer *t, const char *text, size_t bytes, size_t at,
                         struct tokenizer_loss *loss, int32_t ids[FOLD_CHARACTERS])
{
    uint32_t code = 0;
    (void)utf8_decode(text, bytes, &code);
    size_t n = 0;
    if (t->unknown == UNKNOWN_FOLD) {
        ids[0] = code < 0x80 ? look_up_plain(t, (char)code) : TOKEN_NONE;
        n = ids[0] != TOKEN_NONE ? 1 : fold(t, code, 0, ids);
    }
    if (!loss) return n;
    size_t *first = n ? &loss->folded_at : &loss->skipped_at;
    uint32_t *first_code = n ? &loss->folded_code : &loss->skipped_code;
    if ((n ? loss->n_folded++ : loss->n_skipped++) > 0) return n;
    *first = at;
    *first_code = code;
    return n;
}

static bool replaces(const struct tokenizer *t)
{
    return t->unknown == UNKNOWN_SKIP || t->unknown == UNKNOWN_FOLD;
}

/* Read what text[at..bytes) begins with. */
static void read_next(const struct tokenizer *t, const char *text, size_t bytes, size_t at,
                      struct tokenizer_loss *loss, struct reading *out)
{
    if (t->type->read) {
        t->type->read(t, text, bytes, at, loss, out);
        return;
    }
    out->n = 1;
    out->ids[0] = TOKEN_NONE;
    out->bytes = t->type->next(t, text + at, bytes - at, out->ids);
    if (out->ids[0] == TOKEN_NONE) out->ids[0] = t->unk;
    if (out->ids[0] == TOKEN_SKIP) out->n = 0;
    else if (out->bytes > 0 && out->ids[0] == TOKEN_NONE && replaces(t))
        out->n = tokenizer_replace(t, text + at, out->bytes, at, loss, out->ids);
    out->places[0] = (struct text_span){at, at + out->bytes};
    for (size_t i = 1; i < out->n; i++) out->places[i] = out->places[0];
}

bool tokenizer_loss_sentence(const struct tokenizer_loss *loss, const char *name, char *out, size_t room)
{
    enum { PART_BYTES = 96 };
    char first[CHARACTER_BYTES], folded[PART_BYTES] = "", skipped[PART_BYTES] = "";
    if (loss->n_folded)
        snprintf(folded, sizeof folded, "; %zu read as others, first %s at byte %zu", loss->n_folded,
                 sentence_character(first, loss->folded_code), loss->folded_at);
    if (loss->n_skipped)
        snprintf(skipped, sizeof skipped, "; %zu left out, first %s at byte %zu", loss->n_skipped,
                 sentence_character(first, loss->skipped_code), loss->skipped_at);
    size_t n = loss->n_folded + loss->n_skipped;
    snprintf(out, room, "'%s' has %zu character%s not in the vocabulary%s%s", name, n,
             n == 1 ? " that is" : "s that are", folded, skipped);
    return n > 0;
}

static enum status encode(const struct tokenizer *t, const char *text, size_t bytes, size_t max_tokens,
                          int32_t *ids, size_t *n, struct tokenizer_loss *loss, struct error *err)
{
    struct reading next;
    *n = 0;
    if (t->n_ngrams) return tokenizer_put_ngrams(t, text, bytes, max_tokens, ids, NULL, n, err);
    for (size_t at = 0; at < bytes; at += next.bytes) {
        read_next(t, text, bytes, at, loss, &next);
        if (next.bytes == 0) {
            utf8_is_valid(text, bytes, &at);
            return error_set(err, STATUS_BAD_FORMAT, "not UTF-8 at byte %zu", at);
        }
        const struct text_span *place = &next.places[0];
        if (next.n == 1 && next.ids[0] == TOKEN_NONE)
            return tokenizer_not_found(t, text + place->start, place->end - place->start, place->start,
                                       err);
        if (next.n > max_tokens - *n)
            return error_set(err, STATUS_TOO_LONG, "more than %zu tokens", max_tokens);
        for (size_t i = 0; i < next.n; i++) ids[(*n)++] = next.ids[i];
    }
    return STATUS_OK;
}

/* A word of bpe may have one token more than it has bytes: its mark. */
static size_t most_tokens(const struct tokenizer *t, size_t bytes)
{
    return t->n_ngrams ? t->n_ngrams * bytes : t->type->read ? 2 * bytes : bytes;
}

enum status tokenizer_read(const struct tokenizer *t, const char *text, size_t bytes, size_t max_tokens,
                           int32_t **ids, size_t *n, struct tokenizer_loss *loss, struct error *err)
{
    size_t most = most_tokens(t, bytes), room = (most < max_tokens ? most : max_tokens) + 1, count;
    int32_t *block = room == 0 ? NULL : memory_new(room, sizeof *block);
    if (!block) return error_set(err, STATUS_NO_MEMORY, "no memory for %zu tokens", room);
    enum status status = encode(t, text, bytes, max_tokens, block, &count, loss, err);
    if (status != STATUS_OK) {
        memory_free(block);
        return status;
    }
    *ids = block;
    *n = count;
    return STATUS_OK;
}

enum status tokenizer_encode(const struct tokenizer *t, const char *text, size_t bytes,
                             size_t max_tokens, int32_t **ids, size_t *n, struct error *err)
{
    return tokenizer_read(t, text, bytes, max_tokens, ids, n, NULL, err);
}

size_t tokenizer_places(const struct tokenizer *t, const char *text, size_t bytes, struct text_span *places,
                        size_t room)
{
    struct reading next;
    size_t n = 0;
    if (t->n_ngrams)
        return tokenizer_put_ngrams(t, text, bytes, room, NULL, places, &n, NULL) == STATUS_OK ? n : room;
    for (size_t at = 0; at < bytes && n < room; at += next.bytes) {
        read_next(t, text, bytes, at, NULL, &next);
        if (next.bytes == 0) break;
        for (size_t i = 0; i < next.n && n < room; i++) places[n++] = next.places[i];
    }
    return n;
}

const char *tokenizer_piece(const struct tokenizer *t, int32_t id, size_t *bytes)
{
    *bytes = t->pieces[id].bytes;
    return t->pieces[id].text;
}

/* A special token by a name of its own, or an entry that stands for words by their shape. A special token
 * that is a single character may come from a text, and must come out as it went in. */
bool tokenizer_is_silent(const struct tokenizer *t, int32_t id)
{
    if (id == TOKEN_NONE) return true;
    if (t->unknown == UNKNOWN_SHAPE && t->pieces[id].text[0] == '<' && t->pieces[id].bytes > 1) return true;
    return is_special(t, id) && is_name(&t->pieces[id]);
}

size_t tokenizer_append(const struct tokenizer *t, int32_t previous, int32_t id, char *out)
{
    if (tokenizer_is_silent(t, id)) return 0;
    if (t->type->append) return t->type->append(t, previous, id, out);
    size_t gap = tokenizer_is_silent(t, previous) ? 0 : strlen(t->type->separator);
    memcpy(out, t->type->separator, gap);
    memcpy(out + gap, t->pieces[id].text, t->pieces[id].bytes);
    return gap + t->pieces[id].bytes;
}

size_t tokenizer_first_bytes(const struct tokenizer *t, const char *text, size_t bytes)
{
    struct reading next;
    for (size_t at = 0; at < bytes; at += next.bytes) {
        read_next(t, text, bytes, at, NULL, &next);
        if (next.bytes == 0) return 0;
        if (next.n > 0) return next.places[0].end;
    }
    return bytes;
}

size_t tokenizer_max_piece(const struct tokenizer *t)
{
    return t->max_piece;
}
