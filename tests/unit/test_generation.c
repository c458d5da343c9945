/* generation: what is written, what it does not depend on, and what is refused. The models are tables
 * made by hand, or tiny LSTMs where a state matters. */
#include "models/generation/generation.h"

#include <check.h>
#include <math.h>
#include <string.h>

#include "models/jobs/logits.h"
#include "tests/support/runs.h"

/* ---- what is written ---- */

START_TEST(a_chain_is_followed)
{
    struct model *model = runs_chain_model();
    struct generation_request request = runs_request(&runs_abc, 1, 7);
    struct run run;
    run_alone(&run, model, &request);
    run_check(&run, 0, "defghab", FINISH_LENGTH);
    ck_assert_uint_eq(generation_n_choices(run.generation), 1);
    ck_assert_uint_eq(generation_prompt_tokens(run.generation), 3);
    ck_assert_uint_eq(generation_completion_tokens(run.generation), 7);
    struct generation_choice read;
    generation_read(run.generation, 0, &read);
    ck_assert_uint_eq(read.n_tokens, 7);
    for (size_t i = 0; i < 7; i++) {
        ck_assert_int_eq(read.tokens[i], (int32_t)((3 + i) % RUNS_V));
        ck_assert_uint_eq(read.text_offsets[i], i);
    }
    ck_assert_ptr_null(read.logprobs);
    ck_assert_ptr_null(read.top);
    ck_assert_int_eq(run.witness.n_progress, 7);
    struct job_timings timings;
    job_timings(run.job, &timings);
    ck_assert_uint_eq(timings.steps, 3 + 6); /* the last token is not fed */
    ck_assert_double_eq(timings.mean_batch, 1);
    ck_assert_double_ge(timings.total_ms, timings.compute_ms);
    ck_assert_double_eq_tol(timings.total_ms, timings.queue_ms + timings.compute_ms, 1e-9);
    ck_assert_double_eq_tol(timings.compute_ms, timings.prompt_ms + timings.decode_ms, 1e-9);
    job_free(run.job);
    jobs_model_free(model);
}
END_TEST

START_TEST(several_prompts_and_choices)
{
    struct model *model = runs_chain_model();
    const struct token_span prompts[] = {runs_abc, runs_a, {(const int32_t[]){6, 6, 6, 6, 7}, 5}};
    struct generation_request request = runs_request(prompts, 3, 2);
    request.n = request.best_of = 3;
    struct run run;
    run_alone(&run, model, &request);
    static const char *const expected[] = {"de", "bc", "ab"};
    ck_assert_uint_eq(generation_n_choices(run.generation), 9);
    for (size_t i = 0; i < 9; i++)
        run_check(&run, i, expected[i / 3], FINISH_LENGTH);
    ck_assert_uint_eq(generation_prompt_tokens(run.generation), 9);
    ck_assert_uint_eq(generation_completion_tokens(run.generation), 18);
    job_free(run.job);
    jobs_model_free(model);
}
END_TEST

START_TEST(eos_ends_and_bos_begins)
{
    struct model *model = runs_words_model();
    const struct token_span prompts[] = {{NULL, 0}, {(const int32_t[]){1}, 1}};
    struct generation_request request = runs_request(prompts, 2, 10);
    request.logprobs = 0;
    struct run run;
    run_alone(&run, model, &request);
    run_check(&run, 0, "the cat sat", FINISH_STOP);
    run_check(&run, 1, " cat sat", FINISH_STOP);
    struct generation_choice read;
    generation_read(run.generation, 0, &read);
    ck_assert_uint_eq(read.n_tokens, 3); /* eos is not one of them, but it was drawn */
    ck_assert_uint_eq(generation_completion_tokens(run.generation), 4 + 3);
    ck_assert_uint_eq(generation_prompt_tokens(run.generation), 1); /* what the client sent */
    ck_assert_ptr_nonnull(read.logprobs);
    ck_assert_ptr_null(read.top);
    job_free(run.job);

    request.max_tokens = 4; /* the last one allowed is eos */
    run_alone(&run, model, &request);
    run_check(&run, 0, "the cat sat", FINISH_STOP);
    job_free(run.job);
    request.max_tokens = 3;
    run_alone(&run, model, &request);
    run_check(&run, 0, "the cat sat", FINISH_LENGTH);
    job_free(run.job);
    jobs_model_free(model);
}
END_TEST

START_TEST(stop_strings_end_each_choice)
{
    struct model *model = runs_chain_model();
    const struct token_span prompts[] = {runs_a, runs_abc};
    struct generation_request request = runs_request(prompts, 2, 100);
    runs_stop(&request, "fga");
    runs_stop(&request, "fgha");
    request.n = request.best_of = 2;
    struct run run;
    run_alone(&run, model, &request);
    for (size_t i = 0; i < 4; i++)
        run_check(&run, i, i < 2 ? "bcde" : "de", FINISH_STOP);
    ck_assert_uint_eq(generation_completion_tokens(run.generation), 2 * 8 + 2 * 6);
    job_free(run.job);
    runs_stop(&request, "b"); /* at the first token: forks that never board */
    run_alone(&run, model, &request);
    run_check(&run, 0, "", FINISH_STOP);
    run_check(&run, 1, "", FINISH_STOP);
    run_check(&run, 2, "de", FINISH_STOP);
    job_free(run.job);
    jobs_model_free(model);
}
END_TEST

START_TEST(text_is_whole_code_points)
{
    struct model *model = runs_bytes_model("a\xe2\x82\xac");
    const struct token_span prompt = {(const int32_t[]){0xac}, 1};
    struct generation_request request = runs_request(&prompt, 1, 0);
    static const char *const expected[] = {
        "a", "a\xef\xbf\xbd", "a\xef\xbf\xbd", "a\xe2\x82\xac", "a\xe2\x82\xac\x61"};
    for (request.max_tokens = 1; request.max_tokens <= 5; request.max_tokens++) {
        struct run run;
        run_alone(&run, model, &request);
        run_check(&run, 0, expected[request.max_tokens - 1], FINISH_LENGTH);
        job_free(run.job);
    }
    runs_stop(&request, "\xe2\x82\xac");
    struct run run;
    run_alone(&run, model, &request);
    run_check(&run, 0, "a", FINISH_STOP);
    job_free(run.job);
    jobs_model_free(model);
}
END_TEST

START_TEST(echo_begins_with_the_prompt)
{
    struct model *model = runs_chain_model();
    struct generation_request request = runs_request(&runs_abc, 1, 2);
    request.echo = true;
    request.n = request.best_of = 2;
    runs_stop(&request, "abc"); /* is not looked for in the prompt */
    struct run run;
    run_alone(&run, model, &request);
    run_check(&run, 0, "abcde", FINISH_LENGTH);
    run_check(&run, 1, "abcde", FINISH_LENGTH);
    struct generation_choice read;
    generation_read(run.generation, 1, &read);
    ck_assert_uint_eq(read.n_tokens, 5);
    job_free(run.job);

    request.max_tokens = 0;
    run_alone(&run, model, &request);
    run_check(&run, 0, "abc", FINISH_LENGTH);
    run_check(&run, 1, "abc", FINISH_LENGTH);
    ck_assert_uint_eq(generation_completion_tokens(run.generation), 0);
    job_free(run.job);
    jobs_model_free(model);
}
END_TEST

/* ---- probabilities ---- */

enum { V = RUNS_V };

static float table[V * V];

START_TEST(log_probabilities_are_the_models_own)
{
    for (int i = 0; i < V * V; i++) table[i] = (float)(i * 37 % 23) / 8;
    struct model *model = runs_table_model(table);
    struct generation_request request = runs_request(&runs_abc, 1, 6);
    const struct logit_bias bias = {3, 5};
    request.logprobs = 3;
    request.echo = true;
    request.temperature = 2;
    request.biases = &bias; /* none of which shows in the log-probabilities */
    request.n_biases = 1;
    request.n = request.best_of = 2;
    struct run run;
    run_alone(&run, model, &request);
    for (size_t choice = 0; choice < 2; choice++) {
        struct generation_choice read;
        generation_read(run.generation, choice, &read);
        ck_assert_uint_eq(read.n_tokens, 9);
        ck_assert_uint_eq(read.n_top, 3);
        ck_assert_float_nan(read.logprobs[0]);
        for (int j = 0; j < 3; j++) ck_assert_int_eq(read.top[j].id, TOKEN_NONE);
        for (size_t i = 1; i < 9; i++) {
            const float *row = table + read.tokens[i - 1] * V;
            double log_sum = logits_log_sum_exp(row, V);
            struct token_logprob top[3];
            logits_top(row, V, log_sum, 3, top);
            ck_assert_float_eq(read.logprobs[i], (float)((double)row[read.tokens[i]] - log_sum));
            ck_assert_mem_eq(read.top + i * 3, top, sizeof top);
        }
    }
    job_free(run.job);
    jobs_model_free(model);
}
END_TEST

START_TEST(with_a_bos_every_token_has_a_probability)
{
    struct model *model = runs_words_model();
    const struct token_span prompt = {(const int32_t[]){1, 3}, 2};
    struct generation_request request = runs_request(&prompt, 1, 0);
    request.logprobs = 1;
    request.echo = true;
    struct run run;
    run_alone(&run, model, &request);
    struct generation_choice read;
    generation_read(run.generation, 0, &read);
    ck_assert_uint_eq(read.n_tokens, 2);
    ck_assert_float_eq_tol(read.logprobs[0], 0, 1e-6f);
    ck_assert_float_eq_tol(read.logprobs[1], -80, 1e-4f);
    ck_assert_int_eq(read.top[0].id, 1);
    ck_assert_int_eq(read.top[1].id, 2);
    job_free(run.job);
    jobs_model_free(model);
}
END_TEST

START_TEST(a_bias_forbids_or_forces)
{
    struct model *model = runs_chain_model();
    const struct logit_bias biases[] = {{1, -100}, {5, 50}, {7, 100}};
    struct generation_request request = runs_request(&runs_a, 1, 1);
    request.biases = biases;
    request.n_biases = 2;
    struct run run;
    run_alone(&run, model, &request);
    run_check(&run, 0, "f", FINISH_LENGTH);
    job_free(run.job);
    request.n_biases = 3;
    run_alone(&run, model, &request);
    run_check(&run, 0, "h", FINISH_LENGTH);
    job_free(run.job);
    jobs_model_free(model);
}
END_TEST

/* Equal logits and greedy: what was seen less wins. */
START_TEST(penalties_count_what_was_seen)
{
    float flat[V * V];
    for (int i = 0; i < V * V; i++) flat[i] = 1;
    struct model *model = runs_table_model(flat);
    struct generation_request request = runs_request(&runs_a, 1, 10);
    request.temperature = 0;
    struct run run;
    run_alone(&run, model, &request);
    run_check(&run, 0, "aaaaaaaaaa", FINISH_LENGTH);
    job_free(run.job);
    request.frequency_penalty = 0.25;
    run_alone(&run, model, &request);
    run_check(&run, 0, "abcdefghab", FINISH_LENGTH);
    job_free(run.job);
    request.frequency_penalty = 0;
    request.presence_penalty = 0.25;
    run_alone(&run, model, &request);
    run_check(&run, 0, "abcdefghaa", FINISH_LENGTH);
    job_free(run.job);
    request.presence_penalty = 0;
    request.repetition_penalty = 1.5; /* the prompt counts too */
    run_alone(&run, model, &request);
    run_check(&run, 0, "bcdefghaaa", FINISH_LENGTH);
    job_free(run.job);
    jobs_model_free(model);
}
END_TEST

/* ---- nothing but the seed matters ---- */

START_TEST(a_choice_depends_on_seed_and_number)
{
    struct model *model = runs_lstm_model();
    struct generation_request request = runs_request(&runs_abc, 1, 30);
    char few[2][64], many[6][64], other[64];
    struct run run;
    request.n = request.best_of = 2;
    run_alone(&run, model, &request);
    for (size_t i = 0; i < 2; i++) run_text(&run, i, few[i]);
    job_free(run.job);
    request.n = request.best_of = 6;
    run_alone(&run, model, &request);
    for (size_t i = 0; i < 6; i++) run_text(&run, i, many[i]);
    job_free(run.job);
    request.n = request.best_of = 1;
    request.seed++;
    run_alone(&run, model, &request);
    run_text(&run, 0, other);
    job_free(run.job);
    for (size_t i = 0; i < 2; i++) ck_assert_str_eq(few[i], many[i]);
    for (size_t i = 0; i < 6; i++) {
        ck_assert_str_ne(other, many[i]);
        for (size_t j = 0; j < i; j++) ck_assert_str_ne(many[j], many[i]);
    }
    jobs_model_free(model);
}
END_TEST

/* Alone, and in a crowd that comes and goes, whatever the turns look like. */
START_TEST(the_company_does_not_matter)
{
    static const struct { size_t workers, chunk, batch; } ways[] = {
        {1, 1, 1}, {1, 64, 64}, {1, 3, 5}, {2, 2, 3}, {2, 7, 64},
    };
    enum { CROWD = 24 };
    struct model *model = runs_lstm_model();
    int32_t long_ids[50];
    for (int i = 0; i < 50; i++) long_ids[i] = i * 5 % V;
    const struct token_span prompts[] = {runs_abc, {long_ids, 50}};
    struct generation_request request = runs_request(prompts, 2, 40);
    request.n = request.best_of = 3;
    request.logprobs = 2;
    request.echo = true;
    struct run expected, run, crowd[CROWD];
    run_alone(&expected, model, &request);
    struct scheduler *scheduler =
        jobs_scheduler(ways[_i].workers, ways[_i].chunk, ways[_i].batch);
    for (size_t i = 0; i < CROWD; i++) {
        struct generation_request other = runs_request(prompts + i % 2, 1, 5 + 3 * i);
        other.seed = i;
        run_new(&crowd[i], model, &other);
        ck_assert_int_eq(job_start(crowd[i].job, scheduler), STATUS_OK);
        if (i != CROWD / 2) continue;
        run_new(&run, model, &request);
        ck_assert_int_eq(job_start(run.job, scheduler), STATUS_OK);
    }
    jobs_wait(&run.witness);
    for (size_t i = 0; i < 6; i++) {
        struct generation_choice a, b;
        generation_read(expected.generation, i, &a);
        generation_read(run.generation, i, &b);
        ck_assert_uint_eq(a.n_text, b.n_text);
        ck_assert_mem_eq(a.text, b.text, a.n_text);
        ck_assert_uint_eq(a.n_tokens, b.n_tokens);
        ck_assert_mem_eq(a.logprobs, b.logprobs, a.n_tokens * sizeof *a.logprobs);
        ck_assert_mem_eq(a.top, b.top, a.n_tokens * a.n_top * sizeof *a.top);
    }
    for (size_t i = 0; i < CROWD; i++) {
        jobs_wait(&crowd[i].witness);
        job_free(crowd[i].job);
    }
    scheduler_free(scheduler);
    job_free(expected.job);
    job_free(run.job);
    jobs_model_free(model);
}
END_TEST

/* Many choices of one prompt: workers without riders are given some of them. */
START_TEST(choices_may_be_shared_out)
{
    enum { CHOICES = 60 };
    struct model *model = runs_lstm_model();
    struct generation_request request = runs_request(&runs_abc, 1, 60);
    request.n = request.best_of = CHOICES;
    request.top_p = 0.9; /* needs scratch */
    struct run alone, shared;
    run_alone(&alone, model, &request);
    struct scheduler *scheduler = jobs_scheduler(3, 4, 16);
    run_new(&shared, model, &request);
    ck_assert_int_eq(jobs_run(shared.job, scheduler, &shared.witness), STATUS_OK);
    for (size_t i = 0; i < CHOICES; i++) {
        char text[64];
        run_text(&alone, i, text);
        run_check(&shared, i, text, FINISH_LENGTH);
    }
    scheduler_free(scheduler);
    job_free(alone.job);
    job_free(shared.job);
    jobs_model_free(model);
}
END_TEST

START_TEST(the_best_are_returned_best_first)
{
    struct model *model = runs_lstm_model();
    const struct token_span prompts[] = {runs_a, runs_abc};
    struct generation_request request = runs_request(prompts, 2, 12);
    request.n = request.best_of = 7;
    request.logprobs = 0;
    request.temperature = 3;
    struct run all, best;
    run_alone(&all, model, &request);
    request.n = 3;
    request.logprobs = -1;
    run_alone(&best, model, &request);
    ck_assert_uint_eq(generation_n_choices(best.generation), 6);
    ck_assert_uint_eq(generation_completion_tokens(best.generation), 14 * 12);
    ck_assert_int_eq(best.witness.n_progress, 0); /* there is nothing to read before the end */
    for (size_t p = 0; p < 2; p++) {
        bool taken[7] = {false};
        for (size_t i = 0; i < 3; i++) {
            size_t greatest = 7;
            double most = -INFINITY;
            for (size_t b = 0; b < 7; b++) {
                struct generation_choice read;
                generation_read(all.generation, p * 7 + b, &read);
                double sum = 0;
                for (size_t k = 0; k < read.n_tokens; k++) sum += (double)read.logprobs[k];
                if (taken[b] || sum <= most) continue;
                most = sum;
                greatest = b;
            }
            taken[greatest] = true;
            char expected[64];
            run_text(&all, p * 7 + greatest, expected);
            run_check(&best, p * 3 + i, expected, FINISH_LENGTH);
        }
    }
    job_free(all.job);
    job_free(best.job);
    jobs_model_free(model);
}
END_TEST

/* ---- what is refused ---- */

static const int32_t outside[] = {0, V};
static const int32_t negative[] = {-1};
static const struct token_span two_prompts[] = {{(const int32_t[]){0}, 1}, {outside, 2}};
static const struct token_span negative_prompt = {negative, 1};
static const struct token_span empty_prompt = {NULL, 0};
static const struct logit_bias bad_bias_id = {V, 1}, bad_bias = {0, 100.5f}, nan_bias = {0, NAN};

static void break_prompts(struct generation_request *r) { r->n_prompts = 0; }
static void break_empty(struct generation_request *r) { r->prompts = &empty_prompt; }
static void break_second(struct generation_request *r)
{
    r->prompts = two_prompts;
    r->n_prompts = 2;
}
static void break_negative(struct generation_request *r) { r->prompts = &negative_prompt; }
static void break_max_tokens(struct generation_request *r) { r->max_tokens = 0; }
static void break_n(struct generation_request *r) { r->n = r->best_of = 0; }
static void break_best_of(struct generation_request *r) { r->n = 2; }
static void break_temperature(struct generation_request *r) { r->temperature = -0.1; }
static void break_temperature_nan(struct generation_request *r) { r->temperature = NAN; }
static void break_temperature_inf(struct generation_request *r) { r->temperature = INFINITY; }
static void break_top_p(struct generation_request *r) { r->top_p = 1.01; }
static void break_min_p(struct generation_request *r) { r->min_p = -1; }
static void break_repetition(struct generation_request *r) { r->repetition_penalty = 0; }
static void break_presence(struct generation_request *r) { r->presence_penalty = NAN; }
static void break_frequency(struct generation_request *r) { r->frequency_penalty = 1e9; }
static void break_logprobs(struct generation_request *r) { r->logprobs = 21; }
static void break_stop_empty(struct generation_request *r) { runs_stop(r, ""); }
static void break_stop_utf8(struct generation_request *r) { runs_stop(r, "a\xff"); }
static void break_stop_long(struct generation_request *r)
{
    static char text[GENERATION_MAX_STOP_BYTES + 2];
    memset(text, 'x', sizeof text - 1);
    runs_stop(r, text);
}
static void break_stops(struct generation_request *r) { r->n_stops = GENERATION_MAX_STOPS + 1; }
static void break_bias_id(struct generation_request *r)
{
    r->biases = &bad_bias_id;
    r->n_biases = 1;
}
static void break_bias(struct generation_request *r)
{
    r->biases = &bad_bias;
    r->n_biases = 1;
}
static void break_bias_nan(struct generation_request *r)
{
    r->biases = &nan_bias;
    r->n_biases = 1;
}

static const struct {
    void (*make)(struct generation_request *);
    const char *param;
    enum status status;
} broken[] = {
    {break_prompts, "prompt", STATUS_BAD_VALUE},
    {break_empty, "prompt", STATUS_BAD_VALUE},
    {break_second, "prompt[1]", STATUS_BAD_VALUE},
    {break_negative, "prompt", STATUS_BAD_VALUE},
    {break_max_tokens, "max_tokens", STATUS_BAD_VALUE},
    {break_n, "n", STATUS_BAD_VALUE},
    {break_best_of, "best_of", STATUS_BAD_VALUE},
    {break_temperature, "temperature", STATUS_BAD_VALUE},
    {break_temperature_nan, "temperature", STATUS_BAD_VALUE},
    {break_temperature_inf, "temperature", STATUS_BAD_VALUE},
    {break_top_p, "top_p", STATUS_BAD_VALUE},
    {break_min_p, "min_p", STATUS_BAD_VALUE},
    {break_repetition, "repetition_penalty", STATUS_BAD_VALUE},
    {break_presence, "presence_penalty", STATUS_BAD_VALUE},
    {break_frequency, "frequency_penalty", STATUS_BAD_VALUE},
    {break_logprobs, "logprobs", STATUS_BAD_VALUE},
    {break_stop_empty, "stop", STATUS_BAD_VALUE},
    {break_stop_utf8, "stop", STATUS_BAD_FORMAT},
    {break_stop_long, "stop", STATUS_BAD_VALUE},
    {break_stops, "stop", STATUS_BAD_VALUE},
    {break_bias_id, "logit_bias", STATUS_BAD_VALUE},
    {break_bias, "logit_bias", STATUS_BAD_VALUE},
    {break_bias_nan, "logit_bias", STATUS_BAD_VALUE},
};

START_TEST(what_is_wrong_is_named)
{
    struct model *model = runs_lstm_model();
    struct generation_request request = runs_request(&runs_a, 1, 5);
    struct job_options options = {0};
    struct generation *generation = NULL;
    struct error err = {0};
    broken[_i].make(&request);
    ck_assert_int_eq(generation_new(model, &request, &options, &generation, &err),
                     broken[_i].status);
    ck_assert_int_eq(err.status, broken[_i].status);
    ck_assert_str_eq(err.param, broken[_i].param);
    ck_assert_msg(strstr(err.message, "expected") || strstr(err.message, "UTF-8"), "%s", err.message);
    ck_assert_ptr_null(generation);
    ck_assert_int_eq(generation_new(model, &request, &options, &generation, NULL),
                     broken[_i].status);
    jobs_model_free(model);
}
END_TEST

START_TEST(another_task_is_refused)
{
    struct model *model = runs_lstm_model();
    struct generation_request request = runs_request(&runs_a, 1, 5);
    struct job_options options = {0};
    struct generation *generation;
    struct error err = {0};
    model->task = task_of(TASK_TEXT_CLASSIFICATION);
    ck_assert_int_eq(generation_new(model, &request, &options, &generation, &err),
                     STATUS_UNSUPPORTED);
    ck_assert_str_eq(err.param, "model");
    jobs_model_free(model);
}
END_TEST

Suite *generation_suite(void);

Suite *generation_suite(void)
{
    Suite *suite = suite_create("generation");
    TCase *core = tcase_create("core");
    tcase_add_test(core, a_chain_is_followed);
    tcase_add_test(core, several_prompts_and_choices);
    tcase_add_test(core, eos_ends_and_bos_begins);
    tcase_add_test(core, stop_strings_end_each_choice);
    tcase_add_test(core, text_is_whole_code_points);
    tcase_add_test(core, echo_begins_with_the_prompt);
    tcase_add_test(core, log_probabilities_are_the_models_own);
    tcase_add_test(core, with_a_bos_every_token_has_a_probability);
    tcase_add_test(core, a_bias_forbids_or_forces);
    tcase_add_test(core, penalties_count_what_was_seen);
    tcase_add_test(core, a_choice_depends_on_seed_and_number);
    tcase_add_loop_test(core, the_company_does_not_matter, 0, 5);
    tcase_add_test(core, choices_may_be_shared_out);
    tcase_add_test(core, the_best_are_returned_best_first);
    suite_add_tcase(suite, core);
    TCase *errors = tcase_create("errors");
    tcase_add_loop_test(errors, what_is_wrong_is_named, 0, (int)(sizeof broken / sizeof *broken));
    tcase_add_test(errors, another_task_is_refused);
    suite_add_tcase(suite, errors);
    return suite;
}
