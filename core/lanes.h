/* lanes: one worker's riders, in one line a network. The worker's alone.
 *
 * A lane exists while it has riders: whoever takes the last one out closes it. Opening may move the
 * others, so pointers to lanes last until the next lanes_open or lanes_close. */
#ifndef CAROUSEL_CORE_LANES_H
#define CAROUSEL_CORE_LANES_H

#include "core/sequence_list.h"

struct lane {
    const struct network *network; /* borrowed: its riders' */
    struct sequence_list riders;
};

/* Zero is empty. */
struct lanes {
    struct lane *lane; /* [n], owned */
    size_t n, room;
};

struct lane *lanes_find(struct lanes *lanes, const struct network *network); /* or NULL */
struct lane *lanes_open(struct lanes *lanes, const struct network *network); /* NULL: no memory */
void lanes_close(struct lanes *lanes, struct lane *lane);
void lanes_release(struct lanes *lanes);

#endif
