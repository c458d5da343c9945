/* One pass without recursion: the brackets that are open stand in a list, with the places of their words. */
#include "models/text/json_scan.h"

#include <ctype.h>
#include <float.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "core/base/memory.h"
#include "models/text/number.h"
#include "models/text/utf8.h"

enum { FIRST_WORDS = 64, BYTES_A_WORD = 4, NUMBER_TEXT_BYTES = 256 };

static const int64_t most_exponent = INT64_C(1) << 50;

struct open {
    char bracket;    /* '[' or '{' */
    size_t at;       /* of its word */
    size_t children;
};

struct scan {
    const char *text;
    size_t bytes, at;
    const struct json_limits *limits;
    size_t values;
    size_t depth;
    struct json_words *words; /* owned */
    size_t n_words, capacity;
    char *next_text;          /* in words->texts, which has room for all of them */
    struct open open[JSON_SCAN_DEPTH];
    struct json_fault *fault;
};

/* ---- faults --------------------------------------------------------------------------------- */

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

static bool no_memory(struct scan *scan)
{
    *scan->fault = (struct json_fault){.kind = JSON_FAULT_MEMORY};
    return false;
}

/* ---- words ---------------------------------------------------------------------------------- */

static bool make_words(struct scan *scan, size_t capacity)
{
    struct json_words *larger = memory_raw(sizeof *larger + capacity * sizeof *larger->words);
    if (!larger) return no_memory(scan);
    larger->texts = scan->words ? scan->words->texts : NULL;
    if (scan->n_words) memcpy(larger->words, scan->words->words, scan->n_words * sizeof *larger->words);
    memory_free(scan->words);
    scan->words = larger;
    scan->capacity = capacity;
    return true;
}

static bool put_word(struct scan *scan, uint64_t word)
{
    if (scan->n_words == scan->capacity && !make_words(scan, 2 * scan->capacity)) return false;
    scan->words->words[scan->n_words++] = word;
    return true;
}

static bool put_tag(struct scan *scan, unsigned tag)
{
    return put_word(scan, (uint64_t)tag << WORD_TAG_SHIFT);
}

/* A string's or a key's. No text is longer than what stands for it, and its quotes have room for the zero. */
static bool put_text(struct scan *scan, unsigned tag)
{
    if (!scan->next_text) {
        scan->next_text = scan->words->texts = memory_raw(scan->bytes - scan->at);
        if (!scan->next_text) return no_memory(scan);
    }
    return put_tag(scan, tag) && put_word(scan, (uint64_t)(uintptr_t)scan->next_text);
}

static void put_bytes(struct scan *scan, const char *bytes, size_t n)
{
    memcpy(scan->next_text, bytes, n);
    scan->next_text += n;
}

/* ---- scalars -------------------------------------------------------------------------------- */

static int peek(const struct scan *scan)
{
    return scan->at < scan->bytes ? (unsigned char)scan->text[scan->at] : -1;
}

static void skip_space(struct scan *scan)
{
    int c;
    while ((c = peek(scan)) == ' ' || c == '\t' || c == '\n' || c == '\r') scan->at++;
}

/* The number text[0..n), which number_round has left undecided. */
static bool put_undecided(struct scan *scan, const char *text, size_t n)
{
    char few[NUMBER_TEXT_BYTES], *copy = n < sizeof few ? few : memory_raw(n + 1);
    if (!copy) return no_memory(scan);
    memcpy(copy, text, n);
    copy[n] = '\0';
    double value = strtod(copy, NULL);
    if (copy != few) memory_free(copy);
    uint64_t word;
    memcpy(&word, &value, sizeof word);
    return put_word(scan, word);
}

/* More digits than fit: keep the first significant ones of digits[0..n), among which may be a point. */
static void cut_digits(const char *digits, size_t n, struct decimal *decimal)
{
    size_t i = 0, kept = 0;
    decimal->digits = 0;
    while (i < n && (digits[i] == '0' || digits[i] == '.')) i++;
    for (; i < n && kept < NUMBER_DIGITS; i++) {
        if (digits[i] == '.') continue;
        decimal->digits = decimal->digits * 10 + (uint64_t)(digits[i] - '0');
        kept++;
    }
    for (; i < n; i++) {
        if (digits[i] == '.') continue;
        decimal->exponent++;
        decimal->is_cut |= digits[i] != '0';
    }
}

/* Read digits into the number, in which too many wrap round. Return how many. */
static size_t read_digits(struct scan *scan, uint64_t *number)
{
    const char *begin = scan->text + scan->at, *end = scan->text + scan->bytes, *at = begin;
    uint64_t value = *number;
    for (unsigned digit; at < end && (digit = (unsigned)(unsigned char)*at - '0') < 10; at++)
        value = value * 10 + digit;
    *number = value;
    scan->at += (size_t)(at - begin);
    return (size_t)(at - begin);
}

/* e-12; false: it is none. One beyond all doubles stays there, however many digits were before it. */
static bool read_exponent(struct scan *scan, int64_t *exponent)
{
    scan->at++;
    bool is_negative = peek(scan) == '-';
    if (is_negative || peek(scan) == '+') scan->at++;
    size_t begin = scan->at;
    int64_t value = 0;
    for (int c; (c = peek(scan)) >= '0' && c <= '9'; scan->at++)
        if (value < most_exponent) value = value * 10 + (c - '0');
    if (scan->at == begin) return fault_at(scan, "a digit");
    *exponent += is_negative ? -value : value;
    return true;
}

static bool scan_number(struct scan *scan)
{
    struct decimal decimal = {0};
    size_t begin = scan->at;
    bool is_negative = peek(scan) == '-';
    scan->at += is_negative;
    size_t digits_at = scan->at, n = read_digits(scan, &decimal.digits), digits_end = scan->at;
    if (!n) return fault_at(scan, "a digit");
    if (n > 1 && scan->text[digits_at] == '0') {
        scan->at = digits_at + 1;
        return fault_at(scan, "no digit after a leading zero");
    }
    if (peek(scan) == '.') {
        scan->at++;
        size_t n_after = read_digits(scan, &decimal.digits);
        if (!n_after) return fault_at(scan, "a digit");
        n += n_after;
        decimal.exponent = -(int64_t)n_after;
        digits_end = scan->at;
    }
    if (n > NUMBER_DIGITS) cut_digits(scan->text + digits_at, digits_end - digits_at, &decimal);
    int c = peek(scan);
    if ((c == 'e' || c == 'E') && !read_exponent(scan, &decimal.exponent)) return false;
    double value;
    if (!number_round(&decimal, &value)) return put_undecided(scan, scan->text + begin, scan->at - begin);
    uint64_t word;
    memcpy(&word, &value, sizeof word);
    return put_word(scan, word | (uint64_t)is_negative << 63);
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

/* A code point of \u, which is not zero and no surrogate. */
static void put_code(struct scan *scan, uint32_t code)
{
    static const unsigned char leads[] = {0, 0, 0xc0, 0xe0, 0xf0};
    size_t n = code < 0x80 ? 1 : code < 0x800 ? 2 : code < 0x10000 ? 3 : 4;
    for (size_t i = n; i-- > 1; code >>= 6) scan->next_text[i] = (char)(0x80 | (code & 0x3f));
    scan->next_text[0] = (char)(leads[n] | code);
    scan->next_text += n;
}

/* After the backslash. */
static bool scan_escape(struct scan *scan)
{
    static const char names[] = "\"\\/bfnrtu", meanings[] = "\"\\/\b\f\n\r\t";
    int c = peek(scan);
    const char *name = c > 0 ? strchr(names, c) : NULL;
    if (!name) return fault_at(scan, "an escape such as \\n or \\u00e9");
    size_t begin = scan->at++;
    if (c != 'u') {
        put_bytes(scan, &meanings[name - names], 1);
        return true;
    }
    unsigned unit, low = 0;
    if (!scan_hex4(scan, &unit)) return false;
    if (!unit) {
        scan->at = begin;
        return fault_at(scan, "no \\u0000: texts must not hold a zero character");
    }
    if (unit < 0xd800 || unit > 0xdfff) {
        put_code(scan, unit);
        return true;
    }
    bool paired = unit < 0xdc00 && peek(scan) == '\\' && scan->at + 1 < scan->bytes &&
                  scan->text[scan->at + 1] == 'u';
    if (paired) {
        scan->at += 2;
        if (!scan_hex4(scan, &low)) return false;
    }
    if (low >= 0xdc00 && low <= 0xdfff) {
        put_code(scan, 0x10000 + ((unit & 0x3ff) << 10 | (low & 0x3ff)));
        return true;
    }
    scan->at = begin;
    return fault_at(scan, "a pair of surrogates");
}

/* Copy what stands for itself, as far as it goes. */
static bool scan_plain(struct scan *scan)
{
    const char *begin = scan->text + scan->at;
    for (int c; (c = peek(scan)) >= 32 && c != '"' && c != '\\';) {
        uint32_t code;
        size_t n = c < 128 ? 1 : utf8_decode(scan->text + scan->at, scan->bytes - scan->at, &code);
        if (!n) return fault_at(scan, "UTF-8");
        scan->at += n;
    }
    put_bytes(scan, begin, (size_t)(scan->text + scan->at - begin));
    return true;
}

/* A string, or a key by its tag. */
static bool scan_string(struct scan *scan, unsigned tag)
{
    if (!put_text(scan, tag)) return false;
    scan->at++;
    for (;;) {
        if (!scan_plain(scan)) return false;
        int c = peek(scan);
        if (c == '"') break;
        if (c < 0) return fault_at(scan, "the end of a string");
        if (c != '\\')
            return fault_at(scan, "no control character inside a string (write it as an escape)");
        scan->at++;
        if (!scan_escape(scan)) return false;
    }
    put_bytes(scan, "", 1);
    scan->at++;
    return true;
}

static bool scan_word(struct scan *scan, const char *word, unsigned tag)
{
    size_t n = strlen(word);
    if (scan->bytes - scan->at < n || memcmp(scan->text + scan->at, word, n))
        return fault_at(scan, "a value (object, array, string, number, true, false or null)");
    scan->at += n;
    return put_tag(scan, tag);
}

/* ---- arrays and objects --------------------------------------------------------------------- */

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
    scan->open[scan->depth++] = (struct open){.bracket = scan->text[scan->at++], .at = scan->n_words};
    return put_word(scan, 0) && put_word(scan, 0); /* written when it is closed */
}

static bool scan_close(struct scan *scan)
{
    const struct open *open = &scan->open[--scan->depth];
    if (!put_tag(scan, WORD_END)) return false;
    uint64_t tag = open->bracket == '[' ? WORD_ARRAY : WORD_OBJECT, *word = scan->words->words + open->at;
    word[0] = tag << WORD_TAG_SHIFT | open->children;
    word[1] = scan->n_words - open->at;
    scan->at++;
    return true;
}

/* "key": of an object's member. */
static bool scan_key(struct scan *scan)
{
    skip_space(scan);
    if (scan->limits->checks_keys && !scan_count(scan)) return false;
    if (peek(scan) != '"') return fault_at(scan, "a key in double quotes");
    if (!scan_string(scan, WORD_KEY)) return false;
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

/* Whether a number of an array has its end here. */
static bool is_end(char c)
{
    return c == ',' || c == ']';
}

/* Read a number without an exponent from *place, with a comma or bracket behind it, and move to that. false:
 * it is something else, or is left to scan_number. */
static bool read_plain_number(const char **place, const char *end, uint64_t *word)
{
    const char *at = *place, *point = NULL;
    uint64_t digits = 0;
    bool is_negative = at < end && *at == '-';
    const char *begin = at += is_negative;
    for (; at < end; at++) {
        unsigned digit = (unsigned)(unsigned char)*at - '0';
        if (digit < 10) digits = digits * 10 + digit;
        else if (*at == '.' && !point) point = at;
        else break;
    }
    size_t n = (size_t)(at - begin), places = point ? (size_t)(at - point) - 1 : 0;
    if (at == end || !is_end(*at) || n == 0 || n - (point != NULL) > NUMBER_DIGITS) return false;
    if (*begin == '.' || point == at - 1 || (*begin == '0' && n > 1 && begin[1] != '.')) return false;
    double value;
    if (digits >> DBL_MANT_DIG) {
        if (!number_round(&(struct decimal){digits, -(int64_t)places, false}, &value)) return false;
    } else value = (double)digits / number_exact_power[places];
    memcpy(word, &value, sizeof *word);
    *word |= (uint64_t)is_negative << 63;
    *place = at;
    return true;
}

/* In an array, where a value begins: read the plain numbers, up to one that is not, or is too many. *ended:
 * the last one was among them, and its bracket is next. An array of numbers is hardly anything else, and this
 * is several times faster than value by value. The background of a picture is one number again and again: 0.0
 * as Python writes it. */
static bool scan_plain_numbers(struct scan *scan, bool *ended)
{
    const char *end = scan->text + scan->bytes;
    struct open *open = &scan->open[scan->depth - 1];
    while (scan->values < scan->limits->values) {
        const char *at = scan->text + scan->at;
        uint64_t word = 0;
        if (at < end && *at == ' ') at++;
        if (end - at > 3 && !memcmp(at, "0.0", 3) && is_end(at[3])) at += 3;
        else if (!read_plain_number(&at, end, &word)) break;
        if (!put_word(scan, word)) return false;
        scan->values++;
        open->children++;
        *ended = *at == ']';
        scan->at = (size_t)(at - scan->text) + !*ended;
        if (*ended) break;
    }
    return true;
}

/* A value's beginning: a whole scalar or an opening bracket (then *opened). */
static bool scan_value(struct scan *scan, bool *opened)
{
    *opened = false;
    skip_space(scan);
    if (!scan_count(scan)) return false;
    if (scan->depth) scan->open[scan->depth - 1].children++;
    int c = peek(scan);
    if (c >= '0' && c <= '9') return scan_number(scan);
    if (c == '[' || c == '{') {
        *opened = true;
        return scan_open(scan);
    }
    if (c == '"') return scan_string(scan, WORD_STRING);
    if (is_no_number(scan)) return scan_no_number(scan);
    if (c == '-') return scan_number(scan);
    if (c == 't') return scan_word(scan, "true", WORD_TRUE);
    return c == 'f' ? scan_word(scan, "false", WORD_FALSE) : scan_word(scan, "null", WORD_NULL);
}

/* After a value: close what ends here; true with *more if a sibling follows. */
static bool scan_after(struct scan *scan, bool *more)
{
    for (*more = false; scan->depth;) {
        skip_space(scan);
        char close = scan->open[scan->depth - 1].bracket == '[' ? ']' : '}';
        int c = peek(scan);
        if (c == ',') {
            scan->at++;
            *more = true;
            return close == ']' || scan_key(scan);
        }
        if (c != close) return fault_at(scan, close == ']' ? "',' or ']'" : "',' or '}'");
        if (!scan_close(scan)) return false;
    }
    return true;
}

static bool scan_document(struct scan *scan)
{
    bool more = true;
    while (more) {
        bool in_array = scan->depth && scan->open[scan->depth - 1].bracket == '[';
        bool ended = false, opened = false;
        if (in_array && !scan_plain_numbers(scan, &ended)) return false;
        if (!ended && !scan_value(scan, &opened)) return false;
        if (opened) {
            bool array = scan->open[scan->depth - 1].bracket == '[';
            skip_space(scan);
            if (peek(scan) != (array ? ']' : '}')) {
                if (!array && !scan_key(scan)) return false;
                continue;
            }
        }
        if (!scan_after(scan, &more)) return false;
    }
    skip_space(scan);
    return (scan->at == scan->bytes || fault_at(scan, "nothing after the value")) &&
           put_tag(scan, WORD_END);
}

struct json_words *json_scan(const char *text, size_t bytes, const struct json_limits *limits,
                             struct json_fault *fault)
{
    struct scan scan = {.text = text, .bytes = bytes, .limits = limits, .fault = fault};
    *fault = (struct json_fault){.kind = JSON_FAULT_NONE};
    bool good = make_words(&scan, FIRST_WORDS + bytes / BYTES_A_WORD);
    for (int i = 0; good && i < WORDS_BEFORE; i++) good = put_word(&scan, 0);
    if (good && scan_document(&scan)) return scan.words;
    json_words_free(scan.words);
    return NULL;
}

void json_words_free(struct json_words *words)
{
    if (words) memory_free(words->texts);
    memory_free(words);
}
