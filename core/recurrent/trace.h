/* trace: the slow path beside network_run. One sequence through a network with everything kept, to look
 * inside: h, c and the gates of every recurrent layer over time, and the gradient of an output with respect
 * to each input step. Layers may name their sources; gradients that meet are added. From a layer that recalls
 * ("previous") to the one that it recalls, the layers go step by step, forward and back.
 *
 * The weights are those that serve, whatever their precision: int8 codes count as the numbers they stand
 * for. In float32 the outputs are those of network_run up to rounding. Memory: trace_bytes, and while it
 * computes the unpacked weights of one layer, three times as float32; of all layers that go step by step
 * together, once. Nothing here runs on the path of a turn. A trace belongs to its caller and is used by one
 * thread at a time; the network must outlive it. */
#ifndef CAROUSEL_CORE_TRACE_H
#define CAROUSEL_CORE_TRACE_H

#include "core/layers/activation.h"
#include "core/network/network.h"

struct trace;

struct trace_input {
    size_t T;              /* steps, >= 1 */
    const int32_t *tokens; /* [T], each in [0, vocabulary); or NULL */
    const float *features; /* [T, input_size]; or NULL */
    const float *memory;   /* [S, network_memory_size] what a network that attends attends to; or NULL. All
                              three are borrowed until trace_free */
    size_t S;              /* >= 1 with a memory */
    const float *state;    /* [network_state_floats] to begin with, as network_run leaves it, if trace_fixed
                              gives NULL; or NULL: a sequence that has not begun. Borrowed too */
    bool (*stop)(void *context); /* asked once a step: give up? May be NULL. Also asked by trace_backward */
    void *context;
};

/* Count the bytes that a trace of T steps holds; UINT64_MAX if that does not fit. */
uint64_t trace_bytes(const struct network *network, size_t T);
/* Count the units of all recurrent layers and directions: with the steps, the measure of a trace. */
size_t trace_units(const struct network *network);

/* Return the first layer that cannot be traced: of a type without backward, or one that has to go step by
 * step and remembers in another way than lstm, gru and rnn. NULL if all can. */
const struct layer *trace_unknown(const struct network *network);
/* Return the first layer that remembers in another way than lstm, gru and rnn, so that a trace can neither
 * begin with its state nor give it; NULL if there is none. */
const struct layer *trace_fixed(const struct network *network);

/* Run the sequence. STATUS_UNSUPPORTED if a layer is unknown, STATUS_NO_MEMORY, or
 * STATUS_CANCELLED if `stop` said so. The caller owns *out. */
enum status trace_new(const struct network *network, const struct trace_input *input,
                      struct trace **out) MUST_CHECK;
void trace_free(struct trace *trace); /* accepts NULL */

/* Return the outputs [*rows, network_output_size]: a row a step, or one if the network pools. */
const float *trace_output(const struct trace *trace, size_t *rows);

/* Write the state after the last step, [network_state_floats]. trace_fixed must have given NULL. The outputs
 * that "previous" layers recall are written as 0. */
void trace_state(const struct trace *trace, float *state);

/* Compute the gradient of sum(d_output * output[row]) with respect to the inputs: d_input [T, input_size];
 * for tokens [T], the derivative by a factor on the token's vector at 1, which is "gradient times input".
 * Nothing is truncated: it goes back through all steps. STATUS_NO_MEMORY, STATUS_CANCELLED. */
enum status trace_backward(const struct trace *trace, size_t row, const float *d_output,
                           float *d_input) MUST_CHECK;
/* From where to where a gradient goes. */
struct trace_way {
    const float *d_outputs; /* [rows, network_output_size] */
    const float *d_end;     /* [network_state_floats] by what trace_state gives; or NULL: zero */
    float *d_input;         /* as above */
    float *d_memory;        /* [S, network_memory_size] out, or NULL: not wanted */
    float *d_begin;         /* [network_state_floats] out: by the state to begin with; or NULL: not wanted */
};
/* The same of sum(d_outputs * outputs) over all rows, plus sum(d_end * state). */
enum status trace_backward_all(const struct trace *trace, const struct trace_way *way) MUST_CHECK;

/* What the units of a type have besides h. */
struct trace_gates {
    const char *names; /* a letter a gate: "ifgo" of an lstm, "rzn" of a gru, "" of an rnn, "ifzo" of an
                          slstm, "if" of an mlstm */
    char keeper;       /* the letter of the gate that says how much of the old is kept; 0 if none does */
    bool has_c;
};

/* One direction of one recurrent layer, over the steps in the order of the sequence. A stride is in floats
 * from a step's row to the next step's, and may be negative.
 *
 * An slstm shows c / n for c, where n is its normaliser: with i / n for i, and f times the n before by n for
 * f, c = f c + i z, i + f = 1 and h = o c. An mlstm shows the i and f of a unit's head: f as sigmoid gives
 * it, i by the largest so far. */
struct trace_cell {
    size_t H, O;        /* units; outputs: H, or proj_size */
    size_t n_directions;
    bool is_reverse;
    const struct trace_gates *has;
    const float *gates; /* [T] times a row of H a gate; as they act: after sigmoid and tanh */
    ptrdiff_t gates_stride;
    const float *c;     /* [T] rows of H, or NULL */
    ptrdiff_t c_stride;
    const float *h;     /* [T] rows of O */
    ptrdiff_t h_stride;
    activation *squash; /* before a projection h is o squash(c); NULL: h is no such thing */
};
/* Show cell `layer`, `direction`: recurrent layers are counted from 0 through the whole network, those of
 * num_layers each. false past the end. */
bool trace_cell(const struct trace *trace, size_t layer, size_t direction, struct trace_cell *out);
/* The same without steps: sizes and names alone. */
bool trace_cell_of(const struct network *network, size_t layer, size_t direction, struct trace_cell *out);
/* Count the recurrent layers of a network so. */
size_t trace_layers(const struct network *network);

#endif
