#include "models/jobs/reading.h"

#include <check.h>
#include <math.h>
#include <string.h>

#include "core/base/memory.h"
#include "tests/support/jobs.h"
#include "tests/support/tiny.h"

/* ---- helpers ---- */

static const char *const words[] = {"<s>", "</s>", "a", "b", "c", "d", "e", NULL};
enum { V = 7, H = 6 };

static struct model *generator(void)
{
    return jobs_model(TASK_TEXT_GENERATION, tiny_generator(V, H),
                      jobs_tokenizer("words", words, "<s>", "</s>"));
}

static struct model *classifier(void)
{
    return jobs_model(TASK_TEXT_CLASSIFICATION, tiny_classifier(V, H, 3),
                      jobs_tokenizer("words", words, NULL, "</s>"));
}

struct embedded {
    struct jobs_witness witness;
    struct reading *embedding;
    struct job *job;
};

static enum status embedding_new(struct model *model, const struct input *inputs, size_t n,
                                 enum reading_rows rows, size_t max_whole_steps,
                                 const struct job_options *options, struct reading **out, struct error *err)
{
    const struct reading_want want = {.ability = ABILITY_EMBED, .tap = TAP_HIDDEN, .rows = rows};
    return reading_new(model, inputs, n, &want, max_whole_steps, options, out, err);
}

static void embed(struct embedded *e, struct model *model, const struct input *inputs,
                  size_t n, enum reading_rows pooling, struct scheduler *scheduler)
{
    struct error err = {0};
    jobs_witness_init(&e->witness);
    struct job_options options = jobs_options(&e->witness);
    enum status status = embedding_new(model, inputs, n, pooling, scheduler_max_rows(scheduler),
                                       &options, &e->embedding, &err);
    ck_assert_msg(status == STATUS_OK, "%s", err.message);
    e->job = reading_job(e->embedding);
    ck_assert_int_eq(jobs_run(e->job, scheduler, &e->witness), STATUS_OK);
}

/* Hidden vectors of the network run by itself: of all steps, [n, hidden], or the pooled one. */
static void reference(const struct network *network, const int32_t *tokens, size_t n, float *hidden)
{
    struct workspace *workspace = NULL;
    float *state = memory_new(network_state_floats(network) + 1, sizeof *state);
    ck_assert_int_eq(workspace_new(256, 1, &workspace), STATUS_OK);
    ck_assert_int_eq(workspace_fit(workspace, network), STATUS_OK);
    struct ride ride = {.n_steps = n, .tokens = tokens, .state = state, .tap = TAP_HIDDEN,
                        .want = network_has_pooling(network) ? WANT_LAST : WANT_ALL};
    network_run(network, workspace, &ride, 1);
    memcpy(hidden, ride.output, ride.n_outputs * network_hidden_size(network) * sizeof *hidden);
    workspace_free(workspace);
    memory_free(state);
}

static const int32_t ids[] = {2, 3, 4, 5, 6, 2, 2, 3, 6, 5};

/* ---- contracts ---- */

START_TEST(last_and_mean_of_the_hidden_vectors)
{
    struct model *model = generator();
    struct scheduler *scheduler = jobs_scheduler(1, (size_t)_i + 1, 8);
    const struct input inputs[] = {{.tokens = {ids, 10}}, {.tokens = {ids, 1}}};
    for (size_t i = 0; i < 2; i++) {
        size_t n = inputs[i].tokens.n + 1; /* bos is put, eos is not: the text goes on */
        int32_t tokens[11] = {0};
        float hidden[11 * H];
        memcpy(tokens + 1, ids, inputs[i].tokens.n * sizeof *ids);
        reference(model->network, tokens, n, hidden);
        struct embedded last, mean;
        embed(&last, model, inputs, 2, READING_LAST, scheduler);
        embed(&mean, model, inputs, 2, READING_MEAN, scheduler);
        for (size_t k = 0; k < H; k++) {
            double sum = 0;
            for (size_t t = 0; t < n; t++) sum += (double)hidden[t * H + k];
            ck_assert_float_eq(reading_rows(last.embedding, 0, NULL)[i * H + k],
                               hidden[(n - 1) * H + k]);
            ck_assert_float_eq(reading_rows(mean.embedding, 0, NULL)[i * H + k],
                               (float)(sum / (double)n));
        }
        job_free(last.job);
        job_free(mean.job);
    }
    scheduler_free(scheduler);
    jobs_model_free(model);
}
END_TEST

START_TEST(a_pooling_network_has_its_own_vector)
{
    struct model *model = classifier();
    struct scheduler *scheduler = jobs_scheduler(1, 3, 8);
    const struct input input = {.tokens = {ids, 10}};
    int32_t tokens[11];
    float expected[2 * H];
    memcpy(tokens, ids, sizeof ids);
    tokens[10] = 1; /* a classifier reads its eos */
    ck_assert_uint_eq(network_hidden_size(model->network), 2 * H);
    reference(model->network, tokens, 11, expected);
    for (int pooling = READING_LAST; pooling <= READING_MEAN; pooling++) {
        struct embedded e;
        embed(&e, model, &input, 1, (enum reading_rows)pooling, scheduler);
        ck_assert_mem_eq(reading_rows(e.embedding, 0, NULL), expected, sizeof expected);
        job_free(e.job);
    }
    scheduler_free(scheduler);
    jobs_model_free(model);
}
END_TEST

START_TEST(neither_cuts_nor_company_matter)
{
    static const struct { size_t workers, chunk, batch; } ways[] = {
        {1, 1, 1}, {1, 64, 64}, {1, 3, 2}, {2, 5, 64}};
    struct model *model = generator();
    struct input inputs[10];
    float expected[10 * H];
    for (size_t i = 0; i < 10; i++)
        inputs[i] = (struct input){.tokens = {ids, i + 1}};
    for (size_t way = 0; way < 4; way++) {
        struct scheduler *scheduler =
            jobs_scheduler(ways[way].workers, ways[way].chunk, ways[way].batch);
        struct embedded e;
        embed(&e, model, inputs, 10, READING_MEAN, scheduler);
        if (way == 0) memcpy(expected, reading_rows(e.embedding, 0, NULL), sizeof expected);
        ck_assert_mem_eq(expected, reading_rows(e.embedding, 0, NULL), sizeof expected);
        job_free(e.job);
        scheduler_free(scheduler);
    }
    jobs_model_free(model);
}
END_TEST

/* ---- limits and errors ---- */

START_TEST(memory_is_taken_once_and_early)
{
    struct model *model = generator();
    const struct input input = {.tokens = {ids, 10}};
    struct job_options options = {0};
    struct reading *embedding = NULL;
    memory_fail_at(1);
    ck_assert_int_eq(embedding_new(model, &input, 1, READING_MEAN, 512, &options, &embedding, NULL),
                     STATUS_NO_MEMORY);
    memory_fail_at(0);
    ck_assert_ptr_null(embedding);
    struct scheduler *scheduler = jobs_scheduler(1, 5, 8);
    struct embedded warm, e;
    embed(&warm, model, &input, 1, READING_MEAN, scheduler);
    uint64_t before = memory_allocations();
    embed(&e, model, &input, 1, READING_MEAN, scheduler);
    ck_assert_uint_eq(memory_allocations(), before + 1);
    job_free(warm.job);
    job_free(e.job);
    scheduler_free(scheduler);
    jobs_model_free(model);
}
END_TEST

START_TEST(what_is_wrong_is_named)
{
    static const int32_t outside[] = {-1};
    const struct input inputs[] = {{.tokens = {ids, 10}}, {.tokens = {outside, 1}}};
    const struct input empty = {.tokens = {NULL, 0}};
    struct model *model = generator(), *whole = classifier();
    struct job_options options = {0};
    struct reading *embedding = NULL;
    struct error err = {0};
    ck_assert_int_eq(embedding_new(model, inputs, 2, READING_LAST, 512, &options, &embedding, &err),
                     STATUS_BAD_VALUE);
    ck_assert_str_eq(err.param, "input[1]");
    ck_assert_int_eq(embedding_new(model, &empty, 1, READING_LAST, 512, &options, &embedding, &err),
                     STATUS_BAD_VALUE);
    ck_assert_int_eq(embedding_new(model, inputs, 0, READING_LAST, 512, &options, &embedding, &err),
                     STATUS_BAD_VALUE);
    ck_assert_str_eq(err.param, "input");
    ck_assert_int_eq(embedding_new(whole, inputs, 1, READING_LAST, 10, &options, &embedding, &err),
                     STATUS_TOO_LONG);
    model->task = task_of(TASK_FORECASTING);
    ck_assert_int_eq(embedding_new(model, inputs, 1, READING_LAST, 512, &options, &embedding, &err),
                     STATUS_UNSUPPORTED);
    ck_assert_ptr_null(embedding);
    jobs_model_free(model);
    jobs_model_free(whole);
}
END_TEST

Suite *embedding_suite(void);

Suite *embedding_suite(void)
{
    Suite *suite = suite_create("embedding");
    TCase *core = tcase_create("core");
    tcase_add_loop_test(core, last_and_mean_of_the_hidden_vectors, 0, 12);
    tcase_add_test(core, a_pooling_network_has_its_own_vector);
    tcase_add_test(core, neither_cuts_nor_company_matter);
    suite_add_tcase(suite, core);
    TCase *limits = tcase_create("limits");
    tcase_add_test(limits, memory_is_taken_once_and_early);
    suite_add_tcase(suite, limits);
    TCase *errors = tcase_create("errors");
    tcase_add_test(errors, what_is_wrong_is_named);
    suite_add_tcase(suite, errors);
    return suite;
}
