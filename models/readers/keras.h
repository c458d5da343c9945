/* keras: models of Keras 1 to 3, as model.save() wrote them: .h5 and .keras.
 *
 * Keras' configuration says how layers are connected, so the plan follows it: return_sequences is where
 * pooling stands, activations and gates are named. A graph that is no chain is refused by the name of a
 * layer. One thread. */
#ifndef CAROUSEL_MODELS_IMPORT_KERAS_H
#define CAROUSEL_MODELS_IMPORT_KERAS_H

#include "models/plan/plan.h"

/* An .h5 file with a model_config in it. */
MUST_CHECK enum status keras_read_h5(const uint8_t *file, size_t n, struct plan *plan, struct error *err);
/* A .keras file: a zip of config.json, metadata.json and model.weights.h5. */
MUST_CHECK enum status keras_read_zip(const uint8_t *file, size_t n, struct plan *plan, struct error *err);

#endif
