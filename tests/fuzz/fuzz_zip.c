/* Any bytes as a zip archive: every entry that the directory names is read or refused. */
#include <assert.h>
#include <string.h>

#include "models/formats/zip.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct pool *pool = pool_new(1 << 26);
    struct zip zip;
    struct error err = {.message = ""};
    if (!pool) return 0;
    if (zip_open(data, size, pool, &zip, &err) != STATUS_OK) assert(err.message[0]);
    else
        for (size_t i = 0; i < zip.n; i++) {
            struct zip_entry *entry = &zip.entries[i];
            assert(zip_find_exactly(&zip, entry->name));
            if (zip_read(&zip, entry, pool, &err) != STATUS_OK) continue;
            uint8_t sum = 0;
            for (uint64_t b = 0; b < entry->bytes; b++) sum ^= entry->content[b];
            (void)sum;
        }
    pool_free(pool);
    return 0;
}
