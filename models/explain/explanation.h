/* explanation: what happens inside a network while it reads one input, and what an output owes to each step.
 *
 * The slow path of core/recurrent/trace.h as a task of every model: h, c and the gates of some units of one
 * recurrent layer over time, and the gradient of a chosen output by each input step. Of a model with a
 * decoder the client also says what was written; layers of the decoder have the steps of that, and the
 * gradient goes back to the input through the attention, and through the state in which the decoder begins if
 * that is the encoder's. Not a job: it never rides. It runs on the thread that calls explanation_run, which
 * takes about as long as three runs of the input alone.
 *
 * Life: explanation_new (checks and copies; cheap) -> explanation_run (once) -> read -> explanation_free. */
#ifndef CAROUSEL_MODELS_EXPLANATION_H
#define CAROUSEL_MODELS_EXPLANATION_H

#include "models/bundle/input.h"
#include "models/bundle/model.h"
#include "models/jobs/tokens.h"

enum { EXPLAIN_CELLS = 1, EXPLAIN_GATES = 2, EXPLAIN_GRADIENTS = 4, EXPLAIN_ALL = 7 };

/* The last step, or layer; the most probable token, label or output. */
#define EXPLAIN_DEFAULT SIZE_MAX

/* What a client asks. Pointers are borrowed for explanation_new. */
struct explanation_request {
    /* one of the four, as the model's task reads */
    struct token_span tokens; /* without bos and eos */
    const double *features;   /* [n_steps, input_size] unscaled */
    const double *series;     /* [n_steps], NaN if missing */
    size_t n_steps;
    const size_t *origin;     /* [n_steps + 1] of features from a front end: the point or sample with which
                                 each step begins, and where the last one ends; or NULL */
    const struct steps *steps; /* as the network reads them: bos, eos and scaling done */
    struct token_span written; /* of a model with a decoder: what it wrote, without bos and eos */

    unsigned what;            /* EXPLAIN_... */
    size_t layer;             /* recurrent layers counted from 0, or EXPLAIN_DEFAULT: the last */
    const size_t *units;      /* [n_units] distinct; NULL: the n_units most active ones */
    size_t n_units;
    const double *follow;     /* [n_follow] a number a step of the layer, to choose units by correlation; or
                                 NULL */
    size_t n_follow;
    size_t step, output;      /* the target, each or both EXPLAIN_DEFAULT */
    size_t max_values;        /* most steps x units of the network, and most values of the result */
};

/* What a target names: a token (its log-probability), a label (its score), or an output of the network. */
enum explanation_target { TARGET_TOKEN, TARGET_LABEL, TARGET_OUTPUT };
enum explanation_target explanation_target_of(const struct model *model);

/* The values of a cell: rows of explanation_cell.values. Which ones a layer has says trace_gates. */
enum explanation_value { EXPLAINED_H, EXPLAINED_C, EXPLAINED_I, EXPLAINED_F, EXPLAINED_G, EXPLAINED_O,
                        EXPLAINED_R, EXPLAINED_Z, EXPLAINED_N, N_EXPLAINED };
/* "h", "c", "i" and so on. */
const char *explanation_value_name(enum explanation_value value);

/* Chosen units of one direction of the layer. */
struct explanation_cell {
    size_t n_units;
    int32_t *units;
    float *values[N_EXPLAINED]; /* [n_units, steps of the layer]; NULL if not asked for or not there.
                                   h of an lstm is o tanh(c), before a projection */
    float *half_life;           /* [n_units] steps after which half is forgotten, by the geometric mean of
                                   the gate that keeps; infinite if nothing is; NULL of an rnn */
    float *correlation;         /* [n_units] of tanh(c), or of h without c, with `follow`, or NULL */
};

/* Filled by explanation_run; read-only for others. */
struct explanation {
    struct model *model;      /* one reference */
    size_t T;                 /* steps that the network reads, bos and eos among them */
    int32_t *tokens;          /* [T] of a token network, else NULL */
    int32_t *written;         /* [n_written] what a decoder wrote, with its eos if it has one; NULL without a
                                 decoder. Step k is the one that writes token k */
    size_t n_written;
    size_t *origin;           /* [T + 1] as in the request; or NULL */
    unsigned what;            /* as it was asked */
    size_t n_layers, layer, n_directions;
    bool in_decoder;          /* the layer: its steps are n_written, else T */
    struct explanation_cell cells[2]; /* [n_directions]: forward, reverse */
    size_t step, output;      /* the target: of a transcription a letter's spike, unless a step was asked
                                 for */
    double value;             /* its log-probability, score or number */
    size_t width;             /* numbers of a step's gradient: the features, or 1 for tokens */
    float *gradients;         /* [T, width]; NULL if not asked for */
    double compute_ms;
    struct explanation_plan *_plan;
};

/* Check and copy a request. STATUS_BAD_VALUE with the field at fault, STATUS_TOO_LONG if it is more than
 * max_values, STATUS_UNSUPPORTED if the network has no recurrent layer, or one that recalls, or a decoder
 * that begins with the encoder's state, STATUS_NO_MEMORY. Takes a reference
 * to the model. */
enum status explanation_new(struct model *model, const struct explanation_request *request,
                            struct explanation **out, struct error *err) MUST_CHECK;
/* Compute it. `stop` is asked once a step, and may be NULL. STATUS_CANCELLED if it said so,
 * STATUS_NO_MEMORY. */
enum status explanation_run(struct explanation *explanation, bool (*stop)(void *context),
                            void *context) MUST_CHECK;
void explanation_free(struct explanation *explanation); /* accepts NULL */

#endif
