/* handwriting_style: the sample of a hand, as the decoder reads it (handwriting.h). Pure; any thread;
 * allocates. */
#ifndef CAROUSEL_MODELS_HANDWRITING_STYLE_H
#define CAROUSEL_MODELS_HANDWRITING_STYLE_H

#include "models/features/feature.h"
#include "models/generation/handwriting.h"

/* Turn strokes that write `text` into the points that the decoder reads: brought to the height that such
 * letters have on a line of the model's, and resampled at its spacing. *points [*n, HANDWRITING_INPUTS] is
 * the caller's to memory_free. STATUS_TOO_LONG over HANDWRITING_MAX_STYLE_POINTS, STATUS_BAD_VALUE if a
 * number is too large, STATUS_NO_MEMORY. */
enum status handwriting_style_points(const struct handwriting_spec *spec, const struct raw *strokes,
                                     const char *text, float **points, size_t *n,
                                     struct error *err) MUST_CHECK;

/* The tokens of the model's style_text, without the characters that it has never written. *ids is the
 * caller's to memory_free; *n is 0 if none is left. */
enum status handwriting_style_text(const struct model *model, int32_t **ids, size_t *n,
                                   struct error *err) MUST_CHECK;

#endif
