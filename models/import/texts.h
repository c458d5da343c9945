/* texts: what import settles of a model that reads texts: how they are padded, cut and turned into ids. One
 * thread. */
#ifndef CAROUSEL_MODELS_IMPORT_TEXTS_H
#define CAROUSEL_MODELS_IMPORT_TEXTS_H

#include "models/import/card.h"

/* --pad, which a source that was trained on padded texts needs. */
MUST_CHECK enum status texts_padding(struct plan *plan, const struct options *options, struct card *card,
                                     struct error *err);
/* The vocabularies and their special tokens; of a decoder also what it begins with. */
MUST_CHECK enum status texts_settle(struct plan *plan, const struct options *options, struct card *card,
                                    struct error *err);

#endif
