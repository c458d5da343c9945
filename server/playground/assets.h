/* assets: the files that the program carries, by assets.def: the page, and the description of the API.
 *
 * The assembler copies each file as it stands, so there is nothing to build and no parser at run time. The
 * files of the page are plain modules: what lies in the repository is what a browser gets. Any thread. */
#ifndef CAROUSEL_SERVER_ASSETS_H
#define CAROUSEL_SERVER_ASSETS_H

#include <stddef.h>

enum asset_id {
#define X(symbol, name, file, type) ASSET_##symbol,
#include "server/playground/assets.def"
    N_ASSETS
};

enum { ASSET_TAG_BYTES = 24 };

struct asset {
    const char *name, *type;
    const char *bytes; /* [n] */
    size_t n;
    char tag[ASSET_TAG_BYTES]; /* a weak ETag (RFC 9110, 8.8.3),
        with its quotes: the same for gzip and plain */
};

/* Return an embedded file; never NULL. */
const struct asset *asset_of(enum asset_id id);
/* Find the page's file called `name`; NULL if there is none. */
const struct asset *asset_find(const char *name);

#endif
