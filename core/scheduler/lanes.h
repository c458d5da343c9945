/* lanes: one worker's riders, in one lane a network, and which of them rides next. The worker's alone.
 *
 * A lane keeps the riders of each client apart, and clients take turns at giving the next rider: one each, or
 * as many as the client's weight says. So a client's seats are its part of the turn, however many riders it
 * has: a request that forks into sixteen fills its own client's seats with them, and no other's. A rider with
 * several seats counts as so many riders.
 *
 * A lane exists while it has riders: the caller that removes the last one closes it. Opening may move the
 * others, so pointers to lanes last until the next lanes_open or lanes_close. */
#ifndef CAROUSEL_CORE_LANES_H
#define CAROUSEL_CORE_LANES_H

#include "core/scheduler/sequence_list.h"

struct lane_client {
    uint32_t number; /* sequence->client of these riders */
    int64_t credit;  /* seats that it may still fill before the next client does; below 0: filled ahead */
    struct sequence_list riders;
};

struct lane {
    const struct network *network; /* borrowed: its riders' */
    size_t n, n_seats;             /* riders, and the seats that they take */
    struct lane_client *client;    /* [n_clients] in the order of their turns, owned */
    size_t n_clients, room, next;  /* next: the client that gives the next rider */
};

/* Zero is empty. */
struct lanes {
    struct lane *lane; /* [n], owned; those from n to room keep their memory for the next that are opened */
    size_t n, room;
};

struct lane *lanes_find(struct lanes *lanes, const struct network *network); /* or NULL */
struct lane *lanes_open(struct lanes *lanes, const struct network *network); /* NULL: no memory */
/* Seats and clients of all lanes whose networks are of this family; a client counts once in each lane. */
void lanes_count(const struct lanes *lanes, uint64_t family, size_t *seats, size_t *clients);
void lanes_close(struct lanes *lanes, struct lane *lane);
void lanes_release(struct lanes *lanes);

/* Put `sequence` behind the other riders of its client. false: no memory, which can only be for the first
 * rider of a client that the lane does not know. */
bool lane_seat(struct lane *lane, struct sequence *sequence);
/* Take out the next rider; NULL if there is none. The lane knows the rider's client until lane_tidy. */
struct sequence *lane_pop(struct lane *lane);
/* Undo lane_pop for all of `riders`, which were the last to be taken out, in this order. */
void lane_put_back(struct lane *lane, struct sequence_list *riders);
/* Forget the clients that have no riders left. */
void lane_tidy(struct lane *lane);

#endif
