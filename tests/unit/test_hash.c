/* A file that is hashed while it is read, by one thread or by two. */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/base/throttle.h"
#include "models/text/hash.h"

Suite *hash_suite(void);

enum { BYTES = (9 << 20) + 12345 };

static char *content, *block;
static int file;

static void write_file(void)
{
    char path[] = "/tmp/carousel-hash-XXXXXX";
    content = malloc(BYTES);
    block = malloc(BYTES + 1);
    for (size_t i = 0; i < BYTES; i++) content[i] = (char)(i * i >> 7);
    file = mkstemp(path);
    ck_assert_int_ge(file, 0);
    unlink(path);
    for (size_t at = 0; at < BYTES;) {
        ssize_t n = write(file, content + at, BYTES - at);
        ck_assert_int_gt(n, 0);
        at += (size_t)n;
    }
}

static void close_file(void)
{
    close(file);
    free(content);
    free(block);
}

static void expect_hash(char *into, size_t n)
{
    uint8_t digest[HASH_BYTES];
    char found[HASH_HEX_BYTES], expected[HASH_HEX_BYTES];
    hash_bytes(content, n, digest);
    hash_print(digest, expected);
    memset(block, 1, BYTES);
    ck_assert_int_eq(hash_read(file, "file", into, n, found, NULL), STATUS_OK);
    ck_assert_str_eq(found, expected);
    if (into) ck_assert_mem_eq(into, content, n);
}

START_TEST(the_hash_is_that_of_what_was_read)
{
    expect_hash(block, BYTES);
    expect_hash(block, 8 << 20);
    expect_hash(block, 1000);
    expect_hash(NULL, BYTES);
    throttle_set(99, NULL);
    expect_hash(block, BYTES);
    throttle_set(100, NULL);
}
END_TEST

/* The block is whole when hash_begin returns, and may be read while it is hashed. */
START_TEST(a_block_is_there_before_its_hash)
{
    uint8_t digest[HASH_BYTES];
    char found[HASH_HEX_BYTES], expected[HASH_HEX_BYTES];
    struct hash_reading *first, *second;
    hash_bytes(content, BYTES, digest);
    hash_print(digest, expected);
    memset(block, 1, BYTES);
    ck_assert_int_eq(hash_begin(file, "file", block, BYTES, &first, NULL), STATUS_OK);
    ck_assert_mem_eq(block, content, BYTES);
    ck_assert_int_eq(hash_begin(file, "file", block, 1000, &second, NULL), STATUS_OK);
    hash_drop(second);
    hash_finish(first, found);
    ck_assert_str_eq(found, expected);
    ck_assert_int_eq(hash_begin(file, "file", block, BYTES, &first, NULL), STATUS_OK);
    hash_drop(first); /* while it goes on: valgrind and the sanitizers see whether the thread has ended */
    hash_drop(NULL);
}
END_TEST

START_TEST(a_file_that_ends_early_or_is_given_up_fails)
{
    char found[HASH_HEX_BYTES];
    _Atomic bool given_up = true;
    ck_assert_int_eq(hash_read(file, "file", block, BYTES + 1, found, NULL), STATUS_IO);
    throttle_set(100, &given_up);
    ck_assert_int_eq(hash_read(file, "file", block, BYTES, found, NULL), STATUS_CLOSING);
    throttle_set(100, NULL);
}
END_TEST

Suite *hash_suite(void)
{
    Suite *suite = suite_create("hash");
    TCase *core = tcase_create("core");
    tcase_add_checked_fixture(core, write_file, close_file);
    tcase_add_test(core, the_hash_is_that_of_what_was_read);
    tcase_add_test(core, a_block_is_there_before_its_hash);
    tcase_add_test(core, a_file_that_ends_early_or_is_given_up_fails);
    suite_add_tcase(suite, core);
    return suite;
}
