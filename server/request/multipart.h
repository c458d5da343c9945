/* multipart: bodies of multipart/form-data (RFC 7578, RFC 2046 section 5.1), cut into their parts.
 *
 * Nothing is copied or decoded: a part's bytes are borrowed from the body. What is lenient elsewhere is
 * refused here: parts without a name, headers that are folded, a body without its last boundary, other
 * transfer encodings than none. Pure; any thread. */
#ifndef CAROUSEL_SERVER_MULTIPART_H
#define CAROUSEL_SERVER_MULTIPART_H

#include <stdbool.h>
#include <stddef.h>

#include "server/base/errors.h"

enum { MULTIPART_MAX_PARTS = 64, MULTIPART_NAME_BYTES = 128, MULTIPART_MAX_HEAD = 4096 };

struct part {
    char name[MULTIPART_NAME_BYTES]; /* printable ASCII */
    bool is_file;                    /* it has a file name */
    const char *bytes;               /* [n] borrowed */
    size_t n;
};

struct multipart {
    struct part parts[MULTIPART_MAX_PARTS];
    size_t n;
};

/* Whether a Content-Type, which may be NULL, is multipart/form-data. */
bool multipart_is_type(const char *type);

/* Cut body[0..bytes) by the boundary of its Content-Type. false: *problem is a 400 that says what is
 * wrong. */
bool multipart_read(const char *type, const char *body, size_t bytes, struct multipart *out,
                    struct problem *problem);

#endif
