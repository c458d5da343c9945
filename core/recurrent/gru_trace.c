/* One step of a gru of either convention on the slow path, there and back. With d for the gradient of
 * the chosen number, h' for h of the step before, and u for U_n h' + b_hn:
 *
 *     dz = dh (h' - n)     dn = dh (1 - z)     a gate's own input: dr r (1-r), dz z (1-z), dn (1-n^2) = e
 *     reset_after:         dr = e u            dh' = dh z + transpose(U) of the inputs of r and z, and of e r
 *     without:             q = transpose(U_n) e, dr = q h'
 *                                              dh' = dh z + q r + transpose(U) of the inputs of r and z
 *
 * Other activations than sigmoid and tanh have other slopes there. */
#include <string.h>

#include "core/recurrent/way.h"

/* The slope of an activation, which the value tells. */
static float slope_at(activation_slope *slope, float y)
{
    return (float)slope((double)y, (double)y);
}

/* h = n + z (h' - n). */
static void blend(const struct slow_step *s)
{
    size_t H = s->net->H;
    const float *z = s->gates + H, *n = z + H;
    for (size_t u = 0; u < H; u++) s->h[u] = n[u] + z[u] * (s->h_before[u] - n[u]);
}

/* Reset after the product, as PyTorch does. `more` keeps u. */
static void forward(const struct slow_step *s)
{
    size_t H = s->net->H;
    float *gates = s->gates, *n = gates + 2 * H, *hidden = s->scratch;
    way_multiply(s->weights->U, 1, s->h_before, hidden, false);
    for (size_t u = 0; u < 2 * H; u++) gates[u] += hidden[u];
    s->net->gate(2 * H, gates, gates);
    memcpy(s->more, hidden + 2 * H, H * sizeof *hidden);
    for (size_t u = 0; u < H; u++) n[u] += gates[u] * s->more[u];
    s->net->squash(H, n, n);
    blend(s);
}

static void forward_original(const struct slow_step *s)
{
    size_t H = s->net->H;
    float *gates = s->gates, *n = gates + 2 * H, *kept = s->scratch; /* r h' */
    way_multiply(s->weights->U, 1, s->h_before, gates, true);
    s->net->gate(2 * H, gates, gates);
    for (size_t u = 0; u < H; u++) kept[u] = gates[u] * s->h_before[u];
    way_multiply(s->weights->N, 1, kept, n, true);
    s->net->squash(H, n, n);
    blend(s);
}

/* Set pre of z and n. */
static void blend_backward(const struct slow_step *s)
{
    size_t H = s->net->H;
    for (size_t u = 0; u < H; u++) {
        float z = s->gates[H + u], n = s->gates[2 * H + u];
        s->pre[H + u] = s->dh[u] * (s->h_before[u] - n) * slope_at(s->net->gate_slope, z);
        s->pre[2 * H + u] = s->dh[u] * (1 - z) * slope_at(s->net->squash_slope, n);
    }
}

static void backward(const struct slow_step *s)
{
    size_t H = s->net->H;
    float *inner = s->scratch, *direct = inner + 3 * H; /* [3H] what U h' + b gets; [H] dh z */
    blend_backward(s);
    for (size_t u = 0; u < H; u++) {
        float r = s->gates[u], e = s->pre[2 * H + u];
        s->pre[u] = e * s->more[u] * slope_at(s->net->gate_slope, r);
        inner[u] = s->pre[u];
        inner[H + u] = s->pre[H + u];
        inner[2 * H + u] = e * r;
        direct[u] = s->dh[u] * s->gates[H + u];
    }
    way_multiply(s->weights->U, 1, inner, s->dh, false);
    for (size_t u = 0; u < H; u++) s->dh[u] += direct[u];
}

static void backward_original(const struct slow_step *s)
{
    size_t H = s->net->H;
    float *q = s->scratch, *direct = q + H; /* [H] dh z + q r */
    blend_backward(s);
    way_multiply(s->weights->N, 1, s->pre + 2 * H, q, false);
    for (size_t u = 0; u < H; u++) {
        float r = s->gates[u];
        s->pre[u] = q[u] * s->h_before[u] * slope_at(s->net->gate_slope, r);
        direct[u] = s->dh[u] * s->gates[H + u] + q[u] * r;
    }
    way_multiply(s->weights->U, 1, s->pre, s->dh, false);
    for (size_t u = 0; u < H; u++) s->dh[u] += direct[u];
}

const struct slow_kind gru_slow = {.has = {.names = "rzn", .keeper = 'z'}, .keeps_more = true,
                                   .forward = forward, .backward = backward};
const struct slow_kind gru_original_slow = {.has = {.names = "rzn", .keeper = 'z'},
                                            .forward = forward_original, .backward = backward_original};
