/* words: a field that is one word of a list; and the format of a reply, which the header Accept may say too.
 *
 * All return false with the call's problem filled (invalid_value: it names the field and lists the words).
 * The lists are constants of the route. */
#ifndef CAROUSEL_SERVER_WORDS_H
#define CAROUSEL_SERVER_WORDS_H

#include "server/api/codec.h"

enum { MAX_WORDS = 8 };

/* The field `name`, one of n <= MAX_WORDS words; *which is its index, and stays as it is if the field is
 * absent. */
bool word_read(struct call *call, const char *name, const char *const *words, unsigned n, unsigned *which);

/* The same for a field of two words; *second says whether it is b. */
bool choice_read(struct call *call, const char *name, const char *a, const char *b, bool *second);

struct media_format {
    const char *name, *media_type; /* parameters may follow a ';'. NULL: JSON */
};

/* The field "format"; if it is absent, the last of the n formats whose media type is in the header Accept;
 * else the first format. */
bool format_read(struct call *call, const struct media_format *formats, unsigned n, unsigned *which);

#endif
