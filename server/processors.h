/* processors: how many the system lets us use. Any thread. */
#ifndef CAROUSEL_SERVER_PROCESSORS_H
#define CAROUSEL_SERVER_PROCESSORS_H

#include <stddef.h>

struct processors {
    size_t begun; /* a part of one counts as one */
    size_t whole; /* that can all be busy all the time; at least 1 */
};

/* Processors' worth of time that the cgroups allow, 0 if they set no limit. `root` is the folder that holds
 * proc and sys: "" but in tests. */
double processors_quota(const char *root);

/* What affinity and that quota leave us. */
struct processors processors_ours(const char *root);

#endif
