/* ctc_language: the search of ctc.h with a language model, which is any model that completes texts. Its state
 * is forked for each text of the beam: a job of the language model's, whose sequence has a seat a beam.
 *
 * A text begins behind the language model's bos_token, or else behind a space. Each label is one token of it,
 * or none: a label that it does not know costs what the least informed model would charge, ln of its
 * vocabulary's size, and leaves its state as it is. */
#ifndef CAROUSEL_MODELS_CTC_LANGUAGE_H
#define CAROUSEL_MODELS_CTC_LANGUAGE_H

#include "models/jobs/job.h"
#include "models/tasks/ctc.h"

struct ctc_language_request {
    const struct ctc_outputs *outputs; /* the rows are borrowed until the job is freed */
    const struct ctc_options *options; /* has_language */
    const int32_t *tokens;             /* [V] of the labels; TOKEN_NONE: unknown */
    size_t max_seats;                  /* scheduler_max_seats */
};

/* Find the token of each label. Return how many of the n labels have one, the blank not counted. */
size_t ctc_language_tokens(const struct model *language, char *const *labels, size_t n, size_t blank,
                           int32_t *tokens);

struct ctc_language;

/* STATUS_UNSUPPORTED if the model does not complete texts, STATUS_BAD_VALUE for more beams than seats. */
enum status ctc_language_new(struct model *language, const struct ctc_language_request *request,
                             const struct job_options *options, struct ctc_language **out,
                             struct error *err) MUST_CHECK;
struct job *ctc_language_job(struct ctc_language *search);
/* In place of job_free. Accepts NULL. */
void ctc_language_free(struct ctc_language *search);

/* Once finished. The caller owns *out: ctc_free. */
enum status ctc_language_texts(const struct ctc_language *search, struct ctc_texts *out) MUST_CHECK;

#endif
