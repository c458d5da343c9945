/* Entries as records of a vault. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "models/jobs/rest.h"
#include "server/sessions/entry.h"

/* What stands in a record, at fixed places, before the states and the reply. */
struct fields {
    uint32_t kind;
    char id[STORE_ID_BYTES], owner[STORE_OWNER_BYTES];
    char model[MODEL_NAME_BYTES + 1], version[MODEL_VERSION_BYTES + 1], hash[65];
    int64_t ttl_s, expires_s;
    uint64_t step, seed;
    uint8_t body[HASH_BYTES];
    uint32_t has_state, has_before;
    uint64_t reply_bytes;
};

static void walk(struct rest *rest, struct fields *f)
{
    rest_field(rest, &f->kind, sizeof f->kind);
    rest_field(rest, f->id, sizeof f->id);
    rest_field(rest, f->owner, sizeof f->owner);
    rest_field(rest, f->model, sizeof f->model);
    rest_field(rest, f->version, sizeof f->version);
    rest_field(rest, f->hash, sizeof f->hash);
    rest_field(rest, &f->ttl_s, sizeof f->ttl_s);
    rest_field(rest, &f->expires_s, sizeof f->expires_s);
    rest_field(rest, &f->step, sizeof f->step);
    rest_field(rest, &f->seed, sizeof f->seed);
    rest_field(rest, f->body, sizeof f->body);
    rest_field(rest, &f->has_state, sizeof f->has_state);
    rest_field(rest, &f->has_before, sizeof f->has_before);
    rest_field(rest, &f->reply_bytes, sizeof f->reply_bytes);
}

/* Move a state; while reading, *state is made. false: the record is none, or there is no memory. */
static bool walk_state(struct rest *rest, struct state **state)
{
    uint64_t sizes[3] = {0};
    if (rest->use != REST_READ) {
        sizes[0] = (*state)->step;
        sizes[1] = (*state)->n_floats;
        sizes[2] = (*state)->n_rest;
    }
    rest_field(rest, sizes, sizeof sizes);
    if (rest->use == REST_READ) {
        size_t left = rest->n - rest->at;
        if (rest->failed || sizes[1] > left / sizeof(float) || sizes[2] > left - sizes[1] * sizeof(float) ||
            state_new(sizes[0], (size_t)sizes[1], (size_t)sizes[2], state) != STATUS_OK)
            return false;
    }
    rest_field(rest, (*state)->floats, (*state)->n_floats * sizeof(float));
    rest_field(rest, (*state)->rest, (*state)->n_rest);
    return !rest->failed;
}

static void walk_all(struct rest *rest, struct fields *fields, struct entry *entry)
{
    walk(rest, fields);
    if (fields->has_state) (void)walk_state(rest, &entry->state);
    if (fields->has_before) (void)walk_state(rest, &entry->before);
    if (fields->reply_bytes) rest_field(rest, entry->reply, (size_t)fields->reply_bytes);
}

void record_name(const struct store_key *key, char out[VAULT_NAME_BYTES])
{
    char text[STORE_ID_BYTES + STORE_OWNER_BYTES + 4];
    uint8_t hash[HASH_BYTES];
    int n = snprintf(text, sizeof text, "%d %s %s", (int)key->kind, key->owner, key->id);
    hash_bytes(text, (size_t)n, hash);
    hash_print(hash, out);
}

enum vault_answer record_write(struct store *store, struct entry *entry, const uint64_t *expected)
{
    struct vault *vault = store->options.vault;
    const struct model *model = entry->held->model;
    const struct store_key key = {entry->kind, entry->owner->name, entry->id};
    struct fields fields = {.kind = (uint32_t)entry->kind, .ttl_s = entry->ttl_s,
                            .expires_s = entry->expires_s,
                            .step = entry->step, .seed = entry->seed, .has_state = entry->state != NULL,
                            .has_before = entry->before != NULL, .reply_bytes = entry->reply_bytes};
    char name[VAULT_NAME_BYTES];
    if (!vault) return VAULT_OK;
    memcpy(fields.id, entry->id, sizeof fields.id);
    memcpy(fields.owner, entry->owner->name, sizeof fields.owner);
    memcpy(fields.model, model->name, sizeof fields.model);
    memcpy(fields.version, model->version, sizeof fields.version);
    memcpy(fields.hash, model->hash, sizeof fields.hash);
    memcpy(fields.body, entry->body, sizeof fields.body);
    struct rest rest = {.use = REST_MEASURE, .at = RECORD_HEAD};
    walk_all(&rest, &fields, entry);
    rest = (struct rest){.use = REST_WRITE, .n = rest.at, .at = RECORD_HEAD, .bytes = malloc(rest.at)};
    if (!rest.bytes) return VAULT_AWAY;
    walk_all(&rest, &fields, entry);
    record_seal(rest.bytes, rest.n, entry->step);
    record_name(&key, name);
    memcpy(entry->head, rest.bytes, sizeof entry->head);
    enum vault_answer answer = vault->write(vault, name, rest.bytes, rest.n, entry->ttl_s, expected);
    free(rest.bytes);
    return answer;
}

static void name_of(const struct entry *entry, char out[VAULT_NAME_BYTES])
{
    const struct store_key key = {entry->kind, entry->owner->name, entry->id};
    record_name(&key, out);
}

void record_remove(struct store *store, const struct entry *entry, bool for_all)
{
    struct vault *vault = store->options.vault;
    char name[VAULT_NAME_BYTES];
    if (!vault || store->is_closing || (vault->is_shared && !for_all)) return;
    name_of(entry, name);
    vault->remove(vault, name);
}

void record_touch(struct store *store, const struct entry *entry)
{
    struct vault *vault = store->options.vault;
    char name[VAULT_NAME_BYTES];
    if (!vault) return;
    name_of(entry, name);
    vault->touch(vault, name, entry->ttl_s);
}

enum vault_answer record_compare(struct store *store, const struct entry *entry)
{
    struct vault *vault = store->options.vault;
    unsigned char head[RECORD_HEAD];
    char name[VAULT_NAME_BYTES];
    name_of(entry, name);
    enum vault_answer answer = vault->read_head(vault, name, head);
    return answer == VAULT_OK && memcmp(head, entry->head, sizeof head) ? VAULT_NOT : answer;
}

/* The model that the record is of, one reference; NULL: it is not served, or with other weights. */
static struct model *model_of(const struct store *store, struct fields *f)
{
    char id[MODEL_NAME_BYTES + MODEL_VERSION_BYTES + 2];
    f->model[MODEL_NAME_BYTES] = f->version[MODEL_VERSION_BYTES] = f->hash[sizeof f->hash - 1] = '\0';
    snprintf(id, sizeof id, "%s:%s", f->model, f->version);
    struct model *model = registry_acquire(store->options.registry, id);
    if (model && !strcmp(model->hash, f->hash)) return model;
    model_drop(model);
    return NULL;
}

static struct entry *read_record(struct store *store, const struct store_key *key, unsigned char *bytes,
                                 size_t n,
                                 enum store_found *found)
{
    struct rest rest = {.use = REST_READ, .bytes = bytes, .n = n, .at = RECORD_HEAD};
    struct fields f;
    *found = STORE_NEVER;
    walk(&rest, &f);
    f.id[sizeof f.id - 1] = f.owner[sizeof f.owner - 1] = '\0';
    if (rest.failed || f.kind != (uint32_t)key->kind || strcmp(f.id, key->id) || strcmp(f.owner, key->owner))
        return NULL;
    *found = STORE_EXPIRED;
    /* A shared vault counts the time itself, from the last use at any server. */
    if (store->options.vault->is_shared) f.expires_s = store->options.now_s() + f.ttl_s;
    if (f.expires_s <= store->options.now_s()) return NULL;
    struct model *model = model_of(store, &f);
    *found = STORE_REPLACED;
    if (!model) return NULL;
    struct entry *entry = entry_new(store, key, model, f.ttl_s);
    model_drop(model);
    *found = STORE_NEVER;
    if (!entry) return NULL;
    entry->step = f.step;
    entry->seed = f.seed;
    entry->expires_s = f.expires_s;
    memcpy(entry->body, f.body, sizeof entry->body);
    memcpy(entry->head, bytes, sizeof entry->head);
    bool good = (!f.has_state || walk_state(&rest, &entry->state)) &&
                (!f.has_before || walk_state(&rest, &entry->before)) && f.reply_bytes == rest.n - rest.at;
    if (good && f.reply_bytes && (entry->reply = malloc((size_t)f.reply_bytes))) {
        rest_field(&rest, entry->reply, (size_t)f.reply_bytes);
        entry->reply_bytes = (size_t)f.reply_bytes;
    }
    if (!good) {
        entry_remove(store, entry, STORE_NEVER);
        return NULL;
    }
    *found = entry_weigh(store, entry) ? STORE_FOUND : STORE_EXPIRED;
    if (*found == STORE_FOUND) return entry;
    entry_remove(store, entry, STORE_EXPIRED);
    return NULL;
}

struct entry *record_read(struct store *store, const struct store_key *key, enum store_found *found)
{
    struct vault *vault = store->options.vault;
    char name[VAULT_NAME_BYTES];
    void *bytes;
    size_t n;
    if (!vault) return NULL;
    record_name(key, name);
    enum vault_answer answer = vault->read(vault, name, &bytes, &n);
    if (answer == VAULT_AWAY) *found = STORE_AWAY;
    if (answer != VAULT_OK) return NULL;
    struct entry *entry = NULL;
    if (record_is_whole(bytes, n)) entry = read_record(store, key, bytes, n, found);
    free(bytes);
    return entry;
}
