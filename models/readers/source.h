/* source: what a reader of PyTorch's formats finds in a file: named tensors, and perhaps the modules that
 * they belong to. Everything is borrowed from the file and the pool. One thread. */
#ifndef CAROUSEL_MODELS_IMPORT_SOURCE_H
#define CAROUSEL_MODELS_IMPORT_SOURCE_H

#include "models/formats/pickle.h"
#include "models/formats/tensor.h"
#include "models/formats/zip.h"
#include "models/plan/report.h"

enum { SOURCE_MAX_TENSORS = 4096, SOURCE_MAX_MODULES = 1024 };

/* A module of a whole model that was pickled, in the order in which its class made it. */
struct module {
    const char *prefix;       /* as in state_dict(); "" for the model itself */
    const char *class;        /* "torch.nn.modules.rnn.LSTM" */
    const struct node *state; /* its __dict__ */
};

struct source {
    struct pool *pool;
    struct report *report;
    struct tensor *tensors; /* [n] */
    size_t n, room;
    struct module *modules; /* [n_modules]; none if the file holds tensors alone */
    size_t n_modules, modules_room;
    const struct node *checkpoint; /* the whole object that was saved; NULL: tensors alone */
    bool is_ordered;               /* tensors stand in the order of the modules */
    bool is_keras;                 /* tensors have Keras' names and layout, and its order of gates */
    bool is_old_keras; /* perhaps of a version whose gates have hard_sigmoid if nothing else is said */
    struct keras_models *keras; /* the configuration of Keras' layers, keras.h; NULL: none */
};

/* Add a tensor. STATUS_TOO_LONG, STATUS_NO_MEMORY. */
MUST_CHECK enum status source_add(struct source *source, const struct tensor *tensor, struct error *err);
/* The tensor of that name; NULL. */
const struct tensor *source_find(const struct source *source, const char *name);
/* The module of that prefix; NULL. */
const struct module *source_module(const struct source *source, const char *prefix);

/* A zip: a checkpoint of torch.save, TorchScript, or a program of torch.export; or what torch.save wrote
 * before PyTorch 1.6, five pickles in a row. */
MUST_CHECK enum status torch_read_zip(const uint8_t *file, size_t n, struct source *source,
                                      struct error *err);
MUST_CHECK enum status torch_read_legacy(const uint8_t *file, size_t n, struct source *source,
                                         struct error *err);
/* A program of torch.export, of its weights alone. */
MUST_CHECK enum status export_read(const struct zip *zip, struct source *source, struct error *err);
/* Archives of numpy.savez: each array is a tensor of that name. */
bool is_numpy(const struct zip *zip);
MUST_CHECK enum status numpy_read(const uint8_t *file, size_t n, struct source *source, struct error *err);
/* JSON: an object of arrays by their names, nested by module or not. */
MUST_CHECK enum status dump_read(const uint8_t *file, size_t n, struct source *source, struct error *err);
/* A safetensors file under any names. */
MUST_CHECK enum status foreign_read(const uint8_t *file, size_t n, struct source *source, struct error *err);

#endif
