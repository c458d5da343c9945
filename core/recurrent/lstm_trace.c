/* One step of an lstm on the slow path, there and back. With d for the gradient of the chosen number,
 * from the last step to the first:
 *
 *     do = dh tanh(c)            dc += dh o (1 - tanh(c)^2)
 *     di = dc g    dg = dc i     df = dc c(t-1)      dc(t-1) = dc f
 *     a gate's own input: di i (1-i), df f (1-f), dg (1-g^2), do o (1-o)
 *     dh(t-1) = transpose(U) of those four
 *
 * Other activations have other slopes there. Of peepholes p, dc also gets p_o times the input of o, and
 * dc(t-1) those of i and f.
 *
 * (Hochreiter and Schmidhuber 1997, with the forget gate of Gers et al. 2000; nothing is truncated.) */
#include <string.h>

#include "core/recurrent/way.h"

/* to += p * c, or nothing without peepholes. */
static void peep(size_t n, const float *p, const float *c, float *to)
{
    for (size_t u = 0; p && u < n; u++) to[u] += p[u] * c[u];
}

/* The slope of an activation, which the value tells. */
static float slope_at(activation_slope *slope, float y)
{
    return (float)slope((double)y, (double)y);
}

static void forward(const struct slow_step *s)
{
    const struct recurrent *net = s->net;
    size_t H = net->H;
    float *gates = s->gates, *c = s->more, *m = s->scratch;
    way_multiply(s->weights->U, 1, s->h_before, gates, true);
    peep(H, s->peephole, s->more_before, gates);
    peep(H, s->peephole ? s->peephole + H : NULL, s->more_before, gates + H);
    net->gate(2 * H, gates, gates);
    net->squash(H, gates + 2 * H, gates + 2 * H);
    for (size_t u = 0; u < H; u++) c[u] = gates[H + u] * s->more_before[u] + gates[u] * gates[2 * H + u];
    peep(H, s->peephole ? s->peephole + 2 * H : NULL, c, gates + 3 * H);
    net->gate(H, gates + 3 * H, gates + 3 * H);
    net->squash(H, c, m);
    for (size_t u = 0; u < H; u++) m[u] *= gates[3 * H + u];
    if (s->weights->P) way_multiply(s->weights->P, 1, m, s->h, false);
    else memcpy(s->h, m, H * sizeof *m);
}

static void backward(const struct slow_step *s)
{
    const struct recurrent *net = s->net;
    size_t H = net->H;
    const float *gates = s->gates, *p = s->peephole;
    float *pre = s->pre, *dm = s->scratch, *wide = dm + H; /* of o tanh(c); tanh(c) */
    if (s->weights->P) way_multiply(s->weights->P, 1, s->dh, dm, false);
    else memcpy(dm, s->dh, H * sizeof *dm);
    net->squash(H, s->more, wide);
    for (size_t u = 0; u < H; u++) {
        float i = gates[u], f = gates[H + u], g = gates[2 * H + u], o = gates[3 * H + u];
        pre[3 * H + u] = dm[u] * wide[u] * slope_at(net->gate_slope, o);
        float dc = s->dc[u] + dm[u] * o * slope_at(net->squash_slope, wide[u]);
        if (p) dc += p[2 * H + u] * pre[3 * H + u];
        pre[u] = dc * g * slope_at(net->gate_slope, i);
        pre[H + u] = dc * s->more_before[u] * slope_at(net->gate_slope, f);
        pre[2 * H + u] = dc * i * slope_at(net->squash_slope, g);
        s->dc[u] = dc * f;
        if (p) s->dc[u] += p[u] * pre[u] + p[H + u] * pre[H + u];
    }
    way_multiply(s->weights->U, 1, pre, s->dh, false);
}

const struct slow_kind lstm_slow = {.has = {.names = "ifgo", .keeper = 'f', .has_c = true},
                                    .keeps_more = true, .forward = forward, .backward = backward};
