/* stop: the strings that end a generation, found byte by byte as text is written.
 *
 * Knuth, Morris, Pratt, "Fast pattern matching in strings" (SIAM J. Comput. 6, 1977), one automaton a
 * string, so that a match does not depend on where tokens begin and end. struct stops is immutable
 * and shared by all choices of a request; each choice has a struct stop_match. */
#ifndef CAROUSEL_MODELS_STOP_H
#define CAROUSEL_MODELS_STOP_H

#include <stdint.h>

#include "models/jobs/arena.h"
#include "models/generation/generation.h"

struct stops {
    size_t n;
    char *text[GENERATION_MAX_STOPS];
    size_t bytes[GENERATION_MAX_STOPS]; /* >= 1 */
    /* fallback[i][k]: the longest border of text[i][0..k + 1): a proper prefix of it that also ends it */
    uint16_t *fallback[GENERATION_MAX_STOPS];
};

/* How much of each string the text ends with. All zero: nothing. */
struct stop_match {
    uint16_t matched[GENERATION_MAX_STOPS];
};

/* Cut room for n strings of bytes[i] bytes, 1 to GENERATION_MAX_STOP_BYTES, then prepare them. */
void stops_lay_out(struct stops *stops, const size_t *bytes, size_t n, struct arena *arena);
void stops_prepare(struct stops *stops, const char *const *texts);

/* The text goes on with `byte`. Returns the length of a string that the text now ends with (the
 * longest of several), or 0. */
size_t stop_match_feed(struct stop_match *match, const struct stops *stops, char byte);

/* How many of the last bytes may yet turn out to begin a stop string. */
size_t stop_match_held(const struct stop_match *match, const struct stops *stops);

#endif
