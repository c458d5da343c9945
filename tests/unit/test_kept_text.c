/* States of text: the parts of a text that is cut anywhere have the bytes of the text in one piece. */
#include "models/generation/kept_text.h"

#include <check.h>
#include <string.h>

#include "tests/support/runs.h"

Suite *kept_text_suite(void);

enum { LENGTH = 24, TEXT = 512 };

/* One part: its text is added to `text`, its state put into *state in place of the old one. */
static enum finish_reason run_part(struct model *model, struct generation_request request, size_t max_tokens,
                                   struct state **state, char text[TEXT])
{
    static const struct token_span nothing;
    struct generation_choice read;
    struct run run;
    struct state *next;
    request.max_tokens = max_tokens;
    if (*state) request.prompts = &nothing;
    run_on(&run, model, &request, *state);
    generation_read(run.generation, 0, &read);
    size_t at = strlen(text);
    ck_assert_uint_lt(at + read.n_text, TEXT);
    memcpy(text + at, read.text, read.n_text);
    text[at + read.n_text] = '\0';
    ck_assert_int_eq(job_keep(run.job, &next), STATUS_OK);
    state_drop(*state);
    *state = next;
    job_free(run.job);
    return read.finish;
}

/* Compare the whole with two parts, for every cut, and with parts of one token each. */
static void check_cuts(struct model *model, const struct generation_request *request)
{
    char whole[TEXT] = "";
    struct state *state = NULL;
    enum finish_reason finish = run_part(model, *request, LENGTH, &state, whole);
    uint64_t step = state->step;
    state_drop(state);
    for (size_t cut = 0; cut < LENGTH; cut++) {
        char parts[TEXT] = "";
        state = NULL;
        enum finish_reason first = run_part(model, *request, cut, &state, parts);
        if (first == FINISH_LENGTH) {
            ck_assert_int_eq(run_part(model, *request, LENGTH - cut, &state, parts), finish);
            ck_assert_uint_eq(state->step, step);
        }
        ck_assert_msg(!strcmp(parts, whole), "cut after %zu: '%s', expected '%s'", cut, parts, whole);
        state_drop(state);
    }
    char parts[TEXT] = "";
    enum finish_reason last = FINISH_LENGTH;
    state = NULL;
    for (size_t i = 0; i < LENGTH && last == FINISH_LENGTH; i++)
        last = run_part(model, *request, 1, &state, parts);
    ck_assert_str_eq(parts, whole);
    ck_assert_int_eq(last, finish);
    state_drop(state);
}

START_TEST(a_text_goes_on_at_every_cut)
{
    struct model *model = runs_lstm_model();
    struct generation_request request = runs_request(&runs_abc, 1, LENGTH);
    check_cuts(model, &request);
    request.temperature = 0;
    check_cuts(model, &request);
    request.temperature = 1.5;
    request.top_k = 4;
    request.presence_penalty = 1;
    request.frequency_penalty = 0.5;
    request.repetition_penalty = 1.3;
    check_cuts(model, &request);
    request.no_repeat_ngram_size = 2;
    check_cuts(model, &request);
    request.temperature = 0;
    check_cuts(model, &request);
    jobs_model_free(model);
}
END_TEST

START_TEST(a_stop_string_across_the_cut_ends_the_text)
{
    struct model *model = runs_chain_model();
    struct generation_request request = runs_request(&runs_abc, 1, LENGTH);
    runs_stop(&request, "habcdx");
    runs_stop(&request, "cdefghabcdef");
    check_cuts(model, &request);
    char text[TEXT] = "";
    struct state *state = NULL;
    ck_assert_int_eq(run_part(model, request, LENGTH, &state, text), FINISH_STOP);
    ck_assert_str_eq(text, "defghab");
    state_drop(state);
    jobs_model_free(model);
}
END_TEST

START_TEST(code_points_and_spaces_are_whole_across_the_cut)
{
    struct model *model = runs_bytes_model("a\xe2\x82\xac\xf0\x9f\x98\x80");
    const struct token_span prompt = {(const int32_t[]){'a'}, 1};
    struct generation_request request = runs_request(&prompt, 1, LENGTH);
    check_cuts(model, &request);
    runs_stop(&request, "\xf0\x9f\x98\x80\x61\xe2\x82\xac!");
    check_cuts(model, &request);
    jobs_model_free(model);
    model = runs_words_model();
    const struct token_span the = {(const int32_t[]){1}, 1};
    request = runs_request(&the, 1, LENGTH);
    check_cuts(model, &request);
    jobs_model_free(model);
}
END_TEST

/* Without a new stop string to begin, what was held back is shown; so it is before a new prompt. */
START_TEST(what_was_held_back_is_never_lost)
{
    struct model *model = runs_chain_model();
    struct generation_request request = runs_request(&runs_abc, 1, LENGTH);
    char text[TEXT] = "";
    struct state *state = NULL, *first;
    runs_stop(&request, "efx");
    run_part(model, request, 3, &state, text);
    ck_assert_str_eq(text, "d");
    first = state_acquire(state);
    request.n_stops = 0;
    run_part(model, request, 2, &state, text);
    ck_assert_str_eq(text, "defgh");
    state_drop(state);

    struct run run;
    request.prompts = &runs_a;
    request.max_tokens = 2;
    run_on(&run, model, &request, first);
    run_check(&run, 0, "efbc", FINISH_LENGTH);
    ck_assert_uint_eq(generation_prompt_tokens(run.generation), 1);
    job_free(run.job);
    request.echo = true;
    run_on(&run, model, &request, first);
    run_check(&run, 0, "efabc", FINISH_LENGTH);
    job_free(run.job);
    state_drop(first);
    jobs_model_free(model);
}
END_TEST

/* A second use of one state gives the same bytes; another seed gives a branch, which has a stream of its own.
 * */
START_TEST(a_state_serves_any_number_of_times)
{
    static const struct token_span nothing;
    struct model *model = runs_lstm_model();
    struct generation_request request = runs_request(&runs_abc, 1, LENGTH);
    char text[TEXT] = "", same[64], again[64], other[64];
    struct state *state = NULL;
    run_part(model, request, 5, &state, text);
    request.prompts = &nothing;
    request.max_tokens = 20;
    request.n = request.best_of = 3;
    for (int i = 0; i < 2; i++) {
        struct run run;
        run_on(&run, model, &request, state);
        run_text(&run, 0, i ? again : same);
        run_text(&run, 1, other);
        ck_assert_str_ne(i ? again : same, other);
        job_free(run.job);
    }
    ck_assert_str_eq(same, again);
    request.seed++;
    struct run run;
    run_on(&run, model, &request, state);
    run_text(&run, 0, other);
    ck_assert_str_ne(same, other);
    job_free(run.job);
    state_drop(state);
    jobs_model_free(model);
}
END_TEST

static void check_refused(struct model *model, const struct generation_request *request,
                          const struct state *from, bool keeps, const char *part)
{
    struct error err = {0};
    const struct job_options options = {.from = from, .keeps = keeps};
    ck_assert_int_ne(generation_check(model, request, &options, &err), STATUS_OK);
    ck_assert_msg(strstr(err.message, part) != NULL, "%s", err.message);
}

START_TEST(a_state_of_another_shape_is_refused)
{
    struct model *model = runs_lstm_model(), *chain = runs_chain_model();
    struct generation_request request = runs_request(&runs_abc, 1, LENGTH);
    char text[TEXT] = "";
    struct state *state = NULL;
    run_part(model, request, 5, &state, text);
    check_refused(chain, &request, state, false, "expected the 0 of model");
    for (size_t i = 0; i < state->n_rest; i++) { /* cut short anywhere */
        struct state shorter = {.n_floats = state->n_floats, .floats = state->floats, .rest = state->rest,
                                .n_rest = i};
        check_refused(model, &request, &shorter, false, "is not one that this model wrote");
    }
    state->rest[0] = 200; /* the token drawn */
    check_refused(model, &request, state, false, "is not one that this model wrote");
    state_drop(state);
    request.n = request.best_of = 2;
    check_refused(model, &request, NULL, true, "a state is that of one");
    jobs_model_free(model);
    jobs_model_free(chain);
}
END_TEST

Suite *kept_text_suite(void)
{
    Suite *suite = suite_create("kept_text");
    TCase *tests = tcase_create("kept_text");
    tcase_add_test(tests, a_text_goes_on_at_every_cut);
    tcase_add_test(tests, a_stop_string_across_the_cut_ends_the_text);
    tcase_add_test(tests, code_points_and_spaces_are_whole_across_the_cut);
    tcase_add_test(tests, what_was_held_back_is_never_lost);
    tcase_add_test(tests, a_state_serves_any_number_of_times);
    tcase_add_test(tests, a_state_of_another_shape_is_refused);
    suite_add_tcase(suite, tests);
    return suite;
}
