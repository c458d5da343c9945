/* cgroup: the control groups that bound this process, in either version (cgroups(7)).
 *
 * A limit counts in the process's own group and in each group above it, up to the mount. A container often
 * does not see the way from its group to the host's root: folders that are not there are passed over, and the
 * walk ends at the mount. Any thread. */
#ifndef CAROUSEL_MODELS_CGROUP_H
#define CAROUSEL_MODELS_CGROUP_H

#include <stdbool.h>
#include <stdint.h>

typedef void cgroup_visitor(const char *folder, void *context);

/* Call `visit` with the folder of each group that may hold files of `controller` ("cpu", "memory"); a folder
 * may come twice or not exist. /proc and /sys are looked for below `root`, which is "" except in tests. */
void cgroup_visit(const char *root, const char *controller, cgroup_visitor *visit, void *context);

/* Read the number that follows `word` at the beginning of a line of the file; the first number if `word` is
 * "". false if there is none, as for "max". */
bool cgroup_number(const char *folder, const char *name, const char *word, uint64_t *out);

#endif
