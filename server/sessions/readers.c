#include "server/sessions/readers.h"

#include <stdlib.h>
#include <string.h>

#include "server/sessions/entry.h"

struct reader {
    struct store *store;
    struct topic *topic;
    struct reader *next;         /* of its topic */
    uint64_t seen, seed;         /* seed: the session's, which one of the same name later has not */
    struct told *behind[READER_BEHIND_MAX]; /* from `first` on, round */
    size_t first, n, bytes;      /* bytes: of the answers */
    bool is_too_slow, looks;
    bool is_woken;               /* it is on the list of those that store_unlock wakes */
    struct reader *next_woken;
    size_t n_refs;               /* reader_close's, and one of a thread that wakes it */
    pthread_mutex_t mu;          /* guards the rest; taken without the store's lock */
    void (*wake)(void *context); /* NULL: closed */
    void *context;
};

/* A session that has readers, whether it is in memory or in the vault only. */
struct topic {
    struct topic *next; /* of its row */
    uint64_t hash;
    char owner[STORE_OWNER_BYTES], id[STORE_ID_BYTES];
    struct reader *readers;
    size_t n;
};

void told_drop(struct told *told)
{
    if (!told || atomic_fetch_sub(&told->n_refs, 1) != 1) return;
    atomic_fetch_sub(told->_total, told->bytes);
    free(told);
}

static struct told *told_new(struct store *store, uint64_t step, const char *answer, size_t bytes)
{
    bool has_answer = answer && bytes <= store->options.reply_bytes &&
                      atomic_load(&store->told_bytes) + bytes <= READERS_BYTES;
    if (!has_answer) bytes = 0;
    struct told *told = malloc(sizeof *told + bytes);
    if (!told) return NULL;
    *told = (struct told){.n_refs = 1, ._total = &store->told_bytes, .step = step, .has_answer = has_answer,
                          .bytes = bytes};
    atomic_fetch_add(&store->told_bytes, bytes);
    if (bytes) memcpy(told->answer, answer, bytes);
    return told;
}

/* ---- waking --------------------------------------------------------------------------------- */

/* Lock held. */
static void wake_later(struct reader *reader)
{
    if (reader->is_woken) return;
    reader->is_woken = true;
    reader->next_woken = reader->store->woken;
    reader->store->woken = reader;
}

/* Lock held. */
static void reader_release(struct reader *reader)
{
    if (--reader->n_refs) return;
    pthread_mutex_destroy(&reader->mu);
    free(reader);
}

void store_unlock(struct store *store)
{
    struct reader *reader;
    while ((reader = store->woken)) {
        store->woken = reader->next_woken;
        reader->is_woken = false;
        reader->n_refs++;
        pthread_mutex_unlock(&store->mu);
        pthread_mutex_lock(&reader->mu);
        if (reader->wake) reader->wake(reader->context);
        pthread_mutex_unlock(&reader->mu);
        pthread_mutex_lock(&store->mu);
        reader_release(reader);
    }
    pthread_mutex_unlock(&store->mu);
}

/* ---- what is told --------------------------------------------------------------------------- */

static struct topic **topic_at(struct store *store, uint64_t hash, const char *owner, const char *id)
{
    struct topic **at = &store->topics[hash % TOPIC_ROWS];
    while (*at && ((*at)->hash != hash || strcmp((*at)->id, id) || strcmp((*at)->owner, owner)))
        at = &(*at)->next;
    return at;
}

static struct topic *topic_of(struct store *store, const struct entry *entry)
{
    bool may_be = store->n_readers && entry->kind == STORE_SESSION;
    return may_be ? *topic_at(store, entry->hash, entry->owner->name, entry->id) : NULL;
}

static void forget_all(struct reader *reader)
{
    for (; reader->n; reader->n--) {
        told_drop(reader->behind[reader->first]);
        reader->first = (reader->first + 1) % READER_BEHIND_MAX;
    }
    reader->bytes = 0;
}

static void add(struct reader *reader, struct told *told)
{
    bool is_full = reader->n == READER_BEHIND_MAX || reader->bytes + told->bytes > READER_BEHIND_BYTES;
    if (reader->n && is_full) { /* one always finds room */
        forget_all(reader);
        reader->is_too_slow = true;
    }
    if (!reader->is_too_slow) {
        atomic_fetch_add(&told->n_refs, 1);
        reader->bytes += told->bytes;
        reader->behind[(reader->first + reader->n++) % READER_BEHIND_MAX] = told;
    }
    wake_later(reader);
}

void readers_tell(struct store *store, const struct entry *entry, const char *answer, size_t bytes)
{
    struct topic *topic = topic_of(store, entry);
    if (!topic) return;
    struct told *told = told_new(store, entry->step, answer, bytes);
    if (!told) readers_look(store, entry);
    for (struct reader *reader = told ? topic->readers : NULL; reader; reader = reader->next)
        add(reader, told);
    told_drop(told);
}

void readers_look(struct store *store, const struct entry *entry)
{
    struct topic *topic = topic_of(store, entry);
    for (struct reader *reader = topic ? topic->readers : NULL; reader; reader = reader->next) {
        reader->looks = true;
        wake_later(reader);
    }
}

/* ---- the calls ------------------------------------------------------------------------------ */

static size_t count_owned(const struct store *store, const char *owner)
{
    size_t n = 0;
    for (size_t row = 0; row < TOPIC_ROWS; row++)
        for (const struct topic *topic = store->topics[row]; topic; topic = topic->next)
            if (!strcmp(topic->owner, owner)) n += topic->n;
    return n;
}

static enum reader_opened find_room(struct store *store, const struct entry *entry)
{
    const struct topic *topic = topic_of(store, entry);
    const char *owner = entry->owner->name;
    if ((topic ? topic->n : 0) >= store->options.readers) return READER_SESSION_FULL;
    if (*owner && count_owned(store, owner) >= store->options.owner_readers) return READER_OWNER_FULL;
    return READER_OPENED;
}

static struct reader *make(struct store *store, const struct entry *entry, const struct reader_call *call)
{
    struct topic **at = topic_at(store, entry->hash, entry->owner->name, entry->id);
    struct reader *reader = calloc(1, sizeof *reader);
    if (reader && !*at && (*at = calloc(1, sizeof **at))) {
        (*at)->hash = entry->hash;
        strcpy((*at)->owner, entry->owner->name);
        strcpy((*at)->id, entry->id);
    }
    if (!reader || !*at) {
        free(reader);
        return NULL;
    }
    bool has_missed = call->seen && *call->seen < entry->step;
    *reader = (struct reader){.store = store, .topic = *at, .next = (*at)->readers, .seed = entry->seed,
                              .seen = has_missed ? *call->seen : entry->step, .looks = has_missed,
                              .n_refs = 1, .wake = call->wake, .context = call->context};
    pthread_mutex_init(&reader->mu, NULL);
    (*at)->readers = reader;
    (*at)->n++;
    store->n_readers++;
    return reader;
}

enum reader_opened reader_open(struct store *store, const struct store_key *key,
                               const struct reader_call *call, struct reader **out, struct store_view *view,
                               enum store_found *found)
{
    *out = NULL;
    *view = (struct store_view){0};
    pthread_mutex_lock(&store->mu);
    struct entry *entry = entry_find(store, key, found);
    enum reader_opened opened = entry ? find_room(store, entry) : READER_GONE;
    if (opened == READER_OPENED && !(*out = make(store, entry, call))) opened = READER_NO_MEMORY;
    if (entry) {
        entry_touch(store, entry);
        record_touch(store, entry);
        entry_view(entry, view);
    }
    store_unlock(store);
    return opened;
}

static void unlink_reader(struct reader *reader)
{
    struct store *store = reader->store;
    struct topic *topic = reader->topic;
    struct reader **at = &topic->readers, **woken = &store->woken;
    while (*at != reader) at = &(*at)->next;
    *at = reader->next;
    while (reader->is_woken && *woken != reader) woken = &(*woken)->next_woken;
    if (reader->is_woken) *woken = reader->next_woken;
    reader->is_woken = false;
    store->n_readers--;
    if (--topic->n) return;
    *topic_at(store, topic->hash, topic->owner, topic->id) = topic->next;
    free(topic);
}

void reader_close(struct reader *reader)
{
    if (!reader) return;
    struct store *store = reader->store;
    pthread_mutex_lock(&reader->mu);
    reader->wake = NULL;
    pthread_mutex_unlock(&reader->mu);
    pthread_mutex_lock(&store->mu);
    forget_all(reader);
    unlink_reader(reader);
    reader_release(reader);
    store_unlock(store);
}

/* Compare with the session. Lock held. */
static enum reader_news look(struct reader *reader, struct told **told, enum store_found *found)
{
    struct store *store = reader->store;
    const struct store_key key = {STORE_SESSION, reader->topic->owner, reader->topic->id};
    reader->looks = false;
    struct entry *entry = entry_find(store, &key, found);
    if (!entry && *found == STORE_AWAY) return READER_NOTHING;
    if (!entry) return READER_ENDED;
    if (entry->seed != reader->seed || entry->step < reader->seen) { /* another one of its name */
        *found = STORE_NEVER;
        return READER_ENDED;
    }
    if (entry->step == reader->seen) return READER_NOTHING;
    *told = told_new(store, entry->step, entry->reply, entry->reply_bytes);
    if (!*told) return READER_TOO_SLOW;
    reader->seen = entry->step;
    return READER_STEP;
}

enum reader_news reader_next(struct reader *reader, struct told **told, enum store_found *found)
{
    enum reader_news news = READER_NOTHING;
    *told = NULL;
    pthread_mutex_lock(&reader->store->mu);
    while (reader->n && !*told) {
        struct told *next = reader->behind[reader->first];
        reader->first = (reader->first + 1) % READER_BEHIND_MAX;
        reader->n--;
        reader->bytes -= next->bytes;
        if (next->step > reader->seen) {
            *told = next;
            reader->seen = next->step;
        } else told_drop(next);
    }
    if (*told) news = READER_STEP;
    else if (reader->is_too_slow) news = READER_TOO_SLOW;
    else if (reader->looks) news = look(reader, told, found);
    store_unlock(reader->store);
    return news;
}

void reader_look(struct reader *reader)
{
    pthread_mutex_lock(&reader->store->mu);
    reader->looks = true;
    store_unlock(reader->store);
}

void readers_wake(struct store *store)
{
    pthread_mutex_lock(&store->mu);
    for (size_t row = 0; row < TOPIC_ROWS; row++)
        for (struct topic *topic = store->topics[row]; topic; topic = topic->next)
            for (struct reader *reader = topic->readers; reader; reader = reader->next) wake_later(reader);
    store_unlock(store);
}

bool session_is_followed(const struct session_step *step)
{
    struct store *store = step->_store;
    if (!store) return false;
    pthread_mutex_lock(&store->mu);
    bool is_followed = step->_entry && topic_of(store, step->_entry);
    store_unlock(store);
    return is_followed;
}
