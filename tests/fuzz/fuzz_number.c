/* Any bytes as a number: as text, which is read as strtod reads it, if it is JSON; and as the bits of a
 * double and of a float, whose printed text must be read as the same number. */
#include <assert.h>
#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "models/text/json.h"
#include "models/text/number.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* false: no number. */
static bool read_number(const char *text, size_t bytes, double *value)
{
    static const struct json_limits limits = {.depth = 1, .values = 1};
    struct json_fault fault;
    struct json *root = json_parse_within(text, bytes, &limits, &fault);
    bool is_number = json_kind(root) == JSON_NUMBER;
    if (is_number) *value = json_number(root);
    json_free(root);
    return is_number;
}

static void read_text(const char *text, size_t bytes)
{
    double found, expected;
    if (!read_number(text, bytes, &found)) return;
    char *copy = malloc(bytes + 1);
    if (!copy) abort();
    memcpy(copy, text, bytes);
    copy[bytes] = '\0';
    expected = strtod(copy, NULL);
    assert(!memcmp(&found, &expected, sizeof found));
    free(copy);
}

static void print_bits(const uint8_t *data, size_t size)
{
    char text[NUMBER_BYTES];
    double value, back;
    float few;
    if (size < sizeof value) return;
    memcpy(&value, data, sizeof value);
    memcpy(&few, data, sizeof few);
    if (isfinite(value)) {
        int n = number_print(text, value);
        assert(n > 0 && (size_t)n == strlen(text) && read_number(text, (size_t)n, &back));
        assert(!memcmp(&back, &value, sizeof back));
    }
    if (isfinite(few)) {
        int n = number_print_float(text, few);
        float again = strtof(text, NULL);
        assert(n > 0 && (size_t)n == strlen(text) && !memcmp(&again, &few, sizeof few));
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size > 1 << 16) return 0;
    read_text((const char *)data, size);
    print_bits(data, size);
    return 0;
}
