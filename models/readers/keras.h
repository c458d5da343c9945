/* keras: models of Keras 1 to 3, as model.save() wrote them: .h5 and .keras.
 *
 * Keras' configuration says how layers are connected, so the plan follows it: return_sequences is where
 * pooling stands, activations and gates are named. A graph that is no chain is refused by the name of a
 * layer. One thread. */
#ifndef CAROUSEL_MODELS_IMPORT_KERAS_H
#define CAROUSEL_MODELS_IMPORT_KERAS_H

#include "models/plan/plan.h"

struct json;
struct source;
struct keras_models;

/* An .h5 file. STATUS_NOT_FOUND if it holds weights without a model. */
MUST_CHECK enum status keras_read_h5(const uint8_t *file, size_t n, struct plan *plan, struct error *err);
/* A .keras file: a zip of config.json, metadata.json and model.weights.h5. */
MUST_CHECK enum status keras_read_zip(const uint8_t *file, size_t n, struct plan *plan, struct error *err);

/* For --network: the weights of a file under "{layer}.{variable}", whether or not the model is in it. */
MUST_CHECK enum status keras_tensors_h5(const uint8_t *file, size_t n, struct source *source,
                                        struct error *err);
MUST_CHECK enum status keras_tensors_zip(const uint8_t *file, size_t n, struct source *source,
                                         struct error *err);
void keras_release(const struct keras_models *models); /* accepts NULL */

/* Whether the configuration of the model has a layer of that name; add its first part, which must be of the
 * type, as the configuration says; fail if `next`, the entry behind it, is not its activation. */
bool keras_knows(const struct keras_models *models, const char *name);
MUST_CHECK enum status keras_add_named(struct keras_models *models, const char *name, const char *type,
                                       struct plan *plan, struct error *err);
MUST_CHECK enum status keras_expect_next(struct keras_models *models, const struct json *next,
                                         struct plan *plan, struct error *err);

#endif
