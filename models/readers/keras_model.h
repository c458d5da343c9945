/* keras_model: an open file of Keras; for keras*.c. */
#ifndef CAROUSEL_MODELS_READERS_KERAS_MODEL_H
#define CAROUSEL_MODELS_READERS_KERAS_MODEL_H

#include "models/formats/hdf5.h"
#include "models/readers/keras.h"
#include "models/readers/keras_layers.h"

enum { KERAS_MAX_LAYERS = 256, KERAS_FOLDER_BYTES = 96 };

struct keras {
    struct plan *plan;
    struct hdf5 hdf5;
    const char *weights_root; /* of an .h5 file: "model_weights" */
    bool is_zip;
    int version;
    const struct json *layers[KERAS_MAX_LAYERS]; /* [n] in order */
    size_t n;
};

/* Open a file; *config is the configuration of the model, NULL if there are weights alone. */
MUST_CHECK enum status keras_open_h5(struct keras *keras, const uint8_t *file, size_t n, const char **config,
                                     struct error *err);
MUST_CHECK enum status keras_open_zip(struct keras *keras, const uint8_t *file, size_t n, const char **config,
                                      struct error *err);
/* The layers of the model, as_chain: in the order in which they are connected, or refused. */
MUST_CHECK enum status keras_list_layers(struct keras *keras, const struct json *model, bool as_chain,
                                         struct error *err);
/* Layer `at` with its weights; those of an InputLayer are none. */
MUST_CHECK enum status keras_layer_at(struct keras *keras, size_t at, struct keras_layer *layer,
                                      struct error *err);
/* The folder of its weights in a .keras file, "bidirectional_1". */
void keras_zip_folder(const struct keras *keras, size_t at, char out[KERAS_FOLDER_BYTES]);
const char *keras_class(const struct json *layer);
const char *keras_name(const struct json *layer);

#endif
