/* crew: threads that sit in a team until they are dismissed. */
#ifndef CAROUSEL_TESTS_SUPPORT_CREW_H
#define CAROUSEL_TESTS_SUPPORT_CREW_H

#include <pthread.h>

#include "core/network/team.h"

enum { CREW_MAX = 4 }; /* the leader, which is the calling thread, included */

struct crew_member {
    pthread_t thread;
    struct team *team;
    size_t seat;
};

struct crew {
    struct team team;
    struct crew_member members[CREW_MAX];
    size_t n; /* the leader included */
};

/* Start n - 1 members of crew->team, which is open. `crew` is static, and zero before the first start. */
void crew_start(struct crew *crew, size_t n);

/* Wait until all have taken their seats. */
void crew_wait(struct crew *crew);

/* Dismiss the members and wait until they have left. */
void crew_stop(struct crew *crew);

/* The seat of the calling thread; 0 for any thread that is no member. */
size_t crew_seat(void);

#endif
