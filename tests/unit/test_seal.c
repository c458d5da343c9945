/* Sealed states: what was sealed is opened, everything else is told apart, and nothing gets through. */
#include "server/sessions/seal.h"

#include <check.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/half.h"
#include "tests/support/runs.h"

Suite *seal_suite(void);

#define KEY_A "a 000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f\n"
#define KEY_B "b 101112131415161718191a1b1c1d1e1f000102030405060708090a0b0c0d0e0f\n"
/* The id of a, the key of b. */
#define KEY_FALSE "a 101112131415161718191a1b1c1d1e1f000102030405060708090a0b0c0d0e0f\n"

enum { FLOATS = 50, REST = 7, NOW = 1000, EXPIRES = 2000 };

static struct seal_ring *ring;
static struct model *model;
static struct state *state;

static void read_keys(const char *text)
{
    struct error err = {0};
    ck_assert_msg(seal_ring_read(ring, text, strlen(text), "keys", &err) == STATUS_OK, "%s", err.message);
}

static void setup(void)
{
    ck_assert_int_eq(seal_ring_open("", &ring, NULL), STATUS_OK);
    ck_assert(!seal_has_keys(ring));
    read_keys("# keys\n\n" KEY_A);
    model = runs_lstm_model();
    strcpy(model->name, "m");
    strcpy(model->version, "1");
    memset(model->hash, 'a', 64);
    ck_assert_int_eq(state_new(33, FLOATS, REST, &state), STATUS_OK);
    for (int i = 0; i < FLOATS; i++) state->floats[i] = (float)sin(i) * 3;
    memcpy(state->rest, "restful", REST);
}

static void teardown(void)
{
    seal_ring_close(ring);
    state_drop(state);
    jobs_model_free(model);
}

static char *make(void)
{
    double loss;
    char *token = seal_make(ring, model, state, "me", NOW, EXPIRES, false, &loss);
    ck_assert_ptr_nonnull(token);
    ck_assert_double_eq(loss, 0);
    return token;
}

static enum seal_opened open_as(const char *token, const char *owner, int64_t now)
{
    struct sealed sealed;
    enum seal_opened opened = seal_open(ring, token, strlen(token), owner, now, &sealed);
    ck_assert((sealed.state != NULL) == (opened == SEAL_OPENED));
    state_drop(sealed.state);
    return opened;
}

START_TEST(what_was_sealed_is_opened)
{
    char *token = make();
    struct sealed sealed;
    ck_assert(seal_is_token(token));
    ck_assert_uint_eq(strspn(token + 4, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"),
                      strlen(token) - 4);
    ck_assert_int_eq(seal_open(ring, token, strlen(token), "me", NOW, &sealed), SEAL_OPENED);
    ck_assert_str_eq(sealed.model, "m");
    ck_assert_str_eq(sealed.version, "1");
    ck_assert_str_eq(sealed.hash, model->hash);
    ck_assert_str_eq(sealed.task, "text-generation");
    ck_assert_int_eq(sealed.created_s, NOW);
    ck_assert_int_eq(sealed.expires_s, EXPIRES);
    ck_assert_uint_eq(sealed.state->step, 33);
    ck_assert(!memcmp(sealed.state->floats, state->floats, sizeof(float[FLOATS])));
    ck_assert(!memcmp(sealed.state->rest, state->rest, REST));
    state_drop(sealed.state);
    char *other = make();
    ck_assert_str_ne(token, other); /* another nonce */
    free(token);
    free(other);
}
END_TEST

START_TEST(each_reason_is_told_apart)
{
    char *token = make();
    ck_assert_int_eq(open_as(token, "you", NOW), SEAL_OTHER_OWNER);
    ck_assert_int_eq(open_as(token, "me", EXPIRES - 1), SEAL_OPENED);
    ck_assert_int_eq(open_as(token, "me", EXPIRES), SEAL_EXPIRED);
    read_keys(KEY_A KEY_B); /* a new key seals, the old one still opens */
    ck_assert_int_eq(open_as(token, "me", NOW), SEAL_OPENED);
    char *next = make(), ids[64];
    ck_assert_str_eq(seal_key_ids(ring, ids, sizeof ids), "a, b");
    read_keys(KEY_B);
    ck_assert_int_eq(open_as(next, "me", NOW), SEAL_OPENED);
    ck_assert_int_eq(open_as(token, "me", NOW), SEAL_UNKNOWN_KEY);
    read_keys(KEY_FALSE);
    ck_assert_int_eq(open_as(token, "me", NOW), SEAL_TAMPERED);
    read_keys("");
    ck_assert_int_eq(open_as(token, "me", NOW), SEAL_UNKNOWN_KEY);
    double loss;
    ck_assert_ptr_null(seal_make(ring, model, state, "me", NOW, EXPIRES, false, &loss));
    free(token);
    free(next);
}
END_TEST

/* Every bit of a token, and every length. */
START_TEST(nothing_that_was_changed_gets_through)
{
    char *token = make();
    size_t n = strlen(token);
    for (size_t i = 0; i < n; i++) {
        char was = token[i];
        token[i] = was == 'A' ? 'B' : 'A';
        enum seal_opened opened = open_as(token, "me", NOW);
        ck_assert_msg(opened == SEAL_TAMPERED || opened == SEAL_UNKNOWN_KEY, "byte %zu", i);
        token[i] = '=';
        ck_assert_int_ne(open_as(token, "me", NOW), SEAL_OPENED);
        token[i] = was;
    }
    for (size_t length = 0; length < n; length++) {
        struct sealed sealed;
        enum seal_opened opened = seal_open(ring, token, length, "me", NOW, &sealed);
        ck_assert(opened == SEAL_TAMPERED || opened == SEAL_UNKNOWN_KEY);
    }
    ck_assert_int_eq(open_as(token, "me", NOW), SEAL_OPENED);
    free(token);
}
END_TEST

START_TEST(floats_that_are_not_finite_are_refused)
{
    state->floats[7] = (float)NAN;
    char *token = make();
    ck_assert_int_eq(open_as(token, "me", NOW), SEAL_TAMPERED);
    free(token);
}
END_TEST

START_TEST(float16_is_half_as_long_and_says_what_it_loses)
{
    double loss, largest = 0;
    struct sealed sealed;
    char *whole = make(), *half = seal_make(ring, model, state, "me", NOW, EXPIRES, true, &loss);
    ck_assert_uint_eq((strlen(whole) - strlen(half)) / 4, FLOATS * 2 / 3); /* base64: four letters for three
                                                                            * bytes */
    ck_assert_int_eq(seal_open(ring, half, strlen(half), "me", NOW, &sealed), SEAL_OPENED);
    for (int i = 0; i < FLOATS; i++)
        largest = fmax(largest, fabs((double)sealed.state->floats[i] - (double)state->floats[i]));
    ck_assert_double_eq(largest, loss);
    ck_assert_double_gt(loss, 0);
    ck_assert_double_lt(loss, 3 * 0x1p-11);
    state_drop(sealed.state);
    state->floats[0] = 70000;
    ck_assert_ptr_null(seal_make(ring, model, state, "me", NOW, EXPIRES, true, &loss));
    free(whole);
    free(half);
}
END_TEST

/* Every half is the half of its float. */
START_TEST(halves_go_there_and_back)
{
    for (uint32_t half = 0; half < 0x10000; half++)
        if ((half & 0x7c00) != 0x7c00) ck_assert_uint_eq(half_of(half_float((uint16_t)half)), half);
    ck_assert_float_eq(half_float(0x3c00), 1);
    ck_assert_float_eq(half_float(0x0001), 0x1p-24f);
    ck_assert(isinf(half_float(0xfc00)));
}
END_TEST

START_TEST(bad_lines_are_named)
{
    static const struct { const char *text, *part; } bad[] = {
        {"\nlonger-id-of-a-key " KEY_A, "keys:2: expected an id"}, {"a\n", "keys:1: expected 64"},
        {"a 00\n", "keys:1: expected 64"}, {KEY_A KEY_A, "keys:2: the id stands"},
        {"a x00102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f\n", "keys:1: expected 64"}};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct error err = {0};
        enum status status = seal_ring_read(ring, bad[i].text, strlen(bad[i].text), "keys", &err);
        ck_assert_int_eq(status, STATUS_BAD_FORMAT);
        ck_assert_msg(strstr(err.message, bad[i].part) != NULL, "%s", err.message);
    }
    struct error err = {0};
    struct seal_ring *other;
    ck_assert_int_eq(seal_ring_open("/nowhere/keys", &other, &err), STATUS_IO);
    ck_assert_ptr_nonnull(strstr(err.message, "/nowhere/keys"));
}
END_TEST

Suite *seal_suite(void)
{
    Suite *suite = suite_create("seal");
    TCase *tests = tcase_create("seal");
    tcase_add_checked_fixture(tests, setup, teardown);
    tcase_add_test(tests, what_was_sealed_is_opened);
    tcase_add_test(tests, each_reason_is_told_apart);
    tcase_add_test(tests, nothing_that_was_changed_gets_through);
    tcase_add_test(tests, floats_that_are_not_finite_are_refused);
    tcase_add_test(tests, float16_is_half_as_long_and_says_what_it_loses);
    tcase_add_test(tests, halves_go_there_and_back);
    tcase_add_test(tests, bad_lines_are_named);
    suite_add_tcase(suite, tests);
    return suite;
}
