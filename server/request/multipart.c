#include "server/request/multipart.h"

#include <string.h>
#include <strings.h>

enum { MAX_BOUNDARY = 70 }; /* RFC 2046 */

static const char FORM[] = "multipart/form-data", CODING[] = "Content-Transfer-Encoding:";

/* Bytes that are still to be read. */
struct rest {
    const char *at, *end;
};

bool multipart_is_type(const char *type)
{
    return type && !strncasecmp(type, FORM, sizeof FORM - 1) && strchr("; \t", type[sizeof FORM - 1]);
}

static bool fail(struct problem *problem, const char *found)
{
    return problem_set(problem, FAULT_INVALID_VALUE, NULL,
                       "%s; expected a body of multipart/form-data (RFC 7578)", found);
}

/* ---- parameters ----------------------------------------------------------------------------- */

static bool is_token(char c)
{
    return c > ' ' && c < 127 && !strchr("()<>@,;:\\\"/[]?=", c);
}

/* Read one `; name=value` of a header; the value may be quoted. false: there is none, or it is malformed,
 * which *rest tells: it is empty in the first case only. */
static bool next_parameter(struct rest *rest, struct rest *name, char *value, size_t room)
{
    size_t n = 0;
    while (rest->at < rest->end && strchr(" \t", *rest->at)) rest->at++;
    if (rest->at == rest->end || *rest->at != ';') return false;
    for (rest->at++; rest->at < rest->end && strchr(" \t", *rest->at);) rest->at++;
    for (name->at = rest->at; rest->at < rest->end && is_token(*rest->at);) rest->at++;
    name->end = rest->at;
    if (name->at == name->end || rest->at == rest->end || *rest->at != '=') return rest->at--, false;
    bool is_quoted = ++rest->at < rest->end && *rest->at == '"';
    const char *begin = rest->at;
    if (is_quoted) rest->at++;
    while (rest->at < rest->end && (is_quoted ? *rest->at != '"' : is_token(*rest->at))) {
        bool is_escaped = is_quoted && *rest->at == '\\' && rest->at + 1 < rest->end;
        if (is_escaped && (rest->at[1] == '"' || rest->at[1] == '\\')) rest->at++;
        if (n + 1 < room) value[n] = *rest->at;
        n++;
        rest->at++;
    }
    if (is_quoted && rest->at == rest->end) return rest->at = begin, false;
    if (is_quoted) rest->at++;
    value[n < room ? n : room - 1] = '\0';
    return is_quoted || n > 0 ? true : (rest->at--, false);
}

static bool is_named(const struct rest *name, const char *wanted)
{
    size_t n = (size_t)(name->end - name->at);
    return n == strlen(wanted) && !strncasecmp(name->at, wanted, n);
}

/* Write "\r\n--boundary" to out. */
static bool read_boundary(const char *type, char out[MAX_BOUNDARY + 8], struct problem *problem)
{
    struct rest rest = {type + sizeof FORM - 1, type + strlen(type)}, name;
    char value[MAX_BOUNDARY + 2];
    while (next_parameter(&rest, &name, value, sizeof value)) {
        size_t n = strlen(value);
        if (!is_named(&name, "boundary")) continue;
        if (n < 1 || n > MAX_BOUNDARY || strpbrk(value, "\r\n")) break;
        memcpy(out, "\r\n--", 4);
        memcpy(out + 4, value, n + 1);
        return true;
    }
    return fail(problem, "the content type has no boundary of 1 to 70 characters");
}

/* ---- parts ---------------------------------------------------------------------------------- */

static const char *find(const struct rest *rest, const char *wanted, size_t n)
{
    const char *at = rest->at;
    while ((size_t)(rest->end - at) >= n) {
        at = memchr(at, wanted[0], (size_t)(rest->end - at) - n + 1);
        if (!at) return NULL;
        if (!memcmp(at, wanted, n)) return at;
        at++;
    }
    return NULL;
}

static bool begins(const struct rest *line, const char *header)
{
    size_t n = strlen(header);
    return (size_t)(line->end - line->at) >= n && !strncasecmp(line->at, header, n);
}

static bool read_disposition(struct rest line, struct part *part, struct problem *problem)
{
    char value[MULTIPART_NAME_BYTES];
    struct rest name;
    while (line.at < line.end && strchr(" \t", *line.at)) line.at++;
    if (!begins(&line, "form-data")) return fail(problem, "a part's disposition is not form-data");
    line.at += strlen("form-data");
    while (next_parameter(&line, &name, value, sizeof value)) {
        if (is_named(&name, "filename") || is_named(&name, "filename*")) part->is_file = true;
        if (!is_named(&name, "name")) continue;
        memcpy(part->name, value, strlen(value) + 1);
    }
    return line.at == line.end || fail(problem, "a part's Content-Disposition is malformed");
}

/* Read the headers of a part; *rest moves behind the empty line. */
static bool read_head(struct rest *rest, struct part *part, struct problem *problem)
{
    const char *begin = rest->at;
    for (;;) {
        struct rest line = {rest->at, find(rest, "\r\n", 2)};
        if (!line.end || line.end - begin > MULTIPART_MAX_HEAD)
            return fail(problem, "a part's headers do not end, or are over 4,096 bytes");
        rest->at = line.end + 2;
        if (line.at == line.end) break;
        if (strchr(" \t", *line.at)) return fail(problem, "a part has a folded header");
        if (begins(&line, CODING) && !begins(&line, "Content-Transfer-Encoding: binary") &&
            !begins(&line, "Content-Transfer-Encoding: 8bit") &&
            !begins(&line, "Content-Transfer-Encoding: 7bit"))
            return fail(problem, "a part has a transfer encoding");
        if (!begins(&line, "Content-Disposition:")) continue;
        line.at += strlen("Content-Disposition:");
        if (!read_disposition(line, part, problem)) return false;
    }
    if (!part->name[0]) return fail(problem, "a part has no name");
    for (const char *c = part->name; *c; c++)
        if (*c < ' ' || *c > '~') return fail(problem, "a part's name has other bytes than printable ASCII");
    return true;
}

bool multipart_read(const char *type, const char *body, size_t bytes, struct multipart *out,
                    struct problem *problem)
{
    char boundary[MAX_BOUNDARY + 8];
    struct rest rest = {body, body + bytes};
    out->n = 0;
    if (!read_boundary(type, boundary, problem)) return false;
    size_t n = strlen(boundary);
    bool at_once = bytes >= n - 2 && !memcmp(body, boundary + 2, n - 2); /* no preamble */
    const char *mark = at_once ? body : find(&rest, boundary, n);
    if (!mark) return fail(problem, "the boundary is not in the body");
    rest.at = mark + (at_once ? n - 2 : n);
    for (;;) {
        if (rest.end - rest.at >= 2 && !memcmp(rest.at, "--", 2)) return true;
        while (rest.at < rest.end && strchr(" \t", *rest.at)) rest.at++;
        if (rest.end - rest.at < 2 || memcmp(rest.at, "\r\n", 2))
            return fail(problem, "a boundary is not followed by a new line");
        rest.at += 2;
        if (out->n == MULTIPART_MAX_PARTS) return fail(problem, "the body has more than 64 parts");
        struct part *part = &out->parts[out->n];
        *part = (struct part){.n = 0};
        if (!read_head(&rest, part, problem)) return false;
        /* an empty part's bytes end where its head does */
        struct rest behind = {rest.at - 2, rest.end};
        mark = find(&behind, boundary, n);
        if (!mark) return fail(problem, "the last boundary is missing");
        part->bytes = rest.at;
        part->n = mark > rest.at ? (size_t)(mark - rest.at) : 0;
        out->n++;
        rest.at = mark + n;
    }
}
