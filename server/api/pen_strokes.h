/* pen_strokes: the strokes of a pen in a request's body. */
#ifndef CAROUSEL_SERVER_PEN_STROKES_H
#define CAROUSEL_SERVER_PEN_STROKES_H

#include "models/features/feature.h"
#include "server/api/codec.h"

/* Read an array of strokes, each an array of points ({"x", "y"} or [x, y]) or an object of two arrays, "x"
 * and "y". At most half of limits.sequence_values points. `param` is the field that sentences name. The
 * caller gives *out to raw_free, also after a failure. */
bool strokes_read(struct call *call, const struct json *field, const char *param, struct raw_owned *out);

#endif
