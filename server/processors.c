/* How many processors are ours: the smaller of what affinity (cpusets too) and the cgroup's quota allow. */
#define _GNU_SOURCE /* sched_getaffinity, CPU_COUNT */
#include <sched.h>
#include <stdio.h>
#include <unistd.h>

#include "server/serve.h"

/* Processors' worth of the quota, rounded up; 0 where there is none. */
static size_t quota(void)
{
    long long limit = 0, period = 0;
    FILE *file = fopen("/sys/fs/cgroup/cpu.max", "r");
    if (file) {
        if (fscanf(file, "%lld %lld", &limit, &period) != 2) limit = 0; /* "max 100000" */
        fclose(file);
    } else if ((file = fopen("/sys/fs/cgroup/cpu/cpu.cfs_quota_us", "r"))) {
        if (fscanf(file, "%lld", &limit) != 1) limit = 0;
        fclose(file);
        if ((file = fopen("/sys/fs/cgroup/cpu/cpu.cfs_period_us", "r"))) {
            if (fscanf(file, "%lld", &period) != 1) period = 0;
            fclose(file);
        }
    }
    return limit > 0 && period > 0 ? (size_t)((limit + period - 1) / period) : 0;
}

size_t server_processors(void)
{
    cpu_set_t set;
    long online = sysconf(_SC_NPROCESSORS_ONLN);
    size_t n = online > 0 ? (size_t)online : 1, allowed = quota();
    if (sched_getaffinity(0, sizeof set, &set) == 0 && CPU_COUNT(&set) > 0) n = (size_t)CPU_COUNT(&set);
    return allowed && allowed < n ? allowed : n;
}
