/* bpe: byte-pair encoding (Sennrich, Haddow, Birch, "Neural machine translation of rare words with subword
 * units", 2016), as sentencepiece's BPE models and Hugging Face's BPE with Metaspace have it.
 *
 * White space lies between words, a run of it counts once. A word begins with the mark U+2581; the mark in a
 * text is white space too. A word is at first its characters; then, again and again, the two neighbours that
 * come first in the list of merges become one, of equal ones the leftmost. Without a list of merges two
 * neighbours may become one if both together are in the vocabulary, and the lower id comes first: that is
 * the order of sentencepiece's scores. A run of characters that are not in the vocabulary is one
 * unk_token.
 *
 * A word of more than WORD_SYMBOLS characters is cut, and no piece lies across the cut; so the time for a
 * text grows with its length alone. */
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/memory.h"
#include "models/text/sentence.h"
#include "models/tokenizers/tokenizer_type.h"
#include "models/text/utf8.h"

enum { WORD_SYMBOLS = READING_TOKENS - FOLD_CHARACTERS, MARK_BYTES = 3, NO_RANK = INT32_MAX };

static const char mark[] = "\xe2\x96\x81";

/* A part of a word, which may grow. */
struct symbol {
    size_t start, bytes;    /* in the word's text */
    struct text_span place; /* in the text that is read */
    int32_t id;
    int32_t rank, merged;   /* with its right neighbour: when it is their turn, and the id of both */
    bool is_unknown;
};

struct word {
    char text[(WORD_SYMBOLS + FOLD_CHARACTERS) * UTF8_MAX_BYTES];
    size_t bytes, n;
    struct symbol symbols[WORD_SYMBOLS + FOLD_CHARACTERS];
};

/* ---- merges ------------------------------------------------------------------------------------ */

static int by_pair(const void *a, const void *b)
{
    const struct merge *x = a, *y = b;
    if (x->left != y->left) return x->left < y->left ? -1 : 1;
    return (x->right > y->right) - (x->right < y->right);
}

static enum status read_merge(const struct tokenizer *t, const char *line, size_t bytes, size_t number,
                              struct merge *merge, struct error *err)
{
    char both[2 * TOKENIZER_MAX_PIECE], quoted[QUOTE_BYTES];
    const char *space = memchr(line, ' ', bytes);
    size_t left = space ? (size_t)(space - line) : 0, right = space ? bytes - left - 1 : 0;
    if (!left || !right || memchr(space + 1, ' ', right) || left + right > sizeof both)
        return error_set(err, STATUS_BAD_VALUE, "merges: entry %zu is %s, expected two pieces with a space "
                         "between", number, sentence_quote(quoted, line, bytes));
    memcpy(both, line, left);
    memcpy(both + left, space + 1, right);
    *merge = (struct merge){tokenizer_look_up(t, line, left), tokenizer_look_up(t, space + 1, right),
                            (int32_t)number, tokenizer_look_up(t, both, left + right)};
    if (merge->left != TOKEN_NONE && merge->right != TOKEN_NONE && merge->id != TOKEN_NONE) return STATUS_OK;
    return error_set(err, STATUS_BAD_VALUE,
                     "merges: entry %zu is %s: expected both pieces, and both together, in the vocabulary",
                     number, sentence_quote(quoted, line, bytes));
}

enum status tokenizer_set_merges(struct tokenizer *t, const struct tokenizer_spec *spec, struct error *err)
{
    static const char version[] = "#version";
    size_t n = spec->n_merges, first = 0;
    if (t->type->may_merge && tokenizer_look_up(t, mark, MARK_BYTES) == TOKEN_NONE)
        return error_set(err, STATUS_BAD_VALUE, "the vocabulary has no '%s' (U+2581), with which words begin",
                         mark);
    if (!spec->merges) return STATUS_OK;
    if (n > TOKENIZER_MAX_VOCABULARY)
        return error_set(err, STATUS_TOO_LONG, "merges: %zu entries, expected at most %d", n,
                         (int)TOKENIZER_MAX_VOCABULARY);
    t->merges = memory_new(n + 1, sizeof *t->merges);
    if (!t->merges) return error_set(err, STATUS_NO_MEMORY, "merges: no memory");
    if (n && spec->merges_bytes[0] >= sizeof version - 1 &&
        !memcmp(spec->merges[0], version, sizeof version - 1))
        first = 1; /* the head of a merges.txt */
    for (size_t i = first; i < n; i++) {
        enum status status =
            read_merge(t, spec->merges[i], spec->merges_bytes[i], i, &t->merges[i - first], err);
        if (status != STATUS_OK) return status;
    }
    t->n_merges = n - first;
    qsort(t->merges, t->n_merges, sizeof *t->merges, by_pair);
    for (size_t i = 1; i < t->n_merges; i++)
        if (by_pair(&t->merges[i - 1], &t->merges[i]) == 0)
            return error_set(err, STATUS_BAD_VALUE, "merges: entries %d and %d are the same",
                             t->merges[i - 1].rank, t->merges[i].rank);
    return STATUS_OK;
}

/* Find when it is the turn of symbol i and its right neighbour. */
static void rank_pair(const struct tokenizer *t, struct word *word, size_t i)
{
    struct symbol *a = &word->symbols[i], *b = a + 1;
    a->rank = NO_RANK;
    if (i + 1 >= word->n || a->is_unknown || b->is_unknown) return;
    if (!t->merges) {
        int32_t id = tokenizer_look_up(t, word->text + a->start, a->bytes + b->bytes);
        if (id != TOKEN_NONE) a->rank = a->merged = id;
        return;
    }
    const struct merge key = {.left = a->id, .right = b->id},
                       *found = bsearch(&key, t->merges, t->n_merges, sizeof key, by_pair);
    if (!found) return;
    a->rank = found->rank;
    a->merged = found->id;
}

static void merge_all(const struct tokenizer *t, struct word *word)
{
    for (size_t i = 0; i < word->n; i++) rank_pair(t, word, i);
    for (;;) {
        size_t best = 0;
        for (size_t i = 1; i < word->n; i++)
            if (word->symbols[i].rank < word->symbols[best].rank) best = i;
        struct symbol *a = &word->symbols[best], *b = a + 1;
        if (a->rank == NO_RANK) return;
        a->id = a->merged;
        a->bytes += b->bytes;
        a->place.end = b->place.end;
        memmove(b, b + 1, (size_t)(word->symbols + word->n - (b + 1)) * sizeof *b);
        word->n--;
        rank_pair(t, word, best);
        if (best > 0) rank_pair(t, word, best - 1);
    }
}

/* ---- words ------------------------------------------------------------------------------------- */

static void add_symbol(struct word *word, int32_t id, const char *text, size_t bytes, struct text_span place,
                       bool is_unknown)
{
    memcpy(word->text + word->bytes, text, bytes);
    word->symbols[word->n++] = (struct symbol){.start = word->bytes, .bytes = bytes, .place = place, .id = id,
                                               .is_unknown = is_unknown};
    word->bytes += bytes;
}

/* Add the character text[place], or what stands for it. Return false if the tokenizer refuses it. */
static bool add_character(const struct tokenizer *t, struct word *word, const char *text,
                          struct text_span place, struct tokenizer_loss *loss)
{
    size_t bytes = place.end - place.start, n;
    int32_t ids[FOLD_CHARACTERS], id = tokenizer_look_up(t, text + place.start, bytes);
    if (id != TOKEN_NONE || t->unknown == UNKNOWN_REFUSE) {
        bool is_known = id != TOKEN_NONE;
        add_symbol(word, is_known ? id : t->unk, text + place.start, bytes, place, !is_known);
        return is_known || t->unk != TOKEN_NONE;
    }
    n = tokenizer_replace(t, text + place.start, bytes, place.start, loss, ids);
    for (size_t i = 0; i < n; i++)
        add_symbol(word, ids[i], t->pieces[ids[i]].text, t->pieces[ids[i]].bytes, place, false);
    return true;
}

/* The bytes of the white space, or of the mark, that text[0..bytes) begins with. */
static size_t space_bytes(const char *text, size_t bytes)
{
    if (bytes >= MARK_BYTES && !memcmp(text, mark, MARK_BYTES)) return MARK_BYTES;
    return bytes && (*text == ' ' || (*text >= '\t' && *text <= '\r'));
}

static void give(const struct word *word, struct reading *out)
{
    bool was_unknown = false;
    for (size_t i = 0; i < word->n; i++) {
        const struct symbol *symbol = &word->symbols[i];
        bool goes_on = was_unknown && symbol->is_unknown;
        was_unknown = symbol->is_unknown;
        if (goes_on) {
            out->places[out->n - 1].end = symbol->place.end;
            continue;
        }
        out->ids[out->n] = symbol->id;
        out->places[out->n++] = symbol->place;
    }
}

static void read_word(const struct tokenizer *t, const char *text, size_t bytes, size_t at,
                      struct tokenizer_loss *loss, struct reading *out)
{
    struct word word;
    size_t end = at, length;
    word.bytes = word.n = 0;
    while ((length = space_bytes(text + end, bytes - end))) end += length;
    if (at == 0 || end > at) /* else the word goes on after a cut */
        add_symbol(&word, tokenizer_look_up(t, mark, MARK_BYTES), mark, MARK_BYTES,
                   (struct text_span){end, end}, false);
    size_t begin = end;
    while (end < bytes && !space_bytes(text + end, bytes - end) && word.n < WORD_SYMBOLS) {
        uint32_t code;
        length = utf8_decode(text + end, bytes - end, &code);
        struct text_span place = {end, end + length};
        bool is_good = length && add_character(t, &word, text, place, loss);
        end += length;
        if (is_good) continue;
        *out = (struct reading){.bytes = length ? end - at : 0, .n = 1};
        out->ids[0] = TOKEN_NONE;
        out->places[0] = place;
        return;
    }
    out->bytes = end - at;
    out->n = 0;
    if (end == begin) return;
    merge_all(t, &word);
    give(&word, out);
}

/* A mark is a space, except at the beginning. */
static size_t append(const struct tokenizer *t, int32_t previous, int32_t id, char *out)
{
    const struct piece *piece = &t->pieces[id];
    size_t n = 0;
    for (size_t i = 0; i < piece->bytes;) {
        if (space_bytes(piece->text + i, piece->bytes - i) != MARK_BYTES) {
            out[n++] = piece->text[i++];
            continue;
        }
        if (i || (previous != TOKEN_NONE && previous != t->bos)) out[n++] = ' ';
        i += MARK_BYTES;
    }
    return n;
}

const struct tokenizer_type tokenizer_bpe = {
    .name = "bpe",
    .has_vocabulary = true,
    .unknowns = 1u << UNKNOWN_REFUSE | 1u << UNKNOWN_SKIP | 1u << UNKNOWN_FOLD,
    .may_merge = true,
    .read = read_word,
    .append = append,
    .unit = "character",
    .separator = "",
};
