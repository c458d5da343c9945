/* tmp: a folder that a test fills and that goes with it. Whatever fails here aborts the test. */
#ifndef CAROUSEL_TESTS_SUPPORT_TMP_H
#define CAROUSEL_TESTS_SUPPORT_TMP_H

#include <stddef.h>

enum { TMP_PATH_BYTES = 512 };

struct tmp {
    char path[TMP_PATH_BYTES / 2];
};

/* A new empty folder under $TMPDIR or /tmp. */
void tmp_make(struct tmp *tmp);
/* The folder and all that is in it. */
void tmp_remove(struct tmp *tmp);

/* "folder/name" in out; returns out. */
const char *tmp_path(const struct tmp *tmp, const char *name, char out[TMP_PATH_BYTES]);

/* A folder below, with the folders on the way to it. */
void tmp_mkdir(const struct tmp *tmp, const char *name);
/* A file of bytes[0..n), or of a zero-terminated text. */
void tmp_write(const struct tmp *tmp, const char *name, const void *bytes, size_t n);
void tmp_write_text(const struct tmp *tmp, const char *name, const char *text);
/* The whole file with a zero byte after it, for free(); *n may be NULL. */
char *tmp_read(const struct tmp *tmp, const char *name, size_t *n);

#endif
