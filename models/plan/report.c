#include "models/plan/report.h"

#include <string.h>

#include "models/text/sentence.h"

void report_fact(struct report *report, const char *name, const char *value, const char *from)
{
    struct error err;
    if (!name || !value || !from) return;
    if (pool_grow(report->pool, (void **)&report->lines, report->n, &report->room, sizeof *report->lines,
                  &err) != STATUS_OK)
        return;
    report->lines[report->n++] = (struct line){name, value, from};
}

void report_size(struct report *report, const char *name, size_t value, const char *from)
{
    report_fact(report, name, pool_print(report->pool, "%zu", value), from);
}

void report_ignored(struct report *report, const char *what, const char *why)
{
    report_fact(report, "ignored", what, why);
}

/* What comes out of a file ends in a terminal. */
static void print_text(const char *text, int width, FILE *out)
{
    char quoted[QUOTE_BYTES];
    bool plain = sentence_is_plain(text, strlen(text));
    fprintf(out, "%-*s", width, plain ? text : sentence_quote(quoted, text, strlen(text)));
}

void report_print(const struct report *report, FILE *out)
{
    for (size_t i = 0; i < report->n; i++) {
        const struct line *line = &report->lines[i];
        print_text(line->name, 22, out);
        fputc(' ', out);
        print_text(line->value, 14, out);
        fputs("  ", out);
        print_text(line->from, 0, out);
        fputc('\n', out);
    }
}
