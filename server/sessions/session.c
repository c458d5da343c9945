/* The steps of sessions: one at a time, in the order in which they came.
 *
 *   session_begin -free-----------------------> CURRENT -session_end or session_leave-> OUT
 *        `--------busy-> WAITING -the current one ends, wake-> CURRENT, begun by the next session_begin
 *
 * A step that ends hands the session to the first that waits, which keeps it from one that comes between. */
#include <stdlib.h>
#include <string.h>

#include "server/sessions/entry.h"

enum { OUT, WAITING, ABANDONED, CURRENT };

static enum status status_of(enum vault_answer answer, enum status other_step)
{
    return answer == VAULT_OK ? STATUS_OK : answer == VAULT_NOT ? other_step : STATUS_IO;
}

/* Keep a session that has just been made, as the first of its name. */
static enum status keep_new(struct store *store, struct entry *entry)
{
    enum status status = STATUS_NO_MEMORY;
    if (entry_weigh(store, entry))
        status = status_of(record_write(store, entry, &(uint64_t){VAULT_NO_STEP}), STATUS_BAD_VALUE);
    if (status != STATUS_OK) entry_remove(store, entry, STORE_NEVER);
    return status;
}

enum status session_new(struct store *store, const struct store_key *key, struct model *model,
                        struct state *state, uint64_t seed, int64_t ttl_s, int64_t *expires_s)
{
    enum store_found found;
    enum status status = STATUS_NO_MEMORY;
    pthread_mutex_lock(&store->mu);
    if (entry_find(store, key, &found)) status = STATUS_BAD_VALUE;
    else if (found == STORE_AWAY) status = STATUS_IO;
    else {
        struct entry *entry = entry_new(store, key, model, ttl_s);
        if (entry) {
            entry->state = state_acquire(state);
            entry->seed = seed;
            *expires_s = entry->expires_s;
            status = keep_new(store, entry);
        }
    }
    store_unlock(store);
    return status;
}

/* The step that the session took last, asked for again by the same request. */
static bool is_again(const struct entry *entry, const struct session_step *step)
{
    return step->has_step && entry->step > 0 && step->step == entry->step - 1 &&
           hash_equal(step->body, entry->body);
}

static enum session_answer repeat(struct entry *entry, struct store_view *view, struct session_reply *reply)
{
    if (entry->reply && (reply->text = malloc(entry->reply_bytes))) {
        memcpy(reply->text, entry->reply, entry->reply_bytes);
        reply->bytes = entry->reply_bytes;
    }
    state_drop(view->state);
    view->state = state_acquire(entry->before);
    return SESSION_AGAIN;
}

static enum session_answer wait_for(struct store *store, struct entry *entry, struct session_step *step)
{
    struct session_step **at = &entry->waiting;
    if (!step->wake || entry->n_waiting >= store->options.waiting) return SESSION_BUSY;
    while (*at) at = &(*at)->_next;
    *at = step;
    step->_next = NULL;
    step->_place = WAITING;
    step->_entry = entry;
    step->_store = store;
    entry->n_waiting++;
    store->stats.waiting++;
    return SESSION_WAITS;
}

/* Hand the session to the first that waits and is still wanted. Return those to be woken. */
static struct session_step *hand_over(struct store *store, struct entry *entry)
{
    struct session_step *list = entry->waiting, **at = &list;
    entry->current = NULL;
    while (*at && (*at)->_place == ABANDONED) {
        (*at)->_entry = NULL;
        at = &(*at)->_next;
    }
    struct session_step *next = *at;
    entry->waiting = next ? next->_next : NULL;
    if (!next) return list;
    next->_next = NULL;
    next->_place = CURRENT;
    entry->current = next;
    entry->n_waiting--;
    store->stats.waiting--;
    return list;
}

struct session_step *entry_dismiss(struct store *store, struct entry *entry)
{
    struct session_step *list = entry->waiting;
    for (struct session_step *step = list; step; step = step->_next) step->_entry = NULL;
    store->stats.waiting -= entry->n_waiting;
    entry->waiting = NULL;
    entry->n_waiting = 0;
    return list;
}

void session_wake(struct session_step *list)
{
    while (list) {
        struct session_step *next = list->_next;
        list->wake(list->context);
        list = next;
    }
}

/* There is no room for the step, or the vault did not take it. What a vault has counts, and the next request
 * reads it again; without one the session is gone. Return those to be woken. */
static struct session_step *forget(struct store *store, struct entry *entry)
{
    struct session_step *woken = entry_dismiss(store, entry);
    store->is_closing = true;
    entry_remove(store, entry, store->options.vault ? STORE_NEVER : STORE_EXPIRED);
    store->is_closing = false;
    return woken;
}

enum session_answer session_begin(struct store *store, const struct store_key *key, struct session_step *step,
                                  enum store_found *found, struct store_view *view,
                                  struct session_reply *reply)
{
    enum session_answer answer;
    *view = (struct store_view){0};
    *reply = (struct session_reply){0};
    pthread_mutex_lock(&store->mu);
    struct entry *entry = entry_find(store, key, found);
    bool is_current = entry && entry->current == step;
    if (!entry) answer = SESSION_GONE;
    else if (!is_again(entry, step) && entry->current && !is_current) answer = wait_for(store, entry, step);
    else {
        entry_touch(store, entry);
        entry_view(entry, view);
        if (is_again(entry, step)) answer = repeat(entry, view, reply);
        else if (step->has_step && step->step != entry->step) answer = SESSION_MISMATCH;
        else {
            entry->current = step;
            step->_place = CURRENT;
            step->_entry = entry;
            step->_store = store;
            answer = SESSION_BEGUN;
        }
    }
    store_unlock(store);
    return answer;
}

enum status session_end(struct session_step *step, struct state *state, const char *reply,
                        size_t reply_bytes, uint64_t *now_step, int64_t *expires_s)
{
    struct store *store = step->_store;
    struct session_step *woken = NULL;
    enum status status = STATUS_BAD_VALUE;
    if (!store) return status;
    pthread_mutex_lock(&store->mu);
    struct entry *entry = step->_place == CURRENT ? step->_entry : NULL;
    if (entry) {
        state_drop(entry->before);
        entry->before = entry->state;
        entry->state = state_acquire(state);
        entry->step++;
        memcpy(entry->body, step->body, sizeof entry->body);
        free(entry->reply);
        bool keeps = reply && !step->is_streamed && reply_bytes <= store->options.reply_bytes;
        entry->reply = keeps ? malloc(reply_bytes + 1) : NULL;
        entry->reply_bytes = entry->reply ? reply_bytes : 0;
        if (entry->reply) memcpy(entry->reply, reply, reply_bytes);
        entry_touch(store, entry);
        *now_step = entry->step;
        *expires_s = entry->expires_s;
        step->_place = OUT;
        step->_entry = NULL;
        status = STATUS_NO_MEMORY;
        if (entry_weigh(store, entry))
            status = status_of(record_write(store, entry, &(uint64_t){entry->step - 1}), STATUS_CANCELLED);
        if (status == STATUS_OK) readers_tell(store, entry, reply, reply_bytes);
        woken = status == STATUS_OK ? hand_over(store, entry) : forget(store, entry);
    }
    store_unlock(store);
    session_wake(woken);
    return status;
}

void session_abandon(struct session_step *step)
{
    struct store *store = step->_store;
    if (!store) return;
    pthread_mutex_lock(&store->mu);
    if (step->_place == WAITING && step->_entry) {
        step->_place = ABANDONED;
        step->_entry->n_waiting--;
        store->stats.waiting--;
    }
    pthread_mutex_unlock(&store->mu); /* the caller may hold a lock, and no reader has news of it */
}

void session_leave(struct session_step *step)
{
    struct store *store = step->_store;
    struct session_step *woken = NULL;
    if (!store) return;
    pthread_mutex_lock(&store->mu);
    if (step->_place == CURRENT && step->_entry) woken = hand_over(store, step->_entry);
    step->_place = OUT;
    step->_entry = NULL;
    store_unlock(store);
    session_wake(woken);
}
