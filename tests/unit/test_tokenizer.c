/* tokenizers: text to ids and back, for each type, and the sentences for what has no id. */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/memory.h"
#include "models/tokenizers/tokenizer.h"

enum { MAX_ENTRIES = 16 };

/* A tokenizer as a test writes it down; entries end with NULL. */
struct sketch {
    const char *type, *entries[MAX_ENTRIES];
    const char *unk, *bos, *eos;
    bool lowercase;
    const char *unknown;
    size_t ngrams[TOKENIZER_MAX_NGRAM]; /* end with 0 */
    const char *filters;
};

static enum status make(const struct sketch *sketch, struct tokenizer **out, struct error *err)
{
    size_t bytes[MAX_ENTRIES], n = 0;
    for (; sketch->entries[n]; n++) bytes[n] = strlen(sketch->entries[n]);
    struct tokenizer_spec spec = {
        .type = sketch->type, .vocabulary = n ? sketch->entries : NULL, .vocabulary_bytes = bytes,
        .n_vocabulary = n, .unk_token = sketch->unk, .bos_token = sketch->bos,
        .eos_token = sketch->eos, .lowercase = sketch->lowercase, .unknown = sketch->unknown,
        .filters = sketch->filters};
    while (spec.n_ngrams < TOKENIZER_MAX_NGRAM && sketch->ngrams[spec.n_ngrams]) {
        spec.ngrams[spec.n_ngrams] = sketch->ngrams[spec.n_ngrams];
        spec.n_ngrams++;
    }
    return tokenizer_new(&spec, out, err);
}

static const struct sketch letters = {"characters", {"a", "b", "\xc3\xa9", "\xf0\x9f\x90\x8e", "\n"},
                                      NULL, NULL, NULL, false, NULL, {0}, NULL};
static const struct sketch letters_unk = {"characters", {"<unk>", "a", "b", "<s>"}, "<unk>", "<s>",
                                          NULL, false, NULL, {0}, NULL};
static const struct sketch skipping = {
    .type = "characters", .entries = {"a", "B", "\xc3\xa9"}, .unknown = "skip"};
static const struct sketch folding = {
    .type = "characters", .unknown = "fold",
    .entries = {"a", "B", "s", "'", "-", ".", "e", "(", "\xc3\xa9", " "}};
static const struct sketch bytes_only = {"bytes", {NULL}, NULL, NULL, "\n", false, NULL, {0}, NULL};
static const struct sketch separated = {"characters", {"\n", "a", "b"}, NULL, "\n", "\n", false, NULL, {0},
                                        NULL};
static const struct sketch words = {
    "words", {"the", "cat", "don't", "caf\xc3\xa9", ",", ".", "x2", "the.", "unk", "</s>"},
    NULL, NULL, "</s>", false, NULL, {0}, NULL};
static const struct sketch words_low = {"words", {"unk", "the", "cat", "!", "A"}, "unk", NULL, NULL,
                                        true, NULL, {0}, NULL};

static const struct sketch keras = {"words_keras", {"<pad>", "the", "film", "don't", "caf\xc3\xa9"},
                                    NULL, NULL, NULL, true, NULL, {0}, NULL};
static const struct sketch keras_unk = {"words_keras", {"<pad>", "<OOV>", "the"}, "<OOV>", NULL, NULL, false,
                                        NULL, {0}, NULL};

/* filters='.;', split='|': nothing else lies between words. */
static const struct sketch keras_bar = {.type = "words_keras",
                                        .entries = {"<pad>", "the film", "don't", "a\r"},
                                        .lowercase = true,
                                        .filters = ".;\xe2\x80\x94|"};
static const struct sketch spaces = {"whitespace", {"the", "end.", "caf\xc3\xa9", "don't", "a,b", "unk"},
                                     "unk", NULL, NULL, true, NULL, {0}, NULL};
static const struct sketch spaces_strict = {.type = "whitespace", .entries = {"a"}};

static const struct sketch shapes = {
    .type = "words", .unk = "<unk>", .unknown = "shape",
    .entries = {"<unk>", "play", "Play", "<Xxxxx:ing>", "<Xxxxx:ng>", "<xxxx:g>", "<xxxx>", "<dd:42>", "<dd>",
                "<x'x:i't>", "<X:a>", "<:>", "<xxx:\xc3\xa9t\xc3\xa9>"}};
static const struct sketch shapes_strict = {
    .type = "words", .unknown = "shape", .entries = {"play", "<xxxx>"}};

/* What each makes of a text: ids end with TOKEN_NONE. */
static const struct sketch pairs = {
    .type = "words", .entries = {"<unk>", "not", "good", "not good", "good !", "!", "a not"}, .unk = "<unk>",
    .ngrams = {1, 2}};
static const struct sketch pairs_low = {
    .type = "words_keras", .entries = {"<pad>", "the", "film", "the film", "not the"}, .lowercase = true,
    .ngrams = {1, 2}};
static const struct sketch thirds = {
    .type = "characters", .entries = {"ing", "ng ", "\xc3\xa9t\xc3\xa9"}, .ngrams = {3}};
static const struct sketch downwards = {
    .type = "whitespace", .entries = {"a b", "a", "b", "a b a"}, .ngrams = {3, 1, 2}};

static const struct {
    const struct sketch *sketch;
    const char *text;
    size_t bytes; /* 0: strlen */
    int32_t ids[MAX_ENTRIES];
} encodings[] = {
    {&letters, "", 0, {TOKEN_NONE}},
    {&letters, "ab\xc3\xa9\xf0\x9f\x90\x8e\n", 0, {0, 1, 2, 3, 4, TOKEN_NONE}},
    {&letters_unk, "ba?", 0, {2, 1, 0, TOKEN_NONE}},
    {&letters_unk, "<s>", 0, {0, 0, 0, TOKEN_NONE}}, /* a special token's name is only text */
    {&letters_unk, "a\0b", 3, {1, 0, 2, TOKEN_NONE}},
    {&skipping, "a1b\xc3\xa8" "B\n\xc3\xa9", 0, {0, 1, 2, TOKEN_NONE}},
    {&folding, "A b", 0, {0, 9, 1, TOKEN_NONE}},
    {&folding, "\xc3\x84\xc3\xa9\xc3\xa8", 0, {0, 8, 6, TOKEN_NONE}},
    {&folding, "\xc3\xa6\xc3\x9f", 0, {0, 6, 2, 2, TOKEN_NONE}},
    {&folding, "\xe2\x80\x9c\xe2\x80\x99`\"", 0, {3, 3, 3, 3, TOKEN_NONE}},
    {&folding, "\xe2\x80\x94\xe2\x80\xa6[", 0, {4, 4, 5, 5, 5, 7, TOKEN_NONE}},
    {&folding, "e\xcc\x81\xef\xbc\xa1\xe1\xba\xa5\xf0\x9f\x98\x80" "7\r", 0, {6, 0, 0, TOKEN_NONE}},
    {&bytes_only, "A\0\xff\n", 4, {65, 0, 255, 10, TOKEN_NONE}},
    {&words, "the cat", 0, {0, 1, TOKEN_NONE}},
    {&words, " \t\r\n\v\fthe\n\ncat  ", 0, {0, 1, TOKEN_NONE}},
    {&words, "the cat, don't caf\xc3\xa9.", 0, {0, 1, 4, 2, 3, 5, TOKEN_NONE}},
    {&words, "the.x2", 0, {0, 5, 6, TOKEN_NONE}}, /* "the." can never be produced */
    {&words_low, "THE Cat! dog", 0, {1, 2, 3, 0, TOKEN_NONE}},
    {&keras, "The film: don't (caf\xc3\xa9)!", 0, {1, 2, 3, 4, TOKEN_NONE}},
    {&keras, "the <pad> unseen-film", 0, {1, 2, TOKEN_NONE}}, /* what is unknown is dropped */
    {&keras_bar, "|The film.;don't\xe2\x80\x94 a|a\r;the  film", 0, {1, 2, 3, TOKEN_NONE}},
    {&keras_unk, "the unseen The", 0, {2, 1, 1, TOKEN_NONE}},
    {&spaces, "The\tend. the\r\n caf\xc3\xa9\v a,b end ", 0, {0, 1, 0, 2, 4, 5, TOKEN_NONE}},
    {&spaces, "\xe3\x80\x80the\xc2\xa0" "don't\xe2\x80\xafthe\x1c", 0, {0, 3, 0, TOKEN_NONE}},
    {&spaces, " \xc2\x85 ", 0, {TOKEN_NONE}},
    {&shapes, "play Play PLAY pLAY", 0, {1, 2, 1, 1, TOKEN_NONE}},
    {&shapes, "Walking Spring Strong", 0, {3, 3, 4, TOKEN_NONE}},        /* ending by ending: ing, ng */
    {&shapes, "walking Walkin", 0, {5, 0, TOKEN_NONE}},              /* g, then nothing */
    {&shapes, "WalkiNG Xxxxx", 0, {0, 0, TOKEN_NONE}},               /* the shape of the whole word counts */
    {&shapes, "evermore xxxxx", 0, {6, 6, TOKEN_NONE}},
    {&shapes, "42 17 7 2000", 0, {7, 8, 0, 0, TOKEN_NONE}},
    {&shapes, "i't A : ;", 0, {9, 10, 11, 0, TOKEN_NONE}},
    {&shapes, "\xc3\xa9t\xc3\xa9 \xc3\xa9tat", 0, {12, 6, TOKEN_NONE}}, /* characters, not bytes */
    {&shapes, "<dd> <unk>", 0, {0, 0, 0, 0, 0, 0, TOKEN_NONE}},      /* an entry's name is only text */
    {&pairs, "not good!", 0, {1, 2, 5, 3, 4, TOKEN_NONE}},
    {&pairs, "a not", 0, {0, 1, 6, TOKEN_NONE}}, /* of a word that has no id of its own */
    {&pairs, "good not", 0, {2, 1, 0, TOKEN_NONE}},
    {&pairs, "not", 0, {1, TOKEN_NONE}},
    {&pairs, "", 0, {TOKEN_NONE}},
    {&pairs_low, "Not the: FILM", 0, {1, 2, 4, 3, TOKEN_NONE}},
    {&thirds, "sing \xc3\xa9t\xc3\xa9", 0, {0, 1, 2, TOKEN_NONE}},
    {&thirds, "in", 0, {TOKEN_NONE}},
    {&downwards, "a b  a", 0, {3, 1, 2, 1, 0, TOKEN_NONE}},
    {&words_low, "UNK A", 0, {0, 0, TOKEN_NONE}}, /* a special word, and an entry nothing lowers to */
};

START_TEST(texts_become_ids)
{
    struct tokenizer *tokenizer;
    struct error err = {.message = ""};
    const char *text = encodings[_i].text;
    size_t bytes = encodings[_i].bytes ? encodings[_i].bytes : strlen(text), n, expected = 0;
    int32_t *ids;
    ck_assert_int_eq(make(encodings[_i].sketch, &tokenizer, &err), STATUS_OK);
    ck_assert_msg(tokenizer_encode(tokenizer, text, bytes, 100, &ids, &n, &err) == STATUS_OK, "%s",
                  err.message);
    while (encodings[_i].ids[expected] != TOKEN_NONE) expected++;
    ck_assert_uint_eq(n, expected);
    ck_assert_int_eq(memcmp(ids, encodings[_i].ids, n * sizeof *ids), 0);
    ids[n] = 7; /* there is room for one more */
    memory_free(ids);
    tokenizer_free(tokenizer);
}
END_TEST

static const struct {
    const struct sketch *sketch;
    const char *text;
    size_t max_tokens;
    enum status status;
    const char *sentence;
} refusals[] = {
    {&letters, "abc", 9, STATUS_BAD_VALUE, "character 'c' (U+0063) at byte 2 is not in the vocabulary"},
    {&letters, "\xc3\xa9\xc3\xa8", 9, STATUS_BAD_VALUE,
     "character '\xc3\xa8' (U+00E8) at byte 2 is not in the vocabulary"},
    {&letters, "a\x07", 9, STATUS_BAD_VALUE, "character U+0007 at byte 1 is not in the vocabulary"},
    {&letters, "ab\xc3", 9, STATUS_BAD_FORMAT, "not UTF-8 at byte 2"},
    {&spaces_strict, "a bb", 9, STATUS_BAD_VALUE, "word 'bb' at byte 2 is not in the vocabulary"},
    {&spaces_strict, "a a\xff", 9, STATUS_BAD_FORMAT, "not UTF-8 at byte 3"},
    {&letters, "ab\xc0\x80", 9, STATUS_BAD_FORMAT, "not UTF-8 at byte 2"},
    {&letters, "\xed\xa0\x80", 9, STATUS_BAD_FORMAT, "not UTF-8 at byte 0"},
    {&letters, "abab", 3, STATUS_TOO_LONG, "more than 3 tokens"},
    {&letters, "a", 0, STATUS_TOO_LONG, "more than 0 tokens"},
    {&folding, "\xe2\x80\xa6", 2, STATUS_TOO_LONG, "more than 2 tokens"},
    {&words, "the dog", 9, STATUS_BAD_VALUE, "word 'dog' at byte 4 is not in the vocabulary"},
    {&words, "the;", 9, STATUS_BAD_VALUE, "word ';' (U+003B) at byte 3 is not in the vocabulary"},
    {&words, "the ca\xfft", 9, STATUS_BAD_FORMAT, "not UTF-8 at byte 6"},
    {&words, "the the cat", 2, STATUS_TOO_LONG, "more than 2 tokens"},
    {&shapes_strict, "other Other", 9, STATUS_BAD_VALUE, "word 'Other' at byte 6 is not in the vocabulary"},
    {&words, "</s>", 9, STATUS_BAD_VALUE, "word '<' (U+003C) at byte 0 is not in the vocabulary"},
};

START_TEST(what_has_no_id_is_named)
{
    struct tokenizer *tokenizer;
    struct error err = {.message = ""};
    const char *text = refusals[_i].text;
    int32_t *ids;
    size_t n;
    ck_assert_int_eq(make(refusals[_i].sketch, &tokenizer, &err), STATUS_OK);
    enum status status =
        tokenizer_encode(tokenizer, text, strlen(text), refusals[_i].max_tokens, &ids, &n, &err);
    ck_assert_int_eq(status, refusals[_i].status);
    ck_assert_str_eq(err.message, refusals[_i].sentence);
    tokenizer_free(tokenizer);
}
END_TEST

START_TEST(what_is_lost_is_told)
{
    struct tokenizer *tokenizer;
    struct tokenizer_loss loss = {0};
    const char *text = "a\xc3\xaa" "7\xc3\xaa" "8[";
    char sentence[256];
    int32_t *ids;
    size_t n;
    ck_assert_int_eq(make(&folding, &tokenizer, NULL), STATUS_OK);
    ck_assert(!tokenizer_loss_sentence(&loss, "prompt", sentence, sizeof sentence));
    ck_assert_int_eq(tokenizer_read(tokenizer, text, strlen(text), 9, &ids, &n, &loss, NULL), STATUS_OK);
    ck_assert(tokenizer_loss_sentence(&loss, "prompt", sentence, sizeof sentence));
    ck_assert_str_eq(sentence,
                     "'prompt' has 5 characters that are not in the vocabulary; 3 read as others, first "
                     "'\xc3\xaa' (U+00EA) at byte 1; 2 left out, first '7' (U+0037) at byte 3");
    ck_assert_uint_eq(tokenizer_first_bytes(tokenizer, "78\xc3\xaa", 4), 4);
    memory_free(ids);
    tokenizer_free(tokenizer);
}
END_TEST

static void detokenize(const struct tokenizer *tokenizer, const int32_t *ids, size_t n, char *out)
{
    int32_t previous = TOKEN_NONE;
    for (size_t i = 0; i < n; previous = ids[i++]) {
        size_t bytes = tokenizer_append(tokenizer, previous, ids[i], out);
        ck_assert_uint_le(bytes, tokenizer_max_piece(tokenizer));
        out += bytes;
    }
    *out = '\0';
}

static const struct {
    const struct sketch *sketch;
    int32_t ids[8];
    size_t n;
    const char *text;
} decodings[] = {
    {&letters, {1, 0, 2, 3}, 4, "ba\xc3\xa9\xf0\x9f\x90\x8e"},
    {&letters_unk, {3, 1, 0, 2}, 4, "ab"}, /* special tokens add nothing */
    {&bytes_only, {65, 66, 10, 67}, 4, "AB\nC"}, /* eos is a character too, which texts may hold */
    {&separated, {0, 1, 0, 2, 0}, 5, "\na\nb\n"}, /* so are bos and eos here */
    {&words, {0, 1, 4, 2, 5, 9}, 6, "the cat , don't ."},
    {&words, {9, 1}, 2, "cat"},
    {&shapes, {3, 2, 1, 8}, 4, "Play play"}, /* what stands for words is no text */
};

START_TEST(ids_become_text)
{
    struct tokenizer *tokenizer;
    struct error err;
    char text[64];
    ck_assert_int_eq(make(decodings[_i].sketch, &tokenizer, &err), STATUS_OK);
    detokenize(tokenizer, decodings[_i].ids, decodings[_i].n, text);
    ck_assert_str_eq(text, decodings[_i].text);
    tokenizer_free(tokenizer);
}
END_TEST

/* White space before a word belongs to it; a character that is not in the vocabulary is as long as it is. */
START_TEST(the_first_token_has_a_length)
{
    struct tokenizer *tokenizer;
    ck_assert_int_eq(make(&words, &tokenizer, NULL), STATUS_OK);
    ck_assert_uint_eq(tokenizer_first_bytes(tokenizer, "  cat sat", 9), 5);
    ck_assert_uint_eq(tokenizer_first_bytes(tokenizer, "  ", 2), 2);
    tokenizer_free(tokenizer);
    ck_assert_int_eq(make(&letters_unk, &tokenizer, NULL), STATUS_OK);
    ck_assert_uint_eq(tokenizer_first_bytes(tokenizer, "\xc3\xa9" "ab", 4), 2);
    ck_assert_uint_eq(tokenizer_first_bytes(tokenizer, "\xff", 1), 0);
    tokenizer_free(tokenizer);
}
END_TEST

/* A word whose shape is longer than any entry, and one of the longest that an entry may have. */
START_TEST(long_words_have_a_shape_or_none)
{
    enum { BYTES = 3000 };
    struct tokenizer *tokenizer;
    char text[BYTES];
    int32_t *ids;
    size_t n;
    ck_assert_int_eq(make(&shapes, &tokenizer, NULL), STATUS_OK);
    for (size_t i = 0; i < BYTES; i++) text[i] = i % 2 ? 'x' : 'X';
    for (size_t bytes = 990; bytes < 1040; bytes++) {
        ck_assert_int_eq(tokenizer_encode(tokenizer, text, bytes, 9, &ids, &n, NULL), STATUS_OK);
        ck_assert_uint_eq(n, 1);
        ck_assert_int_eq(ids[0], 0);
        memory_free(ids);
    }
    memset(text, 'q', BYTES);
    ck_assert_int_eq(tokenizer_encode(tokenizer, text, BYTES, 9, &ids, &n, NULL), STATUS_OK);
    ck_assert_int_eq(ids[0], 6);
    memory_free(ids);
    tokenizer_free(tokenizer);
}
END_TEST

START_TEST(facts_are_told)
{
    struct tokenizer *tokenizer;
    size_t bytes;
    ck_assert_int_eq(make(&letters_unk, &tokenizer, NULL), STATUS_OK);
    ck_assert_str_eq(tokenizer_type(tokenizer), "characters");
    ck_assert_uint_eq(tokenizer_size(tokenizer), 4);
    ck_assert_int_eq(tokenizer_unk(tokenizer), 0);
    ck_assert_int_eq(tokenizer_bos(tokenizer), 3);
    ck_assert_int_eq(tokenizer_eos(tokenizer), TOKEN_NONE);
    ck_assert_mem_eq(tokenizer_piece(tokenizer, 3, &bytes), "<s>", 3);
    ck_assert_uint_eq(bytes, 3);
    tokenizer_free(tokenizer);
    ck_assert_int_eq(make(&bytes_only, &tokenizer, NULL), STATUS_OK);
    ck_assert_uint_eq(tokenizer_size(tokenizer), 256);
    ck_assert_int_eq(tokenizer_eos(tokenizer), 10);
    tokenizer_free(tokenizer);
    tokenizer_free(NULL);
}
END_TEST

static const struct {
    struct sketch sketch;
    enum status status;
    const char *sentence;
} broken[] = {
    {{"letters", {"a"}, NULL, NULL, NULL, false, NULL, {0}, NULL}, STATUS_BAD_VALUE,
     "'type' is 'letters', expected characters, bytes, words, words_keras, whitespace or bpe"},
    {{"characters", {NULL}, NULL, NULL, NULL, false, NULL, {0}, NULL}, STATUS_BAD_VALUE,
     "'vocabulary' is missing for type 'characters'"},
    {{"bytes", {"a"}, NULL, NULL, NULL, false, NULL, {0}, NULL}, STATUS_BAD_VALUE,
     "'vocabulary' has no place for type 'bytes'"},
    {{.type = "words", .entries = {"t"}, .unknown = "skip"}, STATUS_BAD_VALUE,
     "'unknown' is 'skip', expected refuse or shape for type 'words'"},
    {{.type = "words_keras", .entries = {"t"}, .unknown = "shape"}, STATUS_BAD_VALUE,
     "'unknown' has no place for type 'words_keras', only for 'characters', 'bpe' and 'words'"},
    {{.type = "characters", .entries = {"t"}, .unk = "t", .unknown = "fold"}, STATUS_BAD_VALUE,
     "'unknown' has no use beside 'unk_token': leave one of them out"},
    {{.type = "characters", .entries = {"t"}, .unknown = "drop"}, STATUS_BAD_VALUE,
     "'unknown' is 'drop', expected refuse, skip or fold for type 'characters'"},
    {{.type = "bpe", .entries = {"t"}, .unknown = "shape"}, STATUS_BAD_VALUE,
     "'unknown' is 'shape', expected refuse, skip or fold for type 'bpe'"},
    {{.type = "words", .entries = {"t"}, .filters = "."}, STATUS_BAD_VALUE,
     "'filters' has no place for type 'words', only for 'words_keras'"},
    {{.type = "words_keras", .entries = {"t"}, .filters = ""}, STATUS_BAD_VALUE,
     "'filters' is empty, so no words are told apart"},
    {{"bytes", {NULL}, NULL, NULL, NULL, true, NULL, {0}, NULL}, STATUS_BAD_VALUE,
     "'lowercase' has no place for type 'bytes', only for 'characters' and 'words'"},
    {{"bytes", {NULL}, "a", NULL, NULL, false, NULL, {0}, NULL}, STATUS_BAD_VALUE,
     "'unk_token' has no use: every byte has an id"},
    {{"bytes", {NULL}, NULL, "<s>", NULL, false, NULL, {0}, NULL}, STATUS_BAD_VALUE,
     "'bos_token' is '<s>', which is not in the vocabulary"},
    {{"words", {"a", "b", "a"}, NULL, NULL, NULL, false, NULL, {0}, NULL}, STATUS_BAD_VALUE,
     "vocabulary: entries 0 and 2 are both 'a'"},
    {{"words", {"a", ""}, NULL, NULL, NULL, false, NULL, {0}, NULL}, STATUS_BAD_VALUE,
     "vocabulary: entry 1 is empty"},
    {{"words", {"a", "b\xff"}, NULL, NULL, NULL, false, NULL, {0}, NULL}, STATUS_BAD_FORMAT,
     "vocabulary: entry 1 is not UTF-8 at its byte 1"},
    {{"words", {"a", "b"}, "c", NULL, NULL, false, NULL, {0}, NULL}, STATUS_BAD_VALUE,
     "'unk_token' is 'c', which is not in the vocabulary"},
    {{.type = "bytes", .ngrams = {1, 2}}, STATUS_BAD_VALUE,
     "'ngrams' has no place for type 'bytes', only for 'characters' and those of words"},
    {{.type = "bpe", .entries = {"a"}, .ngrams = {2}}, STATUS_BAD_VALUE,
     "'ngrams' has no place for type 'bpe', only for 'characters' and those of words"},
    {{.type = "words", .entries = {"a"}, .ngrams = {1, 6}}, STATUS_BAD_VALUE,
     "'ngrams': 6, expected lengths from 1 to 5"},
    {{.type = "words", .entries = {"a"}, .ngrams = {2, 2}}, STATUS_BAD_VALUE,
     "'ngrams': 2 is there twice, expected lengths from 1 to 5"},
    {{.type = "characters", .entries = {"a"}, .unknown = "skip", .ngrams = {2}}, STATUS_BAD_VALUE,
     "'unknown' has no use beside 'ngrams'"},
    {{"words", {"a", "b"}, "a", NULL, "a", false, NULL, {0}, NULL}, STATUS_BAD_VALUE,
     "'unk_token' is also 'eos_token', expected a token of its own"},
};

START_TEST(broken_vocabularies_are_refused)
{
    struct tokenizer *tokenizer;
    struct error err = {.message = ""};
    ck_assert_int_eq(make(&broken[_i].sketch, &tokenizer, &err), broken[_i].status);
    ck_assert_str_eq(err.message, broken[_i].sentence);
}
END_TEST

START_TEST(letters_may_be_lowered)
{
    const struct sketch sketch = {"characters", {"<s>", "a", "b"}, NULL, "<s>", NULL, true, NULL, {0}, NULL};
    struct tokenizer *tokenizer;
    int32_t *ids;
    size_t n;
    ck_assert_int_eq(make(&sketch, &tokenizer, NULL), STATUS_OK);
    ck_assert_int_eq(tokenizer_encode(tokenizer, "aBA", 3, 8, &ids, &n, NULL), STATUS_OK);
    ck_assert_uint_eq(n, 3);
    ck_assert(ids[0] == 1 && ids[1] == 2 && ids[2] == 1);
    memory_free(ids);
    tokenizer_free(tokenizer);
}
END_TEST

START_TEST(one_token_may_begin_and_end)
{
    const struct sketch sketch = {"characters", {".", "a"}, NULL, ".", ".", false, NULL, {0}, NULL};
    struct tokenizer *tokenizer;
    ck_assert_int_eq(make(&sketch, &tokenizer, NULL), STATUS_OK);
    ck_assert_int_eq(tokenizer_bos(tokenizer), 0);
    ck_assert_int_eq(tokenizer_eos(tokenizer), 0);
    tokenizer_free(tokenizer);
}
END_TEST

/* An entry may hold a zero byte; files of vocabulary can. */
START_TEST(a_zero_byte_is_a_character)
{
    const char *const entries[] = {"\0", "a"};
    const size_t bytes[] = {1, 1};
    struct tokenizer_spec spec = {.type = "characters", .vocabulary = entries,
                                  .vocabulary_bytes = bytes, .n_vocabulary = 2};
    struct tokenizer *tokenizer;
    int32_t *ids;
    size_t n;
    ck_assert_int_eq(tokenizer_new(&spec, &tokenizer, NULL), STATUS_OK);
    ck_assert_int_eq(tokenizer_encode(tokenizer, "a\0", 2, 9, &ids, &n, NULL), STATUS_OK);
    ck_assert_uint_eq(n, 2);
    ck_assert_int_eq(ids[0], 1);
    ck_assert_int_eq(ids[1], 0);
    memory_free(ids);
    tokenizer_free(tokenizer);
}
END_TEST

/* Each n-gram stands where its tokens do; a long one is no entry; as many as there is room for. */
START_TEST(ngrams_have_places_and_limits)
{
    struct tokenizer *tokenizer;
    struct error err = {.message = ""};
    struct text_span places[8];
    int32_t *ids;
    size_t n;
    const size_t *lengths;
    char *text = calloc(3000, 1);
    ck_assert_int_eq(make(&pairs, &tokenizer, &err), STATUS_OK);
    ck_assert_uint_eq(tokenizer_ngrams(tokenizer, &lengths), 2);
    ck_assert_uint_eq(lengths[1], 2);
    ck_assert_uint_eq(tokenizer_places(tokenizer, "not  good!", 10, places, 8), 5);
    ck_assert_uint_eq(places[3].start, 0);
    ck_assert_uint_eq(places[3].end, 9);
    ck_assert_uint_eq(places[4].start, 5);
    ck_assert_uint_eq(places[4].end, 10);
    ck_assert_uint_eq(tokenizer_places(tokenizer, "not good", 8, places, 2), 2);
    ck_assert_int_eq(tokenizer_encode(tokenizer, "not good!", 9, 4, &ids, &n, &err), STATUS_TOO_LONG);
    ck_assert_int_eq(tokenizer_encode(tokenizer, "not \xff", 5, 9, &ids, &n, &err), STATUS_BAD_FORMAT);
    memset(text, 'a', 2999);
    text[1500] = ' ';
    ck_assert_int_eq(tokenizer_encode(tokenizer, text, 2999, 9, &ids, &n, &err), STATUS_OK);
    ck_assert_uint_eq(n, 3);
    ck_assert_int_eq(ids[2], 0);
    memory_free(ids);
    tokenizer_free(tokenizer);
    ck_assert_int_eq(make(&downwards, &tokenizer, &err), STATUS_OK);
    ck_assert_int_eq(tokenizer_encode(tokenizer, "a c", 3, 9, &ids, &n, &err), STATUS_BAD_VALUE);
    ck_assert_str_eq(err.message, "word 'c' (U+0063) at byte 2 is not in the vocabulary");
    tokenizer_free(tokenizer);
    free(text);
}
END_TEST

START_TEST(no_memory_is_survived_everywhere)
{
    for (uint64_t nth = 1;; nth++) {
        struct tokenizer *tokenizer = NULL;
        struct error err;
        int32_t *ids = NULL;
        size_t n;
        memory_fail_at(nth);
        enum status status = make(&words, &tokenizer, &err);
        if (status == STATUS_OK)
            status = tokenizer_encode(tokenizer, "the cat", 7, 9, &ids, &n, &err);
        memory_fail_at(0);
        memory_free(ids);
        tokenizer_free(tokenizer);
        if (status == STATUS_OK) break;
        ck_assert_int_eq(status, STATUS_NO_MEMORY);
    }
}
END_TEST

Suite *tokenizer_suite(void);

Suite *tokenizer_suite(void)
{
    Suite *suite = suite_create("tokenizer");
    TCase *core = tcase_create("texts and ids");
    tcase_add_loop_test(core, texts_become_ids, 0, sizeof encodings / sizeof *encodings);
    tcase_add_loop_test(core, what_has_no_id_is_named, 0, sizeof refusals / sizeof *refusals);
    tcase_add_test(core, what_is_lost_is_told);
    tcase_add_loop_test(core, ids_become_text, 0, sizeof decodings / sizeof *decodings);
    suite_add_tcase(suite, core);
    TCase *vocabulary = tcase_create("vocabularies");
    tcase_add_test(vocabulary, the_first_token_has_a_length);
    tcase_add_test(vocabulary, long_words_have_a_shape_or_none);
    tcase_add_test(vocabulary, facts_are_told);
    tcase_add_loop_test(vocabulary, broken_vocabularies_are_refused, 0,
                        sizeof broken / sizeof *broken);
    tcase_add_test(vocabulary, ngrams_have_places_and_limits);
    tcase_add_test(vocabulary, one_token_may_begin_and_end);
    tcase_add_test(vocabulary, letters_may_be_lowered);
    tcase_add_test(vocabulary, a_zero_byte_is_a_character);
    tcase_add_test(vocabulary, no_memory_is_survived_everywhere);
    suite_add_tcase(suite, vocabulary);
    return suite;
}
