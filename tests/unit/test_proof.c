/* The proof of a model: its golden vectors, what they allow each precision, and what they may cost. */
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
#include "models/bundle/model.h"
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

static void expect_refusal(enum status expected, const char *sentence)
{
    struct model *model;
    struct error err = {.message = ""};
    enum status status = written_load(&tmp, PRECISION_FLOAT32, &model, &err);
    ck_assert_msg(status == expected && strstr(err.message, sentence), "%s (%s)", err.message,
                  status_text(status));
}

static const struct {
    enum precision precision;
    float large, small; /* of a row; the precision rounds the small one by more than the tolerance */
} narrow[] = {{PRECISION_FLOAT16, 0, 0.3f}, {PRECISION_INT8, 20, 0.3f}};

/* A narrowed network has a wider bound, but its golden vectors must be met in float32 first: a wrong network
 * that keeps the wide bound is refused too. */
START_TEST(narrow_precisions_have_their_own_bound)
{
    struct model *model;
    struct error err;
    written_rounding(&tmp, "m", narrow[_i].large, narrow[_i].small);
    ck_assert_msg(written_load(&tmp, narrow[_i].precision, &model, &err) == STATUS_OK, "%s", err.message);
    ck_assert_double_gt(model->proof.error, 1e-5);
    ck_assert_double_gt(model->proof.bound, 0.009);
    ck_assert_double_le(model->proof_float32.error, 1e-7);
    ck_assert_double_eq_tol(model->proof_float32.bound, 1e-5, 1e-9);
    model_drop(model);
    written_edit(&tmp, "m", "golden.json", "[0.3, ", "[0.302, ");
    ck_assert_int_eq(written_load(&tmp, narrow[_i].precision, &model, &err), STATUS_BAD_GOLDEN);
    ck_assert_ptr_nonnull(strstr(err.message, "output[0] is 0.3, expected 0.302"));
    ck_assert_ptr_null(strstr(err.message, " in "));
}
END_TEST

/* A tolerance counts beside the size of the outputs: 1e-4 of 1e6 are 100. */
START_TEST(the_tolerance_goes_with_the_size_of_the_outputs)
{
    written_bundle(&tmp, "m", TASK_TEXT_GENERATION);
    written_edit(&tmp, "m", "golden.json", "9.25", "9.2508");
    struct model *model;
    struct error err;
    ck_assert_msg(written_load(&tmp, PRECISION_FLOAT32, &model, &err) == STATUS_OK, "%s", err.message);
    ck_assert_double_eq_tol(model->proof.bound, 9.2508e-4, 1e-9);
    model_drop(model);
    written_edit(&tmp, "m", "golden.json", "9.2508", "9.2512");
    expect_refusal(STATUS_BAD_GOLDEN, "difference 0.0012 > tolerance 0.000925");
}
END_TEST

/* 4096 steps of a network 32,768 wide: a gibibyte, were they one turn. */
START_TEST(golden_vectors_of_a_wide_network_need_little_room)
{
    enum { WIDTH = 1 << 15, STEPS = 4096, ROOM = STEPS * 16 };
    struct model *model;
    struct error err;
    struct rusage before, after;
    char edited[160], *golden = calloc(ROOM, 1);
    float *weights = calloc(2 * WIDTH, sizeof *weights);
    written_bundle(&tmp, "m", TASK_FORECASTING);
    written_edit(&tmp, "m", "config.json", "\"value\", \"missing\"", "\"value\"");
    written_edit(&tmp, "m", "config.json", "\"normal\"", "\"mean\"");
    written_edit(&tmp, "m", "config.json", "\"context_length\": 3", "\"context_length\": 4096");
    snprintf(edited, sizeof edited,
             "1, \"out_features\": %d, \"bias\": false}, {\"type\": \"linear\", \"prefix\": \"b\", \"bias\": "
             "false, \"in_features\": %d, \"out_features\": 1}",
             WIDTH, WIDTH);
    written_edit(&tmp, "m", "config.json", "2, \"out_features\": 2}", edited);
    snprintf(edited, sizeof edited,
             "{\"out.weight\": {\"dtype\": \"F32\", \"shape\": [%d, 1], \"data_offsets\": [0, %d]},", WIDTH,
             4 * WIDTH);
    char header[400];
    snprintf(header, sizeof header,
             "%s \"b.weight\": {\"dtype\": \"F32\", \"shape\": [1, %d], \"data_offsets\": [%d, %d]}}", edited,
             WIDTH, 4 * WIDTH, 8 * WIDTH);
    weights[0] = 2, weights[WIDTH] = 3;
    written_safetensors(&tmp, "m/model.safetensors", header, weights, 2 * WIDTH * sizeof *weights);
    size_t at = (size_t)snprintf(golden, ROOM, "{\"cases\": [{\"output\": [6], \"input\": [");
    for (int i = 0; i < STEPS; i++) at += (size_t)snprintf(golden + at, ROOM - at, "%s6", i ? "," : "");
    at += (size_t)snprintf(golden + at, ROOM - at, "], \"features\": [");
    for (int i = 0; i < STEPS; i++) at += (size_t)snprintf(golden + at, ROOM - at, "%s[1]", i ? "," : "");
    snprintf(golden + at, ROOM - at, "]}]}");
    tmp_write_text(&tmp, "m/golden.json", golden);
    ck_assert_int_eq(getrusage(RUSAGE_SELF, &before), 0);
    ck_assert_msg(written_load(&tmp, PRECISION_FLOAT32, &model, &err) == STATUS_OK, "%s", err.message);
    ck_assert_int_eq(getrusage(RUSAGE_SELF, &after), 0);
    ck_assert_msg(after.ru_maxrss - before.ru_maxrss < 256 << 10, "%ld KiB",
                  after.ru_maxrss - before.ru_maxrss);
    model_drop(model);
    free(golden);
    free(weights);
}
END_TEST

/* 2^19 steps of 2^23 bytes of weights are as much as may be; one panel more is too much. Nothing is run. */
START_TEST(golden_work_is_bounded)
{
    enum { STEPS = 1 << 19 };
    static const char head[] = "{\"cases\": [{\"input\": 0, \"output\": [], \"features\": [0";
    static const char tail[] = "]}]}", sentence[] = "golden.json: 524288 steps of a network of 8650752 bytes";
    const struct layer_spec spec = tiny_layer("linear", "a", 2, (long[]){1024, _i ? 2112 : 2048});
    struct error err = {.message = ""};
    struct model model = {.task = task_of(TASK_SEQUENCE_CLASSIFICATION)};
    struct golden_proof proof;
    size_t n, at = sizeof head - 1;
    char *text = malloc(sizeof head + 2 * STEPS + sizeof tail);
    ck_assert_ptr_nonnull(text);
    memcpy(text, head, at);
    for (int i = 1; i < STEPS; i++, at += 2) memcpy(text + at, ",0", 2);
    memcpy(text + at, tail, sizeof tail);
    enum status status = network_new(&spec, 1, tiny_tensors(), PRECISION_FLOAT32, &model.network, &err);
    ck_assert_int_eq(status, STATUS_OK);
    status = golden_check(&model, text, at + sizeof tail - 1, &proof, &n, &err);
    ck_assert_msg((int)status == (_i ? STATUS_TOO_LONG : STATUS_BAD_VALUE), "%s", err.message);
    ck_assert_ptr_nonnull(strstr(err.message, _i ? sentence : "'input' is not an array"));
    network_free(model.network);
    free(text);
}
END_TEST

/* The bundle tests/http/predict/begun, whose last golden cases begin with a state. */
static struct model *load_begun(void)
{
    struct model *model;
    struct error err;
    ck_assert_int_eq(model_load("tests/http/predict/begun", "m", "1", PRECISION_FLOAT32, &model, &err),
                     STATUS_OK);
    ck_assert_uint_eq(model->n_golden, 5);
    return model;
}

#define BEGUN(state)                                                                                         \
    "{\"cases\":[{\"input\":[[1,2,3]],\"features\":[[1,2,3]],\"initial_state\":" state ",\"output\":[0,0]}]}"
#define H "\"h\":[[1,2,3,4],[1,2,3,4],[1,2,3,4,5]]"
#define C_ROWS "\"c\":[[1,2,3,4,5,6],[1,2,3,4,5,6]]"

static const struct {
    const char *text, *sentence;
} states[] = {
    {BEGUN("{" H "," C_ROWS "}"), "cases[0]: output[1] is"},
    {BEGUN("[1]"), "cases[0]: 'initial_state' is an array"},
    {BEGUN("{" H "}"), "'initial_state.c' is missing; expected an array with a row of numbers for each"},
    {BEGUN("{" H ",\"c\":[[1]]}"), "'initial_state.c' has 1 rows; expected 2"},
    {BEGUN("{" H ",\"c\":[[1],[1]]}"), "'initial_state.c[0]' has 1 numbers; expected 6"},
    {BEGUN("{" C_ROWS ",\"h\":[[1,2,3,4],[1,2,3,4],[1,2,3,4,1e39]]}"), "'initial_state.h[2][4]' is a number"},
    {BEGUN("{" C_ROWS ",\"h\":[[1,2,3,4],[1,2,3,\"4\"],[]]}"), "'initial_state.h[1][3]' is a string"},
    {BEGUN("{" H "," C_ROWS ",\"g\":1}"), "'initial_state' has 'g'; expected 'h' and, for an lstm, 'c'"},
};

START_TEST(a_wrong_initial_state_is_refused)
{
    struct model *model = load_begun();
    struct error err;
    struct golden_proof proof;
    size_t n;
    const char *text = states[_i].text;
    ck_assert_int_ne(golden_check(model, text, strlen(text), &proof, &n, &err), STATUS_OK);
    ck_assert_msg(strstr(err.message, states[_i].sentence) != NULL, "%s", err.message);
    model_drop(model);
}
END_TEST

/* A case whose state is another one than PyTorch began with is not met. */
START_TEST(a_state_is_part_of_the_proof)
{
    struct model *model = load_begun();
    struct error err;
    struct golden_proof proof;
    size_t n;
    FILE *file = fopen("tests/http/predict/begun/golden.json", "rb");
    char *text = calloc(1 << 16, 1);
    ck_assert_ptr_nonnull(file);
    size_t bytes = fread(text, 1, (1 << 16) - 1, file);
    fclose(file);
    ck_assert_int_eq(golden_check(model, text, bytes, &proof, &n, &err), STATUS_OK);
    char *digit = strstr(strstr(text, "initial_state"), "0.");
    digit[2] = digit[2] == '9' ? '1' : (char)(digit[2] + 1);
    ck_assert_int_eq(golden_check(model, text, bytes, &proof, &n, &err), STATUS_BAD_GOLDEN);
    ck_assert_ptr_nonnull(strstr(err.message, "cases[3]"));
    free(text);
    model_drop(model);
}
END_TEST

/* What reads both ways keeps no state. */
START_TEST(a_whole_network_has_no_initial_state)
{
    struct model *model;
    struct error err;
    struct golden_proof proof;
    size_t n;
    static const char text[] = "{\"cases\":[{\"input\":\"good.\",\"tokens\":[0,0,0,0,6],\"output\":[0,0],"
                               "\"initial_state\":{\"h\":[[0]]}}]}";
    ck_assert_int_eq(model_load("tests/http/predict/padded", "m", "1", PRECISION_FLOAT32, &model, &err),
                     STATUS_OK);
    ck_assert_int_ne(golden_check(model, text, sizeof text - 1, &proof, &n, &err), STATUS_OK);
    ck_assert_msg(strstr(err.message, "reads whole inputs and keeps no state") != NULL, "%s", err.message);
    model_drop(model);
}
END_TEST

#define GROUP "tests/http/columns/group/"

/* A copy of a file of the bundle that mixes series, for free(). */
static char *group_file(const char *name, size_t *n)
{
    char path[TMP_PATH_BYTES];
    snprintf(path, sizeof path, GROUP "%s", name);
    FILE *file = fopen(path, "rb");
    char *bytes = calloc(1 << 18, 1);
    ck_assert(file && bytes);
    *n = fread(bytes, 1, (1 << 18) - 1, file);
    fclose(file);
    return bytes;
}

/* Write that bundle without the sum of its weights, and turn the sign of the first weight of a tensor. */
static void write_group(const char *tensor)
{
    size_t n_config, n_weights, n_golden, at = 0;
    char *config = group_file("config.json", &n_config);
    char *weights = group_file("model.safetensors", &n_weights);
    char *golden = group_file("golden.json", &n_golden), *sum = strstr(config, "\"sha256\"");
    uint64_t head;
    memset(sum, ' ', (size_t)(strchr(sum, ',') + 1 - sum));
    memcpy(&head, weights, sizeof head);
    const char *entry = strstr(weights + sizeof head, tensor);
    ck_assert_ptr_nonnull(entry);
    ck_assert_int_eq(sscanf(strstr(entry, "\"data_offsets\":["), "\"data_offsets\":[%zu", &at), 1);
    weights[sizeof head + head + at + 3] ^= (char)0x80;
    tmp_write(&tmp, "config.json", config, n_config);
    tmp_write(&tmp, "model.safetensors", weights, n_weights);
    tmp_write(&tmp, "golden.json", golden, n_golden);
    free(config);
    free(weights);
    free(golden);
}

/* What mixes series has no part in a case of one series. */
START_TEST(wrong_weights_of_a_mixer_are_refused)
{
    static const char *const tensors[] = {
        "\"b0.attention_norm.weight\"", "\"b0.query.weight\"", "\"b0.key.weight\"", "\"b0.value.weight\"",
        "\"b0.out.weight\"", "\"b0.hidden_norm.weight\"", "\"b0.up.weight\"", "\"b0.down.weight\"",
        "\"b1.value.weight\"", "\"b1.down.weight\"", "\"b0_both.weight\"", "\"b1_both.weight\""};
    struct model *model;
    struct error err;
    ck_assert_int_eq(model_load(GROUP, "m", "1", PRECISION_FLOAT32, &model, &err), STATUS_OK);
    model_drop(model);
    for (size_t i = 0; i < sizeof tensors / sizeof *tensors; i++) {
        write_group(tensors[i]);
        enum status status = model_load(tmp.path, "m", "1", PRECISION_FLOAT32, &model, &err);
        ck_assert_msg(status == STATUS_BAD_GOLDEN && strstr(err.message, "cases[2]: output["), "%s: %s",
                      tensors[i], status == STATUS_OK ? "not refused" : err.message);
    }
}
END_TEST

#define ROWS "{\"cases\":[{\"input\":{\"target\":[[1,2],[3,5]]}"

static const struct {
    const char *text, *sentence;
} groups[] = {
    {ROWS ",\"features\":[],\"output\":[[1],[2]]}]}", "'input' gives 22 steps, 'features' has 0"},
    {"{\"cases\":[{\"input\":{\"target\":[[1,2],[3]]},\"features\":[],\"output\":[]}]}",
     "has 1 values; expected 2"},
    {"{\"cases\":[{\"input\":{\"target\":[[null]]},\"features\":[],\"output\":[]}]}", "is missing"},
    {"{\"cases\":[{\"input\":{},\"features\":[],\"output\":[]}]}", "input.target is missing"},
};

START_TEST(rows_that_are_no_case_are_refused)
{
    struct model *model;
    struct error err;
    struct golden_proof proof;
    size_t n;
    ck_assert_int_eq(model_load(GROUP, "m", "1", PRECISION_FLOAT32, &model, &err), STATUS_OK);
    const char *text = groups[_i].text;
    ck_assert_int_ne(golden_check(model, text, strlen(text), &proof, &n, &err), STATUS_OK);
    ck_assert_msg(strstr(err.message, groups[_i].sentence) != NULL, "%s", err.message);
    model_drop(model);
}
END_TEST

/* The last case of the bundle with something else in place of its outputs. */
START_TEST(rows_have_an_output_for_each_target)
{
    static const char *const ends[][2] = {{"\"output\":[[1]]}]}", "'output' has 1 rows, expected 2"},
                                          {"\"outputs\":[[1],[2]]}]}", "'output' has 0 rows, expected 2"}};
    struct model *model;
    struct error err;
    struct golden_proof proof;
    size_t n;
    char *text = group_file("golden.json", &n), *last = text;
    ck_assert_int_eq(model_load(GROUP, "m", "1", PRECISION_FLOAT32, &model, &err), STATUS_OK);
    for (char *at; (at = strstr(last + 1, "\"output\"")); last = at) continue;
    strcpy(last, ends[_i][0]);
    ck_assert_int_eq(golden_check(model, text, strlen(text), &proof, &n, &err), STATUS_BAD_VALUE);
    ck_assert_msg(strstr(err.message, ends[_i][1]) != NULL, "%s", err.message);
    free(text);
    model_drop(model);
}
END_TEST

Suite *proof_suite(void);

Suite *proof_suite(void)
{
    Suite *suite = suite_create("proof");
    TCase *core = tcase_create("golden vectors");
    tcase_add_checked_fixture(core, setup, teardown);
    tcase_add_test(core, golden_vectors_of_a_wide_network_need_little_room);
    tcase_add_loop_test(core, golden_work_is_bounded, 0, 2);
    tcase_add_loop_test(core, narrow_precisions_have_their_own_bound, 0, sizeof narrow / sizeof *narrow);
    tcase_add_loop_test(core, a_wrong_initial_state_is_refused, 0, sizeof states / sizeof *states);
    tcase_add_test(core, a_state_is_part_of_the_proof);
    tcase_add_test(core, a_whole_network_has_no_initial_state);
    tcase_add_test(core, wrong_weights_of_a_mixer_are_refused);
    tcase_add_loop_test(core, rows_that_are_no_case_are_refused, 0, sizeof groups / sizeof *groups);
    tcase_add_loop_test(core, rows_have_an_output_for_each_target, 0, 2);
    tcase_add_test(core, the_tolerance_goes_with_the_size_of_the_outputs);
    tcase_set_timeout(core, 60);
    suite_add_tcase(suite, core);
    return suite;
}
