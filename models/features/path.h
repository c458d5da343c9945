/* path: the strokes of a pen as points of equal distance. Pure; any thread; allocates. */
#ifndef CAROUSEL_MODELS_PATH_H
#define CAROUSEL_MODELS_PATH_H

#include <stdbool.h>

#include "models/features/feature.h"

/* A resampled point. */
struct spot {
    double x, y;
    size_t origin; /* the point of the input at or before it */
    bool begins, ends;
};

/* Owned: path_free. */
struct path {
    struct spot *spots; /* [n] */
    size_t n;
};

/* Scale the strokes, and resample each every `spacing` units of its length, its ends included.
 * STATUS_TOO_LONG if these are more than `most` points, STATUS_NO_MEMORY. On failure *out holds nothing. */
MUST_CHECK enum status path_resample(const struct raw *strokes, double scale, double spacing, size_t most,
                                     struct path *out, struct error *err);
void path_free(struct path *path);

/* The difference between the largest and the smallest x (axis 0) or y (axis 1). */
double path_spread(const struct raw *strokes, size_t axis);

#endif
