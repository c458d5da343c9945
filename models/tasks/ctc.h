/* ctc: texts from the outputs of a network that was trained by connectionist temporal classification: at each
 * step a label or the blank; a path's text is its labels without repetitions and blanks. Pure; any thread;
 * allocates.
 *
 * Greedy: the text of the likeliest path. Prefix beam search: the likeliest texts, each summed over its paths
 * as far as they stay in the beam. Graves, Fernández, Gomez, Schmidhuber, "Connectionist temporal
 * classification", ICML 2006, sections 3.2 and 4.1; Hannun, "Sequence modeling with CTC", Distill 2017. */
#ifndef CAROUSEL_MODELS_CTC_H
#define CAROUSEL_MODELS_CTC_H

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
};

struct ctc_text {
    double score;    /* natural logarithm of the text's probability as far as it was summed; greedy: of the
                      * path's */
    int32_t *labels; /* [n] */
    size_t n;
    size_t *first, *last; /* [n] steps at which the likeliest path of this text has each label */
};

/* Best first. The caller owns *out: ctc_free. STATUS_NO_MEMORY. */
struct ctc_texts {
    struct ctc_text *texts; /* [n] at most n_best, at least 1 */
    size_t n;
};
MUST_CHECK enum status ctc_decode(const struct ctc_outputs *outputs, const struct ctc_options *options,
                                  struct ctc_texts *out);
void ctc_free(struct ctc_texts *texts);

#endif
