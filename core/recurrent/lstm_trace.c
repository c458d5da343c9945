/* One step of a plain lstm on the slow path, there and back. With d for the gradient of the chosen number,
 * from the last step to the first:
 *
 *     do = dh tanh(c)            dc += dh o (1 - tanh(c)^2)
 *     di = dc g    dg = dc i     df = dc c(t-1)      dc(t-1) = dc f
 *     a gate's own input: di i (1-i), df f (1-f), dg (1-g^2), do o (1-o)
 *     dh(t-1) = transpose(U) of those four
 *
 * (Hochreiter and Schmidhuber 1997, with the forget gate of Gers et al. 2000; nothing is truncated.) */
#include <string.h>

#include "core/recurrent/way.h"

static void forward(const struct slow_step *s)
{
    const struct kernels *kernels = s->net->kernels;
    size_t H = s->net->H;
    float *gates = s->gates, *c = s->more, *m = s->scratch;
    way_multiply(s->weights->U, 1, s->h_before, gates, true);
    kernels->sigmoid(2 * H, gates, gates);
    kernels->tanh(H, gates + 2 * H, gates + 2 * H);
    kernels->sigmoid(H, gates + 3 * H, gates + 3 * H);
    for (size_t u = 0; u < H; u++) c[u] = gates[H + u] * s->more_before[u] + gates[u] * gates[2 * H + u];
    kernels->tanh(H, c, m);
    for (size_t u = 0; u < H; u++) m[u] *= gates[3 * H + u];
    if (s->weights->P) way_multiply(s->weights->P, 1, m, s->h, false);
    else memcpy(s->h, m, H * sizeof *m);
}

static void backward(const struct slow_step *s)
{
    size_t H = s->net->H;
    const float *gates = s->gates;
    float *pre = s->pre, *dm = s->scratch, *wide = dm + H; /* of o tanh(c); tanh(c) */
    if (s->weights->P) way_multiply(s->weights->P, 1, s->dh, dm, false);
    else memcpy(dm, s->dh, H * sizeof *dm);
    s->net->kernels->tanh(H, s->more, wide);
    for (size_t u = 0; u < H; u++) {
        float i = gates[u], f = gates[H + u], g = gates[2 * H + u], o = gates[3 * H + u];
        float dc = s->dc[u] + dm[u] * o * (1 - wide[u] * wide[u]);
        pre[u] = dc * g * i * (1 - i);
        pre[H + u] = dc * s->more_before[u] * f * (1 - f);
        pre[2 * H + u] = dc * i * (1 - g * g);
        pre[3 * H + u] = dm[u] * wide[u] * o * (1 - o);
        s->dc[u] = dc * f;
    }
    way_multiply(s->weights->U, 1, pre, s->dh, false);
}

const struct slow_kind lstm_slow = {.has = {.names = "ifgo", .keeper = 'f', .has_c = true},
                                    .keeps_more = true, .forward = forward, .backward = backward};
