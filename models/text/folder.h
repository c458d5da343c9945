/* folder: the files of one bundle, opened so that a hostile bundle cannot reach out of what is served.
 *
 * A path may name two folders, as rsync's do: in "models/./numbers" the part before the last "/./" is the
 * root, which the operator named, and the rest is the bundle's folder below it. Without that mark the folder
 * is its own root. Symbolic links are followed if every step stays below the root: mounts of a ConfigMap
 * or a Secret, git-sync and Hugging Face's cache are made of such links. A link that leads out of the root is
 * refused, and so is one whose target is an absolute path. The kernel decides it in one call (openat2 with
 * RESOLVE_BENEATH, Linux 5.6), so that no exchange of a link can come in between. If that call is not to be
 * had, all links are refused.
 *
 * A file's name is one plain component: no slash, no leading dot. A folder, a device, a socket or a FIFO
 * under that name is refused before anything could block or act on it. Sizes are bounded by the caller.
 * Functions are safe in any thread; a folder is used by one. */
#ifndef CAROUSEL_MODELS_FOLDER_H
#define CAROUSEL_MODELS_FOLDER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/base/status.h"

#define FOLDER_ROOT_MARK "/./"

struct folder;

/* Open the folder `path`. Its root may be a link to anywhere, because the operator named it. The caller owns
 * *folder. STATUS_NOT_FOUND, STATUS_BAD_VALUE (a link that is refused), STATUS_IO, STATUS_NO_MEMORY. */
MUST_CHECK enum status folder_open(const char *path, struct folder **folder, struct error *err);
void folder_close(struct folder *folder); /* accepts NULL */

/* true if the folder has an entry of that name, of whatever kind. */
bool folder_has(const struct folder *folder, const char *name);

struct file {
    int fd;              /* read only; the caller's to close() */
    uint64_t bytes;      /* at the time of opening, <= the limit */
    int64_t modified_s;  /* Unix seconds */
};

/* Open the regular file `name` of at most max_bytes bytes. STATUS_NOT_FOUND, STATUS_BAD_VALUE (a
 * name or kind that is refused), STATUS_TOO_LONG, STATUS_IO; the sentence begins with the name. */
MUST_CHECK enum status folder_open_file(const struct folder *folder, const char *name,
                                        uint64_t max_bytes, struct file *file, struct error *err);

/* Read the whole of it into a block that the caller owns (memory_free), *bytes long, with a zero
 * byte after the end. */
MUST_CHECK enum status folder_read_file(const struct folder *folder, const char *name, size_t max_bytes,
                                        char **text, size_t *bytes, struct error *err);

/* Read exactly buffer[0..bytes) from `offset` of an open file; STATUS_IO if it fails or ends
 * before. For sentences about the file, `name`. */
MUST_CHECK enum status file_read(int fd, const char *name, uint64_t offset, void *buffer,
                                 size_t bytes, struct error *err);

#endif
