/* past: the last rows of a sequence, which a layer keeps from turn to turn in its part of the state. Zero is
 * a sequence that has not begun: what lies before its first step is zero. */
#ifndef CAROUSEL_CORE_PAST_H
#define CAROUSEL_CORE_PAST_H

#include "core/network/layer.h"

/* The row `ago` steps before step t of sequence b: of this turn's rows `in` of `size` floats, or of `past`
 * [kept, size], oldest first. ago <= t + kept. */
const float *past_row(const struct turn *turn, const float *in, size_t size, const float *past, size_t kept,
                      size_t b, size_t t, size_t ago);

/* Move `past` on by the turn's steps of sequence b. */
void past_move(const struct turn *turn, const float *in, size_t size, float *past, size_t kept, size_t b);

#endif
