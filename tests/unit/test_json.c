/* Request bodies and answers: what is JSON, what a field may be, and that numbers come back as they went. */
#include "server/api/fields.h"
#include "server/api/document.h"
#include "server/base/json_writer.h"

#include <check.h>
#include <float.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct json_limits limits = {.depth = 8, .values = 100};

static struct json *parse_n(const char *text, size_t bytes, struct problem *problem)
{
    memset(problem, 0, sizeof *problem);
    /* An exact copy, so that a sanitizer sees a read past the end. */
    char *copy = malloc(bytes ? bytes : 1);
    ck_assert_ptr_nonnull(copy);
    memcpy(copy, text, bytes);
    struct json *document = document_parse(copy, bytes, &limits, problem);
    free(copy);
    return document;
}

static struct json *parse(const char *text, struct problem *problem)
{
    return parse_n(text, strlen(text), problem);
}

static const char *const good[] = {
    "{}", "[]", "0", "-0", "1", "-1.5e+3", "1E2", "\"\"", "true", "false", "null", " [ 1 , 2 ] \n",
    "{\"a\":{\"b\":[1,{\"c\":null}]}}", "\"\\u00e9\\ud83d\\ude00\\n\\\"\\\\\\/\"",
    "\"\xc3\xa9\xf0\x9f\x98\x80\x7f\"", "[[[[[[[[]]]]]]]]", "{\"a\":1,\"A\":2,\"\":3}",
};

START_TEST(json_is_taken)
{
    struct problem problem;
    struct json *document = parse(good[_i], &problem);
    ck_assert_msg(document != NULL, "%s: %s", good[_i], problem.message);
    json_free(document);
}
END_TEST

static const struct {
    const char *text, *says;
} bad[] = {
    {"", "ends at byte 0"}, {" ", "ends at byte 1"}, {"{", "ends"}, {"[", "ends"}, {"]", "byte 0"},
    {"[1", "',' or ']'"}, {"[1,", "ends"}, {"[1,]", "byte 3"}, {"[,1]", "byte 1"}, {"{\"a\"}", "':'"},
    {"{\"a\":}", "byte 5"}, {"{\"a\":1,}", "key"}, {"{a:1}", "key"}, {"{'a':1}", "key"},
    {"[1 2]", "',' or ']'"}, {"{\"a\":1]", "',' or '}'"}, {"01", "leading zero"}, {"-", "digit"},
    {"[01,2]", "leading zero"}, {"[-,2]", "digit"}, {"[1.,2]", "digit"}, {"[.5,2]", "value"},
    {"[01]", "leading zero"}, {"[1.]", "digit"}, {"[-]", "digit"}, {"[0.0.0]", "',' or ']'"},
    {"[0.0", "',' or ']'"}, {"[0.0]]", "nothing after"}, {"[[1]2]", "',' or ']'"},
    {"{\"a\":[1}}", "',' or ']'"},
    {"[0,-01,2]", "leading zero"}, {"[1..2,3]", "digit"}, {"[1.2.3,4]", "',' or ']'"}, {"[--1,2]", "digit"},
    {"+1", "value"}, {".5", "value"}, {"1.", "digit"}, {"1e", "digit"}, {"1e+", "digit"},
    {"0x10", "nothing after"}, {"[1,NaN]", "found 'NaN' at byte 3"}, {"[1,NaN]", "send null"},
    {"nan", "send null"}, {"Infinity", "send null"}, {"-Infinity", "found '-Infinity'"},
    {"+inf", "send null"},
    {"-nan", "send null"}, {"na", "value"}, {"-i", "digit"}, {"i", "value"}, {"+", "value"},
    {"nul", "value"}, {"tru", "value"}, {"nulll", "nothing after"}, {"1 1", "nothing after"},
    {"{}{}", "nothing after"}, {"\"", "end of a string"}, {"\"\\", "ends"}, {"\"\\x\"", "escape"},
    {"\"\\u12\"", "hexadecimal"}, {"\"\\u000g\"", "hexadecimal"}, {"\"\\u0000\"", "zero character"},
    {"\"\\ud800\"", "surrogates"}, {"\"\\udc00\"", "surrogates"}, {"\"\\ud800\\u0041\"", "surrogates"},
    {"\"a\nb\"", "control"}, {"\"\x01\"", "control"}, {"\"\xff\"", "UTF-8"}, {"\"\xc0\xaf\"", "UTF-8"},
    {"\"\xed\xa0\x80\"", "UTF-8"}, {"\"\xf4\x90\x80\x80\"", "UTF-8"}, {"\"\xe2\x82\"", "UTF-8"},
    {"\xef\xbb\xbf{}", "value"}, {"/**/1", "value"}, {"[[[[[[[[[]]]]]]]]]", "deeper than 8"},
    {"{\"a\":1,\"a\":2}", "twice"}, {"[{\"x\":{\"b\":1,\"c\":2,\"b\":3}}]", "twice"},
};

START_TEST(what_is_no_json_is_refused_with_its_place)
{
    struct problem problem;
    struct json *document = parse(bad[_i].text, &problem);
    ck_assert_msg(document == NULL, "taken: %s", bad[_i].text);
    ck_assert_int_eq(problem.fault, FAULT_INVALID_JSON);
    ck_assert_str_eq(problem.param, "");
    ck_assert_msg(strstr(problem.message, bad[_i].says) != NULL, "%s: %s", bad[_i].text, problem.message);
}
END_TEST

/* Of any length, and rounded as the whole of their digits says: the second is a hair above the middle between
 * two doubles, the third is exactly there, and the last is too large for any. */
START_TEST(long_numbers_are_rounded_exactly)
{
    enum { DIGITS = 5000 };
    static const struct {
        const char *begin, *end;
        double value;
    } numbers[] = {
        {"0.5", "", 0.5},
        {"1.00000000000000011102230246251565404236316680908203125", "1", 1.0000000000000002},
        {"1.00000000000000011102230246251565404236316680908203125", "", 1},
        {"-12345.678", "e2", -1234567.8}, {"-1", "", -HUGE_VAL},
    };
    static char text[DIGITS + 200], zeros[DIGITS + 1];
    memset(zeros, '0', DIGITS);
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) {
        struct problem problem;
        snprintf(text, sizeof text, "{\"a\\\"1\":\"1%.70s\",\"b\":[%s%s%s,7]}", zeros, numbers[i].begin,
                 zeros, numbers[i].end);
        struct json *document = parse(text, &problem);
        ck_assert_msg(document != NULL, "%s", problem.message);
        const struct json *root = document, *list = json_get(root, "b");
        ck_assert_uint_eq(strlen(json_string(json_get(root, "a\"1"))), 71);
        ck_assert(json_number(json_first(list)) == numbers[i].value);
        ck_assert(json_number(json_next(json_first(list))) == 7);
        json_free(document);
    }
}
END_TEST

/* Numbers before a comma or the end of an array have a way of their own through the parser. */
START_TEST(numbers_of_an_array_are_read_as_alone)
{
    static const char *const texts[] = {
        "0", "-0", "-0.0", "0.0", "0.00", "0.01", "0.0e5", "1", "-1", "0.1", "-12.5", "0.49803921568627452",
        "9007199254740991",
        "9007199254740992", "9007199254740993", "-9007199254740993.0", "1234567890123456789",
        "9999999999999999999", "12345678901234567890", "0.1234567890123456789", "1e5", "1.5E-3",
        "0.0000000000000000000001", "0.000000000000000000000000001", "123456789.0000000000000000000000001"};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        struct problem problem;
        char array[128];
        snprintf(array, sizeof array, "[%s, %s,%s]", texts[i], texts[i], texts[i]);
        struct json *alone = parse(texts[i], &problem), *many = parse(array, &problem);
        ck_assert_ptr_nonnull(alone);
        ck_assert_ptr_nonnull(many);
        ck_assert_uint_eq(json_count(many), 3);
        double expected = json_number(alone);
        for (const struct json *value = json_first(many); value; value = json_next(value)) {
            double found = json_number(value);
            ck_assert_msg(!memcmp(&found, &expected, sizeof found), "%s: %.17g", texts[i], found);
        }
        json_free(alone);
        json_free(many);
    }
}
END_TEST

START_TEST(a_zero_byte_ends_nothing)
{
    struct problem problem;
    ck_assert_ptr_null(parse_n("{}\0{}", 5, &problem));
    ck_assert_ptr_null(parse_n("\"a\0b\"", 5, &problem));
}
END_TEST

START_TEST(values_are_counted)
{
    char text[256] = "[";
    struct problem problem;
    for (int i = 0; i < 99; i++) strcat(text, i ? ",1" : "1");
    strcat(text, "]");
    struct json *document = parse(text, &problem); /* 99 and the array */
    ck_assert_ptr_nonnull(document);
    json_free(document);
    strcpy(text + strlen(text) - 1, ",1]");
    ck_assert_ptr_null(parse(text, &problem));
    ck_assert_ptr_nonnull(strstr(problem.message, "more than 100 values"));
}
END_TEST

START_TEST(many_keys_are_compared_too)
{
    char text[512] = "{";
    struct problem problem;
    for (int i = 0; i < 20; i++) sprintf(text + strlen(text), "\"k%d\":%d,", i, i);
    size_t n = strlen(text);
    strcpy(text + n, "\"k20\":1}");
    struct json *document = parse(text, &problem);
    ck_assert_ptr_nonnull(document);
    json_free(document);
    strcpy(text + n, "\"k7\":1}");
    ck_assert_ptr_null(parse(text, &problem));
    ck_assert_ptr_nonnull(strstr(problem.message, "'k7' stands twice"));
}
END_TEST

/* What is taken, printed again: every value is found, with its key, at its place. */
static void print_again(struct writer *out, const struct json *value)
{
    bool is_object = json_kind(value) == JSON_OBJECT;
    if (json_kind(value) == JSON_NULL) put_null(out);
    if (json_kind(value) == JSON_BOOLEAN) put_boolean(out, json_boolean(value));
    if (json_kind(value) == JSON_NUMBER) put_double(out, json_number(value));
    if (json_kind(value) == JSON_STRING) put_string(out, json_string(value));
    if (!is_object && json_kind(value) != JSON_ARRAY) return;
    size_t n = 0;
    put_open(out, is_object ? '{' : '[');
    for (const struct json *child = json_first(value); child; child = json_next(child), n++) {
        ck_assert(is_object == (json_key(child) != NULL));
        if (is_object) put_name(out, json_key(child));
        print_again(out, child);
    }
    ck_assert_uint_eq(json_count(value), n);
    put_close(out, is_object ? '}' : ']');
}

static const char *const printed[] = {
    "[]", "{}", "[[],{},[]]", "[[[]]]", "\"\"", "-0", "[1,-2.5,1e+300,0.1]",
    "[null,true,false,\"a\",[],{},1,\"\"]", "{\"\":{\"\":[]},\"a\":\"b\",\"b\":[1,\"a\",2]}",
    "{\"a\":1,\"b\":{\"a\":[{\"a\":null},{\"b\":[[]]}]},\"c\":{},\"d\":\"\"}",
    "[\"\\\"\\\\/\\b\\f\\n\\r\\t\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80\"]",
};

START_TEST(documents_are_kept_whole)
{
    struct problem problem;
    struct json *document = parse(printed[_i], &problem);
    struct writer out;
    size_t bytes;
    ck_assert_msg(document != NULL, "%s", problem.message);
    ck_assert_ptr_null(json_key(document));
    ck_assert_ptr_null(json_next(document));
    writer_init(&out, 1000);
    print_again(&out, document);
    char *text = writer_take(&out, &bytes);
    ck_assert_str_eq(text, printed[_i]);
    free(text);
    json_free(document);
}
END_TEST

START_TEST(escapes_are_read)
{
    struct problem problem;
    struct json *document = parse("\"\\u0041\\u00e9\\u20AC\\ud83d\\ude00\\b\\/\\uffff\"", &problem);
    ck_assert_str_eq(json_string(document), "A\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80\b/\xef\xbf\xbf");
    json_free(document);
}
END_TEST

START_TEST(numbers_are_copied_if_all_are_finite)
{
    static const char *const others[] = {"[1,2,null]", "[1,2,\"3\"]", "[1,2]", "[1,2,3,4]", "[1,[2],3]", "{}",
                                         "[1,2,1e999]", "[-1e999,2,3]", "3", "[[],[],[]]", "[]", "null"};
    struct problem problem;
    double found[3] = {0};
    struct json *document = parse("[1, -0.5 ,3e2]", &problem);
    ck_assert(json_numbers(document, found, 3));
    ck_assert(found[0] == 1 && found[1] == -0.5 && found[2] == 300);
    json_free(document);
    for (size_t i = 0; i < sizeof others / sizeof *others; i++) {
        document = parse(others[i], &problem);
        ck_assert_msg(!json_numbers(document, found, 3), "%s", others[i]);
        json_free(document);
    }
    ck_assert(!json_numbers(NULL, found, 3));
}
END_TEST

/* ---- getters ---- */

static const char fields[] = "{\"i\":7,\"big\":9007199254740993,\"half\":0.5,\"huge\":1e999,\"s\":\"text\","
                             "\"t\":true,\"z\":null,\"a\":[1,2],\"o\":{},\"neg\":-3,\"one\":1.0}";

START_TEST(fields_are_read_or_left)
{
    struct problem problem;
    struct json *document = parse(fields, &problem);
    const struct json *root = document;
    int64_t integer = 42;
    double number = 42;
    bool boolean = false;
    const char *text = NULL;
    size_t size = 42;
    ck_assert(field_integer(root, "i", 0, 10, &integer, &problem));
    ck_assert_int_eq(integer, 7);
    ck_assert(field_integer(root, "one", 0, 10, &integer, &problem));
    ck_assert_int_eq(integer, 1);
    ck_assert(field_integer(root, "absent", 0, 10, &integer, &problem));
    ck_assert(field_integer(root, "z", 0, 10, &integer, &problem));
    ck_assert_int_eq(integer, 1);
    ck_assert(field_size(root, "i", 7, 7, &size, &problem));
    ck_assert_uint_eq(size, 7);
    ck_assert(field_number(root, "half", 0, 1, &number, &problem));
    ck_assert(number == 0.5);
    ck_assert(field_boolean(root, "t", &boolean, &problem));
    ck_assert(boolean);
    ck_assert(field_string(root, "s", 4, &text, &problem));
    ck_assert_str_eq(text, "text");
    ck_assert_uint_eq(json_count(json_get(root, "a")), 2);
    ck_assert_ptr_null(json_get(root, "S"));
    json_free(document);
}
END_TEST

/* i integer, n number, b boolean, s string; ranges 0..10 */
static const struct {
    char kind;
    const char *name, *says;
} wrong[] = {
    {'i', "half", "'half' is 0.5; expected an integer from 0 to 10"}, {'i', "neg", "is -3;"},
    {'i', "big", "expected an integer"}, {'i', "huge", "is inf;"}, {'i', "s", "is a string;"},
    {'i', "t", "is true;"}, {'i', "a", "is an array;"}, {'i', "o", "is an object;"},
    {'n', "huge", "expected a number from 0 to 10"}, {'n', "neg", "is -3;"}, {'n', "s", "is a string;"},
    {'n', "t", "is true;"}, {'b', "i", "is 7; expected true or false"}, {'b', "s", "is a string;"},
    {'s', "i", "is 7; expected a string"}, {'s', "a", "is an array;"},
    {'s', "s", "4 bytes long; expected at most 3"},
};

START_TEST(wrong_fields_are_named)
{
    struct problem problem;
    struct json *document = parse(fields, &problem);
    const struct json *root = document;
    int64_t integer = 42;
    double number = 42;
    bool boolean = true, taken = true;
    const char *text = NULL;
    const char *name = wrong[_i].name;
    if (wrong[_i].kind == 'i') taken = field_integer(root, name, 0, 10, &integer, &problem);
    if (wrong[_i].kind == 'n') taken = field_number(root, name, 0, 10, &number, &problem);
    if (wrong[_i].kind == 'b') taken = field_boolean(root, name, &boolean, &problem);
    if (wrong[_i].kind == 's') taken = field_string(root, name, 3, &text, &problem);
    ck_assert(!taken);
    ck_assert(integer == 42 && number == 42 && boolean && !text);
    ck_assert_str_eq(problem.param, name);
    ck_assert_msg(strstr(problem.message, wrong[_i].says) != NULL, "%s", problem.message);
    ck_assert_uint_eq(fault_http_status(problem.fault), 400);
    json_free(document);
}
END_TEST

/* What a table of names makes of an object: the param and the sentence of the refusal, or NULL. */
static const struct named {
    const char *text;
    bool open, strict;
    const char *param, *says;
} names[] = {
    {"{'alpha':1,'common':2}", false, true, NULL, NULL},
    {"{'ALPHA':1}", true, false, NULL, NULL},
    {"{'xyz':1}", true, false, NULL, NULL},
    {"{'xyz':1}", true, true, "xyz", "'xyz' is not a field of this request"},
    {"{'alhpa':1}", false, false, "alhpa", "did you mean 'alpha'?"},
    {"{'comon':null}", false, false, "comon", "did you mean 'common'?"},
    {"{'a':1}", false, false, NULL, NULL},
    {"{'a':1,'alpha':null}", false, false, NULL, NULL},
    {"{'a':null,'alpha':2}", false, false, NULL, NULL},
    {"{'a':1,'alpha':2}", true, false, "a", "'alpha' and 'a' mean the same"},
    {"{'first':1,'a':2}", false, false, "first", "'a' and 'first' mean the same"},
    {"{'old':1}", true, false, "old", "'old' is not a field of this request; send 'new'"},
    {"{'old':[0]}", true, false, "old", "send 'new'"},
    {"{'old':true}", false, true, "old", "send 'new'"},
    {"{'old':null}", false, true, NULL, NULL},
    {"{'old':false}", false, true, NULL, NULL},
    {"{'old':''}", false, true, NULL, NULL},
    {"{'old':[]}", false, true, NULL, NULL},
    {"{'old':{}}", false, true, NULL, NULL},
    {"{'text':''}", false, true, NULL, NULL},
    {"{'text':null}", false, true, NULL, NULL},
    {"{'text':{}}", false, true, "text", "leave it out"},
};

START_TEST(fields_are_known_by_their_names)
{
    static const char *const known[] = {"alpha", "beta", NULL}, *const common[] = {"common", NULL};
    static const struct synonym synonyms[] = {{"a", "alpha"}, {"first", "alpha"}, {NULL, NULL}};
    static const struct refusal refusals[] = {
        {"old", "send 'new'", JSON_ABSENT}, {"text", "leave it out", JSON_STRING}, {NULL, NULL, JSON_ABSENT}};
    const struct named *row = &names[_i];
    const struct fields table = {
        .known = known, .synonyms = synonyms, .refusals = refusals, .is_open = row->open};
    struct problem problem = {0};
    char text[64];
    snprintf(text, sizeof text, "%s", row->text);
    for (char *c = text; *c; c++)
        if (*c == '\'') *c = '"';
    struct json *document = parse(text, &problem);
    bool passed = fields_check(document, &table, common, row->strict, &problem);
    ck_assert_msg(passed == !row->param, "%s: %s", row->text, problem.message);
    if (row->param) {
        ck_assert_str_eq(problem.param, row->param);
        ck_assert_msg(strstr(problem.message, row->says) != NULL, "%s: %s", row->text, problem.message);
    }
    json_free(document);
}
END_TEST

START_TEST(a_field_is_read_under_the_name_it_was_given)
{
    static const char *const known[] = {"alpha", NULL};
    static const struct synonym synonyms[] = {{"a", "alpha"}, {"first", "alpha"}, {NULL, NULL}};
    const struct fields table = {.known = known, .synonyms = synonyms};
    static const char *const texts[][2] = {{"{}", "alpha"},
                                           {"{\"alpha\":1}", "alpha"},
                                           {"{\"first\":1}", "first"},
                                           {"{\"a\":null,\"alpha\":1}", "alpha"}};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        struct problem problem;
        struct json *document = parse(texts[i][0], &problem);
        ck_assert_str_eq(field_written(document, &table, "alpha"), texts[i][1]);
        json_free(document);
    }
}
END_TEST

/* ---- the writer ---- */

static char *taken(struct writer *out)
{
    size_t bytes;
    char *text = writer_take(out, &bytes);
    ck_assert_ptr_nonnull(text);
    ck_assert_uint_eq(strlen(text), bytes);
    return text;
}

START_TEST(answers_are_json)
{
    struct writer out;
    writer_init(&out, 1000);
    put_open(&out, '{');
    put_named_string(&out, "text", "a\"b\\c\n\x01\x7f/\xc3\xa9");
    put_name(&out, "bad");
    put_string_n(&out, "x\xff\xe2\x82y", 5);
    put_name(&out, "list");
    put_open(&out, '[');
    put_integer(&out, -7);
    put_null(&out);
    put_boolean(&out, true);
    put_open(&out, '[');
    put_close(&out, ']');
    put_double(&out, NAN);
    put_float(&out, INFINITY);
    put_close(&out, ']');
    put_named_rounded(&out, "ms", 1.5);
    put_named_rounded(&out, "zero", -0.0001);
    put_named_rounded(&out, "below", -0.0506);
    put_named_rounded(&out, "whole", -12);
    put_named_rounded(&out, "next", 2.9996);
    put_close(&out, '}');
    char *text = taken(&out);
    ck_assert_str_eq(text, "{\"text\":\"a\\\"b\\\\c\\n\\u0001\\u007f/"
                           "\xc3\xa9\",\"bad\":\"x\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbdy\",\"list\":[-7,null,"
                           "true,[],null,null],\"ms\":1.5,\"zero\":0,\"below\":-0.051,"
                           "\"whole\":-12,\"next\":3}");
    free(text);
}
END_TEST

START_TEST(a_limit_fails_the_whole)
{
    struct writer out;
    size_t bytes;
    writer_init(&out, 10);
    put_string(&out, "12345678");
    ck_assert(!writer_failed(&out));
    put_null(&out);
    ck_assert(writer_failed(&out));
    put_integer(&out, 1);
    ck_assert_ptr_null(writer_take(&out, &bytes));
    writer_release(&out);
}
END_TEST

static void expect_float(float value, const char *text)
{
    struct writer out;
    writer_init(&out, 100);
    put_float(&out, value);
    char *found = taken(&out);
    if (text) ck_assert_str_eq(found, text);
    ck_assert_msg(strtof(found, NULL) == value, "%s", found);
    free(found);
}

START_TEST(floats_come_back_from_the_shortest_text)
{
    expect_float(0.1f, "0.1");
    expect_float(1.0f / 3, "0.33333334");
    expect_float(16777216.0f, "16777216");
    expect_float(FLT_MAX, "3.4028235e+38");
    expect_float(FLT_MIN, "1.1754944e-38");
    expect_float(-1.401298464e-45f, NULL);
    uint32_t bits = 1;
    for (int i = 0; i < 20000; i++) {
        float value;
        bits = bits * 1664525u + 1013904223u;
        memcpy(&value, &bits, sizeof value);
        if (isfinite(value)) expect_float(value, NULL);
    }
}
END_TEST

START_TEST(doubles_come_back)
{
    static const double values[] = {0.1, 1e22, 1.0 / 3, DBL_MAX, DBL_MIN, 5e-324, -0.0, 123456789012345680.0};
    for (size_t i = 0; i < sizeof values / sizeof *values; i++) {
        struct writer out;
        writer_init(&out, 100);
        put_double(&out, values[i]);
        char *text = taken(&out);
        ck_assert_msg(strtod(text, NULL) == values[i], "%s", text);
        free(text);
    }
}
END_TEST

Suite *json_suite(void);

Suite *json_suite(void)
{
    Suite *suite = suite_create("json");
    TCase *grammar = tcase_create("grammar");
    tcase_add_loop_test(grammar, json_is_taken, 0, (int)(sizeof good / sizeof *good));
    tcase_add_loop_test(grammar, what_is_no_json_is_refused_with_its_place, 0,
                        (int)(sizeof bad / sizeof *bad));
    tcase_add_test(grammar, long_numbers_are_rounded_exactly);
    tcase_add_test(grammar, numbers_of_an_array_are_read_as_alone);
    tcase_add_test(grammar, a_zero_byte_ends_nothing);
    tcase_add_test(grammar, values_are_counted);
    tcase_add_test(grammar, many_keys_are_compared_too);
    tcase_add_loop_test(grammar, documents_are_kept_whole, 0, (int)(sizeof printed / sizeof *printed));
    tcase_add_test(grammar, escapes_are_read);
    tcase_add_test(grammar, numbers_are_copied_if_all_are_finite);
    suite_add_tcase(suite, grammar);
    TCase *getters = tcase_create("fields");
    tcase_add_test(getters, fields_are_read_or_left);
    tcase_add_loop_test(getters, wrong_fields_are_named, 0, (int)(sizeof wrong / sizeof *wrong));
    tcase_add_loop_test(getters, fields_are_known_by_their_names, 0, (int)(sizeof names / sizeof *names));
    tcase_add_test(getters, a_field_is_read_under_the_name_it_was_given);
    suite_add_tcase(suite, getters);
    TCase *writer = tcase_create("writer");
    tcase_add_test(writer, answers_are_json);
    tcase_add_test(writer, a_limit_fails_the_whole);
    tcase_add_test(writer, floats_come_back_from_the_shortest_text);
    tcase_add_test(writer, doubles_come_back);
    suite_add_tcase(suite, writer);
    return suite;
}
