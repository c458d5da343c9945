/* write: a plan and a card as the files of a bundle, docs/bundle-format.md. One thread. */
#ifndef CAROUSEL_MODELS_IMPORT_WRITE_H
#define CAROUSEL_MODELS_IMPORT_WRITE_H

#include "models/import/card.h"

/* The three files in memory, borrowed from the pool. */
struct bundle_files {
    const char *config, *golden;
    size_t config_bytes, golden_bytes;
    const uint8_t *weights;
    size_t weights_bytes;
};

/* Make them, with golden vectors from `card->golden` or from the reference. */
MUST_CHECK enum status write_make(struct plan *plan, const struct card *card,
                                  const struct options *options, const char *origin, struct bundle_files *out,
                                  struct error *err);
/* Write them into a new folder `path`, load that with the server's own loader under `name`, and print what it
 * proved to `out`. If that fails, the folder is removed. */
MUST_CHECK enum status write_folder(const struct bundle_files *files, const char *path, const char *name,
                                    FILE *out, struct error *err);

#endif
