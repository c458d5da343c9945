/* Any bytes as a file of API keys, and as an Authorization header. Lines that are taken must print and read
 * back as the same; a refusal must name the file and a line; a key found in a header must lie in it. */
#include "server/request/keys.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/memory.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_line(const struct key *key)
{
    char line[512];
    struct key *again;
    struct error err;
    size_t n;
    int length = key_print(key, line, sizeof line);
    assert(length > 0 && (size_t)length < sizeof line);
    enum status status = keys_parse(line, (size_t)length, "line", &again, &n, &err);
    assert(status == STATUS_OK && n == 1 && !memcmp(key->hash, again->hash, sizeof key->hash));
    assert(!strcmp(key->name, again->name) && key->scopes == again->scopes && key->weight == again->weight);
    assert(key->requests_per_minute == again->requests_per_minute &&
           key->steps_per_minute == again->steps_per_minute);
    memory_free(again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct key *keys;
    struct error err = {0};
    size_t n;
    char *text = malloc(size + 1);
    if (!text) return 0;
    if (size) memcpy(text, data, size);
    text[size] = '\0';
    if (keys_parse(text, size, "file", &keys, &n, &err) == STATUS_OK) {
        for (size_t i = 0; i < n; i++) check_line(&keys[i]);
        memory_free(keys);
    } else assert(!strncmp(err.message, "file:", 5));
    const char *key = key_in_header(text, &n);
    assert(!key || (n > 0 && n <= KEY_MAX_BYTES && key >= text + 7 && key + n <= text + strlen(text)));
    free(text);
    return 0;
}
