#include "models/tokenizers/segments.h"

#include <string.h>

#include "models/text/utf8.h"

/* Words after which a full stop ends nothing, in small letters. */
static const char *const abbreviations[] = {"mr", "mrs", "ms", "dr", "prof", "st", "mt", "no", "vs", "e.g",
                                            "i.e", "cf", "gen", "capt", "sgt", "rev", "hon", "mme", "mlle",
                                            "mgr", NULL};

/* A character and where it ends; code 0 at the end of the text. */
struct character {
    uint32_t code;
    size_t end;
};

static struct character character_at(const char *text, size_t bytes, size_t at)
{
    struct character c = {0, at + 1};
    size_t n = at < bytes ? utf8_decode(text + at, bytes - at, &c.code) : 0;
    if (n) c.end = at + n;
    return c;
}

static bool is_blank(uint32_t code)
{
    return code == ' ' || (code >= '\t' && code <= '\r') || code == 0x3000;
}

/* What ends a sentence if white space follows. */
static bool is_stop(uint32_t code)
{
    return code == '.' || code == '!' || code == '?' || code == 0x2026 || code == 0x203D;
}

/* What ends one in any case. */
static bool is_wide_stop(uint32_t code)
{
    return code == 0x3002 || code == 0xFF01 || code == 0xFF1F;
}

/* Quotation marks and brackets behind a stop, and the space before a French one. */
static bool is_closing(uint32_t code)
{
    return code == '"' || code == '\'' || code == ')' || code == ']' || code == 0xBB || code == 0x2019 ||
           code == 0x201D || code == 0x300D || code == 0x300F || code == 0xA0 || code == 0x202F;
}

/* Small letters of Latin, Greek and Cyrillic, as far as one look tells. */
static bool is_small(uint32_t code)
{
    return (code >= 'a' && code <= 'z') || (code >= 0xDF && code <= 0xFF && code != 0xF7) ||
           (code >= 0x100 && code < 0x180 && code % 2) || (code >= 0x3AC && code <= 0x3CE) ||
           (code >= 0x430 && code <= 0x45F);
}

static bool is_letter(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

/* Whether the full stop at text[at] belongs to the word before it, which begins at `first` or later. */
static bool is_abbreviation(const char *text, size_t first, size_t at)
{
    enum { LONGEST = 8 };
    char word[LONGEST];
    size_t begin = at, n;
    while (begin > first && at - begin < LONGEST && (is_letter(text[begin - 1]) || text[begin - 1] == '.'))
        begin--;
    n = at - begin;
    if (n == 1 && text[begin] >= 'A' && text[begin] <= 'Z' && text[begin] != 'I') return true;
    if (n == 0 || n >= LONGEST) return false;
    for (size_t i = 0; i < n; i++)
        word[i] = (char)(text[begin + i] >= 'A' && text[begin + i] <= 'Z' ? text[begin + i] | 0x20
                                                                          : text[begin + i]);
    word[n] = '\0';
    for (size_t i = 0; abbreviations[i]; i++)
        if (!strcmp(word, abbreviations[i])) return true;
    return false;
}

/* Move *at behind the stop at text[*at], further stops and what closes. Return whether the sentence ends
 * there. */
static bool ends_at_stop(const char *text, size_t bytes, size_t first, size_t *at)
{
    struct character c = character_at(text, bytes, *at), next;
    bool is_wide = is_wide_stop(c.code), is_part = c.code == '.' && is_abbreviation(text, first, *at);
    size_t end = c.end;
    while (end < bytes) { /* more stops, and what closes */
        c = character_at(text, bytes, end);
        next = character_at(text, bytes, c.end);
        bool is_french = c.code == ' ' && next.code == 0xBB;
        if (!is_stop(c.code) && !is_wide_stop(c.code) && !is_closing(c.code) && !is_french) break;
        end = is_french ? next.end : c.end;
    }
    *at = end;
    if (is_part) return false;
    if (end == bytes || is_wide) return true;
    if (!is_blank(c.code)) return false;
    for (next = c; is_blank(next.code); next = character_at(text, bytes, next.end)) continue;
    return !is_small(next.code);
}

bool segments_next(const char *text, size_t bytes, size_t *at, struct text_span *out)
{
    struct character c;
    while (*at < bytes && (c = character_at(text, bytes, *at), is_blank(c.code))) *at = c.end;
    size_t first = *at, i = first, end = first; /* end: behind what is not blank */
    if (first >= bytes) return false;
    while (i < bytes) {
        c = character_at(text, bytes, i);
        if (c.code == '\n' || c.code == '\r') break;
        bool is_end = false;
        if (is_stop(c.code) || is_wide_stop(c.code)) is_end = ends_at_stop(text, bytes, first, &i);
        else i = c.end;
        if (!is_blank(c.code)) end = i;
        if (is_end) break;
    }
    *out = (struct text_span){first, end};
    *at = end;
    return true;
}

size_t segments_count(const char *text, size_t bytes)
{
    struct text_span sentence;
    size_t n = 0, at = 0;
    while (segments_next(text, bytes, &at, &sentence)) n++;
    return n;
}
