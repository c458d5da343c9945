#include "models/generation/scoring.h"

#include <check.h>
#include <math.h>
#include <string.h>

#include "core/base/memory.h"
#include "models/jobs/logits.h"
#include "tests/support/runs.h"

/* ---- helpers ---- */

enum { V = RUNS_V };

static const int32_t ids[] = {0, 5, 2, 7, 7, 1, 3, 0, 4, 6, 2, 2, 5, 1};
static float table[V * V];

static struct model *table_model(void)
{
    for (int i = 0; i < V * V; i++) table[i] = (float)(i * 29 % 31) / 7;
    return runs_table_model(table);
}

struct scored {
    struct jobs_witness witness;
    struct scoring *scoring;
};

static void score(struct scored *scored, struct model *model, const struct scoring_item *items,
                  size_t n, struct scheduler *scheduler)
{
    struct error err = {0};
    jobs_witness_init(&scored->witness);
    struct job_options options = jobs_options(&scored->witness);
    enum status status = scoring_new(model, items, n, 0, &options, &scored->scoring, &err);
    ck_assert_msg(status == STATUS_OK, "%s", err.message);
    ck_assert_int_eq(jobs_run(scoring_job(scored->scoring), scheduler, &scored->witness), STATUS_OK);
}

/* ---- contracts ---- */

START_TEST(the_log_likelihood_is_a_sum)
{
    struct model *model = table_model();
    struct scheduler *scheduler = jobs_scheduler(1, (size_t)_i + 1, 8);
    struct scoring_item items[14];
    size_t n = 0;
    for (size_t n_context = 0; n_context < 14; n_context++)
        items[n++] = (struct scoring_item){.context = {ids, n_context},
                                           .text = {ids + n_context, 14 - n_context}};
    struct scored scored;
    score(&scored, model, items, n, scheduler);
    const struct scoring_result *results = scoring_results(scored.scoring);
    for (size_t i = 0; i < n; i++) {
        size_t first = i > 0 ? i : 1; /* nothing comes before the first token of all */
        double sum = 0;
        for (size_t t = first; t < 14; t++) {
            const float *row = table + ids[t - 1] * V;
            sum += (double)row[ids[t]] - logits_log_sum_exp(row, V);
        }
        ck_assert_double_eq(results[i].log_likelihood, sum);
        ck_assert_uint_eq(results[i].n_scored, 14 - first);
    }
    ck_assert_int_eq(scored.witness.n_progress, 0);
    job_free(scoring_job(scored.scoring));
    scheduler_free(scheduler);
    jobs_model_free(model);
}
END_TEST

START_TEST(a_bos_comes_before_the_first_token)
{
    struct model *model = runs_words_model();
    struct scheduler *scheduler = jobs_scheduler(1, 4, 8);
    const int32_t text[] = {1, 2, 1};
    const struct scoring_item items[] = {{.text = {text, 1}}, {.text = {text, 3}}};
    struct scored scored;
    score(&scored, model, items, 2, scheduler);
    const struct scoring_result *results = scoring_results(scored.scoring);
    ck_assert_double_eq_tol(results[0].log_likelihood, 0, 1e-9);
    ck_assert_uint_eq(results[0].n_scored, 1);
    ck_assert_double_eq_tol(results[1].log_likelihood, -80, 1e-4);
    ck_assert_uint_eq(results[1].n_scored, 3);
    job_free(scoring_job(scored.scoring));
    scheduler_free(scheduler);
    jobs_model_free(model);
}
END_TEST

/* What a generation reports of its echo is what a scoring finds. */
START_TEST(scores_agree_with_the_echo_of_a_generation)
{
    struct model *model = runs_lstm_model();
    const struct token_span prompt = {ids, 14};
    struct generation_request request = runs_request(&prompt, 1, 0);
    request.echo = true;
    request.logprobs = 0;
    struct run run;
    run_alone(&run, model, &request);
    struct generation_choice read;
    generation_read(run.generation, 0, &read);
    double sum = 0;
    for (size_t i = 1; i < 14; i++) sum += (double)read.logprobs[i];
    struct scheduler *scheduler = jobs_scheduler(1, 5, 8);
    struct scored scored;
    score(&scored, model, &(struct scoring_item){.text = prompt}, 1, scheduler);
    ck_assert_double_eq_tol(scoring_results(scored.scoring)[0].log_likelihood, sum, 1e-5);
    job_free(run.job);
    job_free(scoring_job(scored.scoring));
    scheduler_free(scheduler);
    jobs_model_free(model);
}
END_TEST

START_TEST(neither_cuts_nor_company_matter)
{
    static const struct { size_t workers, chunk, batch; } ways[] = {
        {1, 1, 1}, {1, 64, 64}, {1, 3, 2}, {2, 5, 64}};
    struct model *model = runs_lstm_model();
    struct scoring_item items[13];
    for (size_t i = 0; i < 13; i++)
        items[i] = (struct scoring_item){.context = {ids, i}, .text = {ids + i, 14 - i}};
    double expected[13];
    for (size_t way = 0; way < 4; way++) {
        struct scheduler *scheduler =
            jobs_scheduler(ways[way].workers, ways[way].chunk, ways[way].batch);
        struct scored scored;
        score(&scored, model, items, 13, scheduler);
        for (size_t i = 0; i < 13; i++) {
            double found = scoring_results(scored.scoring)[i].log_likelihood;
            if (way == 0) expected[i] = found;
            ck_assert_double_eq(found, expected[i]);
        }
        job_free(scoring_job(scored.scoring));
        scheduler_free(scheduler);
    }
    jobs_model_free(model);
}
END_TEST

/* ---- limits and errors ---- */

START_TEST(memory_is_taken_once_and_early)
{
    struct model *model = runs_lstm_model();
    const struct scoring_item item = {.text = {ids, 14}};
    struct job_options options = {0};
    struct scoring *scoring = NULL;
    struct error err;
    memory_fail_at(1);
    ck_assert_int_eq(scoring_new(model, &item, 1, 0, &options, &scoring, &err), STATUS_NO_MEMORY);
    memory_fail_at(0);
    ck_assert_ptr_null(scoring);

    struct scheduler *scheduler = jobs_scheduler(1, 5, 8);
    struct scored warm, scored;
    score(&warm, model, &item, 1, scheduler);
    uint64_t before = memory_allocations();
    score(&scored, model, &item, 1, scheduler);
    ck_assert_uint_eq(memory_allocations(), before + 1);
    job_free(scoring_job(warm.scoring));
    job_free(scoring_job(scored.scoring));
    scheduler_free(scheduler);
    jobs_model_free(model);
}
END_TEST

START_TEST(what_is_wrong_is_named)
{
    static const int32_t outside[] = {0, V};
    static const struct {
        struct scoring_item items[2];
        size_t n;
        const char *param;
    } broken[] = {
        {.n = 0, .param = "input"},
        {{{{NULL, 0}, {NULL, 0}}}, 1, "input"},
        {{{{NULL, 0}, {ids, 1}}}, 1, "input"},
        {{{{ids, 3}, {ids, 1}}, {{ids, 3}, {NULL, 0}}}, 2, "input[1]"},
        {{{{ids, 3}, {ids, 1}}, {{ids, 3}, {outside, 2}}}, 2, "input[1]"},
        {{{{outside, 2}, {ids, 1}}, {{ids, 3}, {ids, 1}}}, 2, "input[0]"},
    };
    struct model *model = runs_lstm_model();
    struct job_options options = {0};
    struct scoring *scoring = NULL;
    for (size_t i = 0; i < sizeof broken / sizeof *broken; i++) {
        struct error err = {0};
        ck_assert_int_eq(scoring_new(model, broken[i].items, broken[i].n, 0, &options, &scoring, &err),
                         STATUS_BAD_VALUE);
        ck_assert_str_eq(err.param, broken[i].param);
        ck_assert_ptr_null(scoring);
    }
    struct error err = {0};
    const struct scoring_item choices[] = {{{ids, 3}, {ids, 1}}, {{ids, 3}, {NULL, 0}},
                                           {{ids, 1}, {ids, 1}}, {{ids, 1}, {ids, 1}}};
    ck_assert_int_eq(scoring_new(model, choices, 4, 2, &options, &scoring, &err), STATUS_BAD_VALUE);
    ck_assert_str_eq(err.param, "choices[1]");
    ck_assert_int_eq(scoring_new(model, choices + 1, 1, 1, &options, &scoring, &err), STATUS_BAD_VALUE);
    ck_assert_str_eq(err.param, "choices[0]");
    model->task = task_of(TASK_FORECASTING);
    ck_assert_int_eq(scoring_new(model, broken[3].items, 1, 0, &options, &scoring, &err),
                     STATUS_UNSUPPORTED);
    jobs_model_free(model);
}
END_TEST

START_TEST(cancelled)
{
    struct model *model = runs_lstm_model();
    static int32_t zeros[200000];
    const struct scoring_item item = {.text = {zeros, 200000}};
    struct scheduler *scheduler = jobs_scheduler(1, 5, 8);
    struct jobs_witness witness;
    jobs_witness_init(&witness);
    struct job_options options = jobs_options(&witness);
    struct scoring *scoring;
    ck_assert_int_eq(scoring_new(model, &item, 1, 0, &options, &scoring, NULL), STATUS_OK);
    ck_assert_int_eq(job_start(scoring_job(scoring), scheduler), STATUS_OK);
    job_cancel(scoring_job(scoring));
    jobs_wait(&witness);
    ck_assert_int_eq(job_status(scoring_job(scoring)), STATUS_CANCELLED);
    job_free(scoring_job(scoring));
    scheduler_free(scheduler);
    jobs_model_free(model);
}
END_TEST

Suite *scoring_suite(void);

Suite *scoring_suite(void)
{
    Suite *suite = suite_create("scoring");
    TCase *core = tcase_create("core");
    tcase_add_loop_test(core, the_log_likelihood_is_a_sum, 0, 15);
    tcase_add_test(core, a_bos_comes_before_the_first_token);
    tcase_add_test(core, scores_agree_with_the_echo_of_a_generation);
    tcase_add_test(core, neither_cuts_nor_company_matter);
    suite_add_tcase(suite, core);
    TCase *limits = tcase_create("limits");
    tcase_add_test(limits, memory_is_taken_once_and_early);
    tcase_add_test(limits, cancelled);
    suite_add_tcase(suite, limits);
    TCase *errors = tcase_create("errors");
    tcase_add_test(errors, what_is_wrong_is_named);
    suite_add_tcase(suite, errors);
    return suite;
}
