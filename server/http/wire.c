/* The table of descriptors, and recv. */
#include "server/http/wire.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/socket.h>

/* There is one recv in a process, and it comes without a context. */
static struct wire *_Atomic *table; /* [table_size] */
static size_t table_size;

bool wire_open(size_t n)
{
    table = calloc(n, sizeof *table);
    table_size = table ? n : 0;
    return table != NULL;
}

void wire_close(void)
{
    free(table);
    table = NULL;
    table_size = 0;
}

bool wire_attach(int descriptor, struct wire *wire)
{
    if (descriptor < 0 || (size_t)descriptor >= table_size) return false;
    atomic_store(&table[descriptor], wire);
    return true;
}

void wire_detach(int descriptor)
{
    if (descriptor >= 0 && (size_t)descriptor < table_size) atomic_store(&table[descriptor], NULL);
}

struct wire *wire_of(int descriptor, bool is_secure)
{
    if (descriptor < 0 || (size_t)descriptor >= table_size) return NULL;
    struct wire *wire = atomic_load(&table[descriptor]);
    return wire && wire->is_secure == is_secure ? wire : NULL;
}

ssize_t wire_receive(struct wire *wire, wire_pull *pull, void *source, char *out, size_t room)
{
    struct framing *framing = &wire->framing;
    size_t given = framing_give(framing, out, room);
    ssize_t n = 1;
    bool received = false;
    while (given < room) {
        size_t asked = framing_direct(framing, room - given);
        bool direct = asked > 0;
        char *into = direct ? out + given : framing_room(framing, &asked);
        n = into ? pull(source, into, asked) : WIRE_NO_MEMORY;
        if (n <= 0) break;
        received = true;
        bool was_all = (size_t)n < asked && !wire->is_secure; /* a record of TLS ends where it likes */
        if (direct) {
            framing_pass(framing, (size_t)n);
            given += (size_t)n;
        } else framing_take(framing, (size_t)n);
        given += framing_give(framing, out + given, room - given);
        if (!was_all) continue;
        n = -1;
        errno = EAGAIN;
        break;
    }
    int reason = errno;
    if (n <= 0) framing_give(framing, NULL, 0); /* its room is not needed */
    if (received) wire->received(wire->context);
    errno = reason;
    return given ? (ssize_t)given : n;
}

static ssize_t pull_plain(void *source, char *out, size_t room)
{
    return recvfrom(*(int *)source, out, room, 0, NULL, NULL);
}

ssize_t recv(int descriptor, void *out, size_t room, int flags)
{
    struct wire *wire = flags ? NULL : wire_of(descriptor, false);
    if (!wire || !room) return recvfrom(descriptor, out, room, flags, NULL, NULL);
    ssize_t n = wire_receive(wire, pull_plain, &descriptor, out, room);
    if (n != WIRE_NO_MEMORY) return n;
    errno = ENOMEM;
    return -1;
}
