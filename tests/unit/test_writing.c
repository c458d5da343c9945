/* translation: targets that are drawn, texts that are read while they are written, sources that are long, and
 * jobs that are cancelled in the encoder, in the decoder and between. */
#include <check.h>
#include <math.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#include "core/base/memory.h"
#include "models/translation/translation.h"
#include "tests/support/jobs.h"

Suite *writing_suite(void);

enum { ATTENDS, GOES_ON, N_MODELS, MAX_SOURCE = 1 << 15 };
static struct model *models[N_MODELS];

static void setup(void)
{
    static const char *const names[] = {"tiny-translation", "tiny-pronunciation"};
    struct error err = {.message = ""};
    for (size_t i = 0; i < N_MODELS; i++) {
        char path[128];
        snprintf(path, sizeof path, "tests/unit/bundles/%s", names[i]);
        ck_assert_msg(model_load(path, names[i], "1", PRECISION_FLOAT32, &models[i], &err) == STATUS_OK, "%s",
                      err.message);
    }
}

static void teardown(void)
{
    for (size_t i = 0; i < N_MODELS; i++) model_drop(models[i]);
}

/* A job, and one that is cancelled at a progress of it. The witness is first: the calls that jobs_options
 * sets get it. */
struct ask {
    struct jobs_witness witness;
    struct translation *translation;
    struct job *job;
    atomic_int left; /* progress until it is cancelled; 0: it is not */
    void (*progress)(void *witness);
};

static void progress(void *context)
{
    struct ask *ask = context;
    ask->progress(context);
    if (atomic_fetch_sub(&ask->left, 1) == 1) job_cancel(ask->job);
}

/* Sources of so many tokens; what `plain` leaves out is set. */
static enum status ask_new(struct ask *ask, size_t model, const size_t *lengths, size_t n,
                           struct translation_request plain, struct error *err)
{
    static int32_t ids[MAX_SOURCE];
    struct token_span spans[4];
    for (size_t i = 0; i < MAX_SOURCE; i++) ids[i] = (int32_t)(2 + i * i % 10);
    for (size_t i = 0; i < n; i++) spans[i] = (struct token_span){ids + i, lengths[i]};
    plain.inputs = spans;
    plain.n_inputs = n;
    plain.ability = ABILITY_TRANSLATE;
    plain.n_best = plain.num_beams;
    plain.max_whole_steps = 256;
    plain.max_seats = 8;
    memset(ask, 0, sizeof *ask);
    jobs_witness_init(&ask->witness);
    struct job_options options = jobs_options(&ask->witness);
    ask->progress = options.observer.progress;
    options.observer.progress = progress;
    enum status status = translation_new(models[model], &plain, &options, &ask->translation, err);
    if (status == STATUS_OK) ask->job = translation_job(ask->translation);
    return status;
}

static void run(struct scheduler *s, struct ask *ask, size_t model, size_t length, size_t n,
                struct translation_request plain)
{
    struct error err = {.message = ""};
    const size_t lengths[] = {length, length + 1, length + 2};
    ck_assert_msg(ask_new(ask, model, lengths, n, plain, &err) == STATUS_OK, "%s", err.message);
    ck_assert_int_eq(jobs_run(ask->job, s, &ask->witness), STATUS_OK);
}

static bool is_same(const struct translation_result *a, const struct translation_result *b)
{
    return a->n == b->n && a->has_ended == b->has_ended &&
           memcmp(a->tokens, b->tokens, a->n * sizeof *a->tokens) == 0 &&
           memcmp(&a->score, &b->score, sizeof a->score) == 0;
}

/* The draws of a seed do not depend on company, or on how many others are drawn. */
START_TEST(draws_are_named_by_the_seed)
{
    struct scheduler *s = jobs_scheduler(1, 4, 8);
    for (size_t i = 0; i < 20; i++) {
        struct translation_request plain = {.num_beams = 4, .max_tokens = 12, .length_penalty = 1,
                                            .temperature = 1.3, .top_p = 0.9, .seed = 7 + i};
        struct ask four, company, one;
        size_t n, m, model = i % N_MODELS;
        bool found = false;
        run(s, &four, model, 1 + i / 2, 1, plain);
        run(s, &company, model, 1 + i / 2, 3, plain);
        plain.num_beams = 1;
        run(s, &one, model, 1 + i / 2, 1, plain);
        const struct translation_result *a = translation_results(four.translation, 0, &n);
        const struct translation_result *b = translation_results(company.translation, 0, &m);
        ck_assert_uint_eq(n, 4);
        ck_assert_uint_eq(m, 4);
        for (size_t k = 0; k < n; k++) {
            ck_assert(is_same(&a[k], &b[k]));
            found |= is_same(&a[k], translation_results(one.translation, 0, &m));
        }
        ck_assert(found);
        ck_assert_uint_eq(*translation_seed(four.translation), 7 + i);
        job_free(four.job);
        job_free(company.job);
        job_free(one.job);
    }
    scheduler_free(s);
}
END_TEST

/* Each target comes as often as its probability says. */
START_TEST(draws_follow_the_probabilities)
{
    enum { SEEDS = 250, B = 8, KINDS = 16 };
    struct scheduler *s = jobs_scheduler(1, 4, 8);
    struct {
        int32_t token;
        double p;
        int n;
    } kinds[KINDS];
    size_t n_kinds = 0, n;
    for (uint64_t seed = 0; seed < SEEDS; seed++) {
        struct ask ask;
        run(s, &ask, ATTENDS, 1, 1, (struct translation_request){.num_beams = B, .max_tokens = 1,
                                                                 .temperature = 1, .top_p = 1, .seed = seed});
        const struct translation_result *found = translation_results(ask.translation, 0, &n);
        for (size_t k = 0; k < n; k++) {
            int32_t token = found[k].n ? found[k].tokens[0] : TOKEN_NONE;
            size_t at = 0;
            while (at < n_kinds && kinds[at].token != token) at++;
            ck_assert_uint_lt(at, KINDS);
            if (at == n_kinds) kinds[n_kinds++].n = 0;
            kinds[at].token = token;
            kinds[at].p = exp(found[k].log_probability);
            kinds[at].n++;
        }
        job_free(ask.job);
    }
    ck_assert_uint_ge(n_kinds, 4);
    for (size_t i = 0; i < n_kinds; i++) {
        double N = SEEDS * B, sigma = sqrt(N * kinds[i].p * (1 - kinds[i].p));
        ck_assert_double_le(fabs(kinds[i].n - N * kinds[i].p), 4 * sigma + 1);
    }
    scheduler_free(s);
}
END_TEST

/* What the tokens of a result say. */
static size_t spell(const struct tokenizer *tokenizer, const struct translation_result *result, char *out)
{
    size_t bytes = 0;
    for (size_t t = 0; t < result->n; t++)
        bytes += tokenizer_append(tokenizer, t ? result->tokens[t - 1] : TOKEN_NONE, result->tokens[t],
                                  out + bytes);
    return bytes;
}

/* What a stream shows is the result, of greedy search and of a draw; top_p of 0 draws what is likeliest. */
START_TEST(a_stream_shows_the_result)
{
    static const struct translation_request ways[] = {
        {.num_beams = 1, .max_tokens = 20, .streams = true},
        {.num_beams = 1, .max_tokens = 20, .streams = true, .temperature = 1, .top_p = 0},
        {.num_beams = 1, .max_tokens = 20, .streams = true, .temperature = 1, .top_p = 1, .seed = 2}};
    struct scheduler *s = jobs_scheduler(1, 4, 8);
    for (size_t i = 0; i < 20; i++) {
        struct ask asks[3];
        for (size_t k = 0; k < 3; k++) {
            struct translation_text text;
            char whole[256];
            size_t n;
            run(s, &asks[k], i % N_MODELS, 1 + i, 1, ways[k]);
            const struct translation_result *result = translation_results(asks[k].translation, 0, &n);
            size_t bytes = spell(models[i % N_MODELS]->target, result, whole);
            translation_written(asks[k].translation, 0, &text);
            ck_assert(text.has_ended);
            ck_assert_uint_eq(text.n, bytes);
            ck_assert_mem_eq(text.text, whole, bytes);
            ck_assert_int_eq(asks[k].witness.n_progress, (int)(result->n + result->has_ended));
        }
        size_t n;
        ck_assert(is_same(translation_results(asks[0].translation, 0, &n),
                          translation_results(asks[1].translation, 0, &n)));
        for (size_t k = 0; k < 3; k++) job_free(asks[k].job);
    }
    scheduler_free(s);
}
END_TEST

START_TEST(draws_and_streams_that_cannot_be_are_refused)
{
    static const struct {
        struct translation_request request;
        size_t model;
        enum status status;
        const char *param;
    } rows[] = {
        {{.num_beams = 2, .max_tokens = 9, .streams = true}, ATTENDS, STATUS_BAD_VALUE, "stream"},
        {{.num_beams = 1, .max_tokens = 9, .temperature = 2.5}, ATTENDS, STATUS_BAD_VALUE, "temperature"},
        {{.num_beams = 1, .max_tokens = 9, .top_p = 1.5}, ATTENDS, STATUS_BAD_VALUE, "top_p"},
        {{.num_beams = 9, .max_tokens = 9, .temperature = 1}, ATTENDS, STATUS_BAD_VALUE, "n"},
        {{.num_beams = 1, .max_tokens = 9, .coverage_penalty = -1}, ATTENDS, STATUS_BAD_VALUE,
         "coverage_penalty"},
        {{.num_beams = 1, .max_tokens = 9, .coverage_penalty = 1}, GOES_ON, STATUS_UNSUPPORTED, "model"},
        {{.num_beams = 8, .max_tokens = 1 << 14, .coverage_penalty = 1}, ATTENDS, STATUS_TOO_LONG, "input"},
    };
    const size_t length = 40;
    struct ask ask;
    struct error err = {.message = ""};
    ck_assert_int_eq(ask_new(&ask, rows[_i].model, &length, 1, rows[_i].request, &err), rows[_i].status);
    ck_assert_str_eq(err.param, rows[_i].param);
}
END_TEST

/* An encoder of both directions reads a source at once, so its length has a limit; another reads it in
 * parts. */
START_TEST(a_long_source_is_refused_or_read_in_parts)
{
    const struct translation_request plain = {.num_beams = 1, .max_tokens = 50};
    struct scheduler *s = jobs_scheduler(1, 64, 8);
    struct ask ask;
    struct error err = {.message = ""};
    const size_t length = 10000;
    size_t n, before = job_total_bytes();
    ck_assert_int_eq(ask_new(&ask, ATTENDS, &length, 1, plain, &err), STATUS_TOO_LONG);
    ck_assert_str_eq(err.param, "input");
    ck_assert_ptr_nonnull(strstr(err.message, "256"));
    ck_assert_int_eq(ask_new(&ask, GOES_ON, &length, 1, plain, &err), STATUS_OK);
    ck_assert_uint_lt(job_total_bytes() - before, length * 16); /* its tokens, and little else */
    ck_assert_int_eq(jobs_run(ask.job, s, &ask.witness), STATUS_OK);
    ck_assert_uint_le(translation_results(ask.translation, 0, &n)->n, 50);
    ck_assert_uint_eq(n, 1);
    job_free(ask.job);
    scheduler_free(s);
}
END_TEST

/* The first input writes from its second turn on. When the third progress comes the job is cancelled: the
 * other input is then in its encoder, at its end, or in its decoder, by its length. */
START_TEST(a_translation_is_cancelled_in_each_half_and_between)
{
    struct translation_request plain = {.num_beams = 1, .max_tokens = 50, .temperature = 2, .top_p = 1,
                                        .streams = true};
    struct scheduler *s = jobs_scheduler(1, 8, 8);
    size_t n_without = 0, n_with = 0;
    for (size_t length = 1; length <= 80; length++) {
        const size_t lengths[] = {1, length};
        struct ask ask;
        struct error err = {.message = ""};
        struct translation_text text;
        size_t n;
        plain.seed = length;
        ck_assert_int_eq(ask_new(&ask, GOES_ON, lengths, 2, plain, &err), STATUS_OK);
        ask.left = 3;
        enum status status = jobs_run(ask.job, s, &ask.witness);
        ck_assert(status == STATUS_CANCELLED || status == STATUS_OK); /* both texts may be that short */
        translation_written(ask.translation, 1, &text);
        translation_results(ask.translation, 1, &n);
        ck_assert_uint_eq(n, text.has_ended);
        n_with += text.n > 0;
        n_without += text.n == 0;
        job_free(ask.job);
    }
    ck_assert_uint_ge(n_with, 1);
    ck_assert_uint_ge(n_without, 1);
    scheduler_free(s);
}
END_TEST

Suite *writing_suite(void)
{
    Suite *suite = suite_create("writing");
    TCase *core = tcase_create("core");
    tcase_add_checked_fixture(core, setup, teardown);
    tcase_set_timeout(core, 60);
    tcase_add_test(core, draws_are_named_by_the_seed);
    tcase_add_test(core, draws_follow_the_probabilities);
    tcase_add_test(core, a_stream_shows_the_result);
    tcase_add_loop_test(core, draws_and_streams_that_cannot_be_are_refused, 0, 7);
    tcase_add_test(core, a_long_source_is_refused_or_read_in_parts);
    tcase_add_test(core, a_translation_is_cancelled_in_each_half_and_between);
    suite_add_tcase(suite, core);
    return suite;
}
