/* reading: the job that reads whole inputs and keeps what the network says of them: the output or the hidden
 * vector, of the last step, of all, or their mean. Classification, embedding and prediction are this job.
 *
 * An input can go on from a kept state; the steps and means of an answer are then those of its own part. The
 * state is the one before the eos, if the model puts one, because another part may come before it. */
#ifndef CAROUSEL_MODELS_READING_H
#define CAROUSEL_MODELS_READING_H

#include "models/bundle/input.h"
#include "models/jobs/job.h"
#include "models/jobs/tokens.h"

/* One input of a request: tokens or features, by what the model reads. Borrowed. */
struct input {
    struct token_span tokens; /* n >= 1, without bos and eos, which the model adds */
    const double *features;   /* [n_steps, input_size], unscaled, finite */
    size_t n_steps;
};

struct reading;
struct rest;

/* A network that pools has one vector for a sequence: any of these gives that. A mean is summed in double,
 * step by step, so that it does not depend on how the sequence was cut into turns. */
enum reading_rows { READING_LAST, READING_ALL, READING_MEAN };

/* What a job keeps. */
struct reading_want {
    enum ability ability; /* that the model's task must have */
    enum tap tap;
    enum reading_rows rows;
    /* How an output becomes a row of `width` floats, on a worker; NULL: it is copied, and the width is its
     * size. Not for means. */
    void (*put)(const struct model *model, const float *output, float *row);
    size_t width;
    const char *field; /* by which sentences name the inputs; NULL: "input" */
    const float *initial; /* [network_state_floats] before the first step of each input, borrowed until
                           * reading_new returns; NULL: as the weights say. Not beside options->from */
    /* Of a state that is kept: so many of the last steps are not in it, because the next piece may change
     * them; and what the task keeps beside the network's floats, measured and written by job_keep. NULL:
     * nothing. */
    size_t n_open;
    void (*write_rest)(void *context, const struct reading *reading, struct rest *rest);
    void *context;
};

/* Inputs are copied. STATUS_UNSUPPORTED without the ability; STATUS_BAD_VALUE with the input's name for one
 * that is empty, holds an unknown id or does not fit the model's scale; STATUS_TOO_LONG if a sequence must be
 * read at once and is longer than max_whole_steps (scheduler_max_rows), or the job would be too large. */
enum status reading_new(struct model *model, const struct input *inputs, size_t n,
                        const struct reading_want *want, size_t max_whole_steps,
                        const struct job_options *options, struct reading **out,
                        struct error *err) MUST_CHECK;
struct job *reading_job(struct reading *reading);

/* Once finished: the rows of input i, [*n_rows, width]; *n_rows is 1, or its steps (with eos, and with bos
 * unless the job goes on from a state, if the model reads them) for READING_ALL. The rows of input i + 1
 * follow them. n_rows may be NULL. */
const float *reading_rows(const struct reading *reading, size_t i, size_t *n_rows);

#endif
