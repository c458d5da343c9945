#include "core/scheduler/lanes.h"

#include <string.h>

#include "core/base/memory.h"

enum { FIRST_ROOM = 8 };

/* ---- the lanes of a worker ------------------------------------------------------------------- */

struct lane *lanes_find(struct lanes *lanes, const struct network *network)
{
    for (size_t i = 0; i < lanes->n; i++)
        if (lanes->lane[i].network == network) return &lanes->lane[i];
    return NULL;
}

/* Twice the room for an array of `room` items; NULL: no memory, and the array is as it was. */
static void *grown(void *array, size_t *room, size_t size)
{
    size_t larger = *room ? 2 * *room : FIRST_ROOM;
    void *block = memory_new(larger, size);
    if (!block) return NULL;
    if (*room) memcpy(block, array, *room * size);
    memory_free(array);
    *room = larger;
    return block;
}

struct lane *lanes_open(struct lanes *lanes, const struct network *network)
{
    if (lanes->n == lanes->room) {
        struct lane *larger = grown(lanes->lane, &lanes->room, sizeof *larger);
        if (!larger) return NULL;
        lanes->lane = larger;
    }
    struct lane *lane = &lanes->lane[lanes->n++];
    lane->network = network;
    lane->n = lane->n_seats = lane->n_clients = lane->next = 0;
    return lane;
}

void lanes_count(const struct lanes *lanes, uint64_t family, size_t *seats, size_t *clients)
{
    *seats = *clients = 0;
    for (size_t i = 0; i < lanes->n; i++) {
        if (network_family(lanes->lane[i].network) != family) continue;
        *seats += lanes->lane[i].n_seats;
        *clients += lanes->lane[i].n_clients;
    }
}

void lanes_close(struct lanes *lanes, struct lane *lane)
{
    struct lane *last = &lanes->lane[--lanes->n], closed = *lane;
    *lane = *last;
    *last = closed;
}

void lanes_release(struct lanes *lanes)
{
    for (size_t i = 0; i < lanes->room; i++) memory_free(lanes->lane[i].client);
    memory_free(lanes->lane);
    *lanes = (struct lanes){0};
}

/* ---- the riders of a lane --------------------------------------------------------------------- */

static struct lane_client *client_find(struct lane *lane, uint32_t number)
{
    for (size_t i = 0; i < lane->n_clients; i++)
        if (lane->client[i].number == number) return &lane->client[i];
    return NULL;
}

static struct lane_client *client_open(struct lane *lane, uint32_t number)
{
    struct lane_client *client = client_find(lane, number);
    if (client) return client;
    if (lane->n_clients == lane->room) {
        struct lane_client *larger = grown(lane->client, &lane->room, sizeof *larger);
        if (!larger) return NULL;
        lane->client = larger;
    }
    client = &lane->client[lane->n_clients++];
    *client = (struct lane_client){.number = number};
    return client;
}

bool lane_seat(struct lane *lane, struct sequence *sequence)
{
    struct lane_client *client = client_open(lane, sequence->client);
    if (!client) return false;
    list_push(&client->riders, sequence);
    lane->n++;
    lane->n_seats += sequence_seats(sequence);
    return true;
}

/* Seats that a client fills before the next one does. */
static int64_t turn_of(const struct sequence *sequence)
{
    return sequence->weight ? sequence->weight : 1;
}

/* The client that gives the next rider, with credit for it; *before is what it had. A client whose last rider
 * took more seats than it had credit for is passed over until it has made up for them. */
static struct lane_client *lane_next_client(struct lane *lane, int64_t *before)
{
    for (;;) {
        struct lane_client *client = &lane->client[lane->next];
        const struct sequence *first = client->riders.head;
        *before = client->credit;
        if (first && client->credit <= 0) client->credit += turn_of(first);
        if (first && client->credit > 0) return client;
        if (!first && client->credit > 0) client->credit = 0;
        lane->next = (lane->next + 1) % lane->n_clients;
    }
}

/* Deficit round robin (Shreedhar, Varghese, SIGCOMM 1995): a rider is as large as its seats. */
struct sequence *lane_pop(struct lane *lane)
{
    if (!lane->n) return NULL;
    int64_t before;
    struct lane_client *client = lane_next_client(lane, &before);
    struct sequence *sequence = list_pop(&client->riders);
    size_t seats = sequence_seats(sequence);
    sequence->_credit = before;
    lane->n--;
    lane->n_seats -= seats;
    client->credit -= (int64_t)seats;
    if (client->credit <= 0) lane->next = (lane->next + 1) % lane->n_clients;
    return sequence;
}

void lane_put_back(struct lane *lane, struct sequence_list *riders)
{
    struct sequence *sequence;
    while ((sequence = riders->tail)) {
        struct lane_client *client = client_find(lane, sequence->client);
        list_remove(riders, sequence);
        list_push_front(&client->riders, sequence);
        lane->n++;
        lane->n_seats += sequence_seats(sequence);
        lane->next = (size_t)(client - lane->client);
        client->credit = sequence->_credit;
    }
}

void lane_tidy(struct lane *lane)
{
    size_t kept = 0, next = 0;
    for (size_t i = 0; i < lane->n_clients; i++) {
        if (i == lane->next) next = kept;
        if (lane->client[i].riders.n) lane->client[kept++] = lane->client[i];
    }
    lane->n_clients = kept;
    lane->next = next < kept ? next : 0;
}
