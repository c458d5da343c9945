#include "server/sessions/prefixes.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

enum { ROWS = 1 << 14, OVERHEAD_BYTES = 128 };

struct prefix {
    struct prefix *next;          /* of its row */
    struct prefix *newer, *older; /* by time of use */
    uint64_t salt, hash;
    struct state *state;
    size_t n, bytes;
    int32_t tokens[];             /* [n] */
};

struct prefixes {
    pthread_mutex_t mu;
    size_t most;
    struct prefix *rows[ROWS], *newest, *oldest;
    struct prefixes_stats stats;
};

struct prefixes *prefixes_new(size_t bytes)
{
    struct prefixes *prefixes = calloc(1, sizeof *prefixes);
    if (!prefixes) return NULL;
    pthread_mutex_init(&prefixes->mu, NULL);
    prefixes->most = bytes;
    return prefixes;
}

/* One more token: FNV-1a over its four bytes at once, whose upper half is mixed in when a row is chosen. */
static uint64_t step(uint64_t hash, int32_t token)
{
    hash = (hash ^ (uint32_t)token) * 0x100000001b3;
    return hash ^ hash >> 29;
}

uint64_t prefixes_salt(uint64_t network_serial, const char *owner)
{
    uint64_t hash = 0xcbf29ce484222325 ^ network_serial;
    for (; *owner; owner++) hash = step(hash, *owner);
    return step(hash, -1);
}

static struct prefix **row_of(struct prefixes *prefixes, uint64_t hash)
{
    return &prefixes->rows[(hash ^ hash >> 32) & (ROWS - 1)];
}

static void unlink_used(struct prefixes *prefixes, struct prefix *prefix)
{
    if (prefix->newer) prefix->newer->older = prefix->older;
    else prefixes->newest = prefix->older;
    if (prefix->older) prefix->older->newer = prefix->newer;
    else prefixes->oldest = prefix->newer;
}

static void link_newest(struct prefixes *prefixes, struct prefix *prefix)
{
    prefix->newer = NULL;
    prefix->older = prefixes->newest;
    if (prefixes->newest) prefixes->newest->newer = prefix;
    else prefixes->oldest = prefix;
    prefixes->newest = prefix;
}

static void drop(struct prefixes *prefixes, struct prefix *prefix)
{
    struct prefix **at = row_of(prefixes, prefix->hash);
    while (*at != prefix) at = &(*at)->next;
    *at = prefix->next;
    unlink_used(prefixes, prefix);
    prefixes->stats.bytes -= prefix->bytes;
    state_drop(prefix->state);
    free(prefix);
}

void prefixes_free(struct prefixes *prefixes)
{
    if (!prefixes) return;
    while (prefixes->oldest) drop(prefixes, prefixes->oldest);
    pthread_mutex_destroy(&prefixes->mu);
    free(prefixes);
}

static struct prefix *find(struct prefixes *prefixes, uint64_t salt, uint64_t hash, const int32_t *tokens,
                           size_t n)
{
    struct prefix *prefix = *row_of(prefixes, hash);
    while (prefix && !(prefix->hash == hash && prefix->salt == salt && prefix->n == n &&
                       !memcmp(prefix->tokens, tokens, n * sizeof *tokens)))
        prefix = prefix->next;
    return prefix;
}

size_t prefixes_find(struct prefixes *prefixes, uint64_t salt, const int32_t *tokens, size_t n,
                     struct state **out)
{
    uint64_t *hashes = prefixes->most ? malloc((n + 1) * sizeof *hashes) : NULL;
    struct prefix *found = NULL;
    size_t length = 0;
    *out = NULL;
    if (!hashes) return 0;
    hashes[0] = salt;
    for (size_t i = 0; i < n; i++) hashes[i + 1] = step(hashes[i], tokens[i]);
    pthread_mutex_lock(&prefixes->mu);
    for (size_t i = n; i > 0 && !found; i--) found = find(prefixes, salt, hashes[i], tokens, i);
    prefixes->stats.lookups++;
    if (found) {
        unlink_used(prefixes, found);
        link_newest(prefixes, found);
        *out = state_acquire(found->state);
        length = found->n;
        prefixes->stats.hits++;
        prefixes->stats.tokens += length;
    }
    pthread_mutex_unlock(&prefixes->mu);
    free(hashes);
    return length;
}

void prefixes_put(struct prefixes *prefixes, uint64_t salt, const int32_t *tokens, size_t n,
                  struct state *state)
{
    uint64_t hash = salt;
    size_t bytes = sizeof(struct prefix) + OVERHEAD_BYTES + n * sizeof *tokens + state_bytes(state);
    if (bytes > prefixes->most) return;
    struct prefix *prefix = malloc(sizeof *prefix + n * sizeof *tokens);
    if (!prefix) return;
    for (size_t i = 0; i < n; i++) hash = step(hash, tokens[i]);
    *prefix = (struct prefix){.salt = salt, .hash = hash, .n = n, .bytes = bytes,
                              .state = state_acquire(state)};
    memcpy(prefix->tokens, tokens, n * sizeof *tokens);
    pthread_mutex_lock(&prefixes->mu);
    struct prefix *same = find(prefixes, salt, hash, tokens, n);
    if (same) drop(prefixes, same);
    while (prefixes->stats.bytes + bytes > prefixes->most) drop(prefixes, prefixes->oldest);
    prefix->next = *row_of(prefixes, hash);
    *row_of(prefixes, hash) = prefix;
    link_newest(prefixes, prefix);
    prefixes->stats.bytes += bytes;
    pthread_mutex_unlock(&prefixes->mu);
}

void prefixes_stats(struct prefixes *prefixes, struct prefixes_stats *out)
{
    pthread_mutex_lock(&prefixes->mu);
    *out = prefixes->stats;
    pthread_mutex_unlock(&prefixes->mu);
}
