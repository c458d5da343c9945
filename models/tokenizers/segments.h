/* segments: where the sentences of a text lie, for models that read one at a time. Pure; any thread.
 *
 * A sentence ends with a line, or with a full stop, an exclamation mark, a question mark or an ellipsis, and
 * what closes behind it, if white space follows and no small letter after that; the full stops of Chinese and
 * Japanese need no white space. A full stop behind a single capital, or behind a title or an abbreviation
 * such as "Dr" or "e.g", ends nothing. White space at the ends of a sentence is no part of it. */
#ifndef CAROUSEL_MODELS_SEGMENTS_H
#define CAROUSEL_MODELS_SEGMENTS_H

#include <stddef.h>

#include "models/tokenizers/tokenizer.h"

/* Find the next sentence of text[0..bytes), which is UTF-8, from *at on, and move *at behind it. false: there
 * is none left. */
bool segments_next(const char *text, size_t bytes, size_t *at, struct text_span *out);
/* Count them. */
size_t segments_count(const char *text, size_t bytes);

#endif
