/* One step of an rnn on the slow path, there and back: dh of the step before is transpose(U) of dh f', with
 * f' = 1 - h^2 of tanh, and of relu 1 if h > 0, else 0. */
#include <string.h>

#include "core/recurrent/way.h"

static void forward(const struct slow_step *s)
{
    way_multiply(s->weights->U, 1, s->h_before, s->gates, true);
    s->net->squash(s->net->H, s->gates, s->h);
}

static void backward(const struct slow_step *s)
{
    for (size_t u = 0; u < s->net->H; u++) {
        double h = (double)s->h[u];
        s->pre[u] = s->dh[u] * (float)s->net->squash_slope(h, h);
    }
    way_multiply(s->weights->U, 1, s->pre, s->dh, false);
}

const struct slow_kind rnn_slow = {.has = {.names = ""}, .forward = forward, .backward = backward};
