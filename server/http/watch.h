/* watch: the attendant, one thread that minds what libmicrohttpd does not.
 *
 * A suspended connection neither times out nor notices that its peer has left, and a body that drips
 * never counts as idle. So every connection has a slot here, with its descriptor, an owner (the request in
 * hand, or NULL between requests) and at most one instant at which something is due:
 *
 *   watch_open -> [watch_assign -> watch_due ... -> watch_release]* -> watch_close
 *
 * - due passes with an owner: due(owner) is called. Without one: the connection is shut down, for it has
 *   been idle, or has been sending headers, for too long.
 * - the peer closes its side: hangup(owner) is called, once, an owner that comes later included. Without an
 *   owner the connection is shut down soon, for libmicrohttpd may have missed it.
 * Both calls come on the attendant's thread, without its lock, and must not block. watch_release and
 * watch_close wait until a call under way has returned: after them the owner may be freed and the descriptor
 * closed. A descriptor stands in the attendant's epoll set only between open and close, while it cannot be
 * reused.
 *
 * Besides, the attendant frees what a worker must not free itself (watch_bury), and reads the rest of
 * bodies that were refused (watch_linger), so that the refusal is not lost in a reset.
 * Functions may be called from any thread; one thread at a time for one slot. */
#ifndef CAROUSEL_SERVER_WATCH_H
#define CAROUSEL_SERVER_WATCH_H

#include <stddef.h>
#include <stdint.h>

#include "core/base/status.h"

struct watch;

enum { WATCH_NONE = -1 };

struct watch_calls {
    void (*due)(void *owner);
    void (*hangup)(void *owner);
};

/* Room for `connections` slots; starts the thread. */
MUST_CHECK enum status watch_start(size_t connections, const struct watch_calls *calls,
                                   struct watch **out, struct error *err);
/* Stops the thread, frees what is buried. All slots must be closed. Takes NULL. */
void watch_stop(struct watch *watch);

/* A slot, or WATCH_NONE if all are taken. due_us: monotonic microseconds, 0 for never. */
int watch_open(struct watch *watch, int descriptor, int64_t due_us);
void watch_assign(struct watch *watch, int slot, void *owner, int64_t due_us);
void watch_due(struct watch *watch, int slot, int64_t due_us);
void watch_release(struct watch *watch, int slot, int64_t due_us);
void watch_close(struct watch *watch, int slot);

/* Call hangup(owner) for every slot with an owner: for the end of a drain. */
void watch_cancel_all(struct watch *watch);

/* What is to be freed: embedded in the thing; bury takes it. */
struct grave {
    void (*free)(struct grave *grave);
    struct grave *next;
};
void watch_bury(struct watch *watch, struct grave *grave);

/* Read and forget what still comes on the connection, for a short while and up to a limit. The
 * descriptor is duplicated; the caller keeps its own. */
void watch_linger(struct watch *watch, int descriptor);

#endif
