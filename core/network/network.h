/* network: layers, and one turn of them over a packed batch.
 *
 * Immutable once built; shared by all workers. Each worker brings its own workspace. The result
 * of a ride is a function of the ride alone: never of what else is in the batch, nor of how a
 * sequence was cut into rides.
 *
 * A network is cut at its head: the layers from the first one after which nothing remembers
 * (no lstm, no pooling, no attention) and that reads nothing from further back, run only on rows whose output
 * a ride wants. The input of the head is the hidden vector, which embeddings tap.
 *
 * Layers form a chain unless they name their sources (struct layer_spec). If a layer recalls the output of a
 * later one ("previous"), a step cannot begin before the step before it has ended: a turn then runs its
 * steps one by one through all layers of the body. */
#ifndef CAROUSEL_CORE_NETWORK_H
#define CAROUSEL_CORE_NETWORK_H

#include "core/network/layer.h"

struct network;

/* Build from specs[0..n). Checks that consecutive sizes agree. The caller owns *out. */
enum status network_new(const struct layer_spec *specs, size_t n, struct tensors *tensors,
                        enum precision precision, struct network **out,
                        struct error *err) MUST_CHECK;
/* The same for a decoder: its layers attend to what `encoder` gives, and it is of the encoder's family. */
enum status network_new_decoder(const struct network *encoder, const struct layer_spec *specs, size_t n,
                                struct tensors *tensors, enum precision precision, struct network **out,
                                struct error *err) MUST_CHECK;
/* Check all that network_new would, except values, and build the form alone: nothing is read from
 * `tensors`, and no weight is allocated. *out answers questions about sizes, steps and layers; it
 * must not run, nor be asked for its bytes. *bytes is the most memory that network_new will hold
 * at one time, besides the tensors' own. The caller owns *out. */
enum status network_plan(const struct layer_spec *specs, size_t n, struct tensors *tensors,
                         enum precision precision, struct network **out, uint64_t *bytes,
                         struct error *err) MUST_CHECK;
void network_free(struct network *network); /* accepts NULL */

size_t network_input_size(const struct network *network);      /* 0: reads tokens */
size_t network_vocabulary_size(const struct network *network); /* 0: reads features */
size_t network_output_size(const struct network *network);
size_t network_hidden_size(const struct network *network);
size_t network_state_floats(const struct network *network);
size_t network_memory_size(const struct network *network);   /* floats a row of memory; 0: attends to none */
size_t network_memory_floats(const struct network *network); /* a row of memory->derived */
bool network_mixes(const struct network *network);           /* rides may have a group */
size_t network_bytes(const struct network *network); /* of weights in memory */
bool network_is_whole(const struct network *network);  /* sequences ride whole, cannot be resumed */
bool network_is_chain(const struct network *network);  /* each layer reads the one before it, and no memory */
bool network_has_pooling(const struct network *network); /* one output, after the last step */
enum precision network_precision(const struct network *network);
/* Its number in this process, from 1: unlike its address, never another network's. */
uint64_t network_serial(const struct network *network);
/* The number of its family: the networks that one sequence may pass through, such as an encoder and a
 * decoder. A network by itself is its own family, and the number is its serial. */
uint64_t network_family(const struct network *network);
/* Put `network` into the family of `first`; before any sequence knows it. */
void network_join(struct network *network, const struct network *first);
/* Layers, for inspection: NULL past the end. */
const struct layer *network_layer(const struct network *network, size_t i);
/* What layer i reads: *n places of layers, or SOURCE_INPUT; none if it recalls. */
const int *network_sources(const struct network *network, size_t i, size_t *n);
/* The place of the layer that layer i, which recalls, gives again. */
size_t network_recalled(const struct network *network, size_t i);

/* Which steps' outputs a ride wants. A network that pools has one output a sequence, asked for
 * with WANT_LAST on the ride that holds the last step. WANT_TAIL: those of its last n_wanted steps. */
enum want { WANT_NONE, WANT_LAST, WANT_ALL, WANT_TAIL };
enum tap { TAP_OUTPUT, TAP_HIDDEN };

/* One sequence's part of a turn. */
struct ride {
    /* in */
    size_t n_steps;         /* >= 1 */
    const int32_t *tokens;  /* [n_steps], each in [0, vocabulary); or NULL */
    const float *features;  /* [n_steps, input_size], finite; or NULL */
    float *state;           /* [state_floats], moved forward by n_steps */
    struct memory *memory;  /* if the network attends; the rides of a turn may share it */
    /* If the network mixes: series that are read together are a group of rides, one behind the other:
     * targets, then covariates, a mirror right behind the ride that it mirrors. They have the same n_steps.
     * A group with a mirror rides whole: all its steps are in one turn. */
    size_t n_group;         /* of the first ride of a group: so many rides; 0: it is alone */
    enum ride_role role;
    enum want want;
    size_t n_wanted;        /* of WANT_TAIL: 1 to n_steps */
    enum tap tap;
    /* out: [n_outputs, size of the tap], rows contiguous, in the workspace until its next turn */
    const float *output;
    size_t n_outputs;       /* as many as are wanted */
};

struct workspace;

/* Room for turns of up to `rows` rows of up to `sequences` sequences. Grows to fit a network when
 * workspace_fit is called (allocates); one worker uses it at a time. */
enum status workspace_new(size_t rows, size_t sequences, struct workspace **out) MUST_CHECK;
enum status workspace_fit(struct workspace *workspace, const struct network *network) MUST_CHECK;
void workspace_free(struct workspace *workspace); /* accepts NULL */
/* Turns from now on share their products with this team's members; NULL: with none. Borrowed. */
void workspace_lend(struct workspace *workspace, struct team *team);
size_t workspace_rows(const struct workspace *workspace);
size_t workspace_bytes(const struct workspace *workspace);

/* One turn. The sum of n_steps is at most the workspace's rows, n at most its sequences, and the
 * workspace fits the network. Cannot fail, allocates nothing. */
void network_run(const struct network *network, struct workspace *workspace, struct ride *rides,
                 size_t n);

#endif
