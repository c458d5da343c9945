/* slow: pieces of the slow path (core/recurrent/trace.h) that several layer types use. */
#ifndef CAROUSEL_CORE_SLOW_H
#define CAROUSEL_CORE_SLOW_H

#include "core/network/layer.h"

/* Go back through y = W x of R rows: add d_y W to d_x. d_y [R,N] and d_x [R,K] have rows `d_y_stride` and
 * `d_x_stride` floats apart. Rows of W that no gradient reaches are not unpacked. STATUS_NO_MEMORY. */
enum status slow_product(const struct matrix *W, size_t R, const float *d_y, size_t d_y_stride, float *d_x,
                         size_t d_x_stride) MUST_CHECK;
/* Compute y = W x + b of R rows in floats, whatever the precision; with `accumulate` add W x to y. x [R,K]
 * and y [R,N] have rows `x_stride` and `y_stride` floats apart. STATUS_NO_MEMORY. */
enum status slow_multiply(const struct matrix *W, size_t R, const float *x, size_t x_stride, float *y,
                          size_t y_stride, bool accumulate) MUST_CHECK;
/* Unpack the weights [N,K] and, unless NULL, the bias [N]. The caller owns the result (memory_free); NULL: no
 * memory. */
float *slow_weights(const struct matrix *W, float *bias) MUST_CHECK;
/* Whether the caller has given up. */
bool slow_stops(const struct passage *passage);

#endif
