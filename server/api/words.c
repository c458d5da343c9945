#include "server/api/words.h"

#include <stdio.h>
#include <string.h>

#include "server/api/document.h"

/* "'a', 'b' or 'c'" */
static void list(char *text, size_t bytes, const char *const *words, unsigned n)
{
    size_t used = 0;
    for (unsigned i = 0; i < n && used < bytes; i++)
        used += (size_t)snprintf(text + used, bytes - used, "%s'%s'",
                                 i == 0 ? "" : i + 1 < n ? ", " : " or ", words[i]);
}

bool word_read(struct call *call, const char *name, const char *const *words, unsigned n, unsigned *which)
{
    const char *word = NULL;
    char expected[256];
    if (!field_string(call->root, name, 64, &word, call->problem)) return false;
    if (!word) return true;
    for (unsigned i = 0; i < n; i++)
        if (!strcmp(word, words[i])) return *which = i, true;
    list(expected, sizeof expected, words, n);
    return field_word_expected(json_get(call->root, name), name, expected, call->problem);
}

bool choice_read(struct call *call, const char *name, const char *a, const char *b, bool *second)
{
    const char *const words[] = {a, b};
    unsigned which = *second;
    const bool good = word_read(call, name, words, 2, &which);
    *second = which;
    return good;
}

/* Whether a header Accept names the media type, whatever its parameters. */
static bool accepts(const char *header, const char *media_type)
{
    char bare[64];
    snprintf(bare, sizeof bare, "%.*s", (int)strcspn(media_type, ";"), media_type);
    return strstr(header, bare) != NULL;
}

bool format_read(struct call *call, const struct media_format *formats, unsigned n, unsigned *which)
{
    const char *words[MAX_WORDS], *header = call->request->accept;
    *which = 0;
    for (unsigned i = 0; i < n; i++) {
        words[i] = formats[i].name;
        if (header && formats[i].media_type && accepts(header, formats[i].media_type)) *which = i;
    }
    return word_read(call, "format", words, n, which);
}
