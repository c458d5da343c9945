/* trace: the slow path beside network_run. One sequence through a network with everything kept, to look
 * inside: h, c and the gates of every LSTM layer over time, and the gradient of an output with respect to
 * each input step.
 *
 * The weights are those that serve, whatever their precision: int8 codes count as the numbers they stand
 * for. In float32 the outputs are those of network_run up to rounding. Memory: trace_bytes, and while it
 * computes the unpacked weights of one LSTM layer, three times as float32. Nothing here runs on the path of
 * a turn. A trace belongs to its caller and is used by one thread at a time; the network must outlive it. */
#ifndef CAROUSEL_CORE_TRACE_H
#define CAROUSEL_CORE_TRACE_H

#include "core/network/network.h"

struct trace;

struct trace_input {
    size_t T;              /* steps, >= 1 */
    const int32_t *tokens; /* [T], each in [0, vocabulary); or NULL */
    const float *features; /* [T, input_size]; or NULL. Both are borrowed until trace_free */
    bool (*stop)(void *context); /* asked once a step: give up? May be NULL. Also asked by trace_backward */
    void *context;
};

/* Count the bytes that a trace of T steps holds; UINT64_MAX if that does not fit. */
uint64_t trace_bytes(const struct network *network, size_t T);
/* Count the units of all LSTM layers and directions: with the steps, the measure of a trace. */
size_t trace_units(const struct network *network);

/* Return the first layer that cannot be traced, such as a gru, or that of a network that is not a chain;
 * NULL if all can. */
const struct layer *trace_unknown(const struct network *network);

/* Run the sequence from the zero state. STATUS_UNSUPPORTED if a layer is unknown, STATUS_NO_MEMORY, or
 * STATUS_CANCELLED if `stop` said so. The caller owns *out. */
enum status trace_new(const struct network *network, const struct trace_input *input,
                      struct trace **out) MUST_CHECK;
void trace_free(struct trace *trace); /* takes NULL */

/* Return the outputs [*rows, network_output_size]: a row a step, or one if the network pools. */
const float *trace_output(const struct trace *trace, size_t *rows);

/* Compute the gradient of sum(d_output * output[row]) with respect to the inputs: d_input [T, input_size];
 * for tokens [T], the derivative by a factor on the token's vector at 1, which is "gradient times input".
 * Nothing is truncated: it goes back through all steps. STATUS_NO_MEMORY, STATUS_CANCELLED. */
enum status trace_backward(const struct trace *trace, size_t row, const float *d_output,
                           float *d_input) MUST_CHECK;

/* One direction of one LSTM layer, over the steps in the order of the sequence. */
struct trace_cell {
    size_t H, O;        /* units; outputs: H, or proj_size */
    bool is_reverse;
    const float *gates; /* [T,4,H] i, f, g, o as they act: after sigmoid and tanh */
    const float *c;     /* [T,H] */
    const float *h;     /* [T] rows of O, h_stride floats apart */
    size_t h_stride;
};
/* Show cell `layer`, `direction`: LSTM layers are counted from 0 through the whole network, those of
 * num_layers each. false past the end. */
bool trace_cell(const struct trace *trace, size_t layer, size_t direction, struct trace_cell *out);
/* Count the LSTM layers of a network so; the units of one direction of one, and its directions. */
size_t trace_layers(const struct network *network);
size_t trace_layer(const struct network *network, size_t layer, size_t *n_directions);

#endif
