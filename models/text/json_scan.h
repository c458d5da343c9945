/* json_scan: whether a text is JSON, before a tree is made of it. Private to models/text/json.c.
 *
 * cJSON alone is lenient (numbers like 01 and 1., bytes that are not UTF-8, strings cut at a zero byte), and
 * its limits are compile-time constants. So this grammar decides what is JSON (RFC 8259, nothing more
 * lenient), and cJSON only builds what has passed. Pure; any thread; nothing here allocates. */
#ifndef CAROUSEL_MODELS_JSON_SCAN_H
#define CAROUSEL_MODELS_JSON_SCAN_H

#include "models/text/json.h"

enum {
    JSON_SCAN_DEPTH = 256,      /* no limit of depth is above it */
    JSON_SCAN_NUMBER_BYTES = 60 /* a longer number is long; cJSON cuts numbers at 63 bytes */
};

/* Return false with *fault filled if text[0..bytes) is not one JSON value within the limits.
 * *has_long_number: it holds a number of more than JSON_SCAN_NUMBER_BYTES. */
bool json_scan(const char *text, size_t bytes, const struct json_limits *limits, bool *has_long_number,
               struct json_fault *fault);

#endif
