#include "tests/support/runs.h"

#include <check.h>
#include <string.h>

#include "tests/support/tiny.h"

static const char letters[] = "abcdefgh";
enum { V = RUNS_V };

struct model *runs_chain_model(void)
{
    int32_t next[V];
    for (int32_t i = 0; i < V; i++) next[i] = (i + 1) % V;
    return jobs_model(TASK_TEXT_GENERATION, jobs_chain_network(V, next), jobs_letters(letters));
}

struct model *runs_lstm_model(void)
{
    return jobs_model(TASK_TEXT_GENERATION, tiny_generator(V, 9), jobs_letters(letters));
}

struct model *runs_table_model(const float *table)
{
    return jobs_model(TASK_TEXT_GENERATION, jobs_bigram_network(V, table), jobs_letters(letters));
}

struct model *runs_bytes_model(const char *text)
{
    int32_t next[256] = {0};
    for (size_t i = 0; text[i]; i++)
        next[(unsigned char)text[i]] = (unsigned char)(text[i + 1] ? text[i + 1] : text[0]);
    return jobs_model(TASK_TEXT_GENERATION, jobs_chain_network(256, next), jobs_bytes());
}

static const int32_t abc[] = {0, 1, 2};
const struct token_span runs_a = {abc, 1}, runs_abc = {abc, 3};

struct generation_request runs_request(const struct token_span *prompts, size_t n_prompts,
                                       size_t max_tokens)
{
    return (struct generation_request){.prompts = prompts, .n_prompts = n_prompts,
                                       .max_tokens = max_tokens, .n = 1, .best_of = 1,
                                       .temperature = 1, .top_p = 1, .repetition_penalty = 1,
                                       .seed = 42, .logprobs = -1};
}

void runs_stop(struct generation_request *request, const char *stop)
{
    request->stops[request->n_stops] = stop;
    request->stop_bytes[request->n_stops++] = strlen(stop);
}

static void make(struct run *run, struct model *model, const struct generation_request *request,
                 const struct state *from, bool keeps)
{
    struct error err = {0};
    jobs_witness_init(&run->witness);
    struct job_options options = jobs_options(&run->witness);
    options.from = from;
    options.keeps = keeps;
    enum status status = generation_new(model, request, &options, &run->generation, &err);
    ck_assert_msg(status == STATUS_OK, "%s", err.message);
    run->job = generation_job(run->generation);
}

void run_new(struct run *run, struct model *model, const struct generation_request *request)
{
    make(run, model, request, NULL, false);
}

void run_on(struct run *run, struct model *model, const struct generation_request *request,
            const struct state *from)
{
    struct scheduler *scheduler = jobs_scheduler(1, 4, 8);
    make(run, model, request, from, from == NULL || request->n == 1);
    ck_assert_int_eq(jobs_run(run->job, scheduler, &run->witness), STATUS_OK);
    scheduler_free(scheduler);
}

void run_alone(struct run *run, struct model *model, const struct generation_request *request)
{
    struct scheduler *scheduler = jobs_scheduler(1, 4, 8);
    run_new(run, model, request);
    ck_assert_int_eq(jobs_run(run->job, scheduler, &run->witness), STATUS_OK);
    scheduler_free(scheduler);
}

void run_check(struct run *run, size_t choice, const char *expected, enum finish_reason finish)
{
    struct generation_choice read;
    generation_read(run->generation, choice, &read);
    ck_assert_msg(read.n_text == strlen(expected) && memcmp(read.text, expected, read.n_text) == 0,
                  "choice %zu is '%.*s', expected '%s'", choice, (int)read.n_text, read.text,
                  expected);
    ck_assert_int_eq(read.finish, finish);
}

void run_text(struct run *run, size_t choice, char out[64])
{
    struct generation_choice read;
    generation_read(run->generation, choice, &read);
    ck_assert_uint_lt(read.n_text, 64);
    memcpy(out, read.text, read.n_text);
    out[read.n_text] = 0;
}

struct model *runs_words_model(void)
{
    static const int32_t next[] = {1, 2, 3, 4, 0};
    return jobs_model(TASK_TEXT_GENERATION, jobs_chain_network(5, next),
                      jobs_tokenizer("words",
                                     (const char *const[]){"<s>", "the", "cat", "sat", "</s>", NULL},
                                     "<s>", "</s>"));
}
