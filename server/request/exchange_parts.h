/* exchange_parts: the struct of an exchange, and what server/request/arrival.c does of its life. Private to
 * server/request/; server/request/exchange.c tells the life. */
#ifndef CAROUSEL_SERVER_EXCHANGE_PARTS_H
#define CAROUSEL_SERVER_EXCHANGE_PARTS_H

#include <pthread.h>

#include "server/http/watcher.h"
#include "server/request/access.h"
#include "server/request/account.h"
#include "server/request/exchange.h"
#include "server/request/router.h"
#include "server/request/server.h"

enum { EXCHANGE_MAGIC = 0x0ca20531 };

enum phase { PHASE_BODY, PHASE_WAITING, PHASE_STREAMING, PHASE_HANDLING, PHASE_EXPIRED };

struct exchange {
    uint32_t magic;
    struct request request;
    struct free_later free_later;
    struct service *service;
    struct connection *connection;
    char id[REQUEST_ID_BYTES], trace_id[TRACE_ID_BYTES], method[16];
    struct match match;
    struct problem early; /* found before any work was done; told when the body has been read away */
    struct body body;
    const char *allowed_origin; /* whose pages may read the answer, or "*"; NULL: none, or it may not */
    bool has_begun;       /* an operation has been started: the next one is a link of a chain */
    bool preflight;       /* a browser asks whether a page may ask */
    bool in_doubt;        /* it is refused, and the connection closed */
    struct account account;
    const struct takeover *takeover; /* of the connection, which carries HTTP no more; NULL: it does */
    void *owner;
    struct holding held;  /* the answer's part of the total of answers */
    unsigned status;      /* of the answer; 0: none yet */
    uint64_t bytes_in, bytes_out;
    bool working;
    pthread_mutex_t mu;   /* guards the rest, and phase's way out of BODY */
    enum phase phase;
    bool parked, wake_pending, started, finished, cancelled, detached;
};

/* Make the exchange of a request whose headers have come; NULL without memory. */
struct exchange *exchange_make(struct service *service, struct connection *connection, const char *method,
                               const char *path);
/* Return false, with exchange->early filled, if the headers already show something to be wrong. */
bool exchange_check_headers(struct exchange *exchange, const char *path);
/* The longest body that is read. */
uint64_t exchange_most_bytes(const struct exchange *exchange);
/* Whether the body stays unread: without a key, or without one that may, nothing that the client sends is
 * read. */
bool exchange_is_unread(const struct exchange *exchange);

#endif
