/* bundle: what a config.json says, checked; docs/bundle-format.md is the specification.
 *
 * A bundle is read in two steps. This one knows keys, types, ranges and which key belongs to which
 * task; it does not know tensors. models/bundle/model.c then builds the network and checks that what was
 * said fits it. Sentences begin with the file's name and the place: "config.json: network[1]
 * (lstm): 'hidden_size' is missing". One thread; read-only after. */
#ifndef CAROUSEL_MODELS_BUNDLE_H
#define CAROUSEL_MODELS_BUNDLE_H

#include "core/network/layer.h"
#include "models/features/picture.h"
#include "models/bundle/model.h"
#include "models/text/json.h"

enum {
    BUNDLE_MAX_CONFIG = 4 << 20,     /* bytes of config.json */
    BUNDLE_MAX_VOCABULARY = 16 << 20, /* bytes of a vocabulary file */
    BUNDLE_MAX_LAYERS = 512,
    BUNDLE_MAX_PAD = 4096,           /* tokens to which texts are padded */
    BUNDLE_MAX_LABELS = 1 << 16
};

/* A key of config.json that only some tasks have. */
struct section {
    const char *name;
    enum field_kind kind; /* FIELD_OBJECT, FIELD_ARRAY or FIELD_ANY */
    /* Fill what the bundle holds of it: a field of its own, if several tasks share the section, or a part of
     * bundle->spec. STATUS_BAD_VALUE with a sentence that does not name the section, STATUS_NO_MEMORY. */
    enum status (*read)(const struct json *value, struct bundle *bundle, struct error *err);
};

/* Strings: an array of config.json, or the lines of a file. */
struct bundle_list {
    const char **entries; /* [n] */
    size_t *bytes, n;     /* [n] */
    const char *file;     /* NULL if they stand in config.json */
    char *_text;          /* the file's; private */
};

/* A "tokenizer" or "target_tokenizer". */
struct bundle_tokenizer {
    bool is_given;
    struct tokenizer_spec spec;           /* its lists are the two below */
    struct bundle_list vocabulary, merges;
};

/* One number, or one a feature, as config.json wrote them. */
struct bundle_numbers {
    double *values; /* [n] */
    size_t n;       /* 0: left out */
};

/* Everything is owned by the bundle; texts are zero-terminated UTF-8. */
struct bundle {
    const struct task *task;
    enum precision precision;      /* PRECISION_AUTO if left out */
    const char *description, *license, *training_data; /* "" if left out */
    const char *sha256;            /* that model.safetensors must have, 64 digits; NULL if left out */
    struct layer_spec *layers, *decoder;               /* [n_layers] of the network, or of the encoder; */
    size_t n_layers, n_decoder;                        /* [n_decoder], 0 unless the task has two networks */
    /* what the sections say that several tasks share */
    struct bundle_tokenizer tokenizer, target;         /* target: of what a decoder reads and writes */
    const char **labels;                               /* [n_labels] */
    size_t n_labels;
    enum activation activation;
    struct bundle_numbers mean, scale;                 /* of "features" */
    struct picture_spec picture;                       /* of "features" of type "picture" */
    const struct json *front;                          /* "features" of another type; NULL */
    /* what the others say: task->spec_bytes, or NULL */
    void *spec;
    struct folder *folder;                             /* open; for folder_open_file; NULL in tests */
    /* private */
    struct json *_document;
};

/* Read config.json, and the vocabulary's file if it names one, in folder `path`, in which "/./" may mark the
 * root as models/text/folder.h says. The caller
 * owns *out. */
MUST_CHECK enum status bundle_open(const char *path, struct bundle **out, struct error *err);
void bundle_close(struct bundle *bundle); /* accepts NULL */

/* The same from the text of a config.json, which a zero byte follows; a vocabulary file is
 * looked for in `folder`, which the bundle then owns (NULL: there is none). For tests. */
MUST_CHECK enum status bundle_read(const char *config, size_t bytes, struct folder *folder,
                                   struct bundle **out, struct error *err);

struct json;

/* One list of layers, as "network" has it, into *layers [*n_layers], which the caller frees (memory_free),
 * also after a failure. `partial`: required keys other than the prefix may be left out, and are 0 then. */
MUST_CHECK enum status bundle_read_layers(const struct json *array, bool partial, struct layer_spec **layers,
                                          size_t *n_layers, struct error *err);

#endif
