#include "server/request/quota.h"

#include <limits.h>
#include <math.h>

static void fill(struct quota *quota, int64_t now_us)
{
    double full = (double)quota->per_minute;
    if (now_us > quota->at_us) quota->level += (double)(now_us - quota->at_us) * full / 60e6;
    if (quota->level > full) quota->level = full;
    quota->at_us = now_us;
}

void quota_init(struct quota *quota, uint64_t per_minute, int64_t now_us)
{
    *quota = (struct quota){.per_minute = per_minute, .level = (double)per_minute, .at_us = now_us};
}

void quota_change(struct quota *quota, uint64_t per_minute, int64_t now_us)
{
    fill(quota, now_us);
    double used = (double)quota->per_minute - quota->level;
    quota->per_minute = per_minute;
    quota->level = (double)per_minute - used;
}

bool quota_charge(struct quota *quota, uint64_t amount, int64_t now_us, unsigned *wait_s)
{
    if (!quota->per_minute) return true;
    fill(quota, now_us);
    double needed = (double)(amount < quota->per_minute ? amount : quota->per_minute);
    if (quota->level >= needed) {
        quota->level -= (double)amount;
        return true;
    }
    double seconds = ceil((needed - quota->level) * 60 / (double)quota->per_minute);
    *wait_s = seconds < 1 ? 1 : seconds < (double)UINT_MAX ? (unsigned)seconds : UINT_MAX;
    return false;
}

void quota_refund(struct quota *quota, uint64_t amount, int64_t now_us)
{
    if (!quota->per_minute) return;
    quota->level += (double)amount;
    fill(quota, now_us);
}
