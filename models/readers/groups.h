/* groups: the tensors of a state_dict by the module that they belong to, and what kind of layer each is by
 * the names and shapes of its tensors. Everything is borrowed from the source and its pool. One thread. */
#ifndef CAROUSEL_MODELS_READERS_GROUPS_H
#define CAROUSEL_MODELS_READERS_GROUPS_H

#include "models/plan/options.h"
#include "models/plan/plan.h"
#include "models/readers/source.h"

enum kind {
    KIND_OTHER,
    KIND_TABLE,
    KIND_LINEAR,
    KIND_LSTM,
    KIND_GRU,
    KIND_RNN,
    KIND_BATCH_NORM,
    KIND_LAYER_NORM,
    KIND_CONV1D,
    KIND_EMPTY
};

/* The tensors of one module. */
struct group {
    const char *prefix, *first; /* name of its first tensor */
    const struct tensor *weight, *bias; /* of that very name */
    enum kind kind;
    size_t in, out;  /* 0: any */
    size_t hidden;   /* of a recurrent layer under Keras' names */
    bool transposed; /* names and layout of Keras' layers: kernel [in, out], recurrent_kernel, embeddings */
    bool used;
};

struct groups {
    const struct source *source;
    const struct options *options;
    struct plan *plan;
    struct group *items; /* [n] */
    size_t n;
};

/* Sort the tensors of groups->source. STATUS_TOO_LONG, STATUS_NO_MEMORY. */
MUST_CHECK enum status groups_make(struct groups *groups, struct error *err);
/* The group of prefix[0..bytes); NULL. */
struct group *groups_find(const struct groups *groups, const char *prefix, size_t bytes);
/* The tensor "{prefix}.{suffix}"; NULL. */
const struct tensor *group_member(const struct groups *groups, const struct group *group, const char *suffix);
/* A tensor of a recurrent layer: with the number of its layer and the end of its direction, or, of a cell,
 * without; NULL. */
const struct tensor *group_gates(const struct groups *groups, const struct group *group, const char *name,
                                 size_t layer, const char *end);
bool group_is_recurrent(const struct group *group);
/* The kind as config.json has it, such as "lstm". */
const char *group_type(const struct group *group);
/* The refusal for a fact that --network gives: `why`, and the file's own layers as a beginning. */
MUST_CHECK enum status groups_need_network(const struct groups *groups, struct error *err, const char *why);

#endif
