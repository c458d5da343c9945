/* States of series and of inputs to be classified: parts give what the whole gives, wherever it is cut. */
#include <check.h>
#include <math.h>
#include <string.h>

#include "models/forecast/candidates.h"
#include "models/tasks/classification.h"
#include "models/forecast/forecasting.h"
#include "models/forecast/kept_series.h"
#include "tests/support/jobs.h"
#include "tests/support/tiny.h"

Suite *kept_suite(void);

enum { N = 20, HORIZON = 4, SAMPLES = 3, LABELS = 3 };

static struct scheduler *scheduler;

static void setup(void)
{
    scheduler = jobs_scheduler(1, 3, 8);
}

static void teardown(void)
{
    scheduler_free(scheduler);
}

static struct network *build(const struct layer_spec *specs, size_t n)
{
    struct network *network = NULL;
    ck_assert_int_eq(network_new(specs, n, tiny_tensors(), PRECISION_FLOAT32, &network, NULL), STATUS_OK);
    return network;
}

/* ---- series ---- */

/* An LSTM that reads eleven features of every kind, most of which look back. */
static struct model *series_model(enum scaling_type scaling)
{
    static const enum forecast_input kinds[] = {
        INPUT_VALUE, INPUT_MISSING, INPUT_DIFFERENCE, INPUT_RATIO, INPUT_ASINH, INPUT_LOG_SCALE,
        INPUT_POSITION, INPUT_LAG, INPUT_ERROR, INPUT_ERROR, INPUT_ERROR};
    enum { INPUTS = sizeof kinds / sizeof *kinds };
    const struct layer_spec specs[] = {
        tiny_layer("lstm", "lstm", 2, (long[]){INPUTS, 6}),
        tiny_layer("linear", "head", 2, (long[]){6, 5}),
    };
    struct model *model = jobs_model(TASK_FORECASTING, build(specs, 2), NULL);
    struct forecast_spec *spec = model->spec;
    *spec = (struct forecast_spec){.context_length = 64, .scaling = {.type = scaling, .minimum = 1e-6},
                                   .n_inputs = INPUTS, .output = OUTPUT_STUDENT_T, .n_basis = 3};
    for (size_t i = 0; i < INPUTS; i++) spec->inputs[i].kind = kinds[i];
    spec->inputs[7].lag = 6;
    spec->inputs[9].lag = 1;
    spec->inputs[10].lag = 2;
    spec->basis[0].kind = BASIS_QUADRATIC;
    spec->basis[1].kind = BASIS_GEOMETRIC;
    spec->basis[2].lag = 7;
    return model;
}

static struct model *candidates_model(void)
{
    enum { OUTPUTS = N_CANDIDATES + 1 + 3 };
    static const float W[OUTPUTS * CANDIDATE_INPUTS];
    float b[OUTPUTS] = {[N_CANDIDATES] = 3, [N_CANDIDATES + 1] = -1, [N_CANDIDATES + 3] = 1};
    struct model *model =
        jobs_model(TASK_FORECASTING, jobs_linear_network(CANDIDATE_INPUTS, OUTPUTS, W, b), NULL);
    *(struct forecast_spec *)model->spec = (struct forecast_spec){
        .context_length = 16, .window = 8, .scaling.scale = 1, .output = OUTPUT_CANDIDATES, .n_levels = 3,
        .levels = {0.1, 0.5, 0.9}};
    return model;
}

struct foretold {
    double mean[HORIZON], samples[SAMPLES * HORIZON];
};

static void run_series(struct model *model, const double *values, size_t n, struct state **state,
                       struct foretold *out)
{
    const struct forecast_series series = {.values = values, .n = n, .season = 1};
    const struct forecast_request request = {.series = &series, .n_series = 1, .horizon = HORIZON,
                                             .num_samples = SAMPLES, .seed = 3};
    struct jobs_witness witness;
    struct forecast *forecast;
    struct forecast_result result;
    struct error err = {0};
    struct state *next;
    jobs_witness_init(&witness);
    struct job_options options = jobs_options(&witness);
    options.from = *state;
    options.keeps = true;
    enum status status = forecast_new(model, &request, &options, &forecast, &err);
    ck_assert_msg(status == STATUS_OK, "%s", err.message);
    ck_assert_int_eq(jobs_run(forecast_job(forecast), scheduler, &witness), STATUS_OK);
    forecast_read(forecast, 0, &result);
    ck_assert_msg(!result.error, "%s", result.error);
    memcpy(out->mean, result.mean, sizeof out->mean);
    memcpy(out->samples, result.samples, sizeof out->samples);
    ck_assert_int_eq(job_keep(forecast_job(forecast), &next), STATUS_OK);
    state_drop(*state);
    *state = next;
    job_free(forecast_job(forecast));
}

static void fill(double values[N])
{
    for (int t = 0; t < N; t++) values[t] = 50 + t + (t * 7 % 5) * 3;
    values[3] = values[8] = values[9] = values[N - 1] = (double)NAN;
}

/* From `first` values on, everything else in two parts, for every cut, and value by value. */
static void check_series(struct model *model, size_t first)
{
    double values[N];
    struct foretold whole, parts;
    fill(values);
    for (size_t cut = first; cut <= N; cut++) {
        struct state *one = NULL, *two = NULL;
        run_series(model, values, first, &one, &whole);
        run_series(model, values, first, &two, &parts);
        run_series(model, values + first, N - first, &one, &whole);
        if (cut == N) /* value by value */
            for (size_t t = first; t < N; t++) run_series(model, values + t, 1, &two, &parts);
        else {
            if (cut > first) run_series(model, values + first, cut - first, &two, &parts);
            run_series(model, values + cut, N - cut, &two, &parts);
        }
        ck_assert_msg(!memcmp(&whole, &parts, sizeof whole), "cut after %zu", cut);
        ck_assert_uint_eq(one->step, N);
        ck_assert_uint_eq(two->step, N);
        state_drop(one);
        state_drop(two);
    }
}

START_TEST(a_series_goes_on_at_every_cut)
{
    struct model *model = series_model(SCALING_NONE);
    double values[N];
    struct foretold whole, parts;
    fill(values);
    check_series(model, 5);
    struct state *one = NULL, *two = NULL; /* without a scale of its own it is the forecast of all values at
                                            * once */
    run_series(model, values, N, &one, &whole);
    run_series(model, values, 7, &two, &parts);
    run_series(model, values + 7, N - 7, &two, &parts);
    ck_assert(!memcmp(&whole, &parts, sizeof whole));
    state_drop(one);
    state_drop(two);
    jobs_model_free(model);
    model = series_model(SCALING_STANDARD);
    check_series(model, 5);
    jobs_model_free(model);
}
END_TEST

START_TEST(a_series_of_candidates_goes_on_at_every_cut)
{
    struct model *model = candidates_model();
    double values[N];
    struct foretold whole, parts;
    fill(values);
    check_series(model, 5);
    struct state *one = NULL, *two = NULL;
    run_series(model, values, N, &one, &whole);
    for (size_t t = 0; t < N; t++) run_series(model, values + t, 1, &two, &parts);
    ck_assert(!memcmp(&whole, &parts, sizeof whole));
    state_drop(one);
    state_drop(two);
    jobs_model_free(model);
}
END_TEST

/* The network reads the new value alone. */
START_TEST(one_more_value_is_one_more_step)
{
    struct model *model = series_model(SCALING_STANDARD);
    double values[N];
    struct foretold out;
    struct state *state = NULL;
    fill(values);
    run_series(model, values, N - 2, &state, &out);
    const struct forecast_series series = {.values = values + N - 2, .n = 1};
    const struct forecast_request request = {.series = &series, .n_series = 1, .horizon = 1};
    struct jobs_witness witness;
    struct forecast *forecast;
    struct job_timings timings;
    jobs_witness_init(&witness);
    struct job_options options = jobs_options(&witness);
    options.from = state;
    ck_assert_int_eq(forecast_new(model, &request, &options, &forecast, NULL), STATUS_OK);
    ck_assert_int_eq(jobs_run(forecast_job(forecast), scheduler, &witness), STATUS_OK);
    job_timings(forecast_job(forecast), &timings);
    ck_assert_uint_eq(timings.steps, 1);
    job_free(forecast_job(forecast));
    state_drop(state);
    jobs_model_free(model);
}
END_TEST

START_TEST(a_state_of_another_series_model_is_refused)
{
    struct model *model = series_model(SCALING_NONE), *other = candidates_model();
    double values[N];
    struct foretold out;
    struct state *state = NULL;
    struct forecast *forecast;
    struct error err = {0};
    fill(values);
    run_series(model, values, N, &state, &out);
    const struct forecast_series two[] = {{.values = values, .n = 5}, {.values = values, .n = 5}};
    struct forecast_request request = {.series = two, .n_series = 1, .horizon = 1};
    struct job_options options = {.from = state};
    ck_assert_int_eq(forecast_new(other, &request, &options, &forecast, &err), STATUS_BAD_VALUE);
    for (size_t n = 0; n < state->n_rest; n++) {
        struct state shorter = {.n_floats = state->n_floats, .floats = state->floats, .rest = state->rest,
                                .n_rest = n};
        options.from = &shorter;
        ck_assert_int_eq(forecast_new(model, &request, &options, &forecast, &err), STATUS_BAD_VALUE);
    }
    options.from = state;
    request.n_series = 2;
    ck_assert_int_eq(forecast_new(model, &request, &options, &forecast, &err), STATUS_BAD_VALUE);
    ck_assert_ptr_nonnull(strstr(err.message, "a state is that of one"));
    state_drop(state);
    jobs_model_free(model);
    jobs_model_free(other);
}
END_TEST

/* ---- labels ---- */

static struct model *rows_model(long pooling)
{
    const struct layer_spec specs[] = {
        tiny_layer("lstm", "lstm", 2, (long[]){2, 5}),
        tiny_layer("pooling", "", 1, (long[]){pooling}),
        tiny_layer("linear", "head", 2, (long[]){5, LABELS}),
    };
    return jobs_model(TASK_SEQUENCE_CLASSIFICATION, build(specs, 3), NULL);
}

static struct model *words_model(void)
{
    static const char *const words[] = {"<s>", "</s>", "a", "b", "c", "d", "e", NULL};
    const struct layer_spec specs[] = {
        tiny_layer("one_hot", "", 1, (long[]){7}),
        tiny_layer("lstm", "lstm", 2, (long[]){7, 5}),
        tiny_layer("pooling", "", 1, (long[]){0}),
        tiny_layer("linear", "head", 2, (long[]){5, LABELS}),
    };
    return jobs_model(TASK_TEXT_CLASSIFICATION, build(specs, 4),
                      jobs_tokenizer("words", words, "<s>", "</s>"));
}

static enum status read_one(struct model *model, const struct input *input,
                            const struct job_options *options, struct reading **out, struct error *err)
{
    const struct reading_want want = classification_want(model);
    return reading_new(model, input, 1, &want, 512, options, out, err);
}

static void classify(struct model *model, const struct input *input, struct state **state,
                     float scores[LABELS])
{
    struct jobs_witness witness;
    struct reading *classification;
    struct state *next;
    struct error err = {0};
    jobs_witness_init(&witness);
    struct job_options options = jobs_options(&witness);
    options.from = *state;
    options.keeps = true;
    enum status status = read_one(model, input, &options, &classification, &err);
    ck_assert_msg(status == STATUS_OK, "%s", err.message);
    ck_assert_int_eq(jobs_run(reading_job(classification), scheduler, &witness), STATUS_OK);
    memcpy(scores, reading_rows(classification, 0, NULL), LABELS * sizeof *scores);
    ck_assert_int_eq(job_keep(reading_job(classification), &next), STATUS_OK);
    state_drop(*state);
    *state = next;
    job_free(reading_job(classification));
}

static struct input part_of(const struct model *model, size_t from, size_t n)
{
    static double features[N * 2];
    static int32_t tokens[N];
    for (int t = 0; t < N; t++) {
        features[2 * t] = t % 5 - 2;
        features[2 * t + 1] = t % 3;
        tokens[t] = 2 + t * 3 % 5;
    }
    if (model->tokenizer) return (struct input){.tokens = {tokens + from, n}};
    return (struct input){.features = features + 2 * from, .n_steps = n};
}

static void check_labels(struct model *model)
{
    float whole[LABELS], parts[LABELS];
    struct state *one = NULL, *two;
    struct input input = part_of(model, 0, N);
    classify(model, &input, &one, whole);
    for (size_t cut = 1; cut < N; cut++) {
        two = NULL;
        input = part_of(model, 0, cut);
        classify(model, &input, &two, parts);
        input = part_of(model, cut, N - cut);
        classify(model, &input, &two, parts);
        ck_assert_msg(!memcmp(whole, parts, sizeof whole), "cut after %zu", cut);
        ck_assert_uint_eq(one->step, two->step);
        ck_assert(!memcmp(one->floats, two->floats, one->n_floats * sizeof(float)));
        state_drop(two);
    }
    two = NULL;
    for (size_t t = 0; t < N; t++) {
        input = part_of(model, t, 1);
        classify(model, &input, &two, parts);
    }
    ck_assert(!memcmp(whole, parts, sizeof whole));
    state_drop(one);
    state_drop(two);
    jobs_model_free(model);
}

START_TEST(a_verdict_goes_on_at_every_cut)
{
    for (long pooling = 0; pooling < 3; pooling++) check_labels(rows_model(pooling));
    check_labels(words_model());
}
END_TEST

START_TEST(a_model_that_reads_whole_inputs_keeps_nothing)
{
    static const char *const words[] = {"<s>", "</s>", "a", "b", "c", "d", "e", NULL};
    struct model *model = jobs_model(TASK_TEXT_CLASSIFICATION, tiny_classifier(7, 6, LABELS),
                                     jobs_tokenizer("words", words, "<s>", "</s>"));
    struct input input = part_of(model, 0, 3);
    struct reading *classification;
    const struct job_options options = {.keeps = true};
    ck_assert_int_eq(read_one(model, &input, &options, &classification, NULL),
                     STATUS_UNSUPPORTED);
    jobs_model_free(model);
}
END_TEST

Suite *kept_suite(void)
{
    Suite *suite = suite_create("kept");
    TCase *tests = tcase_create("kept");
    tcase_add_checked_fixture(tests, setup, teardown);
    tcase_add_test(tests, a_series_goes_on_at_every_cut);
    tcase_add_test(tests, a_series_of_candidates_goes_on_at_every_cut);
    tcase_add_test(tests, one_more_value_is_one_more_step);
    tcase_add_test(tests, a_state_of_another_series_model_is_refused);
    tcase_add_test(tests, a_verdict_goes_on_at_every_cut);
    tcase_add_test(tests, a_model_that_reads_whole_inputs_keeps_nothing);
    suite_add_tcase(suite, tests);
    return suite;
}
