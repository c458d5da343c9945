/* scaling: how the values of a series, or of one of its columns, become numbers that a network reads:
 * docs/bundle-format.md, "forecast". All in double. Pure; any thread. */
#ifndef CAROUSEL_MODELS_SCALING_H
#define CAROUSEL_MODELS_SCALING_H

#include <stdbool.h>
#include <stddef.h>

#include "models/text/json.h"

enum scaling_type { SCALING_NONE, SCALING_CONSTANT, SCALING_MINMAX, SCALING_MEAN_ABS, SCALING_STANDARD };

/* As config.json has it. */
struct scaling {
    enum scaling_type type;
    double mean, scale; /* constant and minmax; else 0 and 1 */
    double minimum;     /* of a measured scale */
    double level; /* mean_abs: 0, or below this part of the largest value a span counts as small */
    double constant; /* standard: the scale of a series of equal values is |mean| plus this; 0: `minimum` */
    bool squashes; /* patches: the network reads asinh of the scaled values, and gives such */
    bool spares_binary; /* patches: a series of zeros and ones is neither scaled nor squashed */
};

/* z = (x - mean) / scale; of patches, if it squashes, asinh of that */
struct series_scale {
    double mean, scale;
    bool squashes;
};

/* Read the object `value`. STATUS_BAD_VALUE with a sentence that begins with the key. */
MUST_CHECK enum status scaling_read(const struct json *value, struct scaling *out, struct error *err);

/* The scale of values[0..n), NaN if missing: given, or measured of those that are there (the mean absolute
 * value, or the mean and the standard deviation, divided by n), of which there must be one. */
struct series_scale scaling_measure(const struct scaling *scaling, const double *values, size_t n);

#endif
