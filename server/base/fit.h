/* fit: limits of memory that are left to the program, derived from the memory that there is. */
#ifndef CAROUSEL_SERVER_FIT_H
#define CAROUSEL_SERVER_FIT_H

#include "server/base/config.h"

/* Give each limit of memory that is 0 its share of `limit` bytes, which the machine or its cgroup allows
 * (models/bundle/room.h). */
void config_fit(struct config *config, uint64_t limit);

/* The memory that requests may take when every limit is used up at once: bodies, jobs, answers being sent,
 * states that are kept, what each HTTP thread reads and prints, and the buffers of the connections. Weights,
 * and a worker's workspace, are not in it. */
uint64_t config_memory(const struct config *config);

#endif
