/* Values and labels at every step: the rows that the network by itself gives, however a sequence is cut. */
#include "models/tasks/prediction.h"

#include <check.h>
#include <math.h>
#include <string.h>

#include "core/base/memory.h"
#include "tests/support/jobs.h"
#include "tests/support/tiny.h"

enum { T = 9, OUTPUTS = 4 };

static struct network *build(bool both)
{
    const struct layer_spec specs[] = {
        tiny_layer("lstm", "lstm", 2, (long[]){2, 5}),
        tiny_layer("linear", "head", 2, (long[]){both ? 10 : 5, OUTPUTS}),
    };
    struct layer_spec made[2] = {specs[0], specs[1]};
    for (size_t k = 0; made[0].type->keys[k].name; k++)
        if (!strcmp(made[0].type->keys[k].name, "bidirectional")) made[0].values[k] = both;
    struct network *network = NULL;
    struct error err = {0};
    enum status status = network_new(made, 2, tiny_tensors(), PRECISION_FLOAT32, &network, &err);
    ck_assert_msg(status == STATUS_OK, "%s", err.message);
    return network;
}

static const double x[2 * T] = {0.1, -1, 0.4, 0.3, -0.7, 1, 0.2, 0, 0.9, -0.4, 1, 1, -1, 0.5, 0, 0.6, -0.2,
                                0.8};

/* The raw outputs of all steps, by one turn of the network alone. */
static void reference(const struct network *network, float *out)
{
    struct workspace *workspace = NULL;
    float features[2 * T], *state = memory_new(network_state_floats(network) + 1, sizeof *state);
    for (size_t i = 0; i < 2 * T; i++) features[i] = (float)x[i];
    ck_assert_int_eq(workspace_new(64, 1, &workspace), STATUS_OK);
    ck_assert_int_eq(workspace_fit(workspace, network), STATUS_OK);
    struct ride ride = {.n_steps = T, .features = features, .state = state, .want = WANT_ALL};
    network_run(network, workspace, &ride, 1);
    ck_assert_uint_eq(ride.n_outputs, T);
    memcpy(out, ride.output, T * OUTPUTS * sizeof *out);
    workspace_free(workspace);
    memory_free(state);
}

static struct reading *predict(struct model *model, enum reading_rows rows, size_t chunk)
{
    struct scheduler *scheduler = jobs_scheduler(1, chunk, 8);
    const struct input input = {.features = x, .n_steps = T};
    struct jobs_witness witness;
    struct reading *reading;
    struct error err = {0};
    jobs_witness_init(&witness);
    struct job_options options = jobs_options(&witness);
    const struct reading_want want = prediction_want(model, ABILITY_PREDICT, rows);
    enum status status =
        reading_new(model, &input, 1, &want, scheduler_max_rows(scheduler), &options, &reading, &err);
    ck_assert_msg(status == STATUS_OK, "%s", err.message);
    ck_assert_int_eq(jobs_run(reading_job(reading), scheduler, &witness), STATUS_OK);
    scheduler_free(scheduler);
    return reading;
}

static struct model *made(bool both, size_t n_labels, enum activation activation)
{
    struct model *model = jobs_model(TASK_SEQUENCE_PREDICTION, build(both), NULL);
    model->n_labels = n_labels;
    model->activation = activation;
    return model;
}

START_TEST(every_step_has_the_networks_own_row)
{
    for (size_t chunk = 1; chunk <= T; chunk += 4)
        for (int both = 0; both < 2; both++) {
            struct model *model = made(both, 0, ACTIVATION_NONE);
            float expected[T * OUTPUTS];
            size_t n_rows;
            reference(model->network, expected);
            struct reading *all = predict(model, READING_ALL, chunk), *last = predict(model, READING_LAST,
                                                                                      chunk);
            ck_assert_uint_eq(prediction_n_values(model), OUTPUTS);
            ck_assert_mem_eq(reading_rows(all, 0, &n_rows), expected, sizeof expected);
            ck_assert_uint_eq(n_rows, T);
            ck_assert_mem_eq(reading_rows(last, 0, &n_rows), expected + (T - 1) * OUTPUTS,
                             OUTPUTS * sizeof *expected);
            ck_assert_uint_eq(n_rows, 1);
            job_free(reading_job(all));
            job_free(reading_job(last));
            jobs_model_free(model);
        }
}
END_TEST

START_TEST(activations_make_scores)
{
    float raw[T * OUTPUTS];
    struct model *soft = made(false, OUTPUTS, ACTIVATION_SOFTMAX);
    struct model *each = made(false, OUTPUTS, ACTIVATION_SIGMOID);
    reference(soft->network, raw);
    struct reading *a = predict(soft, READING_ALL, 3), *b = predict(each, READING_ALL, 3);
    const float *p = reading_rows(a, 0, NULL), *q = reading_rows(b, 0, NULL);
    for (size_t t = 0; t < T; t++) {
        double sum = 0, rest = 0;
        for (size_t i = 0; i < OUTPUTS; i++) rest += exp((double)raw[t * OUTPUTS + i]);
        for (size_t i = 0; i < OUTPUTS; i++) {
            double z = (double)raw[t * OUTPUTS + i];
            ck_assert_double_eq_tol((double)p[t * OUTPUTS + i], exp(z) / rest, 1e-6);
            ck_assert_double_eq_tol((double)q[t * OUTPUTS + i], 1 / (1 + exp(-z)), 1e-6);
            sum += (double)p[t * OUTPUTS + i];
        }
        ck_assert_double_eq_tol(sum, 1, 1e-6);
    }
    job_free(reading_job(a));
    job_free(reading_job(b));
    jobs_model_free(soft);
    jobs_model_free(each);
}
END_TEST

/* Two labels of steps and two intents: the intents' logits stay, and are averaged. */
START_TEST(intents_are_of_the_whole_sequence)
{
    float raw[T * OUTPUTS], scores[2];
    struct model *model = made(true, OUTPUTS, ACTIVATION_SOFTMAX);
    struct prediction_spec *spec = model->spec;
    spec->n_intents = 2;
    reference(model->network, raw);
    struct reading *reading = predict(model, READING_ALL, 4);
    const float *rows = reading_rows(reading, 0, NULL);
    ck_assert_uint_eq(prediction_n_labels(model), 2);
    for (size_t t = 0; t < T; t++) {
        ck_assert_float_eq_tol(rows[t * OUTPUTS] + rows[t * OUTPUTS + 1], 1, 1e-6f);
        ck_assert_mem_eq(rows + t * OUTPUTS + 2, raw + t * OUTPUTS + 2, 2 * sizeof *raw);
    }
    for (int from = INTENT_MEAN; from <= INTENT_LAST; from++) {
        double z[2] = {0, 0};
        size_t first = from == INTENT_LAST ? T - 1 : 0, end = from == INTENT_FIRST ? 1 : T;
        for (size_t t = first; t < end; t++)
            for (size_t k = 0; k < 2; k++) z[k] += (double)raw[t * OUTPUTS + 2 + k] / (double)(end - first);
        spec->from = (enum intent_from)from;
        prediction_intents(model, rows, T, scores);
        ck_assert_double_eq_tol((double)scores[0], 1 / (1 + exp(z[1] - z[0])), 1e-6);
        ck_assert_float_eq_tol(scores[0] + scores[1], 1, 1e-6f);
    }
    job_free(reading_job(reading));
    jobs_model_free(model);
}
END_TEST

START_TEST(another_task_cannot)
{
    struct model *model = jobs_model(TASK_SEQUENCE_CLASSIFICATION, build(false), NULL);
    const struct input input = {.features = x, .n_steps = T};
    const struct reading_want want = {.ability = ABILITY_PREDICT, .rows = READING_ALL};
    const struct job_options options = {0};
    struct reading *reading;
    struct error err = {0};
    ck_assert_int_eq(reading_new(model, &input, 1, &want, 64, &options, &reading, &err), STATUS_UNSUPPORTED);
    ck_assert_str_eq(err.param, "model");
    jobs_model_free(model);
}
END_TEST

Suite *prediction_suite(void);

Suite *prediction_suite(void)
{
    Suite *suite = suite_create("prediction");
    TCase *cases = tcase_create("prediction");
    tcase_add_test(cases, every_step_has_the_networks_own_row);
    tcase_add_test(cases, activations_make_scores);
    tcase_add_test(cases, intents_are_of_the_whole_sequence);
    tcase_add_test(cases, another_task_cannot);
    suite_add_tcase(suite, cases);
    return suite;
}
