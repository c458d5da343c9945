/* handwriting: the job that writes a text as the path of a pen (Graves, "Generating Sequences With Recurrent
 * Neural Networks", 2013, section 5).
 *
 * A model of task handwriting-generation has two networks. The encoder gives a row for each character of the
 * text. The decoder reads a point at each step: the way (x, y) from the point before and 1 if a stroke ends
 * there, y downwards; it looks at the rows through a window, and gives 1 + 6 M numbers of the next point,
 * equations 15 to 22 of the paper: the logit of the end of a stroke, then for M bivariate normals M logits
 * of their weights, M means of x, M of y, M logarithms of the deviations of x, M of y, and M numbers whose
 * tanh is the correlation. A bias b divides the deviations by exp(b) and multiplies the logits of the
 * weights by 1 + b (5.4 of the paper). The first point that is read is (0, 0, 1).
 *
 * A style is a hand to go on in (5.5 of the paper): the decoder first reads the points of a sample of the
 * hand, while the window passes over the sample's text; a space and the new text follow it. The sample is the
 * client's, or the model writes one, `style_text`, with a seed of its own, so that the same number is the
 * same hand whatever is written.
 *
 * The text has been written once the pen is lifted and the next step's window rests on its last row (the
 * tokenizer's eos, if it has one): no stroke begins there. */
#ifndef CAROUSEL_MODELS_HANDWRITING_H
#define CAROUSEL_MODELS_HANDWRITING_H

#include "models/bundle/coder.h"
#include "models/jobs/job.h"
#include "models/jobs/tokens.h"

enum {
    HANDWRITING_INPUTS = 3,
    HANDWRITING_MAX_MIXTURES = 256,
    HANDWRITING_MAX_POINTS = 1 << 15,
    HANDWRITING_MAX_STYLE_POINTS = 1 << 12, /* of a sample, resampled */
    HANDWRITING_STYLE_BYTES = 64,           /* of style_text, its end's zero included */
    HANDWRITING_PATIENCE = 64 /* points at the last row after which a text ends within a stroke */
};
#define HANDWRITING_MAX_BIAS 10

/* config.json's "handwriting". */
struct handwriting_spec {
    struct coder_spec coder;
    long points_per_character; /* that are drawn at most, on average; 1 to 1000 */
    double bias;               /* if a request has none; 0 to HANDWRITING_MAX_BIAS */
    double line_height;        /* from the top of a d to the foot of a p, in units of a point's way */
    double spacing;            /* way from point to point in which a client's strokes are read; 0: as sent */
    char style_text[HANDWRITING_STYLE_BYTES]; /* what the model writes to find a hand by its number */
};
const struct handwriting_spec *handwriting_spec_of(const struct model *model);

/* Return M of a decoder that gives so many numbers; 0: it gives no mixture. */
size_t handwriting_mixtures(size_t outputs);

/* A sample of a hand. Without text: none. With points: a client's. With text alone: the model writes it. */
struct handwriting_style {
    struct token_span text; /* without eos */
    uint64_t seed;          /* with which the model writes it */
    const float *points;    /* [n, HANDWRITING_INPUTS] what the decoder reads after (0, 0, 1); NULL: none */
    size_t n;
};

/* Borrowed until handwriting_new returns. */
struct handwriting_request {
    struct token_span text; /* without eos; 1 character or more */
    struct handwriting_style style;
    double bias;
    uint64_t seed;
    size_t max_whole_steps; /* scheduler_max_rows */
};

struct handwriting;

/* STATUS_UNSUPPORTED without the ability; STATUS_BAD_VALUE or STATUS_TOO_LONG with the field's name. */
enum status handwriting_new(struct model *model, const struct handwriting_request *request,
                            const struct job_options *options, struct handwriting **out,
                            struct error *err) MUST_CHECK;
struct job *handwriting_job(struct handwriting *handwriting);

/* Where the pen was. Positions begin at 0 and are sums of what the network gave. */
struct pen_point {
    double x, y;
    bool ends_stroke;
    uint32_t row; /* of the text, without a style's: on which the window rested most when it was drawn */
};
/* The points, once the job has finished. *has_ended: the text was written to its end; false: it was cut off
 * by points_per_character. */
const struct pen_point *handwriting_points(const struct handwriting *handwriting, size_t *n, bool *has_ended);
size_t handwriting_n_read(const struct handwriting *handwriting); /* rows of the text, a style's included */

/* Draw a point from the numbers that the network gave. It uses four random numbers: for the end of the
 * stroke, the normal, x and y. */
struct random;
void handwriting_draw(const float *output, size_t mixtures, double bias, struct random *random, double *dx,
                      double *dy, bool *ends);

#endif
