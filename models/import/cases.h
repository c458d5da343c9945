/* cases: the golden.json of a bundle: what --golden gave, or inputs from a fixed stream of numbers with the
 * outputs of the reference, and what was recorded beside the model. One thread. */
#ifndef CAROUSEL_MODELS_IMPORT_CASES_H
#define CAROUSEL_MODELS_IMPORT_CASES_H

#include "models/import/write.h"

/* Fill out->golden. */
MUST_CHECK enum status cases_make(struct plan *plan, const struct card *card, struct bundle_files *out,
                                  struct error *err);

#endif
