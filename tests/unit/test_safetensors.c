/* safetensors: what is read, and that every kind of broken file is refused with its sentence. */
#include <check.h>
#include <fcntl.h>
#include <float.h>
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/base/memory.h"
#include "models/bundle/safetensors.h"
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

/* The caller frees *content. */
static enum status open_file(const char *name, char **content, struct safetensors **file,
                             struct error *err)
{
    size_t bytes;
    *content = tmp_read(&tmp, name, &bytes);
    return safetensors_open(*content, bytes, file, err);
}

static enum status open_header(const char *name, uint64_t missing, struct safetensors **file,
                               struct error *err)
{
    char path[TMP_PATH_BYTES];
    int fd = open(tmp_path(&tmp, name, path), O_RDONLY);
    ck_assert_int_ge(fd, 0);
    enum status status = safetensors_open_header(fd, (uint64_t)lseek(fd, 0, SEEK_END) + missing, file, err);
    close(fd);
    return status;
}

static enum status take(struct safetensors *file, const char *name, size_t rank,
                        const size_t *shape, float **out, struct error *err)
{
    struct tensors *tensors = safetensors_tensors(file);
    return tensors->take(tensors, name, rank, shape, out, err);
}

/* A file with one tensor "t" of n values. */
static enum status take_one(const char *dtype, const void *data, size_t n, size_t value_bytes,
                            float **out, struct error *err)
{
    char header[160];
    struct safetensors *file;
    char *content;
    snprintf(header, sizeof header, "{\"t\":{\"dtype\":\"%s\",\"shape\":[%zu],\"data_offsets\":[0,%zu]}}",
             dtype, n, n * value_bytes);
    written_safetensors(&tmp, "f", header, data, n * value_bytes);
    ck_assert_int_eq(open_file("f", &content, &file, err), STATUS_OK);
    enum status status = take(file, "t", 1, &n, out, err);
    safetensors_free(file);
    free(content);
    return status;
}

START_TEST(f32_is_read_as_it_is)
{
    const float values[] = {0, -0.0f, 1, -2.5f, FLT_MAX, FLT_MIN, 1e-45f};
    enum { N = sizeof values / sizeof *values };
    float *out;
    ck_assert_int_eq(take_one("F32", values, N, 4, &out, NULL), STATUS_OK);
    ck_assert_mem_eq(out, values, sizeof values);
    memory_free(out);
}
END_TEST

/* Every finite half there is, against its definition. */
START_TEST(f16_is_widened_exactly)
{
    static uint16_t halves[1 << 16];
    static float expected[1 << 16];
    size_t n = 0;
    for (uint32_t bits = 0; bits < 1 << 16; bits++) {
        uint32_t exponent = bits >> 10 & 31, fraction = bits & 1023;
        if (exponent == 31) continue;
        double x = exponent ? ldexp(1 + fraction / 1024.0, (int)exponent - 15)
                            : ldexp(fraction / 1024.0, -14);
        expected[n] = (float)(bits >> 15 ? -x : x);
        halves[n++] = (uint16_t)bits;
    }
    float *out;
    ck_assert_int_eq(take_one("F16", halves, n, 2, &out, NULL), STATUS_OK);
    ck_assert_mem_eq(out, expected, n * sizeof *out);
    memory_free(out);
}
END_TEST

START_TEST(bf16_is_the_upper_half_of_a_float)
{
    const float values[] = {0, 1, -1.5f, 0x1.fep127f, -0x1p-126f};
    enum { N = sizeof values / sizeof *values };
    uint16_t halves[N];
    for (size_t i = 0; i < N; i++) {
        uint32_t bits;
        memcpy(&bits, &values[i], sizeof bits);
        halves[i] = (uint16_t)(bits >> 16);
    }
    float *out;
    ck_assert_int_eq(take_one("BF16", halves, N, 2, &out, NULL), STATUS_OK);
    ck_assert_mem_eq(out, values, sizeof values);
    memory_free(out);
}
END_TEST

static const struct {
    const char *dtype;
    size_t bytes;
    uint32_t bits;
    const char *what;
} not_finite[] = {
    {"F32", 4, 0x7fc00000, "NaN"},       {"F32", 4, 0xff800000, "infinite"},
    {"F32", 4, 0x7f800001, "NaN"},       {"F16", 2, 0x7c00, "infinite"},
    {"F16", 2, 0xfe00, "NaN"},           {"F16", 2, 0x7c01, "NaN"},
    {"BF16", 2, 0xff80, "infinite"},     {"BF16", 2, 0x7fc0, "NaN"},
};

START_TEST(not_finite_is_refused_by_name_and_index)
{
    enum { N = 40000, BAD = 33333 };
    size_t bytes = not_finite[_i].bytes;
    uint8_t *data = calloc(N, bytes);
    char expected[80];
    float *out;
    struct error err;
    memcpy(data + BAD * bytes, &not_finite[_i].bits, bytes);
    ck_assert_int_eq(take_one(not_finite[_i].dtype, data, N, bytes, &out, &err), STATUS_BAD_VALUE);
    snprintf(expected, sizeof expected, "tensor 't': value %d is %s, expected finite numbers", BAD,
             not_finite[_i].what);
    ck_assert_str_eq(err.message, expected);
    free(data);
}
END_TEST

#define F32(shape, offsets) "{\"dtype\":\"F32\",\"shape\":" shape ",\"data_offsets\":" offsets "}"

/* Headers over `data` bytes of zeroes that must not open. */
static const struct {
    const char *header;
    size_t data;
    enum status status;
    const char *sentence;
} broken[] = {
    {"{\"a\":" F32("[2]", "[0,8]") "}", 7, STATUS_BAD_FORMAT,
     "model.safetensors: tensor 'a': data_offsets [0, 8] lie outside the 7 bytes of data"},
    {"{\"a\":" F32("[2]", "[0,8]") "}", 9, STATUS_BAD_FORMAT,
     "model.safetensors: 9 bytes of data, but the tensors need 8"},
    {"{\"a\":" F32("[2]", "[0,8]") ",\"b\":" F32("[2]", "[4,12]") "}", 12, STATUS_BAD_FORMAT,
     "model.safetensors: tensor 'b': data begin at byte 4, expected 8: they overlap another tensor's"},
    {"{\"a\":" F32("[2]", "[0,8]") ",\"b\":" F32("[2]", "[0,8]") "}", 8, STATUS_BAD_FORMAT,
     "they overlap another tensor's"},
    {"{\"a\":" F32("[2]", "[0,8]") ",\"b\":" F32("[2]", "[12,20]") "}", 20, STATUS_BAD_FORMAT,
     "model.safetensors: tensor 'b': data begin at byte 12, expected 8: a gap that belongs to no tensor"},
    {"{\"a\":" F32("[2]", "[4,12]") "}", 12, STATUS_BAD_FORMAT, "a gap that belongs to no tensor"},
    {"{\"a\":" F32("[3]", "[0,8]") "}", 8, STATUS_BAD_FORMAT,
     "model.safetensors: tensor 'a': 8 bytes of data, expected 12 for F32 [3]"},
    {"{\"a\":" F32("[2]", "[8,0]") "}", 8, STATUS_BAD_FORMAT,
     "data_offsets [8, 0] lie outside the 8 bytes of data"},
    {"{\"a\":" F32("[2147483648,2147483648,2147483648]", "[0,8]") "}", 8, STATUS_BAD_SHAPE,
     "tensor 'a': shape [2147483648, 2147483648, 2147483648] is too large"},
    {"{\"a\":" F32("[4611686018427387905]", "[0,4]") "}", 4, STATUS_BAD_VALUE,
     "tensor 'a': shape is 4.611686018e+18, expected an integer from 0 to 2147483648"},
    {"{\"a\":" F32("[-1]", "[0,4]") "}", 4, STATUS_BAD_VALUE, "shape is -1, expected an integer"},
    {"{\"a\":" F32("[1.5]", "[0,6]") "}", 6, STATUS_BAD_VALUE, "shape is 1.5, expected an integer"},
    {"{\"a\":" F32("[1,1,1,1,1,1,1,1,1]", "[0,4]") "}", 4, STATUS_BAD_VALUE,
     "tensor 'a': shape has more than 8 numbers"},
    {"{\"a\":" F32("[1]", "[0]") "}", 4, STATUS_BAD_FORMAT, "data_offsets has 1 numbers, expected 2"},
    {"{\"a\":" F32("[1]", "[0,4,8]") "}", 4, STATUS_BAD_VALUE,
     "data_offsets has more than 2 numbers"},
    {"{\"a\":" F32("[1]", "[0,1e300]") "}", 4, STATUS_BAD_VALUE, "data_offsets is 1e+300, expected"},
    {"{\"a\":{\"dtype\":\"F4\",\"shape\":[1],\"data_offsets\":[0,4]}}", 4, STATUS_BAD_FORMAT,
     "tensor 'a': dtype 'F4' is unknown, expected F32, F16 or BF16"},
    {"{\"a\":{\"shape\":[1],\"data_offsets\":[0,4]}}", 4, STATUS_BAD_VALUE,
     "tensor 'a': 'dtype' is missing"},
    {"{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4],\"x\":1}}", 4, STATUS_BAD_VALUE,
     "tensor 'a': unknown key 'x'"},
    {"{\"a\":7}", 0, STATUS_BAD_FORMAT, "tensor 'a': expected an object"},
    {"{\"a\":" F32("[1]", "[0,4]") ",\"a\":" F32("[1]", "[4,8]") "}", 8, STATUS_BAD_FORMAT,
     "tensor 'a': is there twice"},
    {"[]", 0, STATUS_BAD_FORMAT, "model.safetensors: the header does not begin with '{'"},
    {"{", 0, STATUS_BAD_FORMAT, "model.safetensors: header: line 1: not JSON"},
    {"{\"a\":NaN}", 0, STATUS_BAD_FORMAT, "header: line 1: not JSON"},
    {"{} {}", 0, STATUS_BAD_FORMAT, "header: line 1: not JSON"},
    {"{\"\xff\":1}", 0, STATUS_BAD_FORMAT, "header: line 1: not JSON: found '\\xff'; expected UTF-8"},
    {"{\"a\\u0000b\":1}", 0, STATUS_BAD_FORMAT, "expected no \\u0000"},
    {"{\"a\":[[[[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]]]]}", 0, STATUS_BAD_FORMAT,
     "header: line 1: nested deeper than 16 levels"},
    {"{\"a\\u001b[2J\":7}", 0, STATUS_BAD_FORMAT, "tensor 'a\\x1b[2J': expected an object"},
};

START_TEST(broken_headers_are_refused)
{
    static const char zeroes[64];
    struct safetensors *file;
    struct error err = {.message = ""};
    char *content;
    written_safetensors(&tmp, "f", broken[_i].header, zeroes, broken[_i].data);
    enum status status = open_file("f", &content, &file, &err);
    ck_assert_msg(status == broken[_i].status && strstr(err.message, broken[_i].sentence),
                  "%s: %s (status %d)", broken[_i].header, err.message, (int)status);
    free(content);
}
END_TEST

/* Files that are not even a header. */
static const struct {
    const char *bytes;
    size_t n;
    enum status status;
    const char *sentence;
} truncated[] = {
    {"", 0, STATUS_BAD_FORMAT, "0 bytes, too short to be a safetensors file"},
    {"\2\0\0\0\0\0\0", 7, STATUS_BAD_FORMAT, "7 bytes, too short to be a safetensors file"},
    {"\3\0\0\0\0\0\0\0{}", 10, STATUS_BAD_FORMAT, "truncated: a header of 3 bytes in a file of 10"},
    {"\xff\xff\xff\xff\xff\xff\xff\xff{}", 10, STATUS_TOO_LONG,
     "a header of 18446744073709551615 bytes, expected at most 1048576"},
    {"\1\0\x10\0\0\0\0\0{}", 10, STATUS_TOO_LONG, "a header of 1048577 bytes, expected at most"},
    {"\0\0\0\0\0\0\0\0", 8, STATUS_BAD_FORMAT, "the header does not begin with '{'"},
};

START_TEST(truncated_files_are_refused)
{
    struct safetensors *file;
    struct error err = {.message = ""};
    char *content;
    tmp_write(&tmp, "f", truncated[_i].bytes, truncated[_i].n);
    enum status status = open_file("f", &content, &file, &err);
    ck_assert_msg(status == truncated[_i].status && strstr(err.message, truncated[_i].sentence),
                  "%s (status %d)", err.message, (int)status);
    free(content);
}
END_TEST

/* What a file is that is none of ours. Each is as long as a header's length, at least. */
static const struct {
    const char *begin, *sentence;
} foreign[] = {
    {"version https://git-lfs.github.com/spec/v1\noid sha256:75e4",
     "this is a Git LFS pointer, not the file"},
    {"PK\3\4\10\10\10\10archive/data.pkl", "this is a zip archive, as torch.save writes: save its tensors"},
    {"\x80\2\x8a\nl\xfc\x9c\x46\xf9 j\xa8P\x19.", "this is a pickle, as torch.save wrote it formerly"},
    {"\x89HDF\r\n\x1a\n\1\1\1\1\1\1", "this is an HDF5 file"},
    {"\x08\7\x12\7pytorch\x1a\5", "this is protobuf, as ONNX is"},
    {"\x1f\x8b\x08\x08\1\2\3\4\5\6", "this is compressed by gzip: unpack it"},
    {"<!DOCTYPE html><html>", "this is a page of HTML"},
    {"{\"out.weight\": {}}", "this is JSON without the eight bytes"},
};

START_TEST(files_of_other_kinds_are_called_what_they_are)
{
    struct safetensors *file;
    struct error err = {.message = ""};
    const char *begin = foreign[_i].begin;
    ck_assert_int_eq(safetensors_open(begin, strlen(begin), &file, &err), STATUS_BAD_FORMAT);
    ck_assert_msg(strstr(err.message, foreign[_i].sentence) != NULL, "%s", err.message);
}
END_TEST

START_TEST(too_many_tensors_are_refused)
{
    size_t room = 100 * (SAFETENSORS_MAX_TENSORS + 2), at = 0;
    char *header = calloc(room, 1);
    for (int i = 0; i < SAFETENSORS_MAX_TENSORS + 1; i++)
        at += (size_t)snprintf(header + at, room - at, "%s\"t%d\":" F32("[0]", "[0,0]"),
                               i ? "," : "{", i);
    snprintf(header + at, room - at, "}");
    struct safetensors *file;
    struct error err;
    char *content;
    written_safetensors(&tmp, "f", header, "", 0);
    ck_assert_int_eq(open_file("f", &content, &file, &err), STATUS_TOO_LONG);
    ck_assert_str_eq(err.message, "model.safetensors: 4097 tensors, expected at most 4096");
    free(content);
    free(header);
}
END_TEST

static const char two[] =
    "{\"__metadata__\":{\"format\":\"pt\"},\"lstm.weight\":" F32("[2,3]", "[8,32]")
    ",\"lstm.count\":{\"dtype\":\"I64\",\"shape\":[],\"data_offsets\":[0,8]}}   ";

START_TEST(takes_are_checked)
{
    static const char zeroes[32];
    struct safetensors *file;
    struct error err;
    float *out = NULL;
    char *content;
    written_safetensors(&tmp, "f", two, zeroes, sizeof zeroes);
    ck_assert_int_eq(open_file("f", &content, &file, &err), STATUS_OK);
    ck_assert_uint_eq(safetensors_n_tensors(file), 2);
    ck_assert_uint_eq(safetensors_n_values(file), 7);
    ck_assert_int_eq(take(file, "lstm.wieght", 2, (size_t[]){2, 3}, &out, &err), STATUS_NOT_FOUND);
    ck_assert_str_eq(err.message, "tensor 'lstm.wieght' is missing; did you mean 'lstm.weight'?");
    ck_assert_int_eq(take(file, "other", 2, (size_t[]){2, 3}, &out, &err), STATUS_NOT_FOUND);
    ck_assert_str_eq(err.message, "tensor 'other' is missing");
    ck_assert_int_eq(take(file, "lstm.weight", 2, (size_t[]){3, 2}, &out, &err), STATUS_BAD_SHAPE);
    ck_assert_str_eq(err.message, "tensor 'lstm.weight': shape [2, 3], expected [3, 2]");
    ck_assert_int_eq(take(file, "lstm.weight", 1, (size_t[]){6}, &out, &err), STATUS_BAD_SHAPE);
    ck_assert_int_eq(take(file, "lstm.count", 0, NULL, &out, &err), STATUS_BAD_FORMAT);
    ck_assert_str_eq(err.message, "tensor 'lstm.count': dtype I64, expected F32, F16 or BF16");
    ck_assert_int_eq(take(file, "lstm.weight", 2, (size_t[]){2, 3}, &out, &err), STATUS_OK);
    memory_free(out);
    ck_assert_int_eq(safetensors_check_taken(file, &err), STATUS_BAD_VALUE);
    ck_assert_str_eq(err.message, "tensor 'lstm.count': belongs to no layer of the network");
    safetensors_free(file);
    free(content);
}
END_TEST

START_TEST(a_header_alone_gives_the_same_sentences_and_no_tensor)
{
    static const char zeroes[64];
    struct safetensors *file;
    struct error err = {.message = ""}, other = {.message = ""};
    float *out = NULL;
    char *content;
    for (size_t i = 0; i < sizeof broken / sizeof *broken; i++) {
        written_safetensors(&tmp, "f", broken[i].header, zeroes, broken[i].data);
        ck_assert_int_eq(open_file("f", &content, &file, &other), broken[i].status);
        ck_assert_int_eq(open_header("f", 0, &file, &err), broken[i].status);
        ck_assert_str_eq(err.message, other.message);
        free(content);
    }
    written_safetensors(&tmp, "f", two, zeroes, 32);
    ck_assert_int_eq(open_header("f", 0, &file, &err), STATUS_OK);
    ck_assert_uint_eq(safetensors_n_values(file), 7);
    ck_assert_int_eq(take(file, "lstm.weight", 2, (size_t[]){2, 3}, &out, &err), STATUS_INTERNAL);
    safetensors_free(file);
    tmp_write_text(&tmp, "f", "1234");
    ck_assert_int_eq(open_header("f", 100, &file, &err), STATUS_IO);
    ck_assert_str_eq(err.message, "model.safetensors: the file became shorter while it was read");
}
END_TEST

START_TEST(no_memory_is_survived_everywhere)
{
    static const char zeroes[32];
    written_safetensors(&tmp, "f", two, zeroes, sizeof zeroes);
    for (uint64_t nth = 1;; nth++) {
        struct safetensors *file = NULL;
        struct error err;
        float *out = NULL;
        char *content;
        memory_fail_at(nth);
        enum status status = open_file("f", &content, &file, &err);
        if (status == STATUS_OK)
            status = take(file, "lstm.weight", 2, (size_t[]){2, 3}, &out, &err);
        memory_fail_at(0);
        memory_free(out);
        safetensors_free(file);
        free(content);
        if (status == STATUS_OK && nth > 5) break;
        ck_assert_msg(status == STATUS_NO_MEMORY, "allocation %d: %s", (int)nth, err.message);
    }
}
END_TEST

Suite *safetensors_suite(void);

Suite *safetensors_suite(void)
{
    Suite *suite = suite_create("safetensors");
    TCase *core = tcase_create("values");
    tcase_add_checked_fixture(core, setup, teardown);
    tcase_add_test(core, f32_is_read_as_it_is);
    tcase_add_test(core, f16_is_widened_exactly);
    tcase_add_test(core, bf16_is_the_upper_half_of_a_float);
    tcase_add_loop_test(core, not_finite_is_refused_by_name_and_index, 0,
                        sizeof not_finite / sizeof *not_finite);
    tcase_add_test(core, takes_are_checked);
    suite_add_tcase(suite, core);
    TCase *refusals = tcase_create("broken files");
    tcase_add_checked_fixture(refusals, setup, teardown);
    tcase_add_loop_test(refusals, broken_headers_are_refused, 0, sizeof broken / sizeof *broken);
    tcase_add_loop_test(refusals, truncated_files_are_refused, 0,
                        sizeof truncated / sizeof *truncated);
    tcase_add_loop_test(refusals, files_of_other_kinds_are_called_what_they_are, 0,
                        sizeof foreign / sizeof *foreign);
    tcase_add_test(refusals, too_many_tensors_are_refused);
    tcase_add_test(refusals, a_header_alone_gives_the_same_sentences_and_no_tensor);
    tcase_add_test(refusals, no_memory_is_survived_everywhere);
    suite_add_tcase(suite, refusals);
    return suite;
}
