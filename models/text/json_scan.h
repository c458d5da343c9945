/* json_scan: JSON to words, in one pass. Private to models/text/json.c.
 *
 * The grammar is RFC 8259 and nothing more lenient. A document becomes one array of words:
 *
 *   number          the double itself; it is never NaN
 *   null, booleans  one word
 *   string          its word, then the address of its text, zero-terminated
 *   array           its word with the number of elements, then the number of words from it to the next value,
 *                   then the elements, then WORD_END
 *   object          the same with members: WORD_KEY, the address of the key, the value
 *
 * All words but those of numbers, addresses and sizes have a tag in their upper 16 bits, with which a double
 * would be a negative NaN. So an array of numbers is an array of doubles. Texts lie in a block of their own.
 * Any thread. */
#ifndef CAROUSEL_MODELS_JSON_SCAN_H
#define CAROUSEL_MODELS_JSON_SCAN_H

#include "models/text/json.h"

enum { JSON_SCAN_DEPTH = 256 }; /* no limit of depth is above it */

enum { WORD_TAG_SHIFT = 48 };
enum word_tag {
    WORD_KEY = 0xfff8, /* of a member, before its value */
    WORD_END,          /* behind the last element or member, and behind the document */
    WORD_NULL,
    WORD_FALSE,
    WORD_TRUE,
    WORD_STRING,
    WORD_ARRAY,
    WORD_OBJECT
};

enum { WORDS_BEFORE = 2 }; /* zeros before the document, so that a key may be looked for before any value */
struct json_words {
    char *texts; /* owned; NULL if there is no string */
    uint64_t words[];
};

/* Return the words of text[0..bytes), which the caller frees. NULL with *fault filled if the text is not one
 * JSON value within the limits, or there is no memory. */
struct json_words *json_scan(const char *text, size_t bytes, const struct json_limits *limits,
                             struct json_fault *fault);
void json_words_free(struct json_words *words); /* accepts NULL */

#endif
