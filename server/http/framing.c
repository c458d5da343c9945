/* One buffer: what may go on lies before what is not judged yet, and judging moves bytes from the one part to
 * the other, or drops them. The buffer is there only while something is in it. */
#include "server/http/framing.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum { SUBSTITUTE_BYTES = 64, MAX_LENGTH_DIGITS = 18, MAX_CHUNK_DIGITS = 15 };

struct text {
    const char *at;
    size_t n;
};

/* What a head says about the request's end. */
struct head_facts {
    unsigned n_fields, n_hosts, n_lengths, n_codings;
    bool is_old; /* HTTP/1.0 */
    uint64_t length;
};

/* ---- words ---------------------------------------------------------------------------------- */

/* RFC 9110, 5.6.2. */
static bool is_token(struct text text)
{
    static const char others[] = "!#$%&'*+-.^_`|~";
    for (size_t i = 0; i < text.n; i++) {
        char c = text.at[i];
        bool good = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                    memchr(others, c, sizeof others - 1);
        if (!good) return false;
    }
    return text.n > 0;
}

/* RFC 9110, 5.5. */
static bool is_value(struct text text)
{
    for (size_t i = 0; i < text.n; i++) {
        unsigned char c = (unsigned char)text.at[i];
        if ((c < ' ' && c != '\t') || c == 0x7f) return false;
    }
    return true;
}

static bool is_visible(struct text text)
{
    for (size_t i = 0; i < text.n; i++)
        if (text.at[i] <= ' ' || text.at[i] > '~') return false;
    return text.n > 0;
}

static bool is_host(struct text text)
{
    static const char never[] = "/?#@\\,\"<>";
    for (size_t i = 0; i < text.n; i++)
        if (memchr(never, text.at[i], sizeof never - 1)) return false;
    return text.n == 0 || is_visible(text);
}

static bool is_same(const char *word, struct text text)
{
    return strlen(word) == text.n && !strncasecmp(word, text.at, text.n);
}

/* Cut off what stands before the first `end`, which is dropped; all of the text if there is none. */
static struct text cut(struct text *text, char end)
{
    const char *at = memchr(text->at, end, text->n);
    size_t n = at ? (size_t)(at - text->at) : text->n;
    struct text part = {text->at, n};
    size_t gone = at ? n + 1 : n;
    *text = (struct text){text->at + gone, text->n - gone};
    return part;
}

/* Cut off a line with its CRLF, which must be there; the line comes without it. */
static struct text cut_line(struct text *text)
{
    struct text line = cut(text, '\n');
    assert(line.n && line.at[line.n - 1] == '\r');
    line.n--;
    return line;
}

static bool is_blank(char c)
{
    return c == ' ' || c == '\t';
}

static struct text trim(struct text text)
{
    while (text.n && is_blank(*text.at)) text.at++, text.n--;
    while (text.n && is_blank(text.at[text.n - 1])) text.n--;
    return text;
}

/* Digits of base 10 or 16, at most `most`. */
static bool read_number(struct text text, unsigned base, size_t most, uint64_t *out)
{
    *out = 0;
    for (size_t i = 0; i < text.n; i++) {
        char c = text.at[i];
        unsigned digit = c >= '0' && c <= '9'   ? (unsigned)(c - '0')
                         : c >= 'a' && c <= 'f' ? (unsigned)(c - 'a') + 10
                         : c >= 'A' && c <= 'F' ? (unsigned)(c - 'A') + 10
                                                : 16;
        if (digit >= base) return false;
        *out = *out * base + digit;
    }
    return text.n > 0 && text.n <= most;
}

/* ---- a head --------------------------------------------------------------------------------- */

static const char too_many[] = "the request has more than 256 headers and parameters of its query";

static const char *check_request_line(struct text line, struct head_facts *facts)
{
    struct text rest = line, method = cut(&rest, ' '), target = cut(&rest, ' ');
    if (!is_token(method)) return "the request does not begin with a method, such as GET or POST";
    if (!is_visible(target))
        return "the request's target is empty, or has a character in it that is not printable ASCII";
    if (rest.n != 8 || (memcmp(rest.at, "HTTP/1.1", 8) && memcmp(rest.at, "HTTP/1.0", 8)))
        return "the request's first line does not end with HTTP/1.1 or HTTP/1.0";
    facts->is_old = rest.at[7] == '0';
    for (size_t i = 0; i < target.n; i++) facts->n_fields += target.at[i] == '&' || target.at[i] == '?';
    return NULL;
}

static const char *check_field(struct text line, struct head_facts *facts)
{
    struct text value = line, name = cut(&value, ':');
    if (is_blank(*line.at)) return "a header is folded: its second line begins with a space or a tab";
    if (name.n == line.n) return "a header has no colon";
    if (!is_token(name)) return "a header's name has a space or another character that no name has";
    if (!is_value(value)) return "a header's value has a zero byte or another control character in it";
    value = trim(value);
    facts->n_fields++;
    if (is_same("host", name)) {
        facts->n_hosts++;
        if (!is_host(value)) return "the Host has a space or another character in it that no host has";
    } else if (is_same("content-length", name)) {
        facts->n_lengths++;
        if (!read_number(value, 10, MAX_LENGTH_DIGITS, &facts->length))
            return "the Content-Length is not a number of at most 18 digits";
    } else if (is_same("transfer-encoding", name)) {
        facts->n_codings++;
        if (!is_same("chunked", value))
            return "the Transfer-Encoding is not 'chunked', the only one there is";
    }
    return NULL;
}

static const char *check_facts(const struct head_facts *facts)
{
    if (facts->n_hosts > 1) return "there is more than one Host";
    if (!facts->n_hosts && !facts->is_old) return "there is no Host, which HTTP/1.1 demands";
    if (facts->n_lengths + facts->n_codings > 1)
        return "there is more than one Content-Length or Transfer-Encoding; expected one of them";
    return facts->n_codings && facts->is_old ? "HTTP/1.0 has no Transfer-Encoding" : NULL;
}

/* Return what is wrong with a whole head, or NULL. *line_bytes: of its first line, if that is right. */
static const char *check_head(struct text head, struct head_facts *facts, size_t *line_bytes)
{
    struct text line = cut_line(&head);
    const char *reason = check_request_line(line, facts);
    if (!reason && facts->n_fields <= FRAMING_MAX_FIELDS) *line_bytes = line.n + 2;
    while (!reason && (line = cut_line(&head)).n) reason = check_field(line, facts);
    return reason ? reason : check_facts(facts);
}

/* ---- moving bytes --------------------------------------------------------------------------- */

static void keep(struct framing *framing, size_t n)
{
    if (framing->ready != framing->raw)
        memmove(framing->bytes + framing->ready, framing->bytes + framing->raw, n);
    framing->ready += n;
    framing->raw += n;
}

static void drop(struct framing *framing, size_t n)
{
    framing->raw += n;
}

/* Put a text in the place of all that is not judged yet, and take nothing more. */
static void die(struct framing *framing, enum fault fault, const char *reason, const char *substitute)
{
    size_t n = strlen(substitute);
    assert(framing->ready + n <= framing->limit + SUBSTITUTE_BYTES);
    memcpy(framing->bytes + framing->ready, substitute, n);
    framing->ready += n;
    framing->raw = framing->n = framing->ready;
    framing->state = FRAMING_DEAD;
    framing->fault = fault;
    framing->reason = reason;
}

/* Refuse a head. Its first line is kept if it is right, so that the log and the form of the answer fit it. */
static void refuse_head(struct framing *framing, enum fault fault, const char *reason, size_t line_bytes)
{
    keep(framing, line_bytes);
    framing->n_heads++;
    die(framing, fault, reason, line_bytes ? "Host:-\r\n\r\n" : "GET / HTTP/1.1\r\nHost:-\r\n\r\n");
}

static struct text unjudged(const struct framing *framing)
{
    return (struct text){framing->bytes + framing->raw, framing->n - framing->raw};
}

/* ---- judging -------------------------------------------------------------------------------- */

/* Let a header go on as "Name:value", without the space around the value: libmicrohttpd 0.9.75 refuses a
 * Content-Length that has some behind it. */
static void pass_field(struct framing *framing, struct text line, bool has_body)
{
    struct text rest = line, name = cut(&rest, ':'), value = trim(rest);
    size_t before = (size_t)(value.at - rest.at);
    if (is_same("cookie", name) || (is_same("expect", name) && !has_body)) {
        drop(framing, line.n + 2);
        return;
    }
    keep(framing, name.n + 1);
    drop(framing, before);
    keep(framing, value.n);
    drop(framing, rest.n - before - value.n);
    keep(framing, 2);
}

static void pass_head(struct framing *framing, struct text head, const struct head_facts *facts)
{
    struct text line = cut_line(&head);
    keep(framing, line.n + 2);
    while ((line = cut_line(&head)).n) pass_field(framing, line, facts->n_codings || facts->length);
    keep(framing, 2);
    framing->n_heads++;
    framing->left = facts->length;
    framing->skipped = false;
    framing->state = facts->n_codings ? FRAMING_CHUNK_SIZE : facts->length ? FRAMING_BODY : FRAMING_HEAD;
}

/* Find the end of a head among what has come. Returns its bytes, 0 if it is not there yet. *bare: a line ends
 * with LF alone. Bytes that have been looked at are not looked at again. */
static size_t find_end(struct framing *framing, bool *bare)
{
    struct text text = unjudged(framing);
    while (framing->seen < text.n) {
        const char *at = memchr(text.at + framing->seen, '\n', text.n - framing->seen);
        framing->seen = at ? (size_t)(at - text.at) + 1 : text.n;
        if (!at) return 0;
        size_t bytes = framing->seen - framing->line;
        *bare = bytes < 2 || at[-1] != '\r';
        if (*bare || bytes == 2) return framing->seen;
        framing->line = framing->seen;
    }
    return 0;
}

/* This and the following judge what comes next in their state. They return false if that takes more bytes
 * than have come, or if a fault was found. */
static bool judge_head(struct framing *framing)
{
    struct head_facts facts = {0};
    struct text head = unjudged(framing);
    size_t line_bytes = 0;
    bool bare = false;
    if (!framing->skipped && head.n >= 2 && !memcmp(head.at, "\r\n", 2)) {
        framing->skipped = true;
        framing->seen = 0;
        drop(framing, 2);
        return true;
    }
    if (!is_token((struct text){head.at, 1}) && (*head.at != '\r' || head.n > 1 || framing->skipped)) {
        refuse_head(framing, FAULT_INVALID_HEADERS, "the request does not begin with a method", 0);
        return false;
    }
    head.n = find_end(framing, &bare);
    const char *reason = bare ? "a line of the headers ends with LF alone; expected CR LF" : NULL;
    bool too_long = !head.n && framing->n - framing->raw >= framing->limit;
    if (!head.n && !too_long) return false;
    framing->seen = framing->line = 0;
    if (!reason && !too_long) reason = check_head(head, &facts, &line_bytes);
    if (reason) refuse_head(framing, FAULT_INVALID_HEADERS, reason, line_bytes);
    else if (too_long)
        refuse_head(framing, FAULT_HEADERS_TOO_LONG, "the headers are over limits.header_bytes", 0);
    else if (facts.n_fields > FRAMING_MAX_FIELDS)
        refuse_head(framing, FAULT_HEADERS_TOO_LONG, too_many, line_bytes);
    else pass_head(framing, head, &facts);
    return framing->state != FRAMING_DEAD;
}

/* Find a line that ends with CRLF, of at most `most` bytes with it. Returns its bytes, 0 if it is not there
 * yet, and then *wrong says whether it cannot come any more. */
static size_t find_line(const struct framing *framing, size_t most, bool *wrong)
{
    struct text text = unjudged(framing);
    const char *at = memchr(text.at, '\n', text.n);
    size_t n = at ? (size_t)(at - text.at) + 1 : 0;
    *wrong = n > most || (!n && text.n >= most) || (n && (n < 2 || at[-1] != '\r'));
    return *wrong ? 0 : n;
}

static bool judge_chunk_size(struct framing *framing)
{
    bool wrong;
    size_t n = find_line(framing, FRAMING_CHUNK_LINE, &wrong);
    if (!n && !wrong) return false;
    struct text rest = unjudged(framing);
    rest.n = n ? n - 2 : 0;
    struct text size = cut(&rest, ';');
    size_t digits = size.n;
    /* space may stand before the semicolon only (RFC 9112, 7.1.1) */
    if (rest.at != size.at + digits) size = (struct text){size.at, trim(size).n};
    if (wrong || !is_value(rest) || !read_number(size, 16, MAX_CHUNK_DIGITS, &framing->left)) {
        die(framing, FAULT_INVALID_HEADERS,
            "a chunk does not begin with a line of its size in hexadecimal digits, ended by CR LF",
            "0\r\n\r\n");
        return false;
    }
    bool last = !framing->left;
    if (last) keep(framing, 1), drop(framing, n - 3);
    else keep(framing, size.n), drop(framing, n - 2 - size.n);
    keep(framing, 2);
    framing->state = last ? FRAMING_TRAILER : FRAMING_CHUNK;
    return true;
}

static bool judge_chunk_end(struct framing *framing)
{
    struct text text = unjudged(framing);
    size_t n = text.n < 2 ? text.n : 2;
    if (memcmp(text.at, "\r\n", n)) {
        die(framing, FAULT_INVALID_HEADERS, "a chunk is longer than its size says", "\r\n0\r\n\r\n");
        return false;
    }
    if (n < 2) return false;
    keep(framing, 2);
    framing->state = FRAMING_CHUNK_SIZE;
    return true;
}

static bool judge_trailer(struct framing *framing)
{
    bool wrong;
    struct head_facts facts = {0};
    size_t n = find_line(framing, framing->limit - (size_t)framing->left, &wrong);
    if (!n && !wrong) return false;
    if (n == 2) {
        keep(framing, 2);
        framing->state = FRAMING_HEAD;
        return true;
    }
    struct text line = {framing->bytes + framing->raw, n ? n - 2 : 0};
    const char *reason = wrong ? "a line of the trailer ends with LF alone, or the trailer is longer than "
                                 "limits.header_bytes"
                               : check_field(line, &facts);
    if (!reason && facts.n_hosts + facts.n_lengths + facts.n_codings)
        reason = "the trailer has a Host, Content-Length or Transfer-Encoding in it";
    if (reason) {
        die(framing, FAULT_INVALID_HEADERS, reason, "\r\n");
        return false;
    }
    framing->left += n;
    drop(framing, n);
    return true;
}

static bool judge_data(struct framing *framing)
{
    size_t n = framing->n - framing->raw;
    if (n > framing->left) n = (size_t)framing->left;
    keep(framing, n);
    framing_pass(framing, n);
    return true;
}

static bool judge(struct framing *framing)
{
    switch (framing->state) {
    case FRAMING_HEAD: return judge_head(framing);
    case FRAMING_BODY:
    case FRAMING_CHUNK: return judge_data(framing);
    case FRAMING_CHUNK_SIZE: return judge_chunk_size(framing);
    case FRAMING_CHUNK_END: return judge_chunk_end(framing);
    case FRAMING_TRAILER: return judge_trailer(framing);
    case FRAMING_DEAD: framing->raw = framing->n; return false;
    }
    return false;
}

/* ---- the calls ------------------------------------------------------------------------------ */

void framing_open(struct framing *framing, size_t limit)
{
    *framing = (struct framing){.limit = limit};
}

void framing_close(struct framing *framing)
{
    free(framing->bytes);
    *framing = (struct framing){.limit = framing->limit};
}

char *framing_room(struct framing *framing, size_t *bytes)
{
    if (!framing->bytes) framing->bytes = malloc(framing->limit + SUBSTITUTE_BYTES);
    if (!framing->bytes) return NULL;
    size_t ready = framing->ready - framing->given, raw = framing->n - framing->raw;
    memmove(framing->bytes, framing->bytes + framing->given, ready);
    memmove(framing->bytes + ready, framing->bytes + framing->raw, raw);
    framing->given = 0;
    framing->ready = framing->raw = ready;
    framing->n = ready + raw;
    *bytes = framing->limit - framing->n;
    return framing->bytes + framing->n;
}

void framing_take(struct framing *framing, size_t n)
{
    framing->n += n;
    while (framing->raw < framing->n && judge(framing)) continue;
}

size_t framing_give(struct framing *framing, char *out, size_t room)
{
    size_t n = framing->ready - framing->given;
    if (n > room) n = room;
    if (n) memcpy(out, framing->bytes + framing->given, n);
    framing->given += n;
    if (framing->bytes && framing->given == framing->ready && framing->raw == framing->n) {
        free(framing->bytes);
        framing->bytes = NULL;
        framing->given = framing->ready = framing->raw = framing->n = 0;
    }
    return n;
}

size_t framing_direct(const struct framing *framing, size_t room)
{
    bool data = framing->state == FRAMING_BODY || framing->state == FRAMING_CHUNK;
    return data && framing->left >= room && !framing->bytes ? room : 0;
}

void framing_pass(struct framing *framing, size_t n)
{
    framing->left -= n;
    if (framing->left) return;
    framing->state = framing->state == FRAMING_CHUNK ? FRAMING_CHUNK_END : FRAMING_HEAD;
}

bool framing_is_in_head(const struct framing *framing)
{
    return framing->state == FRAMING_HEAD && framing->raw < framing->n;
}

bool framing_is_early(const struct framing *framing)
{
    return framing->bytes || framing->state == FRAMING_DEAD;
}

bool framing_fault(const struct framing *framing, unsigned request, struct problem *problem)
{
    if (framing->state != FRAMING_DEAD || request != framing->n_heads) return false;
    problem_set(problem, framing->fault, NULL, "%s", framing->reason);
    return true;
}
