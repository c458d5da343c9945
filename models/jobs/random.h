/* random: streams of random numbers that can be named.
 *
 * Every number is a function of (seed, stream, position) alone: the generator is the counter-based
 * Philox4x32-10 (Salmon, Moraes, Dror, Shaw, "Parallel random numbers: as easy as 1, 2, 3", SC 2011).
 * So each choice and each path has a stream of its own that no neighbour can disturb, and
 * starting one costs nothing. Caller's storage; one thread at a time. Nothing here can fail. */
#ifndef CAROUSEL_MODELS_RANDOM_H
#define CAROUSEL_MODELS_RANDOM_H

#include <stdint.h>

struct random {
    uint32_t key[2];     /* the seed, low word first */
    uint32_t counter[4]; /* the position in blocks, then the stream, low words first */
    uint32_t block[4];
    unsigned n_left;     /* of the block's two numbers */
};

/* One block: ten rounds over `counter` under `key`. The published known answers hold for it. */
void random_philox(const uint32_t counter[4], const uint32_t key[2], uint32_t block[4]);

/* The beginning of stream `stream` under `seed`. */
void random_init(struct random *random, uint64_t seed, uint64_t stream);

uint64_t random_bits(struct random *random);
/* In [0, 1), a multiple of 2^-53. One number of bits. */
double random_uniform(struct random *random);
/* Mean 0, variance 1: the inverse of the distribution function, so one number of bits each. */
double random_normal(struct random *random);
/* Mean and variance `shape` > 0 (Marsaglia and Tsang, "A simple method for generating gamma
 * variables", ACM TOMS 26, 2000). */
double random_gamma(struct random *random, double shape);
/* Student's t with `df` > 0 degrees of freedom: normal / sqrt(chi-square(df) / df). */
double random_student_t(struct random *random, double df);

/* x such that a standard normal lies below it with probability p in (0, 1); relative error about
 * 1e-16 (Wichura, "Algorithm AS 241", Applied Statistics 37, 1988). */
double normal_quantile(double p);

#endif
