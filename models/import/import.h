/* import: a file or folder of PyTorch, Keras or ONNX becomes a bundle. The order of work: recognise the
 * format by its bytes, read it into a plan, settle what a bundle needs beside the network, make the files,
 * load them as the server would. One thread. */
#ifndef CAROUSEL_MODELS_IMPORT_IMPORT_H
#define CAROUSEL_MODELS_IMPORT_IMPORT_H

#include <stdio.h>

#include "models/import/card.h"
#include "models/plan/options.h"
#include "models/plan/plan.h"

/* All memory of one import. */
#define IMPORT_MAX_MEMORY ((uint64_t)12 << 30)
#define IMPORT_MAX_FILE ((uint64_t)1 << 31)

/* Read file[0..bytes) into the plan. `path` is where it lies, for what lies beside it; NULL: nothing does.
 * *origin names the format. */
MUST_CHECK enum status import_read(const uint8_t *file, size_t bytes, const char *path,
                                   const struct options *options, struct plan *plan, const char **origin,
                                   struct error *err);

/* Do all that the options ask, and print the report to `out`. If a fact is missing, err->param is the flag
 * that gives it. */
MUST_CHECK enum status import_run(const struct options *options, FILE *out, struct error *err);

#endif
