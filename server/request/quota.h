/* quota: so much a minute, as a token bucket.
 *
 * The bucket holds a minute's worth, is filled at an even rate, and begins full. A charge needs its amount in
 * the bucket. An amount larger than the bucket needs a full bucket; the level then goes negative, and later
 * charges wait until it is positive again. So no amount is impossible, and the mean over time is never above
 * the rate.
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
/* Charge `amount` if the bucket allows it. false: nothing was charged, and the bucket may allow it after
 * *wait_s seconds, at least 1. */
bool quota_charge(struct quota *quota, uint64_t amount, int64_t now_us, unsigned *wait_s);
/* Put back what was charged and not used. */
void quota_refund(struct quota *quota, uint64_t amount, int64_t now_us);

#endif
