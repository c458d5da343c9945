/* room: how much memory this process may have.
 *
 * The smallest of what the machine has and what the process's cgroup, and each cgroup above it, allows
 * (memory.max of version 2, memory.limit_in_bytes of version 1). What cannot be read limits nothing. Any
 * thread. */
#ifndef CAROUSEL_MODELS_ROOM_H
#define CAROUSEL_MODELS_ROOM_H

#include <stdbool.h>
#include <stdint.h>

struct room {
    uint64_t limit;     /* bytes that the process and what shares its limit may use; UINT64_MAX: not known */
    uint64_t available; /* of them, bytes that are not in use, or in use by caches of files alone */
};

void room_read(struct room *out);
/* For tests: look for /proc and /sys below the folder `root` from now on, or, with NULL, at their place.
 * `root` is borrowed. */
void room_look_below(const char *root);

/* Set `bytes` of what is available aside until room_release; false, with nothing set aside, if they are not
 * there. While other threads hold some, wait for them before giving up. *out is what there is. */
bool room_reserve(uint64_t bytes, struct room *out);
void room_release(uint64_t bytes);

/* "346 bytes", "412.3 MiB", "8.0 GiB"; returns out. */
enum { ROOM_TEXT_BYTES = 32 };
const char *room_text(uint64_t bytes, char out[ROOM_TEXT_BYTES]);

#endif
