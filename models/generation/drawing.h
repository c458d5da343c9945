/* drawing: the job that draws pictures of a class, a pixel at a time, and the windows that the network reads.
 *
 * A model of task image-generation makes a step for each pixel, row by row from the top, and gives the logit
 * of ink. The input of a step are the pixels near it that are drawn already, 1 for ink and 0 for paper:
 * `above` rows of the columns from x - beside to x + beside, the highest row first, then the `left` pixels
 * before it in its own row; 0 outside the picture. Then y / (height - 1) and x / (width - 1), and a 1 at the
 * place of the class among the labels (van den Oord et al., "Pixel recurrent neural networks", 2016, draw in
 * this order).
 *
 * A drawing may stop after some rows and be gone on with: the picture that is kept stands above what is drawn
 * then. */
#ifndef CAROUSEL_MODELS_DRAWING_H
#define CAROUSEL_MODELS_DRAWING_H

#include "models/jobs/job.h"

enum { DRAWING_MAX_SIDE = 256, DRAWING_MAX_REACH = 16, DRAWING_MAX_PICTURES = 1024 };

/* config.json's "drawing". */
struct drawing_spec {
    long height, width, above, beside, left;
};
const struct drawing_spec *drawing_spec_of(const struct model *model);

/* Return the numbers of a step: the window, the place and the labels. */
size_t drawing_inputs(const struct drawing_spec *spec, size_t n_labels);

/* Write what the network reads at pixel `at` = y * width + x of a picture [height, width] of 0 and 1. */
void drawing_window(const struct drawing_spec *spec, const uint8_t *pixels, size_t at, size_t label,
                    size_t n_labels, float *out);

/* Borrowed until drawing_new returns. */
struct drawing_request {
    size_t label;         /* below model->n_labels */
    size_t n;             /* pictures, 1 to DRAWING_MAX_PICTURES */
    const uint8_t *given; /* [n_given] pixels of the upper part, 0 or 1; NULL: none */
    size_t n_given;       /* at most height * width: then nothing is drawn, and only the likelihood is told */
    size_t n_rows;        /* rows that stand in the end, those of options->from included; 0: all */
    double temperature;   /* logits are divided by it; 0: ink if it is likelier */
    uint64_t seed;        /* picture i has the random stream i of it; that of options->from goes on with its
                           * draws, another begins anew */
    bool streams;         /* the observer is told of each row */
};

struct drawing;

/* The label and the seed that a state has, which it must have to go on from it. */
void drawing_kept(const struct state *state, size_t *label, uint64_t *seed);

/* STATUS_UNSUPPORTED without the ability; STATUS_BAD_VALUE with the field's name. */
enum status drawing_new(struct model *model, const struct drawing_request *request,
                        const struct job_options *options, struct drawing **out,
                        struct error *err) MUST_CHECK;
struct job *drawing_job(struct drawing *drawing);

/* Once finished: picture i as [height, width] of 0 and 1, with paper where nothing is drawn yet. Of a drawing
 * that streams, the rows that drawing_rows counts may be read while it is drawn, by any thread. */
const uint8_t *drawing_picture(const struct drawing *drawing, size_t i);

/* Once finished: of all pixels of picture i, also of those that stood already, given the label, in nats, by
 * the model's own distribution at temperature 1. */
double drawing_log_probability(const struct drawing *drawing, size_t i);

/* The whole rows of picture i so far, those that were given included. */
size_t drawing_rows(const struct drawing *drawing, size_t i);

#endif
