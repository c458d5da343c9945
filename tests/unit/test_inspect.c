/* inspect: what a bundle is, in lines for a terminal. */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "models/bundle/inspect.h"
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

static char *inspected(enum status *status, struct error *err)
{
    char path[TMP_PATH_BYTES];
    FILE *out = tmpfile();
    ck_assert_ptr_nonnull(out);
    *status = inspect_print(tmp_path(&tmp, "m", path), "m", PRECISION_AUTO, out, err);
    long bytes = ftell(out);
    char *text = calloc((size_t)bytes + 1, 1);
    rewind(out);
    ck_assert_uint_eq(fread(text, 1, (size_t)bytes, out), (size_t)bytes);
    fclose(out);
    return text;
}

static const struct {
    enum task_id task;
    const char *lines[8];
} views[] = {
    {TASK_TEXT_GENERATION,
     {"task            text-generation\n", "description     Three letters.\n",
      "network         one_hot      num_classes 3\n",
      "                linear       out:  in_features 3  out_features 3\n",
      "parameters      12 in 2 tensors, F32\n", "tokenizer       characters, 3 tokens\n",
      "golden          2 cases met in float32, largest difference 0, 0.00093 allowed\n",
      "generation      temperature 0.5, "}},
    {TASK_TEXT_CLASSIFICATION,
     {"labels          2: no, yes\n", "tokenizer       words, 4 tokens from vocab.txt, lowercase\n",
      "eos_token       '</s>', id 1\n", "pooling      mode mean\n", "a sequence\n",
      "golden          1 case met"}},
    {TASK_SEQUENCE_CLASSIFICATION,
     {"features        (x - mean) / scale, with scales of their own\n", "reads           2 numbers a step\n",
      "labels          2: up, down\n"}},
    {TASK_FORECASTING,
     {"context         the last 3 values\n", "scaling         (x - 2) / 4\n",
      "inputs          value, missing\n", "output          normal\n", "num_samples     100\n"}},
};

START_TEST(inspect_tells_what_a_bundle_is)
{
    enum status status;
    struct error err = {.message = ""};
    written_bundle(&tmp, "m", views[_i].task);
    char *text = inspected(&status, &err);
    ck_assert_msg(status == STATUS_OK, "%s", err.message);
    for (size_t i = 0; i < 8 && views[_i].lines[i]; i++)
        ck_assert_msg(strstr(text, views[_i].lines[i]) != NULL, "no '%s' in\n%s", views[_i].lines[i],
                      text);
    free(text);
}
END_TEST

START_TEST(inspect_tells_the_precision_in_force)
{
    enum status status;
    struct error err;
    written_recommending(&tmp, "m", "int8");
    char *text = inspected(&status, &err);
    ck_assert_ptr_nonnull(strstr(text, " bytes of weights, as int8, which config.json recommends\n"));
    free(text);
    written_too_fine(&tmp, "m");
    text = inspected(&status, &err);
    ck_assert_ptr_nonnull(strstr(text, " bytes of weights, as float32\n                int8, which "
                                       "config.json recommends, is refused: golden.json: cases[0]: "));
    free(text);
}
END_TEST

START_TEST(inspect_tells_whether_a_sum_was_expected)
{
    enum status status;
    struct error err;
    written_bundle(&tmp, "m", TASK_TEXT_GENERATION);
    char *text = inspected(&status, &err);
    ck_assert_ptr_nonnull(strstr(text, "sha256          "));
    ck_assert_ptr_null(strstr(text, "expects"));
    free(text);
    written_sum(&tmp, "m");
    text = inspected(&status, &err);
    ck_assert_ptr_nonnull(strstr(text, ", as config.json expects\ngolden "));
    free(text);
    written_flip(&tmp, "m", "model.safetensors", 8 * 200);
    text = inspected(&status, &err);
    ck_assert_int_eq(status, STATUS_BAD_FORMAT);
    ck_assert_ptr_nonnull(strstr(err.message, "model.safetensors: its sha256 is "));
    ck_assert_str_eq(text, "");
    free(text);
}
END_TEST

START_TEST(inspect_does_not_let_a_text_move_the_cursor)
{
    enum status status;
    struct error err;
    written_bundle(&tmp, "m", TASK_TEXT_GENERATION);
    written_edit(&tmp, "m", "config.json", "Three", "\\u001b[2J\\u202eThree");
    char *text = inspected(&status, &err);
    ck_assert_ptr_nonnull(strstr(text, "description     ?[2J?Three letters.\n"));
    free(text);
}
END_TEST

START_TEST(inspect_of_a_broken_bundle_is_its_sentence)
{
    enum status status;
    struct error err;
    written_bundle(&tmp, "m", TASK_TEXT_GENERATION);
    written_edit(&tmp, "m", "golden.json", "7.25", "7.5");
    char *text = inspected(&status, &err);
    ck_assert_int_eq(status, STATUS_BAD_GOLDEN);
    ck_assert_str_eq(text, "");
    free(text);
}
END_TEST

Suite *inspect_suite(void);

Suite *inspect_suite(void)
{
    Suite *suite = suite_create("inspect");
    TCase *core = tcase_create("core");
    tcase_add_checked_fixture(core, setup, teardown);
    tcase_add_loop_test(core, inspect_tells_what_a_bundle_is, 0, sizeof views / sizeof *views);
    tcase_add_test(core, inspect_tells_the_precision_in_force);
    tcase_add_test(core, inspect_tells_whether_a_sum_was_expected);
    tcase_add_test(core, inspect_does_not_let_a_text_move_the_cursor);
    tcase_add_test(core, inspect_of_a_broken_bundle_is_its_sentence);
    suite_add_tcase(suite, core);
    return suite;
}
