#include "models/generation/transcript.h"

#include <stdint.h>
#include <string.h>

#include "models/tokenizers/tokenizer.h"
#include "models/text/utf8.h"

static const char replacement[] = "\xef\xbf\xbd"; /* U+FFFD */

void transcript_init(struct transcript *transcript)
{
    transcript->previous = TOKEN_NONE;
    atomic_init(&transcript->visible_text, 0);
    atomic_init(&transcript->visible_tokens, 0);
    atomic_init(&transcript->finish, FINISH_NONE);
}

/* Only single bytes can fail to be UTF-8, and then each becomes at most one U+FFFD; vocabularies
 * are checked when they are read. */
size_t transcript_text_bytes(const struct tokenizer *tokenizer, size_t bytes)
{
    size_t each = strcmp(tokenizer_type(tokenizer), "bytes") == 0 ? sizeof replacement - 1 : 1;
    return bytes > SIZE_MAX / each - UTF8_MAX_BYTES ? SIZE_MAX : bytes * each + UTF8_MAX_BYTES;
}

/* Bytes of a code point that begins with `first`, or 0 (Unicode 15, table 3-7). */
static size_t code_point_bytes(unsigned char first)
{
    if (first < 0x80) return 1;
    if (first < 0xc2) return 0;
    if (first < 0xe0) return 2;
    if (first < 0xf0) return 3;
    return first < 0xf5 ? 4 : 0;
}

/* Whether `byte` can be next after pending[0..n), n >= 1: the second byte of some code points is
 * bounded, against overlong forms, surrogates and what lies above U+10FFFF. */
static bool can_follow(const char *pending, size_t n, unsigned char byte)
{
    unsigned char first = (unsigned char)pending[0];
    if (byte < 0x80 || byte > 0xbf) return false;
    if (n > 1) return true;
    if (first == 0xe0) return byte >= 0xa0;
    if (first == 0xed) return byte <= 0x9f;
    if (first == 0xf0) return byte >= 0x90;
    if (first == 0xf4) return byte <= 0x8f;
    return true;
}

/* Write a whole code point. true if it completes a stop string. */
static bool put(struct transcript *t, const struct stops *stops, const char *bytes, size_t n)
{
    if (n > t->text_capacity - t->n_text) return false; /* the capacity was made to suffice */
    memcpy(t->text + t->n_text, bytes, n);
    t->n_text += n;
    for (size_t i = 0; stops && i < n; i++) {
        size_t stop = stop_match_feed(&t->match, stops, bytes[i]);
        if (stop == 0) continue;
        t->end = SIZE_MAX; /* the token ends behind the cut */
        t->n_text -= n - 1 - i + stop;
        return true;
    }
    return false;
}

static bool replace_pending(struct transcript *t, const struct stops *stops)
{
    t->n_pending = 0;
    return put(t, stops, replacement, sizeof replacement - 1);
}

/* One more byte of a token; *offset is set to where it stands in the text. */
static bool take_byte(struct transcript *t, const struct stops *stops, char byte, size_t *offset)
{
    bool stopped = false;
    if (t->n_pending > 0 && !can_follow(t->pending, t->n_pending, (unsigned char)byte))
        stopped = replace_pending(t, stops);
    *offset = stopped ? SIZE_MAX : t->n_text + t->n_pending;
    if (stopped) return true;
    t->pending[t->n_pending++] = byte;
    size_t n = code_point_bytes((unsigned char)t->pending[0]);
    if (n == 0) return replace_pending(t, stops);
    if (t->n_pending < n) return false;
    t->n_pending = 0;
    return put(t, stops, t->pending, n);
}

void transcript_follow(struct transcript *transcript, const struct tokenizer *tokenizer,
                       int32_t id)
{
    if (!tokenizer_is_silent(tokenizer, id)) transcript->previous = id;
}

bool transcript_append(struct transcript *transcript, const struct tokenizer *tokenizer,
                       const struct stops *stops, int32_t id, char *piece)
{
    struct transcript *t = transcript;
    if (t->n_tokens == t->token_capacity) return false; /* cannot happen, likewise */
    size_t n = tokenizer_append(tokenizer, t->previous, id, piece);
    transcript_follow(t, tokenizer, id);
    size_t at = t->n_tokens++, offset;
    t->offsets[at] = t->n_text + t->n_pending;
    t->tokens[at] = id;
    for (size_t i = 0; i < n; i++) {
        bool stopped = take_byte(t, stops, piece[i], i == 0 ? &t->offsets[at] : &offset);
        if (stopped) return true;
    }
    t->end = t->n_text + t->n_pending;
    return false;
}

static bool publish(struct transcript *t, size_t n_text)
{
    size_t old_text = atomic_load_explicit(&t->visible_text, memory_order_relaxed);
    size_t old_tokens = atomic_load_explicit(&t->visible_tokens, memory_order_relaxed);
    size_t n_tokens = old_tokens;
    while (n_tokens < t->n_tokens) {
        size_t end = n_tokens + 1 < t->n_tokens ? t->offsets[n_tokens + 1] : t->end;
        if (end > n_text) break;
        n_tokens++;
    }
    atomic_store_explicit(&t->visible_text, n_text, memory_order_release);
    atomic_store_explicit(&t->visible_tokens, n_tokens, memory_order_release);
    return n_text != old_text || n_tokens != old_tokens;
}

bool transcript_publish(struct transcript *transcript, const struct stops *stops)
{
    size_t held = stops ? stop_match_held(&transcript->match, stops) : 0;
    return publish(transcript, transcript->n_text - held);
}

void transcript_close(struct transcript *transcript, enum finish_reason finish)
{
    if (transcript->n_pending > 0) {
        (void)replace_pending(transcript, NULL);
        transcript->end = transcript->n_text;
    }
    (void)publish(transcript, transcript->n_text);
    atomic_store_explicit(&transcript->finish, (int)finish, memory_order_release);
}

bool transcript_resume(struct transcript *transcript, const struct stops *stops, int32_t previous,
                       const char *held, size_t n)
{
    struct transcript *t = transcript;
    size_t offset;
    t->previous = previous;
    for (size_t i = 0; i < n; i++)
        if (take_byte(t, stops, held[i], &offset)) return true;
    if (!stops && t->n_pending > 0) (void)replace_pending(t, NULL);
    return false;
}

void transcript_pause(struct transcript *transcript, const struct stops *stops)
{
    struct transcript *t = transcript;
    t->n_held = stop_match_held(&t->match, stops);
    (void)publish(t, t->n_text - t->n_held);
    atomic_store_explicit(&t->visible_tokens, t->n_tokens, memory_order_release);
    atomic_store_explicit(&t->finish, FINISH_LENGTH, memory_order_release);
}

size_t transcript_held(const struct transcript *transcript, char *out, size_t room)
{
    const struct transcript *t = transcript;
    size_t n = t->n_held + t->n_pending;
    if (n > room) return 0; /* cannot happen: a stop string and a code point fit */
    memcpy(out, t->text + t->n_text - t->n_held, t->n_held);
    memcpy(out + t->n_held, t->pending, t->n_pending);
    return n;
}
