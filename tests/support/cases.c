#include "cases.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { LINE_BYTES = 4096, CASE_BYTES = 1 << 17, MAX_CASES = 1000 };

static const struct {
    const char *name, *text;
} words[] = {
    {"$POST", "POST /v1/forecast HTTP/1.1\r\nHost: t\r\nContent-Type: application/json\r\n"},
    {"$BODY", "{\"series\":[2,4,8],\"horizon\":1}"},
    {"$HIDDEN", "GET /livez HTTP/1.1\r\nHost: t\r\n\r\n"},
};

static void put(struct wire_case *out, const char *bytes, size_t n)
{
    ck_assert_msg(out->n + n <= CASE_BYTES, "%s is too long", out->name);
    memcpy(out->bytes + out->n, bytes, n);
    out->n += n;
}

/* Read one byte behind a backslash; returns what follows it. */
static const char *put_escaped(struct wire_case *out, const char *text)
{
    static const char from[] = "rnt0", to[] = "\r\n\t";
    const char *at = *text ? strchr(from, *text) : NULL;
    char byte, digits[3] = {0};
    if (at) byte = to[at - from];
    else {
        ck_assert_msg(text[0] == 'x' && text[1] && text[2], "%s: \\%s", out->name, text);
        memcpy(digits, text + 1, 2);
        byte = (char)strtoul(digits, NULL, 16);
        text += 2;
    }
    put(out, &byte, 1);
    return text + 1;
}

static void put_text(struct wire_case *out, const char *text, const char *end);

/* <300*text>; returns what follows it. */
static const char *put_repeated(struct wire_case *out, const char *text)
{
    char *star;
    const char *end = strchr(text, '>');
    unsigned long times = strtoul(text, &star, 10);
    ck_assert_msg(end && *star == '*' && star < end, "%s: <%s", out->name, text);
    for (unsigned long i = 0; i < times; i++) put_text(out, star + 1, end);
    return end + 1;
}

static const char *put_word(struct wire_case *out, const char *text)
{
    for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
        size_t n = strlen(words[i].name);
        if (strncmp(words[i].name, text, n) != 0) continue;
        put(out, words[i].text, strlen(words[i].text));
        return text + n;
    }
    ck_abort_msg("%s: %s", out->name, text);
    return NULL;
}

static void put_text(struct wire_case *out, const char *text, const char *end)
{
    while (text < end) {
        if (*text == '\\') text = put_escaped(out, text + 1);
        else if (*text == '<') text = put_repeated(out, text + 1);
        else if (*text == '$') text = put_word(out, text);
        else put(out, text++, 1);
    }
}

static void read_line(char *line, struct wire_case *out)
{
    char *status = strstr(line, " | "), *bytes = status ? strstr(status + 3, " | ") : NULL;
    ck_assert_msg(bytes != NULL, "%s: expected name | status | bytes", line);
    *status = '\0';
    ck_assert_uint_lt(strlen(line), sizeof out->name);
    *out = (struct wire_case){.status = (int)strtol(status + 3, NULL, 10), .bytes = malloc(CASE_BYTES)};
    ck_assert_ptr_nonnull(out->bytes);
    strcpy(out->name, line);
    put_text(out, bytes + 3, bytes + strcspn(bytes, "\n"));
    out->bytes = realloc(out->bytes, out->n);
    ck_assert_ptr_nonnull(out->bytes);
}

struct wire_case *cases_read(size_t *n)
{
    static char line[LINE_BYTES];
    FILE *file = fopen("tests/http/smuggling.txt", "r");
    struct wire_case *cases = calloc(MAX_CASES, sizeof *cases);
    ck_assert_ptr_nonnull(file);
    ck_assert_ptr_nonnull(cases);
    *n = 0;
    while (fgets(line, sizeof line, file)) {
        ck_assert_msg(strchr(line, '\n') != NULL, "%.60s is too long a line", line);
        if (*line == '#' || *line == '\n') continue;
        ck_assert_uint_lt(*n, MAX_CASES);
        read_line(line, &cases[(*n)++]);
    }
    fclose(file);
    return cases;
}

void cases_free(struct wire_case *cases, size_t n)
{
    for (size_t i = 0; i < n; i++) free(cases[i].bytes);
    free(cases);
}
