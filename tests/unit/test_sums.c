/* The sum of the weights that config.json names: what it refuses, in every precision, and how it is told.
 * What inspect and the repository make of it stands in their suites. */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "models/bundle/model.h"
#include "tests/support/tmp.h"
#include "tests/support/written.h"

static struct tmp tmp;

static void setup(void)
{
    tmp_make(&tmp);
}

static void teardown(void)
{
    tmp_remove(&tmp);
}

static void expect_refusal(enum status expected, const char *sentence)
{
    struct model *model;
    struct error err = {.message = ""};
    enum status status = written_load(&tmp, PRECISION_FLOAT32, &model, &err);
    ck_assert_msg(status == expected && strstr(err.message, sentence), "%s (%s)", err.message,
                  status_text(status));
}

static const enum precision all_precisions[] = {PRECISION_FLOAT32, PRECISION_FLOAT16,
                                                PRECISION_BFLOAT16, PRECISION_INT8, PRECISION_AUTO};
enum { N_ALL_PRECISIONS = sizeof all_precisions / sizeof *all_precisions };

/* Every bit of the file. Golden vectors alone miss some of them in any precision, which is why there are
 * sums. */
START_TEST(no_flipped_bit_gets_past_the_sum)
{
    struct model *model;
    struct error err;
    size_t bytes, n_missed = 0;
    written_recommending(&tmp, "m", "int8");
    free(tmp_read(&tmp, "m/model.safetensors", &bytes));
    for (size_t bit = 0; bit < 8 * bytes; bit++) {
        written_flip(&tmp, "m", "model.safetensors", bit);
        if (written_load(&tmp, all_precisions[_i], &model, &err) == STATUS_OK) {
            n_missed++;
            model_drop(model);
        }
        written_flip(&tmp, "m", "model.safetensors", bit);
    }
    ck_assert_uint_gt(n_missed, 100);
    written_sum(&tmp, "m");
    for (size_t bit = 0; bit < 8 * bytes; bit++) {
        written_flip(&tmp, "m", "model.safetensors", bit);
        ck_assert_int_eq(written_load(&tmp, all_precisions[_i], &model, &err), STATUS_BAD_FORMAT);
        ck_assert_ptr_nonnull(strstr(err.message, "model.safetensors: its sha256 is "));
        written_flip(&tmp, "m", "model.safetensors", bit);
    }
    ck_assert_msg(written_load(&tmp, all_precisions[_i], &model, &err) == STATUS_OK, "%s", err.message);
    ck_assert(model->hash_is_expected);
    model_drop(model);
}
END_TEST

/* Whatever else is wrong with the file comes of it. */
START_TEST(an_incomplete_file_is_told_by_its_sum)
{
    size_t bytes;
    written_bundle(&tmp, "m", TASK_TEXT_GENERATION);
    written_sum(&tmp, "m");
    char *content = tmp_read(&tmp, "m/model.safetensors", &bytes);
    for (size_t n = 0; n < bytes; n++) {
        tmp_write(&tmp, "m/model.safetensors", content, n);
        expect_refusal(STATUS_BAD_FORMAT,
                       ": the file is damaged, incomplete or not this bundle's; fetch it again, or, if the "
                       "weights were meant to change, write the sum that was found into config.json");
    }
    free(content);
}
END_TEST

START_TEST(a_file_of_another_kind_is_named_though_its_sum_is_wrong)
{
    static const char pointer[] = "version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12345\n";
    written_bundle(&tmp, "m", TASK_TEXT_GENERATION);
    written_sum(&tmp, "m");
    tmp_write(&tmp, "m/model.safetensors", pointer, sizeof pointer - 1);
    expect_refusal(STATUS_BAD_FORMAT,
                   ": this is a Git LFS pointer, not the file it stands for: run git lfs pull");
}
END_TEST

START_TEST(the_sum_that_was_found_mends_the_bundle)
{
    struct model *model;
    struct error err;
    char sum[64 + 1], expected[64 + 1];
    written_bundle(&tmp, "m", TASK_TEXT_GENERATION);
    written_sum(&tmp, "m");
    written_flip(&tmp, "m", "model.safetensors", 8 * 200 + 1);
    ck_assert_int_eq(written_load(&tmp, PRECISION_FLOAT32, &model, &err), STATUS_BAD_FORMAT);
    ck_assert_int_eq(
        sscanf(err.message,
               "model.safetensors: its sha256 is %64[0-9a-f], but config.json expects %64[0-9a-f]: ", sum,
               expected),
        2);
    written_edit(&tmp, "m", "config.json", expected, sum);
    ck_assert_msg(written_load(&tmp, PRECISION_FLOAT32, &model, &err) == STATUS_OK, "%s", err.message);
    ck_assert_str_eq(model->hash, sum);
    model_drop(model);
}
END_TEST

START_TEST(the_fallback_is_held_to_the_sum_too)
{
    struct model *model;
    struct error err;
    written_too_fine(&tmp, "m");
    written_sum(&tmp, "m");
    ck_assert_msg(written_load(&tmp, PRECISION_AUTO, &model, &err) == STATUS_OK, "%s", err.message);
    ck_assert_int_eq((int)network_precision(model->network), PRECISION_FLOAT32);
    ck_assert(model->hash_is_expected);
    model_drop(model);
}
END_TEST

START_TEST(a_bundle_without_a_sum_loads)
{
    struct model *model;
    struct error err;
    written_bundle(&tmp, "m", TASK_TEXT_GENERATION);
    ck_assert_int_eq(written_load(&tmp, PRECISION_FLOAT32, &model, &err), STATUS_OK);
    ck_assert(!model->hash_is_expected);
    model_drop(model);
}
END_TEST

#define EXPECTED_SUM ", expected 64 digits of 0-9 and a-f, as sha256sum prints them for model.safetensors"
#define DIGITS_62 "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcd"
static const struct {
    const char *value, *sentence;
} bad_sums[] = {
    {"5", "config.json: 'sha256' is 5" EXPECTED_SUM},
    {"null", "config.json: 'sha256' is null" EXPECTED_SUM},
    {"[\"a\"]", "config.json: 'sha256' is an array" EXPECTED_SUM},
    {"\"\"", "config.json: 'sha256' is '' of 0 bytes" EXPECTED_SUM},
    {"\"" DIGITS_62 "e\"", "config.json: 'sha256' is '" DIGITS_62 "e' of 63 bytes" EXPECTED_SUM},
    {"\"" DIGITS_62 "ef0\"", "config.json: 'sha256' is '" DIGITS_62 "ef0' of 65 bytes" EXPECTED_SUM},
    {"\"" DIGITS_62 "EF\"", "config.json: 'sha256' is '" DIGITS_62 "EF' of 64 bytes" EXPECTED_SUM},
    {"\"" DIGITS_62 "g0\"", "config.json: 'sha256' is '" DIGITS_62 "g0' of 64 bytes" EXPECTED_SUM},
    {"\"" DIGITS_62 "e\\n\"", "config.json: 'sha256' is '" DIGITS_62 "e\\n' of 64 bytes" EXPECTED_SUM},
    {"\"sha256:" DIGITS_62 "ef\"",
     "config.json: 'sha256' is 'sha256:" DIGITS_62 "ef' of 71 bytes" EXPECTED_SUM},
};

START_TEST(what_is_no_sum_is_refused)
{
    char edited[256];
    written_bundle(&tmp, "m", TASK_TEXT_GENERATION);
    snprintf(edited, sizeof edited, "\"sha256\": %s, \"task\"", bad_sums[_i].value);
    written_edit(&tmp, "m", "config.json", "\"task\"", edited);
    expect_refusal(STATUS_BAD_VALUE, bad_sums[_i].sentence);
}
END_TEST

Suite *sums_suite(void);

Suite *sums_suite(void)
{
    Suite *suite = suite_create("sums");
    TCase *sums = tcase_create("sums");
    tcase_add_checked_fixture(sums, setup, teardown);
    tcase_set_timeout(sums, 60);
    tcase_add_loop_test(sums, no_flipped_bit_gets_past_the_sum, 0, N_ALL_PRECISIONS);
    tcase_add_test(sums, an_incomplete_file_is_told_by_its_sum);
    tcase_add_test(sums, a_file_of_another_kind_is_named_though_its_sum_is_wrong);
    tcase_add_test(sums, the_sum_that_was_found_mends_the_bundle);
    tcase_add_test(sums, the_fallback_is_held_to_the_sum_too);
    tcase_add_test(sums, a_bundle_without_a_sum_loads);
    tcase_add_loop_test(sums, what_is_no_sum_is_refused, 0, sizeof bad_sums / sizeof *bad_sums);
    suite_add_tcase(suite, sums);
    return suite;
}
