/* series: values to steps against what PyTorch computed (once, in float32), outputs to distributions
 * against their definitions. */
#include "models/forecast/series.h"

#include <check.h>
#include <float.h>
#include <math.h>
#include <string.h>

/* ---- values to steps ---- */

enum { N_INPUTS = 9, N = 6 };

static const double values[N] = {NAN, 2, -4, NAN, 8.5, 0};

static struct forecast_spec spec_of(enum scaling_type scaling)
{
    static const enum forecast_input kinds[] = {INPUT_VALUE, INPUT_MISSING, INPUT_DIFFERENCE,
                                                INPUT_RATIO, INPUT_ASINH, INPUT_LOG_SCALE,
                                                INPUT_POSITION, INPUT_LAG, INPUT_LAG};
    struct forecast_spec spec = {.context_length = N, .scaling = {.type = scaling, .minimum = 1e-6},
                                 .n_inputs = N_INPUTS, .output = OUTPUT_MEAN};
    for (size_t i = 0; i < N_INPUTS; i++) spec.inputs[i].kind = kinds[i];
    spec.inputs[7].lag = 1;
    spec.inputs[8].lag = 3;
    return spec;
}

/* Printed by PyTorch for the values above, in float32. */
static const struct {
    enum scaling_type scaling;
    double mean, scale;
    float features[N][N_INPUTS];
} known[] = {
    {SCALING_STANDARD, 1.625, 4.519056797027588, {
        {0, 1, 0, 0, 0, 1.5083033f, 0, 0, 0},
        {0.082981914f, 0, 0.082981914f, 0, 0.082886972f, 1.5083033f, 0.015625f, 0, 0},
        {-1.2447288f, 0, -1.3277107f, -8, -1.0442959f, 1.5083033f, 0.03125f, 0.082981914f, 0},
        {-1.2447288f, 1, 0, 1, -1.0442959f, 1.5083033f, 0.046875f, -1.2447288f, 0},
        {1.5213351f, 0, 2.7660639f, -1.2222222f, 1.2065399f, 1.5083033f, 0.0625f, -1.2447288f,
         0.082981914f},
        {-0.35958833f, 0, -1.8809235f, -0.23636365f, -0.35225797f, 1.5083033f, 0.078125f, 1.5213351f,
         -1.2447288f}}},
    {SCALING_MEAN_ABS, 0, 3.625, {
        {0, 1, 0, 0, 0, 1.2878543f, 0, 0, 0},
        {0.55172414f, 0, 0.55172414f, 0, 0.52699065f, 1.2878543f, 0.015625f, 0, 0},
        {-1.1034483f, 0, -1.6551723f, -2, -0.95266449f, 1.2878543f, 0.03125f, 0.55172414f, 0},
        {-1.1034483f, 1, 0, 1, -0.95266449f, 1.2878543f, 0.046875f, -1.1034483f, 0},
        {2.3448277f, 0, 3.448276f, -2.125f, 1.5880075f, 1.2878543f, 0.0625f, -1.1034483f,
         0.55172414f},
        {0, 0, -2.3448277f, 0, 0, 1.2878543f, 0.078125f, 2.3448277f, -1.1034483f}}},
};

START_TEST(steps_are_what_training_saw)
{
    struct forecast_spec spec = spec_of(known[_i].scaling);
    struct series_scale scale = series_scale_of(&spec, values, N);
    ck_assert_double_eq_tol(scale.mean, known[_i].mean, 1e-6);
    ck_assert_double_eq_tol(scale.scale, known[_i].scale, 1e-6);
    double z[N];
    float features[N * N_INPUTS];
    series_features(&spec, &scale, values, N, z, features);
    for (size_t i = 0; i < N * N_INPUTS; i++)
        ck_assert_float_eq_tol(features[i], known[_i].features[i / N_INPUTS][i % N_INPUTS], 2e-6f);
}
END_TEST

START_TEST(fixed_scales)
{
    struct forecast_spec spec = spec_of(SCALING_NONE);
    struct series_scale scale = series_scale_of(&spec, values, N);
    ck_assert_double_eq(scale.mean, 0);
    ck_assert_double_eq(scale.scale, 1);
    spec.scaling.type = SCALING_CONSTANT;
    spec.scaling.mean = 5;
    spec.scaling.scale = 2;
    scale = series_scale_of(&spec, values, N);
    double z[N];
    series_scaled(&scale, values, N, z);
    const double expected[N] = {0, -1.5, -4.5, -4.5, 1.75, -2.5};
    ck_assert_mem_eq(z, expected, sizeof z);
}
END_TEST

START_TEST(a_scale_has_a_least_value)
{
    const double flat[] = {7, 7, 7}, zeros[] = {0, 0, NAN};
    struct forecast_spec spec = spec_of(SCALING_STANDARD);
    struct series_scale scale = series_scale_of(&spec, flat, 3);
    ck_assert_double_eq(scale.mean, 7);
    ck_assert_double_eq(scale.scale, 1e-6);
    spec.scaling.type = SCALING_MEAN_ABS;
    spec.scaling.minimum = 0.5;
    ck_assert_double_eq(series_scale_of(&spec, zeros, 3).scale, 0.5);
}
END_TEST

/* A movement that is small beside its level is measured from the least value, so that all of it reaches the
 * network; any other series is not touched, and neither is a constant one. */
START_TEST(a_level_leaves_before_floats)
{
    const double high[] = {1000000001, NAN, 1000000002, 1000000003, 1000000004}, low[] = {-4, -3, -2};
    const double constant[] = {7, 7, 7}, below[] = {-1000000004, -1000000003, -1000000002};
    struct forecast_spec spec = spec_of(SCALING_MEAN_ABS);
    ck_assert_double_eq(series_scale_of(&spec, high, 5).mean, 0);
    spec.scaling.level = 0.001;
    struct series_scale scale = series_scale_of(&spec, high, 5);
    ck_assert_double_eq(scale.mean, 1000000001);
    ck_assert_double_eq(scale.scale, 1.5);
    double z[5];
    float features[5 * N_INPUTS];
    series_features(&spec, &scale, high, 5, z, features);
    ck_assert_float_eq_tol(features[3 * N_INPUTS], 4 / 3.f, 1e-6f);
    ck_assert_double_eq(series_scale_of(&spec, below, 3).mean, -1000000004);
    ck_assert_double_eq(series_scale_of(&spec, low, 3).mean, 0);
    ck_assert_double_eq(series_scale_of(&spec, constant, 3).mean, 0);
    ck_assert_double_eq(series_scale_of(&spec, constant, 3).scale, 7);
}
END_TEST

/* A path looks back over the border between what was read and what it wrote itself. */
START_TEST(a_path_goes_on_where_reading_ended)
{
    struct forecast_spec spec = spec_of(SCALING_NONE);
    const struct series_scale scale = {.mean = 0, .scale = 1};
    double all[100], z[100];
    float expected[100 * N_INPUTS], features[N_INPUTS];
    for (int t = 0; t < 100; t++) all[t] = sin(t) * t;
    series_features(&spec, &scale, all, 100, z, expected);
    for (size_t n_read = 1; n_read <= 100; n_read += 9) {
        const struct series_past past = {.read = all, .n_read = n_read, .path = all + n_read};
        for (size_t t = 0; t < 100; t++) {
            series_step(&spec, &scale, &past, t, false, features);
            ck_assert_mem_eq(features, expected + t * N_INPUTS, sizeof features);
        }
    }
    ck_assert_float_eq(expected[99 * N_INPUTS + 6], 1); /* the position stands still at 64 */
}
END_TEST

START_TEST(features_stay_finite)
{
    struct forecast_spec spec = spec_of(SCALING_NONE);
    const struct series_scale scale = {.mean = 0, .scale = 1};
    const double huge[] = {-(double)FLT_MAX, (double)FLT_MAX, 1e-7, (double)FLT_MAX};
    double z[4];
    float features[4 * N_INPUTS];
    series_features(&spec, &scale, huge, 4, z, features);
    for (size_t i = 0; i < 4 * N_INPUTS; i++) ck_assert(isfinite(features[i]));
    ck_assert_float_eq(features[N_INPUTS + 2], FLT_MAX);
    ck_assert_float_eq(features[3 * N_INPUTS + 3], 0); /* no ratio to almost nothing */
}
END_TEST

/* ---- outputs to distributions ---- */

static double softplus(double x) { return log(1 + exp(x)); }

START_TEST(distributions_of_each_type)
{
    struct forecast_spec spec = {.output = OUTPUT_MEAN};
    const double z[] = {1, 3};
    const struct series_past past = {.read = z, .n_read = 2};
    const float outputs[] = {0.25f, -1, 2};
    struct series_distribution d;
    ck_assert_uint_eq(series_n_outputs(&spec), 1);
    series_distribution_read(&spec, &past, 1, outputs, &d);
    ck_assert_double_eq(series_distribution_mean(&d), 0.25);
    spec.residual_last = true;
    spec.output = OUTPUT_NORMAL;
    ck_assert_uint_eq(series_n_outputs(&spec), 2);
    series_distribution_read(&spec, &past, 1, outputs, &d);
    ck_assert_double_eq(series_distribution_mean(&d), 3.25);
    ck_assert_double_eq_tol(d.scale, softplus(-1) + 1e-6, 1e-15);
    spec.output = OUTPUT_STUDENT_T;
    ck_assert_uint_eq(series_n_outputs(&spec), 3);
    series_distribution_read(&spec, &past, 1, outputs, &d);
    ck_assert_double_eq(series_distribution_mean(&d), 3.25);
    ck_assert_double_eq_tol(d.df, 2 + softplus(2), 1e-14);
    const float extreme[] = {0, 1e30f, -1e30f};
    series_distribution_read(&spec, &past, 1, extreme, &d);
    ck_assert_double_eq(d.scale, (double)1e30f + 1e-6);
    ck_assert_double_eq(d.df, 2);
}
END_TEST

START_TEST(a_basis_replaces_the_location)
{
    struct forecast_spec spec = {.output = OUTPUT_NORMAL, .n_basis = 4};
    spec.basis[0].kind = BASIS_LAG;
    spec.basis[1].kind = BASIS_LAG;
    spec.basis[1].lag = 2;
    spec.basis[2].kind = BASIS_GEOMETRIC;
    spec.basis[3].kind = BASIS_ONE;
    ck_assert_uint_eq(series_n_outputs(&spec), 5);
    const double z[] = {2, 4, 8, 0, 5, 1e-3};
    const struct series_past past = {.read = z, .n_read = 6};
    const float outputs[] = {1, 10, 100, 1000, 0};
    const double expected[] = {
        2 + 0 + 0 + 1000,
        4 + 0 + 100 * 8 + 1000,
        8 + 20 + 100 * 16 + 1000,
        0 + 40 + 0 + 1000,
        5 + 80 + 0 + 1000,             /* no ratio to zero */
        1e-3 + 0 + 100 * 2e-7 + 1000,
    };
    struct series_distribution d;
    for (size_t t = 0; t < 6; t++) {
        series_distribution_read(&spec, &past, t, outputs, &d);
        ck_assert_double_eq_tol(d.location, expected[t], 1e-9);
        ck_assert_double_eq_tol(d.scale, log(2) + 1e-6, 1e-15);
    }
    const double steep[] = {1e-4, -3};
    const struct series_past leap = {.read = steep, .n_read = 2};
    series_distribution_read(&spec, &leap, 1, (float[]){0, 0, 1, 0, 0}, &d);
    ck_assert_double_eq(d.location, 64 * 3); /* 90000, bounded */
}
END_TEST

/* Entries of a basis that go on a sequence exactly, chosen by a softmax. */
static struct forecast_spec choosing_spec(void)
{
    static const enum forecast_basis kinds[] = {BASIS_LAG, BASIS_LINEAR, BASIS_QUADRATIC, BASIS_SUM,
                                                BASIS_GEOMETRIC, BASIS_ONE, BASIS_LAG};
    struct forecast_spec spec = {.output = OUTPUT_MEAN, .n_basis = 7, .softmax = true, .n_inputs = 7};
    for (size_t k = 0; k < 7; k++) {
        spec.basis[k].kind = kinds[k];
        spec.inputs[k].kind = INPUT_ERROR;
        spec.inputs[k].lag = k;
    }
    spec.basis[6].lag = 2;
    return spec;
}

START_TEST(a_basis_can_be_chosen_from)
{
    struct forecast_spec spec = choosing_spec();
    const double z[] = {1, 4, 9, 16};
    const struct series_past past = {.read = z, .n_read = 4};
    const double next[] = {16, 23, 25, 25, 256.0 / 9, 1, 4};
    struct series_distribution d;
    ck_assert_uint_eq(series_n_outputs(&spec), 7);
    for (size_t k = 0; k < 7; k++) {
        float outputs[7] = {0};
        outputs[k] = 1000;
        series_distribution_read(&spec, &past, 3, outputs, &d);
        ck_assert_double_eq_tol(d.location, next[k], 1e-12);
    }
    double sum = 0;
    for (size_t k = 0; k < 7; k++) sum += next[k];
    series_distribution_read(&spec, &past, 3, (const float[]){5, 5, 5, 5, 5, 5, 5}, &d);
    ck_assert_double_eq_tol(d.location, sum / 7, 1e-12);
}
END_TEST

START_TEST(an_input_tells_how_well_an_entry_foretold)
{
    struct forecast_spec spec = choosing_spec();
    const struct series_scale scale = {.mean = 0, .scale = 1};
    const double z[] = {1, 4, 9, 16, 25};
    /* what each entry said at t - 1 of z[t]; NaN where it looked before the start */
    const double said[5][7] = {
        {NAN, NAN, NAN, NAN, NAN, NAN, NAN},
        {1, NAN, NAN, NAN, NAN, 1, NAN},
        {4, 7, NAN, 5, 16, 1, NAN},
        {9, 14, 16, 13, 81.0 / 4, 1, 1},
        {16, 23, 25, 25, 256.0 / 9, 1, 4},
    };
    double scaled[5];
    float features[5 * 7];
    series_features(&spec, &scale, z, 5, scaled, features);
    for (size_t t = 0; t < 5; t++)
        for (size_t k = 0; k < 7; k++) {
            double expected = 0;
            if (!isnan(said[t][k])) {
                double size = fabs(z[t]) + fabs(z[t - 1]) + 1e-6;
                expected = -log10(fabs(z[t] - said[t][k]) / size + 1e-5) / 5;
                expected = fmax(-1, fmin(1, expected));
            }
            ck_assert_float_eq_tol(features[t * 7 + k], (float)expected, 1e-6f);
        }
    ck_assert_float_eq(features[4 * 7 + 2], 1); /* squares are quadratic */
}
END_TEST

START_TEST(quantiles_become_a_distribution)
{
    struct forecast_spec spec = {.output = OUTPUT_QUANTILES, .n_levels = 3, .residual_last = true,
                                 .levels = {0.1, 0.4, 0.9}};
    const double z = 10;
    const struct series_past past = {.read = &z, .n_read = 1};
    const float outputs[] = {6, 1, 3}; /* unsorted: 11, 13, 16 */
    struct series_distribution d;
    ck_assert_uint_eq(series_n_outputs(&spec), 3);
    series_distribution_read(&spec, &past, 0, outputs, &d);
    ck_assert_double_eq_tol(series_distribution_mean(&d), 13 + 0.1 * 3 / 0.5, 1e-12);
    struct random random, again;
    random_init(&random, 1, 2);
    again = random;
    for (int i = 0; i < 1000; i++) {
        double u = random_uniform(&again), x = series_distribution_draw(&d, &random);
        double slope = u <= 0.4 ? 2 / 0.3 : 3 / 0.5; /* the outermost lines go on */
        ck_assert_double_eq_tol(x, 13 + (u - 0.4) * slope, 1e-12);
    }
    spec.n_levels = 1;
    series_distribution_read(&spec, &past, 0, outputs, &d);
    ck_assert_double_eq(series_distribution_mean(&d), 16);
    ck_assert_double_eq(series_distribution_draw(&d, &random), 16);
}
END_TEST

START_TEST(draws_have_the_distributions_moments)
{
    enum { DRAWS = 100000 };
    struct series_distribution d = {.location = -3, .scale = 0.5, .df = 12};
    struct random random;
    for (int kind = OUTPUT_MEAN; kind <= OUTPUT_STUDENT_T; kind++) {
        d.kind = (enum forecast_output)kind;
        random_init(&random, 3, (uint64_t)kind);
        double sum = 0, squares = 0;
        for (int i = 0; i < DRAWS; i++) {
            double x = series_distribution_draw(&d, &random) + 3;
            sum += x;
            squares += x * x;
        }
        double variance = kind == OUTPUT_MEAN ? 0 : kind == OUTPUT_NORMAL ? 0.25 : 0.25 * 12 / 10;
        ck_assert_double_le(fabs(sum / DRAWS), 5 * sqrt(variance / DRAWS));
        ck_assert_double_le(fabs(squares / DRAWS - variance), 0.02 * variance);
    }
}
END_TEST

/* numpy.quantile(sorted[:n], q) of numpy 2.4. */
START_TEST(quantiles_of_samples_are_numpys)
{
    static const double sorted[] = {-3.5, 0.25, 1, 1, 7, 8.125, 100};
    static const struct { double q, all, two; } known_quantiles[] = {
        {0.001, -3.4775, -3.49625},
        {0.1, -1.2499999999999996, -3.125},
        {0.25, 0.625, -2.5625},
        {0.333, 0.9985000000000002, -2.2512499999999998},
        {0.5, 1.0, -1.625},
        {0.75, 7.5625, -0.6875},
        {0.9, 44.875000000000036, -0.12499999999999989},
        {0.999, 99.44874999999998, 0.24625},
    };
    for (size_t i = 0; i < sizeof known_quantiles / sizeof *known_quantiles; i++) {
        double q = known_quantiles[i].q;
        ck_assert_double_eq(series_quantile(sorted, 7, q), known_quantiles[i].all);
        ck_assert_double_eq(series_quantile(sorted, 2, q), known_quantiles[i].two);
        ck_assert_double_eq(series_quantile(sorted, 1, q), -3.5);
    }
    ck_assert_double_eq(series_quantile(sorted, 7, 0), -3.5);
    ck_assert_double_eq(series_quantile(sorted, 7, 1), 100);
}
END_TEST

Suite *series_suite(void);

Suite *series_suite(void)
{
    Suite *suite = suite_create("series");
    TCase *steps = tcase_create("steps");
    tcase_add_loop_test(steps, steps_are_what_training_saw, 0, 2);
    tcase_add_test(steps, fixed_scales);
    tcase_add_test(steps, a_scale_has_a_least_value);
    tcase_add_test(steps, a_level_leaves_before_floats);
    tcase_add_test(steps, a_path_goes_on_where_reading_ended);
    tcase_add_test(steps, features_stay_finite);
    suite_add_tcase(suite, steps);
    TCase *distributions = tcase_create("distributions");
    tcase_add_test(distributions, distributions_of_each_type);
    tcase_add_test(distributions, a_basis_replaces_the_location);
    tcase_add_test(distributions, a_basis_can_be_chosen_from);
    tcase_add_test(distributions, an_input_tells_how_well_an_entry_foretold);
    tcase_add_test(distributions, quantiles_become_a_distribution);
    tcase_add_test(distributions, draws_have_the_distributions_moments);
    tcase_add_test(distributions, quantiles_of_samples_are_numpys);
    suite_add_tcase(suite, distributions);
    return suite;
}
