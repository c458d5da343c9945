/* catalogue: the bundles that lie on disk where the configuration says, at one moment.
 *
 * A folder of models holds NAME/config.json, a single bundle, which is version 1, or
 * NAME/VERSION/config.json, where VERSION is a number of 1 to 9 digits without a leading zero; other names
 * are no versions and are passed over, as is what begins with a dot. Hugging Face's cache of a repository,
 * NAME/refs/main and NAME/snapshots/COMMIT/config.json, is a single bundle too. A folder that holds weights
 * but no config.json is an entry with a fault; a version that does is an entry that will not load. A name
 * belongs to one place: single bundles win over folders, and later folders over earlier ones. Nothing but
 * names and facts of files is read here. One thread; the caller owns what is read. */
#ifndef CAROUSEL_MODELS_CATALOGUE_H
#define CAROUSEL_MODELS_CATALOGUE_H

#include <stdint.h>

#include "models/bundle/model.h"

/* Texts as the configuration has them; borrowed. */
struct catalogue_sources {
    const char *folders; /* paths, with : between */
    const char *bundles; /* NAME=PATH, with : between; PATH is a bundle or a folder of versions */
};

struct catalogue_entry {
    char *name; /* as on disk: perhaps not a valid one */
    char version[MODEL_VERSION_BYTES + 1];
    char *path; /* of the bundle; "/./" in it follows the root (models/text/folder.h) */
    uint64_t stamp;      /* catalogue_stamp(path) */
    struct error *fault; /* why nothing can be said of this name, which then has this entry alone; NULL */
    size_t _source;
};

struct catalogue {
    struct catalogue_entry *entries; /* [n], by name, then by version, the lowest first */
    size_t n, _room;
};

/* STATUS_BAD_VALUE (param "models.bundles") if a single bundle is not NAME=PATH; STATUS_NOT_FOUND,
 * STATUS_IO if a folder of models cannot be read; STATUS_NO_MEMORY. */
MUST_CHECK enum status catalogue_read(const struct catalogue_sources *sources, struct catalogue *out,
                                      struct error *err);
void catalogue_release(struct catalogue *catalogue);

/* Orders versions as numbers: negative, 0 or positive. */
int catalogue_compare_versions(const char *a, const char *b);

/* A number that changes whenever a file of the bundle is written, replaced, added or removed: of the name,
 * size, inode and time of each, and of the target of a link. 0 if the folder cannot be read. */
uint64_t catalogue_stamp(const char *path);

/* Bytes of the bundle's file of weights, 0 if there is none. */
uint64_t catalogue_weights(const char *path);

/* STATUS_OK if the three files of a bundle are all there and the weights are as long as their header says.
 * What is still being copied is not. */
MUST_CHECK enum status catalogue_is_whole(const char *path, struct error *err);

#endif
