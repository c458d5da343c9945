#include "models/jobs/random.h"

#include <math.h>
#include <string.h>

void random_philox(const uint32_t counter[4], const uint32_t key[2], uint32_t block[4])
{
    uint32_t c0 = counter[0], c1 = counter[1], c2 = counter[2], c3 = counter[3];
    uint32_t k0 = key[0], k1 = key[1];
    for (int round = 0; round < 10; round++) {
        uint64_t a = (uint64_t)0xD2511F53 * c0, b = (uint64_t)0xCD9E8D57 * c2;
        c0 = (uint32_t)(b >> 32) ^ c1 ^ k0;
        c1 = (uint32_t)b;
        c2 = (uint32_t)(a >> 32) ^ c3 ^ k1;
        c3 = (uint32_t)a;
        k0 += 0x9E3779B9; /* Weyl sequences: the golden ratio, and the square root of 3 less 1 */
        k1 += 0xBB67AE85;
    }
    block[0] = c0;
    block[1] = c1;
    block[2] = c2;
    block[3] = c3;
}

void random_init(struct random *random, uint64_t seed, uint64_t stream)
{
    memset(random, 0, sizeof *random);
    random->key[0] = (uint32_t)seed;
    random->key[1] = (uint32_t)(seed >> 32);
    random->counter[2] = (uint32_t)stream;
    random->counter[3] = (uint32_t)(stream >> 32);
}

uint64_t random_bits(struct random *random)
{
    if (random->n_left == 0) {
        random_philox(random->counter, random->key, random->block);
        if (++random->counter[0] == 0) random->counter[1]++;
        random->n_left = 2;
    }
    const uint32_t *pair = random->block + (random->n_left == 2 ? 0 : 2);
    random->n_left--;
    return (uint64_t)pair[1] << 32 | pair[0];
}

double random_uniform(struct random *random)
{
    return (double)(random_bits(random) >> 11) * 0x1p-53;
}

/* Halfway between two values of random_uniform: never 0, never 1. */
static double uniform_inside(struct random *random)
{
    return ((double)(random_bits(random) >> 12) + 0.5) * 0x1p-52;
}

static double polynomial(const double coefficients[8], double r)
{
    double sum = coefficients[7];
    for (int i = 6; i >= 0; i--) sum = sum * r + coefficients[i];
    return sum;
}

/* PPND16: three rational functions, of p - 1/2 in the middle and of sqrt(-ln p) in the tails. */
double normal_quantile(double p)
{
    static const double a[8] = {
        3.3871328727963666080e0, 1.3314166789178437745e2, 1.9715909503065514427e3,
        1.3731693765509461125e4, 4.5921953931549871457e4, 6.7265770927008700853e4,
        3.3430575583588128105e4, 2.5090809287301226727e3};
    static const double b[8] = {
        1.0, 4.2313330701600911252e1, 6.8718700749205790830e2, 5.3941960214247511077e3,
        2.1213794301586595867e4, 3.9307895800092710610e4, 2.8729085735721942674e4,
        5.2264952788528545610e3};
    static const double c[8] = {
        1.42343711074968357734e0, 4.63033784615654529590e0, 5.76949722146069140550e0,
        3.64784832476320460504e0, 1.27045825245236838258e0, 2.41780725177450611770e-1,
        2.27238449892691845833e-2, 7.74545014278341407640e-4};
    static const double d[8] = {
        1.0, 2.05319162663775882187e0, 1.67638483018380384940e0, 6.89767334985100004550e-1,
        1.48103976427480074590e-1, 1.51986665636164571966e-2, 5.47593808499534494600e-4,
        1.05075007164441684324e-9};
    static const double e[8] = {
        6.65790464350110377720e0, 5.46378491116411436990e0, 1.78482653991729133580e0,
        2.96560571828504891230e-1, 2.65321895265761230930e-2, 1.24266094738807843860e-3,
        2.71155556874348757815e-5, 2.01033439929228813265e-7};
    static const double f[8] = {
        1.0, 5.99832206555887937690e-1, 1.36929880922735805310e-1, 1.48753612908506148525e-2,
        7.86869131145613259100e-4, 1.84631831751005468180e-5, 1.42151175831644588870e-7,
        2.04426310338993978564e-15};
    double q = p - 0.5;
    if (fabs(q) <= 0.425) {
        double r = 0.180625 - q * q;
        return q * polynomial(a, r) / polynomial(b, r);
    }
    double r = sqrt(-log(q < 0 ? p : 1 - p));
    double x = r <= 5 ? polynomial(c, r - 1.6) / polynomial(d, r - 1.6)
                      : polynomial(e, r - 5) / polynomial(f, r - 5);
    return q < 0 ? -x : x;
}

double random_normal(struct random *random)
{
    return normal_quantile(uniform_inside(random));
}

/* With d = shape - 1/3 and c = 1 / sqrt(9 d), d (1 + c x)^3 of a normal x is nearly gamma; it is
 * accepted with the probability that makes it exact. Below shape 1:
 * gamma(shape) = gamma(shape + 1) * uniform^(1 / shape). */
double random_gamma(struct random *random, double shape)
{
    double boost = 1;
    if (shape < 1) {
        boost = pow(uniform_inside(random), 1 / shape);
        shape += 1;
    }
    double d = shape - 1.0 / 3, c = 1 / sqrt(9 * d);
    for (;;) {
        double x = random_normal(random), v = 1 + c * x;
        if (v <= 0) continue;
        v = v * v * v;
        double u = uniform_inside(random);
        if (log(u) < x * x / 2 + d * (1 - v + log(v))) return boost * d * v;
    }
}

double random_student_t(struct random *random, double df)
{
    double normal = random_normal(random);
    double chi_square = 2 * random_gamma(random, df / 2);
    return normal / sqrt(chi_square / df);
}
