/* One pass without recursion: the brackets that are open stand in a list. */
#include "models/text/json_scan.h"

#include <ctype.h>
#include <string.h>
#include <strings.h>

#include "models/text/utf8.h"

struct scan {
    const char *text;
    size_t bytes, at;
    const struct json_limits *limits;
    size_t values;
    size_t depth;
    bool has_long_number;
    char open[JSON_SCAN_DEPTH]; /* '[' or '{' of each level */
    struct json_fault *fault;
};

/* The n bytes at this place are not what was expected. */
static bool fault_of(struct scan *scan, size_t n, const char *expected)
{
    *scan->fault = (struct json_fault){.kind = JSON_FAULT_SYNTAX, .at = scan->at, .expected = expected};
    if (scan->at < scan->bytes) sentence_quote(scan->fault->found, scan->text + scan->at, n);
    return false;
}

static bool fault_at(struct scan *scan, const char *expected)
{
    uint32_t code;
    size_t n = scan->at < scan->bytes ? utf8_decode(scan->text + scan->at, scan->bytes - scan->at, &code) : 0;
    return fault_of(scan, n ? n : 1, expected);
}

static int peek(const struct scan *scan)
{
    return scan->at < scan->bytes ? (unsigned char)scan->text[scan->at] : -1;
}

static void skip_space(struct scan *scan)
{
    int c;
    while ((c = peek(scan)) == ' ' || c == '\t' || c == '\n' || c == '\r') scan->at++;
}

static size_t skip_digits(struct scan *scan)
{
    size_t begin = scan->at;
    while (peek(scan) >= '0' && peek(scan) <= '9') scan->at++;
    return scan->at - begin;
}

static bool scan_number(struct scan *scan)
{
    size_t begin = scan->at;
    if (peek(scan) == '-') scan->at++;
    size_t digits_at = scan->at, n = skip_digits(scan);
    if (!n) return fault_at(scan, "a digit");
    if (n > 1 && scan->text[digits_at] == '0') {
        scan->at = digits_at + 1;
        return fault_at(scan, "no digit after a leading zero");
    }
    if (peek(scan) == '.') {
        scan->at++;
        if (!skip_digits(scan)) return fault_at(scan, "a digit");
    }
    if (peek(scan) == 'e' || peek(scan) == 'E') {
        scan->at++;
        if (peek(scan) == '-' || peek(scan) == '+') scan->at++;
        if (!skip_digits(scan)) return fault_at(scan, "a digit");
    }
    scan->has_long_number |= scan->at - begin > JSON_SCAN_NUMBER_BYTES;
    return true;
}

static bool scan_hex4(struct scan *scan, unsigned *unit)
{
    *unit = 0;
    for (int i = 0; i < 4; i++, scan->at++) {
        int c = peek(scan);
        if (c >= '0' && c <= '9') *unit = *unit * 16 + (unsigned)(c - '0');
        else if ((c | 32) >= 'a' && (c | 32) <= 'f') *unit = *unit * 16 + (unsigned)((c | 32) - 'a') + 10;
        else return fault_at(scan, "four hexadecimal digits after \\u");
    }
    return true;
}

/* After the backslash. */
static bool scan_escape(struct scan *scan)
{
    int c = peek(scan);
    if (c < 0 || !strchr("\"\\/bfnrtu", c) || !c) return fault_at(scan, "an escape such as \\n or \\u00e9");
    size_t begin = scan->at++;
    if (c != 'u') return true;
    unsigned unit, low = 0;
    if (!scan_hex4(scan, &unit)) return false;
    if (!unit) {
        scan->at = begin;
        return fault_at(scan, "no \\u0000: texts must not hold a zero character");
    }
    if (unit < 0xd800 || unit > 0xdfff) return true;
    bool paired = unit < 0xdc00 && peek(scan) == '\\' && scan->at + 1 < scan->bytes &&
                  scan->text[scan->at + 1] == 'u';
    if (paired) {
        scan->at += 2;
        if (!scan_hex4(scan, &low)) return false;
    }
    if (low >= 0xdc00 && low <= 0xdfff) return true;
    scan->at = begin;
    return fault_at(scan, "a pair of surrogates");
}

static bool scan_string(struct scan *scan)
{
    if (peek(scan) != '"') return fault_at(scan, "a string");
    scan->at++;
    for (;;) {
        int c = peek(scan);
        if (c == '"') break;
        if (c < 0) return fault_at(scan, "the end of a string");
        if (c < 32) return fault_at(scan, "no control character inside a string (write it as an escape)");
        if (c == '\\') {
            scan->at++;
            if (!scan_escape(scan)) return false;
        } else if (c < 128) scan->at++;
        else {
            uint32_t code;
            size_t n = utf8_decode(scan->text + scan->at, scan->bytes - scan->at, &code);
            if (!n) return fault_at(scan, "UTF-8");
            scan->at += n;
        }
    }
    scan->at++;
    return true;
}

static bool scan_word(struct scan *scan, const char *word)
{
    size_t n = strlen(word);
    if (scan->bytes - scan->at < n || memcmp(scan->text + scan->at, word, n))
        return fault_at(scan, "a value (object, array, string, number, true, false or null)");
    scan->at += n;
    return true;
}

static bool scan_count(struct scan *scan)
{
    if (++scan->values <= scan->limits->values) return true;
    scan->fault->kind = JSON_FAULT_VALUES;
    scan->fault->at = scan->at;
    return false;
}

static bool scan_open(struct scan *scan)
{
    if (scan->depth >= scan->limits->depth || scan->depth >= JSON_SCAN_DEPTH) {
        scan->fault->kind = JSON_FAULT_DEPTH;
        scan->fault->at = scan->at;
        return false;
    }
    scan->open[scan->depth++] = scan->text[scan->at++];
    return true;
}

/* "key": of an object's member. */
static bool scan_key(struct scan *scan)
{
    skip_space(scan);
    if (scan->limits->checks_keys && !scan_count(scan)) return false;
    if (peek(scan) != '"') return fault_at(scan, "a key in double quotes");
    if (!scan_string(scan)) return false;
    skip_space(scan);
    if (peek(scan) != ':') return fault_at(scan, "':'");
    scan->at++;
    return true;
}

/* Refuse what Python's json module and others write for a float that is no number. */
static bool scan_no_number(struct scan *scan)
{
    size_t n = peek(scan) == '-' || peek(scan) == '+';
    while (scan->at + n < scan->bytes && isalpha((unsigned char)scan->text[scan->at + n])) n++;
    return fault_of(scan, n, "a finite number: send null for a missing value");
}

/* NaN, Infinity or inf, in any case and with any sign. */
static bool is_no_number(const struct scan *scan)
{
    const char *text = scan->text + scan->at;
    size_t left = scan->bytes - scan->at, sign = left && (*text == '-' || *text == '+');
    return left >= sign + 3 && (!strncasecmp(text + sign, "nan", 3) || !strncasecmp(text + sign, "inf", 3));
}

/* A value's beginning: a whole scalar or an opening bracket (then *opened). */
static bool scan_value(struct scan *scan, bool *opened)
{
    *opened = false;
    skip_space(scan);
    if (!scan_count(scan)) return false;
    int c = peek(scan);
    if (c == '[' || c == '{') {
        *opened = true;
        return scan_open(scan);
    }
    if (c == '"') return scan_string(scan);
    if (is_no_number(scan)) return scan_no_number(scan);
    if (c == '-' || (c >= '0' && c <= '9')) return scan_number(scan);
    return scan_word(scan, c == 't' ? "true" : c == 'f' ? "false" : "null");
}

/* After a value: close what ends here; true with *more if a sibling follows. */
static bool scan_after(struct scan *scan, bool *more)
{
    for (*more = false; scan->depth;) {
        skip_space(scan);
        char close = scan->open[scan->depth - 1] == '[' ? ']' : '}';
        int c = peek(scan);
        if (c == ',') {
            scan->at++;
            *more = true;
            return close == ']' || scan_key(scan);
        }
        if (c != close) return fault_at(scan, close == ']' ? "',' or ']'" : "',' or '}'");
        scan->at++;
        scan->depth--;
    }
    return true;
}

static bool scan_document(struct scan *scan)
{
    bool opened, more = true;
    while (more) {
        if (!scan_value(scan, &opened)) return false;
        if (opened) {
            bool array = scan->open[scan->depth - 1] == '[';
            skip_space(scan);
            if (peek(scan) != (array ? ']' : '}')) {
                if (!array && !scan_key(scan)) return false;
                continue;
            }
        }
        if (!scan_after(scan, &more)) return false;
    }
    skip_space(scan);
    return scan->at == scan->bytes || fault_at(scan, "nothing after the value");
}

bool json_scan(const char *text, size_t bytes, const struct json_limits *limits, bool *has_long_number,
               struct json_fault *fault)
{
    struct scan scan = {.text = text, .bytes = bytes, .limits = limits, .fault = fault};
    *fault = (struct json_fault){.kind = JSON_FAULT_NONE};
    bool good = scan_document(&scan);
    *has_long_number = scan.has_long_number;
    return good;
}
