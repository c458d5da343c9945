/* Two stores, as of two servers, over one vault that they share; and addresses of Redis. A real Redis is in
 * `make check-replicas`. */
#include "server/sessions/vault.h"

#include <arpa/inet.h>
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "server/sessions/store.h"
#include "tests/support/runs.h"

Suite *vault_suite(void);

enum { FLOATS = 10, TTL = 60, RECORDS = 8 };

/* What both stores share. */
static struct {
    char name[VAULT_NAME_BYTES];
    unsigned char *bytes; /* NULL: free */
    size_t n;
} records[RECORDS];
static bool is_away;
static int64_t now;
static struct registry *registry;
static struct model *model;
static struct store *here, *there;
static int n_touched;

static int place_of(const char *name)
{
    int place = -1;
    for (int i = 0; i < RECORDS; i++) {
        if (records[i].bytes && !strcmp(records[i].name, name)) return i;
        if (!records[i].bytes) place = i;
    }
    ck_assert_int_ge(place, 0);
    return place;
}

static enum vault_answer shared_write(struct vault *vault, const char *name, const void *bytes, size_t n,
                                      int64_t ttl_s, const uint64_t *expected)
{
    (void)vault, (void)ttl_s;
    if (is_away) return VAULT_AWAY;
    int i = place_of(name);
    if (records[i].bytes && expected && memcmp(records[i].bytes + RECORD_STEP_AT, expected, sizeof *expected))
        return VAULT_NOT;
    free(records[i].bytes);
    strcpy(records[i].name, name);
    records[i].bytes = malloc(n);
    ck_assert_ptr_nonnull(records[i].bytes);
    memcpy(records[i].bytes, bytes, n);
    records[i].n = n;
    return VAULT_OK;
}

static enum vault_answer shared_read(struct vault *vault, const char *name, void **bytes, size_t *n)
{
    (void)vault;
    if (is_away) return VAULT_AWAY;
    int i = place_of(name);
    if (!records[i].bytes) return VAULT_NOT;
    *bytes = malloc(records[i].n);
    ck_assert_ptr_nonnull(*bytes);
    memcpy(*bytes, records[i].bytes, records[i].n);
    *n = records[i].n;
    return VAULT_OK;
}

static enum vault_answer shared_read_head(struct vault *vault, const char *name,
                                          unsigned char head[RECORD_HEAD])
{
    (void)vault;
    if (is_away) return VAULT_AWAY;
    int i = place_of(name);
    if (!records[i].bytes) return VAULT_NOT;
    memcpy(head, records[i].bytes, RECORD_HEAD);
    return VAULT_OK;
}

static void shared_touch(struct vault *vault, const char *name, int64_t ttl_s)
{
    (void)vault, (void)name, (void)ttl_s;
    n_touched++;
}

static void shared_remove(struct vault *vault, const char *name)
{
    (void)vault;
    int i = place_of(name);
    free(records[i].bytes);
    records[i].bytes = NULL;
}

static void shared_close(struct vault *vault)
{
    (void)vault;
}

static struct vault shared = {.is_shared = true, .write = shared_write, .read = shared_read,
                              .read_head = shared_read_head, .touch = shared_touch,
                              .remove = shared_remove, .close = shared_close};

static int64_t tell_now(void)
{
    return now;
}

static struct store *open_store(void)
{
    const struct store_options options = {.entries = 4, .bytes = 1 << 20, .owner_percent = 50, .waiting = 2,
                                          .reply_bytes = 16, .drain_s = 30, .now_s = tell_now,
                                          .vault = &shared, .registry = registry};
    struct store *store;
    ck_assert_int_eq(store_new(&options, &store), STATUS_OK);
    return store;
}

static void setup(void)
{
    now = 1000, n_touched = 0, is_away = false;
    ck_assert_int_eq(registry_new(&registry), STATUS_OK);
    model = runs_lstm_model();
    strcpy(model->name, "m");
    strcpy(model->version, "1");
    strcpy(model->hash, "aa");
    model->n_labels = 0;
    ck_assert_int_eq(registry_put(registry, model_acquire(model)), STATUS_OK);
    here = open_store();
    there = open_store();
}

static void teardown(void)
{
    store_free(here);
    store_free(there);
    for (int i = 0; i < RECORDS; i++) free(records[i].bytes), records[i].bytes = NULL;
    registry_free(registry);
    jobs_model_free(model);
}

static const struct store_key session = {STORE_SESSION, "", "s"};

static struct session_step step_of(uint64_t expected, int body)
{
    struct session_step step = {.has_step = true, .step = expected};
    memset(step.body, body, sizeof step.body);
    return step;
}

/* The answer, and where the session is. */
static enum session_answer begin(struct store *store, struct session_step *step, uint64_t *at)
{
    enum store_found found;
    struct store_view view;
    struct session_reply reply;
    enum session_answer answer = session_begin(store, &session, step, &found, &view, &reply);
    *at = view.state ? view.state->step : 0;
    free(reply.text);
    store_view_release(&view);
    return answer;
}

/* End a step in a state whose own step is `mark`. */
static enum status end(struct session_step *step, uint64_t mark)
{
    uint64_t now_step;
    int64_t expires_s;
    struct state *state;
    ck_assert_int_eq(state_new(mark, FLOATS, 0, &state), STATUS_OK);
    enum status status = session_end(step, state, "ok", 2, &now_step, &expires_s);
    state_drop(state);
    return status;
}

static void take(struct store *store, uint64_t step_no, uint64_t mark)
{
    uint64_t at;
    struct session_step step = step_of(step_no, (int)mark);
    ck_assert_int_eq(begin(store, &step, &at), SESSION_BEGUN);
    ck_assert_int_eq(end(&step, mark), STATUS_OK);
}

static enum status make(struct store *store)
{
    int64_t expires_s;
    return session_new(store, &session, model, NULL, 42, TTL, &expires_s);
}

START_TEST(steps_are_taken_at_either_server)
{
    uint64_t at;
    ck_assert_int_eq(make(here), STATUS_OK);
    ck_assert_int_eq(make(there), STATUS_BAD_VALUE); /* the name is taken */
    take(there, 0, 101);
    take(here, 1, 102);
    take(here, 2, 103);
    take(there, 3, 104);
    struct session_step old = step_of(3, 9), again = step_of(3, 104), next = step_of(4, 5);
    ck_assert_int_eq(begin(here, &old, &at), SESSION_MISMATCH);
    ck_assert_int_eq(begin(here, &again, &at), SESSION_AGAIN); /* as there, and from where that began */
    ck_assert_uint_eq(at, 103);
    ck_assert_int_eq(begin(here, &next, &at), SESSION_BEGUN);
    ck_assert_uint_eq(at, 104);
    session_leave(&next);
}
END_TEST

START_TEST(one_of_two_at_once_moves_the_session)
{
    uint64_t at;
    ck_assert_int_eq(make(here), STATUS_OK);
    take(there, 0, 1);
    struct session_step one = step_of(1, 1), other = step_of(1, 2), after = step_of(2, 3);
    ck_assert_int_eq(begin(here, &one, &at), SESSION_BEGUN);
    ck_assert_int_eq(begin(there, &other, &at), SESSION_BEGUN);
    ck_assert_int_eq(end(&other, 22), STATUS_OK);
    ck_assert_int_eq(end(&one, 11), STATUS_CANCELLED);
    ck_assert_int_eq(begin(here, &after, &at), SESSION_BEGUN);
    ck_assert_uint_eq(at, 22);
    session_leave(&after);
}
END_TEST

START_TEST(a_copy_that_is_dropped_leaves_the_record)
{
    struct store_view view;
    uint64_t at;
    ck_assert_int_eq(make(here), STATUS_OK);
    take(here, 0, 7);
    for (int i = 0; i < 5; i++) { /* here it gives way to others */
        const struct store_key key = {STORE_ANSWER, "", (char[2]){(char)('a' + i)}};
        struct state *state;
        int64_t expires_s;
        ck_assert_int_eq(state_new(1, FLOATS, 0, &state), STATUS_OK);
        ck_assert_int_eq(store_put(here, &key, model, state, TTL, &expires_s), STATUS_OK);
        state_drop(state);
    }
    take(there, 1, 8);
    struct session_step step = step_of(2, 1);
    ck_assert_int_eq(begin(here, &step, &at), SESSION_BEGUN);
    ck_assert_uint_eq(at, 8);
    session_leave(&step);
    const struct store_key answer = {STORE_ANSWER, "", "a"};
    ck_assert_int_eq(store_get(there, &answer, &view), STORE_FOUND); /* answers are shared as well */
    store_view_release(&view);
    ck_assert_int_gt(n_touched, 0);
    ck_assert_int_eq(store_delete(there, &session), STORE_FOUND);
    ck_assert_int_eq(begin(here, &step, &at), SESSION_GONE);
}
END_TEST

START_TEST(a_vault_that_is_away_is_no_missing_session)
{
    struct store_view view;
    uint64_t at;
    const struct store_key other = {STORE_SESSION, "", "t"};
    ck_assert_int_eq(make(here), STATUS_OK);
    struct session_step step = step_of(0, 1);
    ck_assert_int_eq(begin(here, &step, &at), SESSION_BEGUN);
    is_away = true;
    ck_assert_int_eq(end(&step, 1), STATUS_IO);
    ck_assert_int_eq(store_get(here, &session, &view), STORE_AWAY);
    ck_assert_int_eq(store_get(there, &session, &view), STORE_AWAY);
    ck_assert_int_eq(store_delete(there, &session), STORE_AWAY);
    int64_t expires_s;
    ck_assert_int_eq(session_new(there, &other, model, NULL, 1, TTL, &expires_s), STATUS_IO);
    is_away = false;
    ck_assert_int_eq(begin(here, &step, &at), SESSION_BEGUN); /* where it was */
    ck_assert_uint_eq(at, 0);
    ck_assert_int_eq(end(&step, 1), STATUS_OK);
    take(there, 1, 2);
}
END_TEST

/* ---- Redis ---- */

static const char *const addresses[] = {
    "", "localhost", "http://localhost", "redis://", "redis://:6379", "redis://user:word@localhost",
    "redis://localhost:0", "redis://localhost:65536", "redis://localhost:x", "redis://localhost/x",
    "redis://localhost:6379/1x", "redis://[::1", "rediss://localhost", "unix:",
};

START_TEST(an_address_that_is_none_is_refused)
{
    struct vault *vault;
    struct error err = {0};
    ck_assert_int_eq(vault_open_redis(addresses[_i], "", &vault, &err), STATUS_BAD_VALUE);
    ck_assert_str_eq(err.param, "sessions.redis");
    ck_assert_ptr_nonnull(strstr(err.message, "redis://HOST[:PORT][/DATABASE]"));
}
END_TEST

START_TEST(what_does_not_answer_is_named)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    socklen_t bytes = sizeof address;
    struct vault *vault;
    struct error err = {0};
    char text[64];
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    ck_assert_int_eq(bind(fd, (struct sockaddr *)&address, bytes), 0);
    ck_assert_int_eq(getsockname(fd, (struct sockaddr *)&address, &bytes), 0);
    snprintf(text, sizeof text, "redis://127.0.0.1:%d/2", ntohs(address.sin_port));
    ck_assert_int_eq(vault_open_redis(text, "", &vault, &err), STATUS_IO);
    ck_assert_ptr_nonnull(strstr(err.message, "refused"));
    ck_assert_int_eq(listen(fd, 1), 0); /* connects, and says nothing */
    err = (struct error){0};
    ck_assert_int_eq(vault_open_redis(text, "", &vault, &err), STATUS_IO);
    ck_assert_ptr_nonnull(strstr(err.message, text));
    err = (struct error){0};
    ck_assert_int_eq(vault_open_redis(text, "/nowhere/password", &vault, &err), STATUS_IO);
    ck_assert_str_eq(err.param, "sessions.redis_password_file");
    ck_assert_int_eq(vault_open_redis("unix:/nowhere/redis.sock", "", &vault, &err), STATUS_IO);
    close(fd);
}
END_TEST

Suite *vault_suite(void)
{
    Suite *suite = suite_create("vault");
    TCase *both = tcase_create("shared");
    tcase_add_checked_fixture(both, setup, teardown);
    tcase_add_test(both, steps_are_taken_at_either_server);
    tcase_add_test(both, one_of_two_at_once_moves_the_session);
    tcase_add_test(both, a_copy_that_is_dropped_leaves_the_record);
    tcase_add_test(both, a_vault_that_is_away_is_no_missing_session);
    suite_add_tcase(suite, both);
    TCase *redis = tcase_create("redis");
    tcase_add_loop_test(redis, an_address_that_is_none_is_refused, 0,
                        (int)(sizeof addresses / sizeof *addresses));
    tcase_add_test(redis, what_does_not_answer_is_named);
    suite_add_tcase(suite, redis);
    return suite;
}
