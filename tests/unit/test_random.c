#include "models/jobs/random.h"

#include <check.h>
#include <math.h>
#include <stdlib.h>

/* ---- contracts ---- */

/* From the file kat_vectors of Random123, the authors' own library: philox4x32, 10 rounds. */
START_TEST(philox_gives_the_published_answers)
{
    static const struct {
        uint32_t counter[4], key[2], block[4];
    } known[] = {
        {{0, 0, 0, 0}, {0, 0}, {0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}},
        {{0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff},
         {0xffffffff, 0xffffffff},
         {0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}},
        {{0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344},
         {0xa4093822, 0x299f31d0},
         {0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}},
    };
    for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
        uint32_t block[4];
        random_philox(known[i].counter, known[i].key, block);
        ck_assert_mem_eq(block, known[i].block, sizeof block);
    }
}
END_TEST

START_TEST(a_stream_is_blocks_in_turn)
{
    const uint64_t seed = 0x0123456789abcdef, stream = 0xfedcba9876543210;
    struct random random;
    random_init(&random, seed, stream);
    for (uint32_t at = 0; at < 5; at++) {
        uint32_t block[4];
        random_philox((uint32_t[]){at, 0, 0x76543210, 0xfedcba98},
                      (uint32_t[]){0x89abcdef, 0x01234567}, block);
        ck_assert_uint_eq(random_bits(&random), (uint64_t)block[1] << 32 | block[0]);
        ck_assert_uint_eq(random_bits(&random), (uint64_t)block[3] << 32 | block[2]);
    }
}
END_TEST

START_TEST(the_counter_carries)
{
    struct random random;
    random_init(&random, 1, 2);
    random.counter[0] = UINT32_MAX;
    (void)random_bits(&random);
    ck_assert_uint_eq(random.counter[0], 0);
    ck_assert_uint_eq(random.counter[1], 1);
    ck_assert_uint_eq(random.counter[2], 2);
}
END_TEST

START_TEST(streams_and_seeds_differ)
{
    struct random a, b, c, again;
    random_init(&a, 7, 0);
    random_init(&b, 7, 1);
    random_init(&c, 8, 0);
    random_init(&again, 7, 0);
    for (int i = 0; i < 100; i++) {
        uint64_t x = random_bits(&a);
        ck_assert_uint_ne(x, random_bits(&b));
        ck_assert_uint_ne(x, random_bits(&c));
        ck_assert_uint_eq(x, random_bits(&again));
    }
}
END_TEST

/* Python 3.11's statistics.NormalDist().inv_cdf, which implements the same paper. */
START_TEST(normal_quantiles)
{
    static const struct { double p, x; } known[] = {
        {0.5, 0.0},
        {0.75, 0.6744897501960817},
        {0.975, 1.9599639845400536},
        {0.025, -1.9599639845400538},
        {0.999, 3.090232306167813},
        {1e-10, -6.361340902404056},
        {1e-300, -37.0470962993612},
        {0.924999, 1.4395244066035215},
        {0.925001, 1.4395385353452304},
    };
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        ck_assert_double_eq_tol(normal_quantile(known[i].p), known[i].x,
                                1e-15 + 1e-14 * fabs(known[i].x));
    for (double p = 1e-6; p < 1; p += 1e-3) { /* against erfc, which is the C library's */
        double x = normal_quantile(p);
        ck_assert_double_eq_tol(0.5 * erfc(-x / sqrt(2)), p, 1e-14);
    }
}
END_TEST

/* ---- distributions, over fixed seeds ---- */

enum { N = 200000 };

static double samples[N];

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return x < y ? -1 : x > y;
}

/* The first two moments, within five standard errors. */
static void check_moments(double mean, double variance, double kurtosis)
{
    double sum = 0, squares = 0;
    for (int i = 0; i < N; i++) sum += samples[i];
    for (int i = 0; i < N; i++) squares += (samples[i] - sum / N) * (samples[i] - sum / N);
    ck_assert_double_eq_tol(sum / N, mean, 5 * sqrt(variance / N));
    ck_assert_double_eq_tol(squares / N, variance, 5 * variance * sqrt((kurtosis - 1) / N));
}

/* Kolmogorov and Smirnov: sqrt(N) times the largest distance is over 2.0 once in 1500 times. */
static void check_distribution(double (*below)(double))
{
    qsort(samples, N, sizeof *samples, by_value);
    double most = 0;
    for (int i = 0; i < N; i++) {
        most = fmax(most, fabs(below(samples[i]) - (double)i / N));
        most = fmax(most, fabs(below(samples[i]) - (double)(i + 1) / N));
    }
    ck_assert_double_lt(most * sqrt(N), 2.0);
}

static double uniform_below(double x) { return x; }
static double normal_below(double x) { return 0.5 * erfc(-x / sqrt(2)); }
static double exponential_below(double x) { return 1 - exp(-x); }
static double gamma2_below(double x) { return 1 - exp(-x) * (1 + x); }
/* Student's t with 2 degrees of freedom has a closed form. */
static double t2_below(double x) { return 0.5 + x / (2 * sqrt(2 + x * x)); }

START_TEST(uniform_numbers)
{
    struct random random;
    random_init(&random, 1, 0);
    for (int i = 0; i < N; i++) {
        samples[i] = random_uniform(&random);
        ck_assert(samples[i] >= 0 && samples[i] < 1);
    }
    check_moments(0.5, 1.0 / 12, 1.8);
    check_distribution(uniform_below);
}
END_TEST

START_TEST(normal_numbers)
{
    struct random random;
    random_init(&random, 2, 0);
    for (int i = 0; i < N; i++) samples[i] = random_normal(&random);
    check_moments(0, 1, 3);
    check_distribution(normal_below);
}
END_TEST

START_TEST(gamma_numbers)
{
    static const double shapes[] = {0.3, 1, 2, 7.5, 300};
    struct random random;
    for (size_t k = 0; k < sizeof shapes / sizeof *shapes; k++) {
        random_init(&random, 3, k);
        for (int i = 0; i < N; i++) {
            samples[i] = random_gamma(&random, shapes[k]);
            ck_assert_double_ge(samples[i], 0);
        }
        check_moments(shapes[k], shapes[k], 3 + 6 / shapes[k]);
        if (shapes[k] == 1) check_distribution(exponential_below);
        if (shapes[k] == 2) check_distribution(gamma2_below);
    }
}
END_TEST

START_TEST(student_t_numbers)
{
    struct random random;
    random_init(&random, 4, 0);
    for (int i = 0; i < N; i++) samples[i] = random_student_t(&random, 2);
    check_distribution(t2_below);
    for (int i = 0; i < N; i++) samples[i] = random_student_t(&random, 10);
    check_moments(0, 10.0 / 8, 3 + 6.0 / 6);
}
END_TEST

/* Streams side by side are as independent as one stream: their first numbers are uniform too. */
START_TEST(first_numbers_of_streams)
{
    for (int i = 0; i < N; i++) {
        struct random random;
        random_init(&random, 5, (uint64_t)i);
        samples[i] = random_uniform(&random);
    }
    check_distribution(uniform_below);
}
END_TEST

Suite *random_suite(void);

Suite *random_suite(void)
{
    Suite *suite = suite_create("random");
    TCase *core = tcase_create("core");
    tcase_add_test(core, philox_gives_the_published_answers);
    tcase_add_test(core, a_stream_is_blocks_in_turn);
    tcase_add_test(core, the_counter_carries);
    tcase_add_test(core, streams_and_seeds_differ);
    tcase_add_test(core, normal_quantiles);
    suite_add_tcase(suite, core);
    TCase *distributions = tcase_create("distributions");
    tcase_set_timeout(distributions, 30);
    tcase_add_test(distributions, uniform_numbers);
    tcase_add_test(distributions, normal_numbers);
    tcase_add_test(distributions, gamma_numbers);
    tcase_add_test(distributions, student_t_numbers);
    tcase_add_test(distributions, first_numbers_of_streams);
    suite_add_tcase(suite, distributions);
    return suite;
}
