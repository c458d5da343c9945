/* inspect: a bundle described for a human; what `carousel inspect BUNDLE` prints. */
#ifndef CAROUSEL_MODELS_INSPECT_H
#define CAROUSEL_MODELS_INSPECT_H

#include <stdio.h>

#include "models/bundle/bundle.h"

struct safetensors;

/* Everything that is printed; borrowed. */
struct view {
    const struct bundle *bundle;
    const struct model *model;
    const struct safetensors *weights;
    FILE *out;
};

enum { INSPECT_COLUMN = 15 };

/* For a task's `inspect`: one line, a name in a column of its own, then the rest. */
void inspect_line(const struct view *view, const char *name, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* Load the bundle in folder `path` as the server would under `name`, in `precision` (which may be
 * PRECISION_AUTO), and print what it is: task, card, layers with sizes, parameters, bytes of state a
 * sequence, tokenizer, labels or forecast, files, hash, and how near the golden vectors were met. Prints
 * nothing if the bundle is broken: `err` then holds the sentence. STATUS_IO if `out` cannot be written.
 * One thread. */
MUST_CHECK enum status inspect_print(const char *path, const char *name, enum precision precision,
                                     FILE *out, struct error *err);

#endif
