/* quota: so much a minute, as a token bucket.
 *
 * The bucket holds a minute's worth and is filled at an even rate; it begins full. Who takes must find as
 * much as he takes, or a full bucket where he takes more than it holds: then the level goes below zero and
 * the debt is paid off before anybody takes again. So nothing is impossible, and the mean over time is never
 * above the rate.
 *
 * Caller's storage, without a lock: one thread at a time. Times are monotonic microseconds. */
#ifndef CAROUSEL_SERVER_QUOTA_H
#define CAROUSEL_SERVER_QUOTA_H

#include <stdbool.h>
#include <stdint.h>

struct quota {
    uint64_t per_minute; /* 0: no quota */
    double level;        /* at that instant */
    int64_t at_us;
};

/* Begin, with a full bucket. */
void quota_init(struct quota *quota, uint64_t per_minute, int64_t now_us);
/* Another rate from now on; what was used stays used. */
void quota_change(struct quota *quota, uint64_t per_minute, int64_t now_us);
/* false: nothing was taken, and it is worth trying again after *wait_s seconds, at least 1. */
bool quota_take(struct quota *quota, uint64_t amount, int64_t now_us, unsigned *wait_s);
/* What was taken and not used. */
void quota_give_back(struct quota *quota, uint64_t amount, int64_t now_us);

#endif
