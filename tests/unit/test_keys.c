/* The file of keys, the clients behind it, and quotas. */
#include "server/request/keys.h"
#include "server/request/quota.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/base/memory.h"

#define HASH "sha256:926411ae93c61212070fb58cf902ff74f49d687946bd99cb2dbc44bdf2d84905" /* of ck_infer */
#define OTHER "sha256:afbbd63ec81ee1a0167f3afd62c81357e059a4a8fe5945a38fde0c5ba04d3b15" /* of ck_metrics */

static struct error err;
static struct key *list;
static size_t n_keys;

static enum status parse(const char *text)
{
    return keys_parse(text, strlen(text), "file", &list, &n_keys, &err);
}

START_TEST(good_lines_are_taken)
{
    ck_assert_int_eq(parse("# a comment\n\n  \t\nweb.-_9 " HASH
                           "\t scopes=metrics,infer  requests_per_minute=60 steps_per_minute=1000000000000 "
                           "weight=100 max_priority=-10\r\nother " OTHER),
                     STATUS_OK);
    ck_assert_uint_eq(n_keys, 2);
    ck_assert_str_eq(list[0].name, "web.-_9");
    ck_assert_int_eq(list[0].scopes, SCOPES_INFER | SCOPES_METRICS);
    ck_assert_uint_eq(list[0].requests_per_minute, 60);
    ck_assert_uint_eq(list[0].steps_per_minute, 1000000000000);
    ck_assert_uint_eq(list[0].weight, 100);
    ck_assert(list[0].has_max_priority);
    ck_assert_int_eq(list[0].max_priority, -10);
    ck_assert(!list[1].has_max_priority);
    ck_assert_int_eq(list[1].scopes, SCOPES_INFER);
    ck_assert_uint_eq(list[1].weight, 1);
    ck_assert_uint_eq(list[1].requests_per_minute, 0);
    memory_free(list);
    ck_assert_int_eq(parse(""), STATUS_OK);
    ck_assert_uint_eq(n_keys, 0);
    memory_free(list);
}
END_TEST

static const struct {
    const char *text, *complaint;
} bad[] = {
    {"name\n", "file:1: expected NAME sha256:HASH"},
    {"\n\nname 926411\n", "file:3: expected NAME sha256:HASH"},
    {"name sha256:926411AE93c61212070fb58cf902ff74f49d687946bd99cb2dbc44bdf2d84905\n",
     "file:1: expected NAME"},
    {"name " HASH "0\n", "file:1: expected NAME"},
    {"na/me " HASH "\n", "file:1: expected a name"},
    {"12345678901234567890123456789012345678901234567890123456789012345 " HASH "\n",
     "file:1: expected a name"},
    {"name " HASH " scopes=root\n", "a list of infer"},
    {"name " HASH " scopes=\n", "a list of infer"},
    {"name " HASH " scopes=infer,\n", "a list of infer"},
    {"name " HASH " scopes=infer scopes=admin\n", "each word once"},
    {"name " HASH " weight=0\n", "a weight from 1 to 100"},
    {"name " HASH " weight=101\n", "a weight from 1 to 100"},
    {"name " HASH " max_priority=11\n", "a priority from -10 to 10"},
    {"name " HASH " max_priority=-11\n", "a priority from -10 to 10"},
    {"name " HASH " max_priority=-\n", "a priority from -10 to 10"},
    {"name " HASH " max_priority=--1\n", "a priority from -10 to 10"},
    {"name " HASH " requests_per_minute=-1\n", "a number from 0"},
    {"name " HASH " steps_per_minute=99999999999999999999\n", "a number from 0"},
    {"name " HASH " # no comment\n", "scopes=, requests"},
    {"name " HASH "\nname " OTHER "\n", "file:2: expected a name that no other"},
    {"name " HASH "\nother " HASH "\n", "file:2: expected a key that no other"},
};

START_TEST(bad_lines_are_named)
{
    ck_assert_int_ne(parse(bad[_i].text), STATUS_OK);
    ck_assert_msg(strstr(err.message, bad[_i].complaint) != NULL, "%s", err.message);
}
END_TEST

START_TEST(a_zero_byte_and_too_many_keys_are_refused)
{
    ck_assert_int_ne(keys_parse("a\0b", 3, "file", &list, &n_keys, &err), STATUS_OK);
    ck_assert_ptr_nonnull(strstr(err.message, "zero bytes"));
    char *text = malloc((size_t)(KEYS_MAX + 1) * 128);
    size_t n = 0;
    for (int i = 0; i < KEYS_MAX; i++) n += (size_t)sprintf(text + n, "k%d sha256:%064x\n", i, i);
    ck_assert_int_eq(keys_parse(text, n, "file", &list, &n_keys, &err), STATUS_OK);
    ck_assert_uint_eq(n_keys, KEYS_MAX);
    memory_free(list);
    n += (size_t)sprintf(text + n, "last sha256:%064x\n", KEYS_MAX);
    ck_assert_int_ne(keys_parse(text, n, "file", &list, &n_keys, &err), STATUS_OK);
    ck_assert_ptr_nonnull(strstr(err.message, "file:1025: expected 1024 keys at most"));
    free(text);
}
END_TEST

START_TEST(what_is_printed_reads_back)
{
    char line[512], again[512];
    ck_assert_int_eq(parse("a " HASH " scopes=admin,metrics requests_per_minute=5 steps_per_minute=7 "
                                     "weight=3 max_priority=-2"),
                     STATUS_OK);
    ck_assert_int_gt(key_print(&list[0], line, sizeof line), 0);
    memory_free(list);
    ck_assert_int_eq(parse(line), STATUS_OK);
    key_print(&list[0], again, sizeof again);
    ck_assert_str_eq(line, again);
    ck_assert_str_eq(line, "a " HASH " scopes=metrics,admin requests_per_minute=5 steps_per_minute=7 "
                                     "weight=3 max_priority=-2");
    memory_free(list);
}
END_TEST

/* ---- clients -------------------------------------------------------------------------------- */

static char path[64];

static void write_file(const char *text)
{
    snprintf(path, sizeof path, "/tmp/carousel-keys-%d", (int)getpid());
    FILE *file = fopen(path, "w");
    ck_assert_ptr_nonnull(file);
    fputs(text, file);
    fclose(file);
}

START_TEST(numbers_and_quotas_survive_a_reread)
{
    struct keys *keys;
    struct client *one, *two, *again;
    struct problem problem;
    size_t n;
    write_file("one " HASH " weight=3 steps_per_minute=100\ntwo " OTHER "\n");
    ck_assert_int_eq(keys_open(path, &keys, &n, &err), STATUS_OK);
    ck_assert_uint_eq(n, 2);
    ck_assert(keys_admit(keys, SCOPES_INFER, "Bearer ck_infer", &one, &problem));
    ck_assert(keys_admit(keys, SCOPES_INFER, "Bearer ck_metrics", &two, &problem));
    struct caller first = client_caller(one), second = client_caller(two);
    ck_assert_uint_eq(first.weight, 3);
    ck_assert(!first.has_max_priority);
    ck_assert_uint_ge(first.client, 1);
    ck_assert_uint_ge(second.client, 1);
    ck_assert_uint_ne(first.client, second.client);
    ck_assert(client_charge(one, 90, &problem));
    ck_assert(!client_charge(one, 90, &problem));
    ck_assert_int_eq(problem.fault, FAULT_RATE_LIMITED);
    ck_assert_uint_ge(problem.retry_after_s, 1);
    client_refund(one, 90);
    ck_assert(client_charge(one, 90, &problem));

    write_file("three sha256:219cc41786bc0b13ba7709aa15b4e802ef6f5fc7e6c554f97ff799c6936bfca3\n"
               "one " HASH " weight=5 steps_per_minute=100 max_priority=0\n");
    ck_assert_int_eq(keys_reread(keys, &n, &err), STATUS_OK);
    ck_assert_uint_eq(client_caller(one).client, first.client);
    ck_assert_uint_eq(client_caller(one).weight, 5);
    ck_assert(client_caller(one).has_max_priority && client_caller(one).max_priority == 0);
    ck_assert(!client_charge(one, 90, &problem));
    ck_assert(!keys_admit(keys, SCOPES_INFER, "Bearer ck_metrics", &again, &problem));
    ck_assert_int_eq(problem.fault, FAULT_INVALID_API_KEY);
    ck_assert_str_eq(client_name(two), "two"); /* still held */
    ck_assert(keys_admit(keys, SCOPES_INFER, "Bearer ck_admin", &again, &problem));
    ck_assert_uint_ne(client_caller(again).client, second.client);
    client_drop(again);
    client_drop(two);

    write_file("nonsense\n");
    ck_assert_int_ne(keys_reread(keys, &n, &err), STATUS_OK);
    ck_assert(keys_admit(keys, SCOPES_INFER, "Bearer ck_admin", &again, &problem));
    client_drop(again);
    client_drop(one);
    unlink(path);
    ck_assert_int_ne(keys_reread(keys, &n, &err), STATUS_OK);
    keys_close(keys);
}
END_TEST

enum { MANY = 1000 };

/* Lines of the clients first, first + 1, ..., last first. */
static void write_many(size_t first)
{
    static char text[MANY * 128];
    size_t n = 0;
    for (size_t i = first + MANY; i-- > first;) {
        char key[32], hex[HASH_HEX_BYTES];
        uint8_t hash[HASH_BYTES];
        snprintf(key, sizeof key, "ck_%zu", i);
        hash_bytes(key, strlen(key), hash);
        hash_print(hash, hex);
        n += (size_t)snprintf(text + n, sizeof text - n, "client-%zu sha256:%s\n", i, hex);
    }
    write_file(text);
}

static uint32_t number_of(struct keys *keys, size_t i)
{
    char header[48];
    struct client *client;
    struct problem problem;
    snprintf(header, sizeof header, "Bearer ck_%zu", i);
    if (!keys_admit(keys, SCOPES_INFER, header, &client, &problem)) return 0;
    char name[32];
    snprintf(name, sizeof name, "client-%zu", i);
    ck_assert_str_eq(client_name(client), name);
    uint32_t number = client_caller(client).client;
    client_drop(client);
    return number;
}

/* Half of them go, and as many come: those that stay keep their numbers, and the new ones get those of the
 * old. */
START_TEST(many_clients_have_a_number_each)
{
    struct keys *keys;
    size_t n;
    static uint32_t before[MANY];
    write_many(0);
    ck_assert_int_eq(keys_open(path, &keys, &n, &err), STATUS_OK);
    ck_assert_uint_eq(n, MANY);
    for (size_t i = 0; i < MANY; i++) before[i] = number_of(keys, i);
    write_many(MANY / 2);
    ck_assert_int_eq(keys_reread(keys, &n, &err), STATUS_OK);
    bool seen[MANY + 1] = {false};
    for (size_t i = 0; i < MANY / 2; i++) ck_assert_uint_eq(number_of(keys, i), 0);
    for (size_t i = MANY / 2; i < MANY / 2 + MANY; i++) {
        uint32_t number = number_of(keys, i);
        if (i < MANY) ck_assert_uint_eq(number, before[i]);
        ck_assert(number >= 1 && number <= MANY && !seen[number]);
        seen[number] = true;
    }
    unlink(path);
    keys_close(keys);
}
END_TEST

START_TEST(administration_is_off_until_a_key_has_it)
{
    struct keys *keys;
    struct client *client;
    struct problem problem;
    size_t n;
    ck_assert_int_eq(keys_open("", &keys, &n, &err), STATUS_OK);
    ck_assert(!keys_are_needed(keys));
    ck_assert(keys_admit(keys, SCOPES_INFER, NULL, &client, &problem));
    ck_assert_ptr_null(client);
    ck_assert(!keys_admit(keys, SCOPES_ADMIN, NULL, &client, &problem));
    ck_assert_int_eq(problem.fault, FAULT_PERMISSION_DENIED);
    ck_assert_ptr_nonnull(strstr(problem.message, "carousel keys add"));
    keys_close(keys);

    write_file("one " HASH "\n");
    ck_assert_int_eq(keys_open(path, &keys, &n, &err), STATUS_OK);
    ck_assert(!keys_admit(keys, SCOPES_ADMIN, "Bearer ck_infer", &client, &problem));
    ck_assert_int_eq(problem.fault, FAULT_PERMISSION_DENIED);
    ck_assert(!keys_admit(keys, SCOPES_ADMIN, NULL, &client, &problem));
    ck_assert_int_eq(problem.fault, FAULT_PERMISSION_DENIED);
    write_file("one " HASH "\ntwo " OTHER " scopes=admin\n");
    ck_assert_int_eq(keys_reread(keys, &n, &err), STATUS_OK);
    ck_assert(!keys_admit(keys, SCOPES_ADMIN, NULL, &client, &problem));
    ck_assert_int_eq(problem.fault, FAULT_INVALID_API_KEY);
    ck_assert(keys_admit(keys, SCOPES_ADMIN, "Bearer ck_metrics", &client, &problem));
    client_drop(client);
    unlink(path);
    keys_close(keys);
}
END_TEST

/* ---- quotas --------------------------------------------------------------------------------- */

#define SECOND 1000000

START_TEST(a_quota_fills_evenly)
{
    struct quota quota;
    unsigned wait_s = 0;
    quota_init(&quota, 60, 0);
    for (int i = 0; i < 60; i++) ck_assert(quota_charge(&quota, 1, 0, &wait_s));
    ck_assert(!quota_charge(&quota, 1, 0, &wait_s));
    ck_assert_uint_eq(wait_s, 1);
    ck_assert(!quota_charge(&quota, 30, 0, &wait_s));
    ck_assert_uint_eq(wait_s, 30);
    ck_assert(!quota_charge(&quota, 30, 29 * SECOND, &wait_s));
    ck_assert_uint_eq(wait_s, 1);
    ck_assert(quota_charge(&quota, 30, 30 * SECOND, &wait_s));
    /* never more than a minute's worth */
    ck_assert(quota_charge(&quota, 60, 10000 * (int64_t)SECOND, &wait_s));
    ck_assert(!quota_charge(&quota, 1, 10000 * (int64_t)SECOND, &wait_s));
}
END_TEST

START_TEST(more_than_a_minute_holds_is_a_debt)
{
    struct quota quota;
    unsigned wait_s = 0;
    quota_init(&quota, 60, 0);
    ck_assert(quota_charge(&quota, 180, 0, &wait_s)); /* from a full bucket */
    ck_assert(!quota_charge(&quota, 1, 0, &wait_s));
    ck_assert_uint_eq(wait_s, 121);
    ck_assert(!quota_charge(&quota, 1000, 0, &wait_s));
    ck_assert_uint_eq(wait_s, 180);
    ck_assert(!quota_charge(&quota, 1, 120 * SECOND, &wait_s));
    ck_assert(quota_charge(&quota, 1, 121 * SECOND, &wait_s));
    quota_refund(&quota, 1000, 121 * SECOND); /* no more than full */
    ck_assert(quota_charge(&quota, 60, 121 * SECOND, &wait_s));
    ck_assert(!quota_charge(&quota, 1, 121 * SECOND, &wait_s));
}
END_TEST

START_TEST(a_quota_may_change)
{
    struct quota quota;
    unsigned wait_s = 0;
    quota_init(&quota, 0, 0);
    ck_assert(quota_charge(&quota, 1000000, 0, &wait_s)); /* none */
    quota_change(&quota, 60, SECOND);
    ck_assert(quota_charge(&quota, 50, SECOND, &wait_s));
    quota_change(&quota, 120, SECOND);
    ck_assert(!quota_charge(&quota, 71, SECOND, &wait_s));
    ck_assert(quota_charge(&quota, 70, SECOND, &wait_s));
}
END_TEST

Suite *keys_suite(void);

Suite *keys_suite(void)
{
    Suite *suite = suite_create("keys");
    TCase *file = tcase_create("file");
    tcase_add_test(file, good_lines_are_taken);
    tcase_add_loop_test(file, bad_lines_are_named, 0, (int)(sizeof bad / sizeof *bad));
    tcase_add_test(file, a_zero_byte_and_too_many_keys_are_refused);
    tcase_add_test(file, what_is_printed_reads_back);
    suite_add_tcase(suite, file);
    TCase *clients = tcase_create("clients");
    tcase_add_test(clients, numbers_and_quotas_survive_a_reread);
    tcase_add_test(clients, many_clients_have_a_number_each);
    tcase_add_test(clients, administration_is_off_until_a_key_has_it);
    suite_add_tcase(suite, clients);
    TCase *quotas = tcase_create("quotas");
    tcase_add_test(quotas, a_quota_fills_evenly);
    tcase_add_test(quotas, more_than_a_minute_holds_is_a_debt);
    tcase_add_test(quotas, a_quota_may_change);
    suite_add_tcase(suite, quotas);
    return suite;
}
