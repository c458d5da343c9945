/* ctc: texts from the outputs of a network that was trained by connectionist temporal classification: at each
 * step a label or the blank; a path's text is its labels without repetitions and blanks. Pure; any thread;
 * allocates.
 *
 * Greedy: the text of the likeliest path. Prefix beam search: the likeliest texts, each summed over its paths
 * as far as they stay in the beam; a language model may weigh them too. Graves, Fernández, Gomez,
 * Schmidhuber, "Connectionist temporal classification", ICML 2006, sections 3.2 and 4.1; Hannun, "Sequence
 * modeling with CTC", Distill 2017. */
#ifndef CAROUSEL_MODELS_CTC_H
#define CAROUSEL_MODELS_CTC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/base/status.h"

enum { CTC_MAX_BEAMS = 64 };

/* The raw outputs of a network, before any softmax. Borrowed. */
struct ctc_outputs {
    const float *rows; /* [T, V] */
    size_t T, V;       /* at least 1; V at least 2 */
    size_t blank;      /* below V */
};

struct ctc_options {
    size_t num_beams; /* 1 to CTC_MAX_BEAMS; 1: greedy */
    size_t n_best;    /* 1 to num_beams */
    /* With a language model texts are ranked by ln P(text | outputs) + weight ln P(text) + bonus a label. */
    bool has_language;
    double weight, bonus;
};

struct ctc_text {
    double score;    /* natural logarithm of the text's probability as far as it was summed; greedy: of the
                      * path's; with a language model: what it is ranked by */
    int32_t *labels; /* [n] */
    size_t n;
    size_t *first, *last; /* [n] steps at which the likeliest path of this text has each label */
};

/* Best first. The caller owns *out: ctc_free. STATUS_NO_MEMORY. */
struct ctc_texts {
    struct ctc_text *texts; /* [n] at most n_best, at least 1 */
    size_t n;
};
void ctc_free(struct ctc_texts *texts);

/* Without a language model. */
MUST_CHECK enum status ctc_decode(const struct ctc_outputs *outputs, const struct ctc_options *options,
                                  struct ctc_texts *out);

/* The search with a language model goes on from question to answer. A question is a text that is new in the
 * beam: what follows it? The answer goes to a slot, of which there are 2 num_beams; the text without its last
 * label has its answer in the slot `from`. The outputs are borrowed until ctc_search_free. */
struct ctc_search;
struct ctc_question {
    size_t slot, from;
    int32_t label; /* -1: the text is empty, and `from` is nothing */
};
MUST_CHECK enum status ctc_search_new(const struct ctc_outputs *outputs, const struct ctc_options *options,
                                      struct ctc_search **out);
void ctc_search_free(struct ctc_search *search); /* accepts NULL */
/* Move on to the next questions [num_beams], of which the answers must be given before the next call. Return
 * how many they are; 0: the search is over. */
size_t ctc_search_advance(struct ctc_search *search, struct ctc_question *questions);
/* Where the answer of a slot lies: for each label the logarithm of its probability behind the text. */
double *ctc_search_slot(struct ctc_search *search, size_t slot);
/* Once it is over. */
MUST_CHECK enum status ctc_search_texts(const struct ctc_search *search, struct ctc_texts *out);

#endif
