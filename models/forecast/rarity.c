#include "models/forecast/rarity.h"

#include <math.h>
#include <string.h>

#include "core/base/memory.h"

static const double exponent = 3, least_tail = 1, most_reach = 1e100;

struct rarity {
    size_t n, most, oldest;
    double *came;   /* [most] in the order of coming, the oldest one at `oldest` once there is no room */
    double *sorted; /* [most] ascending */
};

struct rarity *rarity_new(size_t most)
{
    struct rarity *past = memory_new(1, sizeof *past);
    if (!past) return NULL;
    past->most = most;
    past->came = memory_new(most, sizeof *past->came);
    past->sorted = memory_new(most, sizeof *past->sorted);
    if (past->came && past->sorted) return past;
    rarity_free(past);
    return NULL;
}

void rarity_free(struct rarity *past)
{
    if (!past) return;
    memory_free(past->came);
    memory_free(past->sorted);
    memory_free(past);
}

/* Return how many of the remembered scores are below this one. */
static size_t n_below(const struct rarity *past, double score)
{
    size_t low = 0, high = past->n;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (past->sorted[middle] < score) low = middle + 1;
        else high = middle;
    }
    return low;
}

static void forget_oldest(struct rarity *past)
{
    size_t at = n_below(past, past->came[past->oldest]);
    past->n--;
    memmove(past->sorted + at, past->sorted + at + 1, (past->n - at) * sizeof *past->sorted);
}

void rarity_add(struct rarity *past, double score)
{
    size_t place = past->n;
    if (past->n == past->most) {
        forget_oldest(past);
        place = past->oldest;
        past->oldest = (past->oldest + 1) % past->most;
    }
    size_t at = n_below(past, score);
    memmove(past->sorted + at + 1, past->sorted + at, (past->n - at) * sizeof *past->sorted);
    past->sorted[at] = score;
    past->came[place] = score;
    past->n++;
}

/* ---- the tail ------------------------------------------------------------------------------- */

struct tail {
    double n, k; /* scores, and those that belong to it */
    double t;    /* where it begins */
};

static struct tail tail_of(const struct rarity *past)
{
    size_t n = past->n, k = n < RARITY_TAIL ? 1 : n / RARITY_TAIL;
    return (struct tail){.n = (double)n, .k = (double)k, .t = fmax(past->sorted[n - k - 1], least_tail)};
}

double rarity_of(const struct rarity *past, double score)
{
    if (past->n < RARITY_LEAST) return NAN;
    struct tail tail = tail_of(past);
    if (score > tail.t) return log10(tail.n / tail.k) + exponent * log10(score / tail.t);
    return log10(tail.n / fmax((double)(past->n - n_below(past, score)), tail.k));
}

/* Return the least count whose share of n scores has a rarity of `level` or less, as rarity_of rounds it. */
static double count_within(double n, double level)
{
    double count = ceil(n * pow(10, -level));
    if (count > 1 && log10(n / (count - 1)) <= level) return count - 1;
    return log10(n / count) > level ? count + 1 : count;
}

double rarity_reach(const struct rarity *past, double level)
{
    if (past->n < RARITY_LEAST) return NAN;
    struct tail tail = tail_of(past);
    double count = count_within(tail.n, level);
    if (count > tail.k) return fmin(past->sorted[past->n - (size_t)count], most_reach);
    return fmin(tail.t * pow(10, fmax(level - log10(tail.n / tail.k), 0) / exponent), most_reach);
}
