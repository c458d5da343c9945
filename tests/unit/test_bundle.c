/* bundle: config.json read by its tables. Every key, type and range that the format names is
 * refused in its own sentence; what is left out has its default. */
#define _GNU_SOURCE /* syscall */
#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "core/base/memory.h"
#include "models/bundle/bundle.h"
#include "models/text/folder.h"
#include "models/text/json.h"
#include "models/generation/generation.h"
#include "models/forecast/series.h"
#include "tests/support/tmp.h"

#define HEAD(task) "{\"format_version\":1,\"task\":\"" task "\","
#define EMBEDDING "{\"type\":\"embedding\",\"prefix\":\"e\",\"num_embeddings\":2,\"embedding_dim\":4}"
#define LSTM(keys) "{\"type\":\"lstm\",\"prefix\":\"l\",\"input_size\":4,\"hidden_size\":8" keys "}"
#define LINEAR "{\"type\":\"linear\",\"prefix\":\"o\",\"in_features\":8,\"out_features\":2}"
#define NETWORK "\"network\":[" EMBEDDING "," LSTM("") "," LINEAR "]"
#define LETTERS "\"tokenizer\":{\"type\":\"characters\",\"vocabulary\":[\"a\",\"b\"]}"
#define NUMBERS "\"network\":[" LSTM("") "," LINEAR "]"
#define LABELS "\"labels\":[\"x\",\"y\"]"
#define GENERATION HEAD("text-generation") NETWORK "," LETTERS
#define CLASSES HEAD("sequence-classification") NUMBERS "," LABELS
#define SERIES(scaling, inputs, output)                                                           \
    HEAD("forecasting") NUMBERS ",\"forecast\":{\"context_length\":8,\"scaling\":" scaling         \
    ",\"inputs\":" inputs ",\"output\":" output "}}"
#define WEIGHED(keys)                                                                             \
    HEAD("forecasting") NUMBERS ",\"forecast\":{\"context_length\":8" keys                          \
    ",\"output\":{\"type\":\"candidates\",\"levels\":[0.1,0.5,0.9]}}}"
#define NONE "{\"type\":\"none\"}"
#define MEAN "{\"type\":\"mean\"}"
#define VALUE "[\"value\"]"

static enum status read_text(const char *text, struct bundle **out, struct error *err)
{
    return bundle_read(text, strlen(text), NULL, out, err);
}

static struct bundle *read_good(const char *text)
{
    struct bundle *bundle;
    struct error err;
    ck_assert_msg(read_text(text, &bundle, &err) == STATUS_OK, "%s: %s", text, err.message);
    return bundle;
}

START_TEST(a_generator_is_read)
{
    struct bundle *b = read_good(
        HEAD("text-generation") "\"_note\":{\"any\":[1]},\"description\":\"d\",\"license\":\"l\","
        "\"training_data\":\"t\",\"network\":[" EMBEDDING ","
        LSTM(",\"num_layers\":2,\"bias\":false,\"proj_size\":3,\"_why\":\"small\"")
        ",{\"type\":\"pooling\",\"mode\":\"max\"}," LINEAR "],"
        "\"tokenizer\":{\"type\":\"words\",\"vocabulary\":[\"a\",\"b\",\"c\"],\"unk_token\":\"c\","
        "\"bos_token\":\"a\",\"eos_token\":\"b\",\"lowercase\":true},"
        "\"generation\":{\"temperature\":0.7,\"top_k\":5,\"max_tokens\":9}}");
    ck_assert_int_eq(b->task == task_of(TASK_TEXT_GENERATION), true);
    ck_assert_str_eq(b->description, "d");
    ck_assert_str_eq(b->license, "l");
    ck_assert_str_eq(b->training_data, "t");
    ck_assert_uint_eq(b->n_layers, 4);
    ck_assert_str_eq(b->layers[1].type->name, "lstm");
    ck_assert_str_eq(b->layers[1].prefix, "l");
    const long values[] = {4, 8, 2, 0, 0, 3};
    ck_assert_mem_eq(b->layers[1].values, values, sizeof values);
    ck_assert_int_eq(b->layers[2].values[0], 2);
    ck_assert_uint_eq(b->tokenizer.spec.n_vocabulary, 3);
    ck_assert_str_eq(b->tokenizer.spec.unk_token, "c");
    ck_assert(b->tokenizer.spec.lowercase);
    ck_assert_double_eq(((const struct generation_defaults *)b->spec)->temperature, 0.7);
    ck_assert_double_eq(((const struct generation_defaults *)b->spec)->top_p, 1);
    ck_assert_int_eq(((const struct generation_defaults *)b->spec)->top_k, 5);
    ck_assert_int_eq(((const struct generation_defaults *)b->spec)->max_tokens, 9);
    bundle_close(b);
}
END_TEST

START_TEST(what_is_left_out_has_its_default)
{
    struct bundle *b = read_good(GENERATION "}");
    ck_assert_str_eq(b->description, "");
    const long values[] = {4, 8, 1, 1, 0, 0};
    ck_assert_mem_eq(b->layers[1].values, values, sizeof values);
    ck_assert_ptr_null(b->tokenizer.spec.unk_token);
    ck_assert_double_eq(((const struct generation_defaults *)b->spec)->temperature, 1);
    bundle_close(b);
    b = read_good(CLASSES "}");
    ck_assert_uint_eq(b->mean.n, 0);
    ck_assert_uint_eq(b->n_labels, 2);
    bundle_close(b);
    b = read_good(SERIES("{\"type\":\"minmax\",\"min\":10,\"max\":30,\"low\":-1}", VALUE, MEAN));
    const struct scaling *scaling = &((const struct forecast_spec *)b->spec)->scaling;
    ck_assert_double_eq(scaling->scale, 10); /* 10 becomes -1, and 30 becomes 1 */
    ck_assert_double_eq(scaling->mean, 20);
    bundle_close(b);
    b = read_good(SERIES("{\"type\":\"mean_abs\"}", VALUE, MEAN));
    ck_assert_double_eq(((const struct forecast_spec *)b->spec)->scaling.minimum, 1e-6);
    ck_assert_uint_eq(((const struct forecast_spec *)b->spec)->num_samples, 100);
    ck_assert_uint_eq(series_n_outputs((const struct forecast_spec *)b->spec), 1);
    bundle_close(b);
    bundle_close(NULL);
}
END_TEST

START_TEST(a_forecast_is_read)
{
    struct bundle *b = read_good(SERIES(
        "{\"type\":\"constant\",\"mean\":-2.5,\"scale\":4}",
        "[\"value\",\"missing\",\"difference\",\"ratio\",\"asinh\",\"log_scale\",\"position\",{\"lag\":3}]",
        "{\"type\":\"student_t\",\"residual\":\"last\",\"basis\":[{\"lag\":0},\"geometric\",\"one\"]}"));
    const struct forecast_spec *f = (const struct forecast_spec *)b->spec;
    ck_assert_uint_eq(f->context_length, 8);
    ck_assert_int_eq(f->scaling.type, SCALING_CONSTANT);
    ck_assert_double_eq(f->scaling.mean, -2.5);
    ck_assert_double_eq(f->scaling.scale, 4);
    ck_assert_uint_eq(f->n_inputs, 8);
    for (int i = 0; i < 8; i++) ck_assert_int_eq(f->inputs[i].kind, INPUT_VALUE + i);
    ck_assert_uint_eq(f->inputs[7].lag, 3);
    ck_assert_int_eq(f->output, OUTPUT_STUDENT_T);
    ck_assert(f->residual_last);
    ck_assert_uint_eq(f->n_basis, 3);
    ck_assert_int_eq(f->basis[0].kind, BASIS_LAG);
    ck_assert_int_eq(f->basis[1].kind, BASIS_GEOMETRIC);
    ck_assert_int_eq(f->basis[2].kind, BASIS_ONE);
    ck_assert_uint_eq(series_n_outputs(f), 5);
    bundle_close(b);
    b = read_good(SERIES("{\"type\":\"standard\",\"minimum\":0.5}", VALUE,
                         "{\"type\":\"quantiles\",\"levels\":[0.1,0.5,0.9]}"));
    ck_assert_double_eq(((const struct forecast_spec *)b->spec)->scaling.minimum, 0.5);
    ck_assert_double_eq(((const struct forecast_spec *)b->spec)->levels[2], 0.9);
    ck_assert_uint_eq(series_n_outputs((const struct forecast_spec *)b->spec), 3);
    bundle_close(b);
    b = read_good(SERIES(NONE, VALUE, "{\"type\":\"normal\"}"));
    ck_assert_uint_eq(series_n_outputs((const struct forecast_spec *)b->spec), 2);
    bundle_close(b);
}
END_TEST

START_TEST(experts_are_read)
{
    struct bundle *b = read_good(SERIES(
        NONE, "[\"position\",{\"error\":4},{\"lag\":2}]",
        "{\"type\":\"mean\",\"weights\":\"softmax\",\"basis\":[{\"lag\":7},\"linear\",\"quadratic\","
        "\"sum\",\"geometric\",\"one\"]}"));
    const struct forecast_spec *f = (const struct forecast_spec *)b->spec;
    ck_assert_int_eq(f->inputs[1].kind, INPUT_ERROR);
    ck_assert_uint_eq(f->inputs[1].lag, 4);
    ck_assert_int_eq(f->inputs[2].kind, INPUT_LAG);
    ck_assert(f->softmax);
    ck_assert_uint_eq(f->n_basis, 6);
    ck_assert_uint_eq(f->basis[0].lag, 7);
    for (int i = 0; i < 6; i++) ck_assert_int_eq(f->basis[i].kind, BASIS_LAG + i);
    bundle_close(b);
}
END_TEST

START_TEST(features_are_one_number_or_many)
{
    struct bundle *b = read_good(CLASSES ",\"features\":{\"mean\":0.5,\"scale\":[1,2,3,4]}}");
    ck_assert_uint_eq(b->mean.n, 1);
    ck_assert_double_eq(b->mean.values[0], 0.5);
    ck_assert_uint_eq(b->scale.n, 4);
    ck_assert_double_eq(b->scale.values[3], 4);
    bundle_close(b);
}
END_TEST

#define C "config.json: "
static const struct {
    const char *text, *sentence;
} broken[] = {
    /* the file */
    {"", C "line 1: not JSON: it ends; expected a value"},
    {"{\n\n\"a\":,}", C "line 3: not JSON: found ','; expected a value"},
    {"[]", C "expected an object"},
    {"{}", C "'format_version' is missing"},
    {"{\"format_version\":1}x", C "line 1: not JSON"},
    {"{\"a\":\"\x01\"}", C "line 1: not JSON: found '\\x01'; expected no control character inside a string"},
    {"{\"a\":\"\xc3\"}", C "line 1: not JSON: found '\\xc3'; expected UTF-8"},
    {"{\"a\":\"\\ud800\"}", C "line 1: not JSON: found 'u'; expected a pair of surrogates"},
    {"{\"a\":01}", C "line 1: not JSON: found '1'; expected no digit after a leading zero"},
    {"\xef\xbb\xbf{}", C "'format_version' is missing"}, /* a byte order mark is passed over */
    {"{\"a\":\"\\u0000\"}", C "line 1: not JSON: found 'u'; expected no \\u0000"},
    {"[[[[[[[[[[[[[[[[[[[[[[[[[[[[", C "line 1: nested deeper than 16 levels"},
    {"{\"format_version\":2}", C "'format_version' is 2, expected an integer from 1 to 1"},
    {"{\"format_version\":\"1\"}", C "'format_version' is '1', expected an integer from 1 to 1"},
    {"{\"format_version\":1,\"task\":\"summarization\"}",
     C "'task' is 'summarization', expected one of 'text-generation', 'text-classification', "
       "'sequence-classification', 'forecasting', '"},
    {GENERATION ",\"lables\":[]}", C "unknown key 'lables'; did you mean 'labels'?"},
    {GENERATION ",\"zzz\\n\":1}", C "unknown key 'zzz\\n'"},
    {GENERATION ",\"task\":\"forecasting\"}", C "'task' is there twice"},
    {GENERATION ",\"description\":\"\"}", C "'description' is '', expected a string that is not empty"},
    {GENERATION ",\"license\":[1]}", C "'license' is an array, expected a string that is not empty"},
    /* which key belongs to which task */
    {HEAD("text-generation") NETWORK "}", C "'tokenizer' is missing, task 'text-generation' needs it"},
    {HEAD("sequence-classification") NUMBERS "}",
     C "'labels' is missing, task 'sequence-classification' needs it"},
    {HEAD("forecasting") NUMBERS "}", C "'forecast' is missing, task 'forecasting' needs it"},
    {GENERATION "," LABELS "}", C "'labels' has no place in a bundle of task 'text-generation'"},
    {CLASSES "," LETTERS "}", C "'tokenizer' has no place in a bundle of task 'sequence-classification'"},
    {CLASSES ",\"generation\":{}}",
     C "'generation' has no place in a bundle of task 'sequence-classification'"},
    /* network */
    {HEAD("text-generation") LETTERS "}", C "'network' is missing"},
    {HEAD("text-generation") "\"network\":{}}", C "'network' is an object, expected an array"},
    {HEAD("text-generation") "\"network\":[]}", C "network: 0 layers, expected 1 to 512"},
    {HEAD("text-generation") "\"network\":[3]}", C "network[0]: expected an object"},
    {HEAD("text-generation") "\"network\":[{}]}", C "network[0]: 'type' is missing"},
    {HEAD("text-generation") "\"network\":[{\"type\":7}]}",
     C "network[0]: 'type' is 7, expected a string that is not empty"},
    {HEAD("text-generation") "\"network\":[{\"type\":\"lstn\"}]}",
     C "network[0]: unknown layer type 'lstn'; did you mean 'lstm'?"},
    {HEAD("text-generation") "\"network\":[{\"type\":\"transformer\"}]}",
     C "network[0]: unknown layer type 'transformer', expected one of embedding, one_hot, lstm, gru, "},
    {HEAD("text-generation") "\"network\":[" EMBEDDING
                             ",{\"type\":\"lstm\",\"prefix\":\"l\",\"input_size\":4}]}",
     C "network[1] (lstm): 'hidden_size' is missing"},
    {HEAD("text-generation") "\"network\":[{\"type\":\"lstm\",\"input_size\":4,\"hidden_size\":4}]}",
     C "network[0] (lstm): 'prefix' is missing"},
    {HEAD("text-generation") "\"network\":[" LSTM(",\"hiden_size\":8") "]}",
     C "network[0] (lstm): unknown key 'hiden_size'; did you mean 'hidden_size'?"},
    {HEAD("text-generation") "\"network\":[" LSTM(",\"batch_last\":true") "]}",
     C "network[0] (lstm): unknown key 'batch_last'"},
    {HEAD("text-generation") "\"network\":[" LSTM(",\"num_layers\":0") "]}",
     C "network[0] (lstm): 'num_layers' is 0, expected an integer from 1 to "},
    {HEAD("text-generation") "\"network\":[" LSTM(",\"num_layers\":1.5") "]}",
     C "network[0] (lstm): 'num_layers' is 1.5, expected an integer from 1 to "},
    {HEAD("text-generation") "\"network\":[" LSTM(",\"num_layers\":1e999") "]}",
     C "network[0] (lstm): 'num_layers' is inf, expected an integer from 1 to "},
    {HEAD("text-generation") "\"network\":[" LSTM(",\"bias\":1") "]}",
     C "network[0] (lstm): 'bias' is 1, expected true or false"},
    {HEAD("text-generation") "\"network\":[{\"type\":\"pooling\",\"mode\":\"min\"}]}",
     C "network[0] (pooling): 'mode' is 'min', expected one of 'last', 'mean', 'max'"},
    {HEAD("text-generation") "\"network\":[{\"type\":\"relu\",\"prefix\":\"r\"}]}",
     C "network[0] (relu): unknown key 'prefix'"},
    {HEAD("text-generation") "\"network\":[{\"type\":\"dropout\",\"p\":\"half\"}]}",
     C "network[0] (dropout): 'p' is 'half', expected a number"},
    /* tokenizer */
    {HEAD("text-generation") NETWORK ",\"tokenizer\":{}}", C "tokenizer: 'type' is missing"},
    {HEAD("text-generation") NETWORK ",\"tokenizer\":{\"type\":\"words\",\"vocabulery\":[]}}",
     C "tokenizer: unknown key 'vocabulery'; did you mean 'vocabulary'?"},
    {HEAD("text-generation") NETWORK ",\"tokenizer\":{\"type\":\"words\",\"vocabulary\":5}}",
     C "tokenizer: 'vocabulary' is 5, expected an array of strings or the name of a file"},
    {HEAD("text-generation") NETWORK ",\"tokenizer\":{\"type\":\"words\",\"vocabulary\":[\"a\",5]}}",
     C "tokenizer: vocabulary[1] is 5, expected a string that is not empty"},
    {HEAD("text-generation") NETWORK ",\"tokenizer\":{\"type\":\"words\",\"lowercase\":\"yes\"}}",
     C "tokenizer: 'lowercase' is 'yes', expected true or false"},
    /* labels, features, generation */
    {HEAD("sequence-classification") NUMBERS ",\"labels\":[]}", C "labels: 0 labels, expected 1 to 65536"},
    {HEAD("sequence-classification") NUMBERS ",\"labels\":[\"a\",\"\"]}",
     C "labels: [1] is '', expected a string that is not empty"},
    {HEAD("sequence-classification") NUMBERS ",\"labels\":[\"a\",\"b\",\"a\"]}",
     C "labels: 'a' is there twice"},
    {CLASSES ",\"features\":{\"scale\":0}}", C "features: scale is 0, expected a number of at least 2.225"},
    {CLASSES ",\"features\":{\"mean\":[1,null]}}", C "features: mean is null, expected a number"},
    {CLASSES ",\"features\":{\"mean\":[]}}", C "features: mean is empty"},
    {CLASSES ",\"features\":{\"std\":1}}", C "features: unknown key 'std'"},
    {HEAD("text-generation") NETWORK
     ",\"tokenizer\":{\"type\":\"words\",\"vocabulary\":[\"a\"],\"ngrams\":2}}",
     C "tokenizer: 'ngrams' has no place in task 'text-generation'"},
    {HEAD("text-classification") NETWORK ",\"tokenizer\":{\"type\":\"words\",\"ngrams\":6}," LABELS "}",
     C "tokenizer: ngrams is 6, expected"},
    {HEAD("text-classification") NETWORK ",\"tokenizer\":{\"type\":\"words\",\"ngrams\":[]}," LABELS "}",
     C "tokenizer: 'ngrams' has 0 entries, expected 1 to 5"},
    {HEAD("text-classification") NETWORK ",\"tokenizer\":{\"type\":\"bytes\",\"pad_length\":4}," LABELS "}",
     C "tokenizer: 'pad_length' is there without 'pad_token', expected both or neither"},
    {HEAD("text-classification") NETWORK ",\"tokenizer\":{\"type\":\"bytes\",\"pad_side\":\"right\"}," LABELS
                                         "}",
     C "tokenizer: 'pad_side' is there without 'pad_length'"},
    {HEAD("text-classification") NETWORK
     ",\"tokenizer\":{\"type\":\"bytes\",\"pad_length\":4,\"pad_token\":\"a\","
     "\"pad_side\":\"middle\"}," LABELS "}",
     C "tokenizer: 'pad_side' is 'middle', expected one of 'left', 'right'"},
    {HEAD("text-generation") NETWORK
     ",\"tokenizer\":{\"type\":\"bytes\",\"pad_length\":4,\"pad_token\":\"a\"}}",
     C "tokenizer: 'pad_length' has no place in task 'text-generation'"},
    {GENERATION ",\"generation\":{\"temperature\":-1}}",
     C "generation: 'temperature' is -1, expected a number from 0 to 100"},
    {GENERATION ",\"generation\":{\"top_p\":0}}",
     C "generation: 'top_p' is 0, expected a number above 0 to 1"},
    {GENERATION ",\"generation\":{\"max_tokens\":0}}",
     C "generation: 'max_tokens' is 0, expected an integer from 1 to 1048576"},
    /* forecast */
    {HEAD("forecasting") NUMBERS ",\"forecast\":{}}", C "forecast: 'context_length' is missing"},
    {HEAD("forecasting") NUMBERS ",\"forecast\":{\"context_length\":5000}}",
     C "forecast: 'context_length' is 5000, expected an integer from 1 to 4096"},
    {SERIES("{\"type\":\"maxmin\"}", VALUE, MEAN),
     C "forecast: scaling: 'type' is 'maxmin', expected one of 'none', 'constant', 'minmax', 'mean_abs', "},
    {SERIES("{\"type\":\"minmax\",\"min\":1}", VALUE, MEAN),
     C "forecast: scaling: 'max' is missing, type 'minmax' needs it"},
    {SERIES("{\"type\":\"minmax\",\"min\":1,\"max\":1}", VALUE, MEAN),
     C "forecast: scaling: max is 1, expected more than min, 1"},
    {SERIES("{\"type\":\"minmax\",\"min\":0,\"max\":1,\"low\":2}", VALUE, MEAN),
     C "forecast: scaling: high is 1, expected more than low, 2"},
    {SERIES("{\"type\":\"constant\",\"mean\":1,\"scale\":1,\"low\":0}", VALUE, MEAN),
     C "forecast: scaling: 'low' has no place in type 'constant'"},
    {SERIES("{\"type\":\"constant\",\"mean\":1}", VALUE, MEAN),
     C "forecast: scaling: 'scale' is missing, type 'constant' needs it"},
    {SERIES("{\"type\":\"none\",\"mean\":1}", VALUE, MEAN),
     C "forecast: scaling: 'mean' has no place in type 'none'"},
    {SERIES("{\"type\":\"constant\",\"mean\":1,\"scale\":1,\"minimum\":1}", VALUE, MEAN),
     C "forecast: scaling: 'minimum' has no place in type 'constant'"},
    {SERIES("{\"type\":\"standard\",\"level\":0.1}", "[\"value\"]", "{\"type\":\"mean\"}"),
     C "forecast: scaling: 'level' has no place in type 'standard'"},
    {SERIES(NONE, VALUE, "{\"type\":\"horizons\",\"horizon\":2,\"basis\":[\"one\"]}"),
     C "forecast: output: 'basis' has no place in type 'horizons'"},
    {SERIES(NONE, "[]", MEAN), C "forecast: inputs: 0 entries, expected 1 to 64"},
    {SERIES(NONE, "[\"value\",\"valve\"]", MEAN),
     C "forecast: inputs[1]: the name is 'valve', expected one of 'value', 'missing', "},
    {SERIES(NONE, "[{\"lag\":0}]", MEAN),
     C "forecast: inputs[0]: 'lag' is 0, expected an integer from 1 to 1024"},
    {SERIES(NONE, "[{\"lag\":1025}]", MEAN),
     C "forecast: inputs[0]: 'lag' is 1025, expected an integer from 1 to 1024"},
    {SERIES(NONE, "[{}]", MEAN), C "forecast: inputs[0]: "},
    {SERIES(NONE, "[7]", MEAN), C "forecast: inputs[0]: the name is 7, expected one of"},
    {SERIES(NONE, VALUE, "{\"type\":\"gaussian\"}"),
     C "forecast: output: 'type' is 'gaussian', expected one of 'mean', 'normal', 'student_t', 'quantiles'"},
    {SERIES(NONE, VALUE, "{\"type\":\"quantiles\"}"),
     C "forecast: output: 'levels' is missing, type 'quantiles' needs it"},
    {SERIES(NONE, VALUE, "{\"type\":\"mean\",\"levels\":[0.1,0.9]}"),
     C "forecast: output: 'levels' has no place in type 'mean'"},
    {SERIES(NONE, VALUE, "{\"type\":\"quantiles\",\"levels\":[0.5]}"),
     C "forecast: output: levels: 1 entries, expected 2 to 64"},
    {SERIES(NONE, VALUE, "{\"type\":\"quantiles\",\"levels\":[0.9,0.1]}"),
     C "forecast: output: levels[1]: 0.1 after 0.9, expected ascending levels"},
    {SERIES(NONE, VALUE, "{\"type\":\"quantiles\",\"levels\":[0,0.1]}"),
     C "forecast: output: levels[0]: a level is 0, expected a number above 0 to 1"},
    {SERIES(NONE, VALUE, "{\"type\":\"quantiles\",\"levels\":[0.1,1]}"),
     C "forecast: output: levels[1]: a level is 1, expected a number above 0 to 1"},
    {SERIES(NONE, VALUE, "{\"type\":\"quantiles\",\"levels\":[0.1,0.9],\"basis\":[\"one\"]}"),
     C "forecast: output: 'basis' has no place in type 'quantiles', which has no location"},
    {SERIES(NONE, VALUE, "{\"type\":\"candidates\",\"levels\":[0.1,0.9]}"),
     C "forecast: 'window' is missing, output type 'candidates' needs it"},
    {WEIGHED(""), C "forecast: 'window' is missing, output type 'candidates' needs it"},
    {WEIGHED(",\"window\":9"), C "forecast: window: 9, expected at most the context_length, 8"},
    {WEIGHED(",\"window\":4,\"scaling\":" NONE),
     C "forecast: 'scaling' has no place with output type 'candidates'"},
    {WEIGHED(",\"window\":4,\"inputs\":" VALUE),
     C "forecast: 'inputs' has no place with output type 'candidates'"},
    {WEIGHED(",\"window\":4,\"num_samples\":5"),
     C "forecast: 'num_samples' has no place with output type 'candidates'"},
    {SERIES("{\"type\":\"standard\",\"squash\":\"asinh\"}", VALUE, MEAN),
     C "forecast: scaling: 'squash' has no place with output type 'mean', only with 'patches'"},
    {SERIES("{\"type\":\"none\",\"binary\":true}", VALUE, MEAN),
     C "forecast: scaling: 'binary' has no place with output type 'mean', only with 'patches'"},
    {SERIES("{\"type\":\"mean_abs\",\"constant\":1}", VALUE, MEAN),
     C "forecast: scaling: 'constant' has no place in type 'mean_abs'"},
    {SERIES(NONE, VALUE, "{\"type\":\"mean\",\"band\":{\"scale\":1,\"exponent\":1}}"),
     C "forecast: output: 'band' has no place in type 'mean', only in 'patches'"},
    {SERIES(NONE, VALUE, "{\"type\":\"patches\",\"levels\":[0.1,0.9],\"band\":{\"scale\":1,\"exponent\":1}}"),
     C "forecast: output: 'band' needs the level 0.5, from which it measures"},
    {SERIES(NONE, VALUE,
            "{\"type\":\"patches\","
            "\"levels\":[0.1,0.5],\"trend\":{\"scale\":1,\"exponent\":1}}"),
     C "forecast: output: trend: 'r2' is missing"},
    {SERIES(NONE, VALUE, "{\"type\":\"patches\",\"levels\":[0.1,0.9]}"),
     C "forecast: 'inputs' has no place with output type 'patches'"},
    {SERIES(NONE, VALUE, "{\"type\":\"candidates\"}"),
     C "forecast: output: 'levels' is missing, type 'candidates' needs it"},
    {SERIES(NONE, VALUE, "{\"type\":\"candidates\",\"levels\":[0.1,0.9],\"residual\":\"last\"}"),
     C "forecast: output: 'residual' has no place in type 'candidates'"},
    {SERIES(NONE, VALUE, "{\"type\":\"mean\"},\"window\":4"),
     C "forecast: 'window' has no place with output type 'mean'"},
    {SERIES(NONE, VALUE, "{\"type\":\"mean\",\"basis\":[\"two\"]}"),
     C "forecast: output: basis[0]: the name is 'two', expected one of '"},
    {SERIES(NONE, VALUE, "{\"type\":\"mean\",\"weights\":\"softmax\"}"),
     C "forecast: output: 'weights' has no place without a 'basis'"},
    {SERIES(NONE, "[{\"error\":1}]", "{\"type\":\"mean\",\"basis\":[\"sum\"]}"),
     C "forecast: inputs[0]: 'error' is 1, but the basis has 1 entries"},
    {SERIES(NONE, "[{\"error\":0,\"lag\":1}]", "{\"type\":\"mean\",\"basis\":[\"sum\"]}"),
     C "forecast: inputs[0]: expected either 'lag' or 'error'"},
    {SERIES(NONE, VALUE, "{\"type\":\"mean\",\"basis\":[{\"error\":0}]}"),
     C "forecast: output: basis[0]: unknown key 'error'"},
    {SERIES(NONE, VALUE, "{\"type\":\"mean\",\"residual\":true}"),
     C "forecast: output: 'residual' is true, expected one of 'none', 'last'"},
};

START_TEST(broken_configs_are_refused)
{
    struct bundle *bundle;
    struct error err = {.message = ""};
    ck_assert_msg(read_text(broken[_i].text, &bundle, &err) != STATUS_OK, "%s", broken[_i].text);
    ck_assert_msg(strncmp(err.message, broken[_i].sentence, strlen(broken[_i].sentence)) == 0,
                  "%s\n   is: %s\n  not: %s", broken[_i].text, err.message, broken[_i].sentence);
}
END_TEST

START_TEST(too_many_values_are_refused)
{
    size_t n = 2 * (JSON_MAX_VALUES + 4);
    char *text = malloc(n + 1);
    struct bundle *bundle;
    struct error err;
    text[0] = '[';
    for (size_t i = 1; i < n; i += 2) memcpy(text + i, "1,", 2);
    text[n] = '\0';
    ck_assert_int_eq(read_text(text, &bundle, &err), STATUS_TOO_LONG);
    ck_assert_str_eq(err.message, "config.json: more than 1048576 values");
    free(text);
}
END_TEST

/* Sentences are cut where a key is long, and stay on one line whatever it holds. */
START_TEST(long_and_hostile_names_make_short_sentences)
{
    char text[4000] = GENERATION ",\"";
    size_t at = strlen(text);
    struct bundle *bundle;
    struct error err;
    for (int i = 0; i < 200; i++) at += (size_t)sprintf(text + at, "\\u001b\xe2\x80\xae");
    strcpy(text + at, "\":1}");
    ck_assert_int_ne(read_text(text, &bundle, &err), STATUS_OK);
    ck_assert_uint_lt(strlen(err.message), 160);
    for (const char *c = err.message; *c; c++) ck_assert_int_ge((unsigned char)*c, 0x20);
    ck_assert_ptr_null(strstr(err.message, "\xe2\x80\xae"));
}
END_TEST

/* ------------------------------------------------------------------------------------------
 * The vocabulary in a file */

static struct tmp tmp;

static void setup(void)
{
    tmp_make(&tmp);
}

static void teardown(void)
{
    tmp_remove(&tmp);
}

static enum status read_with_file(const char *name, struct bundle **out, struct error *err)
{
    char text[512];
    struct folder *folder;
    enum status status = folder_open(tmp.path, &folder, err);
    if (status != STATUS_OK) return status;
    snprintf(text, sizeof text,
             HEAD("text-generation") NETWORK ",\"tokenizer\":{\"type\":\"words\",\"vocabulary\":\"%s\"}}",
             name);
    return bundle_read(text, strlen(text), folder, out, err);
}

START_TEST(a_vocabulary_file_has_one_token_a_line)
{
    struct bundle *b;
    struct error err;
    tmp_write(&tmp, "v.txt", "one\ntwo words\n\0\n\xc3\xa9\n\r\nlast", 25);
    ck_assert_msg(read_with_file("v.txt", &b, &err) == STATUS_OK, "%s", err.message);
    const char *const expected[] = {"one", "two words", "\0", "\xc3\xa9", "\r", "last"};
    const size_t bytes[] = {3, 9, 1, 2, 1, 4};
    ck_assert_uint_eq(b->tokenizer.spec.n_vocabulary, 6);
    for (size_t i = 0; i < 6; i++) {
        ck_assert_uint_eq(b->tokenizer.spec.vocabulary_bytes[i], bytes[i]);
        ck_assert_mem_eq(b->tokenizer.spec.vocabulary[i], expected[i], bytes[i]);
    }
    ck_assert_str_eq(b->tokenizer.vocabulary.file, "v.txt");
    bundle_close(b);
}
END_TEST

static const struct {
    const char *name, *text, *sentence;
} files[] = {
    {"v.txt", "a\n\nb\n", "'v.txt': line 2 is empty"},
    {"v.txt", "a\r\nb\r\n", "'v.txt': line 1 ends in a carriage return, expected \\n alone"},
    {"v.txt", "\xef\xbb\xbf" "a\n", "'v.txt': begins with a byte order mark"},
    {"w.txt", "a\n", "'w.txt' is missing"},
    {"../v.txt", "a\n", "file name '../v.txt' is refused, expected a plain name in the bundle's own folder"},
    {"/etc/passwd", "a\n", "file name '/etc/passwd' is refused"},
    {"..", "a\n", "file name '..' is refused"},
    {".", "a\n", "file name '.' is refused"},
    {".hidden", "a\n", "file name '.hidden' is refused"},
    {"sub/v.txt", "a\n", "file name 'sub/v.txt' is refused"},
    {"folder", "a\n", "'folder' is a folder, expected a regular file"},
    {"fifo", "a\n", "'fifo' is a FIFO, expected a regular file"},
    {"link", "a\n",
     "'link' is a symbolic link that leads out of the folder that is served, expected a regular file, or a "
     "relative link to one below that folder"},
    {"circle", "a\n", "'circle' is a symbolic link that leads nowhere, expected a regular file"},
    {"dangling", "a\n", "'dangling' is missing"},
};

/* false on an old kernel and under an old valgrind: every link is refused there. */
static bool links_can_be_followed(void)
{
    return syscall(SYS_openat2, AT_FDCWD, ".", NULL, (size_t)0) >= 0 || errno != ENOSYS;
}

START_TEST(bad_vocabulary_files_are_refused)
{
    struct bundle *bundle;
    struct error err = {.message = ""};
    char path[TMP_PATH_BYTES], expected[256];
    struct stat found;
    tmp_write_text(&tmp, "v.txt", files[_i].text);
    tmp_mkdir(&tmp, "folder");
    ck_assert_int_eq(mkfifo(tmp_path(&tmp, "fifo", path), 0600), 0);
    ck_assert_int_eq(symlink("/etc/passwd", tmp_path(&tmp, "link", path)), 0);
    ck_assert_int_eq(symlink("circle", tmp_path(&tmp, "circle", path)), 0);
    ck_assert_int_eq(symlink("w.txt", tmp_path(&tmp, "dangling", path)), 0);
    ck_assert_int_ne(read_with_file(files[_i].name, &bundle, &err), STATUS_OK);
    snprintf(expected, sizeof expected, "config.json: tokenizer: vocabulary: %s", files[_i].sentence);
    if (!links_can_be_followed() && lstat(tmp_path(&tmp, files[_i].name, path), &found) == 0 &&
        S_ISLNK(found.st_mode))
        snprintf(expected, sizeof expected, "config.json: tokenizer: vocabulary: '%s' is a symbolic link, "
                 "expected a regular file", files[_i].name);
    ck_assert_msg(strncmp(err.message, expected, strlen(expected)) == 0, "%s", err.message);
}
END_TEST

START_TEST(a_huge_vocabulary_file_is_refused_unread)
{
    struct bundle *bundle;
    struct error err;
    char path[TMP_PATH_BYTES];
    tmp_write_text(&tmp, "v.txt", "a\n");
    ck_assert_int_eq(truncate(tmp_path(&tmp, "v.txt", path), (off_t)1 << 40), 0);
    ck_assert_int_eq(read_with_file("v.txt", &bundle, &err), STATUS_TOO_LONG);
    ck_assert_ptr_nonnull(strstr(err.message, "'v.txt' has 1099511627776 bytes, expected at most"));
}
END_TEST

START_TEST(no_memory_is_survived_everywhere)
{
    static const char *const texts[] = {
        GENERATION ",\"generation\":{\"top_k\":5}}",
        CLASSES ",\"features\":{\"mean\":0.5,\"scale\":[1,2,3,4]}}",
        SERIES(NONE, VALUE, "{\"type\":\"quantiles\",\"levels\":[0.1,0.9]}"),
    };
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        for (uint64_t nth = 1;; nth++) {
            struct bundle *bundle = NULL;
            struct error err;
            memory_fail_at(nth);
            enum status status = read_text(texts[i], &bundle, &err);
            memory_fail_at(0);
            bundle_close(bundle);
            if (status == STATUS_OK) break;
            ck_assert_msg(status == STATUS_NO_MEMORY, "allocation %d: %s", (int)nth, err.message);
        }
}
END_TEST

Suite *bundle_suite(void);

Suite *bundle_suite(void)
{
    Suite *suite = suite_create("bundle");
    TCase *core = tcase_create("config.json");
    tcase_add_test(core, a_generator_is_read);
    tcase_add_test(core, what_is_left_out_has_its_default);
    tcase_add_test(core, a_forecast_is_read);
    tcase_add_test(core, experts_are_read);
    tcase_add_test(core, features_are_one_number_or_many);
    tcase_add_loop_test(core, broken_configs_are_refused, 0, sizeof broken / sizeof *broken);
    tcase_add_test(core, too_many_values_are_refused);
    tcase_add_test(core, long_and_hostile_names_make_short_sentences);
    tcase_add_test(core, no_memory_is_survived_everywhere);
    suite_add_tcase(suite, core);
    TCase *vocabulary = tcase_create("vocabulary file");
    tcase_add_checked_fixture(vocabulary, setup, teardown);
    tcase_add_test(vocabulary, a_vocabulary_file_has_one_token_a_line);
    tcase_add_loop_test(vocabulary, bad_vocabulary_files_are_refused, 0,
                        sizeof files / sizeof *files);
    tcase_add_test(vocabulary, a_huge_vocabulary_file_is_refused_unread);
    suite_add_tcase(suite, vocabulary);
    return suite;
}
