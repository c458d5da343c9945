/* Numbers as text and back: both ways against the C library, which rounds exactly. */
#include "models/text/number.h"
#include "models/text/json.h"
#include "models/text/powers.h"

#include <check.h>
#include <float.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static uint64_t draw(void)
{
    static uint64_t state = 88172645463325252u;
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return state * 0x2545f4914f6cdd1du;
}

/* The number as a document, which may be long. */
static double read_number(const char *text)
{
    static const struct json_limits limits = {.depth = 1, .values = 1};
    struct json_fault fault;
    struct json *root = json_parse_within(text, strlen(text), &limits, &fault);
    ck_assert_msg(root && json_kind(root) == JSON_NUMBER, "%.80s", text);
    double value = json_number(root);
    json_free(root);
    return value;
}

static void expect_read(const char *text)
{
    double expected = strtod(text, NULL), found = read_number(text);
    ck_assert_msg(!memcmp(&expected, &found, sizeof found), "%.80s: %.17g, expected %.17g", text, found,
                  expected);
}

/* Middles between two doubles and their neighbours, the ends of the range, and more digits than count. */
static const char *const hard[] = {
    "0", "-0", "0.0", "-0e5", "0e999", "1", "-1", "0.1", "0.471", "1e22", "1e23", "9007199254740991",
    "9007199254740992", "9007199254740993", "9007199254740993.0", "9007199254740994", "9007199254740995",
    "9007199254740993000000e-6", "1.7976931348623157e308", "1.7976931348623158e308",
    "1.7976931348623159e308", "17976931348623157081e289", "179769313486231580793e289", "1e308", "1e309",
    "-1e309", "1e99999999999999999999", "1e-99999999999999999999", "0e-99999999999999999999",
    "2.2250738585072014e-308", "2.2250738585072011e-308", "2.2250738585072012e-308", "4.9e-324", "5e-324",
    "2.4703282292062327e-324", "2.4703282292062328e-324", "3e-324", "2e-324", "1e-342", "1e-343",
    "9999999999999999999e-343", "18446744073709551615", "18446744073709551616", "9999999999999999999",
    "99999999999999999999", "1.00000000000000011102230246251565404236316680908203125",
    "1.00000000000000011102230246251565404236316680908203124",
    "1.00000000000000011102230246251565404236316680908203126",
    "0.00000000000000000000000000000000000000000123456789012345678901234567890", "0.000000000000000000000",
    "1000000000000000000000000000000000000000000000000000000000000", "8.5e15", "7.2057594037927933e16",
    "72057594037927933", "7205759403792793199999e-5", "7205759403792793200001e-5", "6.02214076e23",
    "3.1415926535897932384626433832795028841971", "100000000000000016777215", "100000000000000016777216",
    "1090544144181609348671888949248", "1090544144181609348835077142190"};

START_TEST(hard_numbers_are_read_exactly)
{
    expect_read(hard[_i]);
}
END_TEST

START_TEST(random_numbers_are_read_exactly)
{
    char text[80];
    for (int i = 0; i < 300000; i++) {
        uint64_t bits = draw();
        int exponent = (int)(draw() % 700) - 360, point = (int)(draw() % 20);
        double value;
        memcpy(&value, &bits, sizeof value);
        if (!isfinite(value)) continue;
        snprintf(text, sizeof text, "%.*g", 1 + (int)(bits % 25), value);
        expect_read(text);
        snprintf(text, sizeof text, "%llue%d", (unsigned long long)(bits >> bits % 64), exponent);
        expect_read(text);
        snprintf(text, sizeof text, "%llu.%0*llu", (unsigned long long)(bits % 1000), point + 1,
                 (unsigned long long)(draw() >> 1));
        expect_read(text);
    }
}
END_TEST

/* Odd halves of the last bit, written out in full, lie in the middle of two doubles. */
START_TEST(middles_are_read_to_even)
{
    char text[1200];
    for (int i = 0; i < 3000; i++) {
        uint64_t bits = draw() & ~(UINT64_C(1) << 63), next = bits + 1;
        double value, above;
        memcpy(&value, &bits, sizeof value);
        memcpy(&above, &next, sizeof above);
        if (!isfinite(value) || !isfinite(above)) continue;
        long double middle = ((long double)value + (long double)above) / 2;
        snprintf(text, sizeof text, "%.1100Lg", middle);
        expect_read(text);
        ck_assert(read_number(text) == (bits & 1 ? above : value) || LDBL_MANT_DIG <= DBL_MANT_DIG);
    }
}
END_TEST

/* What the digits leave undecided, strtod reads; it is seldom asked. */
START_TEST(few_numbers_are_left_to_strtod)
{
    int undecided = 0;
    for (int i = 0; i < 100000; i++) {
        double value;
        const struct decimal decimal = {.digits = draw() >> 10, .exponent = -(int64_t)(draw() % 40)};
        undecided += !number_round(&decimal, &value);
    }
    ck_assert_int_le(undecided, 1);
}
END_TEST

START_TEST(powers_are_the_leading_bits)
{
    ck_assert(power_of_ten(0) == (wide)1 << 127);
    ck_assert(power_of_ten(1) == (wide)5 << 125 && power_of_ten(2) == (wide)25 << 123);
    ck_assert(power_of_ten(27) == (wide)7450580596923828125u << 65);
    for (int e = POWER_LEAST; e <= POWER_MOST; e++) {
        ck_assert(power_of_ten(e) >> 127);
        if (e == POWER_LEAST) continue;
        /* ten times the power below, without its last bits */
        wide tenfold = power_of_ten(e - 1) / 16 * 10 << (4 - power_bits(e) + power_bits(e - 1));
        wide power = power_of_ten(e), apart = tenfold > power ? tenfold - power : power - tenfold;
        ck_assert_msg(apart < 1024, "10^%d", e);
    }
}
END_TEST

/* ---- printing ------------------------------------------------------------------------------- */

/* As %g prints with the fewest digits that are read as the same number, but no fewer than 15 or 6. At a power
 * of two a text may be shorter: of its length the nearest one is out of reach. */
static void expect_double(double value)
{
    char found[NUMBER_BYTES], expected[NUMBER_BYTES];
    int exponent;
    int n = number_print(found, value);
    ck_assert_uint_eq((size_t)n, strlen(found));
    double back = strtod(found, NULL);
    ck_assert_msg(!memcmp(&back, &value, sizeof back), "%s is not %.17g", found, value);
    if (fabs(value) < DBL_MIN) return; /* %.15g prints more digits than needed */
    for (int digits = DBL_DIG; digits <= 17; digits++) {
        snprintf(expected, sizeof expected, "%.*g", digits, value);
        if (strtod(expected, NULL) == value) break;
    }
    if (fabs(frexp(value, &exponent)) == 0.5) ck_assert_uint_le((size_t)n, strlen(expected));
    else ck_assert_str_eq(found, expected);
}

static void expect_float(float value)
{
    char found[NUMBER_BYTES], expected[NUMBER_BYTES];
    int exponent;
    int n = number_print_float(found, value);
    ck_assert_uint_eq((size_t)n, strlen(found));
    float back = strtof(found, NULL);
    ck_assert_msg(!memcmp(&back, &value, sizeof back), "%s is not %.9g", found, (double)value);
    if (fabsf(value) < FLT_MIN) return;
    for (int digits = FLT_DIG; digits <= 9; digits++) {
        snprintf(expected, sizeof expected, "%.*g", digits, (double)value);
        if (strtof(expected, NULL) == value) break;
    }
    if (fabsf(frexpf(value, &exponent)) == 0.5f) ck_assert_uint_le((size_t)n, strlen(expected));
    else ck_assert_str_eq(found, expected);
}

START_TEST(doubles_are_printed_shortest)
{
    static const double values[] = {
        0, -0.0, 1, -1, 10, 0.1, 0.2, 0.3, 1.0 / 3, 100, 123456, 1e15, 1e14, 999999999999999, 1e16, 1e17,
        1e21, 1e22, 1e23, 9007199254740991, 9007199254740992, 0.001, 0.0001, 0.00001, 0.00012345, 123.456,
        1e-7, DBL_MAX, DBL_MIN, DBL_TRUE_MIN, DBL_EPSILON, 2e-308, 123456789012345680.0,
        4503599627370496.5, 5e-324};
    for (size_t i = 0; i < sizeof values / sizeof *values; i++) expect_double(values[i]);
    for (int i = 0; i < 100000; i++) {
        uint64_t bits = draw();
        double value;
        memcpy(&value, &bits, sizeof value);
        if (isfinite(value)) expect_double(value);
        expect_double((double)(int64_t)(bits >> bits % 64) / pow(10, (double)(bits % 18)));
    }
}
END_TEST

START_TEST(floats_are_printed_shortest)
{
    static const float values[] = {0, -0.0f, 1, 0.1f, 1e6f, 1e5f, 123456, 16777216, 1e-5f, FLT_MAX, FLT_MIN,
                                   FLT_TRUE_MIN, FLT_EPSILON};
    for (size_t i = 0; i < sizeof values / sizeof *values; i++) expect_float(values[i]);
    for (int i = 0; i < 100000; i++) {
        uint32_t bits = (uint32_t)draw();
        float value;
        memcpy(&value, &bits, sizeof value);
        if (isfinite(value)) expect_float(value);
        expect_float((float)(int32_t)(bits >> bits % 32) / powf(10, (float)(bits % 9)));
    }
    char text[NUMBER_BYTES];
    number_print_float(text, 6.501e-41f);
    ck_assert_str_eq(text, "6.501e-41");
    number_print(text, 5e-324);
    ck_assert_str_eq(text, "5e-324");
}
END_TEST

/* Powers of two: the double below is nearer than the one above. */
START_TEST(edges_are_printed)
{
    for (int e = -1074; e < 1024; e++) expect_double(ldexp(1, e));
    for (int e = -149; e < 128; e++) expect_float(ldexpf(1, e));
}
END_TEST

START_TEST(thousandths_have_three_places)
{
    static const double values[] = {0, 0.0004, 0.0006, 0.125, 1, 9.9996, 12.3456, 999.999, 86400000.25, 1e12};
    for (size_t i = 0; i < sizeof values / sizeof *values; i++) {
        char found[NUMBER_BYTES], expected[NUMBER_BYTES];
        snprintf(expected, sizeof expected, "%.3f", values[i]);
        ck_assert_int_eq(number_print_thousandths(found, values[i]), (int)strlen(expected));
        ck_assert_str_eq(found, expected);
    }
}
END_TEST

Suite *number_suite(void);

Suite *number_suite(void)
{
    Suite *suite = suite_create("number");
    TCase *reading = tcase_create("reading");
    tcase_set_timeout(reading, 120);
    tcase_add_loop_test(reading, hard_numbers_are_read_exactly, 0, (int)(sizeof hard / sizeof *hard));
    tcase_add_test(reading, random_numbers_are_read_exactly);
    tcase_add_test(reading, middles_are_read_to_even);
    tcase_add_test(reading, few_numbers_are_left_to_strtod);
    tcase_add_test(reading, powers_are_the_leading_bits);
    suite_add_tcase(suite, reading);
    TCase *printing = tcase_create("printing");
    tcase_set_timeout(printing, 120);
    tcase_add_test(printing, doubles_are_printed_shortest);
    tcase_add_test(printing, floats_are_printed_shortest);
    tcase_add_test(printing, edges_are_printed);
    tcase_add_test(printing, thousandths_have_three_places);
    suite_add_tcase(suite, printing);
    return suite;
}
