/* pronunciation: phonemes as text, in both alphabets; what a vocabulary of phonemes must hold. */
#include <check.h>
#include <string.h>

#include "core/base/memory.h"
#include "models/translation/pronunciation.h"

Suite *pronunciation_suite(void);

/* A model that is nothing but a vocabulary of phonemes. */
struct fixture {
    struct model model;
    struct pronunciation_spec spec;
};

static const char *const arpabet[] = {"<s>", "</s>", "K", "AE1", "R", "AH0", "S", "EH2", "L", "AH1", "T",
                                      "NG", "IH0", "ER0", "ER1", "P", "HH", "Y", "UW1", "AH2", "M"};
static const char *const ipa[] = {"<s>", "</s>", "ˈ", "k", "a", "ˌ", "tʃ"};

static enum status open_fixture(struct fixture *fixture, const char *const *vocabulary, size_t n,
                                enum alphabet alphabet, struct error *err)
{
    size_t bytes[32];
    memset(fixture, 0, sizeof *fixture);
    fixture->spec.alphabet = alphabet;
    fixture->model.spec = &fixture->spec;
    for (size_t i = 0; i < n; i++) bytes[i] = strlen(vocabulary[i]);
    const struct tokenizer_spec spec = {.type = "words", .vocabulary = vocabulary, .vocabulary_bytes = bytes,
                                        .n_vocabulary = n, .bos_token = "<s>", .eos_token = "</s>"};
    ck_assert_int_eq(tokenizer_new(&spec, &fixture->model.target, err), STATUS_OK);
    return pronunciation_check(fixture->model.target, alphabet, err);
}

static void close_fixture(struct fixture *fixture)
{
    tokenizer_free(fixture->model.target);
}

/* Phonemes with spaces between, as the model's tokens. */
static size_t tokens_of(const struct fixture *fixture, const char *text, int32_t *tokens)
{
    struct error err;
    int32_t *ids;
    size_t n;
    ck_assert_int_eq(tokenizer_encode(fixture->model.target, text, strlen(text), 32, &ids, &n, &err),
                     STATUS_OK);
    memcpy(tokens, ids, n * sizeof *ids);
    memory_free(ids);
    return n;
}

static const struct {
    const char *phonemes, *ipa, *unstressed, *plain;
} rows[] = {
    {"K AE1 R AH0 S EH2 L", "ˈkæɹəˌsɛl", "kæɹəsɛl", "K AE R AH S EH L"},
    {"K AH1 T", "kʌt", "kʌt", "K AH T"}, /* one syllable has no mark */
    {"AH0 S T R AH1 K", "əˈstɹʌk", "əstɹʌk", "AH S T R AH K"},
    {"K AH1 NG K ER0", "ˈkʌŋkɚ", "kʌŋkɚ", "K AH NG K ER"},
    {"AH0 NG AH1 T", "əŋˈʌt", "əŋʌt", "AH NG AH T"}, /* no syllable begins with NG */
    {"AH0 L T ER1", "əlˈtɝ", "əltɝ", "AH L T ER"},
    {"AH0 P Y UW1 T AH2", "əˈpjuˌtʌ", "əpjutʌ", "AH P Y UW T AH"},
    {"R S T L AH1 AH0", "ˈɹstlʌə", "ɹstlʌə", "R S T L AH AH"}, /* all belong to the first */
    {"S", "s", "s", "S"},
    {"", "", "", ""},
};

START_TEST(phonemes_are_written_in_both_alphabets)
{
    struct fixture fixture;
    struct error err = {.message = ""};
    int32_t tokens[32];
    char out[512];
    enum { N = sizeof arpabet / sizeof *arpabet };
    ck_assert_int_eq(open_fixture(&fixture, arpabet, N, ALPHABET_ARPABET, &err), STATUS_OK);
    ck_assert(pronunciation_has_stress(&fixture.model));
    size_t n = tokens_of(&fixture, rows[_i].phonemes, tokens), room = pronunciation_room(&fixture.model, n);
    ck_assert_uint_le(room, sizeof out);
    const struct {
        struct pronunciation_style style;
        const char *expected;
    } styles[] = {
        {{ALPHABET_ARPABET, true}, rows[_i].phonemes},
        {{ALPHABET_ARPABET, false}, rows[_i].plain},
        {{ALPHABET_IPA, true}, rows[_i].ipa},
        {{ALPHABET_IPA, false}, rows[_i].unstressed},
    };
    for (size_t i = 0; i < 4; i++) {
        size_t bytes = pronunciation_write(&fixture.model, tokens, n, &styles[i].style, out);
        ck_assert_str_eq(out, styles[i].expected);
        ck_assert_uint_eq(bytes, strlen(out));
        ck_assert_uint_lt(bytes, room);
    }
    close_fixture(&fixture);
}
END_TEST

START_TEST(a_model_of_ipa_is_shown_as_it_writes)
{
    struct fixture fixture;
    struct error err = {.message = ""};
    const int32_t tokens[] = {2, 3, 4, 5, 6, 4};
    char out[64];
    ck_assert_int_eq(open_fixture(&fixture, ipa, sizeof ipa / sizeof *ipa, ALPHABET_IPA, &err), STATUS_OK);
    ck_assert(pronunciation_has_stress(&fixture.model));
    pronunciation_write(&fixture.model, tokens, 6, &(struct pronunciation_style){ALPHABET_IPA, true}, out);
    ck_assert_str_eq(out, "ˈkaˌtʃa");
    pronunciation_write(&fixture.model, tokens, 6, &(struct pronunciation_style){ALPHABET_IPA, false}, out);
    ck_assert_str_eq(out, "katʃa");
    close_fixture(&fixture);
}
END_TEST

START_TEST(what_is_no_phoneme_is_refused)
{
    static const char *const bad[] = {"AX", "K1", "AE3", "1", "k"};
    const char *vocabulary[] = {"<s>", "</s>", "K", bad[_i]};
    struct fixture fixture;
    struct error err = {.message = ""};
    ck_assert_int_eq(open_fixture(&fixture, vocabulary, 4, ALPHABET_ARPABET, &err), STATUS_BAD_VALUE);
    ck_assert_ptr_nonnull(strstr(err.message, "target token 3 is '"));
    ck_assert(!pronunciation_has_stress(&fixture.model));
    close_fixture(&fixture);
}
END_TEST

Suite *pronunciation_suite(void)
{
    Suite *suite = suite_create("pronunciation");
    TCase *core = tcase_create("core");
    tcase_add_loop_test(core, phonemes_are_written_in_both_alphabets, 0, sizeof rows / sizeof *rows);
    tcase_add_test(core, a_model_of_ipa_is_shown_as_it_writes);
    tcase_add_loop_test(core, what_is_no_phoneme_is_refused, 0, 5);
    suite_add_tcase(suite, core);
    return suite;
}
