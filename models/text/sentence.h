/* sentence: the parts of error sentences that come out of a bundle or a request.
 *
 * Such text is untrusted and ends in logs and terminals, so it is never put into a sentence as it
 * stands: sentence_quote cuts it, and escapes whatever could break a line or move a cursor.
 * Pure; any thread; nothing here allocates. */
#ifndef CAROUSEL_MODELS_SENTENCE_H
#define CAROUSEL_MODELS_SENTENCE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { QUOTE_BYTES = 96, SHAPE_BYTES = 192, CHARACTER_BYTES = 24 };

/* text[0..bytes) in single quotes, zero-terminated, in out[QUOTE_BYTES]; returns out. Control
 * characters and bytes that are not UTF-8 become \n, \t or \xNN; a text that does not fit
 * is cut between code points and ends in "...". */
const char *sentence_quote(char out[QUOTE_BYTES], const char *text, size_t bytes);

/* false for controls, for what turns the direction of writing, and for what breaks a line unseen. */
bool sentence_is_showable(uint32_t code_point);

/* true if all of text[0..bytes) is UTF-8 that can be shown. */
bool sentence_is_plain(const char *text, size_t bytes);

/* A code point as "'e' (U+0065)", or "U+0007" if it cannot be shown; returns out. */
const char *sentence_character(char out[CHARACTER_BYTES], uint32_t code_point);

/* "[2048, 65]"; returns out. */
const char *sentence_shape(char out[SHAPE_BYTES], size_t rank, const size_t *shape);

/* For "did you mean": how many letters must be inserted, deleted, exchanged or swapped with their
 * neighbour to make `a` into `b` (optimal string alignment). Texts of more than 63 bytes
 * are compared in their first 63. */
size_t sentence_distance(const char *a, const char *b);

/* true if `distance` is so small beside the length of `name` that a slip is likely. */
bool sentence_is_slip(size_t distance, const char *name);

#endif
