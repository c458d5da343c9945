/* inspect: a bundle described for a human; what `carousel inspect BUNDLE` prints. */
#ifndef CAROUSEL_MODELS_INSPECT_H
#define CAROUSEL_MODELS_INSPECT_H

#include <stdio.h>

#include "models/model.h"

/* Load the bundle in folder `path` as the server would, in `precision` (which may be PRECISION_AUTO), and
 * print what it is: task, card, layers with sizes, parameters, bytes of state a sequence, tokenizer, labels
 * or forecast, files, hash, and how near the golden vectors were met. Prints nothing where the bundle is
 * broken: `err` then holds the sentence. STATUS_IO where `out` cannot be written. One thread. */
MUST_CHECK enum status inspect_print(const char *path, enum precision precision, FILE *out,
                                     struct error *err);

#endif
