/* bpe: texts as sentencepiece and Hugging Face's tokenizers read and write them
 * (tests/unit/tokenizers/make.py); places, losses, long words, lists of merges that cannot be. */
#include <check.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/memory.h"
#include "models/tokenizers/tokenizer.h"

Suite *bpe_suite(void);

#define FOLDER "tests/unit/tokenizers/"
enum { MAX_LINES = 1024, MAX_TEXT = 1024, MAX_IDS = 256 };

/* The lines of a file. */
struct lines {
    char *text;
    const char *entries[MAX_LINES];
    size_t bytes[MAX_LINES], n;
};

static struct lines spm_vocabulary, hf_vocabulary, hf_merges, cases;
static struct tokenizer *spm, *hf;

static void read_lines(const char *path, struct lines *lines)
{
    enum { ROOM = 1 << 17 };
    FILE *file = fopen(path, "rb");
    ck_assert_ptr_nonnull(file);
    lines->text = malloc(ROOM);
    ck_assert_ptr_nonnull(lines->text);
    size_t n = fread(lines->text, 1, ROOM - 1, file);
    fclose(file);
    ck_assert_uint_lt(n, ROOM - 1);
    lines->text[n] = '\0';
    lines->n = 0;
    for (char *line = lines->text, *stop; (stop = strchr(line, '\n')); line = stop + 1) {
        ck_assert_uint_lt(lines->n, MAX_LINES);
        *stop = '\0';
        lines->entries[lines->n] = line;
        lines->bytes[lines->n++] = (size_t)(stop - line);
    }
}

static struct tokenizer *make(const struct lines *vocabulary, const struct lines *merges)
{
    struct tokenizer_spec spec = {.type = "bpe", .vocabulary = vocabulary->entries,
                                  .vocabulary_bytes = vocabulary->bytes, .n_vocabulary = vocabulary->n,
                                  .unk_token = "<unk>", .bos_token = "<s>", .eos_token = "</s>"};
    if (merges) {
        spec.merges = merges->entries;
        spec.merges_bytes = merges->bytes;
        spec.n_merges = merges->n;
    }
    struct tokenizer *tokenizer;
    struct error err = {.message = ""};
    ck_assert_msg(tokenizer_new(&spec, &tokenizer, &err) == STATUS_OK, "%s", err.message);
    return tokenizer;
}

static void setup(void)
{
    read_lines(FOLDER "spm.txt", &spm_vocabulary);
    read_lines(FOLDER "hf.txt", &hf_vocabulary);
    read_lines(FOLDER "merges.txt", &hf_merges);
    read_lines(FOLDER "cases.txt", &cases);
    spm = make(&spm_vocabulary, NULL);
    hf = make(&hf_vocabulary, &hf_merges);
}

static void teardown(void)
{
    tokenizer_free(spm);
    tokenizer_free(hf);
    free(spm_vocabulary.text);
    free(hf_vocabulary.text);
    free(hf_merges.text);
    free(cases.text);
}

static size_t join(const struct tokenizer *tokenizer, const int32_t *ids, size_t n, char *out)
{
    size_t bytes = 0;
    for (size_t i = 0; i < n; i++) {
        ck_assert_uint_lt(bytes + tokenizer_max_piece(tokenizer), MAX_TEXT);
        bytes += tokenizer_append(tokenizer, i ? ids[i - 1] : TOKEN_NONE, ids[i], out + bytes);
    }
    out[bytes] = '\0';
    return bytes;
}

/* name, text, ids, decoded text, with tabs between. */
static void check_case(const char *line)
{
    char copy[4 * MAX_TEXT], back[MAX_TEXT];
    struct error err = {.message = ""};
    int32_t *ids;
    size_t n, i = 0;
    ck_assert_uint_lt(strlen(line), sizeof copy);
    strcpy(copy, line);
    char *text = strchr(copy, '\t') + 1, *expected = strchr(text, '\t') + 1,
         *decoded = strchr(expected, '\t') + 1;
    text[-1] = expected[-1] = decoded[-1] = '\0';
    const struct tokenizer *tokenizer = strcmp(copy, "spm") ? hf : spm;
    ck_assert_msg(tokenizer_encode(tokenizer, text, strlen(text), MAX_IDS, &ids, &n, &err) == STATUS_OK, "%s",
                  err.message);
    for (char *end; *expected; expected = end + (*end == ' '), i++) {
        long id = strtol(expected, &end, 10);
        ck_assert_msg(i < n && ids[i] == id, "%s: token %zu of '%s' is %d, expected %ld", copy, i, text,
                      i < n ? (int)ids[i] : -1, id);
    }
    ck_assert_uint_eq(i, n);
    bool has_unknown = false;
    for (i = 0; i < n; i++) has_unknown |= ids[i] == tokenizer_unk(tokenizer);
    join(tokenizer, ids, n, back);
    if (!has_unknown) ck_assert_str_eq(back, decoded);
    memory_free(ids);
}

START_TEST(texts_are_read_and_written_as_elsewhere)
{
    ck_assert_uint_gt(cases.n, 160);
    for (size_t i = 0; i < cases.n; i++) check_case(cases.entries[i]);
}
END_TEST

START_TEST(tokens_have_places)
{
    static const char text[] = "  the the\xe2\x82\xac\xe2\x82\xacx";
    struct error err;
    struct text_span places[MAX_IDS];
    char piece[8];
    int32_t *ids;
    size_t n, at = 0;
    ck_assert_int_eq(tokenizer_encode(spm, text, strlen(text), MAX_IDS, &ids, &n, &err), STATUS_OK);
    ck_assert_uint_eq(tokenizer_places(spm, text, strlen(text), places, MAX_IDS), n);
    ck_assert_uint_eq(places[0].start, 2); /* the space before a word is no part of it */
    ck_assert_uint_eq(places[0].end, 5);
    ck_assert_uint_eq(tokenizer_first_bytes(spm, text, strlen(text)), 5);
    for (size_t i = 0; i < n; i++) {
        ck_assert_uint_ge(places[i].start, at);
        at = places[i].end;
        if (ids[i] == tokenizer_unk(spm)) ck_assert_uint_eq(places[i].end - places[i].start, 6);
    }
    ck_assert_uint_eq(at, strlen(text));
    ck_assert_uint_eq(tokenizer_append(spm, TOKEN_NONE, ids[0], piece), 3);
    ck_assert_uint_eq(tokenizer_append(spm, tokenizer_bos(spm), ids[0], piece), 3);
    ck_assert_uint_eq(tokenizer_append(spm, tokenizer_unk(spm), ids[0], piece), 4);
    memory_free(ids);
}
END_TEST

/* Cut or not, every character is there again. */
START_TEST(long_words_come_back)
{
    enum { N = 5000 };
    static char text[N + 1], back[N + 1];
    struct error err;
    int32_t *ids;
    size_t n, bytes = 0;
    for (size_t i = 0; i < N; i++) text[i] = "etaoinshr"[(i * i / 7) % 9];
    ck_assert_int_eq(tokenizer_encode(hf, text, N, N, &ids, &n, &err), STATUS_OK);
    for (size_t i = 0; i < n; i++)
        bytes += tokenizer_append(hf, i ? ids[i - 1] : TOKEN_NONE, ids[i], back + bytes);
    ck_assert_uint_eq(bytes, N);
    ck_assert_mem_eq(text, back, N);
    memory_free(ids);
    ck_assert_int_eq(tokenizer_encode(hf, text, N, 20, &ids, &n, &err), STATUS_TOO_LONG);
    ck_assert_int_eq(tokenizer_encode(hf, "the \xff", 5, 20, &ids, &n, &err), STATUS_BAD_FORMAT);
    ck_assert_str_eq(err.message, "not UTF-8 at byte 4");
}
END_TEST

/* ---- by hand ----------------------------------------------------------------------------------- */

struct sketch {
    const char *vocabulary[12], *merges[4], *unknown;
};

static enum status make_sketch(const struct sketch *sketch, struct tokenizer **out, struct error *err)
{
    size_t bytes[12], merges_bytes[4], n = 0, n_merges = 0;
    for (; sketch->vocabulary[n]; n++) bytes[n] = strlen(sketch->vocabulary[n]);
    for (; sketch->merges[n_merges]; n_merges++) merges_bytes[n_merges] = strlen(sketch->merges[n_merges]);
    const struct tokenizer_spec spec = {.type = "bpe", .vocabulary = sketch->vocabulary,
                                        .vocabulary_bytes = bytes, .n_vocabulary = n,
                                        .merges = n_merges ? sketch->merges : NULL,
                                        .merges_bytes = merges_bytes, .n_merges = n_merges,
                                        .unknown = sketch->unknown};
    return tokenizer_new(&spec, out, err);
}

#define MARK "\xe2\x96\x81"

START_TEST(characters_may_be_folded_before_they_merge)
{
    const struct sketch sketch = {{MARK, "e", "t", "et", MARK "et"}, {NULL}, "fold"};
    struct tokenizer *tokenizer;
    struct tokenizer_loss loss = {0};
    struct error err = {.message = ""};
    int32_t *ids;
    size_t n;
    ck_assert_int_eq(make_sketch(&sketch, &tokenizer, &err), STATUS_OK);
    ck_assert_int_eq(tokenizer_read(tokenizer, "\xc3\xa9T7 t", 6, 9, &ids, &n, &loss, &err), STATUS_OK);
    ck_assert_uint_eq(n, 3);
    ck_assert(ids[0] == 4 && ids[1] == 0 && ids[2] == 2);
    ck_assert_uint_eq(loss.n_folded, 2);
    ck_assert_uint_eq(loss.n_skipped, 1);
    memory_free(ids);
    tokenizer_free(tokenizer);
}
END_TEST

START_TEST(a_character_without_an_id_is_named)
{
    const struct sketch sketch = {{MARK, "a", "b"}, {NULL}, NULL};
    struct tokenizer *tokenizer;
    struct error err = {.message = ""};
    int32_t *ids;
    size_t n;
    ck_assert_int_eq(make_sketch(&sketch, &tokenizer, &err), STATUS_OK);
    ck_assert_int_eq(tokenizer_encode(tokenizer, "a bcb", 5, 9, &ids, &n, &err), STATUS_BAD_VALUE);
    ck_assert_str_eq(err.message, "character 'c' (U+0063) at byte 3 is not in the vocabulary");
    tokenizer_free(tokenizer);
}
END_TEST

static const struct {
    struct sketch sketch;
    const char *sentence;
} broken[] = {
    {{{"a", "b"}, {NULL}, NULL}, "the vocabulary has no '" MARK "' (U+2581), with which words begin"},
    {{{MARK, "a", "b", "ab"}, {"a  b"}, NULL},
     "merges: entry 0 is 'a  b', expected two pieces with a space between"},
    {{{MARK, "a", "b", "ab"}, {"ab"}, NULL},
     "merges: entry 0 is 'ab', expected two pieces with a space between"},
    {{{MARK, "a", "b", "ab"}, {"a b", "b a"}, NULL},
     "merges: entry 1 is 'b a': expected both pieces, and both together, in the vocabulary"},
    {{{MARK, "a", "b", "ab"}, {"a b", "a b"}, NULL}, "merges: entries 0 and 1 are the same"},
    {{{"a", "b", "a"}, {NULL}, NULL}, "vocabulary: entries 0 and 2 are both 'a'"},
};

START_TEST(lists_that_cannot_be_are_refused)
{
    struct tokenizer *tokenizer;
    struct error err = {.message = ""};
    ck_assert_int_ne(make_sketch(&broken[_i].sketch, &tokenizer, &err), STATUS_OK);
    ck_assert_str_eq(err.message, broken[_i].sentence);
}
END_TEST

Suite *bpe_suite(void)
{
    Suite *suite = suite_create("bpe");
    TCase *core = tcase_create("core");
    tcase_add_checked_fixture(core, setup, teardown);
    tcase_add_test(core, texts_are_read_and_written_as_elsewhere);
    tcase_add_test(core, tokens_have_places);
    tcase_add_test(core, long_words_come_back);
    suite_add_tcase(suite, core);
    TCase *hand = tcase_create("hand");
    tcase_add_test(hand, characters_may_be_folded_before_they_merge);
    tcase_add_test(hand, a_character_without_an_id_is_named);
    tcase_add_loop_test(hand, lists_that_cannot_be_are_refused, 0, sizeof broken / sizeof *broken);
    suite_add_tcase(suite, hand);
    return suite;
}
