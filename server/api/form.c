#include "server/api/form.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "server/base/json_writer.h"

/* Whether the name ends in "[]"; *n is its length without. */
static bool is_list(const char *name, size_t *n)
{
    *n = strlen(name);
    if (*n < 3 || strcmp(name + *n - 2, "[]")) return false;
    *n -= 2;
    return true;
}

static bool is_plain(const char *const *plain, const char *name)
{
    for (size_t i = 0; plain[i]; i++)
        if (!strcmp(plain[i], name)) return true;
    return false;
}

/* Write a value: as a number or a boolean if it is one and the field wants one, else as a string. */
static void put_value(struct writer *out, const struct part *part, bool plain)
{
    char text[64], *end = text;
    if (plain && part->n > 0 && part->n < sizeof text) {
        memcpy(text, part->bytes, part->n);
        text[part->n] = '\0';
        if (!strcmp(text, "true") || !strcmp(text, "false")) {
            put_boolean(out, *text == 't');
            return;
        }
        double number = strtod(text, &end);
        if (*end == '\0' && isfinite(number)) {
            put_double(out, number);
            return;
        }
    }
    put_string_n(out, part->bytes, part->n);
}

static void put_fields(struct writer *out, const struct multipart *form, const char *const *plain)
{
    put_open(out, '{');
    for (size_t i = 0; i < form->n; i++) {
        const struct part *part = &form->parts[i];
        char name[MULTIPART_NAME_BYTES];
        size_t n, before = 0;
        bool list = is_list(part->name, &n);
        while (before < i && strcmp(form->parts[before].name, part->name)) before++;
        if (part->is_file || (list && before < i)) continue; /* a list is written with its first part */
        memcpy(name, part->name, n);
        name[n] = '\0';
        put_name(out, name);
        if (list) put_open(out, '[');
        for (size_t k = i; k < (list ? form->n : i + 1); k++)
            if (!strcmp(form->parts[k].name, part->name))
                put_value(out, &form->parts[k], is_plain(plain, name));
        if (list) put_close(out, ']');
    }
    put_close(out, '}');
}

bool form_open(struct call *call, struct request *request, struct reply *reply, const struct fields *fields,
               const char *const *plain, enum ability ability, struct multipart *form)
{
    struct writer out;
    size_t n;
    if (!multipart_is_type(request->content_type))
        return problem_set(&reply->problem, FAULT_UNSUPPORTED_MEDIA_TYPE, NULL,
                           "the content type is %.80s; expected multipart/form-data",
                           request->content_type ? request->content_type : "missing");
    if (!multipart_read(request->content_type, request->body, request->body_bytes, form, &reply->problem))
        return false;
    writer_init(&out, request->body_bytes * 6 + 1024); /* the most that quoting makes of them */
    put_fields(&out, form, plain);
    char *text = writer_take(&out, &n);
    if (!text) return problem_set(&reply->problem, FAULT_NO_MEMORY, NULL, NULL);
    const char *body = request->body;
    const size_t bytes = request->body_bytes;
    request->body = text;
    request->body_bytes = n;
    bool good = call_open(call, request, reply, fields, ability);
    request->body = body;
    request->body_bytes = bytes;
    free(text);
    return good;
}

const struct part *form_file(const struct call *call, const struct multipart *form, const char *name)
{
    const struct part *found = NULL;
    for (size_t i = 0; i < form->n; i++) {
        const struct part *part = &form->parts[i];
        if (strcmp(part->name, name)) continue;
        if (found || !part->is_file) {
            problem_set(call->problem, FAULT_INVALID_VALUE, name, "'%s' is %s; expected one file", name,
                        found ? "there twice" : "a text");
            return NULL;
        }
        found = part;
    }
    if (!found)
        problem_set(call->problem, FAULT_INVALID_VALUE, name, "'%s' is missing; expected a file", name);
    return found;
}
