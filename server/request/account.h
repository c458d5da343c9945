/* account: what a request costs its client, and how it is counted. The same for a request of HTTP, which has
 * a connection of its own (server/request/exchange.c), and for a message of a stream (server/stream/step.c).
 *
 * On the request's thread. */
#ifndef CAROUSEL_SERVER_ACCOUNT_H
#define CAROUSEL_SERVER_ACCOUNT_H

#include "server/request/keys.h"
#include "server/request/request.h"

struct account {
    struct client *client; /* whose key it came with, acquired; NULL: no key is needed */
    uint64_t charged_steps;
    bool is_counted;
};

/* Charge the client the steps that the request's operation may take. false: *problem is a 429. */
bool account_charge(struct account *account, struct request *request, struct problem *problem);
/* Give back what was charged and has not been computed, once the operation has finished: if possible before
 * the client has its answer, so that it finds its quota restored. `started`: the operation has been. Any
 * number of times. */
void account_settle(struct account *account, struct request *request, bool started);
/* Count the answer, the first time. */
struct account_bytes { uint64_t in, out; };
void account_count(struct account *account, const struct request *request, unsigned status, bool started,
                   struct account_bytes bytes);

/* A reply that is a problem: let an operation that has answers of others before it, which went well, put them
 * in its place. */
void account_refuse(struct request *request, struct reply *reply);

#endif
