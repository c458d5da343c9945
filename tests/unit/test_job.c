/* job, through generation: reading along, how a job ends, and what memory it takes. */
#include "models/jobs/job.h"

#include <check.h>
#include <string.h>

#include "core/base/memory.h"
#include "models/text/utf8.h"
#include "tests/support/await.h"
#include "tests/support/riders.h"
#include "tests/support/runs.h"

/* ---- reading along ---- */

START_TEST(a_slow_reader_pauses_its_choice)
{
    struct model *model = runs_chain_model();
    struct generation_request request = runs_request(&runs_a, 1, 50);
    request.n = request.best_of = 2;
    request.max_unread = 3;
    request.temperature = 0;
    runs_stop(&request, "gx"); /* g is held back until h comes */
    struct scheduler *scheduler = jobs_scheduler(1, 4, 8);
    struct run run;
    run_new(&run, model, &request);
    ck_assert_int_eq(job_start(run.job, scheduler), STATUS_OK);
    size_t consumed = 0;
    int seen = 0;
    while (consumed < 50) { /* choice 1 waits for its reader all the while */
        struct generation_choice read;
        generation_read(run.generation, 0, &read);
        ck_assert_uint_le(read.n_tokens, consumed + 4);
        if (read.n_tokens == consumed) {
            seen = jobs_wait_progress(&run.witness, seen);
            continue;
        }
        generation_consumed(run.generation, 0, ++consumed);
    }
    struct generation_choice read;
    generation_read(run.generation, 1, &read);
    ck_assert_uint_le(read.n_tokens, 4);
    ck_assert_int_eq(read.finish, FINISH_NONE);
    ck_assert_int_eq(run.witness.n_finished, 0);
    generation_consumed(run.generation, 1, 50); /* it will take all there is */
    jobs_wait(&run.witness);
    generation_read(run.generation, 1, &read);
    ck_assert_uint_eq(read.n_tokens, 50);
    ck_assert_int_eq(read.finish, FINISH_LENGTH);
    scheduler_free(scheduler);
    job_free(run.job);
    jobs_model_free(model);
}
END_TEST

/* Reads as fast as it can while workers write, and takes what it sees. */
START_TEST(a_reader_always_sees_a_whole_beginning)
{
    struct model *model = runs_bytes_model("a\xe2\x82\xac\xc3\xa9");
    const struct token_span prompts[] = {{(const int32_t[]){'a'}, 1}, {(const int32_t[]){0xac}, 1}};
    struct generation_request request = runs_request(prompts, 2, 3000);
    request.n = request.best_of = 2;
    request.logprobs = 1;
    request.max_unread = 1 + (size_t)_i * 7;
    runs_stop(&request, "aa");
    struct scheduler *scheduler = jobs_scheduler(2, 4, 8);
    struct run run;
    run_new(&run, model, &request);
    ck_assert_int_eq(job_start(run.job, scheduler), STATUS_OK);
    size_t n_done = 0, n_text[4] = {0}, n_tokens[4] = {0};
    while (n_done < 4) {
        n_done = 0;
        for (size_t i = 0; i < 4; i++) {
            struct generation_choice read;
            generation_read(run.generation, i, &read);
            ck_assert_uint_ge(read.n_text, n_text[i]);
            ck_assert_uint_ge(read.n_tokens, n_tokens[i]);
            ck_assert(utf8_is_valid(read.text + n_text[i], read.n_text - n_text[i], NULL));
            for (size_t k = n_tokens[i]; k < read.n_tokens; k++) {
                ck_assert_uint_lt(read.text_offsets[k], read.n_text);
                ck_assert_float_eq_tol(read.logprobs[k], 0, 1e-6f);
                ck_assert_int_eq(read.top[k].id, read.tokens[k]);
            }
            n_text[i] = read.n_text;
            n_tokens[i] = read.n_tokens;
            generation_consumed(run.generation, i, read.n_tokens);
            if (read.finish == FINISH_LENGTH) n_done++;
        }
    }
    jobs_wait(&run.witness);
    ck_assert_uint_eq(n_tokens[0], 3000);
    scheduler_free(scheduler);
    job_free(run.job);
    jobs_model_free(model);
}
END_TEST

/* ---- how a job ends ---- */

static struct generation_request endless(void)
{
    static const int32_t ids[] = {0, 1, 2};
    static const struct token_span prompts[] = {{ids, 1}, {ids, 3}};
    struct generation_request request = runs_request(prompts, 2, 100000);
    request.n = request.best_of = 3;
    return request;
}

START_TEST(cancelled_in_the_queue)
{
    struct model *model = runs_lstm_model();
    struct generation_request request = endless();
    struct scheduler *scheduler = jobs_scheduler(1, 4, 8);
    struct run run;
    struct gate *gate = gate_shut(scheduler, model->network);
    run_new(&run, model, &request);
    ck_assert_int_eq(job_start(run.job, scheduler), STATUS_OK);
    job_cancel(run.job);
    ck_assert_int_eq(run.witness.n_finished, 0);
    atomic_store(&gate->open, true);
    jobs_wait(&run.witness);
    ck_assert_int_eq(job_status(run.job), STATUS_CANCELLED);
    ck_assert_uint_eq(generation_completion_tokens(run.generation), 0);
    struct job_timings timings;
    job_timings(run.job, &timings);
    ck_assert_double_gt(timings.total_ms, 0);
    ck_assert_double_eq(timings.queue_ms, timings.total_ms);
    ck_assert_double_eq(timings.compute_ms, 0);
    scheduler_free(scheduler);
    gate_free(gate);
    job_free(run.job);
    jobs_model_free(model);
}
END_TEST

START_TEST(cancelled_while_running)
{
    struct model *model = runs_lstm_model();
    struct generation_request request = endless();
    struct scheduler *scheduler = jobs_scheduler(_i % 2 ? 2 : 1, 4, 4);
    struct run run;
    run_new(&run, model, &request);
    ck_assert_int_eq(job_start(run.job, scheduler), STATUS_OK);
    if (_i > 0) (void)jobs_wait_progress(&run.witness, 2 * _i - 2);
    job_cancel(run.job); /* at _i == 0 perhaps just as it forks */
    jobs_wait(&run.witness);
    ck_assert_int_eq(job_status(run.job), STATUS_CANCELLED);
    struct generation_choice read;
    generation_read(run.generation, 5, &read);
    ck_assert_int_eq(read.finish, FINISH_NONE);
    riders_settle(scheduler);
    scheduler_free(scheduler);
    job_free(run.job);
    jobs_model_free(model);
}
END_TEST

START_TEST(cancelled_while_parked)
{
    struct model *model = runs_lstm_model();
    struct generation_request request = endless();
    request.max_unread = 2;
    struct scheduler *scheduler = jobs_scheduler(1, 4, 8);
    struct run run;
    run_new(&run, model, &request);
    ck_assert_int_eq(job_start(run.job, scheduler), STATUS_OK);
    struct scheduler_stats stats = {0};
    AWAIT((scheduler_stats(scheduler, &stats), stats.parked == 6));
    job_cancel(run.job);
    jobs_wait(&run.witness);
    ck_assert_int_eq(job_status(run.job), STATUS_CANCELLED);
    ck_assert_uint_eq(generation_completion_tokens(run.generation), 12);
    scheduler_free(scheduler);
    job_free(run.job);
    jobs_model_free(model);
}
END_TEST

static void run_until(struct run *run, struct model *model, const struct generation_request *request,
                      int64_t deadline_us)
{
    struct error err;
    jobs_witness_init(&run->witness);
    struct job_options options = jobs_options(&run->witness);
    options.deadline_us = deadline_us;
    ck_assert_int_eq(generation_new(model, request, &options, &run->generation, &err), STATUS_OK);
    run->job = generation_job(run->generation);
}

/* Before it starts, running, and parked. A machine that does not start it in time is given more. */
START_TEST(past_its_deadline)
{
    struct model *model = runs_lstm_model();
    struct generation_request request = endless();
    struct scheduler *scheduler = jobs_scheduler(1, 4, 8);
    struct run run;
    run_until(&run, model, &request, 1);
    ck_assert_int_eq(job_start(run.job, scheduler), STATUS_DEADLINE);
    ck_assert_int_eq(run.witness.n_finished, 0);
    job_free(run.job);
    for (size_t max_unread = 0; max_unread <= 2; max_unread += 2) {
        enum status status = STATUS_DEADLINE;
        request.max_unread = max_unread;
        for (int64_t us = 250000; status == STATUS_DEADLINE; us *= 2) {
            run_until(&run, model, &request, clock_us() + us);
            status = job_start(run.job, scheduler);
            if (status == STATUS_DEADLINE) job_free(run.job);
        }
        ck_assert_int_eq(status, STATUS_OK);
        jobs_wait(&run.witness);
        ck_assert_int_eq(job_status(run.job), STATUS_DEADLINE);
        job_free(run.job);
    }
    scheduler_free(scheduler);
    jobs_model_free(model);
}
END_TEST

START_TEST(the_server_closes)
{
    struct model *model = runs_lstm_model();
    struct generation_request request = endless();
    struct scheduler *scheduler = jobs_scheduler(2, 4, 4);
    struct run run, late;
    run_new(&run, model, &request);
    run_new(&late, model, &request);
    ck_assert_int_eq(job_start(run.job, scheduler), STATUS_OK);
    (void)jobs_wait_progress(&run.witness, 3);
    scheduler_drain(scheduler);
    ck_assert_int_eq(job_start(late.job, scheduler), STATUS_CLOSING);
    scheduler_free(scheduler);
    jobs_wait(&run.witness);
    ck_assert_int_eq(job_status(run.job), STATUS_CLOSING);
    job_free(run.job);
    job_free(late.job);
    jobs_model_free(model);
}
END_TEST

START_TEST(refused_by_a_full_queue_and_started_again)
{
    struct model *model = runs_lstm_model();
    struct generation_request request = runs_request(&runs_a, 1, 5);
    struct scheduler_options few = {.n_workers = 1, .max_batch = 4, .chunk_steps = 4,
                                    .max_rows = 64, .queue = {.sequences = 1, .steps = 1000}};
    struct scheduler *scheduler = NULL;
    ck_assert_int_eq(scheduler_new(&few, &scheduler, NULL), STATUS_OK);
    struct run first, second;
    struct gate *gate = gate_shut(scheduler, model->network);
    run_new(&first, model, &request);
    run_new(&second, model, &request);
    ck_assert_int_eq(job_start(first.job, scheduler), STATUS_OK);
    ck_assert_int_eq(job_start(second.job, scheduler), STATUS_QUEUE_FULL);
    atomic_store(&gate->open, true);
    jobs_wait(&first.witness);
    ck_assert_int_eq(second.witness.n_finished, 0);
    ck_assert_int_eq(jobs_run(second.job, scheduler, &second.witness), STATUS_OK);
    char a[64], b[64];
    run_text(&first, 0, a);
    run_text(&second, 0, b);
    ck_assert_str_eq(a, b);
    scheduler_free(scheduler);
    gate_free(gate);
    job_free(first.job);
    job_free(second.job);
    jobs_model_free(model);
}
END_TEST

START_TEST(never_started)
{
    struct model *model = runs_lstm_model();
    struct generation_request request = endless();
    request.max_tokens = 100;
    struct run run;
    run_new(&run, model, &request);
    ck_assert_uint_eq(atomic_load(&model->_references), 2);
    job_free(run.job);
    job_free(NULL);
    jobs_model_free(model);
}
END_TEST

/* A job may be freed by another thread as soon as finished() is called. */
START_TEST(freed_at_once)
{
    struct model *model = runs_lstm_model();
    struct generation_request request = runs_request(&runs_abc, 1, 3);
    request.n = request.best_of = 4;
    struct scheduler *scheduler = jobs_scheduler(2, 4, 8);
    for (int i = 0; i < 300; i++) {
        struct run run;
        run_new(&run, model, &request);
        ck_assert_int_eq(jobs_run(run.job, scheduler, &run.witness), STATUS_OK);
        job_free(run.job);
    }
    scheduler_free(scheduler);
    jobs_model_free(model);
}
END_TEST

/* ---- memory ---- */

START_TEST(every_failing_allocation_is_survived)
{
    struct model *model = runs_words_model();
    struct generation_request request = runs_request(&runs_a, 1, 5);
    request.echo = true;
    request.logprobs = 2;
    request.presence_penalty = 1;
    request.top_k = 2;
    runs_stop(&request, "cat");
    uint64_t n_failed = 0;
    for (uint64_t nth = 1;; nth++) {
        struct job_options options = {0};
        struct generation *generation = NULL;
        struct error err = {0};
        memory_fail_at(nth);
        enum status status = generation_new(model, &request, &options, &generation, &err);
        memory_fail_at(0);
        if (status == STATUS_OK) {
            job_free(generation_job(generation));
            break;
        }
        n_failed++;
        ck_assert_int_eq(status, STATUS_NO_MEMORY);
        ck_assert_ptr_null(generation);
        ck_assert_uint_eq(atomic_load(&model->_references), 1);
    }
    ck_assert_uint_ge(n_failed, 1);
    jobs_model_free(model);
}
END_TEST

START_TEST(a_running_job_allocates_nothing)
{
    struct model *model = runs_lstm_model();
    struct generation_request request = runs_request(&runs_abc, 1, 50);
    request.n = 2;
    request.best_of = 5;
    request.logprobs = 5;
    request.echo = true;
    request.top_k = 5;
    request.no_repeat_ngram_size = 3;
    request.top_p = 0.9;
    request.repetition_penalty = 1.1;
    runs_stop(&request, "hhhh");
    struct scheduler *scheduler = jobs_scheduler(1, 4, 8);
    struct run warm, run;
    run_new(&warm, model, &request);
    run_new(&run, model, &request);
    (void)jobs_run(warm.job, scheduler, &warm.witness); /* workspaces grow at the first turn */
    uint64_t before = memory_allocations();
    (void)jobs_run(run.job, scheduler, &run.witness);
    struct generation_choice read;
    for (size_t i = 0; i < 2; i++) generation_read(run.generation, i, &read);
    ck_assert_uint_eq(memory_allocations(), before);
    scheduler_free(scheduler);
    job_free(warm.job);
    job_free(run.job);
    jobs_model_free(model);
}
END_TEST

START_TEST(all_jobs_together_may_not_take_all_memory)
{
    struct model *model = runs_lstm_model();
    struct generation_request request = runs_request(&runs_a, 1, 1000);
    struct job_options options = {0};
    struct generation *first, *second;
    struct error err = {0};
    ck_assert_uint_eq(job_total_bytes(), 0);
    ck_assert_int_eq(generation_new(model, &request, &options, &first, &err), STATUS_OK);
    size_t bytes = job_total_bytes();
    ck_assert_uint_gt(bytes, 1000 * sizeof(int32_t));
    job_total_limit(2 * bytes - 1);
    ck_assert_int_eq(generation_new(model, &request, &options, &second, &err), STATUS_NO_MEMORY);
    ck_assert_uint_eq(job_total_bytes(), bytes);
    job_total_limit(2 * bytes);
    ck_assert_int_eq(generation_new(model, &request, &options, &second, &err), STATUS_OK);
    ck_assert_uint_eq(job_total_bytes(), 2 * bytes);
    job_free(generation_job(first));
    memory_fail_at(1);
    ck_assert_int_eq(generation_new(model, &request, &options, &first, &err), STATUS_NO_MEMORY);
    memory_fail_at(0);
    ck_assert_uint_eq(job_total_bytes(), bytes);
    job_free(generation_job(second));
    ck_assert_uint_eq(job_total_bytes(), 0);
    job_total_limit(SIZE_MAX);
    jobs_model_free(model);
}
END_TEST

START_TEST(a_job_may_not_take_all_memory)
{
    struct model *model = runs_lstm_model();
    static const struct { size_t max_tokens, best_of; int logprobs; } cases[] = {
        {(size_t)1 << 30, 1, -1}, {SIZE_MAX, 1, -1}, {SIZE_MAX / 8, 1, 20}, {1000, 1 << 20, -1},
        {1, SIZE_MAX, -1}, {1, SIZE_MAX / 100, -1}, {1000000, 4, 20},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct generation_request request = runs_request(&runs_a, 1, cases[i].max_tokens);
        request.best_of = cases[i].best_of;
        request.logprobs = cases[i].logprobs;
        struct job_options options = {0};
        struct generation *generation;
        struct error err = {0};
        uint64_t before = memory_allocations();
        ck_assert_int_eq(generation_new(model, &request, &options, &generation, &err),
                         STATUS_TOO_LONG);
        ck_assert_uint_eq(memory_allocations(), before);
    }
    jobs_model_free(model);
}
END_TEST

Suite *job_suite(void);

Suite *job_suite(void)
{
    Suite *suite = suite_create("job");
    TCase *reader = tcase_create("reader");
    tcase_set_timeout(reader, 60);
    tcase_add_test(reader, a_slow_reader_pauses_its_choice);
    tcase_add_loop_test(reader, a_reader_always_sees_a_whole_beginning, 0, 3);
    suite_add_tcase(suite, reader);
    TCase *ends = tcase_create("ends");
    tcase_set_timeout(ends, 60);
    tcase_add_test(ends, cancelled_in_the_queue);
    tcase_add_loop_test(ends, cancelled_while_running, 0, 30);
    tcase_add_test(ends, cancelled_while_parked);
    tcase_add_test(ends, past_its_deadline);
    tcase_add_test(ends, the_server_closes);
    tcase_add_test(ends, refused_by_a_full_queue_and_started_again);
    tcase_add_test(ends, never_started);
    tcase_add_test(ends, freed_at_once);
    suite_add_tcase(suite, ends);
    TCase *memory = tcase_create("memory");
    tcase_set_timeout(memory, 60);
    tcase_add_test(memory, every_failing_allocation_is_survived);
    tcase_add_test(memory, a_running_job_allocates_nothing);
    tcase_add_test(memory, a_job_may_not_take_all_memory);
    tcase_add_test(memory, all_jobs_together_may_not_take_all_memory);
    suite_add_tcase(suite, memory);
    return suite;
}
