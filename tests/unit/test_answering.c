/* Questions and contexts as steps, what a reading keeps of them, and what a bundle that answers must be. */
#include "models/tasks/answering.h"

#include <check.h>
#include <math.h>
#include <string.h>

#include "core/base/memory.h"
#include "tests/support/jobs.h"
#include "tests/support/written.h"

static struct tmp tmp;

static void setup(void)
{
    tmp_make(&tmp);
    written_bundle(&tmp, "m", TASK_QUESTION_ANSWERING);
}

static void teardown(void)
{
    tmp_remove(&tmp);
}

START_TEST(a_question_stands_before_its_context)
{
    static const int32_t q[] = {4, 5}, c[] = {7, 8, 9}, expected[] = {4, 5, 7, 8, 9};
    const struct token_span question = {q, 2}, context = {c, 3}, none = {NULL, 0};
    int32_t out[5] = {0};
    answering_join(&question, &context, out);
    ck_assert_mem_eq(out, expected, sizeof expected);
    answering_join(&none, &context, out);
    ck_assert_mem_eq(out, c, sizeof c);
}
END_TEST

/* The scores of the last step, and the probability of each. */
START_TEST(a_reading_keeps_scores_and_support)
{
    static const int32_t tokens[] = {0, 3, 1, 2, 0}; /* red ? blue ! red */
    static const double supports[] = {-2, -3, -2, 5, -2};
    struct model *model;
    struct error err;
    ck_assert_int_eq(written_load(&tmp, PRECISION_FLOAT32, &model, &err), STATUS_OK);
    struct scheduler *scheduler = jobs_scheduler(1, 32, 8);
    const struct input input = {.tokens = {tokens, 5}};
    const struct reading_want want = answering_want(model);
    struct jobs_witness witness;
    struct reading *reading;
    jobs_witness_init(&witness);
    struct job_options options = jobs_options(&witness);
    ck_assert_int_eq(reading_new(model, &input, 1, &want, scheduler_max_rows(scheduler), &options, &reading,
                                 &err), STATUS_OK);
    ck_assert_int_eq(jobs_run(reading_job(reading), scheduler, &witness), STATUS_OK);
    size_t n_rows;
    const float *rows = reading_rows(reading, 0, &n_rows), *scores = answering_scores(model, rows, n_rows);
    ck_assert_uint_eq(n_rows, 5);
    ck_assert_double_eq_tol((double)scores[0], 1 / (1 + exp(3)), 1e-6); /* of the outputs 1 and 4 */
    ck_assert_double_eq_tol((double)scores[1], 1 / (1 + exp(-3)), 1e-6);
    for (size_t t = 0; t < n_rows; t++)
        ck_assert_double_eq_tol((double)answering_support(model, rows, t), 1 / (1 + exp(-supports[t])), 1e-6);
    job_free(reading_job(reading));
    scheduler_free(scheduler);
    model_drop(model);
}
END_TEST

/* Without the output for sentences, only the last step is kept. */
START_TEST(a_reading_of_answers_alone_keeps_one_row)
{
    struct model model = {.n_labels = 5};
    struct answering_spec spec = {.supporting = false};
    model.spec = &spec;
    ck_assert_int_eq(answering_want(&model).rows, READING_LAST);
    ck_assert_uint_eq(answering_want(&model).width, 5);
    spec.supporting = true;
    ck_assert_int_eq(answering_want(&model).rows, READING_ALL);
    ck_assert_uint_eq(answering_want(&model).width, 6);
}
END_TEST

static const struct {
    const char *file, *old, *new, *sentence;
} breaks[] = {
    {"golden.json", "{\"question\": \"red?\", \"context\": \"blue! red\"}", "\"red? blue! red\"",
     "'input' is 'red? blue! red', expected an object with 'question' and 'context'"},
    {"golden.json", ", \"context\": \"blue! red\"", "", "'context' is missing"},
    {"golden.json", "\"context\"", "\"story\"", "story"},
    {"golden.json", "blue! red", "green! red", "'input': 'context': word 'green' at byte 0 is not in the"},
    {"golden.json", "\"red?\"", "\"red\"", "tokens"},
    {"golden.json", "[1, 0, 5]", "[1, 0, 4]", "differ"},
    {"config.json", "\"supporting\": true", "\"supporting\": false",
     "the network gives 3 numbers, 'labels' has 2"},
    {"config.json", "\"yes\"]", "\"yes\", \"perhaps\"]",
     "the network gives 3 numbers, 'labels' has 3, and 'supporting' needs one more"},
    {"config.json", "\"supporting\": true", "\"supporting\": 1", "supporting"},
    {"config.json", "{\"type\": \"linear\"",
     "{\"type\": \"pooling\", \"mode\": \"mean\"}, {\"type\": \"linear\"",
     "the network has 1 pooling layers, task 'question-answering' needs none"},
    {"config.json", "[\"no\", \"yes\"]", "[\"no\"]", "'labels' has 1 entries, expected 2 answers or more"},
    {"config.json", "\"blue\", ", "", "the network reads 4 different tokens, the tokenizer has 3"},
};

START_TEST(a_broken_bundle_is_refused_with_the_reason)
{
    struct model *model = NULL;
    struct error err = {.message = ""};
    written_edit(&tmp, "m", breaks[_i].file, breaks[_i].old, breaks[_i].new);
    ck_assert_int_ne(written_load(&tmp, PRECISION_FLOAT32, &model, &err), STATUS_OK);
    ck_assert_msg(strstr(err.message, breaks[_i].sentence) != NULL, "%s", err.message);
}
END_TEST

Suite *answering_suite(void);

Suite *answering_suite(void)
{
    Suite *suite = suite_create("answering");
    TCase *core = tcase_create("core");
    tcase_add_checked_fixture(core, setup, teardown);
    tcase_add_test(core, a_question_stands_before_its_context);
    tcase_add_test(core, a_reading_keeps_scores_and_support);
    tcase_add_test(core, a_reading_of_answers_alone_keeps_one_row);
    tcase_add_loop_test(core, a_broken_bundle_is_refused_with_the_reason, 0, sizeof breaks / sizeof *breaks);
    suite_add_tcase(suite, core);
    return suite;
}
