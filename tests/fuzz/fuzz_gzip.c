/* Any bytes as a gzip body, as an Accept-Encoding header, and as an answer to pack. Nothing unpacks to more
 * than the limit, memory is given back, and what was packed unpacks to the same. */
#include "server/request/gzip.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct config config;
    struct body_total total;
    struct body in = {0}, out = {0}, again = {0};
    struct problem problem = {0};
    if (size > 65536) return 0;
    config.limits_body_bytes = 65536;
    body_total_open(&total, 1 << 20, "limits.bodies_bytes");
    bool good = body_append(&in, &total, (const char *)data, size, &problem) &&
                gzip_unpack(&in, &out, &total, &config, &problem);
    assert(out.n <= 65536 && good == (problem.fault == FAULT_NONE));
    body_release(&out, &total);
    size_t n;
    struct body packed = {.bytes = gzip_pack((const char *)data, size, &n)};
    if (packed.bytes) {
        packed.n = n;
        assert(n < size && gzip_unpack(&packed, &again, &total, &config, &problem));
        assert(again.n == size && !memcmp(again.bytes, data, size));
        free(packed.bytes);
    }
    body_release(&again, &total);
    body_release(&in, &total);
    assert(total.bytes == 0);
    body_total_close(&total);
    char *text = malloc(size + 1);
    if (!text) return 0;
    if (size) memcpy(text, data, size);
    text[size] = '\0';
    (void)gzip_is_accepted(text);
    assert(!gzip_is_used(text) || gzip_is_known(text));
    free(text);
    return 0;
}
