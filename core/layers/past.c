/* past: rows before a turn's own. */
#include "core/layers/past.h"

#include <string.h>

const float *past_row(const struct turn *turn, const float *in, size_t size, const float *past, size_t kept,
                      size_t b, size_t t, size_t ago)
{
    return ago <= t ? in + (turn->first[t - ago] + b) * size : past + (kept + t - ago) * size;
}

void past_move(const struct turn *turn, const float *in, size_t size, float *past, size_t kept, size_t b)
{
    size_t steps = turn->steps[b], stays = kept > steps ? kept - steps : 0;
    memmove(past, past + (kept - stays) * size, stays * size * sizeof *past);
    for (size_t i = stays; i < kept; i++)
        memcpy(past + i * size, in + (turn->first[steps - (kept - i)] + b) * size, size * sizeof *past);
}
