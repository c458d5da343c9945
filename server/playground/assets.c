/* The table of embedded files, and their tags. */
#include "server/playground/assets.h"

#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "models/text/hash.h"

#define X(symbol, name, file, type)                                                                          \
    __asm__(".pushsection .rodata\n"                                                                         \
            ".globl asset_" #symbol "\n"                                                                     \
            ".globl asset_end_" #symbol "\n"                                                                 \
            "asset_" #symbol ":\n"                                                                           \
            ".incbin \"" file "\"\n"                                                                         \
            "asset_end_" #symbol ":\n"                                                                       \
            ".popsection\n");                                                                                \
    extern const char asset_##symbol[] __attribute__((visibility("hidden")));                                \
    extern const char asset_end_##symbol[] __attribute__((visibility("hidden")));
#include "server/playground/assets.def"

static struct asset assets[N_ASSETS] = {
#define X(symbol, name, file, type) [ASSET_##symbol] = {name, type, asset_##symbol, 0, ""},
#include "server/playground/assets.def"
};

static const char *const ends[N_ASSETS] = {
#define X(symbol, name, file, type) [ASSET_##symbol] = asset_end_##symbol,
#include "server/playground/assets.def"
};

/* Set lengths and tags: the first bytes of the content's hash. */
static void measure(void)
{
    for (size_t i = 0; i < N_ASSETS; i++) {
        uint8_t hash[HASH_BYTES];
        char hex[HASH_HEX_BYTES];
        assets[i].n = (size_t)(ends[i] - assets[i].bytes);
        hash_bytes(assets[i].bytes, assets[i].n, hash);
        hash_print(hash, hex);
        snprintf(assets[i].tag, sizeof assets[i].tag, "W/\"%.16s\"", hex);
    }
}

const struct asset *asset_of(enum asset_id id)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, measure);
    return &assets[id];
}

const struct asset *asset_find(const char *name)
{
    for (size_t i = 0; *name && i < N_ASSETS; i++)
        if (!strcmp(assets[i].name, name)) return asset_of((enum asset_id)i);
    return NULL;
}
