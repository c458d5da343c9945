/* transcription: what the bundle of a model says that writes down sound or the path of a pen. The job is a
 * reading (models/jobs/reading.h) of all steps; models/tasks/ctc.h makes texts of it. */
#ifndef CAROUSEL_MODELS_TRANSCRIPTION_H
#define CAROUSEL_MODELS_TRANSCRIPTION_H

#include <stdbool.h>

#include "models/jobs/reading.h"

enum { TRANSCRIPTION_LANGUAGE_BYTES = 16 };

/* The section "transcription". */
struct transcription_spec {
    long blank, num_beams;
    bool label_is_word;                          /* each label is a word; else spaces part them */
    char language[TRANSCRIPTION_LANGUAGE_BYTES]; /* "" if left out */
};

const struct transcription_spec *transcription_spec_of(const struct model *model);

/* The raw outputs of every step. */
struct reading_want transcription_want(void);

#endif
