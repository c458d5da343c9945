/* transcript: the text of one choice as it is written: tokens in, whole code points out.
 *
 * Bytes of tokens are put together to code points of UTF-8. Bytes that cannot be part of one become
 * U+FFFD, one for each maximal subpart (Unicode 15, section 3.9), so that the text is UTF-8
 * whatever the model writes. Stop strings are looked for in the code points; what may begin one
 * is held back.
 *
 * One writer, the worker, and one reader at a time. The writer publishes text, then tokens, then
 * the finish (release); the reader reads them in the opposite order (acquire), so that the text
 * which it sees covers the tokens, and both are the last if it sees a finish. What was
 * published never changes. */
#ifndef CAROUSEL_MODELS_TRANSCRIPT_H
#define CAROUSEL_MODELS_TRANSCRIPT_H

#include <stdatomic.h>
#include <stdbool.h>

#include "models/generation/stop.h"

struct transcript {
    /* memory, the owner's */
    char *text;
    size_t text_capacity;
    int32_t *tokens; /* [token_capacity] */
    size_t *offsets; /* [token_capacity] */
    size_t token_capacity;
    /* the writer's own */
    size_t n_text, n_tokens;
    size_t end; /* where the last token's text ends, once its last code point is whole */
    char pending[4];
    size_t n_pending;
    struct stop_match match;
    size_t n_held;    /* last bytes of the text that transcript_pause held back */
    int32_t previous; /* last token that has a text, or TOKEN_NONE */
    /* published */
    _Atomic size_t visible_text, visible_tokens;
    _Atomic int finish; /* enum finish_reason */
};

/* Over zeroed memory with the first block set. */
void transcript_init(struct transcript *transcript);

/* The text is to follow token `id`, which is not part of it. */
void transcript_follow(struct transcript *transcript, const struct tokenizer *tokenizer,
                       int32_t id);

/* A token is written. `stops` may be NULL: none are looked for (in the echo of a prompt). `piece` is scratch
 * of tokenizer_max_piece bytes. true if a stop string is complete: the text is cut before it, and the
 * transcript must be closed. */
bool transcript_append(struct transcript *transcript, const struct tokenizer *tokenizer,
                       const struct stops *stops, int32_t id, char *piece);

/* Let the reader see what is decided; true if there is something new. */
bool transcript_publish(struct transcript *transcript, const struct stops *stops);

/* The end: nothing is held back any more, an unfinished code point becomes U+FFFD. */
void transcript_close(struct transcript *transcript, enum finish_reason finish);

/* Go on with a text that was paused, before anything is appended: `previous` and what it held. With stops,
 * the held bytes may begin a stop string; NULL: they are decided. true if they complete one. */
bool transcript_resume(struct transcript *transcript, const struct stops *stops, int32_t previous,
                       const char *held, size_t n);
/* End by length, for a text that goes on later: what is not decided stays held back, and all tokens are
 * shown. */
void transcript_pause(struct transcript *transcript, const struct stops *stops);
/* Copy what a paused text held back into out[0..room), unfinished code point included. Return its bytes; 0 if
 * the text was closed. */
size_t transcript_held(const struct transcript *transcript, char *out, size_t room);

/* The most bytes of text that tokens of `bytes` bytes can become. */
size_t transcript_text_bytes(const struct tokenizer *tokenizer, size_t bytes);

#endif
