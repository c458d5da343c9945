/* folder: the files of one bundle, opened so that a hostile bundle cannot reach out of its folder.
 *
 * A file's name is one plain component: no slash, no leading dot. A symbolic link, a folder, a
 * device, a socket or a FIFO under that name is refused before anything could block or act on it.
 * Sizes are bounded by the caller. Functions are safe in any thread; a folder is used by one. */
#ifndef CAROUSEL_MODELS_FOLDER_H
#define CAROUSEL_MODELS_FOLDER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/status.h"

/* Open the folder `path`, which may be a link itself: the operator named it. The caller owns the
 * descriptor *folder and gives it to close(). STATUS_NOT_FOUND, STATUS_IO. */
MUST_CHECK enum status folder_open(const char *path, int *folder, struct error *err);

/* true where the folder has an entry of that name, of whatever kind. */
bool folder_has(int folder, const char *name);

struct file {
    int fd;              /* read only; the caller's to close() */
    uint64_t bytes;      /* at the time of opening, <= the limit */
    int64_t modified_s;  /* Unix seconds */
};

/* Open the regular file `name` of at most max_bytes bytes. STATUS_NOT_FOUND, STATUS_BAD_VALUE (a
 * name or kind that is refused), STATUS_TOO_LONG, STATUS_IO; the sentence begins with the name. */
MUST_CHECK enum status folder_open_file(int folder, const char *name, uint64_t max_bytes,
                                        struct file *file, struct error *err);

/* Read the whole of it into a block that the caller owns (memory_free), *bytes long, with a zero
 * byte after the end. */
MUST_CHECK enum status folder_read_file(int folder, const char *name, size_t max_bytes,
                                        char **text, size_t *bytes, struct error *err);

/* Read exactly buffer[0..bytes) from `offset` of an open file; STATUS_IO where it fails or ends
 * before. For sentences about the file, `name`. */
MUST_CHECK enum status file_read(int fd, const char *name, uint64_t offset, void *buffer,
                                 size_t bytes, struct error *err);

#endif
