/* The store: names, owners, limits, time, and the steps of sessions. The clock is the test's. */
#include "server/sessions/store.h"

#include <check.h>
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include "tests/support/runs.h"
#include "tests/support/tmp.h"

Suite *store_suite(void);

enum { FLOATS = 100, ENTRIES = 8, TTL = 60, DRAIN = 30 };

static int64_t now;
static struct registry *registry;
static struct model *model;
static struct store *store;
static struct vault *vault;
static int n_woken;

static int64_t tell_now(void)
{
    return now;
}

/* A model m:1, whose weights have this hash. */
static struct model *model_of(const char *hash)
{
    struct model *made = runs_lstm_model();
    strcpy(made->name, "m");
    strcpy(made->version, "1");
    strcpy(made->hash, hash);
    made->n_labels = 0;
    return made;
}

static void open_store(size_t bytes)
{
    const struct store_options options = {.entries = ENTRIES, .bytes = bytes, .owner_percent = 50,
                                          .waiting = 2, .reply_bytes = 16, .drain_s = DRAIN,
                                          .now_s = tell_now, .vault = vault, .registry = registry};
    ck_assert_int_eq(store_new(&options, &store), STATUS_OK);
}

static void setup(void)
{
    now = 1000;
    n_woken = 0;
    vault = NULL;
    ck_assert_int_eq(registry_new(&registry), STATUS_OK);
    model = model_of("aa");
    ck_assert_int_eq(registry_put(registry, model_acquire(model)), STATUS_OK);
    open_store(1 << 20);
}

static void teardown(void)
{
    store_free(store);
    registry_free(registry);
    jobs_model_free(model);
}

static struct store_key key_of(enum store_kind kind, const char *owner, const char *id)
{
    return (struct store_key){kind, owner, id};
}

static struct state *state_of(uint64_t step)
{
    struct state *state;
    ck_assert_int_eq(state_new(step, FLOATS, 0, &state), STATUS_OK);
    return state;
}

static bool put(const char *owner, const char *id, uint64_t step)
{
    const struct store_key key = key_of(STORE_ANSWER, owner, id);
    struct state *state = state_of(step);
    int64_t expires_s = 0;
    enum status status = store_put(store, &key, model, state, TTL, &expires_s);
    if (status == STATUS_OK) ck_assert_int_eq(expires_s, now + TTL);
    state_drop(state);
    return status == STATUS_OK;
}

/* The step of what is found, or less than 0. */
static long get(const char *owner, const char *id)
{
    const struct store_key key = key_of(STORE_ANSWER, owner, id);
    struct store_view view;
    enum store_found found = store_get(store, &key, &view);
    long step = found == STORE_FOUND ? (long)view.state->step : -(long)found;
    store_view_release(&view);
    return step;
}

START_TEST(a_state_is_found_by_its_owner_alone)
{
    ck_assert(put("a", "x", 7));
    ck_assert_int_eq(get("a", "x"), 7);
    ck_assert_int_eq(get("", "x"), -STORE_NEVER);
    ck_assert_int_eq(get("b", "x"), -STORE_NEVER);
    ck_assert(put("b", "x", 8));
    ck_assert_int_eq(get("a", "x"), 7);
    ck_assert_int_eq(get("b", "x"), 8);
    const struct store_key session = key_of(STORE_SESSION, "a", "x");
    struct store_view view;
    ck_assert_int_eq(store_get(store, &session, &view), STORE_NEVER);
    const struct store_key key = key_of(STORE_ANSWER, "a", "x");
    ck_assert_int_eq(store_delete(store, &key), STORE_FOUND);
    ck_assert_int_eq(store_delete(store, &key), STORE_NEVER);
    ck_assert_int_eq(get("a", "x"), -STORE_NEVER);
}
END_TEST

START_TEST(a_state_expires_when_it_is_not_used)
{
    ck_assert(put("", "x", 1));
    now += TTL - 1;
    ck_assert_int_eq(get("", "x"), 1);
    now += TTL - 1;
    ck_assert_int_eq(get("", "x"), 1);
    now += TTL;
    ck_assert_int_eq(get("", "x"), -STORE_EXPIRED);
    ck_assert_int_eq(get("", "x"), -STORE_EXPIRED);
    ck_assert_int_eq(get("", "y"), -STORE_NEVER);
    struct store_stats stats;
    store_stats(store, &stats);
    ck_assert_uint_eq(stats.expired, 1);
    ck_assert_uint_eq(stats.answers, 0);
    ck_assert_uint_eq(stats.bytes, 0);
}
END_TEST

START_TEST(the_least_recently_used_gives_way)
{
    char id[16];
    for (int i = 0; i < ENTRIES; i++) {
        snprintf(id, sizeof id, "%d", i);
        ck_assert(put("", id, 1));
    }
    ck_assert_int_eq(get("", "0"), 1);
    ck_assert(put("", "more", 1));
    ck_assert_int_eq(get("", "0"), 1);
    ck_assert_int_eq(get("", "1"), -STORE_EXPIRED);
    ck_assert_int_eq(get("", "2"), 1);
    struct store_stats stats;
    store_stats(store, &stats);
    ck_assert_uint_eq(stats.evicted, 1);
    ck_assert_uint_eq(stats.answers, ENTRIES);
}
END_TEST

/* Half of the store is the most that one key has; it takes from itself, not from another. */
START_TEST(an_owner_with_a_key_has_a_part)
{
    char id[16];
    ck_assert(put("b", "x", 1));
    for (int i = 0; i < ENTRIES; i++) {
        snprintf(id, sizeof id, "%d", i);
        ck_assert(put("a", id, 1));
    }
    ck_assert_int_eq(get("b", "x"), 1);
    ck_assert_int_eq(get("a", "0"), -STORE_EXPIRED);
    ck_assert_int_eq(get("a", "4"), 1);
    struct store_stats stats;
    store_stats(store, &stats);
    ck_assert_uint_eq(stats.answers, 1 + ENTRIES / 2);
}
END_TEST

START_TEST(bytes_are_bounded)
{
    store_free(store);
    open_store(3 * (FLOATS * sizeof(float) + 700));
    ck_assert(put("", "1", 1));
    ck_assert(put("", "2", 1));
    ck_assert(put("", "3", 1));
    ck_assert(put("", "4", 1));
    ck_assert_int_eq(get("", "1"), -STORE_EXPIRED);
    ck_assert_int_eq(get("", "4"), 1);
    store_free(store);
    open_store(100);
    ck_assert(!put("", "1", 1));
    ck_assert_int_eq(get("", "1"), -STORE_EXPIRED);
}
END_TEST

START_TEST(a_model_that_is_replaced_is_drained)
{
    ck_assert(put("", "x", 1));
    ck_assert_int_eq(registry_put(registry, model_of("aa")), STATUS_OK);
    store_models_changed(store);
    now += DRAIN + 1;
    ck_assert_int_eq(get("", "x"), 1); /* the weights are the same */
    ck_assert_int_eq(registry_put(registry, model_of("bb")), STATUS_OK);
    store_models_changed(store);
    now += DRAIN - 1;
    store_models_changed(store);
    ck_assert_int_eq(get("", "x"), 1);
    now += 1;
    ck_assert_int_eq(get("", "x"), -STORE_REPLACED);
}
END_TEST

/* ---- sessions ---- */

static void wake(void *context)
{
    (void)context;
    n_woken++;
}

static struct session_step step_of(long expected, int body)
{
    struct session_step step = {.has_step = expected >= 0, .step = (uint64_t)expected, .wake = wake};
    memset(step.body, body, sizeof step.body);
    return step;
}

static enum session_answer begin(struct session_step *step, uint64_t *at, char reply_text[32])
{
    const struct store_key key = key_of(STORE_SESSION, "", "s");
    enum store_found found;
    struct store_view view;
    struct session_reply reply;
    enum session_answer answer = session_begin(store, &key, step, &found, &view, &reply);
    if (at) *at = view.step;
    if (reply_text) snprintf(reply_text, 32, "%.*s", (int)reply.bytes, reply.text ? reply.text : "");
    free(reply.text);
    store_view_release(&view);
    return answer;
}

static void make_session(void)
{
    const struct store_key key = key_of(STORE_SESSION, "", "s");
    int64_t expires_s;
    ck_assert_int_eq(session_new(store, &key, model, NULL, 42, TTL, &expires_s), STATUS_OK);
    ck_assert_int_eq(session_new(store, &key, model, NULL, 42, TTL, &expires_s), STATUS_BAD_VALUE);
}

static void end(struct session_step *step, const char *reply)
{
    uint64_t at;
    int64_t expires_s;
    struct state *state = state_of(1);
    ck_assert_int_eq(session_end(step, state, reply, strlen(reply), &at, &expires_s), STATUS_OK);
    state_drop(state);
}

START_TEST(a_step_is_taken_once_and_its_reply_is_kept)
{
    uint64_t at;
    char reply[32];
    make_session();
    struct session_step first = step_of(0, 1);
    ck_assert_int_eq(begin(&first, &at, NULL), SESSION_BEGUN);
    ck_assert_uint_eq(at, 0);
    end(&first, "one");
    struct session_step again = step_of(0, 1), other = step_of(0, 2), ahead = step_of(5, 1);
    ck_assert_int_eq(begin(&again, &at, reply), SESSION_AGAIN);
    ck_assert_str_eq(reply, "one");
    ck_assert_int_eq(begin(&other, &at, NULL), SESSION_MISMATCH);
    ck_assert_uint_eq(at, 1);
    ck_assert_int_eq(begin(&ahead, &at, NULL), SESSION_MISMATCH);
    struct session_step second = step_of(-1, 1);
    ck_assert_int_eq(begin(&second, &at, NULL), SESSION_BEGUN);
    end(&second, "a reply that is too long to be kept");
    struct session_step long_again = step_of(1, 1);
    ck_assert_int_eq(begin(&long_again, &at, reply), SESSION_AGAIN);
    ck_assert_str_eq(reply, "");
    ck_assert_uint_eq(at, 2);
}
END_TEST

START_TEST(a_step_that_is_left_moves_nothing)
{
    uint64_t at;
    make_session();
    struct session_step step = step_of(0, 1);
    ck_assert_int_eq(begin(&step, &at, NULL), SESSION_BEGUN);
    session_leave(&step);
    session_leave(&step);
    ck_assert_int_eq(begin(&step, &at, NULL), SESSION_BEGUN);
    ck_assert_uint_eq(at, 0);
    end(&step, "");
    session_leave(&step);
    struct session_step next = step_of(1, 1);
    ck_assert_int_eq(begin(&next, &at, NULL), SESSION_BEGUN);
    session_leave(&next);
}
END_TEST

START_TEST(steps_wait_in_order_up_to_a_limit)
{
    make_session();
    struct session_step steps[5];
    for (int i = 0; i < 5; i++) steps[i] = step_of(-1, i);
    ck_assert_int_eq(begin(&steps[0], NULL, NULL), SESSION_BEGUN);
    ck_assert_int_eq(begin(&steps[1], NULL, NULL), SESSION_WAITS);
    ck_assert_int_eq(begin(&steps[2], NULL, NULL), SESSION_WAITS);
    ck_assert_int_eq(begin(&steps[3], NULL, NULL), SESSION_BUSY);
    session_abandon(&steps[1]);
    ck_assert_int_eq(begin(&steps[3], NULL, NULL), SESSION_WAITS);
    ck_assert_int_eq(n_woken, 0);
    end(&steps[0], "");
    ck_assert_int_eq(n_woken, 2); /* the one that is not wanted, and the first that is */
    session_leave(&steps[1]);
    ck_assert_int_eq(begin(&steps[4], NULL, NULL), SESSION_WAITS); /* it does not come between */
    ck_assert_int_eq(begin(&steps[2], NULL, NULL), SESSION_BEGUN);
    session_leave(&steps[2]);
    ck_assert_int_eq(n_woken, 3);
    session_leave(&steps[3]); /* it goes without having begun again */
    ck_assert_int_eq(n_woken, 4);
    ck_assert_int_eq(begin(&steps[4], NULL, NULL), SESSION_BEGUN);
    session_leave(&steps[4]);
}
END_TEST

START_TEST(a_session_that_is_deleted_under_way_is_gone)
{
    const struct store_key key = key_of(STORE_SESSION, "", "s");
    uint64_t at;
    int64_t expires_s;
    make_session();
    struct session_step step = step_of(-1, 1), waiting = step_of(-1, 2);
    ck_assert_int_eq(begin(&step, NULL, NULL), SESSION_BEGUN);
    ck_assert_int_eq(begin(&waiting, NULL, NULL), SESSION_WAITS);
    now += 2 * TTL; /* neither time nor want of room takes it meanwhile */
    for (int i = 0; i < 2 * ENTRIES; i++) ck_assert(put("", i % 2 ? "x" : "y", 1));
    ck_assert_int_eq(store_delete(store, &key), STORE_FOUND);
    ck_assert_int_eq(n_woken, 1);
    ck_assert_int_eq(begin(&waiting, NULL, NULL), SESSION_GONE);
    session_leave(&waiting);
    struct state *state = state_of(1);
    ck_assert_int_eq(session_end(&step, state, NULL, 0, &at, &expires_s), STATUS_BAD_VALUE);
    state_drop(state);
    session_leave(&step);
    make_session();
}
END_TEST

/* A session that fits before its first step, and not after it. */
START_TEST(a_step_without_room_wakes_all_that_wait)
{
    const struct store_key key = key_of(STORE_SESSION, "", "s");
    struct store_view view;
    struct store_stats stats;
    uint64_t at;
    int64_t expires_s;
    store_free(store);
    open_store(FLOATS * sizeof(float) + 400);
    make_session();
    struct session_step step = step_of(-1, 1), waiting[2] = {step_of(-1, 2), step_of(-1, 3)};
    ck_assert_int_eq(begin(&step, NULL, NULL), SESSION_BEGUN);
    for (int i = 0; i < 2; i++) ck_assert_int_eq(begin(&waiting[i], NULL, NULL), SESSION_WAITS);
    struct state *state = state_of(1);
    ck_assert_int_eq(session_end(&step, state, NULL, 0, &at, &expires_s), STATUS_NO_MEMORY);
    state_drop(state);
    ck_assert_int_eq(n_woken, 2);
    for (int i = 0; i < 2; i++) {
        ck_assert_int_eq(begin(&waiting[i], NULL, NULL), SESSION_GONE);
        session_leave(&waiting[i]);
    }
    ck_assert_int_eq(store_get(store, &key, &view), STORE_EXPIRED);
    store_stats(store, &stats);
    ck_assert_uint_eq(stats.waiting + stats.sessions + stats.bytes, 0);
}
END_TEST

/* ---- a folder ---- */

static struct tmp tmp;

/* Open the store on the folder, as the next process does. */
static void reopen_with(size_t bytes)
{
    store_free(store);
    ck_assert_int_eq(vault_open_folder(tmp.path, ENTRIES, &vault, NULL), STATUS_OK);
    open_store(bytes);
}

static void reopen(void)
{
    reopen_with(1 << 20);
}

static void setup_folder(void)
{
    setup();
    tmp_make(&tmp);
    now = (int64_t)time(NULL); /* records expire by the clock of the files */
    reopen();
}

static void teardown_folder(void)
{
    teardown();
    tmp_remove(&tmp);
}

START_TEST(what_was_kept_is_there_after_the_end)
{
    uint64_t at;
    char reply[32];
    ck_assert(put("a", "x", 7));
    make_session();
    struct session_step first = step_of(0, 1), second = step_of(1, 2);
    ck_assert_int_eq(begin(&first, NULL, NULL), SESSION_BEGUN);
    end(&first, "one");
    ck_assert_int_eq(begin(&second, NULL, NULL), SESSION_BEGUN); /* and the process ends in the middle */
    session_leave(&second);
    reopen();
    ck_assert_int_eq(get("a", "x"), 7);
    ck_assert_int_eq(get("b", "x"), -STORE_NEVER);
    struct session_step again = step_of(0, 1);
    ck_assert_int_eq(begin(&again, &at, reply), SESSION_AGAIN);
    ck_assert_uint_eq(at, 1);
    ck_assert_str_eq(reply, "one");
    second = step_of(1, 2);
    ck_assert_int_eq(begin(&second, NULL, NULL), SESSION_BEGUN);
    end(&second, "two");
    reopen();
    struct session_step third = step_of(2, 3);
    ck_assert_int_eq(begin(&third, &at, NULL), SESSION_BEGUN);
    ck_assert_uint_eq(at, 2);
    session_leave(&third);
    const struct store_key key = key_of(STORE_ANSWER, "a", "x");
    ck_assert_int_eq(store_delete(store, &key), STORE_FOUND);
    reopen();
    ck_assert_int_eq(get("a", "x"), -STORE_NEVER);
}
END_TEST

START_TEST(a_record_of_other_weights_is_replaced)
{
    ck_assert(put("", "x", 1));
    store_free(store);
    store = NULL;
    ck_assert_int_eq(registry_put(registry, model_of("bb")), STATUS_OK);
    reopen();
    ck_assert_int_eq(get("", "x"), -STORE_REPLACED);
}
END_TEST

/* The next process has less room than the one that wrote the record. */
START_TEST(a_record_without_room_has_given_way)
{
    ck_assert(put("", "x", 1));
    reopen_with(FLOATS);
    ck_assert_int_eq(get("", "x"), -STORE_EXPIRED);
    ck_assert(!put("", "x", 1));
}
END_TEST

/* Change any byte of the file, or cut it anywhere: it is found out, or it is not the same name's. */
START_TEST(a_broken_record_is_no_state)
{
    char name[VAULT_NAME_BYTES], path[TMP_PATH_BYTES + 80], bytes[4096];
    ck_assert(put("", "x", 1));
    const char text[] = "0  x";
    uint8_t hash[HASH_BYTES];
    hash_bytes(text, strlen(text), hash);
    hash_print(hash, name);
    snprintf(path, sizeof path, "%s/%s.state", tmp.path, name);
    FILE *file = fopen(path, "rb");
    ck_assert_ptr_nonnull(file);
    size_t n = fread(bytes, 1, sizeof bytes, file);
    fclose(file);
    ck_assert_uint_gt(n, FLOATS * sizeof(float));
    ck_assert(record_is_whole((unsigned char *)bytes, n));
    for (size_t i = 0; i < n; i++) {
        bool counts = i < RECORD_STEP_AT || i >= RECORD_STEP_AT + 8; /* the step stands inside too */
        bytes[i] ^= 1;
        ck_assert(record_is_whole((unsigned char *)bytes, n) == !counts);
        bytes[i] ^= 1;
        ck_assert(!record_is_whole((unsigned char *)bytes, i));
    }
    file = fopen(path, "r+b");
    ck_assert_ptr_nonnull(file);
    fseek(file, (long)n / 2, SEEK_SET);
    fputc(bytes[n / 2] ^ 1, file);
    fclose(file);
    reopen();
    ck_assert_int_eq(get("", "x"), -STORE_NEVER);
    struct error err = {0};
    struct vault *none;
    ck_assert_int_eq(vault_open_folder("/nowhere/states", 1, &none, &err), STATUS_IO);
    ck_assert_ptr_nonnull(strstr(err.message, "/nowhere/states"));
}
END_TEST

/* The only file's time of change, which is when its record expires; set it first if `expires_s` is not 0. */
static int64_t record_expires(int64_t expires_s)
{
    DIR *listing = opendir(tmp.path);
    struct stat facts = {0};
    ck_assert_ptr_nonnull(listing);
    for (struct dirent *entry; (entry = readdir(listing));) {
        const struct timespec times[2] = {{.tv_sec = (time_t)expires_s}, {.tv_sec = (time_t)expires_s}};
        if (entry->d_name[0] == '.') continue;
        if (expires_s) ck_assert_int_eq(utimensat(dirfd(listing), entry->d_name, times, 0), 0);
        ck_assert_int_eq(fstatat(dirfd(listing), entry->d_name, &facts, 0), 0);
    }
    closedir(listing);
    return facts.st_mtim.tv_sec;
}

START_TEST(a_record_that_is_used_lives_on)
{
    ck_assert(put("a", "x", 7));
    ck_assert_int_eq(record_expires(now + 5), now + 5);
    ck_assert_int_eq(get("a", "x"), 7);
    ck_assert_int_ge(record_expires(0), now + TTL);
}
END_TEST

static enum vault_answer write_nothing(struct vault *full, const char *name, const void *bytes, size_t n,
                                       int64_t ttl_s, const uint64_t *expected)
{
    (void)full, (void)name, (void)bytes, (void)n, (void)ttl_s, (void)expected;
    return VAULT_AWAY;
}

/* A disk is full: nothing is there that was refused, and a session is where it was. */
START_TEST(what_the_vault_does_not_take_has_not_been)
{
    const struct store_key key = key_of(STORE_SESSION, "", "s"), other = key_of(STORE_SESSION, "", "t");
    struct store_view view;
    uint64_t at;
    int64_t expires_s;
    struct state *state = state_of(1);
    make_session();
    struct session_step step = step_of(0, 1), again = step_of(0, 2);
    ck_assert_int_eq(begin(&step, NULL, NULL), SESSION_BEGUN);
    vault->write = write_nothing;
    ck_assert_int_eq(session_end(&step, state, NULL, 0, &at, &expires_s), STATUS_IO);
    session_leave(&step);
    ck_assert_int_eq(session_new(store, &other, model, NULL, 42, TTL, &expires_s), STATUS_IO);
    ck_assert_int_eq(store_get(store, &other, &view), STORE_NEVER);
    ck_assert_int_eq(store_get(store, &key, &view), STORE_FOUND);
    ck_assert_uint_eq(view.step, 0);
    store_view_release(&view);
    ck_assert_int_eq(begin(&again, NULL, NULL), SESSION_BEGUN);
    session_leave(&again);
    state_drop(state);
}
END_TEST

Suite *store_suite(void)
{
    Suite *suite = suite_create("store");
    TCase *tests = tcase_create("store");
    tcase_add_checked_fixture(tests, setup, teardown);
    tcase_add_test(tests, a_state_is_found_by_its_owner_alone);
    tcase_add_test(tests, a_state_expires_when_it_is_not_used);
    tcase_add_test(tests, the_least_recently_used_gives_way);
    tcase_add_test(tests, an_owner_with_a_key_has_a_part);
    tcase_add_test(tests, bytes_are_bounded);
    tcase_add_test(tests, a_model_that_is_replaced_is_drained);
    tcase_add_test(tests, a_step_is_taken_once_and_its_reply_is_kept);
    tcase_add_test(tests, a_step_that_is_left_moves_nothing);
    tcase_add_test(tests, steps_wait_in_order_up_to_a_limit);
    tcase_add_test(tests, a_session_that_is_deleted_under_way_is_gone);
    tcase_add_test(tests, a_step_without_room_wakes_all_that_wait);
    suite_add_tcase(suite, tests);
    TCase *folder = tcase_create("folder");
    tcase_add_checked_fixture(folder, setup_folder, teardown_folder);
    tcase_add_test(folder, what_was_kept_is_there_after_the_end);
    tcase_add_test(folder, a_record_of_other_weights_is_replaced);
    tcase_add_test(folder, a_record_without_room_has_given_way);
    tcase_add_test(folder, a_broken_record_is_no_state);
    tcase_add_test(folder, what_the_vault_does_not_take_has_not_been);
    tcase_add_test(folder, a_record_that_is_used_lives_on);
    suite_add_tcase(suite, folder);
    return suite;
}
