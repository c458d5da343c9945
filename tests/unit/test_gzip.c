/* Compressed bodies: what is one, where unpacking ends, and who may get an answer packed. */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "server/request/gzip.h"

static struct config config;
static struct body_total total;
static struct problem problem;

static void setup(void)
{
    config.limits_body_bytes = 100000;
    body_total_open(&total, 1000000, "limits.bodies_bytes");
    problem = (struct problem){0};
}

/* Packed text of n bytes: digits and commas, as a series has them, or one letter. */
static struct body packed_text(size_t n, bool monotonous, char **text)
{
    struct body packed = {0};
    *text = malloc(n);
    ck_assert_ptr_nonnull(*text);
    for (size_t i = 0; i < n; i++) (*text)[i] = monotonous ? 'a' : "0123456789,"[(i * i + i / 7) % 11];
    packed.bytes = gzip_pack(*text, n, &packed.n);
    ck_assert_ptr_nonnull(packed.bytes);
    ck_assert_uint_lt(packed.n, n);
    return packed;
}

static bool unpack(const struct body *packed, struct body *out)
{
    *out = (struct body){0};
    problem = (struct problem){0};
    return gzip_unpack(packed, out, &total, &config, &problem);
}

START_TEST(what_was_packed_unpacks_to_the_same)
{
    static const size_t sizes[] = {100, 1400, 16383, 16384, 16385, 99999, 100000};
    char *text;
    struct body packed = packed_text(sizes[_i], false, &text), out;
    ck_assert(unpack(&packed, &out));
    ck_assert_uint_eq(out.n, sizes[_i]);
    ck_assert_int_eq(memcmp(out.bytes, text, out.n), 0);
    ck_assert_int_ge(total.bytes, (int64_t)out.n);
    body_release(&out, &total);
    ck_assert_int_eq(total.bytes, 0);
    free(packed.bytes);
    free(text);
}
END_TEST

START_TEST(a_bomb_ends_at_the_limit)
{
    char *text;
    struct body packed = packed_text(50000000, true, &text), out;
    ck_assert_uint_lt(packed.n, 500000);
    ck_assert(!unpack(&packed, &out));
    ck_assert_int_eq(problem.fault, FAULT_PAYLOAD_TOO_LARGE);
    ck_assert_uint_le(out.n, 100000);
    body_release(&out, &total);
    total.limit = 50000;
    ck_assert(!unpack(&packed, &out));
    ck_assert_int_eq(problem.fault, FAULT_NO_MEMORY);
    body_release(&out, &total);
    ck_assert_int_eq(total.bytes, 0);
    free(packed.bytes);
    free(text);
}
END_TEST

START_TEST(a_body_over_the_limit_by_one_byte_is_refused)
{
    char *text;
    struct body packed = packed_text(100001, false, &text), out;
    ck_assert(!unpack(&packed, &out));
    ck_assert_int_eq(problem.fault, FAULT_PAYLOAD_TOO_LARGE);
    body_release(&out, &total);
    free(packed.bytes);
    free(text);
}
END_TEST

/* Cut anywhere, with any byte changed, or with a byte behind it. */
START_TEST(what_is_not_one_whole_member_is_refused)
{
    char *text;
    struct body packed = packed_text(300, false, &text), out;
    size_t n = packed.n;
    for (packed.n = 0; packed.n < n; packed.n++) {
        ck_assert(!unpack(&packed, &out));
        ck_assert_int_eq(problem.fault, FAULT_INVALID_JSON);
        body_release(&out, &total);
    }
    for (size_t i = 10; i < n; i++) { /* the head holds a time and a name of the system, which mean nothing */
        packed.bytes[i] ^= 1;
        bool good = unpack(&packed, &out);
        ck_assert_msg(!good || (out.n == 300 && !memcmp(out.bytes, text, 300)), "byte %zu", i);
        body_release(&out, &total);
        packed.bytes[i] ^= 1;
    }
    char *longer = realloc(packed.bytes, n + 1);
    ck_assert_ptr_nonnull(longer);
    longer[n] = 'x';
    packed = (struct body){.bytes = longer, .n = n + 1};
    ck_assert(!unpack(&packed, &out));
    ck_assert_ptr_nonnull(strstr(problem.message, "more bytes after its end"));
    body_release(&out, &total);
    ck_assert_int_eq(total.bytes, 0);
    free(longer);
    free(text);
}
END_TEST

START_TEST(what_would_not_be_shorter_is_not_packed)
{
    char random[64];
    size_t n;
    for (size_t i = 0; i < sizeof random; i++) random[i] = (char)(i * 167 + 13);
    ck_assert_ptr_null(gzip_pack(random, sizeof random, &n));
    ck_assert_ptr_null(gzip_pack(random, 1, &n));
    ck_assert_ptr_null(gzip_pack(random, 0, &n));
}
END_TEST

static const struct {
    const char *header;
    bool accepted;
} accepts[] = {
    {NULL, false}, {"", false}, {"gzip", true}, {"GZIP", true}, {"x-gzip", true}, {"gzip, deflate, br", true},
    {"deflate,gzip", true}, {"deflate ,\tgzip ;q=0.5", true}, {"br;q=1.0, gzip;q=0.8, *;q=0.1", true},
    {"gzip;q=0", false}, {"gzip; q=0.000", false}, {"gzip ; Q = 0.0", false}, {"gzip;q=0.001", true},
    {"identity", false}, {"*", true}, {"*;q=0", false}, {"*, gzip;q=0", false}, {"gzip;q=0, *", false},
    {"gzippy", false}, {"xgzip", false}, {",,,", false}, {", gzip", true}, {"deflate", false},
    {"gzip;level=1", true},
};

START_TEST(gzip_is_accepted_by_name_or_star)
{
    ck_assert_msg(gzip_is_accepted(accepts[_i].header) == accepts[_i].accepted, "%s", accepts[_i].header);
}
END_TEST

START_TEST(bodies_may_be_plain_or_gzip)
{
    ck_assert(gzip_is_known(NULL) && gzip_is_known("identity") && gzip_is_known("gzip"));
    ck_assert(gzip_is_known("X-GZIP") && gzip_is_used("Gzip") && !gzip_is_used("identity"));
    ck_assert(!gzip_is_known("br") && !gzip_is_known("gzip, gzip") && !gzip_is_known(""));
    ck_assert(!gzip_is_used(NULL));
}
END_TEST

Suite *gzip_suite(void);

Suite *gzip_suite(void)
{
    Suite *suite = suite_create("gzip");
    TCase *cases = tcase_create("bodies");
    tcase_add_checked_fixture(cases, setup, NULL);
    tcase_add_loop_test(cases, what_was_packed_unpacks_to_the_same, 0, 7);
    tcase_add_test(cases, a_bomb_ends_at_the_limit);
    tcase_add_test(cases, a_body_over_the_limit_by_one_byte_is_refused);
    tcase_add_test(cases, what_is_not_one_whole_member_is_refused);
    tcase_add_test(cases, what_would_not_be_shorter_is_not_packed);
    tcase_add_loop_test(cases, gzip_is_accepted_by_name_or_star, 0, (int)(sizeof accepts / sizeof *accepts));
    tcase_add_test(cases, bodies_may_be_plain_or_gzip);
    suite_add_tcase(suite, cases);
    return suite;
}
