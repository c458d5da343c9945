/* The settings' table and its readers. This is the only file that knows inih.
 *
 * inih reads the file's text line by line and calls config_take for every pair. It reports the number of the
 * first line at fault and no more, so config_take keeps the sentence of the first fault. It cuts
 * lines at a length of its own, which would silently lose the end of a value: lines are measured
 * before it sees them. */
#include "server/base/config.h"

#include <ctype.h>
#include <errno.h>
#include <ini.h>
#include <stdlib.h>
#include <string.h>

#include "models/text/json.h"
#include "models/repository/per_model.h"

enum { LINE_BYTES = 198 };

static const struct config_row rows[] = {
#define SECTION(s, text) {.kind = CONFIG_SECTION, .section = #s, .help = (text)},
#define INTEGER(s, k, f, lo, hi, u, h)                                                             \
    {.kind = CONFIG_INTEGER, .section = #s, .key = #k, .fallback = #f, .minimum = (lo),            \
     .maximum = (hi), .unit = (u), .help = (h), .offset = offsetof(struct config, s##_##k)},
#define BOOLEAN(s, k, f, h)                                                                        \
    {.kind = CONFIG_BOOLEAN, .section = #s, .key = #k, .fallback = (f), .help = (h),               \
     .offset = offsetof(struct config, s##_##k)},
#define TEXT(s, k, f, h)                                                                           \
    {.kind = CONFIG_TEXT, .section = #s, .key = #k, .fallback = (f), .help = (h),                  \
     .offset = offsetof(struct config, s##_##k)},
#define CHOICE(s, k, f, c, h)                                                                      \
    {.kind = CONFIG_CHOICE, .section = #s, .key = #k, .fallback = (f), .choices = (c),             \
     .help = (h), .offset = offsetof(struct config, s##_##k)},
#define PER_MODEL(s, k, f, c, h)                                                                   \
    {.kind = CONFIG_PER_MODEL, .section = #s, .key = #k, .fallback = (f), .choices = (c),          \
     .help = (h), .offset = offsetof(struct config, s##_##k)},
#include "server/base/config.def"
};

enum { N_ROWS = sizeof rows / sizeof *rows };

const struct config_row *config_row(size_t i)
{
    return i < N_ROWS ? &rows[i] : NULL;
}

static void *member(struct config *config, const struct config_row *row)
{
    return (char *)config + row->offset;
}

static const void *value_of(const struct config *config, const struct config_row *row)
{
    return (const char *)config + row->offset;
}

int64_t config_integer(const struct config *config, const struct config_row *row)
{
    int64_t value;
    memcpy(&value, value_of(config, row), sizeof value);
    return value;
}

static const struct config_row *find(const char *section, const char *key)
{
    for (size_t i = 0; i < N_ROWS; i++)
        if (rows[i].key && !strcmp(rows[i].section, section) && !strcmp(rows[i].key, key))
            return &rows[i];
    return NULL;
}

/* ---- setting one key ------------------------------------------------------------------------ */

/* A digit string, with KiB, MiB or GiB if the unit is bytes. */
static bool parse_integer(const char *text, bool bytes, int64_t *value)
{
    static const struct { const char *name; int64_t factor; } units[] = {
        {"", 1}, {"KiB", 1 << 10}, {"MiB", 1 << 20}, {"GiB", 1 << 30}};
    if (!isdigit((unsigned char)*text) && *text != '-') return false;
    char *end;
    errno = 0;
    long long number = strtoll(text, &end, 10);
    if (errno || end == text) return false;
    while (*end == ' ') end++;
    for (size_t i = 0; i < (bytes ? sizeof units / sizeof *units : 1); i++)
        if (!strcmp(end, units[i].name) && number <= INT64_MAX / units[i].factor &&
            number >= INT64_MIN / units[i].factor) {
            *value = (int64_t)number * units[i].factor;
            return true;
        }
    return false;
}

static bool parse_boolean(const char *text, bool *value)
{
    static const char *const names[] = {"false", "true", "no", "yes", "off", "on", "0", "1"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (!strcmp(text, names[i])) {
            *value = i & 1;
            return true;
        }
    return false;
}

static bool is_choice(const char *choices, const char *text)
{
    size_t n = strlen(text);
    for (const char *at = choices; at; at = strchr(at, '|') ? strchr(at, '|') + 1 : NULL)
        if (n && !strncmp(at, text, n) && (at[n] == '|' || !at[n])) return true;
    return false;
}

/* One choice for all models at most, and one for each that is named. */
static bool is_per_model(const char *choices, const char *text)
{
    struct per_model entry, other;
    const char *next = text;
    while ((next = per_model_next(next, &entry))) {
        if (!is_choice(choices, entry.value)) return false;
        if (*entry.name && !model_name_is_valid(entry.name)) return false;
        for (const char *rest = next; (rest = per_model_next(rest, &other));)
            if (!strcmp(entry.name, other.name)) return false;
    }
    return strlen(text) < CONFIG_TEXT_BYTES;
}

/* Text from outside, safe to print in a terminal. */
static const char *quoted(const char *text, char out[80])
{
    size_t n = 0;
    for (; *text && n < 72; text++) out[n++] = (unsigned char)*text < 32 ? '?' : *text;
    memcpy(out + n, *text ? "..." : "", *text ? 4 : 1);
    return out;
}

static enum status bad(const struct config_row *row, const char *value, struct error *err)
{
    char name[ERROR_PARAM_BYTES], shown[80];
    snprintf(name, sizeof name, "%s.%s", row->section, row->key);
    quoted(value, shown);
    if (row->kind == CONFIG_INTEGER)
        return error_set_param(err, STATUS_BAD_VALUE, name,
                               "%s is '%s'; expected an integer from %lld to %lld (%s)", name, shown,
                               (long long)row->minimum, (long long)row->maximum, row->unit);
    if (row->kind == CONFIG_BOOLEAN)
        return error_set_param(err, STATUS_BAD_VALUE, name, "%s is '%s'; expected true or false",
                               name, shown);
    if (row->kind == CONFIG_CHOICE)
        return error_set_param(err, STATUS_BAD_VALUE, name, "%s is '%s'; expected one of %s", name,
                               shown, row->choices);
    if (row->kind == CONFIG_PER_MODEL)
        return error_set_param(err, STATUS_BAD_VALUE, name,
                               "%s is '%s'; expected one of %s, and perhaps NAME=one of them for single "
                               "models, each once, with commas between",
                               name, shown, row->choices);
    return error_set_param(err, STATUS_BAD_VALUE, name, "%s is longer than %d bytes", name,
                           CONFIG_TEXT_BYTES - 1);
}

static enum status row_set(struct config *config, const struct config_row *row, const char *value,
                           struct error *err)
{
    void *target = member(config, row);
    int64_t integer;
    bool boolean;
    switch (row->kind) {
    case CONFIG_INTEGER:
        if (!parse_integer(value, !strcmp(row->unit, "bytes"), &integer) ||
            integer < row->minimum || integer > row->maximum)
            return bad(row, value, err);
        memcpy(target, &integer, sizeof integer);
        return STATUS_OK;
    case CONFIG_BOOLEAN:
        if (!parse_boolean(value, &boolean)) return bad(row, value, err);
        memcpy(target, &boolean, sizeof boolean);
        return STATUS_OK;
    case CONFIG_CHOICE:
        if (!is_choice(row->choices, value)) return bad(row, value, err);
        break;
    case CONFIG_PER_MODEL:
        if (!is_per_model(row->choices, value)) return bad(row, value, err);
        break;
    case CONFIG_TEXT:
        if (strlen(value) >= CONFIG_TEXT_BYTES) return bad(row, value, err);
        break;
    case CONFIG_SECTION: return STATUS_INTERNAL;
    }
    memset(target, 0, CONFIG_TEXT_BYTES);
    memcpy(target, value, strlen(value));
    return STATUS_OK;
}

/* "; did you mean 'port'?", or "" if no key of the section is a slip away. */
static void hint_at(char out[JSON_HINT_BYTES], const char *section, const char *key)
{
    const char *names[N_ROWS];
    size_t n = 0;
    for (size_t i = 0; i < N_ROWS; i++)
        if (rows[i].key && !strcmp(rows[i].section, section)) names[n++] = rows[i].key;
    json_hint(out, key, names, n);
}

enum status config_set(struct config *config, const char *section, const char *key,
                       const char *value, struct error *err)
{
    const struct config_row *row = find(section, key);
    if (row) return row_set(config, row, value, err);
    char shown[2][80];
    if (!*section)
        return error_set(err, STATUS_NOT_FOUND, "key '%s' stands before the first [section]",
                         quoted(key, shown[0]));
    char hint[JSON_HINT_BYTES];
    hint_at(hint, section, key);
    return error_set(err, STATUS_NOT_FOUND, "there is no key '%s' in section [%s]%s", quoted(key, shown[0]),
                     quoted(section, shown[1]), *hint ? hint : "; carousel --print-config lists all");
}

enum status config_check(const struct config *config, struct error *err)
{
    if (config->scheduler_max_rows >= config->scheduler_max_batch) return STATUS_OK;
    return error_set_param(err, STATUS_BAD_VALUE, "scheduler.max_rows",
                           "scheduler.max_rows is %lld; expected at least scheduler.max_batch, which is "
                           "%lld, for each sequence of a turn has a row",
                           (long long)config->scheduler_max_rows, (long long)config->scheduler_max_batch);
}

void config_defaults(struct config *config)
{
    memset(config, 0, sizeof *config);
    for (size_t i = 0; i < N_ROWS; i++)
        if (rows[i].key && row_set(config, &rows[i], rows[i].fallback, NULL) != STATUS_OK)
            abort(); /* a row of config.def contradicts itself */
}

/* ---- the file ------------------------------------------------------------------------------- */

struct reading {
    struct config *config;
    bool seen[N_ROWS];
    bool failed;
    struct error error;
};

static int config_take(void *context, const char *section, const char *key, const char *value)
{
    struct reading *reading = context;
    if (reading->failed) return 0;
    const struct config_row *row = find(section, key);
    enum status status;
    if (row && reading->seen[row - rows])
        status = error_set(&reading->error, STATUS_BAD_VALUE, "%s.%s is set twice", section, key);
    else if (*value == ';' || *value == '#') /* to inih it is a value that, printed, would be a comment */
        status = error_set(&reading->error, STATUS_BAD_VALUE,
                           "the value of %s.%s begins with '%c': put a space before a comment", section, key,
                           *value);
    else status = config_set(reading->config, section, key, value, &reading->error);
    if (row) reading->seen[row - rows] = true;
    reading->failed = status != STATUS_OK;
    return !reading->failed;
}

/* For a first pass over the form alone, so that the number of a line at fault is never another's. */
static int config_pass(void *context, const char *section, const char *key, const char *value)
{
    (void)context, (void)section, (void)key, (void)value;
    return 1;
}

/* inih would cut what is too long and stop at a zero byte. */
static enum status check_lines(const char *text, size_t bytes, const char *name, struct error *err)
{
    size_t line = 1, begin = 0;
    for (size_t i = 0; i <= bytes; i++) {
        if (i < bytes && text[i] != '\n') {
            if (!text[i])
                return error_set(err, STATUS_BAD_FORMAT, "%s:%zu: a zero byte; expected text", name, line);
            continue;
        }
        if (i - begin > LINE_BYTES)
            return error_set(err, STATUS_TOO_LONG, "%s:%zu: a line of %zu bytes; at most %d", name,
                             line, i - begin, LINE_BYTES);
        begin = i + 1;
        line++;
    }
    return STATUS_OK;
}

/* Copy the text for inih. To inih an indented line continues the value above it, and '#' begins a comment
 * only at the beginning of a line. So the copy has no indentation, and ';' for each '#' after a blank. The
 * caller frees it. */
static char *copy_for_inih(const char *text, size_t bytes)
{
    char *copy = malloc(bytes + 1);
    size_t n = 0;
    for (size_t i = 0; copy && i < bytes; i++) {
        bool begins = !n || copy[n - 1] == '\n';
        bool blank = text[i] != '\n' && isspace((unsigned char)text[i]);
        bool is_comment = text[i] == '#' && i && isspace((unsigned char)text[i - 1]);
        if (!begins || !blank) copy[n++] = is_comment ? ';' : text[i];
    }
    if (copy) copy[n] = '\0';
    return copy;
}

enum status config_read(struct config *config, const char *text, size_t bytes, const char *name,
                        struct error *err)
{
    if (bytes > CONFIG_FILE_BYTES)
        return error_set(err, STATUS_TOO_LONG, "%s: longer than %d bytes", name, CONFIG_FILE_BYTES);
    enum status status = check_lines(text, bytes, name, err);
    if (status != STATUS_OK) return status;
    char *copy = copy_for_inih(text, bytes);
    if (!copy) return error_set(err, STATUS_NO_MEMORY, "%s: out of memory", name);
    struct reading reading = {.config = config};
    int line = ini_parse_string(copy, config_pass, NULL);
    bool well_formed = !line;
    if (well_formed) line = ini_parse_string(copy, config_take, &reading);
    free(copy);
    if (!line) return STATUS_OK;
    if (line < 0) return error_set(err, STATUS_NO_MEMORY, "%s: out of memory", name);
    if (!well_formed)
        return error_set(err, STATUS_BAD_FORMAT, "%s:%d: expected [section] or key = value", name, line);
    if (err) *err = reading.error;
    error_prefix(err, "%s:%d", name, line);
    return reading.error.status;
}

enum status config_load(struct config *config, const char *path, struct error *err)
{
    enum status status = STATUS_NO_MEMORY;
    char *text = NULL;
    FILE *file = fopen(path, "rb");
    if (!file)
        return error_set(err, STATUS_IO, "cannot open configuration %s: %s", path, strerror(errno));
    text = malloc(CONFIG_FILE_BYTES + 2);
    if (!text) goto out;
    size_t n = fread(text, 1, CONFIG_FILE_BYTES + 2, file);
    if (ferror(file))
        status = error_set(err, STATUS_IO, "cannot read configuration %s: %s", path, strerror(errno));
    else status = config_read(config, text, n, path, err);
out:
    free(text);
    fclose(file);
    return status;
}

/* ---- the environment ------------------------------------------------------------------------ */

/* NAME of CAROUSEL_NAME is SECTION_KEY in capitals. */
static bool is_named(const char *name, size_t n, const struct config_row *row, bool whole)
{
    char wanted[128];
    int length = snprintf(wanted, sizeof wanted, "%s_%s", row->section, whole ? row->key : "");
    if (length < 0 || (whole ? (size_t)length != n : (size_t)length > n)) return false;
    for (int i = 0; i < length; i++)
        if (name[i] != toupper((unsigned char)wanted[i])) return false;
    return true;
}

enum status config_environment(struct config *config, char *const *environment, struct error *err)
{
    static const char prefix[] = "CAROUSEL_";
    for (; *environment; environment++) {
        const char *name = *environment + sizeof prefix - 1, *equals = strchr(*environment, '=');
        if (strncmp(*environment, prefix, sizeof prefix - 1) || !equals || equals < name) continue;
        size_t n = (size_t)(equals - name), i;
        bool ours = false;
        for (i = 0; i < N_ROWS; i++) {
            if (!rows[i].key) ours = ours || is_named(name, n, &rows[i], false);
            else if (is_named(name, n, &rows[i], true)) break;
        }
        int shown = n < 64 ? (int)n : 64;
        if (i == N_ROWS && !ours) continue;
        if (i == N_ROWS)
            return error_set(err, STATUS_NOT_FOUND, "environment CAROUSEL_%.*s: there is no such key", shown,
                             name);
        enum status status = row_set(config, &rows[i], equals + 1, err);
        if (status != STATUS_OK) {
            error_prefix(err, "environment CAROUSEL_%.*s", shown, name);
            return status;
        }
    }
    return STATUS_OK;
}

/* ---- printing ------------------------------------------------------------------------------- */

/* Text as comment lines of at most 98 columns. */
static void print_comment(FILE *out, const char *text)
{
    enum { COLUMNS = 96 };
    while (*text) {
        size_t n = strlen(text);
        if (n > COLUMNS) {
            n = COLUMNS;
            while (n && text[n] != ' ') n--;
        }
        fprintf(out, "; %.*s\n", (int)n, text);
        text += n;
        while (*text == ' ') text++;
    }
}

/* What fits a line of a file, fits one here. */
static void print_text(const char *key, const char *value, FILE *out)
{
    bool wide = strlen(key) + strlen(" = ") + strlen(value) <= LINE_BYTES;
    fprintf(out, "%s%s%s\n\n", key, wide ? " = " : "=", value);
}

static void print_row(const struct config *config, const struct config_row *row, FILE *out)
{
    const void *value = value_of(config, row);
    print_comment(out, row->help);
    switch (row->kind) {
    case CONFIG_INTEGER:
        fprintf(out, "; %s, %lld to %lld; default %s\n%s = %lld\n\n", row->unit,
                (long long)row->minimum, (long long)row->maximum, row->fallback, row->key,
                (long long)config_integer(config, row));
        break;
    case CONFIG_BOOLEAN:
        fprintf(out, "; true or false; default %s\n%s = %s\n\n", row->fallback, row->key,
                *(const bool *)value ? "true" : "false");
        break;
    case CONFIG_CHOICE:
        fprintf(out, "; %s; default %s\n%s = %s\n\n", row->choices, row->fallback, row->key,
                (const char *)value);
        break;
    case CONFIG_PER_MODEL:
        fprintf(out, "; %s, and NAME=one of them for single models, with commas between; default %s\n",
                row->choices, row->fallback);
        print_text(row->key, value, out);
        break;
    case CONFIG_TEXT:
        fprintf(out, "; text; default %s\n", *row->fallback ? row->fallback : "empty");
        print_text(row->key, value, out);
        break;
    case CONFIG_SECTION: break;
    }
}

void config_print(const struct config *config, FILE *out)
{
    fputs("; Carousel: every setting, its default and its reason.\n"
          ";\n"
          "; A setting is taken from the first of these that names it: a flag (--host, --port, --models,\n"
          "; --model, or --set section.key=value), the environment (CAROUSEL_SECTION_KEY, for example\n"
          "; CAROUSEL_SERVER_PORT), this file, the default. Unknown keys and bad values stop the start\n"
          "; with a sentence that names the line.\n"
          ";\n"
          "; Units are part of the description above each key: _s seconds, _ms milliseconds, bytes may be\n"
          "; written with KiB, MiB or GiB. A comment begins with ; or #, at the beginning of a line or\n"
          "; after a space; within a word they are part of the value. Lines may be indented, and hold at\n"
          "; most 198 bytes. carousel --print-config prints this file with the settings in force;\n"
          "; --check-config only checks them.\n\n",
          out);
    for (size_t i = 0; i < N_ROWS; i++) {
        if (rows[i].key) {
            print_row(config, &rows[i], out);
            continue;
        }
        print_comment(out, rows[i].help);
        fprintf(out, "[%s]\n\n", rows[i].section);
    }
}
