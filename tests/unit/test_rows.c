/* rows: several rows of target and covariates, as a client writes them. */
#include "models/forecast/rows.h"

#include <check.h>
#include <math.h>
#include <string.h>

enum { HORIZON = 2, MOST = 40 };

static struct json *document;
static struct rows rows;
static struct error err;

/* Read JSON in which single quotes stand for double ones. */
static enum status read(const char *text)
{
    char json[4096];
    struct error ignored;
    ck_assert_uint_lt(strlen(text), sizeof json);
    for (size_t i = 0; i <= strlen(text); i++) json[i] = text[i] == '\'' ? '"' : text[i];
    rows_free(&rows);
    json_free(document);
    ck_assert_int_eq(json_parse(json, strlen(json), &document, &ignored), STATUS_OK);
    err = (struct error){0};
    return rows_read(document, "series[0]", HORIZON, MOST, 0, &rows, &err);
}

static void teardown(void)
{
    rows_free(&rows);
    json_free(document);
    document = NULL;
}

START_TEST(rows_and_names_are_read)
{
    ck_assert_int_eq(read("{'target':[[1,2,null],[4,5,6]],'past_covariates':{'a':[7,8,9],'b':[1,1,1]},"
                          "'future_covariates':{'b':[2,3],'c':[0,1,2,null,4]}}"), STATUS_OK);
    ck_assert_uint_eq(rows.n, 3);
    ck_assert_uint_eq(rows.n_targets, 2);
    ck_assert(rows.nested);
    ck_assert(isnan(rows.targets[2]));
    ck_assert_double_eq(rows.targets[3], 4);
    ck_assert_uint_eq(rows.n_covariates, 3);
    const struct row *a = &rows.covariates[0], *b = &rows.covariates[1], *c = &rows.covariates[2];
    ck_assert_str_eq(a->name, "a");
    ck_assert(!a->known);
    ck_assert_double_eq(a->values[2], 9);
    ck_assert_str_eq(b->name, "b");
    ck_assert(b->known); /* in both: its past, then its future */
    ck_assert_double_eq(b->values[2], 1);
    ck_assert_double_eq(b->values[4], 3);
    ck_assert(c->known);
    ck_assert(isnan(c->values[3]));
    ck_assert_double_eq(c->values[4], 4);
}
END_TEST

START_TEST(rows_without_names_are_read)
{
    ck_assert_int_eq(read("{'target':[1,2],'past_covariates':[[3,4]],'future_covariates':[[5,6,7,8]]}"),
                     STATUS_OK);
    ck_assert(!rows.nested);
    ck_assert_uint_eq(rows.n_covariates, 2);
    ck_assert_ptr_null(rows.covariates[0].name);
    ck_assert(!rows.covariates[0].known);
    ck_assert(rows.covariates[1].known);
    ck_assert_double_eq(rows.covariates[1].values[3], 8);
    ck_assert_int_eq(read("{'target':[],'past_covariates':{},'future_covariates':[]}"), STATUS_OK);
    ck_assert_uint_eq(rows.n + rows.n_covariates, 0);
}
END_TEST

/* What is wrong with each, and the field that it is said of. */
static const struct {
    const char *text, *param, *sentence;
    enum status status;
} wrong[] = {
    {"{'target':5}", "series[0].target", "series[0].target is 5; expected an array of numbers, or", 0},
    {"{'past_covariates':[]}", "series[0].target", "series[0].target is missing; expected", 0},
    {"{'target':[[1,2],[3]]}", "series[0].target", "series[0].target[1] has 1 values; expected 2, as", 0},
    {"{'target':[[1],2]}", "series[0].target", "series[0].target[1] is 2; expected an array of numbers", 0},
    {"{'target':[[1],['x']]}", "series[0].target", "series[0].target[1][0] is 'x'; expected a finite", 0},
    {"{'target':[[1e999]]}", "series[0].target", "series[0].target[0][0] is ", 0},
    {"{'target':[1,2],'past_covariates':{'p\\n':[1]}}", "series[0].past_covariates",
     "series[0].past_covariates['p\\n'] has 1 values; expected 2, as many as 'target'", 0},
    {"{'target':[1],'past_covariates':{'p':[true]}}", "series[0].past_covariates",
     "series[0].past_covariates['p'][0] is true; expected a finite number, or null", 0},
    {"{'target':[1],'past_covariates':3}", "series[0].past_covariates",
     "series[0].past_covariates is 3; expected an object of names", 0},
    {"{'target':[1],'future_covariates':[1,2,3]}", "series[0].future_covariates",
     "series[0].future_covariates is 1; expected an object of names", 0},
    {"{'target':[1],'future_covariates':{'f':[1,2]}}", "series[0].future_covariates",
     "series[0].future_covariates['f'] has 2 values; expected 3, as many as 'target' and the horizon", 0},
    {"{'target':[1],'past_covariates':{'f':[1]},'future_covariates':{'f':[1,2,3]}}",
     "series[0].future_covariates", "['f'] has 3 values; expected 2, the horizon, because its", 0},
    {"{'target':[1],'future_covariates':[5,[1]]}", "series[0].future_covariates", "expected an object", 0},
    {"{'target':[[1,2,3,4,5,6,7,8,9,0],[1,2,3,4,5,6,7,8,9,0],[1,2,3,4,5,6,7,8,9,0],[1],[1]]}", "series[0]",
     "series[0] has 50 values in all its rows; expected at most 40", STATUS_TOO_LONG},
};

START_TEST(wrong_rows_are_told)
{
    enum status status = wrong[_i].status ? wrong[_i].status : STATUS_BAD_VALUE;
    ck_assert_int_eq(read(wrong[_i].text), status);
    ck_assert_str_eq(err.param, wrong[_i].param);
    ck_assert_msg(strstr(err.message, wrong[_i].sentence), "%s", err.message);
}
END_TEST

START_TEST(there_is_a_bound_on_rows)
{
    char text[4096] = "{'target':[1],'past_covariates':[[1]";
    for (int i = 0; i < ROWS_MOST; i++) strcat(text, ",[1]");
    ck_assert_int_eq(read(strcat(text, "]}")), STATUS_TOO_LONG);
    ck_assert_msg(strstr(err.message, "rows of target and covariates; expected at most 256"), "%s",
                  err.message);
}
END_TEST

START_TEST(one_plain_row_needs_no_reading_of_rows)
{
    (void)read("{'target':[1,2]}");
    ck_assert(!rows_are_there(document));
    (void)read("{'target':[1,2],'past_covariates':null}");
    ck_assert(!rows_are_there(document));
    (void)read("{'target':[[1,2]]}");
    ck_assert(rows_are_there(document));
    (void)read("{'target':[1],'future_covariates':{}}");
    ck_assert(rows_are_there(document));
}
END_TEST

Suite *rows_suite(void);

Suite *rows_suite(void)
{
    Suite *suite = suite_create("rows");
    TCase *core = tcase_create("core");
    tcase_add_checked_fixture(core, NULL, teardown);
    tcase_add_test(core, rows_and_names_are_read);
    tcase_add_test(core, rows_without_names_are_read);
    tcase_add_loop_test(core, wrong_rows_are_told, 0, sizeof wrong / sizeof *wrong);
    tcase_add_test(core, there_is_a_bound_on_rows);
    tcase_add_test(core, one_plain_row_needs_no_reading_of_rows);
    suite_add_tcase(suite, core);
    return suite;
}
