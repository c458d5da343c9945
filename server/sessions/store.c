/* The table of the store, and its limits. */
#include "server/sessions/store.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/memory.h"
#include "server/sessions/entry.h"

/* What an allocation costs beside what was asked for. */
enum { OVERHEAD_BYTES = 64 };

/* FNV-1a of 64 bits (Fowler, Noll, Vo), never 0. */
static uint64_t hash_text(uint64_t hash, const char *text)
{
    do {
        hash = (hash ^ (unsigned char)*text) * 0x100000001b3;
    } while (*text++);
    return hash;
}

static uint64_t hash_key(const struct store_key *key)
{
    uint64_t hash = (0xcbf29ce484222325 ^ (uint64_t)key->kind) * 0x100000001b3;
    hash = hash_text(hash_text(hash, key->owner), key->id);
    return hash ? hash : 1;
}

static struct entry **row_of(const struct store *store, uint64_t hash)
{
    return &store->rows[(hash ^ hash >> 32) & (store->n_rows - 1)];
}

/* ---- the lists by time of use --------------------------------------------------------------- */

static void list_add(struct entry *entry, size_t link, struct entry **newest, struct entry **oldest)
{
#define LINK(of) ((struct link *)(void *)((char *)(of) + link))
    *LINK(entry) = (struct link){.older = *newest};
    if (*newest) LINK(*newest)->newer = entry;
    else *oldest = entry;
    *newest = entry;
}

static void list_remove(struct entry *entry, size_t link, struct entry **newest, struct entry **oldest)
{
    struct link *of = LINK(entry);
    if (of->newer) LINK(of->newer)->older = of->older;
    else *newest = of->older;
    if (of->older) LINK(of->older)->newer = of->newer;
    else *oldest = of->newer;
#undef LINK
}

static void lists_add(struct store *store, struct entry *entry)
{
    list_add(entry, offsetof(struct entry, all), &store->newest, &store->oldest);
    list_add(entry, offsetof(struct entry, owned), &entry->owner->newest, &entry->owner->oldest);
}

static void lists_remove(struct store *store, struct entry *entry)
{
    list_remove(entry, offsetof(struct entry, all), &store->newest, &store->oldest);
    list_remove(entry, offsetof(struct entry, owned), &entry->owner->newest, &entry->owner->oldest);
}

/* ---- owners and models ---------------------------------------------------------------------- */

static struct owner *owner_find(struct store *store, const char *name)
{
    for (struct owner *owner = store->owners; owner; owner = owner->next)
        if (!strcmp(owner->name, name)) return owner;
    struct owner *owner = calloc(1, sizeof *owner);
    if (!owner) return NULL;
    strncpy(owner->name, name, sizeof owner->name - 1);
    owner->next = store->owners;
    store->owners = owner;
    return owner;
}

static void owner_release(struct store *store, struct owner *owner)
{
    if (owner->n_entries) return;
    struct owner **at = &store->owners;
    while (*at != owner) at = &(*at)->next;
    *at = owner->next;
    free(owner);
}

static struct held_model *model_hold(struct store *store, struct model *model)
{
    for (struct held_model *held = store->models; held; held = held->next)
        if (held->model == model) return held;
    struct held_model *held = calloc(1, sizeof *held);
    if (!held) return NULL;
    held->model = model_acquire(model);
    held->next = store->models;
    store->models = held;
    return held;
}

static void held_release(struct store *store, struct held_model *held)
{
    if (held->n_entries) return;
    struct held_model **at = &store->models;
    while (*at != held) at = &(*at)->next;
    *at = held->next;
    model_drop(held->model);
    free(held);
}

/* ---- entries -------------------------------------------------------------------------------- */

static void remember(struct store *store, uint64_t hash, enum store_found how)
{
    if (how != STORE_NEVER) store->gone[hash % GONE_ROWS] = (struct gone){hash, how};
}

static uint64_t *reason_counter(struct store *store, enum store_found how)
{
    return how == STORE_EXPIRED    ? &store->stats.expired
           : how == STORE_REPLACED ? &store->stats.replaced
                                   : &store->stats.deleted;
}

void entry_remove(struct store *store, struct entry *entry, enum store_found how)
{
    struct entry **at = row_of(store, entry->hash);
    readers_look(store, entry);
    record_remove(store, entry, false);
    while (*at != entry) at = &(*at)->next;
    *at = entry->next;
    lists_remove(store, entry);
    store->n_entries--;
    store->n_sessions -= entry->kind == STORE_SESSION;
    store->bytes -= entry->bytes;
    entry->owner->n_entries--;
    entry->owner->bytes -= entry->bytes;
    entry->held->n_entries--;
    owner_release(store, entry->owner);
    held_release(store, entry->held);
    if (entry->current) entry->current->_entry = NULL;
    remember(store, entry->hash, how);
    ++*reason_counter(store, how);
    state_drop(entry->state);
    state_drop(entry->before);
    free(entry->reply);
    free(entry);
}

struct entry *entry_new(struct store *store, const struct store_key *key, struct model *model, int64_t ttl_s)
{
    struct entry *entry = calloc(1, sizeof *entry);
    struct owner *owner = owner_find(store, key->owner);
    struct held_model *held = model_hold(store, model);
    if (!entry || !owner || !held) {
        free(entry);
        if (owner) owner_release(store, owner);
        if (held) held_release(store, held);
        return NULL;
    }
    uint64_t hash = hash_key(key);
    struct entry **row = row_of(store, hash);
    *entry = (struct entry){.next = *row, .owner = owner, .held = held, .kind = key->kind, .hash = hash,
                            .ttl_s = ttl_s,
                            .expires_s = store->options.now_s() + ttl_s};
    strncpy(entry->id, key->id, sizeof entry->id - 1);
    *row = entry;
    owner->n_entries++;
    held->n_entries++;
    store->n_entries++;
    store->n_sessions += key->kind == STORE_SESSION;
    store->stats.created++;
    lists_add(store, entry);
    return entry;
}

/* The entry that gives way first: the oldest one that nothing waits for. */
static struct entry *oldest_idle(struct entry *oldest, bool of_owner, const struct entry *except)
{
    while (oldest && (oldest == except || oldest->current || oldest->waiting))
        oldest = of_owner ? oldest->owned.newer : oldest->all.newer;
    return oldest;
}

static bool evict(struct store *store, struct entry *oldest)
{
    if (!oldest) return false;
    entry_remove(store, oldest, STORE_EXPIRED);
    store->stats.expired--;
    store->stats.evicted++;
    return true;
}

bool entry_weigh(struct store *store, struct entry *entry)
{
    const struct store_options *options = &store->options;
    struct owner *owner = entry->owner;
    size_t bytes = sizeof *entry + OVERHEAD_BYTES + entry->reply_bytes;
    if (entry->state) bytes += state_bytes(entry->state) + OVERHEAD_BYTES;
    if (entry->before) bytes += state_bytes(entry->before) + OVERHEAD_BYTES;
    store->bytes += bytes - entry->bytes;
    owner->bytes += bytes - entry->bytes;
    entry->bytes = bytes;
    size_t percent = *owner->name ? options->owner_percent : 100;
    size_t own_entries = options->entries * percent / 100, own_bytes = options->bytes / 100 * percent;
    bool fits = true;
    if (own_entries == 0) own_entries = 1;
    while (fits && (owner->n_entries > own_entries || owner->bytes > own_bytes))
        fits = evict(store, oldest_idle(owner->oldest, true, entry));
    while (fits && (store->n_entries > options->entries || store->bytes > options->bytes))
        fits = evict(store, oldest_idle(store->oldest, false, entry));
    return fits;
}

void entry_touch(struct store *store, struct entry *entry)
{
    entry->expires_s = store->options.now_s() + entry->ttl_s;
    lists_remove(store, entry);
    lists_add(store, entry);
}

static struct entry *find_here(const struct store *store, const struct store_key *key, uint64_t hash)
{
    for (struct entry *entry = *row_of(store, hash); entry; entry = entry->next)
        if (entry->hash == hash && entry->kind == key->kind && !strcmp(entry->id, key->id) &&
            !strcmp(entry->owner->name, key->owner))
            return entry;
    return NULL;
}

/* Return whether the copy of a session may be used: another server may have moved the session. One that is
 * taking a step here is its own; the write at the end finds out. */
static bool is_current(struct store *store, struct entry *entry, enum store_found *found)
{
    const struct vault *vault = store->options.vault;
    *found = STORE_FOUND;
    if (!vault || !vault->is_shared || entry->kind != STORE_SESSION || entry->current) return true;
    enum vault_answer answer = record_compare(store, entry);
    if (answer == VAULT_AWAY) *found = STORE_AWAY;
    return answer == VAULT_OK;
}

struct entry *entry_find(struct store *store, const struct store_key *key, enum store_found *found)
{
    uint64_t hash = hash_key(key);
    store_sweep(store);
    struct entry *entry = find_here(store, key, hash);
    if (entry && entry->expires_s <= store->options.now_s() && !entry->current) {
        entry_remove(store, entry, STORE_EXPIRED);
        *found = STORE_EXPIRED;
        return NULL;
    }
    if (entry && is_current(store, entry, found)) return entry;
    if (entry && *found == STORE_AWAY) return NULL;
    if (entry) entry_remove(store, entry, STORE_NEVER); /* none waits: no step of it is under way here */
    const struct gone *gone = &store->gone[hash % GONE_ROWS];
    *found = gone->hash == hash ? gone->how : STORE_NEVER;
    bool may_be_there = *found == STORE_NEVER || (store->options.vault && store->options.vault->is_shared);
    return may_be_there ? record_read(store, key, found) : NULL;
}

void entry_view(const struct entry *entry, struct store_view *view)
{
    *view = (struct store_view){.model = model_acquire(entry->held->model),
                                .state = state_acquire(entry->state),
                                .step = entry->step, .seed = entry->seed, .ttl_s = entry->ttl_s,
                                .expires_s = entry->expires_s};
}

void store_view_release(struct store_view *view)
{
    model_drop(view->model);
    state_drop(view->state);
    *view = (struct store_view){0};
}

static bool is_over(const struct store *store, const struct entry *entry, int64_t now_s,
                    enum store_found *how)
{
    const struct held_model *held = entry->held;
    *how = held->gone_s && now_s >= held->gone_s + store->options.drain_s ? STORE_REPLACED : STORE_EXPIRED;
    if (entry->current || entry->waiting) return false;
    return *how == STORE_REPLACED || entry->expires_s <= now_s;
}

void store_sweep(struct store *store)
{
    int64_t now_s = store->options.now_s();
    if (now_s == store->swept_s) return;
    store->swept_s = now_s;
    for (struct entry *entry = store->oldest, *newer; entry; entry = newer) {
        enum store_found how;
        newer = entry->all.newer;
        if (is_over(store, entry, now_s, &how)) entry_remove(store, entry, how);
    }
}

/* ---- the calls ------------------------------------------------------------------------------ */

enum status store_new(const struct store_options *options, struct store **out)
{
    struct store *store = calloc(1, sizeof *store);
    if (!store) return STATUS_NO_MEMORY;
    store->options = *options;
    for (store->n_rows = 64; store->n_rows < options->entries;) store->n_rows *= 2;
    store->rows = calloc(store->n_rows, sizeof(struct entry *));
    store->gone = calloc(GONE_ROWS, sizeof *store->gone);
    pthread_mutex_init(&store->mu, NULL);
    *out = store;
    if (store->rows && store->gone) return STATUS_OK;
    store_free(store);
    *out = NULL;
    return STATUS_NO_MEMORY;
}

void store_free(struct store *store)
{
    if (!store) return;
    store->is_closing = true;
    while (store->oldest) entry_remove(store, store->oldest, STORE_NEVER);
    pthread_mutex_destroy(&store->mu);
    if (store->options.vault) store->options.vault->close(store->options.vault);
    free(store->rows);
    free(store->gone);
    free(store);
}

enum status store_put(struct store *store, const struct store_key *key, struct model *model,
                      struct state *state, int64_t ttl_s, int64_t *expires_s)
{
    enum store_found found;
    pthread_mutex_lock(&store->mu);
    struct entry *entry = entry_find(store, key, &found);
    if (entry) entry_remove(store, entry, STORE_NEVER);
    entry = entry_new(store, key, model, ttl_s);
    if (entry) {
        entry->state = state_acquire(state);
        *expires_s = entry->expires_s;
    }
    bool fits = entry && entry_weigh(store, entry);
    bool is_kept = fits && record_write(store, entry, NULL) == VAULT_OK;
    if (entry && !is_kept) entry_remove(store, entry, fits ? STORE_NEVER : STORE_EXPIRED);
    store_unlock(store);
    return is_kept ? STATUS_OK : STATUS_NO_MEMORY;
}

enum store_found store_get(struct store *store, const struct store_key *key, struct store_view *view)
{
    enum store_found found;
    *view = (struct store_view){0};
    pthread_mutex_lock(&store->mu);
    struct entry *entry = entry_find(store, key, &found);
    if (entry) {
        entry_touch(store, entry);
        record_touch(store, entry);
        entry_view(entry, view);
    }
    store_unlock(store);
    return found;
}

enum store_found store_delete(struct store *store, const struct store_key *key)
{
    enum store_found found;
    pthread_mutex_lock(&store->mu);
    struct entry *entry = entry_find(store, key, &found);
    struct session_step *waiting = entry ? entry_dismiss(store, entry) : NULL;
    if (entry) {
        record_remove(store, entry, true);
        entry_remove(store, entry, STORE_NEVER);
    }
    store_unlock(store);
    session_wake(waiting); /* they hear it when they begin again */
    return found;
}

void store_models_changed(struct store *store)
{
    pthread_mutex_lock(&store->mu);
    for (struct held_model *held = store->models; held; held = held->next) {
        char id[MODEL_NAME_BYTES + MODEL_VERSION_BYTES + 2];
        snprintf(id, sizeof id, "%s:%s", held->model->name, held->model->version);
        struct model *served = registry_acquire(store->options.registry, id);
        bool same = served && !strcmp(served->hash, held->model->hash) &&
                    network_precision(served->network) == network_precision(held->model->network);
        if (same && served != held->model) {
            struct model *old = held->model;
            held->model = model_acquire(served);
            model_drop(old);
        }
        if (same) held->gone_s = 0;
        else if (!held->gone_s) held->gone_s = store->options.now_s();
        model_drop(served);
    }
    store_unlock(store);
}

void store_stats(struct store *store, struct store_stats *out)
{
    pthread_mutex_lock(&store->mu);
    store_sweep(store);
    *out = store->stats;
    out->answers = store->n_entries - store->n_sessions;
    out->sessions = store->n_sessions;
    out->bytes = store->bytes;
    store_unlock(store);
}
