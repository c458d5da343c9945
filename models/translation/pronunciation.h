/* pronunciation: the phonemes that a model writes for a word, as text. Pure; any thread.
 *
 * A model writes one of two alphabets, which its bundle names. ARPAbet has the symbols of phonemes.def, its
 * vowels perhaps followed by a stress: 0 none, 1 primary, 2 secondary ("K AE1 R AH0 S EH2 L"). It can be
 * written in the International Phonetic Alphabet too ("ˈkæɹəˌsɛl"): a stress mark then stands before
 * its syllable, which begins with as many consonants as an English word may begin with ("maximal onset",
 * Selkirk 1982), and a word of one syllable has no mark. A model that writes IPA itself is shown as it
 * writes. */
#ifndef CAROUSEL_MODELS_PRONUNCIATION_H
#define CAROUSEL_MODELS_PRONUNCIATION_H

#include "models/translation/translation.h"

enum alphabet { ALPHABET_ARPABET, ALPHABET_IPA, N_ALPHABETS };
extern const char *const alphabet_names[N_ALPHABETS + 1]; /* NULL-terminated */

/* config.json's "translation" and "pronunciation". */
struct pronunciation_spec {
    struct translation_spec translation;
    long alphabet; /* of the target's tokens: index into alphabet_names */
};
const struct pronunciation_spec *pronunciation_spec_of(const struct model *model);

/* Check that each token of an ARPAbet vocabulary is a phoneme, a phoneme with a stress or a special token.
 * STATUS_BAD_VALUE with a sentence. */
enum status pronunciation_check(const struct tokenizer *target, enum alphabet alphabet,
                                struct error *err) MUST_CHECK;

/* Whether the model says where the stress lies. */
bool pronunciation_has_stress(const struct model *model);

/* How a pronunciation is to be written. */
struct pronunciation_style {
    enum alphabet alphabet; /* ALPHABET_ARPABET only for a model of that alphabet */
    bool stress;
};

/* Return the bytes that n tokens may need, with the zero byte. */
size_t pronunciation_room(const struct model *model, size_t n);

/* Write tokens [n] of the model to out[pronunciation_room], zero-terminated; return the bytes before the
 * zero byte. */
size_t pronunciation_write(const struct model *model, const int32_t *tokens, size_t n,
                           const struct pronunciation_style *style, char *out);

#endif
