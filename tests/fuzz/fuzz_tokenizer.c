/* Any bytes as a vocabulary and a text. The first byte chooses the type and what is special; entries follow,
 * each ended by a newline, and those with a space may be merges too; after an empty entry comes the text.
 * Words may be read by their shape, and n-grams of all types but bpe and bytes: the bit of merges without
 * that of bpe. Ids must be of the vocabulary, and what was tokenised without loss must
 * come back: byte for byte, or, for words and bpe, as the same words. */
#include <assert.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/memory.h"
#include "models/tokenizers/segments.h"
#include "models/tokenizers/tokenizer.h"
#include "models/text/utf8.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { MAX_ENTRIES = 64, MAX_NAME = 64, LOWERCASE = 4, UNK = 8, BOS = 16, EOS = 32, BPE = 64, MERGES = 128 };

static const char *const types[] = {"characters", "bytes", "words", "words"},
                  *const gram_types[] = {"characters", "whitespace", "words", "words_keras"};

struct input {
    const char *entries[MAX_ENTRIES];
    size_t bytes[MAX_ENTRIES], n;
    char names[3][MAX_NAME]; /* unk, bos, eos: entries 0, 1, 2 */
    const char *text;
    size_t n_text;
};

static void read_input(const char *data, size_t size, struct input *in)
{
    memset(in, 0, sizeof *in);
    while (size > 0 && in->n < MAX_ENTRIES) {
        const char *stop = memchr(data, '\n', size);
        size_t n = stop ? (size_t)(stop - data) : size;
        if (n > 0) {
            in->entries[in->n] = data;
            in->bytes[in->n++] = n;
        }
        data += stop ? n + 1 : n;
        size -= stop ? n + 1 : n;
        if (n == 0) break;
    }
    for (size_t i = 0; i < 3 && i < in->n; i++)
        memcpy(in->names[i], in->entries[i],
               in->bytes[i] < MAX_NAME ? in->bytes[i] : MAX_NAME - 1);
    in->text = data;
    in->n_text = size;
}

static bool is_lossless(const struct tokenizer *t, const int32_t *ids, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        assert(ids[i] >= 0 && (size_t)ids[i] < tokenizer_size(t));
        if (ids[i] == tokenizer_unk(t) || ids[i] == tokenizer_bos(t) || ids[i] == tokenizer_eos(t) ||
            tokenizer_is_silent(t, ids[i]))
            return false;
    }
    return true;
}

/* is_exact: byte for byte. */
static void check_back(const struct tokenizer *t, const struct input *in, const int32_t *ids,
                       size_t n, bool is_exact)
{
    char *back = malloc(n * tokenizer_max_piece(t) + 1);
    size_t bytes = 0, again;
    int32_t *ids_again;
    struct error err;
    if (!back) abort();
    for (size_t i = 0; i < n; i++)
        bytes += tokenizer_append(t, i ? ids[i - 1] : TOKEN_NONE, ids[i], back + bytes);
    if (is_lossless(t, ids, n)) {
        if (is_exact && memcmp(back, in->text, n ? bytes : 0) != 0)
            abort();
        if (tokenizer_encode(t, back, bytes, SIZE_MAX, &ids_again, &again, &err) != STATUS_OK)
            abort();
        assert(again == n && memcmp(ids, ids_again, n * sizeof *ids) == 0);
        memory_free(ids_again);
    }
    free(back);
}

/* Sentences follow each other, are not empty, and leave out white space alone. */
static void check_sentences(const char *text, size_t bytes)
{
    struct text_span sentence;
    size_t at = 0, before = 0;
    if (!utf8_is_valid(text, bytes, NULL)) return;
    while (segments_next(text, bytes, &at, &sentence)) {
        assert(sentence.start >= before && sentence.end > sentence.start && sentence.end <= bytes);
        assert(at == sentence.end);
        before = at;
    }
}

/* Ids and places of n-grams are as many, and places are in the text. */
static void check_ngrams(const struct tokenizer *t, const struct input *in, const int32_t *ids, size_t n)
{
    struct text_span *places = calloc(n + 1, sizeof *places);
    if (!places) abort();
    assert(tokenizer_places(t, in->text, in->n_text, places, n + 1) == n);
    for (size_t i = 0; i < n; i++) {
        assert(ids[i] >= 0 && (size_t)ids[i] < tokenizer_size(t));
        assert(places[i].start < places[i].end && places[i].end <= in->n_text);
    }
    free(places);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct input in;
    struct tokenizer *t;
    struct error err = {.message = ""};
    int32_t *ids;
    size_t n;
    if (size == 0) return 0;
    read_input((const char *)data + 1, size - 1, &in);
    check_sentences(in.text, in.n_text);
    unsigned choice = data[0];
    struct tokenizer_spec spec = {
        .type = !(choice & BPE) ? types[choice & 3] : (choice & 3) == 3 ? "none" : "bpe",
        .unknown = !(choice & BPE) && (choice & 3) == 3 ? "shape" : NULL, .lowercase = choice & LOWERCASE,
        .vocabulary = !(choice & BPE) && (choice & 3) == 1 ? NULL : in.entries, .vocabulary_bytes = in.bytes,
        .n_vocabulary = in.n,
        .unk_token = choice & UNK ? in.names[0] : NULL,
        .bos_token = choice & BOS ? in.names[1] : NULL,
        .eos_token = choice & EOS ? in.names[2] : NULL};
    bool ngrams = (choice & MERGES) && !(choice & BPE);
    if (ngrams) {
        spec.type = gram_types[choice & 3];
        spec.vocabulary = in.entries;
        spec.unknown = NULL;
        for (size_t i = 0; i < 3; i++) /* the longest first, or single tokens */
            if (i < 2 || !(choice & EOS)) spec.ngrams[spec.n_ngrams++] = choice & BOS ? 3 - i : i + 1;
    }
    const char *merges[MAX_ENTRIES];
    size_t merges_bytes[MAX_ENTRIES];
    for (size_t i = 0; !ngrams && (choice & MERGES) && i < in.n; i++) {
        if (!memchr(in.entries[i], ' ', in.bytes[i])) continue;
        merges[spec.n_merges] = in.entries[i];
        merges_bytes[spec.n_merges++] = in.bytes[i];
    }
    if (spec.n_merges) {
        spec.merges = merges;
        spec.merges_bytes = merges_bytes;
    }
    if (tokenizer_new(&spec, &t, &err) != STATUS_OK) {
        assert(err.message[0]);
        return 0;
    }
    if (tokenizer_encode(t, in.text, in.n_text, 10000, &ids, &n, &err) == STATUS_OK) {
        if (ngrams) check_ngrams(t, &in, ids, n);
        else
            check_back(t, &in, ids, n,
                       !spec.lowercase && strcmp(spec.type, "words") && strcmp(spec.type, "bpe"));
        memory_free(ids);
    } else {
        assert(err.message[0]);
    }
    tokenizer_free(t);
    return 0;
}
