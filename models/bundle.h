/* bundle: what a config.json says, checked; docs/bundle-format.md is the specification.
 *
 * A bundle is read in two steps. This one knows keys, types, ranges and which key belongs to which
 * task; it does not know tensors. models/model.c then builds the network and checks that what was
 * said fits it. Sentences begin with the file's name and the place: "config.json: network[1]
 * (lstm): 'hidden_size' is missing". One thread; read-only after. */
#ifndef CAROUSEL_MODELS_BUNDLE_H
#define CAROUSEL_MODELS_BUNDLE_H

#include "core/layer.h"
#include "models/model.h"

enum {
    BUNDLE_MAX_CONFIG = 4 << 20,     /* bytes of config.json */
    BUNDLE_MAX_VOCABULARY = 16 << 20, /* bytes of a vocabulary file */
    BUNDLE_MAX_LAYERS = 64,
    BUNDLE_MAX_LABELS = 1 << 16
};

/* One number, or one a feature, as config.json wrote them. */
struct bundle_numbers {
    double *values; /* [n] */
    size_t n;       /* 0: left out */
};

/* Everything is owned by the bundle; texts are zero-terminated UTF-8. */
struct bundle {
    enum task task;
    enum precision precision;      /* PRECISION_AUTO where left out */
    const char *description, *license, *training_data; /* "" where left out */
    const char *sha256;            /* that model.safetensors must have, 64 digits; NULL where left out */
    struct layer_spec *layers;                         /* [n_layers] */
    size_t n_layers;
    bool has_tokenizer;                                /* text tasks */
    struct tokenizer_spec tokenizer;
    const char *vocabulary_file;                       /* NULL where it stands in config.json */
    const char **labels;                               /* [n_labels], classification tasks */
    size_t n_labels;
    struct generation_defaults generation;             /* filled with defaults where left out */
    struct bundle_numbers mean, scale;                 /* sequence-classification */
    struct forecast_spec forecast;                     /* forecasting */
    long seasonality;                                  /* forecasting: 0 where left out */
    int folder;                                        /* open; for folder_open_file; -1 in tests */
    /* private */
    struct json *_document;
    char *_vocabulary_text;
    const char **_vocabulary;
    size_t *_vocabulary_bytes;
};

/* Read config.json, and the vocabulary's file where it names one, in folder `path`. The caller
 * owns *out. */
MUST_CHECK enum status bundle_open(const char *path, struct bundle **out, struct error *err);
void bundle_close(struct bundle *bundle); /* takes NULL */

/* The same from the text of a config.json, which a zero byte follows; a vocabulary file is
 * looked for in `folder`, which the bundle then owns (-1: there is none). For tests. */
MUST_CHECK enum status bundle_read(const char *config, size_t bytes, int folder,
                                   struct bundle **out, struct error *err);

#endif
