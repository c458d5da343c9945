/* layer: one entry of a network, and the contract a layer type fulfils.
 *
 * A layer type is one file and one row of layer.def: its keys (as config.json spells them), how
 * it takes its tensors, and how it runs over one turn's packed batch. A built layer is
 * immutable and shared by all workers; what changes between turns is in each sequence's state.
 *
 * The packed batch (torch.nn.utils.rnn.pack_padded_sequence). B sequences, sorted by number of
 * steps, longest first; the rows of step 0 come first, then those of step 1, and so on:
 *
 *     steps = 4 2 1          t=0: rows 0 1 2     alive[0]=3  first[0]=0
 *                            t=1: rows 3 4       alive[1]=2  first[1]=3
 *                            t=2: row  5         alive[2]=1  first[2]=5
 *                            t=3: row  6         alive[3]=1  first[3]=6
 *
 * so step t of sequence b is row first[t] + b, no row is padding, and the rows of one step are
 * contiguous. R = 7 rows here. */
#ifndef CAROUSEL_CORE_LAYER_H
#define CAROUSEL_CORE_LAYER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/matrix.h"
#include "core/status.h"
#include "core/team.h"
#include "core/tensors.h"

enum { LAYER_MAX_KEYS = 8, LAYER_PREFIX_BYTES = 128, LAYER_MAX_SIZE = 1 << 20 };

enum key_kind {
    KEY_SIZE,    /* integer in [minimum, maximum] */
    KEY_BOOLEAN, /* 0 or 1 */
    KEY_CHOICE,  /* index into choices[] (NULL-terminated) */
    KEY_NUMBER   /* a number that inference does not need (dropout's p); value is not kept */
};

/* One key of a layer type, by the name that config.json and PyTorch use. */
struct layer_key {
    const char *name; /* NULL ends the list */
    enum key_kind kind;
    bool required;
    long fallback; /* the value where an optional key is left out */
    long minimum, maximum;
    const char *const *choices;
};

struct layer_type;

/* A layer as config.json describes it: type, prefix and the values in the order of type->keys.
 * models/bundle fills it and has checked kinds and ranges. */
struct layer_spec {
    const struct layer_type *type;
    char prefix[LAYER_PREFIX_BYTES]; /* "" for a type without tensors */
    long values[LAYER_MAX_KEYS];
};

/* One turn's packed batch, borrowed by run() for the call. */
struct turn {
    size_t B, T, R;
    const size_t *steps;   /* [B] descending, >= 1 */
    const size_t *alive;   /* [T] */
    const size_t *first;   /* [T] */
    const int32_t *tokens; /* [R] first layer of a token network, else NULL */
    float *const *states;  /* [B] each sequence's whole state; a layer's part is at state_offset */
    struct team *team;     /* to share products with, or NULL */
};

/* What every layer is. A type's own struct begins with this. The first block is set by the type's
 * build(), state_offset by the network. */
struct layer {
    const struct layer_type *type;
    size_t input_size;       /* floats a row; 0: reads tokens */
    size_t vocabulary_size;  /* token ids are in [0, vocabulary_size); 0 where input_size > 0 */
    size_t output_size;      /* floats a row */
    size_t state_floats;     /* a sequence; zero is the initial state */
    bool whole;              /* needs the whole sequence in one turn (bidirectional) */
    bool pools;              /* writes [B, output_size], one row a sequence, instead of [R, ...] */
    bool bounded;            /* outputs lie in [-1, 1], so that int8 codes can stand for them */
    bool identity;           /* changes nothing: the network leaves it out */
    size_t forward_size;     /* the first so many outputs know the past; the others, of a reverse
                                direction, the future. output_size where there is no such thing */
    size_t state_offset;     /* floats */
};

/* What build() is told of its surroundings. `before` is the layer whose rows this one reads, NULL
 * for the first; it is lent until build() returns. A type without sizes of its own takes them
 * from there. Where `before` reads tokens, a layer may take its place: compute at load what
 * every token leads to, set input_size = 0 and vocabulary_size to before's, and read turn->tokens
 * itself; the network then drops `before`. */
struct layer_context {
    struct tensors *tensors;
    enum precision precision;   /* of matrices, where the layer allows it */
    const struct layer *before;
};

struct layer_type {
    const char *name;
    bool has_prefix;
    const struct layer_key *keys;
    /* Build a layer, or fail with a sentence. The caller owns *out and frees it with free(). */
    enum status (*build)(const struct layer_spec *spec, const struct layer_context *context,
                         struct layer **out, struct error *err);
    void (*free)(struct layer *layer); /* takes NULL */
    /* Floats of scratch that run() needs for R rows of B sequences. May be NULL: none. */
    size_t (*scratch_floats)(const struct layer *layer, size_t R, size_t B);
    /* in [R, input_size] (NULL where input_size is 0), out [R, output_size] or, where the layer
     * pools, [B, output_size] in the batch's order. in and out do not overlap; both and scratch
     * are 64-byte aligned. Reads and leaves state at states[b] + state_offset. Cannot fail,
     * allocates nothing. Any thread. */
    void (*run)(const struct layer *layer, const struct turn *turn, const float *in, float *out,
                float *scratch);
    /* Bytes of weights held. May be NULL: none. */
    size_t (*bytes)(const struct layer *layer);
};

#define X(symbol) extern const struct layer_type layer_##symbol;
#include "core/layer.def"
#undef X

/* The type called `name`, or NULL. layer_types gives them all (NULL-terminated), for messages. */
const struct layer_type *layer_type_find(const char *name);
const struct layer_type *const *layer_types(void);

/* For build(). Tensor "{prefix}.{name}" of shape [rows, columns], or [rows] where columns is 0; the
 * caller owns *out (memory_free). */
enum status layer_take(const struct layer_spec *spec, const struct layer_context *context,
                       const char *name, size_t rows, size_t columns, float **out,
                       struct error *err) MUST_CHECK;

/* matrix_new with a sentence that names "{prefix}.{name}" where it fails. */
enum status layer_matrix(const struct layer_spec *spec, const char *name, const float *W,
                         const float *bias, size_t N, size_t K, enum precision precision,
                         struct matrix **out, struct error *err) MUST_CHECK;

/* The precision of a matrix whose inputs lie in [-1, 1] (bounded) or may not. int8 codes cover
 * [-1, 1] only, so where the inputs may be larger an int8 network keeps float16. */
enum precision layer_precision(enum precision wanted, bool bounded, size_t inputs);

/* n_floats, rounded up to whole cache lines: where the next part of a scratch block begins. */
size_t layer_round(size_t n_floats);

#endif
