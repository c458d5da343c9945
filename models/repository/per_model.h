/* per_model: a setting that models may differ in, as the configuration writes it: one value for all,
 * and NAME=VALUE for single ones, with commas between: "auto, shakespeare=float32". Which values there are is
 * the caller's business. The text is borrowed; nothing is kept. Any thread. */
#ifndef CAROUSEL_MODELS_PER_MODEL_H
#define CAROUSEL_MODELS_PER_MODEL_H

#include "models/bundle/model.h"

enum { PER_MODEL_VALUE_BYTES = 32 };

struct per_model {
    char name[MODEL_NAME_BYTES + 1]; /* "": the value for all that are not named */
    char value[PER_MODEL_VALUE_BYTES];
};

/* The entry that `text` begins with: returns where the next one begins, NULL after the last. What is longer
 * than its place is cut, which no valid name and no value survives. */
const char *per_model_next(const char *text, struct per_model *entry);

/* The value for the model `name`: its own entry, else the one for all, else "". */
void per_model_find(const char *text, const char *name, char value[PER_MODEL_VALUE_BYTES]);

/* The precision for the model `name`, from a text whose values are names of core/kernels/precision.def and
 * "auto", which is also meant if nothing is said. STATUS_BAD_VALUE if there is no such precision. */
MUST_CHECK enum status per_model_precision(const char *text, const char *name,
                                           enum precision *precision, struct error *err);

#endif
