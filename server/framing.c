#include "server/framing.h"

#include <string.h>
#include <strings.h>

/* RFC 9110, 5.6.2. */
static bool is_token(const char *text, size_t n)
{
    static const char others[] = "!#$%&'*+-.^_`|~";
    for (size_t i = 0; i < n; i++) {
        char c = text[i];
        bool good = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                    memchr(others, c, sizeof others - 1);
        if (!good) return false;
    }
    return n > 0;
}

static bool is_text(const char *text, size_t n)
{
    return !memchr(text, '\0', n) && !memchr(text, '\r', n) && !memchr(text, '\n', n);
}

static bool is_same(const char *word, const char *text, size_t n)
{
    return strlen(word) == n && !strncasecmp(word, text, n);
}

void framing_take(struct framing *framing, const char *name, size_t name_bytes, const char *value,
                  size_t value_bytes)
{
    if (!is_token(name, name_bytes))
        framing->fault = "a header's name has a space or another character that no name has";
    else if (!is_text(value, value_bytes))
        framing->fault = "a header's value has a zero byte or the end of a line in it";
    else if (is_same("host", name, name_bytes)) framing->n_hosts++;
    else if (is_same("content-length", name, name_bytes)) framing->n_lengths++;
    else if (is_same("transfer-encoding", name, name_bytes)) {
        framing->n_codings++;
        if (!is_same("chunked", value, value_bytes))
            framing->fault = "the Transfer-Encoding is not 'chunked', the only one there is";
    }
}

const char *framing_fault(const struct framing *framing, bool old)
{
    if (framing->fault) return framing->fault;
    if (framing->n_hosts > 1) return "there is more than one Host";
    if (framing->n_lengths + framing->n_codings > 1)
        return "there is more than one Content-Length or Transfer-Encoding; expected one of them";
    return framing->n_codings && old ? "HTTP/1.0 has no Transfer-Encoding" : NULL;
}
