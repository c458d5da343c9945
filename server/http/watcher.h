/* watcher: one thread that minds what libmicrohttpd does not.
 *
 * A suspended connection neither times out nor notices that its peer has left, and a body that drips
 * never counts as idle. So every connection has a slot here, with its descriptor, an owner (the request in
 * hand, or NULL between requests) and at most one instant at which something is due:
 *
 *   watcher_open -> [watcher_assign -> watcher_due ... -> watcher_release]* -> watcher_close
 *
 * - due passes with an owner: due(owner) is called. Without one: the connection is shut down, for it has
 *   been idle, or has been sending headers, for too long.
 * - the peer closes its side: hangup(owner) is called, once, an owner that comes later included. Without an
 *   owner the connection is shut down soon, for libmicrohttpd may have missed it.
 * Both calls come on the watcher's thread, without its lock, and must not block. watcher_release and
 * watcher_close wait until a call under way has returned: after them the owner may be freed and the
 * descriptor closed. A descriptor stands in the watcher's epoll set only between open and close, while it
 * cannot be reused.
 *
 * Besides, the watcher frees what a worker must not free itself (watcher_free_later), and reads the rest of
 * bodies that were refused (watcher_linger), so that the refusal is not lost in a reset.
 * Functions may be called from any thread; one thread at a time for one slot. */
#ifndef CAROUSEL_SERVER_WATCHER_H
#define CAROUSEL_SERVER_WATCHER_H

#include <stddef.h>
#include <stdint.h>

#include "core/base/status.h"

struct watcher;

enum { WATCHER_NONE = -1 };

struct watcher_calls {
    void (*due)(void *owner);
    void (*hangup)(void *owner);
};

/* Room for `connections` slots; starts the thread. */
MUST_CHECK enum status watcher_start(size_t connections, const struct watcher_calls *calls,
                                     struct watcher **out, struct error *err);
/* Stops the thread, frees what waits to be freed. All slots must be closed. Accepts NULL. */
void watcher_stop(struct watcher *watcher);

/* A slot, or WATCHER_NONE if all are taken. due_us: monotonic microseconds, 0 for never. */
int watcher_open(struct watcher *watcher, int descriptor, int64_t due_us);
void watcher_assign(struct watcher *watcher, int slot, void *owner, int64_t due_us);
void watcher_due(struct watcher *watcher, int slot, int64_t due_us);
void watcher_release(struct watcher *watcher, int slot, int64_t due_us);
void watcher_close(struct watcher *watcher, int slot);

/* Call hangup(owner) for every slot with an owner: for the end of a drain. */
void watcher_cancel_all(struct watcher *watcher);

/* What is to be freed: embedded in the thing; watcher_free_later is given it. */
struct free_later {
    void (*free)(struct free_later *item);
    struct free_later *next;
};
void watcher_free_later(struct watcher *watcher, struct free_later *item);

/* Read and forget what still comes on the connection, for a short while and up to a limit. The
 * descriptor is duplicated; the caller keeps its own. */
void watcher_linger(struct watcher *watcher, int descriptor);

#endif
