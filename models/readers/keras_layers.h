/* keras_layers: one layer of Keras as parts of a plan; for keras.c. */
#ifndef CAROUSEL_MODELS_IMPORT_KERAS_LAYERS_H
#define CAROUSEL_MODELS_IMPORT_KERAS_LAYERS_H

#include "models/plan/plan.h"
#include "models/text/json.h"

enum { KERAS_MAX_WEIGHTS = 32 };

/* A layer with its configuration and its weights in Keras' order. */
struct keras_layer {
    const char *name, *class; /* of the layer itself */
    const struct json *config;
    const char *inner_class; /* of Bidirectional and TimeDistributed: what they wrap; else NULL */
    const struct json *inner;
    const struct tensor *weights[KERAS_MAX_WEIGHTS]; /* [n_weights] */
    size_t n_weights;
    bool is_last;
    bool is_named; /* --network says what reads it, so that it may give states too, which nothing reads */
    int version; /* of Keras: 1, 2 or 3 */
};

/* Members of a configuration; NULL, or the fallback, if they are not there. */
const struct json *keras_member(const struct json *object, const char *key);
const char *keras_text(const struct json *object, const char *key);
bool keras_truth(const struct json *object, const char *key, bool fallback);

/* Fill a cell, whose gates are set, from a kernel, a recurrent kernel and, if has_bias, a bias; cudnn: in the
 * layout of CuDNNLSTM and CuDNNGRU. */
MUST_CHECK enum status keras_fill_cell(struct plan *plan, struct cell *cell,
                                       const struct tensor *const *weights, bool has_bias, bool cudnn,
                                       struct error *err);

MUST_CHECK enum status keras_add_layer(struct plan *plan, const struct keras_layer *layer, struct error *err);

#endif
