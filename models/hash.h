/* hash: the SHA-256 of a file, which is how a model's weights are told apart. By nettle, which the
 * HTTP library brings along; models/hash.c alone includes it. Any thread. */
#ifndef CAROUSEL_MODELS_HASH_H
#define CAROUSEL_MODELS_HASH_H

#include "core/status.h"

enum { HASH_HEX_BYTES = 65 }; /* 64 digits and a zero byte */

/* Hash all of the open file `fd` from its beginning (its offset is left alone), in hexadecimal.
 * `name` is for the sentence. STATUS_IO, STATUS_NO_MEMORY. */
MUST_CHECK enum status hash_file(int fd, const char *name, char hex[HASH_HEX_BYTES],
                                 struct error *err);

#endif
