/* model: a bundle loads whole or not at all, and says in one sentence why not. The bundles
 * (tests/support/written.h) are small enough that every expected number was computed by hand. */
#include <check.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/base/memory.h"
#include "models/bundle/golden.h"
#include "models/bundle/input.h"
#include "models/bundle/model.h"
#include "models/generation/generation.h"
#include "tests/support/jobs.h"
#include "tests/support/tiny.h"
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

START_TEST(each_task_loads)
{
    struct model *model;
    struct error err;
    written_bundle(&tmp, "m", (enum task_id)_i);
    ck_assert_msg(written_load(&tmp, PRECISION_FLOAT32, &model, &err) == STATUS_OK, "%s", err.message);
    ck_assert_ptr_eq(model->task, task_of((enum task_id)_i));
    ck_assert_uint_ge(model->n_golden, 1);
    ck_assert_double_le(model->proof.error, 1e-6);
    ck_assert_double_gt(model->load_ms, 0);
    ck_assert_int_gt(model->created_s, 1500000000);
    model_drop(model);
}
END_TEST

/* A number that the scale makes too large for a float is named, with its step. */
START_TEST(features_are_scaled)
{
    static const float W[3] = {1, 1, 1}, b[1] = {0};
    double mean[] = {1, 0, 0}, scale[] = {2, 1, 1e-300};
    const double x[] = {3, -7.5, 0, /* then */ 1, 0, 1e10};
    float out[6];
    struct error err;
    struct model model = {.network = jobs_linear_network(3, 1, W, b), .features = {mean, scale}};
    ck_assert_int_eq(input_features(&model, x, 1, out, &err), STATUS_OK);
    ck_assert_float_eq(out[0], 1);
    ck_assert_float_eq(out[1], -7.5f);
    ck_assert_float_eq(out[2], 0);
    ck_assert_int_eq(input_features(&model, x, 2, out, &err), STATUS_BAD_VALUE);
    ck_assert_ptr_nonnull(strstr(err.message, "feature 2 of step 1 is 1e+10"));
    model.features = (struct feature_scaling){0};
    ck_assert_int_eq(input_features(&model, x, 2, out, &err), STATUS_OK);
    ck_assert_float_eq(out[5], 1e10f);
    network_free(model.network);
}
END_TEST

START_TEST(a_model_holds_what_its_bundle_says)
{
    struct model *model;
    struct error err;
    written_bundle(&tmp, "m", TASK_TEXT_GENERATION);
    ck_assert_int_eq(written_load(&tmp, PRECISION_FLOAT32, &model, &err), STATUS_OK);
    ck_assert_str_eq(model->name, "m");
    ck_assert_str_eq(model->version, "1");
    ck_assert_str_eq(model->description, "Three letters.");
    ck_assert_str_eq(model->license, "CC0-1.0");
    ck_assert_double_eq(generation_defaults_of(model)->temperature, 0.5);
    ck_assert_uint_eq(model->n_golden, 2);
    ck_assert_uint_eq(strspn(model->hash, "0123456789abcdef"), 64);
    ck_assert_ptr_eq(model_acquire(model), model);
    model_drop(model);
    ck_assert_str_eq(model->name, "m"); /* one reference is left */
    model_drop(model);
    model_drop(NULL);
}
END_TEST

START_TEST(the_hash_is_sha256_of_the_weights)
{
    struct model *model;
    struct error err;
    char path[TMP_PATH_BYTES], command[TMP_PATH_BYTES + 32], hash[65] = "";
    written_bundle(&tmp, "m", TASK_TEXT_GENERATION);
    ck_assert_int_eq(written_load(&tmp, PRECISION_FLOAT32, &model, &err), STATUS_OK);
    snprintf(command, sizeof command, "sha256sum '%s'",
             tmp_path(&tmp, "m/model.safetensors", path));
    FILE *pipe = popen(command, "r");
    ck_assert_ptr_nonnull(pipe);
    ck_assert_int_eq(fscanf(pipe, "%64s", hash), 1);
    pclose(pipe);
    ck_assert_str_eq(model->hash, hash);
    model_drop(model);
}
END_TEST

START_TEST(features_are_spread_over_the_inputs)
{
    struct model *model;
    struct error err;
    written_bundle(&tmp, "m", TASK_SEQUENCE_CLASSIFICATION);
    ck_assert_int_eq(written_load(&tmp, PRECISION_FLOAT32, &model, &err), STATUS_OK);
    ck_assert_double_eq(model->features.mean[1], 1);
    ck_assert_double_eq(model->features.scale[0], 2);
    ck_assert_double_eq(model->features.scale[1], 4);
    ck_assert_uint_eq(model->n_labels, 2);
    ck_assert_str_eq(model->labels[1], "down");
    model_drop(model);
}
END_TEST

/* ------------------------------------------------------------------------------------------
 * Broken bundles: one edit each, and the sentence it must bring */

#define TG TASK_TEXT_GENERATION
#define TC TASK_TEXT_CLASSIFICATION
#define SC TASK_SEQUENCE_CLASSIFICATION
#define FC TASK_FORECASTING
#define TT TASK_TOKEN_CLASSIFICATION

static const struct {
    enum task_id task;
    const char *file, *old, *new;
    enum status status;
    const char *sentence;
} broken[] = {
    /* config.json against the tensors */
    {TG, "header", "\"out.weight\"", "\"module.out.weight\"", STATUS_NOT_FOUND,
     "tensor 'out.weight' is missing, but 'module.out.weight' is there: put 'module.' before 'prefix'"},
    {TG, "config.json", "\"prefix\": \"out\"", "\"prefix\": \"model.out\"", STATUS_NOT_FOUND,
     "tensor 'model.out.weight' is missing, but 'out.weight' is there: take 'model.' out of 'prefix'"},
    {TG, "golden.json", "7.25", "8.25", STATUS_BAD_GOLDEN, "check the activations, the order of the gates"},
    {TG, "config.json", "\"prefix\": \"out\"", "\"prefix\": \"uot\"", STATUS_NOT_FOUND,
     "tensor 'uot.weight' is missing; did you mean 'out.weight'?"},
    {TG, "config.json", "\"out_features\": 3", "\"out_features\": 4", STATUS_BAD_SHAPE,
     "tensor 'out.weight': shape [3, 3], expected [4, 3]"},
    {TG, "config.json", "\"out_features\": 3", "\"out_features\": 3, \"bias\": false", STATUS_BAD_VALUE,
     "tensor 'out.bias': belongs to no layer of the network"},
    {TG, "config.json", "\"in_features\": 3", "\"in_features\": 4", STATUS_BAD_SHAPE,
     "network[1]: tensor 'out.weight': shape [3, 3], expected [3, 4]"},
    {TG, "header", "\"out.bias\"", "\"out.baas\"", STATUS_NOT_FOUND,
     "tensor 'out.bias' is missing; did you mean 'out.baas'?"},
    {TG, "header", "\"F32\", \"shape\": [3, 3]", "\"I32\", \"shape\": [3, 3]", STATUS_BAD_FORMAT,
     "tensor 'out.weight': dtype I32, expected F32, F16 or BF16"},
    {TG, "header", "[36, 48]", "[32, 44]", STATUS_BAD_FORMAT, "they overlap another tensor's"},
    /* config.json against itself and the network */
    {TG, "config.json", "\"a\", \"b\"", "\"a\", \"b\", \"c\"", STATUS_BAD_SHAPE,
     "config.json: the network reads 3 different tokens, the tokenizer has 4"},
    {TG, "config.json", "\"a\", \"b\"", "\"a\", \"a\"", STATUS_BAD_VALUE,
     "config.json: tokenizer: vocabulary: entries 0 and 1 are both 'a'"},
    {TG, "config.json", "\"characters\"", "\"letters\"", STATUS_BAD_VALUE,
     "config.json: tokenizer: 'type' is 'letters', expected characters, bytes, words, words_keras, "
     "whitespace or bpe"},
    {TG, "config.json", "{\"type\": \"one_hot\", \"num_classes\": 3},\n", "", STATUS_BAD_VALUE,
     "config.json: the network reads numbers, task 'text-generation' needs a first layer that reads tokens"},
    {TG, "config.json", "\"out_features\": 3}",
     "\"out_features\": 3}, {\"type\": \"pooling\", \"mode\": \"last\"}", STATUS_BAD_VALUE,
     "config.json: the network has 1 pooling layers, task 'text-generation' needs none"},
    {TC, "config.json", "{\"type\": \"pooling\", \"mode\": \"mean\"},", "", STATUS_BAD_VALUE,
     "config.json: the network has 0 pooling layers, task 'text-classification' needs exactly one"},
    {TC, "config.json", "[\"no\", \"yes\"]", "[\"no\"]", STATUS_BAD_SHAPE,
     "config.json: the network gives 2 numbers, 'labels' has 1"},
    {TC, "config.json", "\"out_features\": 2}],",
     "\"out_features\": 2}, {\"type\": \"sigmoid\"}], \"activation\": \"sigmoid\",",
     STATUS_BAD_VALUE, "config.json: the network ends in a sigmoid layer, and 'activation' is 'sigmoid'"},
    {TC, "config.json", "\"labels\"", "\"activation\": \"logistic\", \"labels\"", STATUS_BAD_VALUE,
     "config.json: activation: the name is 'logistic', expected one of 'softmax', 'sigmoid'"},
    {TG, "config.json", "\"network\"", "\"activation\": \"softmax\", \"network\"", STATUS_BAD_VALUE,
     "config.json: 'activation' has no place in a bundle of task 'text-generation'"},
    {TC, "config.json", "vocab.txt", "../vocab.txt", STATUS_BAD_VALUE,
     "config.json: tokenizer: vocabulary: file name '../vocab.txt' is refused"},
    {TC, "config.json", "vocab.txt", "vo\\u001b[2Jcab.txt", STATUS_BAD_VALUE,
     "config.json: tokenizer: vocabulary: file name 'vo\\x1b[2Jcab.txt' is refused"},
    {TC, "config.json", "\"out\"", "\"o\\u001b[2Jut\"", STATUS_BAD_VALUE,
     "config.json: network[3] (linear): 'prefix' is 'o\\x1b[2Jut', expected characters that can be shown"},
    {TC, "config.json", "</s>", "<eos>", STATUS_BAD_VALUE,
     "config.json: tokenizer: 'eos_token' is '<eos>', which is not in the vocabulary"},
    {TC, "vocab.txt", "good",
     "go\xff"
     "d",
     STATUS_BAD_FORMAT, "config.json: tokenizer: vocabulary: entry 2 is not UTF-8 at its byte 2"},
    {TC, "vocab.txt", "bad\n", "", STATUS_BAD_SHAPE,
     "config.json: the network reads 4 different tokens, the tokenizer has 3"},
    {SC, "config.json", "[2, 4]", "[2, 4, 5]", STATUS_BAD_SHAPE,
     "config.json: features: 'scale' has 3 numbers, the network reads 2 a step"},
    {FC, "config.json", "\"value\", \"missing\"", "\"value\"", STATUS_BAD_SHAPE,
     "config.json: the network reads 2 numbers a step, 'forecast' lists 1 inputs"},
    {FC, "config.json", "\"normal\"", "\"student_t\"", STATUS_BAD_SHAPE,
     "config.json: the network gives 2 numbers, 'forecast' needs 3"},
    /* what a task reads of the weights beside the network */
    {TT, "header", "crf.transitions", "crf.transition", STATUS_NOT_FOUND,
     "tensor 'crf.transitions' is missing; did you mean 'crf.transition'?"},
    {TT, "header", "\"crf.end_transitions\": {\"dtype\": \"F32\", \"shape\": [3]",
     "\"crf.end_transitions\": {\"dtype\": \"F32\", \"shape\": [3, 1]", STATUS_BAD_SHAPE,
     "tensor 'crf.end_transitions': shape [3, 1], expected [3]"},
    {TT, "header", "\"shape\": [3, 3]", "\"shape\": [9]", STATUS_BAD_SHAPE,
     "tensor 'crf.transitions': shape [9], expected [3, 3]"},
    {TT, "config.json", ", \"transitions\": \"crf\"", "", STATUS_BAD_VALUE,
     "tensor 'crf.end_transitions': belongs to no layer of the network"},
    {TT, "config.json", "\"crf\"", "\"\"", STATUS_BAD_VALUE,
     "config.json: tagging: 'transitions' is '', expected a string that is not empty"},
    {TT, "config.json", "\"crf\"", "\"c\\u001brf\"", STATUS_BAD_VALUE,
     "config.json: tagging: 'transitions' is 'c\\x1brf', expected at most 127 bytes of characters that "
     "can be shown"},
    {TT, "config.json", "\"num_intents\": 2", "\"num_intents\": 5", STATUS_BAD_VALUE,
     "config.json: tagging: 'transitions' needs 1 to 256 labels that are no intents; 'labels' has 5, of "
     "which 5 are intents"},
    /* golden.json */
    {TG, "golden.json", "7.25", "7.5", STATUS_BAD_GOLDEN,
     "golden.json: cases[0]: output[2] is 7.25, expected 7.5: difference 0.25 > tolerance 0.00075"},
    {TG, "golden.json", "[2], \"output\": [3.5, 6", "[2], \"output\": [3.5, 6.25", STATUS_BAD_GOLDEN,
     "golden.json: cases[1]: output[1] is 6, expected 6.25: difference 0.25 > tolerance 0.000925"},
    {TG, "golden.json", "[1, 0]", "[1, 2]", STATUS_BAD_GOLDEN,
     "golden.json: cases[0]: tokens[1] of the input is 0, expected 2"},
    {TG, "golden.json", "[1, 0]", "[1]", STATUS_BAD_GOLDEN,
     "golden.json: cases[0]: 'input' gives 2 tokens, 'tokens' has 1"},
    {TG, "golden.json", "\"ba\"", "\"bx\"", STATUS_BAD_VALUE,
     "golden.json: cases[0]: 'input': character 'x' (U+0078) at byte 1 is not in the vocabulary"},
    {TG, "golden.json", "\"ba\"", "\"\"", STATUS_BAD_VALUE,
     "golden.json: cases[0]: 'input' gives 0 steps, expected 1 to 4096"},
    {TG, "golden.json", "\"ba\"", "5", STATUS_BAD_VALUE,
     "golden.json: cases[0]: 'input' is 5, expected a string"},
    {TG, "golden.json", "\"tokens\": [1, 0], ", "", STATUS_BAD_VALUE,
     "golden.json: cases[0]: 'tokens' is missing"},
    {TG, "golden.json", "\"tokens\": [1, 0]", "\"tokens\": [1, 0], \"features\": []", STATUS_BAD_VALUE,
     "golden.json: cases[0]: 'features' has no place in task 'text-generation'"},
    {TG, "golden.json", "[1.5, 4, 7.25]", "[1.5, 4]", STATUS_BAD_VALUE,
     "golden.json: cases[0]: 'output' has 2 numbers, expected 3"},
    {TG, "golden.json", "[1.5, 4, 7.25]", "[1.5, null, 7.25]", STATUS_BAD_VALUE,
     "golden.json: cases[0]: output[1] is null, expected a number"},
    {TG, "golden.json", "[1.5, 4, 7.25]", "[1.5, NaN, 7.25]", STATUS_BAD_FORMAT,
     "golden.json: line 1: not JSON"},
    {TG, "golden.json", "{\"cases\"", "{\"tolerance\": 0.5, \"cases\"", STATUS_BAD_VALUE,
     "golden.json: 'tolerance' is 0.5, expected a number above 0 to 0.01"},
    {TG, "golden.json", "{\"cases\": [", "{\"cases\": [], \"_old\": [", STATUS_BAD_VALUE,
     "golden.json: 0 cases, expected 1 to 64"},
    {TG, "golden.json", "{\"cases\": [", "{\"cases\": [7, ", STATUS_BAD_VALUE,
     "golden.json: cases[0]: expected an object"},
    {TC, "golden.json", "[2, 3, 0, 1]", "[2, 3, 0]", STATUS_BAD_GOLDEN,
     "golden.json: cases[0]: 'input' gives 4 tokens, 'tokens' has 3"},
    {SC, "golden.json", "[0, 2]]", "[0, 2.1]]", STATUS_BAD_GOLDEN,
     "golden.json: cases[0]: features[1][1] of the input is 2, expected 2.1"},
    {SC, "golden.json", "[1, 1], [0, 2]", "[1, 1]", STATUS_BAD_GOLDEN,
     "golden.json: cases[0]: 'input' gives 2 steps, 'features' has 1"},
    {SC, "golden.json", "[3, 5]", "[3]", STATUS_BAD_VALUE,
     "golden.json: cases[0]: input[0]: expected 2 numbers"},
    {SC, "golden.json", "[3, 5]", "[3, \"5\"]", STATUS_BAD_VALUE,
     "golden.json: cases[0]: input[0][1] is '5', expected a number"},
    {FC, "golden.json", "[99, 2, null, 6]", "[99, null, null, null]", STATUS_BAD_VALUE,
     "golden.json: cases[0]: 'input' has no value in its last 3"},
    {FC, "golden.json", "[99, 2, null, 6]", "[null]", STATUS_BAD_VALUE,
     "golden.json: cases[0]: 'input' has no value"},
    {FC, "golden.json", "[1, 0]]", "[1.1, 0]]", STATUS_BAD_GOLDEN,
     "golden.json: cases[0]: features[2][0] of the input is 1, expected 1.1"},
};

START_TEST(broken_bundles_are_refused)
{
    struct model *model;
    struct error err = {.message = ""};
    written_bundle(&tmp, "m", broken[_i].task);
    written_edit(&tmp, "m", broken[_i].file, broken[_i].old, broken[_i].new);
    enum status status = written_load(&tmp, PRECISION_FLOAT32, &model, &err);
    ck_assert_msg(status == broken[_i].status && strstr(err.message, broken[_i].sentence),
                  "%s -> %s\n   is: %s (%s)\n  not: %s", broken[_i].old, broken[_i].new, err.message,
                  status_text(status), broken[_i].sentence);
}
END_TEST

/* ------------------------------------------------------------------------------------------
 * Files */

static const char *const file_names[] = {"config.json", "golden.json", "model.safetensors",
                                         "vocab.txt"};

static void expect_refusal(enum status expected, const char *sentence)
{
    struct model *model;
    struct error err = {.message = ""};
    enum status status = written_load(&tmp, PRECISION_FLOAT32, &model, &err);
    ck_assert_msg(status == expected && strstr(err.message, sentence), "%s (%s)", err.message,
                  status_text(status));
}

static const char *in_bundle(const char *name)
{
    static char path[TMP_PATH_BYTES];
    char below[64];
    snprintf(below, sizeof below, "m/%s", name);
    return tmp_path(&tmp, below, path);
}

START_TEST(each_file_must_be_there_and_a_file)
{
    const char *name = file_names[_i];
    char sentence[128], target[TMP_PATH_BYTES];
    written_bundle(&tmp, "m", TASK_TEXT_CLASSIFICATION);
    ck_assert_int_eq(rename(in_bundle(name), tmp_path(&tmp, "elsewhere", target)), 0);
    snprintf(sentence, sizeof sentence, "'%s' is missing", name);
    expect_refusal(STATUS_NOT_FOUND, sentence);
    ck_assert_int_eq(symlink(target, in_bundle(name)), 0);
    snprintf(sentence, sizeof sentence, "'%s' is a symbolic link", name); /* more in test_folder */
    expect_refusal(STATUS_BAD_VALUE, sentence);
    ck_assert_int_eq(unlink(in_bundle(name)), 0);
    ck_assert_int_eq(mkfifo(in_bundle(name), 0600), 0);
    snprintf(sentence, sizeof sentence, "'%s' is a FIFO, expected a regular file", name);
    expect_refusal(STATUS_BAD_VALUE, sentence);
    ck_assert_int_eq(unlink(in_bundle(name)), 0);
    ck_assert_int_eq(mkdir(in_bundle(name), 0700), 0);
    snprintf(sentence, sizeof sentence, "'%s' is a folder, expected a regular file", name);
    expect_refusal(STATUS_BAD_VALUE, sentence);
}
END_TEST

/* Sparse files of a terabyte: nothing may try to hold one. */
START_TEST(huge_files_are_refused_unread)
{
    const char *name = file_names[_i];
    char sentence[128];
    written_bundle(&tmp, "m", TASK_TEXT_CLASSIFICATION);
    ck_assert_int_eq(truncate(in_bundle(name), (off_t)1 << 40), 0);
    snprintf(sentence, sizeof sentence, "'%s' has 1099511627776 bytes, expected at most", name);
    expect_refusal(STATUS_TOO_LONG, sentence);
}
END_TEST

/* Wherever a file is cut, the load fails, and never for another reason than the file. */
START_TEST(truncated_files_are_refused)
{
    char name[64];
    size_t bytes;
    written_bundle(&tmp, "m", TASK_TEXT_CLASSIFICATION);
    snprintf(name, sizeof name, "m/%s", file_names[_i]);
    char *text = tmp_read(&tmp, name, &bytes);
    for (size_t n = 0; n + 1 < bytes; n++) {
        struct model *model;
        struct error err;
        tmp_write(&tmp, name, text, n);
        enum status status = written_load(&tmp, PRECISION_FLOAT32, &model, &err);
        ck_assert_msg(status != STATUS_OK && status != STATUS_NO_MEMORY && err.message[0],
                      "%s cut at %d", file_names[_i], (int)n);
    }
    free(text);
}
END_TEST

START_TEST(a_missing_folder_is_named)
{
    expect_refusal(STATUS_NOT_FOUND, "cannot open folder '/");
    tmp_write_text(&tmp, "m", "a file");
    expect_refusal(STATUS_IO, "cannot open folder '/");
}
END_TEST

START_TEST(a_weight_that_is_not_finite_is_named)
{
    size_t n;
    written_bundle(&tmp, "m", TASK_TEXT_GENERATION);
    char *bytes = tmp_read(&tmp, "m/model.safetensors", &n);
    float nan = (float)NAN;
    memcpy(bytes + n - 8, &nan, sizeof nan);
    tmp_write(&tmp, "m/model.safetensors", bytes, n);
    free(bytes);
    expect_refusal(STATUS_BAD_VALUE, "tensor 'out.bias': value 1 is NaN, expected finite numbers");
}
END_TEST

/* ------------------------------------------------------------------------------------------
 * Names, precision, memory */

static const struct {
    const char *name;
    bool valid;
} names[] = {
    {"a", true}, {"A-b_c.9", true}, {"0", true}, {"", false}, {".a", false}, {"-a", false},
    {"a/b", false}, {"a:1", false}, {"a b", false}, {"\xc3\xa9", false},
    {"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", true},
    {"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", false},
};

START_TEST(names_are_checked)
{
    struct model *model;
    struct error err;
    char path[TMP_PATH_BYTES];
    ck_assert_int_eq(model_name_is_valid(names[_i].name), names[_i].valid);
    written_bundle(&tmp, "m", TASK_TEXT_GENERATION);
    enum status status = model_load(tmp_path(&tmp, "m", path), names[_i].name, "1",
                                    PRECISION_FLOAT32, &model, &err);
    ck_assert_int_eq(status, names[_i].valid ? STATUS_OK : STATUS_BAD_VALUE);
    if (status == STATUS_OK) model_drop(model);
    else ck_assert_ptr_nonnull(strstr(err.message, "model name '"));
}
END_TEST

/* One output cannot be a softmax, but it can decide between two labels. */
START_TEST(a_binary_classifier_has_one_output)
{
    static const float values[] = {1, 0, 0.5f};
    struct model *model;
    struct error err;
    written_bundle(&tmp, "m", TASK_SEQUENCE_CLASSIFICATION);
    written_safetensors(&tmp, "m/model.safetensors",
                        "{\"out.weight\": {\"dtype\": \"F32\", \"shape\": [1, 2], \"data_offsets\": [0, 8]},"
                        " \"out.bias\": {\"dtype\": \"F32\", \"shape\": [1], \"data_offsets\": [8, 12]}}",
                        values, sizeof values);
    written_edit(&tmp, "m", "config.json", "\"out_features\": 2", "\"out_features\": 1");
    written_edit(&tmp, "m", "golden.json", "[1.5, 2]", "[1.5]");
    expect_refusal(STATUS_BAD_SHAPE, "'labels' has 2, and the softmax of one number is always 1");
    written_edit(&tmp, "m", "config.json", "\"features\"", "\"activation\": \"sigmoid\", \"features\"");
    ck_assert_msg(written_load(&tmp, PRECISION_FLOAT32, &model, &err) == STATUS_OK, "%s", err.message);
    ck_assert_uint_eq(model->n_labels, 2);
    ck_assert_int_eq((int)model->activation, ACTIVATION_SIGMOID);
    model_drop(model);
}
END_TEST

static const struct {
    const char *recommends; /* config.json; NULL: nothing */
    enum precision asked, in_force, recommended;
} recommendations[] = {
    {NULL, PRECISION_AUTO, PRECISION_FLOAT32, PRECISION_AUTO},
    {"int8", PRECISION_AUTO, PRECISION_INT8, PRECISION_INT8},
    {"float16", PRECISION_AUTO, PRECISION_FLOAT16, PRECISION_FLOAT16},
    {"bfloat16", PRECISION_AUTO, PRECISION_BFLOAT16, PRECISION_BFLOAT16},
    {"float32", PRECISION_AUTO, PRECISION_FLOAT32, PRECISION_FLOAT32},
    {"int8", PRECISION_FLOAT32, PRECISION_FLOAT32, PRECISION_INT8},
    {"int8", PRECISION_FLOAT16, PRECISION_FLOAT16, PRECISION_INT8},
};

START_TEST(auto_takes_what_the_bundle_recommends)
{
    struct model *model;
    struct error err;
    written_recommending(&tmp, "m", recommendations[_i].recommends);
    ck_assert_msg(written_load(&tmp, recommendations[_i].asked, &model, &err) == STATUS_OK, "%s",
                  err.message);
    ck_assert_int_eq((int)network_precision(model->network), (int)recommendations[_i].in_force);
    ck_assert_int_eq((int)model->recommended, (int)recommendations[_i].recommended);
    ck_assert_ptr_null(model->precision_refused);
    model_drop(model);
}
END_TEST

START_TEST(auto_knows_only_real_precisions)
{
    written_recommending(&tmp, "m", "auto");
    expect_refusal(STATUS_BAD_VALUE,
                   "config.json: 'precision' is 'auto', expected one of 'float32', 'float16', "
                   "'bfloat16', 'int8'");
}
END_TEST

START_TEST(auto_falls_back_where_the_recommended_fails)
{
    struct model *model;
    struct error err;
    written_too_fine(&tmp, "m");
    ck_assert_int_eq(written_load(&tmp, PRECISION_INT8, &model, &err), STATUS_BAD_GOLDEN);
    ck_assert_msg(written_load(&tmp, PRECISION_AUTO, &model, &err) == STATUS_OK, "%s", err.message);
    ck_assert_int_eq((int)network_precision(model->network), PRECISION_FLOAT32);
    ck_assert_int_eq((int)model->recommended, PRECISION_INT8);
    ck_assert_ptr_nonnull(strstr(model->precision_refused, "golden.json: cases[0]: output[0] is "));
    ck_assert_double_le(model->proof.error, 1e-6);
    model_drop(model);
    written_edit(&tmp, "m", "golden.json", "[0.3, ", "[9.3, ");
    ck_assert_int_eq(written_load(&tmp, PRECISION_AUTO, &model, &err), STATUS_BAD_GOLDEN);
    ck_assert_ptr_null(strstr(err.message, "int8"));
}
END_TEST

START_TEST(no_memory_is_survived_in_the_fallback)
{
    written_too_fine(&tmp, "m");
    for (uint64_t nth = 1;; nth++) {
        struct model *model = NULL;
        struct error err = {.message = ""};
        memory_fail_at(nth);
        enum status status = written_load(&tmp, PRECISION_AUTO, &model, &err);
        memory_fail_at(0);
        model_drop(model);
        if (status == STATUS_OK) break;
        ck_assert_msg(status == STATUS_NO_MEMORY, "allocation %d: %s", (int)nth, err.message);
    }
}
END_TEST

START_TEST(no_memory_is_survived_everywhere)
{
    written_bundle(&tmp, "m", (enum task_id)_i);
    for (uint64_t nth = 1;; nth++) {
        struct model *model = NULL;
        struct error err = {.message = ""};
        memory_fail_at(nth);
        enum status status = written_load(&tmp, PRECISION_FLOAT32, &model, &err);
        memory_fail_at(0);
        model_drop(model);
        if (status == STATUS_OK) break;
        ck_assert_msg(status == STATUS_NO_MEMORY, "allocation %d: %s (%s)", (int)nth, err.message,
                      status_text(status));
        ck_assert_int_ne(err.message[0], '\0');
    }
}
END_TEST

Suite *model_suite(void);

Suite *model_suite(void)
{
    enum { N_FILES = sizeof file_names / sizeof *file_names };
    Suite *suite = suite_create("model");
    TCase *core = tcase_create("loading");
    tcase_add_checked_fixture(core, setup, teardown);
    tcase_add_loop_test(core, each_task_loads, 0, N_TASKS);
    tcase_add_test(core, a_model_holds_what_its_bundle_says);
    tcase_add_test(core, features_are_scaled);
    tcase_add_test(core, the_hash_is_sha256_of_the_weights);
    tcase_add_test(core, features_are_spread_over_the_inputs);
    tcase_add_loop_test(core, names_are_checked, 0, sizeof names / sizeof *names);
    tcase_add_loop_test(core, auto_takes_what_the_bundle_recommends, 0,
                        sizeof recommendations / sizeof *recommendations);
    tcase_add_test(core, auto_knows_only_real_precisions);
    tcase_add_test(core, auto_falls_back_where_the_recommended_fails);
    tcase_add_test(core, no_memory_is_survived_in_the_fallback);
    tcase_add_test(core, a_binary_classifier_has_one_output);
    tcase_set_timeout(core, 60);
    suite_add_tcase(suite, core);
    TCase *refusals = tcase_create("broken bundles");
    tcase_add_checked_fixture(refusals, setup, teardown);
    tcase_set_timeout(refusals, 30);
    tcase_add_loop_test(refusals, broken_bundles_are_refused, 0, sizeof broken / sizeof *broken);
    tcase_add_loop_test(refusals, each_file_must_be_there_and_a_file, 0, N_FILES);
    tcase_add_loop_test(refusals, huge_files_are_refused_unread, 0, N_FILES);
    tcase_add_loop_test(refusals, truncated_files_are_refused, 0, N_FILES);
    tcase_add_test(refusals, a_missing_folder_is_named);
    tcase_add_test(refusals, a_weight_that_is_not_finite_is_named);
    tcase_add_loop_test(refusals, no_memory_is_survived_everywhere, 0, N_TASKS);
    suite_add_tcase(suite, refusals);
    return suite;
}
