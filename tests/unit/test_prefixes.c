/* Beginnings of prompts: the longest is found, its owner's alone; and a text has the same bytes with and
 * without. */
#include "server/sessions/prefixes.h"

#include <check.h>
#include <string.h>

#include "tests/support/runs.h"

Suite *prefixes_suite(void);

enum { FLOATS = 16, LENGTH = 300 };

static struct prefixes *prefixes;
static const int32_t tokens[] = {1, 2, 3, 4, 5, 6, 7, 0};

static void setup(void)
{
    prefixes = prefixes_new(1 << 16);
    ck_assert_ptr_nonnull(prefixes);
}

static void teardown(void)
{
    prefixes_free(prefixes);
}

static void put(uint64_t salt, size_t n)
{
    struct state *state;
    ck_assert_int_eq(state_new(n, FLOATS, 0, &state), STATUS_OK);
    prefixes_put(prefixes, salt, tokens, n, state);
    state_drop(state);
}

static size_t find(uint64_t salt, const int32_t *prompt, size_t n)
{
    struct state *state;
    size_t length = prefixes_find(prefixes, salt, prompt, n, &state);
    ck_assert((state != NULL) == (length > 0));
    if (state) ck_assert_uint_eq(state->step, length);
    state_drop(state);
    return length;
}

START_TEST(the_longest_beginning_is_found)
{
    static const int32_t other[] = {1, 2, 3, 9, 5, 6};
    const uint64_t mine = prefixes_salt(1, "me"), yours = prefixes_salt(1, "you"), next = prefixes_salt(2,
                                                                                                        "me");
    ck_assert_uint_ne(mine, yours);
    ck_assert_uint_ne(mine, next);
    put(mine, 2);
    put(mine, 5);
    ck_assert_uint_eq(find(mine, tokens, 8), 5);
    ck_assert_uint_eq(find(mine, tokens, 5), 5);
    ck_assert_uint_eq(find(mine, tokens, 4), 2);
    ck_assert_uint_eq(find(mine, tokens, 1), 0);
    ck_assert_uint_eq(find(mine, other, 6), 2);
    ck_assert_uint_eq(find(yours, tokens, 8), 0);
    ck_assert_uint_eq(find(next, tokens, 8), 0);
    struct prefixes_stats stats;
    prefixes_stats(prefixes, &stats);
    ck_assert_uint_eq(stats.lookups, 7);
    ck_assert_uint_eq(stats.hits, 4);
    ck_assert_uint_eq(stats.tokens, 5 + 5 + 2 + 2);
}
END_TEST

START_TEST(the_least_recently_used_gives_way)
{
    struct prefixes_stats stats;
    put(1, 1);
    prefixes_stats(prefixes, &stats);
    size_t room = (1 << 16) / (stats.bytes + 64);
    for (uint64_t salt = 2; salt < room; salt++) put(salt, 1);
    ck_assert_uint_eq(find(1, tokens, 1), 1);
    for (uint64_t salt = room; salt < room + room / 2; salt++) put(salt, 1);
    ck_assert_uint_eq(find(1, tokens, 1), 1);
    ck_assert_uint_eq(find(2, tokens, 1), 0);
    prefixes_stats(prefixes, &stats);
    ck_assert_uint_le(stats.bytes, 1 << 16);
    put(1, 1); /* again: in its own place */
    ck_assert_uint_eq(find(1, tokens, 1), 1);
    prefixes_free(prefixes);
    prefixes = prefixes_new(1);
    put(1, 1);
    ck_assert_uint_eq(find(1, tokens, 1), 0);
}
END_TEST

/* From each state that a prompt has marked the text goes on with the bytes of the whole. */
START_TEST(a_text_has_the_same_bytes_from_every_mark)
{
    static int32_t ids[LENGTH];
    struct model *model = runs_lstm_model();
    for (size_t i = 0; i < LENGTH; i++) ids[i] = (int32_t)(i * 5 % 7);
    const struct token_span prompt = {ids, LENGTH};
    struct generation_request request = runs_request(&prompt, 1, 30);
    char whole[64], text[64];
    struct run first, run;
    const int32_t *read;
    const float *floats;
    size_t n, i = 0;
    run_alone(&first, model, &request);
    run_text(&first, 0, whole);
    job_free(first.job);
    request.marks = true;
    run_alone(&first, model, &request);
    run_text(&first, 0, text);
    ck_assert_str_eq(text, whole);
    for (; generation_mark(first.generation, i, &read, &n, &floats); i++) {
        struct state state = {.floats = (float *)(uintptr_t)floats,
                              .n_floats = network_state_floats(model->network)};
        ck_assert(!memcmp(read, ids, n * sizeof *ids));
        request.prefix = &state;
        request.n_prefix = n;
        run_alone(&run, model, &request);
        run_text(&run, 0, text);
        ck_assert_str_eq(text, whole);
        struct job_timings timings;
        job_timings(run.job, &timings);
        ck_assert_uint_eq(timings.steps, LENGTH - n + 29);
        job_free(run.job);
    }
    ck_assert_uint_eq(i, 4); /* after 64, 128, 256 and 299 tokens */
    job_free(first.job);
    jobs_model_free(model);
}
END_TEST

Suite *prefixes_suite(void)
{
    Suite *suite = suite_create("prefixes");
    TCase *tests = tcase_create("prefixes");
    tcase_add_checked_fixture(tests, setup, teardown);
    tcase_add_test(tests, the_longest_beginning_is_found);
    tcase_add_test(tests, the_least_recently_used_gives_way);
    tcase_add_test(tests, a_text_has_the_same_bytes_from_every_mark);
    suite_add_tcase(suite, tests);
    return suite;
}
