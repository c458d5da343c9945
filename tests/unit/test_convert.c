/* convert: each form against plain arithmetic, all halves among them. */
#include "core/kernels/convert.h"

#include <check.h>
#include <math.h>
#include <stdlib.h>

Suite *convert_suite(void);

enum { N = 4099 }; /* no multiple of any vector */

static double half_value(unsigned half)
{
    int exponent = (int)(half >> 10 & 31);
    double mantissa = half & 1023, sign = half & 0x8000 ? -1 : 1;
    if (exponent == 31) return mantissa > 0 ? (double)NAN : sign * (double)INFINITY;
    return sign * (exponent ? ldexp(1024 + mantissa, exponent - 25) : ldexp(mantissa, -24));
}

START_TEST(every_half_is_read)
{
    for (unsigned half = 0; half < 65536; half++) {
        float x;
        uint8_t bytes[2] = {(uint8_t)half, (uint8_t)(half >> 8)};
        convert_from_float16(bytes, 1, &x);
        double expected = half_value(half);
        if (isnan(expected)) ck_assert(isnan(x));
        else ck_assert((double)x == expected && !signbit(x) == !(half & 0x8000));
    }
}
END_TEST

/* The numbers beside the middle between two halves go to the nearer, and the middle to the even one. */
START_TEST(floats_go_to_the_nearest_half)
{
    for (unsigned half = 0; half < 0x7bff; half++) {
        double low = half_value(half), high = half_value(half + 1), middle = (low + high) / 2;
        float in[5] = {(float)low, nextafterf((float)middle, 0), (float)middle, nextafterf((float)middle,
                                                                                           1e9f),
                       -(float)high};
        uint16_t out[5];
        convert_to_float16(in, 5, out);
        ck_assert_uint_eq(out[0], half);
        ck_assert_uint_eq(out[1], half);
        ck_assert_uint_eq(out[2], half + (half & 1));
        ck_assert_uint_eq(out[3], half + 1);
        ck_assert_uint_eq(out[4], 0x8000 | (half + 1));
    }
}
END_TEST

START_TEST(bfloat16_is_there_and_back)
{
    for (unsigned code = 0; code < 65536; code++) {
        if ((code & 0x7f80) == 0x7f80) continue; /* infinity and NaN */
        float x, between[2];
        uint16_t back, rounded[2];
        uint8_t bytes[2] = {(uint8_t)code, (uint8_t)(code >> 8)};
        convert_from_bfloat16(bytes, 1, &x);
        convert_to_bfloat16(&x, 1, &back);
        ck_assert_uint_eq(back, code);
        if ((code & 0x7fff) == 0x7f7f) continue;
        float next = nextafterf(x, signbit(x) ? -INFINITY : INFINITY);
        between[0] = next;
        between[1] = -next;
        convert_to_bfloat16(between, 2, rounded);
        ck_assert_uint_eq(rounded[0], code);
        ck_assert_uint_eq(rounded[1], code ^ 0x8000);
    }
    float largest = 3.4028235e38f;
    uint16_t code;
    convert_to_bfloat16(&largest, 1, &code);
    ck_assert_uint_eq(code, 0x7f7f);
}
END_TEST

START_TEST(int8_codes_are_rounded_to_even)
{
    static float in[N];
    static int8_t out[N];
    srand(7);
    for (size_t i = 0; i < N; i++) in[i] = (float)rand() / (float)RAND_MAX - 0.5f;
    in[0] = 127;
    for (int i = 1; i < 127; i++) in[i] = (float)i + 0.5f;
    in[127] = -127;
    ck_assert(convert_largest(in, N) == 127.0f);
    convert_to_int8(in, N, 127, out);
    for (size_t i = 0; i < N; i++) ck_assert_int_eq(out[i], lrint((double)in[i]));
    ck_assert_int_eq(out[2], 2);
    ck_assert_int_eq(out[3], 4);
    ck_assert(convert_largest(in, 0) == 0.0f);
}
END_TEST

START_TEST(one_number_outside_is_found)
{
    static float in[N];
    const float bad[] = {NAN, -NAN, INFINITY, -INFINITY, 2.5f, -2.5f};
    ck_assert(convert_is_within(in, N, 2));
    for (size_t b = 0; b < sizeof bad / sizeof *bad; b++)
        for (size_t i = 0; i < N; i += 37) {
            in[i] = bad[b];
            ck_assert(!convert_is_within(in, N, 2));
            in[i] = -2;
        }
    ck_assert(convert_is_within(in, N, 2));
}
END_TEST

Suite *convert_suite(void)
{
    Suite *suite = suite_create("convert");
    TCase *core = tcase_create("core");
    tcase_set_timeout(core, 60);
    tcase_add_test(core, every_half_is_read);
    tcase_add_test(core, floats_go_to_the_nearest_half);
    tcase_add_test(core, bfloat16_is_there_and_back);
    tcase_add_test(core, int8_codes_are_rounded_to_even);
    tcase_add_test(core, one_number_outside_is_found);
    suite_add_tcase(suite, core);
    return suite;
}
