/* A quota of version 2 is "QUOTA PERIOD" in cpu.max, of version 1 two files. */
#define _GNU_SOURCE /* sched_getaffinity, CPU_COUNT */
#include "server/processors.h"

#include <inttypes.h>
#include <sched.h>
#include <stdio.h>
#include <unistd.h>

#include "models/text/cgroup.h"

static bool read_quota(const char *group, uint64_t *limit, uint64_t *period)
{
    char prefix[32];
    if (cgroup_number(group, "cpu.max", "", limit)) {
        snprintf(prefix, sizeof prefix, "%" PRIu64, *limit);
        return cgroup_number(group, "cpu.max", prefix, period);
    }
    return cgroup_number(group, "cpu.cfs_quota_us", "", limit) &&
           cgroup_number(group, "cpu.cfs_period_us", "", period);
}

static void take_smallest(const char *group, void *context)
{
    double *smallest = context;
    uint64_t limit, period;
    if (!read_quota(group, &limit, &period) || !limit || !period || limit > INT64_MAX) return;
    double quota = (double)limit / (double)period;
    if (*smallest <= 0 || quota < *smallest) *smallest = quota;
}

double processors_quota(const char *root)
{
    double smallest = 0;
    cgroup_visit(root, "cpu", take_smallest, &smallest);
    return smallest;
}

static size_t allowed_by_affinity(void)
{
    cpu_set_t set;
    long online = sysconf(_SC_NPROCESSORS_ONLN);
    if (sched_getaffinity(0, sizeof set, &set) == 0 && CPU_COUNT(&set) > 0) return (size_t)CPU_COUNT(&set);
    return online > 0 ? (size_t)online : 1;
}

struct processors processors_ours(const char *root)
{
    size_t n = allowed_by_affinity();
    double quota = processors_quota(root);
    struct processors ours = {n, n};
    if (quota <= 0 || quota >= (double)n) return ours;
    ours.whole = quota < 1 ? 1 : (size_t)quota;
    ours.begun = ours.whole + ((double)ours.whole < quota);
    return ours;
}
