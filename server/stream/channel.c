/* Bytes in, messages, bytes out, and time. */
#define _GNU_SOURCE /* EPOLLRDHUP, explicit_bzero */
#include "server/stream/channel.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "core/base/clock.h"

enum { CLOSING_S = 2 };

static const struct config *config_of(const struct channel *channel)
{
    return channel->streams->server->config;
}

struct channel *channel_new(struct streams *streams, uint64_t message_bytes)
{
    struct channel *channel = calloc(1, sizeof *channel);
    if (!channel) return NULL;
    channel->streams = streams;
    websocket_open(&channel->websocket, message_bytes);
    return channel;
}

void channel_free(struct channel *channel)
{
    struct server *server = channel->streams->server;
    body_release(&channel->message, &server->bodies);
    body_release(&channel->out, &server->replies);
    talk_release(&channel->talk);
    if (channel->authorization) explicit_bzero(channel->authorization, strlen(channel->authorization));
    free(channel->authorization);
    free(channel->rest);
    free(channel);
}

void channel_drop(struct channel *channel)
{
    channel->state = CHANNEL_GONE;
    step_cancel(channel);
}

bool channel_is_over(const struct channel *channel)
{
    return channel->state == CHANNEL_GONE && !channel->step.is_busy;
}

bool channel_is_free(const struct channel *channel)
{
    return channel->sent == channel->out.n;
}

/* ---- bytes out ------------------------------------------------------------------------------ */

static bool send_frame(struct channel *channel, enum websocket_opcode opcode, const char *bytes, size_t n)
{
    struct body_total *total = &channel->streams->server->replies;
    struct problem problem;
    uint8_t head[WEBSOCKET_HEAD_BYTES];
    size_t n_head = websocket_head(opcode, n, head), before = channel->out.n;
    if (channel_is_free(channel)) channel->progress_us = clock_us();
    if (!body_reserve(&channel->out, total, before + n_head + n, &problem)) return false;
    if (body_append(&channel->out, total, (const char *)head, n_head, &problem) &&
        body_append(&channel->out, total, bytes, n, &problem))
        return true;
    channel->out.n = before;
    return false;
}

bool channel_send(struct channel *channel, const char *text, size_t n)
{
    return send_frame(channel, OPCODE_TEXT, text, n);
}

static void send_close(struct channel *channel, enum websocket_code code, const char *reason)
{
    char payload[WEBSOCKET_CONTROL_BYTES];
    size_t n = code == CLOSE_NO_CODE ? 0 : websocket_close_payload(code, reason, payload);
    if (channel->close_is_sent) return;
    channel->close_is_sent = true;
    if (!send_frame(channel, OPCODE_CLOSE, payload, n)) channel_drop(channel);
}

void channel_close(struct channel *channel, enum websocket_code code, const char *reason)
{
    if (channel->state != CHANNEL_OPEN) return;
    channel->state = CHANNEL_CLOSING;
    channel->closing_us = clock_us();
    step_cancel(channel);
    send_close(channel, code, reason);
}

/* Send what waits, as far as the socket takes it. */
static void flush(struct channel *channel)
{
    while (channel->state != CHANNEL_GONE && !channel_is_free(channel)) {
        ssize_t n = send(channel->descriptor, channel->out.bytes + channel->sent,
                         channel->out.n - channel->sent, MSG_DONTWAIT | MSG_NOSIGNAL);
        if (n < 0 && (errno == EAGAIN || errno == EINTR)) return;
        if (n < 0) {
            channel_drop(channel);
            return;
        }
        channel->sent += (size_t)n;
        channel->bytes_out += (uint64_t)n;
        channel->progress_us = clock_us();
    }
    body_release(&channel->out, &channel->streams->server->replies);
    channel->sent = 0;
}

/* ---- bytes in ------------------------------------------------------------------------------- */

static void hear_piece(struct channel *channel, const struct websocket_event *event)
{
    struct problem problem;
    if (channel->state != CHANNEL_OPEN) return;
    if (event->n && !body_append(&channel->message, &channel->streams->server->bodies, event->bytes, event->n,
                                 &problem)) {
        channel_close(channel, CLOSE_TRY_LATER, "there is no memory for the message just now");
        return;
    }
    channel->is_whole = event->is_last;
    channel->is_text = event->is_text;
}

static void hear(struct channel *channel, const struct websocket_event *event)
{
    switch (event->kind) {
    case WEBSOCKET_PIECE: hear_piece(channel, event); break;
    case WEBSOCKET_PING: /* only the last one must be answered (RFC 6455, 5.5.3) */
        channel->has_pong = channel->state == CHANNEL_OPEN;
        channel->n_pong = event->n;
        memcpy(channel->pong, event->bytes, event->n);
        break;
    case WEBSOCKET_CLOSE:
        channel->close_is_heard = true;
        channel_close(channel, event->code, "");
        break;
    case WEBSOCKET_FAULT: channel_close(channel, event->code, event->reason); break;
    case WEBSOCKET_PONG:
    case WEBSOCKET_NOTHING: break;
    }
}

/* Look at bytes[0..n), up to the end of a message that cannot be handled yet; returns how many. */
static size_t digest(struct channel *channel, char *bytes, size_t n)
{
    size_t at = 0;
    while (at < n && !(channel->is_whole && channel->state == CHANNEL_OPEN)) {
        struct websocket_event event;
        at += websocket_read(&channel->websocket, bytes + at, n - at, &event);
        hear(channel, &event);
    }
    return at;
}

/* Keep what was read and not looked at. */
static void keep_rest(struct channel *channel, const char *bytes, size_t n)
{
    if (!n) return;
    channel->rest = malloc(n);
    if (!channel->rest) {
        channel_close(channel, CLOSE_TRY_LATER, "there is no memory for the message just now");
        return;
    }
    memcpy(channel->rest, bytes, n);
    channel->rest_at = 0;
    channel->rest_n = n;
}

static void digest_rest(struct channel *channel)
{
    channel->rest_at += digest(channel, channel->rest + channel->rest_at, channel->rest_n - channel->rest_at);
    if (channel->rest_at < channel->rest_n) return;
    free(channel->rest);
    channel->rest = NULL;
}

/* Whether the socket is read: not while a message waits that cannot be handled yet. */
static bool is_listening(const struct channel *channel)
{
    if (channel->is_read_out || channel->rest) return false;
    return channel->state == CHANNEL_CLOSING || (channel->state == CHANNEL_OPEN && !channel->is_whole);
}

/* Read once; false if nothing has come. */
static bool listen_once(struct channel *channel)
{
    char *buffer = channel->streams->buffer;
    ssize_t n = recv(channel->descriptor, buffer, CHANNEL_READ_BYTES, MSG_DONTWAIT);
    if (n < 0 && (errno == EAGAIN || errno == EINTR)) return false;
    if (n <= 0) {
        channel->is_read_out = true;
        channel_drop(channel);
        return false;
    }
    channel->bytes_in += (uint64_t)n;
    channel->heard_us = clock_us();
    channel->unanswered_us = 0;
    size_t used = digest(channel, buffer, (size_t)n);
    keep_rest(channel, buffer + used, (size_t)n - used);
    return true;
}

/* ---- time ----------------------------------------------------------------------------------- */

static int64_t earlier(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

/* An idle socket: no message is under way, and no answer. */
static bool is_idle(const struct channel *channel)
{
    return channel->state == CHANNEL_OPEN && !channel->step.is_busy && !channel->is_whole &&
           channel_is_free(channel);
}

static int64_t ping_due(const struct channel *channel)
{
    int64_t last = channel->heard_us > channel->pinged_us ? channel->heard_us : channel->pinged_us;
    return last + config_of(channel)->stream_ping_s * 1000000;
}

int64_t channel_due(const struct channel *channel)
{
    const struct config *config = config_of(channel);
    int64_t write_us = config->timeouts_write_s * 1000000, due_us = INT64_MAX;
    if (channel->state == CHANNEL_GONE) return due_us;
    if (channel->state == CHANNEL_CLOSING) return channel->closing_us + CLOSING_S * 1000000;
    if (!channel_is_free(channel)) return channel->progress_us + write_us;
    due_us = ping_due(channel);
    if (channel->unanswered_us) due_us = earlier(due_us, channel->unanswered_us + write_us);
    if (is_idle(channel)) due_us = earlier(due_us, channel->asked_us + config->stream_idle_s * 1000000);
    if (channel->step.is_busy && channel->step.due_us) due_us = earlier(due_us, channel->step.due_us);
    return due_us;
}

static void mind_time(struct channel *channel)
{
    const struct config *config = config_of(channel);
    int64_t now = clock_us(), write_us = config->timeouts_write_s * 1000000;
    if (channel->state == CHANNEL_CLOSING) {
        if (now >= channel->closing_us + CLOSING_S * 1000000) channel_drop(channel);
        return;
    }
    if (!channel_is_free(channel)) { /* a reader that takes nothing */
        if (now >= channel->progress_us + write_us) channel_drop(channel);
        return;
    }
    if (channel->unanswered_us && now >= channel->unanswered_us + write_us) {
        channel_drop(channel);
        return;
    }
    if (is_idle(channel) && now >= channel->asked_us + config->stream_idle_s * 1000000) {
        channel_close(channel, CLOSE_GOING_AWAY, "no message came for so long (stream.idle_s)");
        return;
    }
    if (now < ping_due(channel)) return;
    channel->pinged_us = now;
    if (is_listening(channel) && !channel->unanswered_us) channel->unanswered_us = now;
    if (!send_frame(channel, OPCODE_PING, "", 0)) channel_drop(channel);
}

/* ---- turns ---------------------------------------------------------------------------------- */

/* Handle the message that has come, if its turn is there. */
static bool take_message(struct channel *channel)
{
    struct body body = {0};
    if (!channel->is_whole || channel->state != CHANNEL_OPEN || channel->step.is_busy ||
        !channel_is_free(channel) || atomic_load(&channel->streams->phase) != STREAMS_OPEN)
        return false;
    struct body_total *total = &channel->streams->server->bodies;
    body_move(&body, &channel->message, total);
    channel->is_whole = false;
    talk_hear(channel, channel->is_text, body.bytes ? body.bytes : "", body.n);
    body_release(&body, total);
    channel->asked_us = clock_us();
    return true;
}

static void send_pong(struct channel *channel)
{
    if (!channel->has_pong || channel->state != CHANNEL_OPEN || !channel_is_free(channel)) return;
    channel->has_pong = false;
    if (!send_frame(channel, OPCODE_PONG, channel->pong, channel->n_pong)) channel_drop(channel);
}

/* One thing after the other, until nothing more can be done now. */
static void work(struct channel *channel)
{
    bool may_read = true, goes_on = true;
    while (goes_on && channel->state != CHANNEL_GONE) {
        flush(channel);
        goes_on = step_go_on(channel, clock_us());
        goes_on |= take_message(channel);
        if (goes_on) continue;
        if (channel->rest && !(channel->is_whole && channel->state == CHANNEL_OPEN)) {
            digest_rest(channel);
            goes_on = true;
        } else if (may_read && is_listening(channel)) { /* once a turn: others wait too */
            may_read = false;
            goes_on = listen_once(channel);
        }
        send_pong(channel);
    }
    flush(channel);
}

/* Wait for what can change something. */
static void arm(struct channel *channel)
{
    uint32_t events = (is_listening(channel) ? EPOLLIN : 0u) | (channel->has_left ? 0u : EPOLLRDHUP) |
                      (channel_is_free(channel) ? 0u : EPOLLOUT);
    bool is_gone = channel->state == CHANNEL_GONE; /* a hangup would be told without end */
    if (is_gone) events = 0;
    if (events == channel->events) return;
    struct epoll_event event = {.events = events, .data.ptr = channel};
    channel->events = events;
    int operation = is_gone ? EPOLL_CTL_DEL : EPOLL_CTL_MOD;
    if (epoll_ctl(channel->streams->epoll, operation, channel->descriptor, &event)) channel_drop(channel);
}

void channel_turn(struct channel *channel, uint32_t events)
{
    if (events & EPOLLRDHUP) channel->has_left = true;
    if (events & (EPOLLERR | EPOLLHUP) || (channel->has_left && channel->step.is_busy)) channel_drop(channel);
    mind_time(channel);
    work(channel);
    bool is_draining = atomic_load(&channel->streams->phase) != STREAMS_OPEN;
    if (is_draining && !channel->step.is_busy && channel->state == CHANNEL_OPEN) {
        channel_close(channel, CLOSE_GOING_AWAY, "the server is shutting down");
        flush(channel);
    }
    if (channel->state == CHANNEL_CLOSING && channel->close_is_heard && channel_is_free(channel))
        channel_drop(channel);
    if (channel->state == CHANNEL_GONE) step_go_on(channel, clock_us());
    arm(channel);
}
