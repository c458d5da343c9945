/* POST /v1/pronounce: alphabets, n best, strange letters, what is refused. The model is random. */
#include <check.h>
#include <string.h>

#include "client.h"

static struct server server;
static const char *const settings[] = {"CAROUSEL_MODELS_FOLDERS=tests/unit/bundles:" BUNDLES,
                                       "CAROUSEL_SCHEDULER_MAX_BATCH=8", NULL};

static void start(void)
{
    server_start(&server, settings);
}

static void stop(void)
{
    ck_assert_int_eq(server_stop(&server), 0);
}

START_TEST(words_have_pronunciations)
{
    struct reply *reply = post(&server, "/v1/pronounce", "{'input':['bcd','HGfedcba'],'n':5}");
    expect_ok(reply);
    ck_assert_str_eq(text_at(reply, "object"), "pronunciation");
    ck_assert_str_eq(text_at(reply, "model"), "tiny-phonemes");
    ck_assert_str_eq(text_at(reply, "alphabet"), "arpabet");
    ck_assert_int_eq(length_at(reply, "pronunciations"), 2);
    ck_assert_str_eq(text_at(reply, "pronunciations.1.input"), "HGfedcba");
    ck_assert_int_eq(length_at(reply, "pronunciations.0.alternatives"), 4);
    ck_assert_double_ge(number_at(reply, "pronunciations.0.score"),
                        number_at(reply, "pronunciations.0.alternatives.0.score"));
    ck_assert_ptr_null(strstr(reply->body, "warnings")); /* capitals are no loss */
    ck_assert_double_eq(number_at(reply, "usage.prompt_tokens"), 11);
}
END_TEST

/* The same search, written in another way; results that look the same are one. */
START_TEST(alphabets_and_stress_change_the_writing_alone)
{
    struct reply *reply = post(&server, "/v1/pronounce", "{'input':'bcd','n':8}");
    expect_ok(reply);
    double score = number_at(reply, "pronunciations.0.score");
    ck_assert_ptr_nonnull(strstr(reply->body, "AH0"));
    reply = post(&server, "/v1/pronounce", "{'input':'bcd','n':8,'stress':false}");
    expect_ok(reply);
    ck_assert_double_eq(number_at(reply, "pronunciations.0.score"), score);
    ck_assert_ptr_null(strpbrk(text_at(reply, "pronunciations.0.phonemes"), "012"));
    ck_assert_int_le(length_at(reply, "pronunciations.0.alternatives"), 7);
    reply = post(&server, "/v1/pronounce", "{'input':'bcd','n':8,'alphabet':'ipa'}");
    expect_ok(reply);
    ck_assert_str_eq(text_at(reply, "alphabet"), "ipa");
    ck_assert_double_eq(number_at(reply, "pronunciations.0.score"), score);
    ck_assert_ptr_nonnull(strstr(reply->body, "ə"));
}
END_TEST

START_TEST(accents_are_read_as_letters_with_a_warning)
{
    struct reply *reply = post(&server, "/v1/pronounce", "{'input':'b\xc3\xa9" "d'}");
    expect_ok(reply);
    ck_assert_ptr_nonnull(strstr(reply->body, "read as others, first '\xc3\xa9' (U+00E9)"));
    double score = number_at(reply, "pronunciations.0.score");
    reply = post(&server, "/v1/pronounce", "{'input':'bed'}");
    ck_assert_double_eq(number_at(reply, "pronunciations.0.score"), score);
}
END_TEST

START_TEST(letters_never_seen_are_named)
{
    struct reply *reply = post(&server, "/v1/pronounce", "{'input':['abc','ab 7','ax7\xd0\xb6']}");
    expect_error(reply, 400, "invalid_value", "input");
    ck_assert_ptr_nonnull(strstr(reply->body, "has never seen: ' ' (U+0020), '7' (U+0037), 'x' (U+0078), "
                                              "'\xd0\xb6' (U+0436); expected words without them"));
    reply = post(&server, "/v1/pronounce", "{'input':'7opqrstuvwxyz'}");
    expect_error(reply, 400, "invalid_value", "input");
    reply = post(&server, "/v1/pronounce", "{'input':'a7opqrstuvwxyz'}");
    ck_assert_ptr_nonnull(strstr(reply->body, "and perhaps others"));
}
END_TEST

START_TEST(what_cannot_be_is_refused_by_name)
{
    static const struct refused rows[] = {
        {"{'input':'a','alphabet':'sampa'}", "invalid_value", "alphabet", 400},
        {"{'input':'a','stress':1}", "invalid_value", "stress", 400},
        {"{'input':'a','n':17}", "invalid_value", "n", 400},
        {"{'input':'a','n':3,'num_beams':2}", "invalid_value", "n", 400},
        {"{'input':'a','n':9}", "invalid_value", "num_beams", 400}, /* a turn has 8 seats */
        {"{'input':'a','max_tokens':0}", "invalid_value", "max_tokens", 400},
        {"{'input':'a','word':'b'}", "invalid_value", "word", 400},
        {"{'input':''}", "invalid_value", "input", 400},
        {"{'input':[]}", "invalid_value", "input", 400},
        {"{'input':'a','alignment':true}", "unsupported_for_model", "model", 422}, /* it has no attention */
        {"{'model':'tiny-translation','input':'a'}", "unsupported_for_model", NULL, 422},
    };
    post_refused(&server, "/v1/pronounce", &rows[_i]);
}
END_TEST

Suite *pronounce_suite(void);

Suite *pronounce_suite(void)
{
    Suite *suite = suite_create("pronounce");
    TCase *core = tcase_create("core");
    tcase_add_checked_fixture(core, start, stop);
    tcase_set_timeout(core, TEST_TIMEOUT_S);
    tcase_add_test(core, words_have_pronunciations);
    tcase_add_test(core, alphabets_and_stress_change_the_writing_alone);
    tcase_add_test(core, accents_are_read_as_letters_with_a_warning);
    tcase_add_test(core, letters_never_seen_are_named);
    tcase_add_loop_test(core, what_cannot_be_is_refused_by_name, 0, 11);
    suite_add_tcase(suite, core);
    return suite;
}
