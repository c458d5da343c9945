/* fold: plainer characters in place of one.
 *
 * Letters lose their accents: a letter of Unicode's blocks Latin-1 Supplement, Latin Extended-A, -B and
 * Additional becomes the first of its compatibility decomposition. Ligatures come apart. Typographic quotes,
 * dashes and spaces become those of ASCII, full-width forms narrow ones, other brackets round ones.
 * Pure; any thread. */
#ifndef CAROUSEL_MODELS_FOLD_H
#define CAROUSEL_MODELS_FOLD_H

#include <stddef.h>
#include <stdint.h>

enum { FOLD_CHARACTERS = 4 };
#define FOLD_NONE ((size_t)-1)

/* Write ASCII characters in place of `code`, and a zero behind them unless it is one letter. Return how many
 * they are: 0 to 3, never more than `code` has bytes in UTF-8, or FOLD_NONE if none can stand for it. Folding
 * again may make a result plainer still, as a quotation mark becomes an apostrophe. */
size_t fold_character(uint32_t code, char out[FOLD_CHARACTERS]);

#endif
