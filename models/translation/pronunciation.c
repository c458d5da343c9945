#include "models/translation/pronunciation.h"

#include <string.h>

#include "models/text/sentence.h"

/* Bytes that a phoneme may have in IPA, and the marks and spaces beside it. */
enum { IPA_BYTES = 4, MARK_BYTES = 2, MAX_ONSET = 3 };

const char *const alphabet_names[N_ALPHABETS + 1] = {"arpabet", "ipa", NULL};

static const struct {
    const char *symbol, *ipa, *unstressed;
} phonemes[] = {
#define X(symbol, ipa, unstressed) {symbol, ipa, unstressed},
#include "models/translation/phonemes.def"
};
enum { N_PHONEMES = sizeof phonemes / sizeof *phonemes, NO_PHONEME = N_PHONEMES };

/* What an English syllable may begin with, besides one consonant. */
static const char *const onsets[] = {
    "P R", "P L", "P Y", "B R", "B L", "B Y", "T R", "T W", "D R", "D W", "K R", "K L", "K W", "K Y", "G R",
    "G L", "G W", "F R", "F L", "F Y", "V Y", "M Y", "HH Y", "TH R", "TH W", "SH R", "S P", "S T", "S K",
    "S M", "S N", "S L", "S W", "S F", "S P R", "S P L", "S P Y", "S T R", "S K R", "S K W", "S K Y", NULL};

/* A phoneme of ARPAbet. */
struct sound {
    size_t phoneme; /* NO_PHONEME: a token that is none */
    int stress;     /* of a vowel: 0 to 2; -1: not said */
};

const struct pronunciation_spec *pronunciation_spec_of(const struct model *model)
{
    return model->spec;
}

static bool is_vowel(const struct sound *sound)
{
    return sound->phoneme != NO_PHONEME && strchr("AEIOU", phonemes[sound->phoneme].symbol[0]);
}

static struct sound sound_of(const char *piece, size_t bytes)
{
    struct sound sound = {NO_PHONEME, -1};
    bool has_digit = bytes > 1 && piece[bytes - 1] >= '0' && piece[bytes - 1] <= '2';
    size_t length = bytes - has_digit;
    for (size_t i = 0; i < N_PHONEMES; i++)
        if (strlen(phonemes[i].symbol) == length && !memcmp(phonemes[i].symbol, piece, length))
            sound.phoneme = i;
    if (has_digit && !is_vowel(&sound)) sound.phoneme = NO_PHONEME;
    if (has_digit && sound.phoneme != NO_PHONEME) sound.stress = piece[bytes - 1] - '0';
    return sound;
}

static struct sound sound_of_token(const struct tokenizer *target, int32_t token)
{
    size_t bytes;
    const char *piece = tokenizer_piece(target, token, &bytes);
    return sound_of(piece, bytes);
}

enum status pronunciation_check(const struct tokenizer *target, enum alphabet alphabet, struct error *err)
{
    char quoted[QUOTE_BYTES];
    for (size_t i = 0; alphabet == ALPHABET_ARPABET && i < tokenizer_size(target); i++) {
        size_t bytes;
        const char *piece = tokenizer_piece(target, (int32_t)i, &bytes);
        if (tokenizer_is_silent(target, (int32_t)i) || sound_of(piece, bytes).phoneme != NO_PHONEME) continue;
        return error_set(err, STATUS_BAD_VALUE,
                         "target token %zu is %s, which is no phoneme of ARPAbet, such as 'K' or 'AE1'; for "
                         "phonemes of the International Phonetic Alphabet set \"pronunciation\": "
                         "{\"alphabet\": \"ipa\"}", i, sentence_quote(quoted, piece, bytes));
    }
    return STATUS_OK;
}

/* The marks of primary and secondary stress. */
static const char *mark_of(int stress)
{
    return stress == 1 ? "ˈ" : stress == 2 ? "ˌ" : "";
}

static bool is_mark(const char *piece, size_t bytes)
{
    return bytes == MARK_BYTES && (!memcmp(piece, mark_of(1), bytes) || !memcmp(piece, mark_of(2), bytes));
}

bool pronunciation_has_stress(const struct model *model)
{
    for (size_t i = 0; i < tokenizer_size(model->target); i++) {
        size_t bytes;
        const char *piece = tokenizer_piece(model->target, (int32_t)i, &bytes);
        if (pronunciation_spec_of(model)->alphabet == ALPHABET_IPA ? is_mark(piece, bytes)
                                                                   : sound_of(piece, bytes).stress >= 0)
            return true;
    }
    return false;
}

size_t pronunciation_room(const struct model *model, size_t n)
{
    size_t piece = tokenizer_max_piece(model->target);
    return n * ((piece > IPA_BYTES ? piece : IPA_BYTES) + MARK_BYTES) + 1;
}

/* Whether tokens first to end are consonants that a syllable may begin with. */
static bool is_onset(const struct model *model, const int32_t *tokens, size_t first, size_t end)
{
    char joined[16] = "";
    for (size_t i = first; i < end; i++) {
        struct sound sound = sound_of_token(model->target, tokens[i]);
        if (sound.phoneme == NO_PHONEME || is_vowel(&sound)) return false;
        const char *symbol = phonemes[sound.phoneme].symbol;
        if (end - first == 1) return strcmp(symbol, "NG") != 0;
        if (i > first) strcat(joined, " ");
        strcat(joined, symbol);
    }
    size_t i = 0;
    while (onsets[i] && strcmp(onsets[i], joined)) i++;
    return onsets[i] || first == end;
}

/* Where the syllable of the vowel at `vowel` begins. */
static size_t syllable_begin(const struct model *model, const int32_t *tokens, size_t vowel)
{
    size_t first = vowel, best = vowel;
    while (first > 0) {
        struct sound sound = sound_of_token(model->target, tokens[first - 1]);
        if (is_vowel(&sound)) break;
        first--;
    }
    if (first == 0) return 0; /* the first syllable has them all */
    for (size_t i = vowel; i > first && vowel - i < MAX_ONSET; i--)
        if (is_onset(model, tokens, i - 1, vowel)) best = i - 1;
    return best;
}

static size_t append(char *out, size_t at, const char *text, size_t bytes)
{
    memcpy(out + at, text, bytes);
    return at + bytes;
}

/* Append the IPA of tokens first to end. */
static size_t append_ipa(const struct model *model, const int32_t *tokens, size_t first, size_t end,
                         char *out, size_t at)
{
    for (size_t i = first; i < end; i++) {
        struct sound sound = sound_of_token(model->target, tokens[i]);
        if (sound.phoneme == NO_PHONEME) continue;
        const char *unstressed = phonemes[sound.phoneme].unstressed,
                   *ipa = sound.stress == 0 && unstressed ? unstressed : phonemes[sound.phoneme].ipa;
        at = append(out, at, ipa, strlen(ipa));
    }
    return at;
}

static size_t write_as_ipa(const struct model *model, const int32_t *tokens, size_t n, bool stress,
                           char *out)
{
    size_t bytes = 0, done = 0, n_vowels = 0;
    for (size_t i = 0; i < n; i++) {
        struct sound sound = sound_of_token(model->target, tokens[i]);
        n_vowels += is_vowel(&sound);
    }
    /* Up to each syllable, its mark, and the syllable up to its vowel. */
    for (size_t i = 0; i < n && stress && n_vowels > 1; i++) {
        struct sound sound = sound_of_token(model->target, tokens[i]);
        if (!is_vowel(&sound)) continue;
        size_t begin = syllable_begin(model, tokens, i);
        const char *mark = mark_of(sound.stress);
        bytes = append_ipa(model, tokens, done, begin, out, bytes);
        bytes = append(out, bytes, mark, strlen(mark));
        bytes = append_ipa(model, tokens, begin, i + 1, out, bytes);
        done = i + 1;
    }
    return append_ipa(model, tokens, done, n, out, bytes);
}

/* The model's own tokens, without the stress if that is not wanted. */
static size_t write_own(const struct model *model, const int32_t *tokens, size_t n, bool stress, char *out)
{
    bool is_ipa = pronunciation_spec_of(model)->alphabet == ALPHABET_IPA;
    size_t bytes = 0;
    for (size_t i = 0; i < n; i++) {
        size_t length;
        const char *piece = tokenizer_piece(model->target, tokens[i], &length);
        if (tokenizer_is_silent(model->target, tokens[i])) continue;
        if (!stress && is_ipa && is_mark(piece, length)) continue;
        if (!stress && !is_ipa && sound_of(piece, length).stress >= 0) length--;
        if (!is_ipa && bytes) out[bytes++] = ' ';
        bytes = append(out, bytes, piece, length);
    }
    return bytes;
}

size_t pronunciation_write(const struct model *model, const int32_t *tokens, size_t n,
                           const struct pronunciation_style *style, char *out)
{
    bool is_own = pronunciation_spec_of(model)->alphabet == (long)style->alphabet;
    size_t bytes = (is_own ? write_own : write_as_ipa)(model, tokens, n, style->stress, out);
    out[bytes] = '\0';
    return bytes;
}
