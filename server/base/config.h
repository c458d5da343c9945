/* config: the server's settings, from one table.
 *
 * A setting comes from the first of these that names it: a command-line flag, the environment
 * (CAROUSEL_SECTION_KEY, in capitals), the file, the default in config.def. Unknown keys and bad values are
 * errors that name the place. A struct config is caller's storage without a life cycle; it is filled by
 * main before other threads start and read-only from then on. */
#ifndef CAROUSEL_SERVER_CONFIG_H
#define CAROUSEL_SERVER_CONFIG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "core/base/status.h"

enum { CONFIG_TEXT_BYTES = 1024, CONFIG_FILE_BYTES = 1 << 20 };

/* One member a row, called section_key. */
struct config {
#define SECTION(section, text)
#define INTEGER(section, key, fallback, minimum, maximum, unit, help) int64_t section##_##key;
#define BOOLEAN(section, key, fallback, help) bool section##_##key;
#define TEXT(section, key, fallback, help) char section##_##key[CONFIG_TEXT_BYTES];
#define CHOICE(section, key, fallback, choices, help) char section##_##key[CONFIG_TEXT_BYTES];
#define PER_MODEL(section, key, fallback, choices, help) char section##_##key[CONFIG_TEXT_BYTES];
#include "server/base/config.def"
};

enum config_kind { CONFIG_SECTION, CONFIG_INTEGER, CONFIG_BOOLEAN, CONFIG_TEXT, CONFIG_CHOICE,
                   CONFIG_PER_MODEL };

/* A row as others see it. A section's row has its text in `help` and no key. */
struct config_row {
    enum config_kind kind;
    const char *section, *key;
    const char *fallback; /* as it would be written in the file */
    int64_t minimum, maximum;
    const char *unit, *choices, *help;
    size_t offset;        /* of the member */
};

/* Row i of the table, or NULL past its end. */
const struct config_row *config_row(size_t i);
/* The value of an INTEGER row. */
int64_t config_integer(const struct config *config, const struct config_row *row);

void config_defaults(struct config *config);

/* Take what the text of an INI file says. `name` stands before the line number in errors:
 * "NAME:7: ...". A key may be set once. On failure *config may be partly changed. */
MUST_CHECK enum status config_read(struct config *config, const char *text, size_t bytes,
                                   const char *name, struct error *err);
MUST_CHECK enum status config_load(struct config *config, const char *path, struct error *err);

/* Take every CAROUSEL_SECTION_KEY of a zero-terminated list like environ. A name that begins like one of our
 * sections and is no key is an error; all others are not ours. */
MUST_CHECK enum status config_environment(struct config *config, char *const *environment,
                                          struct error *err);

/* Set one key. Integers in bytes take KiB, MiB and GiB. `err` names section, key, the value found
 * and what was expected, and its param is "section.key". */
MUST_CHECK enum status config_set(struct config *config, const char *section, const char *key,
                                  const char *value, struct error *err);

/* What single keys cannot say: whether they go together. */
MUST_CHECK enum status config_check(const struct config *config, struct error *err);

/* The file that would give these settings, comments included. With the defaults this is
 * config.example.ini, byte for byte. */
void config_print(const struct config *config, FILE *out);

#endif
