/* model: a loaded bundle. Immutable, reference-counted, shared by all threads.
 *
 * A model is born only whole: config read, every tensor bound, golden vectors run and compared. */
#ifndef CAROUSEL_MODELS_MODEL_H
#define CAROUSEL_MODELS_MODEL_H

#include <stdint.h>

#include "core/network.h"
#include "core/status.h"
#include "models/tokenizer.h"

enum task {
#define X(symbol, name, input) TASK_##symbol,
#include "models/task.def"
#undef X
    N_TASKS
};
const char *task_name(enum task task);

enum { MODEL_NAME_BYTES = 64, MODEL_VERSION_BYTES = 32 };

/* What may be asked for besides core's precisions: the one that the bundle recommends. */
#define PRECISION_AUTO N_PRECISIONS

/* Sampling defaults of a text-generation bundle; a request's own fields win. */
struct generation_defaults {
    double temperature, top_p, min_p, repetition_penalty;
    long top_k, max_tokens; /* top_k 0: all */
};

/* How a series becomes steps and outputs become a distribution: docs/bundle-format.md, "forecast". */
enum scaling { SCALING_NONE, SCALING_CONSTANT, SCALING_MEAN_ABS, SCALING_STANDARD };
enum forecast_input {
    INPUT_VALUE, INPUT_MISSING, INPUT_DIFFERENCE, INPUT_RATIO, INPUT_ASINH, INPUT_LOG_SCALE,
    INPUT_POSITION, INPUT_LAG, INPUT_ERROR
};
enum forecast_output { OUTPUT_MEAN, OUTPUT_NORMAL, OUTPUT_STUDENT_T, OUTPUT_QUANTILES };
enum forecast_basis {
    BASIS_LAG, BASIS_LINEAR, BASIS_QUADRATIC, BASIS_SUM, BASIS_GEOMETRIC, BASIS_ONE
};
enum {
    FORECAST_MAX_INPUTS = 64, FORECAST_MAX_LEVELS = 64, FORECAST_MAX_BASIS = 64,
    FORECAST_MAX_LAG = 1024, FORECAST_MAX_CONTEXT = 4096
};
struct forecast_spec {
    size_t context_length;
    enum scaling scaling;
    double mean, scale, minimum;
    size_t n_inputs;
    struct { enum forecast_input kind; size_t lag; } inputs[FORECAST_MAX_INPUTS]; /* error: lag is the
                                                                    * index of the basis term */
    enum forecast_output output;
    bool residual_last;
    size_t n_levels;
    double levels[FORECAST_MAX_LEVELS];
    size_t n_basis; /* 0: the location is an output of its own */
    bool softmax;   /* the coefficients are the softmax of the outputs */
    struct { enum forecast_basis kind; size_t lag; } basis[FORECAST_MAX_BASIS];
    size_t num_samples;
};

/* x' = (x - mean[i]) / scale[i] for feature i of a step (sequence-classification). */
struct feature_scaling {
    float *mean, *scale; /* [input_size] */
};

/* All fields are read-only after model_load; pointers are owned by the model. */
struct model {
    char name[MODEL_NAME_BYTES + 1];
    char version[MODEL_VERSION_BYTES + 1]; /* the folder NAME/VERSION/, or "1" */
    enum task task;
    char *description, *license, *training_data; /* "" where config.json has none */
    int64_t created_s;            /* mtime of model.safetensors, Unix seconds */
    char hash[65];                /* SHA-256 of the model.safetensors that was loaded, hexadecimal */
    bool hash_is_expected;        /* config.json named it */
    struct network *network;      /* network_precision() is the one in force */
    enum precision recommended;   /* config.json's "precision"; PRECISION_AUTO where it has none */
    char *precision_refused;      /* why `recommended` is not in force where AUTO was asked for; else NULL */
    struct tokenizer *tokenizer;  /* text tasks, else NULL */
    char **labels;                /* [n_labels], classification */
    size_t n_labels;
    struct generation_defaults generation;
    struct feature_scaling features;
    struct forecast_spec forecast;
    double golden_error;          /* largest absolute difference found at load */
    size_t n_golden;
    double load_ms;
    /* private */
    _Atomic size_t _references;
};

/* Load the bundle in folder `path` under `name`. PRECISION_AUTO takes the precision that its config.json
 * recommends, float32 where it recommends none; where the golden vectors are not met in it, float32 after
 * all, and precision_refused says why. Refuses with one sentence in `err`; by STATUS_CLOSING or
 * STATUS_NO_MEMORY where the thread's work is given up (core/throttle.h). The caller owns one reference to
 * *out. Reads files; takes milliseconds to seconds. */
enum status model_load(const char *path, const char *name, const char *version,
                       enum precision precision, struct model **out, struct error *err) MUST_CHECK;
struct model *model_acquire(struct model *model); /* one more reference; returns model */
void model_drop(struct model *model);             /* takes NULL; the last one frees */

/* true where `name` may name a model: [A-Za-z0-9][A-Za-z0-9._-]{0,63}. */
bool model_name_is_valid(const char *name);

#endif
