/* Readers of sessions: what is told, to which of them, and how little of it is held. */
#include "server/sessions/readers.h"

#include <check.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "tests/support/runs.h"

Suite *readers_suite(void);

enum { TTL = 60, REPLY = 100000 };

static int64_t now;
static struct registry *registry;
static struct model *model;
static struct store *store;
static int n_woken;

static int64_t tell_now(void)
{
    return now;
}

static void setup(void)
{
    now = 1000;
    n_woken = 0;
    ck_assert_int_eq(registry_new(&registry), STATUS_OK);
    model = runs_lstm_model();
    strcpy(model->name, "m");
    strcpy(model->version, "1");
    strcpy(model->hash, "aa");
    ck_assert_int_eq(registry_put(registry, model_acquire(model)), STATUS_OK);
    const struct store_options options = {.entries = 8, .bytes = 8 << 20, .owner_percent = 100,
                                          .reply_bytes = REPLY, .readers = 2, .owner_readers = 3,
                                          .drain_s = 30, .now_s = tell_now, .registry = registry};
    ck_assert_int_eq(store_new(&options, &store), STATUS_OK);
}

static void teardown(void)
{
    store_free(store);
    registry_free(registry);
    jobs_model_free(model);
}

static void wake(void *context)
{
    (void)context;
    __atomic_fetch_add(&n_woken, 1, __ATOMIC_SEQ_CST);
}

static void make_session(const char *owner, const char *id, uint64_t seed)
{
    const struct store_key key = {STORE_SESSION, owner, id};
    int64_t expires_s;
    ck_assert_int_eq(session_new(store, &key, model, NULL, seed, TTL, &expires_s), STATUS_OK);
}

static enum reader_opened follow(const char *owner, const char *id, const uint64_t *seen, struct reader **out)
{
    const struct store_key key = {STORE_SESSION, owner, id};
    const struct reader_call call = {wake, NULL, seen};
    struct store_view view;
    enum store_found found;
    enum reader_opened opened = reader_open(store, &key, &call, out, &view, &found);
    ck_assert_int_eq(opened == READER_OPENED, *out != NULL);
    store_view_release(&view);
    return opened;
}

/* One step of session `id` of owner "". */
static void move_on(const char *id, const char *reply, size_t bytes, bool is_streamed)
{
    const struct store_key key = {STORE_SESSION, "", id};
    struct session_step step = {.is_streamed = is_streamed};
    struct store_view view;
    struct session_reply kept;
    enum store_found found;
    struct state *state;
    uint64_t at;
    int64_t expires_s;
    ck_assert_int_eq(state_new(1, 8, 0, &state), STATUS_OK);
    ck_assert_int_eq(session_begin(store, &key, &step, &found, &view, &kept), SESSION_BEGUN);
    store_view_release(&view);
    ck_assert_int_eq(session_end(&step, state, reply, bytes, &at, &expires_s), STATUS_OK);
    state_drop(state);
}

static void expect_step(struct reader *reader, uint64_t step, const char *answer)
{
    struct told *told;
    enum store_found found;
    ck_assert_int_eq(reader_next(reader, &told, &found), READER_STEP);
    ck_assert_uint_eq(told->step, step);
    ck_assert_int_eq(told->has_answer, answer != NULL);
    if (answer) ck_assert(told->bytes == strlen(answer) && !memcmp(told->answer, answer, told->bytes));
    told_drop(told);
}

static enum reader_news news_of(struct reader *reader, enum store_found *found)
{
    struct told *told;
    enum reader_news news = reader_next(reader, &told, found);
    told_drop(told);
    return news;
}

START_TEST(a_step_is_told_to_the_readers_of_its_session)
{
    struct reader *one, *two, *other, *late;
    enum store_found found;
    make_session("", "s", 1);
    make_session("", "t", 2);
    move_on("s", "zero", 4, false);
    ck_assert_int_eq(follow("", "s", NULL, &one), READER_OPENED);
    ck_assert_int_eq(follow("", "s", NULL, &two), READER_OPENED);
    ck_assert_int_eq(follow("", "t", NULL, &other), READER_OPENED);
    move_on("s", "first", 5, false);
    move_on("s", "second", 6, true);
    ck_assert_int_eq(n_woken, 4);
    expect_step(one, 2, "first");
    expect_step(one, 3, "second");
    ck_assert_int_eq(news_of(one, &found), READER_NOTHING);
    reader_look(one); /* nothing new there either */
    ck_assert_int_eq(news_of(one, &found), READER_NOTHING);
    ck_assert_int_eq(news_of(other, &found), READER_NOTHING);
    reader_close(one);
    move_on("s", NULL, 0, false);
    expect_step(two, 2, "first");
    reader_close(two); /* with two steps before it */
    ck_assert_int_eq(follow("", "s", &(uint64_t){3}, &late), READER_OPENED);
    expect_step(late, 4, NULL);
    move_on("s", "fifth", 5, false);
    expect_step(late, 5, "fifth");
    reader_close(late);
    ck_assert_int_eq(follow("", "s", &(uint64_t){1}, &late), READER_OPENED);
    expect_step(late, 5, "fifth"); /* those between are gone, as the numbers show */
    reader_close(late);
    ck_assert_int_eq(follow("", "s", &(uint64_t){9}, &late), READER_OPENED);
    ck_assert_int_eq(news_of(late, &found), READER_NOTHING);
    reader_close(late);
    reader_close(other);
    reader_close(NULL);
}
END_TEST

START_TEST(a_reader_that_is_behind_is_dropped)
{
    struct reader *few, *large;
    enum store_found found;
    char *answer = calloc(1, REPLY + 1);
    ck_assert_ptr_nonnull(answer);
    memset(answer, 'x', REPLY);
    make_session("", "s", 1);
    make_session("", "t", 2);
    ck_assert_int_eq(follow("", "s", NULL, &few), READER_OPENED);
    ck_assert_int_eq(follow("", "t", NULL, &large), READER_OPENED);
    for (int i = 0; i < READER_BEHIND_MAX; i++) move_on("s", "x", 1, false);
    expect_step(few, 1, "x");
    move_on("s", "x", 1, false);
    expect_step(few, 2, "x");
    for (int i = 0; i < 2; i++) move_on("s", "x", 1, false);
    ck_assert_int_eq(news_of(few, &found), READER_TOO_SLOW);
    move_on("s", "x", 1, false);
    ck_assert_int_eq(news_of(few, &found), READER_TOO_SLOW);
    move_on("t", answer, REPLY, false);
    move_on("t", answer, REPLY, false);
    expect_step(large, 1, answer);
    move_on("t", answer, REPLY, false);
    move_on("t", answer, REPLY, false); /* READER_BEHIND_BYTES holds two of them */
    ck_assert_int_eq(news_of(large, &found), READER_TOO_SLOW);
    reader_close(few);
    reader_close(large);
    ck_assert_int_eq(follow("", "s", NULL, &few), READER_OPENED);
    move_on("s", answer, REPLY, false);
    move_on("s", "longer than may be", REPLY + 1, true);
    expect_step(few, 21, answer);
    expect_step(few, 22, NULL);
    reader_close(few);
    free(answer);
}
END_TEST

START_TEST(readers_hear_how_a_session_ends)
{
    struct reader *reader;
    enum store_found found = STORE_FOUND;
    const struct store_key key = {STORE_SESSION, "", "s"};
    make_session("", "s", 1);
    ck_assert_int_eq(follow("", "s", NULL, &reader), READER_OPENED);
    move_on("s", "x", 1, false);
    ck_assert_int_eq(store_delete(store, &key), STORE_FOUND);
    expect_step(reader, 1, "x");
    ck_assert_int_eq(news_of(reader, &found), READER_ENDED);
    ck_assert_int_eq(found, STORE_NEVER);
    reader_close(reader);
    make_session("", "s", 1);
    ck_assert_int_eq(follow("", "s", NULL, &reader), READER_OPENED);
    ck_assert_int_eq(store_delete(store, &key), STORE_FOUND);
    make_session("", "s", 2); /* another one of its name */
    ck_assert_int_eq(news_of(reader, &found), READER_ENDED);
    ck_assert_int_eq(found, STORE_NEVER);
    reader_close(reader);
    ck_assert_int_eq(follow("", "s", NULL, &reader), READER_OPENED);
    now += TTL;
    ck_assert_int_eq(news_of(reader, &found), READER_NOTHING);
    reader_look(reader);
    ck_assert_int_eq(news_of(reader, &found), READER_ENDED);
    ck_assert_int_eq(found, STORE_EXPIRED);
    reader_close(reader);
    ck_assert_int_eq(follow("", "s", NULL, &reader), READER_GONE);
    make_session("", "t", 1);
    ck_assert_int_eq(follow("", "t", NULL, &reader), READER_OPENED);
    n_woken = 0;
    for (int i = 0; i < 8; i++) make_session("", (char[]){(char)('A' + i), 0}, 1); /* "t" gives way */
    ck_assert_int_eq(n_woken, 1);
    ck_assert_int_eq(news_of(reader, &found), READER_ENDED);
    ck_assert_int_eq(found, STORE_EXPIRED);
    reader_close(reader);
}
END_TEST

START_TEST(readers_are_counted_by_session_and_owner)
{
    struct reader *readers[3], *more;
    static const char *const ids[] = {"a", "a", "b"};
    make_session("k", "a", 1);
    make_session("k", "b", 1);
    make_session("", "a", 1);
    ck_assert_int_eq(follow("k", "c", NULL, &more), READER_GONE);
    ck_assert_int_eq(follow("j", "a", NULL, &more), READER_GONE);
    for (int i = 0; i < 3; i++) ck_assert_int_eq(follow("k", ids[i], NULL, &readers[i]), READER_OPENED);
    ck_assert_int_eq(follow("k", "a", NULL, &more), READER_SESSION_FULL);
    ck_assert_int_eq(follow("k", "b", NULL, &more), READER_OWNER_FULL);
    ck_assert_int_eq(follow("", "a", NULL, &more), READER_OPENED);
    n_woken = 0;
    readers_wake(store);
    ck_assert_int_eq(n_woken, 4);
    reader_close(more);
    for (int i = 0; i < 3; i++) reader_close(readers[i]);
    ck_assert_int_eq(follow("k", "b", NULL, &more), READER_OPENED);
    reader_close(more);
}
END_TEST

static void *come_and_go(void *context)
{
    struct reader *reader;
    enum store_found found;
    (void)context;
    for (int i = 0; i < 300; i++) {
        if (follow("", "s", NULL, &reader) != READER_OPENED) continue;
        if (i % 3) (void)news_of(reader, &found);
        reader_close(reader);
    }
    return NULL;
}

/* For the sanitizer of threads: a reader that closes while it is woken. */
START_TEST(readers_come_and_go_while_the_session_moves)
{
    pthread_t threads[2];
    make_session("", "s", 1);
    for (int i = 0; i < 2; i++) ck_assert_int_eq(pthread_create(&threads[i], NULL, come_and_go, NULL), 0);
    for (int i = 0; i < 300; i++) move_on("s", "x", 1, false);
    for (int i = 0; i < 2; i++) pthread_join(threads[i], NULL);
}
END_TEST

Suite *readers_suite(void)
{
    Suite *suite = suite_create("readers");
    TCase *tests = tcase_create("readers");
    tcase_add_checked_fixture(tests, setup, teardown);
    tcase_add_test(tests, a_step_is_told_to_the_readers_of_its_session);
    tcase_add_test(tests, a_reader_that_is_behind_is_dropped);
    tcase_add_test(tests, readers_hear_how_a_session_ends);
    tcase_add_test(tests, readers_are_counted_by_session_and_owner);
    tcase_add_test(tests, readers_come_and_go_while_the_session_moves);
    suite_add_tcase(suite, tests);
    return suite;
}
