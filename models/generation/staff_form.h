/* staff_form: the words of a staff, and which of them may come next. models/generation/staff.h says what they
 * mean. Pure; one thread at a time. */
#ifndef CAROUSEL_MODELS_STAFF_FORM_H
#define CAROUSEL_MODELS_STAFF_FORM_H

#include "models/jobs/arena.h"
#include "models/media/tune.h"
#include "models/tokenizers/tokenizer.h"

enum {
    STAFF_LOWEST = 6, STAFF_HIGHEST = 121, /* notes that any key can be reached from */
    STAFF_NUMBERS = 32                     /* of bar lines, at most */
};

enum word_kind {
    WORD_OTHER, WORD_METRE, WORD_MODE, WORD_OPEN, WORD_BAR, WORD_REPEAT, WORD_CLOSE, WORD_LENGTH,
    WORD_TRIPLET, WORD_NOTE, WORD_REST, WORD_END, N_WORD_KINDS
};

struct word {
    enum word_kind kind;
    uint8_t pitch;        /* of a note */
    uint8_t beats, unit;  /* of a metre */
    uint8_t number;       /* of a bar line; 0 of the plain one */
    enum tune_mode mode;
    uint16_t ticks;       /* of a length or a triplet, each of its notes */
};

/* WORD_OTHER: bos, or no word of this notation. */
struct word staff_word(const struct tokenizer *tokenizer, int32_t id);

struct staff_form {
    unsigned steps_per_quarter;
    size_t n_numbers;         /* of bar lines in the vocabulary, 1 to STAFF_NUMBERS; |: 1 */
    const bool *fillable;     /* [longest bar + 1] whether durations of the vocabulary sum to so many ticks */
    size_t max_ticks;         /* of the tune as it is written, if no bars are asked */
    size_t max_bars;          /* asked; else set by the metre */
    bool is_asked;
    /* the place that has been reached; all zero at the beginning */
    enum { FORM_METRE, FORM_MODE, FORM_BETWEEN, FORM_PART, FORM_ENDED } place;
    struct word metre;
    enum tune_mode mode;
    uint32_t bar, at, pickup; /* ticks: of a bar; since the last bar line; of a first bar that is short */
    bool is_first;            /* no bar line yet in this part */
    size_t n_bars;            /* whole ones; a pickup and the short bar are one together */
    uint16_t length, triplet; /* ticks of the notes to come */
    unsigned left;            /* notes of the triplet to come */
    bool is_fresh;            /* a length was the last word */
};

/* Return the ticks of the metre's bar; 0 if it is no whole number of them, or too long. */
uint32_t staff_bar(const struct word *metre, unsigned steps_per_quarter);

/* Write to fillable[0..longest] which sums the lengths and triplets among words[0..n) have. */
void staff_fill(const struct word *words, size_t n, bool *fillable, uint32_t longest);

/* Return the bar line that belongs here: its number is that of the whole bars before it in the tune, modulo
 * n_numbers. */
struct word staff_line(const struct staff_form *form);

/* Whether the word may come next. If a tune has not ended, and the words are as staff_check demands, some
 * word may. */
bool staff_allows(const struct staff_form *form, const struct word *word);

/* Go on by a word that is allowed; write what it puts on the staff to *mark. false: it puts nothing. */
bool staff_add(struct staff_form *form, const struct word *word, struct mark *mark);

#endif
