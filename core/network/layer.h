/* layer: one entry of a network, and the contract a layer type fulfils.
 *
 * A layer type is one file and one row of layer.def: its keys (as config.json spells them), how
 * it loads its tensors, and how it runs over one turn's packed batch. A built layer is
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
 * contiguous. R = 7 rows here.
 *
 * Layers need not be a chain. A layer may name its sources, which are layers before it or the network's
 * input; a type that joins reads several. Only "previous" names a layer after it, whose output of the step
 * before it gives again. */
#ifndef CAROUSEL_CORE_LAYER_H
#define CAROUSEL_CORE_LAYER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/network/matrix.h"
#include "core/base/status.h"
#include "core/network/team.h"
#include "core/network/tensors.h"

enum { LAYER_MAX_KEYS = 16, LAYER_PREFIX_BYTES = 128, LAYER_MAX_SIZE = 1 << 20 };

enum key_kind {
    KEY_SIZE,    /* integer in [minimum, maximum] */
    KEY_BOOLEAN, /* 0 or 1 */
    KEY_CHOICE,  /* index into choices[] (NULL-terminated) */
    KEY_NUMBER,  /* a number that inference does not need (dropout's p); value is not kept */
    KEY_REAL     /* a number in [minimum, maximum]; kept in numbers[] */
};

/* One key of a layer type, by the name that config.json and PyTorch use. */
struct layer_key {
    const char *name; /* NULL ends the list */
    enum key_kind kind;
    bool required;
    long fallback; /* the value if an optional key is left out */
    long minimum, maximum;
    const char *const *choices;
    double real;   /* the value of an optional KEY_REAL that is left out */
};

struct layer_type;

enum { LAYER_MAX_SOURCES = 8, SOURCE_INPUT = -1 };

/* A layer as config.json describes it: type, prefix and the values in the order of type->keys.
 * models/bundle/bundle fills it and has checked kinds and ranges. */
struct layer_spec {
    const struct layer_type *type;
    char prefix[LAYER_PREFIX_BYTES]; /* "" for a type without tensors */
    long values[LAYER_MAX_KEYS];
    double numbers[LAYER_MAX_KEYS]; /* of KEY_REAL */
    size_t n_sources;                /* 0: the layer before it, or the network's input if it is the first */
    int sources[LAYER_MAX_SOURCES];  /* indices into the list of specs, or SOURCE_INPUT */
};

/* What a sequence attends to beside its own steps: the outputs of an encoder, the features of an image. The
 * job's. One memory may serve several rides of a turn, as those of a beam; forks may share it once a ride
 * has run, because it does not change after the first. */
struct memory {
    const float *rows; /* [S, network_memory_size] */
    size_t S;          /* >= 1; each sequence has its own, so nothing is padded or masked */
    float *derived;    /* [S, network_memory_floats] room for what the layers make of the rows, once */
    size_t n_derived;  /* rows of which they have: 0 at first, then S */
    float *weights;    /* [S] or NULL: receives the weights of the rows, at a ride's last step, in the last
                          attention layer. A ride that wants its own brings a memory of its own, which may
                          share the rows and what was derived */
};

/* Rows that a layer reads beside its first source. */
struct layer_source {
    const float *rows; /* [R, size] */
    size_t size;
};

/* What a ride is among those of its group, which layers that mix read together. */
enum ride_role {
    RIDE_TARGET,    /* a series that is foretold: reads all of its group */
    RIDE_COVARIATE, /* reads covariates */
    RIDE_MIRROR     /* the covariate of the ride before it, from its last step to its first */
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
    struct memory *const *memories; /* [B] of a network that attends, else of no meaning */
    const size_t *groups;           /* [B] of the first ride of a group: its rides, which stand side by side
                                       and have as many steps; of one alone 1, of others 0. NULL: all alone */
    const enum ride_role *roles;    /* [B] NULL if `groups` is */
    const struct layer_source *sources; /* [n_sources] of a layer that joins: all that it reads, `in` first */
    size_t n_sources;
};

struct trace_cell;

/* One sequence's way through a layer on the slow path (core/recurrent/trace.h), row by row: a row is a step,
 * or the one vector that pooling leaves. */
struct passage {
    size_t T;              /* rows of `in` */
    const int32_t *tokens; /* [T] if the layer reads tokens, else NULL */
    const float *in;       /* [T, input_size], or NULL if the layer reads tokens */
    const struct layer_source *sources; /* [n_sources] all that it reads, of T rows each, `in` first */
    size_t n_sources;
    float *out;            /* [T, output_size]; [1, output_size] if the layer pools */
    float *kept;           /* [trace_floats] */
    const struct memory *memory; /* of a layer that attends, with what it derives; else of no meaning */
    float *d_memory;       /* [S, memory_size] backward adds the gradient by the memory's rows; or NULL */
    bool (*stop)(void *context); /* asked once a step: give up? May be NULL */
    void *context;
    size_t from, to;       /* the rows at hand. Of a type without hold() they are all; of another, what came
                              of the rows before them lies in `out` and `kept` */
    void *held;            /* what hold() gave, or NULL */
    const float *begin;    /* [state_floats] the state before row 0, as run() keeps it; or NULL: as run()
                              begins a sequence */
    float *d_state;        /* [state_floats] backward finds the gradient by the state after the rows at hand,
                              and leaves that by the state before them; or NULL: zero, and not wanted */
};

/* What every layer is. A type's own struct begins with this. The first block is set by the type's
 * build(), the offsets by the network. */
struct layer {
    const struct layer_type *type;
    size_t input_size;       /* floats a row; 0: reads tokens */
    size_t vocabulary_size;  /* token ids are in [0, vocabulary_size); 0 if input_size > 0 */
    size_t output_size;      /* floats a row */
    size_t state_floats;     /* a sequence; zero is the initial state */
    bool whole;              /* needs the whole sequence in one turn (bidirectional) */
    bool pools;              /* writes [B, output_size], one row a sequence, instead of [R, ...] */
    bool bounded;            /* outputs lie in [-1, 1], so that codes can stand for them */
    bool normed;             /* outputs come from a norm: a client cannot make them large */
    bool identity;           /* changes nothing: the network leaves it out */
    bool mixes;              /* reads rows of other rides of a group (turn->groups) */
    size_t memory_size;      /* attends to rows of so many floats (turn->memories); 0: does not */
    size_t memory_floats;    /* a row of memory, which derive() makes and run() reads */
    size_t recalls;          /* gives an output of the step before, of so many floats, which it finds in its
                                state: the network puts it there. 0: does not */
    size_t forward_size;     /* the first so many outputs know the past; the others, of a reverse
                                direction, the future. output_size if there is no such thing */
    size_t state_offset;     /* floats */
    size_t memory_offset;    /* floats a row of memory: its part begins at derived + S * memory_offset */
};

/* What build() is told of its surroundings. `before` is the layer whose rows this one reads, NULL
 * for the first; it is lent until build() returns. A type without sizes of its own copies
 * them from there. If `before` reads tokens, a layer may take its place: compute at load what
 * every token leads to, set input_size = 0 and vocabulary_size to before's, and read turn->tokens
 * itself; the network then drops `before`. `before` is shown without its tokens if other layers read it
 * too. A layer whose only source is the network's input finds NULL if it is the first to read it. */
struct layer_context {
    struct tensors *tensors;
    enum precision precision;   /* of matrices, if the layer allows it */
    const struct layer *before;
    struct layer_plan *plan;          /* build the form alone, and count; NULL: build for use */
    const struct layer *const *sources; /* [n_sources] all layers that it reads, `before` first */
    size_t n_sources;
    bool memory_bounded;        /* the rows of a memory lie in [-1, 1] */
};

/* What building for use will take. While a network is planned, layer_take and layer_matrix check
 * and count, and give NULL in *out: build() must not touch weights then. */
struct layer_plan {
    uint64_t kept;    /* bytes that the network will hold */
    uint64_t largest; /* bytes of its largest tensor as float32; two of them may be held for a while */
};

struct layer_type {
    const char *name;
    bool has_prefix;
    const struct layer_key *keys;
    bool joins; /* may have several sources; each other type has one */
    /* Build a layer, or fail with a sentence. The caller owns *out and frees it with free(). */
    enum status (*build)(const struct layer_spec *spec, const struct layer_context *context,
                         struct layer **out, struct error *err);
    void (*free)(struct layer *layer); /* accepts NULL */
    /* Floats of scratch that run() needs for R rows of B sequences. May be NULL: none. */
    size_t (*scratch_floats)(const struct layer *layer, size_t R, size_t B);
    /* in [R, input_size] (NULL if input_size is 0), out [R, output_size] or, if the layer
     * pools, [B, output_size] in the batch's order. in and out do not overlap; both and scratch
     * are 64-byte aligned. Reads and leaves state at states[b] + state_offset. Cannot fail,
     * allocates nothing. Any thread. */
    void (*run)(const struct layer *layer, const struct turn *turn, const float *in, float *out,
                float *scratch);
    /* If memory_floats > 0: make of memory->rows, once, what run() will read at each step. `out` is the
     * layer's part of memory->derived, [S, memory_floats]. */
    void (*derive)(const struct layer *layer, const struct memory *memory, struct team *team, float *out);
    /* Bytes of weights held. May be NULL: none. */
    size_t (*bytes)(const struct layer *layer);
    /* The slow path. trace: write `out` and keep what backward needs; NULL if run() does for one sequence.
     * backward: from d_out, the gradient of a number with respect to `out`, and the passage that trace or run
     * has filled, write d_in [T, input_size], or [T] if the layer reads tokens: the derivative by a factor
     * on the token's vector. A type that joins writes one such block a source, one behind the other. Of some
     * rows at hand d_out and d_in are of those alone. Both allocate. STATUS_NO_MEMORY, or STATUS_CANCELLED if
     * `stop` said so. A type without backward is not traced. */
    size_t (*trace_floats)(const struct layer *layer, size_t T); /* NULL: none */
    enum status (*trace)(const struct layer *layer, const struct passage *passage);
    enum status (*backward)(const struct layer *layer, const struct passage *passage, const float *d_out,
                            float *d_in);
    /* Unpack the weights for calls of trace, or of backward if `is_back`, that share them (passage->held).
     * Only a type that has this can do a part of the rows, and begin with a given state. NULL: it has not. */
    enum status (*hold)(const struct layer *layer, bool is_back, void **out);
    void (*release)(void *held); /* accepts NULL */
    /* Show direction d of the k-th recurrent layer in it (core/recurrent/trace.h); false past the end. The
     * passage may be NULL: then *cell has sizes alone. NULL: it has none. */
    bool (*cell)(const struct layer *layer, const struct passage *passage, size_t k, size_t d,
                 struct trace_cell *cell);
};

#define X(symbol) extern const struct layer_type layer_##symbol;
#include "core/network/layer.def"

/* The type called `name`, or NULL. layer_types gives them all (NULL-terminated), for messages. */
const struct layer_type *layer_type_find(const char *name);
const struct layer_type *const *layer_types(void);

/* For build(). Tensor "{prefix}.{name}" of shape [rows, columns], or [rows] if columns is 0; the
 * caller owns *out (memory_free). */
enum status layer_take(const struct layer_spec *spec, const struct layer_context *context,
                       const char *name, size_t rows, size_t columns, float **out,
                       struct error *err) MUST_CHECK;

/* The same for a tensor of any shape. */
enum status layer_take_shape(const struct layer_spec *spec, const struct layer_context *context,
                             const char *name, size_t rank, const size_t *shape, float **out,
                             struct error *err) MUST_CHECK;

/* matrix_new with a sentence that names "{prefix}.{name}" if it fails. */
enum status layer_matrix(const struct layer_spec *spec, const struct layer_context *context,
                         const char *name, const float *W, const float *bias, size_t N, size_t K,
                         enum precision precision, struct matrix **out,
                         struct error *err) MUST_CHECK;

/* Fail as layer_take() would, except for values and memory, and take nothing: so that the sentence about a
 * weight comes before one about its bias. */
enum status layer_expect(const struct layer_spec *spec, const struct layer_context *context, const char *name,
                         size_t rows, size_t columns, struct error *err) MUST_CHECK;

/* Rows of a tensor that become the rows of a matrix: row n of the matrix is row first + place(context, n). */
struct layer_rows {
    size_t tensor_rows; /* that the tensor has */
    size_t first, n;    /* of those, the matrix has n */
    size_t (*place)(const void *context, size_t n); /* NULL: n */
    const void *context;
};
/* Pack rows of tensor "{prefix}.{name}" [rows->tensor_rows, K] with `bias` [rows->n] or NULL. They are read
 * row by row, so that no block holds them all as floats. */
enum status layer_matrix_of(const struct layer_spec *spec, const struct layer_context *context,
                            const char *name, const struct layer_rows *rows, const float *bias, size_t K,
                            enum precision precision, struct matrix **out, struct error *err) MUST_CHECK;

/* Count rows x columns floats that the layer keeps as they are, while a network is planned. */
void layer_keep(const struct layer_context *context, size_t rows, size_t columns);

/* The precision of a matrix whose inputs lie in [-1, 1] (bounded) or may not. int8 codes cover
 * [-1, 1] only, and a bfloat16 keeps less than three digits of a number that a client sends. So if the
 * inputs may be larger, an int8 or bfloat16 network has float16 weights there and floats as inputs. */
enum precision layer_precision(enum precision wanted, bool bounded, size_t inputs);

/* The same for a matrix that reads what `before` gives, or what a client sends if that is NULL. A bfloat16
 * network takes the numbers of a norm as bfloat16 too: no client can make them large. */
enum precision layer_precision_after(enum precision wanted, const struct layer *before, size_t inputs);

/* n_floats, rounded up to whole cache lines: where the next part of a scratch block begins. */
size_t layer_round(size_t n_floats);

#endif
