#include "core/lanes.h"

#include <string.h>

#include "core/memory.h"

enum { FIRST_ROOM = 8 };

struct lane *lanes_find(struct lanes *lanes, const struct network *network)
{
    for (size_t i = 0; i < lanes->n; i++)
        if (lanes->lane[i].network == network) return &lanes->lane[i];
    return NULL;
}

static bool lanes_grow(struct lanes *lanes)
{
    size_t room = lanes->room ? 2 * lanes->room : FIRST_ROOM;
    struct lane *lane = memory_new(room, sizeof *lane);
    if (!lane) return false;
    if (lanes->n) memcpy(lane, lanes->lane, lanes->n * sizeof *lane);
    memory_free(lanes->lane);
    lanes->lane = lane;
    lanes->room = room;
    return true;
}

struct lane *lanes_open(struct lanes *lanes, const struct network *network)
{
    if (lanes->n == lanes->room && !lanes_grow(lanes)) return NULL;
    struct lane *lane = &lanes->lane[lanes->n++];
    *lane = (struct lane){.network = network};
    return lane;
}

void lanes_close(struct lanes *lanes, struct lane *lane)
{
    *lane = lanes->lane[--lanes->n];
}

void lanes_release(struct lanes *lanes)
{
    memory_free(lanes->lane);
    *lanes = (struct lanes){0};
}
