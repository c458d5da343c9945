/* Any bytes as a request body: the JSON reader and its getters. Whatever is taken must be walkable and
 * bounded; what is refused must say why, in a message that can be put into an answer. */
#include "server/api/urlencoded.h"
#include "server/api/document.h"
#include "server/base/json_writer.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* The value as text again, by the writer. */
static void put_value(struct writer *out, const struct json *value, size_t depth)
{
    assert(depth <= 32);
    switch (json_kind(value)) {
    case JSON_ABSENT:
    case JSON_NULL: put_null(out); return;
    case JSON_BOOLEAN: put_boolean(out, true); return;
    case JSON_NUMBER: put_double(out, json_number(value)); return;
    case JSON_STRING: put_string(out, json_string(value)); return;
    case JSON_ARRAY:
    case JSON_OBJECT: break;
    }
    bool object = json_kind(value) == JSON_OBJECT;
    put_open(out, object ? '{' : '[');
    for (const struct json *child = json_first(value); child; child = json_next(child)) {
        if (object) put_name(out, json_key(child));
        put_value(out, child, depth + 1);
    }
    put_close(out, object ? '}' : ']');
}

static void read_fields(const struct json *root, struct problem *problem)
{
    int64_t integer = 0;
    double number = 0;
    bool boolean = false;
    const char *text = NULL;
    size_t count = 0;
    if (json_kind(root) != JSON_OBJECT) return;
    static const char *const names[] = {"prompt", "max_tokens", "temperature", "stream", "stop", "seed"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        if (field_integer(root, names[i], -5, 5, &integer, problem)) assert(integer >= -5 && integer <= 5);
        if (field_number(root, names[i], -5, 5, &number, problem)) assert(number >= -5 && number <= 5);
        if (field_size(root, names[i], 0, 5, &count, problem)) assert(count <= 5);
        (void)field_boolean(root, names[i], &boolean, problem);
        if (field_string(root, names[i], 8, &text, problem) && text) assert(strlen(text) <= 8);
    }
}

/* A form becomes one object, whatever its bytes; the parser may refuse them, but not its structure. */
static void read_form(const char *body, size_t size)
{
    const struct json_limits limits = {.depth = 2, .values = 10000};
    struct problem problem = {0};
    struct writer form;
    size_t bytes;
    writer_init(&form, 1 << 26);
    urlencoded_put(body, size, &form);
    char *json = writer_take(&form, &bytes);
    assert(json && json[0] == '{' && json[bytes - 1] == '}');
    struct json *document = document_parse(json, bytes, &limits, &problem);
    assert(document || problem.message[0]);
    json_free(document);
    free(json);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const struct json_limits limits = {.depth = 32, .values = 10000};
    struct problem problem = {0};
    char *body = malloc(size ? size : 1);
    if (!body) return 0;
    if (size) memcpy(body, data, size);
    read_form(body, size);
    struct json *document = document_parse(body, size, &limits, &problem);
    free(body);
    if (!document) {
        assert(problem.fault == FAULT_INVALID_JSON && problem.message[0]);
        return 0;
    }
    struct writer out;
    size_t bytes;
    writer_init(&out, 1 << 26);
    put_value(&out, document, 0);
    char *text = writer_take(&out, &bytes);
    assert(text);
    read_fields(document, &problem);
    json_free(document);
    /* what was written is JSON too, unless a number was infinite and became null, which is JSON as well */
    document = document_parse(text, bytes, &limits, &problem);
    assert(document);
    json_free(document);
    free(text);
    return 0;
}
