/* The thread: it sleeps in epoll until a socket is ready, a worker rings the bell, or a channel is due. */
#define _GNU_SOURCE /* EPOLLRDHUP */
#include "server/stream/streams.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "core/base/clock.h"
#include "server/stream/channel.h"

enum { N_EVENTS = 64, STOP_MS = 1000, MOST_MS = 60000 };

/* ---- any thread ----------------------------------------------------------------------------- */

void streams_ring(struct streams *streams)
{
    uint64_t one = 1;
    ssize_t written = write(streams->bell, &one, sizeof one);
    (void)written;
}

/* mu held. */
static bool mark_rung(struct streams *streams)
{
    bool rings = !streams->has_rung;
    streams->has_rung = true;
    return rings;
}

bool streams_wake_locked(struct streams *streams, struct channel *channel)
{
    if (!channel->is_woken) {
        channel->is_woken = true;
        channel->next_woken = streams->woken;
        streams->woken = channel;
    }
    return mark_rung(streams);
}

void streams_begin(struct streams *streams, struct channel *channel)
{
    pthread_mutex_lock(&streams->mu);
    bool is_over = streams->is_over, rings = !is_over && mark_rung(streams);
    if (!is_over) {
        channel->next_new = streams->arrived;
        streams->arrived = channel;
    }
    pthread_mutex_unlock(&streams->mu);
    if (rings) streams_ring(streams);
    if (is_over) connection_leave(channel->connection);
}

/* ---- the thread ----------------------------------------------------------------------------- */

/* Take a channel that the HTTP threads have handed over. */
static void take_new(struct streams *streams, struct channel *channel)
{
    struct epoll_event event = {.events = EPOLLIN | EPOLLRDHUP, .data.ptr = channel};
    channel->next = streams->first;
    if (streams->first) streams->first->previous = channel;
    streams->first = channel;
    channel->events = event.events;
    channel->heard_us = channel->pinged_us = channel->asked_us = clock_us();
    /* a message is never held back for a larger packet; a Unix socket does not know that */
    (void)setsockopt(channel->descriptor, IPPROTO_TCP, TCP_NODELAY, &(int){1}, sizeof(int));
    if (epoll_ctl(streams->epoll, EPOLL_CTL_ADD, channel->descriptor, &event)) channel_drop(channel);
}

/* Give a channel back to libmicrohttpd, which closes it; the channel may be gone when this returns. */
static void give_back(struct streams *streams, struct channel *channel)
{
    epoll_ctl(streams->epoll, EPOLL_CTL_DEL, channel->descriptor, NULL);
    if (channel->previous) channel->previous->next = channel->next;
    else streams->first = channel->next;
    if (channel->next) channel->next->previous = channel->previous;
    pthread_mutex_lock(&streams->mu);
    struct channel **at = &streams->woken;
    while (channel->is_woken && *at != channel) at = &(*at)->next_woken;
    if (channel->is_woken) *at = channel->next_woken;
    channel->is_woken = false;
    pthread_mutex_unlock(&streams->mu);
    connection_leave(channel->connection);
}

/* false: the channel has been given back. */
static bool turn(struct streams *streams, struct channel *channel, uint32_t events)
{
    channel_turn(channel, events);
    if (channel_is_over(channel)) {
        give_back(streams, channel);
        return false;
    }
    int64_t due_us = channel_due(channel);
    if (due_us < streams->next_us) streams->next_us = due_us;
    return true;
}

/* Take the lists that other threads have filled: first the new ones, which may be woken already. */
static void take_lists(struct streams *streams)
{
    uint64_t rings;
    ssize_t n = read(streams->bell, &rings, sizeof rings);
    (void)n;
    pthread_mutex_lock(&streams->mu);
    struct channel *arrived = streams->arrived;
    streams->arrived = NULL;
    streams->has_rung = false;
    pthread_mutex_unlock(&streams->mu);
    while (arrived) {
        struct channel *channel = arrived;
        arrived = channel->next_new;
        take_new(streams, channel);
        turn(streams, channel, 0);
    }
    for (;;) {
        pthread_mutex_lock(&streams->mu);
        struct channel *channel = streams->woken;
        if (channel) {
            streams->woken = channel->next_woken;
            channel->is_woken = false;
        }
        pthread_mutex_unlock(&streams->mu);
        if (!channel) return;
        turn(streams, channel, 0);
    }
}

/* Look at every channel that is due, or at all; next_us is exact then. */
static void look(struct streams *streams, bool all)
{
    int64_t now = clock_us();
    streams->next_us = INT64_MAX;
    for (struct channel *channel = streams->first, *next; channel; channel = next) {
        next = channel->next;
        int64_t due_us = channel_due(channel);
        if (all || due_us <= now) turn(streams, channel, 0);
        else if (due_us < streams->next_us) streams->next_us = due_us;
    }
}

static int sleep_ms(int64_t next_us)
{
    int64_t left = next_us == INT64_MAX ? MOST_MS : (next_us - clock_us() + 999) / 1000;
    return left < 0 ? 0 : left > MOST_MS ? MOST_MS : (int)left;
}

/* The end of each phase that main announces. */
static void enter(struct streams *streams, int phase)
{
    for (struct channel *channel = streams->first; channel; channel = channel->next)
        if (phase == STREAMS_CANCELLING) step_cancel(channel);
    look(streams, true);
}

static void *run(void *context)
{
    struct streams *streams = context;
    struct epoll_event events[N_EVENTS];
    int phase = STREAMS_OPEN;
    int64_t stop_us = INT64_MAX;
    while (phase != STREAMS_STOPPING || streams->first) { /* an event frees its own channel only */
        int64_t until_us = streams->next_us < stop_us ? streams->next_us : stop_us;
        int n = epoll_wait(streams->epoll, events, N_EVENTS, sleep_ms(until_us));
        bool is_rung = false;
        for (int i = 0; i < n; i++) {
            if (events[i].data.ptr) turn(streams, events[i].data.ptr, events[i].events);
            else is_rung = true;
        }
        if (is_rung) take_lists(streams);
        int now = atomic_load(&streams->phase);
        if (now != phase) enter(streams, phase = now);
        if (phase == STREAMS_STOPPING && stop_us == INT64_MAX) stop_us = clock_us() + STOP_MS * 1000;
        if (clock_us() >= stop_us) {
            for (struct channel *channel = streams->first; channel; channel = channel->next)
                channel_drop(channel);
            look(streams, true);
            stop_us = clock_us() + STOP_MS * 1000;
        }
        if (clock_us() >= streams->next_us) look(streams, false);
    }
    return NULL;
}

/* ---- life ----------------------------------------------------------------------------------- */

enum status streams_new(struct server *server, struct streams **out, struct error *err)
{
    struct streams *streams = calloc(1, sizeof *streams);
    if (!streams) return error_set(err, STATUS_NO_MEMORY, "no memory for the WebSockets");
    const struct config *config = server->config;
    streams->server = server;
    streams->next_us = INT64_MAX;
    visits_open(&streams->visits, (size_t)config->stream_sockets_per_client);
    pthread_mutex_init(&streams->mu, NULL);
    streams->epoll = epoll_create1(EPOLL_CLOEXEC);
    streams->bell = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    struct epoll_event event = {.events = EPOLLIN};
    streams->is_over = streams->epoll < 0 || streams->bell < 0 ||
                       epoll_ctl(streams->epoll, EPOLL_CTL_ADD, streams->bell, &event) ||
                       pthread_create(&streams->thread, NULL, run, streams);
    if (!streams->is_over) return *out = streams, STATUS_OK;
    int reason = errno;
    streams_free(streams);
    return error_set(err, STATUS_NO_MEMORY, "cannot start the thread of the WebSockets: %s",
                     strerror(reason));
}

static void set_phase(struct streams *streams, enum streams_phase phase)
{
    if (!streams) return;
    atomic_store(&streams->phase, phase);
    streams_ring(streams);
}

void streams_drain(struct streams *streams)
{
    set_phase(streams, STREAMS_DRAINING);
}

void streams_cancel(struct streams *streams)
{
    set_phase(streams, STREAMS_CANCELLING);
}

void streams_stop(struct streams *streams)
{
    if (!streams || streams->is_over) return;
    set_phase(streams, STREAMS_STOPPING);
    pthread_join(streams->thread, NULL);
    pthread_mutex_lock(&streams->mu);
    streams->is_over = true;
    struct channel *arrived = streams->arrived;
    streams->arrived = NULL;
    pthread_mutex_unlock(&streams->mu);
    while (arrived) {
        struct channel *next = arrived->next_new;
        connection_leave(arrived->connection);
        arrived = next;
    }
}

void streams_free(struct streams *streams)
{
    if (!streams) return;
    streams_stop(streams);
    if (streams->epoll >= 0) close(streams->epoll);
    if (streams->bell >= 0) close(streams->bell);
    pthread_mutex_destroy(&streams->mu);
    visits_close(&streams->visits);
    free(streams);
}
