#include "models/repository/per_model.h"

#include <string.h>

static const char BLANKS[] = " \t";

/* text[0..n) without the blanks around it. */
static void copy(char *out, size_t size, const char *text, size_t n)
{
    size_t before = strspn(text, BLANKS);
    if (before > n) before = n;
    text += before, n -= before;
    while (n > 0 && strchr(BLANKS, text[n - 1])) n--;
    if (n >= size) n = size - 1;
    memcpy(out, text, n);
    out[n] = '\0';
}

const char *per_model_next(const char *text, struct per_model *entry)
{
    text += strspn(text, " \t,");
    if (!*text) return NULL;
    size_t bytes = strcspn(text, ","), name = strcspn(text, "=,");
    bool named = text[name] == '=';
    copy(entry->name, sizeof entry->name, text, named ? name : 0);
    if (named) copy(entry->value, sizeof entry->value, text + name + 1, bytes - name - 1);
    else copy(entry->value, sizeof entry->value, text, bytes);
    return text + bytes;
}

void per_model_find(const char *text, const char *name, char value[PER_MODEL_VALUE_BYTES])
{
    struct per_model entry;
    bool own = false;
    value[0] = '\0';
    while ((text = per_model_next(text, &entry))) {
        bool matches = strcmp(entry.name, name) == 0;
        if (!matches && (own || entry.name[0])) continue;
        memcpy(value, entry.value, PER_MODEL_VALUE_BYTES);
        own = matches;
    }
}

enum status per_model_precision(const char *text, const char *name, enum precision *precision,
                                struct error *err)
{
    char value[PER_MODEL_VALUE_BYTES];
    enum precision found = PRECISION_AUTO;
    per_model_find(text, name, value);
    if (*value && strcmp(value, "auto") != 0 && precision_find(value, &found) != STATUS_OK)
        return error_set(err, STATUS_BAD_VALUE, "there is no precision '%s'", value);
    *precision = found;
    return STATUS_OK;
}
