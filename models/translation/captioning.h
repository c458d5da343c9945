/* captioning: what a model of task image-to-text reads. Requests: translation.h. Pure; any thread. */
#ifndef CAROUSEL_MODELS_CAPTIONING_H
#define CAROUSEL_MODELS_CAPTIONING_H

#include "models/translation/translation.h"

/* Whether the model has a front end for pictures; else it reads rows of numbers only. */
bool captioning_reads_pictures(const struct model *model);

/* The rows of an image, [*n_steps, input_size] unscaled, as struct input has them. STATUS_NO_MEMORY. The
 * caller frees *rows. */
enum status captioning_rows(const struct model *model, const struct image *image, double **rows,
                            size_t *n_steps, struct error *err) MUST_CHECK;

#endif
