/* zip: the entries of an archive in memory, as torch.save and Keras write it (PKWARE's APPNOTE, with zip64).
 *
 * The central directory at the end is what counts. Sizes and places come from there and are checked against
 * the file; at most ZIP_MAX_ENTRIES entries; stored or deflated, not encrypted, not split. The CRC-32 of an
 * entry is compared when it is read. One thread. */
#ifndef CAROUSEL_MODELS_IMPORT_ZIP_H
#define CAROUSEL_MODELS_IMPORT_ZIP_H

#include <stdbool.h>

#include "models/formats/pool.h"

enum { ZIP_MAX_ENTRIES = 1 << 16, ZIP_MAX_NAME = 1024 };

struct zip_entry {
    const char *name; /* zero-terminated */
    uint64_t packed, bytes, header_at;
    uint32_t crc;
    unsigned method;
    const uint8_t *content; /* once it has been read */
};

struct zip {
    const uint8_t *file; /* [n_file] borrowed */
    uint64_t n_file;
    struct zip_entry *entries; /* [n] in the directory's order */
    size_t n;
};

/* Read the directory of file[0..n_file), which must outlive the result. */
MUST_CHECK enum status zip_open(const uint8_t *file, uint64_t n_file, struct pool *pool, struct zip *zip,
                                struct error *err);
/* The entry called `name`, or whose name is a folder, a slash and `name`; NULL. */
struct zip_entry *zip_find(const struct zip *zip, const char *name);
/* The entry of exactly that name; NULL. */
struct zip_entry *zip_find_exactly(const struct zip *zip, const char *name);
/* entry->content[0..entry->bytes), borrowed from the file or the pool. */
MUST_CHECK enum status zip_read(const struct zip *zip, struct zip_entry *entry, struct pool *pool,
                                struct error *err);

#endif
