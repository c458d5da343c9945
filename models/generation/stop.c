#include "models/generation/stop.h"

#include <string.h>

void stops_lay_out(struct stops *stops, const size_t *bytes, size_t n, struct arena *arena)
{
    stops->n = n;
    for (size_t i = 0; i < n; i++) {
        stops->bytes[i] = bytes[i];
        stops->text[i] = arena_take(arena, bytes[i], 1);
        stops->fallback[i] = arena_take(arena, bytes[i], sizeof *stops->fallback[i]);
    }
}

/* From `matched` bytes of the string, one more byte: how many now. */
static size_t step(const char *text, const uint16_t *fallback, size_t matched, char byte)
{
    while (matched > 0 && text[matched] != byte) matched = fallback[matched - 1];
    return text[matched] == byte ? matched + 1 : 0;
}

void stops_prepare(struct stops *stops, const char *const *texts)
{
    for (size_t i = 0; i < stops->n; i++) {
        char *text = stops->text[i];
        uint16_t *fallback = stops->fallback[i];
        memcpy(text, texts[i], stops->bytes[i]);
        size_t matched = 0;
        fallback[0] = 0;
        for (size_t k = 1; k < stops->bytes[i]; k++) {
            matched = step(text, fallback, matched, text[k]);
            fallback[k] = (uint16_t)matched;
        }
    }
}

size_t stop_match_feed(struct stop_match *match, const struct stops *stops, char byte)
{
    size_t longest = 0;
    for (size_t i = 0; i < stops->n; i++) {
        size_t n = step(stops->text[i], stops->fallback[i], match->matched[i], byte);
        match->matched[i] = (uint16_t)n;
        if (n < stops->bytes[i]) continue;
        match->matched[i] = stops->fallback[i][n - 1];
        if (n > longest) longest = n;
    }
    return longest;
}

size_t stop_match_held(const struct stop_match *match, const struct stops *stops)
{
    size_t held = 0;
    for (size_t i = 0; i < stops->n; i++)
        if (match->matched[i] > held) held = match->matched[i];
    return held;
}
