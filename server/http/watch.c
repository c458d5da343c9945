/* The attendant's thread: an epoll set, a table of slots, a list of graves.
 *
 * watch.mu guards everything in struct watch; no other lock is taken under it, and it is not held while the
 * owner's functions run. A slot is `busy` during such a call; release and close wait for its end. Events
 * carry slot and generation, so that one fetched before its slot was closed finds no owner.
 *
 * Instants are few and mostly far away, so there is no heap: next_due_us is a lower bound of all of them, and
 * the table is searched when it has passed. */
#define _GNU_SOURCE /* EPOLLRDHUP */
#include "server/http/watch.h"

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

struct watch {
    pthread_mutex_t mu;
    pthread_cond_t calmed; /* some slot is no longer busy */
    pthread_t thread;
    struct watch_calls calls;
    int epoll, bell;
    bool stopping;
    bool asleep;         /* in epoll_wait, until next_due_us at the latest */
    int64_t next_due_us; /* no slot is due before this */
    struct grave *graves;
    struct slot *slots;
    size_t n_slots;
    int free_slot[3];    /* by kind: first free slot of its part of the table */
};

static void ring(struct watch *watch)
{
    uint64_t one = 1;
    ssize_t written = write(watch->bell, &one, sizeof one);
    (void)written;
}

/* mu held. */
static void set_due(struct watch *watch, struct slot *slot, int64_t due_us)
{
    slot->due_us = due_us ? due_us : NEVER;
    if (slot->due_us >= watch->next_due_us) return;
    watch->next_due_us = slot->due_us;
    if (watch->asleep) ring(watch);
    watch->asleep = false;
}

/* mu held. */
static int take_slot(struct watch *watch, enum slot_kind kind, int descriptor)
{
    int index = watch->free_slot[kind];
    if (index == WATCH_NONE) return WATCH_NONE;
    struct slot *slot = &watch->slots[index];
    watch->free_slot[kind] = slot->next_free;
    *slot = (struct slot){
        .kind = kind, .descriptor = descriptor, .generation = slot->generation, .due_us = NEVER};
    return index;
}

/* mu held. */
static void give_slot(struct watch *watch, int index)
{
    struct slot *slot = &watch->slots[index];
    if (slot->in_set) epoll_ctl(watch->epoll, EPOLL_CTL_DEL, slot->descriptor, NULL);
    slot->next_free = watch->free_slot[slot->kind];
    watch->free_slot[slot->kind] = index;
    slot->kind = SLOT_FREE;
    slot->generation++;
    slot->owner = NULL;
    slot->due_us = NEVER;
}

/* mu held. */
static bool arm(struct watch *watch, int index, uint32_t events)
{
    struct slot *slot = &watch->slots[index];
    struct epoll_event event = {.events = events,
                                .data.u64 = (uint64_t)slot->generation << 32 | (uint32_t)index};
    if (slot->armed) return true;
    int operation = slot->in_set ? EPOLL_CTL_MOD : EPOLL_CTL_ADD;
    slot->armed = epoll_ctl(watch->epoll, operation, slot->descriptor, &event) == 0;
    slot->in_set |= slot->armed;
    return slot->armed;
}

static void wait_calm(struct watch *watch, struct slot *slot)
{
    while (slot->busy) pthread_cond_wait(&watch->calmed, &watch->mu);
}

/* ---- the thread ----------------------------------------------------------------------------- */

/* mu held; released during the call. */
static void call_owner(struct watch *watch, struct slot *slot, void (*call)(void *))
{
    wait_calm(watch, slot); /* at the end of a drain two threads make such calls */
    void *owner = slot->owner;
    if (!owner) return;
    slot->busy = true;
    pthread_mutex_unlock(&watch->mu);
    call(owner);
    pthread_mutex_lock(&watch->mu);
    slot->busy = false;
    pthread_cond_broadcast(&watch->calmed);
}

static void end_linger(struct watch *watch, struct slot *slot)
{
    int descriptor = slot->descriptor;
    give_slot(watch, (int)(slot - watch->slots));
    close(descriptor);
}

static void discard(struct watch *watch, struct slot *slot)
{
    char bytes[LINGER_CHUNK];
    ssize_t n = recv(slot->descriptor, bytes, sizeof bytes, MSG_DONTWAIT);
    if (n > 0) slot->discarded += (size_t)n;
    if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR) || slot->discarded > LINGER_BYTES)
        end_linger(watch, slot);
}

static void handle_event(struct watch *watch, const struct epoll_event *event)
{
    if (event->data.u64 == BELL) {
        uint64_t rings;
        ssize_t n = read(watch->bell, &rings, sizeof rings);
        (void)n;
        return;
    }
    struct slot *slot = &watch->slots[(uint32_t)event->data.u64];
    if (slot->kind == SLOT_FREE || slot->generation != (uint32_t)(event->data.u64 >> 32)) return;
    if (slot->kind == SLOT_LINGERER) {
        discard(watch, slot);
        return;
    }
    slot->armed = false;
    slot->left = true;
    if (slot->owner) call_owner(watch, slot, watch->calls.hangup);
    else set_due(watch, slot, clock_us() + LEFT_US);
}

/* Everything that is due by now; leaves next_due_us exact or early. */
static void handle_due(struct watch *watch)
{
    int64_t now = clock_us();
    if (now < watch->next_due_us) return;
    watch->next_due_us = NEVER;
    for (size_t i = 0; i < watch->n_slots; i++) {
        struct slot *slot = &watch->slots[i];
        if (slot->due_us > now) {
            if (slot->due_us < watch->next_due_us) watch->next_due_us = slot->due_us;
            continue;
        }
        slot->due_us = NEVER;
        if (slot->kind == SLOT_LINGERER) end_linger(watch, slot);
        else if (slot->owner) call_owner(watch, slot, watch->calls.due);
        else shutdown(slot->descriptor, SHUT_RDWR);
    }
}

/* mu held; released while freeing. */
static void free_graves(struct watch *watch)
{
    struct grave *grave = watch->graves;
    watch->graves = NULL;
    if (!grave) return;
    pthread_mutex_unlock(&watch->mu);
    while (grave) {
        struct grave *next = grave->next;
        grave->free(grave);
        grave = next;
    }
    pthread_mutex_lock(&watch->mu);
}

static int sleep_ms(const struct watch *watch)
{
    if (watch->next_due_us == NEVER) return -1;
    int64_t left = (watch->next_due_us - clock_us() + 999) / 1000;
    return left < 0 ? 0 : left > 60000 ? 60000 : (int)left;
}

static void *watch_run(void *context)
{
    struct watch *watch = context;
    struct epoll_event events[N_EVENTS];
    pthread_mutex_lock(&watch->mu);
    while (!watch->stopping) {
        int ms = watch->graves ? 0 : sleep_ms(watch);
        watch->asleep = true;
        pthread_mutex_unlock(&watch->mu);
        int n = epoll_wait(watch->epoll, events, N_EVENTS, ms);
        pthread_mutex_lock(&watch->mu);
        watch->asleep = false;
        for (int i = 0; i < n; i++) handle_event(watch, &events[i]);
        handle_due(watch);
        free_graves(watch);
    }
    free_graves(watch);
    pthread_mutex_unlock(&watch->mu);
    return NULL;
}

/* ---- life ----------------------------------------------------------------------------------- */

static void thread_up_slots(struct watch *watch, enum slot_kind kind, size_t first, size_t last)
{
    watch->free_slot[kind] = WATCH_NONE;
    for (size_t i = last; i-- > first;) {
        watch->slots[i] = (struct slot){.due_us = NEVER, .next_free = watch->free_slot[kind]};
        watch->free_slot[kind] = (int)i;
    }
}

static void watch_free(struct watch *watch)
{
    if (watch->epoll >= 0) close(watch->epoll);
    if (watch->bell >= 0) close(watch->bell);
    pthread_cond_destroy(&watch->calmed);
    pthread_mutex_destroy(&watch->mu);
    free(watch->slots);
    free(watch);
}

enum status watch_start(size_t connections, const struct watch_calls *calls, struct watch **out,
                        struct error *err)
{
    struct watch *watch = calloc(1, sizeof *watch);
    if (!watch) return error_set(err, STATUS_NO_MEMORY, "no memory for the attendant");
    pthread_mutex_init(&watch->mu, NULL);
    pthread_cond_init(&watch->calmed, NULL);
    watch->calls = *calls;
    watch->next_due_us = NEVER;
    watch->n_slots = connections + N_LINGERERS;
    watch->slots = calloc(watch->n_slots, sizeof *watch->slots);
    watch->epoll = epoll_create1(EPOLL_CLOEXEC);
    watch->bell = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    struct epoll_event event = {.events = EPOLLIN, .data.u64 = BELL};
    bool ready = watch->slots && watch->epoll >= 0 && watch->bell >= 0 &&
                 epoll_ctl(watch->epoll, EPOLL_CTL_ADD, watch->bell, &event) == 0;
    if (ready) {
        thread_up_slots(watch, SLOT_CONNECTION, 0, connections);
        thread_up_slots(watch, SLOT_LINGERER, connections, watch->n_slots);
        ready = pthread_create(&watch->thread, NULL, watch_run, watch) == 0;
    }
    if (!ready) {
        watch_free(watch);
        return error_set(err, STATUS_NO_MEMORY, "cannot start the attendant: %s", strerror(errno));
    }
    *out = watch;
    return STATUS_OK;
}

void watch_stop(struct watch *watch)
{
    if (!watch) return;
    pthread_mutex_lock(&watch->mu);
    watch->stopping = true;
    pthread_mutex_unlock(&watch->mu);
    ring(watch);
    pthread_join(watch->thread, NULL);
    for (size_t i = 0; i < watch->n_slots; i++)
        if (watch->slots[i].kind == SLOT_LINGERER) close(watch->slots[i].descriptor);
    watch_free(watch);
}

/* ---- slots ---------------------------------------------------------------------------------- */

int watch_open(struct watch *watch, int descriptor, int64_t due_us)
{
    pthread_mutex_lock(&watch->mu);
    int slot = take_slot(watch, SLOT_CONNECTION, descriptor);
    if (slot != WATCH_NONE) {
        set_due(watch, &watch->slots[slot], due_us);
        arm(watch, slot, EPOLLRDHUP | EPOLLONESHOT);
    }
    pthread_mutex_unlock(&watch->mu);
    return slot;
}

void watch_assign(struct watch *watch, int slot, void *owner, int64_t due_us)
{
    pthread_mutex_lock(&watch->mu);
    watch->slots[slot].owner = owner;
    set_due(watch, &watch->slots[slot], due_us);
    if (watch->slots[slot].left)
        arm(watch, slot, EPOLLRDHUP | EPOLLONESHOT); /* this owner has not been told */
    pthread_mutex_unlock(&watch->mu);
}

void watch_due(struct watch *watch, int slot, int64_t due_us)
{
    pthread_mutex_lock(&watch->mu);
    set_due(watch, &watch->slots[slot], due_us);
    pthread_mutex_unlock(&watch->mu);
}

void watch_release(struct watch *watch, int slot, int64_t due_us)
{
    pthread_mutex_lock(&watch->mu);
    wait_calm(watch, &watch->slots[slot]);
    watch->slots[slot].owner = NULL;
    set_due(watch, &watch->slots[slot], watch->slots[slot].left ? clock_us() + LEFT_US : due_us);
    pthread_mutex_unlock(&watch->mu);
}

void watch_close(struct watch *watch, int slot)
{
    pthread_mutex_lock(&watch->mu);
    wait_calm(watch, &watch->slots[slot]);
    give_slot(watch, slot);
    pthread_mutex_unlock(&watch->mu);
}

void watch_cancel_all(struct watch *watch)
{
    pthread_mutex_lock(&watch->mu);
    for (size_t i = 0; i < watch->n_slots; i++) {
        struct slot *slot = &watch->slots[i];
        wait_calm(watch, slot);
        if (slot->kind == SLOT_CONNECTION && slot->owner) call_owner(watch, slot, watch->calls.hangup);
    }
    pthread_mutex_unlock(&watch->mu);
}

void watch_bury(struct watch *watch, struct grave *grave)
{
    pthread_mutex_lock(&watch->mu);
    grave->next = watch->graves;
    watch->graves = grave;
    if (watch->asleep) ring(watch);
    watch->asleep = false;
    pthread_mutex_unlock(&watch->mu);
}

void watch_linger(struct watch *watch, int descriptor)
{
    int copy = fcntl(descriptor, F_DUPFD_CLOEXEC, 0);
    if (copy < 0) return;
    pthread_mutex_lock(&watch->mu);
    int slot = take_slot(watch, SLOT_LINGERER, copy);
    if (slot == WATCH_NONE) close(copy);
    else {
        set_due(watch, &watch->slots[slot], clock_us() + LINGER_US);
        if (!arm(watch, slot, EPOLLIN)) end_linger(watch, &watch->slots[slot]);
    }
    pthread_mutex_unlock(&watch->mu);
}
