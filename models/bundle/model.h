/* model: a loaded bundle. Immutable, reference-counted, shared by all threads.
 *
 * A model is born only whole: config read, every tensor bound, golden vectors run and compared. */
#ifndef CAROUSEL_MODELS_MODEL_H
#define CAROUSEL_MODELS_MODEL_H

#include <stdint.h>

#include "core/network/network.h"
#include "core/base/status.h"
#include "models/features/picture.h"
#include "models/bundle/task.h"

enum { MODEL_NAME_BYTES = 64, MODEL_VERSION_BYTES = 32 };

/* What may be asked for besides core's precisions: the one that the bundle recommends. */
#define PRECISION_AUTO N_PRECISIONS

/* x' = (x - mean[i]) / scale[i] for feature i of a step ("features"). */
struct feature_scaling {
    double *mean, *scale; /* [input_size] */
};

/* How outputs become scores: all together by softmax, so that they sum to 1, each by itself by the logistic
 * function, or not at all. */
enum activation { ACTIVATION_SOFTMAX, ACTIVATION_SIGMOID, ACTIVATION_NONE };
const char *activation_name(enum activation activation);

/* Where golden outputs come from: given by the model's own framework, recorded by an exporter, or computed by
 * the reference of carousel-import, which proves the conversion and not the meaning. */
enum golden_source { GOLDEN_GIVEN, GOLDEN_RECORDED, GOLDEN_REFERENCE };

/* How near the golden vectors were met: the largest absolute difference of an output, and what its case
 * allows. */
struct golden_proof {
    double error, bound;
    enum golden_source source;
};

/* All fields are read-only after model_load; pointers are owned by the model. */
struct model {
    char name[MODEL_NAME_BYTES + 1];
    char version[MODEL_VERSION_BYTES + 1]; /* the folder NAME/VERSION/, or "1" */
    const struct task *task;
    char *description, *license, *training_data; /* "" if config.json has none */
    int64_t created_s;            /* mtime of model.safetensors, Unix seconds */
    char hash[65];                /* SHA-256 of the model.safetensors that was loaded, hexadecimal */
    bool hash_is_expected;        /* config.json named it */
    struct network *network;      /* the network, or the encoder; network_precision() is the one in force */
    struct network *decoder;      /* of the encoder's family; NULL unless the task has one */
    enum precision recommended;   /* config.json's "precision"; PRECISION_AUTO if it has none */
    char *precision_refused;      /* why `recommended` is not in force if AUTO was asked for; else NULL */
    struct tokenizer *tokenizer;  /* NULL unless the task reads the section "tokenizer" */
    struct tokenizer *target;     /* of what the decoder reads and writes; the same one, unless the bundle
                                     has a "target_tokenizer" */
    bool accepts_token_ids;       /* ids are accepted: clients are known to use this tokenizer */
    size_t pad_length;            /* tokens that each input is made of; 0: as many as it has */
    bool pads_right;              /* padding stands behind shorter ones, not before them */
    char **labels;                /* [n_labels]; NULL unless the task reads the section "labels" */
    size_t n_labels;              /* the network's outputs, or 2 of one output by sigmoid */
    enum activation activation;   /* the task's own default if it is left out */
    struct front *front;          /* what turns sound or ink into steps; NULL if clients send the steps */
    struct feature_scaling features; /* NULL unless the task reads the section "features" */
    struct picture_spec picture;  /* width 0: none */
    float *numbers;               /* what the task keeps of the weights beside the networks (task->read);
                                     NULL: nothing */
    void *spec;                   /* what config.json says to this task alone; the task knows the type */
    size_t n_golden;              /* cases of golden.json */
    struct golden_proof proof, proof_float32; /* in the precision in force; in float32, before that */
    double load_ms;
    /* private */
    _Atomic size_t _references;
};

/* Load the bundle in folder `path` under `name`. PRECISION_AUTO is the precision that its config.json
 * recommends, or float32 if it recommends none. The golden vectors must be met in float32 in any case, and
 * then in the precision that serves. If a precision that was only recommended fails, the model is served in
 * float32 and precision_refused says why. Refuses with one sentence in `err`; by STATUS_CLOSING or
 * STATUS_NO_MEMORY if the thread's work is given up (core/base/throttle.h). The caller owns one reference
 * to *out. Reads files; takes milliseconds to seconds. */
enum status model_load(const char *path, const char *name, const char *version,
                       enum precision precision, struct model **out, struct error *err) MUST_CHECK;
struct model *model_acquire(struct model *model); /* one more reference; returns model */
void model_drop(struct model *model);             /* accepts NULL; the last one frees */

size_t model_bytes(const struct model *model);    /* of weights in memory, of all its networks */

/* true if `name` may name a model: [A-Za-z0-9][A-Za-z0-9._-]{0,63}. */
bool model_name_is_valid(const char *name);

#endif
