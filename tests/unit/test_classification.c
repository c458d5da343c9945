#include "models/tasks/classification.h"

#include <check.h>
#include <float.h>
#include <math.h>
#include <string.h>

#include "core/base/memory.h"
#include "tests/support/jobs.h"
#include "tests/support/tiny.h"

/* ---- helpers ---- */

static const char *const words[] = {"<s>", "</s>", "a", "b", "c", "d", "e", NULL};
enum { V = 7, LABELS = 3 };

/* Bidirectional, so that a sequence rides whole. */
static struct model *text_model(void)
{
    return jobs_model(TASK_TEXT_CLASSIFICATION, tiny_classifier(V, 6, LABELS),
                      jobs_tokenizer("words", words, "<s>", "</s>"));
}

static struct network *build(const struct layer_spec *specs, size_t n)
{
    struct network *network = NULL;
    struct error err = {0};
    enum status status = network_new(specs, n, tiny_tensors(), PRECISION_FLOAT32, &network, &err);
    ck_assert_msg(status == STATUS_OK, "%s", err.message);
    return network;
}

/* Two features a step, lstm, pooling by the mean: may be cut into chunks. */
static struct model *features_model(void)
{
    const struct layer_spec specs[] = {
        tiny_layer("lstm", "lstm", 2, (long[]){2, 5}),
        tiny_layer("pooling", "", 1, (long[]){1}),
        tiny_layer("linear", "head", 2, (long[]){5, LABELS}),
    };
    return jobs_model(TASK_SEQUENCE_CLASSIFICATION, build(specs, 3), NULL);
}

static enum status classification_new(struct model *model, const struct input *inputs, size_t n,
                                      size_t max_whole_steps, const struct job_options *options,
                                      struct reading **out, struct error *err)
{
    const struct reading_want want = classification_want(model);
    return reading_new(model, inputs, n, &want, max_whole_steps, options, out, err);
}

struct classified {
    struct jobs_witness witness;
    struct reading *classification;
    struct job *job;
};

static void classify(struct classified *c, struct model *model,
                     const struct input *inputs, size_t n,
                     struct scheduler *scheduler)
{
    struct error err = {0};
    jobs_witness_init(&c->witness);
    struct job_options options = jobs_options(&c->witness);
    enum status status = classification_new(model, inputs, n, scheduler_max_rows(scheduler),
                                            &options, &c->classification, &err);
    ck_assert_msg(status == STATUS_OK, "%s", err.message);
    c->job = reading_job(c->classification);
    ck_assert_int_eq(jobs_run(c->job, scheduler, &c->witness), STATUS_OK);
}

/* The outputs for rows of two features, run by itself. */
static void run_once(const struct network *network, const float *features, size_t n, float *outputs)
{
    struct workspace *workspace = NULL;
    float state[16] = {0};
    ck_assert_uint_le(network_state_floats(network), 16);
    ck_assert_int_eq(workspace_new(n, 1, &workspace), STATUS_OK);
    ck_assert_int_eq(workspace_fit(workspace, network), STATUS_OK);
    struct ride ride = {.n_steps = n, .features = features, .state = state, .want = WANT_LAST};
    network_run(network, workspace, &ride, 1);
    memcpy(outputs, ride.output, network_output_size(network) * sizeof *outputs);
    workspace_free(workspace);
}

/* What the network says of steps, run by itself: softmax of its only output. */
static void reference(const struct network *network, const int32_t *tokens, const float *features,
                      size_t n, float *scores)
{
    struct workspace *workspace = NULL;
    float *state = memory_new(network_state_floats(network) + 1, sizeof *state);
    ck_assert_int_eq(workspace_new(256, 1, &workspace), STATUS_OK);
    ck_assert_int_eq(workspace_fit(workspace, network), STATUS_OK);
    struct ride ride = {.n_steps = n, .tokens = tokens, .features = features, .state = state,
                        .want = WANT_LAST};
    network_run(network, workspace, &ride, 1);
    double sum = 0;
    for (size_t i = 0; i < LABELS; i++) sum += exp((double)ride.output[i]);
    for (size_t i = 0; i < LABELS; i++) scores[i] = (float)(exp((double)ride.output[i]) / sum);
    workspace_free(workspace);
    memory_free(state);
}

static const int32_t ids[] = {2, 3, 4, 5, 6, 2, 2, 3, 6, 5};

/* ---- contracts ---- */

START_TEST(text_is_read_between_bos_and_eos)
{
    struct model *model = text_model();
    struct scheduler *scheduler = jobs_scheduler(1, 2, 8);
    struct input inputs[10];
    for (size_t i = 0; i < 10; i++)
        inputs[i] = (struct input){.tokens = {ids, i + 1}};
    struct classified c;
    classify(&c, model, inputs, 10, scheduler);
    for (size_t i = 0; i < 10; i++) {
        int32_t tokens[12] = {0};
        float expected[LABELS];
        memcpy(tokens + 1, ids, (i + 1) * sizeof *ids);
        tokens[i + 2] = 1;
        reference(model->network, tokens, NULL, i + 3, expected);
        for (size_t j = 0; j < LABELS; j++)
            ck_assert_float_eq_tol(reading_rows(c.classification, 0, NULL)[i * LABELS + j],
                                   expected[j], 1e-6f);
    }
    struct job_timings timings;
    job_timings(c.job, &timings);
    ck_assert_uint_eq(timings.steps, 55 + 20);
    ck_assert_int_eq(c.witness.n_progress, 0);
    job_free(c.job);
    scheduler_free(scheduler);
    jobs_model_free(model);
}
END_TEST

START_TEST(features_are_scaled)
{
    struct model *model = features_model();
    static const double x[] = {10, 200, 11, 180, 9, 220, 10.5, 201};
    double mean[] = {10, 200}, scale[] = {0.5, 20};
    float scaled[8], expected[LABELS];
    const struct input input = {.features = x, .n_steps = 4};
    struct scheduler *scheduler = jobs_scheduler(1, (size_t)_i + 1, 8);
    struct classified c;
    for (int is_scaled = 0; is_scaled < 2; is_scaled++) {
        if (is_scaled) model->features = (struct feature_scaling){mean, scale};
        for (int i = 0; i < 8; i++)
            scaled[i] = (float)(is_scaled ? (x[i] - mean[i % 2]) / scale[i % 2] : x[i]);
        reference(model->network, NULL, scaled, 4, expected);
        classify(&c, model, &input, 1, scheduler);
        for (size_t j = 0; j < LABELS; j++)
            ck_assert_float_eq_tol(reading_rows(c.classification, 0, NULL)[j], expected[j], 1e-6f);
        job_free(c.job);
    }
    scheduler_free(scheduler);
    jobs_model_free(model);
}
END_TEST

/* 1,700,001,234 has no float of its own: the next is 1,700,001,280. */
START_TEST(features_are_scaled_before_they_are_cut)
{
    struct model *model = features_model();
    static const double x[] = {1700001234, 48.8583701};
    double mean[] = {1700000000, 48.8583}, scale[] = {3600, 0.001};
    const float scaled[] = {1234 / 3600.f, 0.0701f};
    float expected[LABELS];
    const struct input input = {.features = x, .n_steps = 1};
    struct scheduler *scheduler = jobs_scheduler(1, 1, 8);
    struct classified c;
    model->features = (struct feature_scaling){mean, scale};
    reference(model->network, NULL, scaled, 1, expected);
    classify(&c, model, &input, 1, scheduler);
    for (size_t j = 0; j < LABELS; j++)
        ck_assert_float_eq_tol(reading_rows(c.classification, 0, NULL)[j], expected[j], 1e-6f);
    job_free(c.job);
    scheduler_free(scheduler);
    jobs_model_free(model);
}
END_TEST

/* By sigmoid each output is a score; one output with two labels is the score of the second. */
START_TEST(sigmoid_makes_independent_scores)
{
    static const double x[] = {0.5, -1, 2, 0.25};
    const struct input input = {.features = x, .n_steps = 2};
    const float steps[] = {0.5f, -1, 2, 0.25f};
    const struct layer_spec one[] = {
        tiny_layer("lstm", "lstm", 2, (long[]){2, 5}),
        tiny_layer("pooling", "", 1, (long[]){1}),
        tiny_layer("linear", "head", 2, (long[]){5, 1}),
    };
    struct model *many = features_model();
    struct model *binary = jobs_model(TASK_SEQUENCE_CLASSIFICATION, build(one, 3), NULL);
    struct scheduler *scheduler = jobs_scheduler(1, 4, 8);
    struct classified soft, c;
    classify(&soft, many, &input, 1, scheduler);
    many->activation = binary->activation = ACTIVATION_SIGMOID;
    binary->n_labels = 2;
    classify(&c, many, &input, 1, scheduler);
    const float *p = reading_rows(soft.classification, 0, NULL), *q = reading_rows(c.classification, 0, NULL);
    float sum = 0, outputs[LABELS];
    run_once(many->network, steps, 2, outputs);
    for (size_t j = 0; j < LABELS; j++) {
        sum += q[j];
        ck_assert_float_eq_tol(q[j], (float)(1 / (1 + exp(-(double)outputs[j]))), 1e-6f);
    }
    ck_assert_float_gt(fabsf(sum - 1), 0.01f);
    ck_assert_float_eq_tol(p[0] / p[1], expf(outputs[0] - outputs[1]), 1e-4f);
    job_free(soft.job);
    job_free(c.job);
    classify(&c, binary, &input, 1, scheduler);
    run_once(binary->network, steps, 2, outputs);
    q = reading_rows(c.classification, 0, NULL);
    ck_assert_float_eq_tol(q[1], (float)(1 / (1 + exp(-(double)outputs[0]))), 1e-6f);
    ck_assert_float_eq_tol(q[0] + q[1], 1, 1e-6f);
    job_free(c.job);
    scheduler_free(scheduler);
    binary->n_labels = 0;
    jobs_model_free(many);
    jobs_model_free(binary);
}
END_TEST

START_TEST(neither_cuts_nor_company_matter)
{
    static const struct { size_t workers, chunk, batch; } ways[] = {
        {1, 1, 1}, {1, 64, 64}, {1, 3, 2}, {2, 5, 64}};
    struct model *models[] = {text_model(), features_model()};
    double x[40];
    float expected[10 * LABELS];
    for (int i = 0; i < 40; i++) x[i] = (double)(i * 7 % 13) / 5 - 1;
    for (int m = 0; m < 2; m++) {
        struct input inputs[10];
        for (size_t i = 0; i < 10; i++)
            inputs[i] = (struct input){
                .tokens = {ids, i + 1}, .features = x, .n_steps = 2 * i + 1};
        for (size_t way = 0; way < 4; way++) {
            struct scheduler *scheduler =
                jobs_scheduler(ways[way].workers, ways[way].chunk, ways[way].batch);
            struct classified c;
            classify(&c, models[m], inputs, 10, scheduler);
            const float *scores = reading_rows(c.classification, 0, NULL);
            if (way == 0) memcpy(expected, scores, sizeof expected);
            ck_assert_mem_eq(expected, scores, sizeof expected);
            job_free(c.job);
            scheduler_free(scheduler);
        }
        jobs_model_free(models[m]);
    }
}
END_TEST

START_TEST(inputs_are_copied)
{
    struct model *model = features_model();
    double x[] = {1, 2, 3, 4};
    struct input input = {.features = x, .n_steps = 2};
    struct scheduler *scheduler = jobs_scheduler(1, 4, 8);
    struct classified c, again;
    classify(&c, model, &input, 1, scheduler);
    jobs_witness_init(&again.witness);
    struct job_options options = jobs_options(&again.witness);
    ck_assert_int_eq(classification_new(model, &input, 1, 512, &options, &again.classification, NULL),
                     STATUS_OK);
    memset(x, 0, sizeof x);
    input = (struct input){.n_steps = 0};
    again.job = reading_job(again.classification);
    ck_assert_int_eq(jobs_run(again.job, scheduler, &again.witness), STATUS_OK);
    ck_assert_mem_eq(reading_rows(c.classification, 0, NULL),
                     reading_rows(again.classification, 0, NULL), LABELS * sizeof(float));
    job_free(c.job);
    job_free(again.job);
    scheduler_free(scheduler);
    jobs_model_free(model);
}
END_TEST

/* ---- limits and errors ---- */

START_TEST(memory_is_taken_once_and_early)
{
    struct model *model = text_model();
    const struct input input = {.tokens = {ids, 10}};
    struct job_options options = {0};
    struct reading *classification = NULL;
    memory_fail_at(1);
    ck_assert_int_eq(classification_new(model, &input, 1, 512, &options, &classification, NULL),
                     STATUS_NO_MEMORY);
    memory_fail_at(0);
    ck_assert_ptr_null(classification);
    struct scheduler *scheduler = jobs_scheduler(1, 5, 8);
    struct classified warm, c;
    classify(&warm, model, &input, 1, scheduler);
    uint64_t before = memory_allocations();
    classify(&c, model, &input, 1, scheduler);
    ck_assert_uint_eq(memory_allocations(), before + 1);
    job_free(warm.job);
    job_free(c.job);
    scheduler_free(scheduler);
    jobs_model_free(model);
}
END_TEST

START_TEST(a_whole_sequence_must_fit_a_turn)
{
    struct model *model = text_model(), *cut = features_model();
    struct input input = {.tokens = {ids, 10}};
    struct job_options options = {0};
    struct reading *classification;
    struct error err = {0};
    ck_assert_int_eq(classification_new(model, &input, 1, 11, &options, &classification, &err),
                     STATUS_TOO_LONG);
    ck_assert_str_eq(err.param, "input");
    ck_assert_int_eq(classification_new(model, &input, 1, 12, &options, &classification, &err),
                     STATUS_OK);
    job_free(reading_job(classification));
    double x[40] = {0};
    input = (struct input){.features = x, .n_steps = 20};
    ck_assert_int_eq(classification_new(cut, &input, 1, 4, &options, &classification, &err),
                     STATUS_OK);
    job_free(reading_job(classification));
    jobs_model_free(model);
    jobs_model_free(cut);
}
END_TEST

static const int32_t outside[] = {2, V};
static const double not_a_number[] = {0, 0, 0, NAN}, infinite[] = {-INFINITY, 0};
static const double fine[] = {0, 0, 0, 0}, huge[] = {FLT_MAX, 0};

static const struct {
    bool of_text;
    struct input inputs[2];
    size_t n;
    const char *param;
} broken[] = {
    {true, {{{NULL, 0}, NULL, 0}}, 0, "input"},
    {true, {{{NULL, 0}, fine, 2}}, 1, "input"},
    {true, {{{ids, 2}, NULL, 0}, {{outside, 2}, NULL, 0}}, 2, "input[1]"},
    {false, {{{ids, 2}, NULL, 2}}, 1, "input"},
    {false, {{{ids, 2}, fine, 0}}, 1, "input"},
    {false, {{{NULL, 0}, fine, 2}, {{NULL, 0}, not_a_number, 2}}, 2, "input[1]"},
    {false, {{{NULL, 0}, infinite, 1}}, 1, "input"},
    {false, {{{NULL, 0}, huge, 1}}, 1, "input"}, /* scaled, it leaves float */
};

START_TEST(what_is_wrong_is_named)
{
    struct model *model = broken[_i].of_text ? text_model() : features_model();
    double mean[] = {0, 0}, scale[] = {0.5, 1};
    if (!broken[_i].of_text) model->features = (struct feature_scaling){mean, scale};
    struct job_options options = {0};
    struct reading *classification = NULL;
    struct error err = {0};
    ck_assert_int_eq(classification_new(model, broken[_i].inputs, broken[_i].n, 512, &options,
                                        &classification, &err), STATUS_BAD_VALUE);
    ck_assert_str_eq(err.param, broken[_i].param);
    ck_assert_ptr_null(classification);
    jobs_model_free(model);
}
END_TEST

START_TEST(another_task_is_refused)
{
    struct model *model = text_model();
    model->task = task_of(TASK_TEXT_GENERATION);
    const struct input input = {.tokens = {ids, 10}};
    struct job_options options = {0};
    struct reading *classification;
    struct error err = {0};
    ck_assert_int_eq(classification_new(model, &input, 1, 512, &options, &classification, &err),
                     STATUS_UNSUPPORTED);
    ck_assert_str_eq(err.param, "model");
    jobs_model_free(model);
}
END_TEST

Suite *classification_suite(void);

Suite *classification_suite(void)
{
    Suite *suite = suite_create("classification");
    TCase *core = tcase_create("core");
    tcase_add_test(core, text_is_read_between_bos_and_eos);
    tcase_add_loop_test(core, features_are_scaled, 0, 4);
    tcase_add_test(core, features_are_scaled_before_they_are_cut);
    tcase_add_test(core, sigmoid_makes_independent_scores);
    tcase_add_test(core, neither_cuts_nor_company_matter);
    tcase_add_test(core, inputs_are_copied);
    suite_add_tcase(suite, core);
    TCase *limits = tcase_create("limits");
    tcase_add_test(limits, memory_is_taken_once_and_early);
    tcase_add_test(limits, a_whole_sequence_must_fit_a_turn);
    suite_add_tcase(suite, limits);
    TCase *errors = tcase_create("errors");
    tcase_add_loop_test(errors, what_is_wrong_is_named, 0, (int)(sizeof broken / sizeof *broken));
    tcase_add_test(errors, another_task_is_refused);
    suite_add_tcase(suite, errors);
    return suite;
}
