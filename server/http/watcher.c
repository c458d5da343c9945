/* The watcher's thread: an epoll set, a table of slots, a list of what is to be freed.
 *
 * watcher.mu guards everything in struct watcher; no other lock is taken under it, and it is not held while
 * the owner's functions run. A slot is `busy` during such a call; release and close wait for its end. Events
 * carry slot and generation, so that one fetched before its slot was closed finds no owner.
 *
 * Instants are few and mostly far away, so there is no heap: next_due_us is a lower bound of all of them, and
 * the table is searched when it has passed. */
#define _GNU_SOURCE /* EPOLLRDHUP */
#include "server/http/watcher.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "core/base/clock.h"

enum {
    N_EVENTS = 64, N_LINGERERS = 64,
    LINGER_US = 2000000, LEFT_US = 1000000, LINGER_BYTES = 64 << 20, LINGER_CHUNK = 65536
};
#define NEVER INT64_MAX
#define BELL UINT64_MAX /* the eventfd's event */

enum slot_kind { SLOT_FREE, SLOT_CONNECTION, SLOT_LINGERER };

struct slot {
    enum slot_kind kind;
    int descriptor;
    uint32_t generation;
    bool in_set, armed, busy;
    bool left;        /* the peer has closed its side */
    void *owner;
    int64_t due_us;   /* NEVER: none */
    size_t discarded; /* lingerer: bytes */
    int next_free;
};

struct watcher {
    pthread_mutex_t mu;
    pthread_cond_t calmed; /* some slot is no longer busy */
    pthread_t thread;
    struct watcher_calls calls;
    int epoll, bell;
    bool stopping;
    bool asleep;         /* in epoll_wait, until next_due_us at the latest */
    int64_t next_due_us; /* no slot is due before this */
    struct free_later *to_free;
    struct slot *slots;
    size_t n_slots;
    int free_slot[3];    /* by kind: first free slot of its part of the table */
};

static void ring(struct watcher *watcher)
{
    uint64_t one = 1;
    ssize_t written = write(watcher->bell, &one, sizeof one);
    (void)written;
}

/* mu held. */
static void set_due(struct watcher *watcher, struct slot *slot, int64_t due_us)
{
    slot->due_us = due_us ? due_us : NEVER;
    if (slot->due_us >= watcher->next_due_us) return;
    watcher->next_due_us = slot->due_us;
    if (watcher->asleep) ring(watcher);
    watcher->asleep = false;
}

/* mu held. */
static int take_slot(struct watcher *watcher, enum slot_kind kind, int descriptor)
{
    int index = watcher->free_slot[kind];
    if (index == WATCHER_NONE) return WATCHER_NONE;
    struct slot *slot = &watcher->slots[index];
    watcher->free_slot[kind] = slot->next_free;
    *slot = (struct slot){
        .kind = kind, .descriptor = descriptor, .generation = slot->generation, .due_us = NEVER};
    return index;
}

/* mu held. */
static void give_slot(struct watcher *watcher, int index)
{
    struct slot *slot = &watcher->slots[index];
    if (slot->in_set) epoll_ctl(watcher->epoll, EPOLL_CTL_DEL, slot->descriptor, NULL);
    slot->next_free = watcher->free_slot[slot->kind];
    watcher->free_slot[slot->kind] = index;
    slot->kind = SLOT_FREE;
    slot->generation++;
    slot->owner = NULL;
    slot->due_us = NEVER;
}

/* mu held. */
static bool arm(struct watcher *watcher, int index, uint32_t events)
{
    struct slot *slot = &watcher->slots[index];
    struct epoll_event event = {.events = events,
                                .data.u64 = (uint64_t)slot->generation << 32 | (uint32_t)index};
    if (slot->armed) return true;
    int operation = slot->in_set ? EPOLL_CTL_MOD : EPOLL_CTL_ADD;
    slot->armed = epoll_ctl(watcher->epoll, operation, slot->descriptor, &event) == 0;
    slot->in_set |= slot->armed;
    return slot->armed;
}

static void wait_calm(struct watcher *watcher, struct slot *slot)
{
    while (slot->busy) pthread_cond_wait(&watcher->calmed, &watcher->mu);
}

/* ---- the thread ----------------------------------------------------------------------------- */

/* mu held; released during the call. */
static void call_owner(struct watcher *watcher, struct slot *slot, void (*call)(void *))
{
    wait_calm(watcher, slot); /* at the end of a drain two threads make such calls */
    void *owner = slot->owner;
    if (!owner) return;
    slot->busy = true;
    pthread_mutex_unlock(&watcher->mu);
    call(owner);
    pthread_mutex_lock(&watcher->mu);
    slot->busy = false;
    pthread_cond_broadcast(&watcher->calmed);
}

static void end_linger(struct watcher *watcher, struct slot *slot)
{
    int descriptor = slot->descriptor;
    give_slot(watcher, (int)(slot - watcher->slots));
    close(descriptor);
}

static void discard(struct watcher *watcher, struct slot *slot)
{
    char bytes[LINGER_CHUNK];
    ssize_t n = recv(slot->descriptor, bytes, sizeof bytes, MSG_DONTWAIT);
    if (n > 0) slot->discarded += (size_t)n;
    if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR) || slot->discarded > LINGER_BYTES)
        end_linger(watcher, slot);
}

static void handle_event(struct watcher *watcher, const struct epoll_event *event)
{
    if (event->data.u64 == BELL) {
        uint64_t rings;
        ssize_t n = read(watcher->bell, &rings, sizeof rings);
        (void)n;
        return;
    }
    struct slot *slot = &watcher->slots[(uint32_t)event->data.u64];
    if (slot->kind == SLOT_FREE || slot->generation != (uint32_t)(event->data.u64 >> 32)) return;
    if (slot->kind == SLOT_LINGERER) {
        discard(watcher, slot);
        return;
    }
    slot->armed = false;
    slot->left = true;
    if (slot->owner) call_owner(watcher, slot, watcher->calls.hangup);
    else set_due(watcher, slot, clock_us() + LEFT_US);
}

/* Everything that is due by now; leaves next_due_us exact or early. */
static void handle_due(struct watcher *watcher)
{
    int64_t now = clock_us();
    if (now < watcher->next_due_us) return;
    watcher->next_due_us = NEVER;
    for (size_t i = 0; i < watcher->n_slots; i++) {
        struct slot *slot = &watcher->slots[i];
        if (slot->due_us > now) {
            if (slot->due_us < watcher->next_due_us) watcher->next_due_us = slot->due_us;
            continue;
        }
        slot->due_us = NEVER;
        if (slot->kind == SLOT_LINGERER) end_linger(watcher, slot);
        else if (slot->owner) call_owner(watcher, slot, watcher->calls.due);
        else shutdown(slot->descriptor, SHUT_RDWR);
    }
}

/* mu held; released while freeing. */
static void free_waiting(struct watcher *watcher)
{
    struct free_later *item = watcher->to_free;
    watcher->to_free = NULL;
    if (!item) return;
    pthread_mutex_unlock(&watcher->mu);
    while (item) {
        struct free_later *next = item->next;
        item->free(item);
        item = next;
    }
    pthread_mutex_lock(&watcher->mu);
}

static int sleep_ms(const struct watcher *watcher)
{
    if (watcher->next_due_us == NEVER) return -1;
    int64_t left = (watcher->next_due_us - clock_us() + 999) / 1000;
    return left < 0 ? 0 : left > 60000 ? 60000 : (int)left;
}

static void *watcher_run(void *context)
{
    struct watcher *watcher = context;
    struct epoll_event events[N_EVENTS];
    pthread_mutex_lock(&watcher->mu);
    while (!watcher->stopping) {
        int ms = watcher->to_free ? 0 : sleep_ms(watcher);
        watcher->asleep = true;
        pthread_mutex_unlock(&watcher->mu);
        int n = epoll_wait(watcher->epoll, events, N_EVENTS, ms);
        pthread_mutex_lock(&watcher->mu);
        watcher->asleep = false;
        for (int i = 0; i < n; i++) handle_event(watcher, &events[i]);
        handle_due(watcher);
        free_waiting(watcher);
    }
    free_waiting(watcher);
    pthread_mutex_unlock(&watcher->mu);
    return NULL;
}

/* ---- life ----------------------------------------------------------------------------------- */

static void thread_up_slots(struct watcher *watcher, enum slot_kind kind, size_t first, size_t last)
{
    watcher->free_slot[kind] = WATCHER_NONE;
    for (size_t i = last; i-- > first;) {
        watcher->slots[i] = (struct slot){.due_us = NEVER, .next_free = watcher->free_slot[kind]};
        watcher->free_slot[kind] = (int)i;
    }
}

static void watcher_free(struct watcher *watcher)
{
    if (watcher->epoll >= 0) close(watcher->epoll);
    if (watcher->bell >= 0) close(watcher->bell);
    pthread_cond_destroy(&watcher->calmed);
    pthread_mutex_destroy(&watcher->mu);
    free(watcher->slots);
    free(watcher);
}

enum status watcher_start(size_t connections, const struct watcher_calls *calls, struct watcher **out,
                          struct error *err)
{
    struct watcher *watcher = calloc(1, sizeof *watcher);
    if (!watcher) return error_set(err, STATUS_NO_MEMORY, "no memory for the watcher");
    pthread_mutex_init(&watcher->mu, NULL);
    pthread_cond_init(&watcher->calmed, NULL);
    watcher->calls = *calls;
    watcher->next_due_us = NEVER;
    watcher->n_slots = connections + N_LINGERERS;
    watcher->slots = calloc(watcher->n_slots, sizeof *watcher->slots);
    watcher->epoll = epoll_create1(EPOLL_CLOEXEC);
    watcher->bell = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    struct epoll_event event = {.events = EPOLLIN, .data.u64 = BELL};
    bool ready = watcher->slots && watcher->epoll >= 0 && watcher->bell >= 0 &&
                 epoll_ctl(watcher->epoll, EPOLL_CTL_ADD, watcher->bell, &event) == 0;
    if (ready) {
        thread_up_slots(watcher, SLOT_CONNECTION, 0, connections);
        thread_up_slots(watcher, SLOT_LINGERER, connections, watcher->n_slots);
        ready = pthread_create(&watcher->thread, NULL, watcher_run, watcher) == 0;
    }
    if (!ready) {
        watcher_free(watcher);
        return error_set(err, STATUS_NO_MEMORY, "cannot start the watcher: %s", strerror(errno));
    }
    *out = watcher;
    return STATUS_OK;
}

void watcher_stop(struct watcher *watcher)
{
    if (!watcher) return;
    pthread_mutex_lock(&watcher->mu);
    watcher->stopping = true;
    pthread_mutex_unlock(&watcher->mu);
    ring(watcher);
    pthread_join(watcher->thread, NULL);
    for (size_t i = 0; i < watcher->n_slots; i++)
        if (watcher->slots[i].kind == SLOT_LINGERER) close(watcher->slots[i].descriptor);
    watcher_free(watcher);
}

/* ---- slots ---------------------------------------------------------------------------------- */

int watcher_open(struct watcher *watcher, int descriptor, int64_t due_us)
{
    pthread_mutex_lock(&watcher->mu);
    int slot = take_slot(watcher, SLOT_CONNECTION, descriptor);
    if (slot != WATCHER_NONE) {
        set_due(watcher, &watcher->slots[slot], due_us);
        arm(watcher, slot, EPOLLRDHUP | EPOLLONESHOT);
    }
    pthread_mutex_unlock(&watcher->mu);
    return slot;
}

void watcher_assign(struct watcher *watcher, int slot, void *owner, int64_t due_us)
{
    pthread_mutex_lock(&watcher->mu);
    watcher->slots[slot].owner = owner;
    set_due(watcher, &watcher->slots[slot], due_us);
    if (watcher->slots[slot].left)
        arm(watcher, slot, EPOLLRDHUP | EPOLLONESHOT); /* this owner has not been told */
    pthread_mutex_unlock(&watcher->mu);
}

void watcher_due(struct watcher *watcher, int slot, int64_t due_us)
{
    pthread_mutex_lock(&watcher->mu);
    set_due(watcher, &watcher->slots[slot], due_us);
    pthread_mutex_unlock(&watcher->mu);
}

void watcher_release(struct watcher *watcher, int slot, int64_t due_us)
{
    pthread_mutex_lock(&watcher->mu);
    wait_calm(watcher, &watcher->slots[slot]);
    watcher->slots[slot].owner = NULL;
    set_due(watcher, &watcher->slots[slot], watcher->slots[slot].left ? clock_us() + LEFT_US : due_us);
    pthread_mutex_unlock(&watcher->mu);
}

void watcher_close(struct watcher *watcher, int slot)
{
    pthread_mutex_lock(&watcher->mu);
    wait_calm(watcher, &watcher->slots[slot]);
    give_slot(watcher, slot);
    pthread_mutex_unlock(&watcher->mu);
}

void watcher_cancel_all(struct watcher *watcher)
{
    pthread_mutex_lock(&watcher->mu);
    for (size_t i = 0; i < watcher->n_slots; i++) {
        struct slot *slot = &watcher->slots[i];
        wait_calm(watcher, slot);
        if (slot->kind == SLOT_CONNECTION && slot->owner) call_owner(watcher, slot, watcher->calls.hangup);
    }
    pthread_mutex_unlock(&watcher->mu);
}

void watcher_free_later(struct watcher *watcher, struct free_later *item)
{
    pthread_mutex_lock(&watcher->mu);
    item->next = watcher->to_free;
    watcher->to_free = item;
    if (watcher->asleep) ring(watcher);
    watcher->asleep = false;
    pthread_mutex_unlock(&watcher->mu);
}

void watcher_linger(struct watcher *watcher, int descriptor)
{
    int copy = fcntl(descriptor, F_DUPFD_CLOEXEC, 0);
    if (copy < 0) return;
    pthread_mutex_lock(&watcher->mu);
    int slot = take_slot(watcher, SLOT_LINGERER, copy);
    if (slot == WATCHER_NONE) close(copy);
    else {
        set_due(watcher, &watcher->slots[slot], clock_us() + LINGER_US);
        if (!arm(watcher, slot, EPOLLIN)) end_linger(watcher, &watcher->slots[slot]);
    }
    pthread_mutex_unlock(&watcher->mu);
}
