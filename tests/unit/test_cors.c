/* Lists of origins, and who is on them. */
#include "server/request/cors.h"

#include <check.h>
#include <string.h>

static struct error err;

START_TEST(origins_are_matched_whole)
{
    static const char list[] = "https://a.example,http://localhost:3000  https://[::1]:8443";
    ck_assert_int_eq(cors_check(list, &err), STATUS_OK);
    ck_assert_str_eq(cors_allow(list, "https://a.example"), "https://a.example");
    ck_assert_str_eq(cors_allow(list, "http://localhost:3000"), "http://localhost:3000");
    ck_assert_str_eq(cors_allow(list, "https://[::1]:8443"), "https://[::1]:8443");
    static const char *const others[] = {"",  "*", "https://a.exampl", "https://a.example.evil",
                                         "HTTPS://a.example", "null",
                                         "https://a.example,http://localhost:3000", "http://localhost:30000",
                                         "https://b"};
    for (size_t i = 0; i < sizeof others / sizeof *others; i++)
        ck_assert_msg(!cors_allow(list, others[i]), "%s", others[i]);
    ck_assert_ptr_null(cors_allow(list, NULL));
    ck_assert_ptr_null(cors_allow("", "https://a.example"));
    ck_assert_str_eq(cors_allow("https://a.example *", "https://b.example"), "*");
    ck_assert_ptr_null(cors_allow("*", NULL));
}
END_TEST

START_TEST(what_is_no_origin_is_refused)
{
    static const char *const bad[] = {"a.example", "https://a.example/", "https://", "://a",
                                      "https://a.example/path", "https://A.example", "https://*.example",
                                      "**", "https://a.example;http://b"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        ck_assert_msg(cors_check(bad[i], &err) != STATUS_OK, "%s", bad[i]);
        ck_assert_ptr_nonnull(strstr(err.message, "http.cors_origins"));
    }
    ck_assert_int_eq(cors_check("", &err), STATUS_OK);
    ck_assert_int_eq(cors_check(" , ", &err), STATUS_OK);
    ck_assert_int_eq(cors_check("*", &err), STATUS_OK);
}
END_TEST

Suite *cors_suite(void);

Suite *cors_suite(void)
{
    Suite *suite = suite_create("cors");
    TCase *cases = tcase_create("cors");
    tcase_add_test(cases, origins_are_matched_whole);
    tcase_add_test(cases, what_is_no_origin_is_refused);
    suite_add_tcase(suite, cases);
    return suite;
}
