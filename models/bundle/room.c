#include "models/bundle/room.h"

#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>

#include "models/text/cgroup.h"

/* What a version of cgroups calls its files. */
static const struct version {
    const char *limit, *usage;
    const char *caches; /* the word of memory.stat that counts what can be dropped at once */
} versions[] = {
    {"memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"},
    {"memory.max", "memory.current", "inactive_file"},
};
enum { N_VERSIONS = sizeof versions / sizeof *versions };

/* Stands before /proc and /sys. */
static const char *root = "";

static void at_most(uint64_t *value, uint64_t bound)
{
    if (*value > bound) *value = bound;
}

static void read_group(const char *folder, void *context)
{
    struct room *room = context;
    for (const struct version *version = versions; version < versions + N_VERSIONS; version++) {
        uint64_t limit, used = 0, caches = 0;
        if (!cgroup_number(folder, version->limit, "", &limit)) continue; /* not there, or "max" */
        if (cgroup_number(folder, version->usage, "", &used))
            (void)cgroup_number(folder, "memory.stat", version->caches, &caches);
        used -= caches < used ? caches : used;
        at_most(&room->limit, limit);
        at_most(&room->available, limit > used ? limit - used : 0);
    }
}

void room_look_below(const char *folder)
{
    root = folder ? folder : "";
}

void room_read(struct room *out)
{
    enum { FOLDER_BYTES = 1024 };
    char proc[FOLDER_BYTES];
    uint64_t kib;
    *out = (struct room){UINT64_MAX, UINT64_MAX};
    snprintf(proc, sizeof proc, "%s/proc", root);
    if (cgroup_number(proc, "meminfo", "MemTotal:", &kib)) out->limit = kib * 1024;
    if (cgroup_number(proc, "meminfo", "MemAvailable:", &kib)) out->available = kib * 1024;
    cgroup_visit(root, "memory", read_group, out);
    at_most(&out->available, out->limit);
}

static pthread_mutex_t mu = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t released = PTHREAD_COND_INITIALIZER;
static uint64_t reserved; /* guarded by mu */

bool room_reserve(uint64_t bytes, struct room *out)
{
    pthread_mutex_lock(&mu);
    for (room_read(out); reserved > 0; room_read(out)) {
        if (reserved <= out->available && bytes <= out->available - reserved) break;
        pthread_cond_wait(&released, &mu);
    }
    bool fits = bytes <= out->available;
    if (fits) reserved += bytes;
    pthread_mutex_unlock(&mu);
    return fits;
}

void room_release(uint64_t bytes)
{
    pthread_mutex_lock(&mu);
    reserved -= bytes;
    pthread_cond_broadcast(&released);
    pthread_mutex_unlock(&mu);
}

const char *room_text(uint64_t bytes, char out[ROOM_TEXT_BYTES])
{
    static const char *const units[] = {"KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
    double value = (double)bytes / 1024;
    size_t i = 0;
    for (; value >= 1000 && i + 1 < sizeof units / sizeof *units; i++) value /= 1024;
    if (bytes < 1024) snprintf(out, ROOM_TEXT_BYTES, "%" PRIu64 " bytes", bytes);
    else snprintf(out, ROOM_TEXT_BYTES, "%.1f %s", value, units[i]);
    return out;
}
