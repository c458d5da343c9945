/* wire: what libmicrohttpd receives, with a struct framing before it.
 *
 * libmicrohttpd gives no sight of a request's own bytes, only of what it made of them. It receives by calls
 * of recv and, under TLS, gnutls_record_recv, which the dynamic linker looks for in the program first. So the
 * program has functions of these names, in wire.c and tls.c: on a descriptor that is attached they give what
 * the framing lets through, on any other they do what the libraries' own would do. Should libmicrohttpd come
 * to receive by another call, then no request would have passed the framing, which server/http/http.c finds
 * out before it serves the first one.
 *
 * libmicrohttpd waits for an edge of epoll after each call that gives less than it asked for. So a call goes
 * on until it has given all that was asked for, or nothing is left to receive, which a plain
 * socket shows by giving less.
 *
 * attach and detach: the thread of the connection, which alone receives on it. */
#ifndef CAROUSEL_SERVER_WIRE_H
#define CAROUSEL_SERVER_WIRE_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "server/http/framing.h"

struct wire {
    struct framing framing;
    bool is_secure;                 /* receives by TLS only */
    void (*received)(void *context); /* after each call that received something */
    void *context;
};

/* Room for descriptors below `n`, for the whole process; without memory returns false. Close: when none is
 * attached. */
bool wire_open(size_t n);
void wire_close(void);

/* The storage stays the caller's. False: the descriptor is too large. */
bool wire_attach(int descriptor, struct wire *wire);
void wire_detach(int descriptor);

/* Receive into `room` bytes: returns more than 0, or, if nothing can be given, what `pull` gave last: 0 at
 * the end, less for a failure. WIRE_NO_MEMORY is no failure of pull's. */
#define WIRE_NO_MEMORY ((ssize_t)-100000)
typedef ssize_t wire_pull(void *source, char *out, size_t room);
struct wire *wire_of(int descriptor, bool is_secure);
ssize_t wire_receive(struct wire *wire, wire_pull *pull, void *source, char *out, size_t room);

#endif
