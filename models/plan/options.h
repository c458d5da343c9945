/* options: what the command line of `carousel import` asks for. Texts point into argv; NULL: not given. */
#ifndef CAROUSEL_MODELS_IMPORT_OPTIONS_H
#define CAROUSEL_MODELS_IMPORT_OPTIONS_H

#include <stdbool.h>

struct options {
    const char *file, *output;
    const char *task, *pooling, *tokenizer, *labels, *scaler, *pad, *network, *golden, *precision,
        *activation, *gates;
    const char *columns, *horizon, *levels, *shape, *context; /* of a forecaster */
    const char *description;
    const char *ngrams, *split; /* of a tokenizer of words */
    const char *target_tokenizer, *bos, *eos, *source_bos, *source_eos, *initial_state; /* of a decoder */
    bool lowercase;
    bool dry_run, help, version;
};

#endif
