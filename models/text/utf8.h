/* utf8: code points in bytes that have not been checked yet. Pure; any thread.
 *
 * What counts as UTF-8 is what Unicode 15, table 3-7 lists: no overlong forms, no surrogates,
 * nothing above U+10FFFF. A zero byte is the code point U+0000 like any other. */
#ifndef CAROUSEL_MODELS_UTF8_H
#define CAROUSEL_MODELS_UTF8_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { UTF8_MAX_BYTES = 4 };

/* The code point that text[0..bytes) begins with. Returns its length, 1 to 4 bytes, or 0 if the
 * text is empty, cut in the middle of a code point, or not UTF-8; *code_point is then unchanged. */
size_t utf8_decode(const char *text, size_t bytes, uint32_t *code_point);

/* true if all of text[0..bytes) is UTF-8. Otherwise *offset (which may be NULL) is the byte at
 * which the first bad sequence begins. */
bool utf8_is_valid(const char *text, size_t bytes, size_t *offset);

#endif
