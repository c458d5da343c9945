/* rarity: how unusual a score is among the scores that the same series had before it.
 *
 * A restless series has large scores every day, a calm one never. Therefore a score is compared with the
 * last RARITY_PAST scores, n of them. The rarity is -log10 of the share of ordinary values that have a
 * score as large: 3 is once in a thousand values. The k largest scores are the tail, k = n / RARITY_TAIL or
 * 1. The tail begins at t, the largest score below them, or at 1: a value within the interval of 80 % is
 * nothing rare. The share is counted up to t. Beyond t it is taken to fall with the third power of the
 * score:
 *
 *     rarity(x) = log10(n / max(k, how many are x or more))        if x <= t
 *     rarity(x) = log10(n / k) + 3 log10(x / t)                    if x > t
 *
 * The less of a series is known, the further off a value must be. A series that has erred is used to more.
 * To judge a detector's scores by their own past is the idea of Ahmad and Lavin's anomaly likelihood
 * ("Evaluating Real-Time Anomaly Detection Algorithms", 2015), which has a normal distribution in place of
 * the counts. To continue a tail by extreme values is that of Siffer et al. ("Anomaly Detection in Streams
 * with Extreme Value Theory", 2017). Here the exponent is fixed, because one or two scores do not tell it.
 *
 * The result depends on these scores and their order alone, so a series in parts has the rarities of the
 * whole. Pure; one thread at a time. */
#ifndef CAROUSEL_MODELS_RARITY_H
#define CAROUSEL_MODELS_RARITY_H

#include <stddef.h>

enum {
    RARITY_PAST = 2048, /* scores that are remembered */
    RARITY_LEAST = 50,  /* scores without which nothing is rare */
    RARITY_TAIL = 1000  /* one in so many belongs to the tail */
};

struct rarity;

/* A past without scores, with room for the last `most` of them, 1 to RARITY_PAST. NULL if there is no memory.
 * The caller owns it. */
struct rarity *rarity_new(size_t most);
void rarity_free(struct rarity *past); /* accepts NULL */

/* Remember a score, finite and >= 0; the oldest one is forgotten if there is no room. */
void rarity_add(struct rarity *past, double score);

/* Return the rarity of a score, finite and >= 0, which is not remembered by this: 0 or more, and not falling
 * with the score. NaN if fewer than RARITY_LEAST scores are remembered. */
double rarity_of(const struct rarity *past, double score);

/* Return the score above which the rarity is above `level` (> 0), at most 1e100. NaN if rarity_of gives
 * NaN. */
double rarity_reach(const struct rarity *past, double level);

#endif
