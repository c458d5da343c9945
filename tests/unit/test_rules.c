/* rules: sequences that people try first, and those that follow none. */
#include "models/forecast/rules.h"

#include <check.h>
#include <math.h>

/* n terms, and the three after them. */
static const struct {
    enum rule_kind kind;
    size_t n;
    double x[14];
} sequences[] = {
    {RULE_CONSTANT, 1, {5, 5, 5, 5}},
    {RULE_LINE, 2, {4, 4, 4, 4, 4}},
    {RULE_LINE, 2, {4, 6, 8, 10, 12}},
    {RULE_CONSTANT, 3, {5, 5, 5, 5, 5, 5}},
    {RULE_LINE, 3, {6, 7, 8, 9, 10, 11}},
    {RULE_LINE, 3, {0.1, 0.2, 0.3, 0.4, 0.5, 0.6}},
    {RULE_GEOMETRIC, 3, {2, 4, 8, 16, 32, 64}},
    {RULE_GEOMETRIC, 4, {100, 110, 121, 133.1, 146.41, 161.051, 177.1561}},
    {RULE_GEOMETRIC, 3, {81, -27, 9, -3, 1, -1 / 3.0}},
    {RULE_SUM, 5, {1, 1, 2, 3, 5, 8, 13, 21}},
    {RULE_QUADRATIC, 4, {1, 4, 9, 16, 25, 36, 49}},
    {RULE_AFFINE, 4, {1, 3, 7, 15, 31, 63, 127}},
    {RULE_SIGN_LINE, 4, {1, -2, 3, -4, 5, -6, 7}},
    {RULE_CUBIC, 5, {1, 8, 27, 64, 125, 216, 343, 512}},
    {RULE_LAG, 9, {1, 2, 3, 4, 5, 6, 7, 1, 2, 3, 4, 5}},
    {RULE_LAG, 5, {9, 1, 5, 9, 1, 5, 9, 1}},
    {RULE_SECOND_LINE, 6, {1, 10, 2, 20, 3, 30, 4, 40, 5}},
    {RULE_SECOND_GEOMETRIC, 5, {1, 5, 2, 10, 4, 20, 8, 40}},
    {RULE_RECURRENCE, 6, {1, 2, 5, 12, 29, 70, 169, 408, 985}},
    {RULE_AFFINE, 4, {1000000001, 1000000002, 1000000004, 1000000008, 1000000016, 1000000032, 1000000064}},
    {RULE_LINE, 3, {1e12, 1e12 + 1, 1e12 + 2, 1e12 + 3, 1e12 + 4, 1e12 + 5}},
    {RULE_LINE, 3, {1e15, 1e15 + 1, 1e15 + 2, 1e15 + 3, 1e15 + 4, 1e15 + 5}},
    {RULE_QUADRATIC, 4, {1e13, 1e13 + 1, 1e13 + 3, 1e13 + 6, 1e13 + 10, 1e13 + 15, 1e13 + 21}},
    {RULE_LAG, 5, {1e13 + 9, 1e13 + 1, 1e13 + 5, 1e13 + 9, 1e13 + 1, 1e13 + 5, 1e13 + 9, 1e13 + 1}},
};

START_TEST(a_sequence_goes_on_by_its_rule)
{
    struct rule rule;
    double x[14], last[RULES_SPAN];
    const size_t n = sequences[_i].n;
    for (size_t t = 0; t < n; t++) x[t] = sequences[_i].x[t];
    ck_assert(rules_find(x, n, &rule));
    ck_assert_int_eq(rule.kind, sequences[_i].kind);
    for (size_t t = n; t < n + 3; t++) {
        for (size_t k = 0; k < rules_span(&rule); k++) last[k] = t > k ? x[t - 1 - k] : 0;
        x[t] = rules_round(rules_next(&rule, last));
        ck_assert_double_eq_tol(x[t], sequences[_i].x[t], 1e-15 * fabs(x[t]));
    }
}
END_TEST

static const struct {
    size_t n;
    double x[8];
} ruleless[] = {
    {3, {1, 1, 2}}, {5, {2, 3, 5, 7, 11}}, {5, {3.1, 4.2, 5.15, 6.23, 7.1}}, {4, {1, 2, 3, 4.0001}},
    {3, {0, 0, 1}}, {4, {1e13 + 3, 1e13 + 1, 1e13 + 4, 1e13 + 1}},
    {4, {1e9, 1e9 + 1, 1e9 + 3, 1e9 + 8}}, {3, {NAN, 1, 2}},
};

START_TEST(what_follows_no_rule_is_left_to_the_network)
{
    struct rule rule;
    bool found = rules_find(ruleless[_i].x, ruleless[_i].n, &rule);
    ck_assert_msg(!found, "rule %d", found ? (int)rule.kind : 0);
}
END_TEST

START_TEST(numbers_are_rounded_to_fifteen_digits)
{
    ck_assert_double_eq(rules_round(0.1 + 0.2), 0.3);
    ck_assert_double_eq(rules_round(-30.999999999999993), -31);
    ck_assert_double_eq(rules_round(123456789012345), 123456789012345);
    ck_assert_double_eq(rules_round(0), 0);
    ck_assert_double_eq(rules_round(1e300), 1e300);
    ck_assert_double_eq(rules_round(1e-300), 1e-300);
    ck_assert_double_eq(rules_round(INFINITY), INFINITY);
    ck_assert(isnan(rules_round(NAN)));
}
END_TEST

Suite *rules_suite(void);

Suite *rules_suite(void)
{
    Suite *suite = suite_create("rules");
    TCase *core = tcase_create("core");
    tcase_add_loop_test(core, a_sequence_goes_on_by_its_rule, 0, sizeof sequences / sizeof *sequences);
    tcase_add_loop_test(core, what_follows_no_rule_is_left_to_the_network, 0,
                        sizeof ruleless / sizeof *ruleless);
    tcase_add_test(core, numbers_are_rounded_to_fifteen_digits);
    suite_add_tcase(suite, core);
    return suite;
}
