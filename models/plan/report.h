/* report: what an import says of itself: each value with its place of origin, what was left out, and what was
 * assumed. Lines are kept in order and printed at the end, or before a refusal. One thread. */
#ifndef CAROUSEL_MODELS_IMPORT_REPORT_H
#define CAROUSEL_MODELS_IMPORT_REPORT_H

#include <stdio.h>

#include "models/formats/pool.h"

struct report {
    struct pool *pool;
    struct line {
        const char *name, *value, *from;
    } *lines; /* [n] */
    size_t n, room;
};

/* "name  value  from place". Borrowed until the report is printed. A report that has no memory loses lines,
 * and never fails. */
void report_fact(struct report *report, const char *name, const char *value, const char *from);
void report_size(struct report *report, const char *name, size_t value, const char *from);
/* "ignored  what  why". */
void report_ignored(struct report *report, const char *what, const char *why);
void report_print(const struct report *report, FILE *out);

#endif
