/* translation: encoder, decoder and beam search against a naive search in Python
 * (tests/unit/bundles/make.py), alone and in company; what is refused; what ends early. */
#include <check.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/memory.h"
#include "models/jobs/arena.h"
#include "models/jobs/logits.h"
#include "models/translation/search.h"
#include "tests/support/await.h"
#include "tests/support/jobs.h"
#include "tests/support/tiny.h"

Suite *translation_suite(void);

#define FOLDER "tests/unit/bundles/"
enum { MAX_CASES = 64, MAX_RESULTS = 8, MAX_TOKENS = 32, MAX_TEXT = 64 };

static const char *const names[] = {"tiny-translation", "tiny-pronunciation"};
static struct model *models[2];

/* What beams.txt says of one search. */
struct gold {
    size_t model, beams, max_tokens, n;
    double length_penalty, coverage_penalty;
    char text[MAX_TEXT];
    struct {
        double score, log_probability;
        int has_ended;
        int32_t tokens[MAX_TOKENS];
        size_t n;
    } results[MAX_RESULTS];
};

static struct gold cases[MAX_CASES];
static size_t n_cases;

static void read_result(struct gold *gold, const char *line)
{
    int at = 0;
    ck_assert_uint_lt(gold->n, MAX_RESULTS);
    int found = sscanf(line, "%lf %lf %d%n", &gold->results[gold->n].score,
                       &gold->results[gold->n].log_probability, &gold->results[gold->n].has_ended, &at);
    ck_assert_int_eq(found, 3);
    char *end;
    for (const char *c = line + at; *c; c = end) {
        long token = strtol(c, &end, 10);
        if (end == c) break;
        gold->results[gold->n].tokens[gold->results[gold->n].n++] = (int32_t)token;
    }
    gold->n++;
}

static void read_cases(void)
{
    char line[512], name[64];
    FILE *file = fopen(FOLDER "beams.txt", "r");
    ck_assert_ptr_nonnull(file);
    bool is_open = false;
    n_cases = 0;
    while (fgets(line, sizeof line, file)) {
        struct gold *gold = &cases[n_cases];
        line[strcspn(line, "\n")] = '\0';
        if (!*line) {
            n_cases += is_open;
            is_open = false;
        } else if (is_open) {
            read_result(gold, line);
        } else {
            ck_assert_uint_lt(n_cases, MAX_CASES);
            memset(gold, 0, sizeof *gold);
            ck_assert_int_eq(sscanf(line, "%63s %zu %lf %lf %zu %63s", name, &gold->beams,
                                    &gold->length_penalty, &gold->coverage_penalty, &gold->max_tokens,
                                    gold->text), 6);
            gold->model = strcmp(name, names[0]) != 0;
            is_open = true;
        }
    }
    fclose(file);
    ck_assert_uint_eq(n_cases, 50);
}

static void setup(void)
{
    struct error err = {.message = ""};
    for (size_t i = 0; i < 2; i++) {
        char path[128];
        snprintf(path, sizeof path, FOLDER "%s", names[i]);
        ck_assert_msg(model_load(path, names[i], "1", PRECISION_FLOAT32, &models[i], &err) == STATUS_OK, "%s",
                      err.message);
    }
    read_cases();
}

static void teardown(void)
{
    for (size_t i = 0; i < 2; i++) model_drop(models[i]);
}

/* A job of one text, or of the same text several times. */
struct ask {
    struct translation *translation;
    struct jobs_witness witness;
};

static bool keeps_attention;

static enum status ask_new(struct ask *ask, const struct gold *gold, size_t n_inputs, size_t max_seats,
                           struct error *err)
{
    struct model *model = models[gold->model];
    struct token_span spans[4];
    int32_t *ids;
    size_t n;
    size_t bytes = strlen(gold->text);
    ck_assert_int_eq(tokenizer_encode(model->tokenizer, gold->text, bytes, MAX_TEXT, &ids, &n, err),
                     STATUS_OK);
    for (size_t i = 0; i < n_inputs; i++) spans[i] = (struct token_span){.ids = ids, .n = n};
    struct translation_request request = {.inputs = spans, .n_inputs = n_inputs, .ability = ABILITY_TRANSLATE,
                                          .keeps_attention = keeps_attention,
                                          .num_beams = gold->beams,
                                          .n_best = gold->beams, .max_tokens = gold->max_tokens,
                                          .length_penalty = gold->length_penalty,
                                          .coverage_penalty = gold->coverage_penalty, .max_whole_steps = 256,
                                          .max_seats = max_seats};
    jobs_witness_init(&ask->witness);
    struct job_options options = jobs_options(&ask->witness);
    enum status status = translation_new(model, &request, &options, &ask->translation, err);
    memory_free(ids);
    return status;
}

static void expect_results(const struct ask *ask, const struct gold *gold, size_t input)
{
    size_t n;
    const struct translation_result *results = translation_results(ask->translation, input, &n);
    ck_assert_uint_eq(n, gold->n);
    for (size_t k = 0; k < n; k++) {
        ck_assert_uint_eq(results[k].n, gold->results[k].n);
        for (size_t i = 0; i < results[k].n; i++)
            ck_assert_int_eq(results[k].tokens[i], gold->results[k].tokens[i]);
        ck_assert_int_eq(results[k].has_ended, gold->results[k].has_ended);
        ck_assert_double_le(fabs(results[k].score - gold->results[k].score), 1e-4);
        ck_assert_double_le(fabs(results[k].log_probability - gold->results[k].log_probability), 1e-4);
    }
}

START_TEST(a_beam_finds_what_a_naive_search_finds)
{
    struct scheduler *s = jobs_scheduler(1, 4, 8);
    for (size_t i = 0; i < n_cases; i++) {
        struct ask ask;
        struct error err = {.message = ""};
        ck_assert_msg(ask_new(&ask, &cases[i], 1, 8, &err) == STATUS_OK, "%s", err.message);
        ck_assert_int_eq(jobs_run(translation_job(ask.translation), s, &ask.witness), STATUS_OK);
        expect_results(&ask, &cases[i], 0);
        job_free(translation_job(ask.translation));
    }
    scheduler_free(s);
}
END_TEST

/* All at once on two workers: the same results and the same bits as alone, and no step allocates. */
START_TEST(company_changes_no_bit)
{
    static struct ask alone[MAX_CASES], together[MAX_CASES];
    struct scheduler *one = jobs_scheduler(1, 1, 6), *two = jobs_scheduler(2, 16, 32);
    struct error err = {.message = ""};
    for (size_t i = 0; i < n_cases; i++) {
        ck_assert_int_eq(ask_new(&alone[i], &cases[i], 1, 6, &err), STATUS_OK);
        ck_assert_int_eq(ask_new(&together[i], &cases[i], 2, 6, &err), STATUS_OK);
        ck_assert_int_eq(jobs_run(translation_job(alone[i].translation), one, &alone[i].witness), STATUS_OK);
    }
    uint64_t before = memory_allocations();
    for (size_t i = 0; i < n_cases; i++)
        ck_assert_int_eq(job_start(translation_job(together[i].translation), two), STATUS_OK);
    for (size_t i = 0; i < n_cases; i++) jobs_wait(&together[i].witness);
    ck_assert_uint_le(memory_allocations() - before, 40); /* lines, flows, lanes and workspaces, once each */
    for (size_t i = 0; i < n_cases; i++) {
        size_t n, m;
        const struct translation_result *a = translation_results(alone[i].translation, 0, &n);
        for (size_t k = 0; k < 2; k++) {
            const struct translation_result *b = translation_results(together[i].translation, k, &m);
            expect_results(&together[i], &cases[i], k);
            ck_assert_uint_eq(m, n);
            for (size_t r = 0; r < n; r++) ck_assert_mem_eq(&a[r].score, &b[r].score, sizeof a[r].score);
        }
        job_free(translation_job(alone[i].translation));
        job_free(translation_job(together[i].translation));
    }
    scheduler_free(one);
    scheduler_free(two);
}
END_TEST

/* Keep the weights of the best of 3 hypotheses, and compare them with those of Python. */
static void check_attention(struct scheduler *s, const char *text, FILE *file)
{
    struct gold gold = {.model = 0, .beams = 3, .max_tokens = 12, .length_penalty = 1};
    struct ask ask, plain;
    struct error err = {.message = ""};
    static float weights[MAX_TOKENS * MAX_TEXT];
    size_t n, S;
    char line[512], *at = line;
    ck_assert_uint_lt(strlen(text), sizeof gold.text);
    strcpy(gold.text, text);
    keeps_attention = true;
    ck_assert_msg(ask_new(&ask, &gold, 1, 8, &err) == STATUS_OK, "%s", err.message);
    keeps_attention = false;
    ck_assert_int_eq(ask_new(&plain, &gold, 1, 8, &err), STATUS_OK);
    ck_assert_int_eq(jobs_run(translation_job(ask.translation), s, &ask.witness), STATUS_OK);
    ck_assert_int_eq(jobs_run(translation_job(plain.translation), s, &plain.witness), STATUS_OK);
    const struct translation_result *best = translation_results(ask.translation, 0, &n);
    ck_assert(best->score == translation_results(plain.translation, 0, &n)->score); /* it changes no bit */
    ck_assert(!translation_attention(plain.translation, 0, best, weights));
    ck_assert(translation_attention(ask.translation, 0, best, weights));
    ck_assert_int_eq(translation_source(ask.translation, 0, &S)[0], tokenizer_bos(models[0]->tokenizer));
    ck_assert_uint_eq(S, strlen(text) + 2);
    for (size_t r = 0; r < best->n + best->has_ended; r++) {
        ck_assert_ptr_nonnull(fgets(line, sizeof line, file));
        at = line;
        for (size_t i = 0; i < S; i++)
            ck_assert_double_le(fabs(strtod(at, &at) - (double)weights[r * S + i]), 1e-5);
    }
    ck_assert_ptr_nonnull(fgets(line, sizeof line, file));
    ck_assert_str_eq(line, "\n");
    job_free(translation_job(ask.translation));
    job_free(translation_job(plain.translation));
}

START_TEST(attention_is_that_of_a_naive_search)
{
    struct scheduler *s = jobs_scheduler(1, 4, 8);
    FILE *file = fopen(FOLDER "attention.txt", "r");
    char line[512];
    size_t n = 0;
    ck_assert_ptr_nonnull(file);
    for (; fgets(line, sizeof line, file); n++) {
        line[strcspn(line, "\n")] = '\0';
        check_attention(s, line, file);
    }
    ck_assert_uint_eq(n, 5);
    fclose(file);
    scheduler_free(s);
}
END_TEST

START_TEST(attention_that_cannot_be_kept_is_refused)
{
    struct gold gold = cases[0];
    struct ask ask;
    struct error err = {.message = ""};
    keeps_attention = true;
    gold.model = 1;
    ck_assert_int_eq(ask_new(&ask, &gold, 1, 8, &err), STATUS_UNSUPPORTED);
    ck_assert_str_eq(err.message, "the decoder of model 'tiny-pronunciation' attends to nothing");
    gold.model = 0;
    gold.max_tokens = TRANSLATION_MAX_TOKENS;
    gold.beams = 8;
    memset(gold.text, 'a', sizeof gold.text - 1);
    gold.text[sizeof gold.text - 1] = '\0';
    ck_assert_int_eq(ask_new(&ask, &gold, 1, 8, &err), STATUS_TOO_LONG);
    ck_assert_ptr_nonnull(strstr(err.message, "weights of attention, expected at most 4194304"));
    keeps_attention = false;
}
END_TEST

START_TEST(requests_that_cannot_be_are_refused)
{
    struct gold gold = cases[0];
    struct ask ask;
    struct error err = {.message = ""};
    gold.beams = 9;
    ck_assert_int_eq(ask_new(&ask, &gold, 1, 8, &err), STATUS_BAD_VALUE);
    ck_assert_str_eq(err.param, "num_beams");
    gold = cases[0];
    gold.max_tokens = 0;
    ck_assert_int_eq(ask_new(&ask, &gold, 1, 8, &err), STATUS_BAD_VALUE);
    ck_assert_str_eq(err.param, "max_tokens");
    gold = cases[0];
    gold.length_penalty = -1;
    ck_assert_int_eq(ask_new(&ask, &gold, 1, 8, &err), STATUS_BAD_VALUE);
    ck_assert_str_eq(err.param, "length_penalty");
    gold = cases[0];
    gold.text[0] = '\0';
    ck_assert_int_eq(ask_new(&ask, &gold, 1, 8, &err), STATUS_BAD_VALUE);
    ck_assert_str_eq(err.param, "input");
    gold = cases[0];
    ck_assert_int_eq(ask_new(&ask, &gold, 0, 8, &err), STATUS_BAD_VALUE);
    ck_assert_str_eq(err.param, "input");
}
END_TEST

/* Cancelled wherever it may be: each ends, and what was found so far can be read. */
START_TEST(a_translation_can_be_cancelled_anywhere)
{
    struct scheduler *s = jobs_scheduler(1, 2, 8);
    struct gold gold = cases[n_cases - 1];
    gold.max_tokens = 10000;
    for (int i = 0; i < 40; i++) {
        struct ask ask;
        struct error err = {.message = ""};
        size_t n;
        ck_assert_msg(ask_new(&ask, &gold, 4, 8, &err) == STATUS_OK, "%s", err.message);
        ck_assert_int_eq(job_start(translation_job(ask.translation), s), STATUS_OK);
        if (i % 4) sleep_ms(i % 4);
        job_cancel(translation_job(ask.translation));
        jobs_wait(&ask.witness);
        translation_results(ask.translation, 3, &n);
        ck_assert_uint_le(n, gold.beams);
        job_free(translation_job(ask.translation));
    }
    scheduler_free(s);
}
END_TEST

/* ---- a vocabulary of many blocks ------------------------------------------------------------------ */

enum { WIDE = 1000, BEAMS = 4, WIDE_STEPS = 60 };

/* Lay a beam out for a decoder of WIDE outputs. Returns its block of memory. */
static void *wide_beam(struct beam *beam, struct search *search)
{
    struct arena arena = {0};
    *search = (struct search){.B = BEAMS, .max_tokens = WIDE_STEPS, .V = WIDE, .length_penalty = 1,
                              .target = models[0]->tokenizer};
    *beam = (struct beam){0};
    beam_lay_out(beam, search, 0, 1, &arena);
    void *block = memory_new(arena.used, 1);
    ck_assert_ptr_nonnull(block);
    arena = (struct arena){.base = block};
    beam_lay_out(beam, search, 0, 1, &arena);
    beam_begin(beam, search);
    return block;
}

/* Outputs of 256 values, so that some are equal; the end is unlikely. */
static void fill_outputs(float outputs[BEAMS][WIDE], struct ride *rides, uint32_t *noise, int32_t eos)
{
    for (size_t i = 0; i < BEAMS; i++) {
        for (size_t v = 0; v < WIDE; v++) {
            *noise = *noise * 1664525u + 1013904223u;
            outputs[i][v] = (float)(*noise >> 24) / 32;
        }
        outputs[i][eos] = -100;
        rides[i] = (struct ride){.output = outputs[i]};
    }
}

/* The best of all continuations by looking at each of them, 2 BEAMS times; the first of equal ones. */
static void expect_best(const struct beam *beam, const double *before, size_t n, float outputs[BEAMS][WIDE])
{
    static bool is_taken[BEAMS * WIDE];
    memset(is_taken, 0, sizeof is_taken);
    for (size_t r = 0; r < 2 * BEAMS; r++) {
        size_t best = n * WIDE;
        double most = -INFINITY;
        for (size_t c = 0; c < n * WIDE; c++) {
            double score = before[c / WIDE] + (double)outputs[c / WIDE][c % WIDE];
            if (is_taken[c] || score <= most) continue;
            best = c;
            most = score;
        }
        ck_assert_uint_lt(best, n * WIDE);
        is_taken[best] = true;
        ck_assert_uint_eq(beam->candidates[r].parent, best / WIDE);
        ck_assert_int_eq(beam->candidates[r].token, (int32_t)(best % WIDE));
        ck_assert(beam->candidates[r].score == most);
    }
}

START_TEST(no_block_of_outputs_is_passed_over_wrongly)
{
    static float outputs[BEAMS][WIDE];
    struct ride rides[BEAMS];
    struct search search;
    struct beam beam;
    uint32_t noise = 1;
    void *block = wide_beam(&beam, &search);
    for (bool goes_on = true; goes_on;) {
        double before[BEAMS];
        const size_t n = beam.n_live;
        fill_outputs(outputs, rides, &noise, tokenizer_eos(search.target));
        for (size_t i = 0; i < n; i++) before[i] = beam.score[i] - logits_log_sum_fast(outputs[i], WIDE);
        goes_on = beam_advance(&beam, &search, rides);
        expect_best(&beam, before, n, outputs);
    }
    ck_assert_uint_eq(beam.n_done, WIDE_STEPS);
    memory_free(block);
}
END_TEST

/* ---- what an encoder and a decoder must have in common ---------------------------------------- */

static struct network *made(size_t n, const struct layer_spec *specs)
{
    struct network *network;
    struct error err = {.message = ""};
    enum status status = network_new(specs, n, tiny_tensors(), PRECISION_FLOAT32, &network, &err);
    ck_assert_msg(status == STATUS_OK, "%s", err.message);
    return network;
}

static void expect_refused(struct network *encoder, struct network *decoder, long initial_state,
                           const char *sentence)
{
    const struct parts parts = {.network = encoder, .decoder = decoder};
    const struct coder_spec spec = {initial_state};
    struct error err = {.message = ""};
    enum status status = coder_check(&parts, &spec, &err);
    if (sentence) ck_assert_ptr_nonnull(strstr(err.message, sentence));
    ck_assert(sentence ? status != STATUS_OK : status == STATUS_OK);
}

START_TEST(an_encoder_and_a_decoder_must_fit)
{
    enum { V = 5, H = 4 };
    const struct layer_spec words = tiny_layer("embedding", "e", 2, (long[]){V, 3}),
                            lstm = tiny_layer("lstm", "l", 2, (long[]){3, H}),
                            both = tiny_layer("lstm", "b", 5, (long[]){3, H, 1, 1, 1}),
                            gru = tiny_layer("gru", "g", 2, (long[]){3, H}),
                            attention = tiny_layer("attention", "a", 3, (long[]){1, H, 2 * H});
    struct network *one = made(2, (struct layer_spec[]){words, lstm}),
                   *whole = made(2, (struct layer_spec[]){words, both}),
                   *gated = made(2, (struct layer_spec[]){words, gru}),
                   *attends = made(3, (struct layer_spec[]){words, lstm, attention});
    expect_refused(one, one, INITIAL_ENCODER, NULL);
    expect_refused(whole, attends, INITIAL_ZERO, NULL);
    expect_refused(one, attends, INITIAL_ZERO, "attends to rows of 8 numbers, the encoder gives 4 a step");
    expect_refused(one, one, INITIAL_ZERO, "the decoder does not depend on the encoder");
    expect_refused(gated, one, INITIAL_ENCODER,
                   "is a gru with a state of 4 numbers in the encoder, and a lstm of 8");
    expect_refused(whole, attends, INITIAL_ENCODER,
                   "the decoder has more layers that remember than the encoder");
    network_free(one);
    network_free(whole);
    network_free(gated);
    network_free(attends);
}
END_TEST

Suite *translation_suite(void)
{
    Suite *suite = suite_create("translation");
    TCase *core = tcase_create("core");
    tcase_add_checked_fixture(core, setup, teardown);
    tcase_set_timeout(core, 60);
    tcase_add_test(core, a_beam_finds_what_a_naive_search_finds);
    tcase_add_test(core, company_changes_no_bit);
    tcase_add_test(core, attention_is_that_of_a_naive_search);
    tcase_add_test(core, attention_that_cannot_be_kept_is_refused);
    tcase_add_test(core, requests_that_cannot_be_are_refused);
    tcase_add_test(core, a_translation_can_be_cancelled_anywhere);
    tcase_add_test(core, no_block_of_outputs_is_passed_over_wrongly);
    suite_add_tcase(suite, core);
    TCase *fit = tcase_create("fit");
    tcase_add_test(fit, an_encoder_and_a_decoder_must_fit);
    suite_add_tcase(suite, fit);
    return suite;
}
