/* import: files of other frameworks become bundles, or are refused with a sentence. The files were made by
 * tests/import/make_files.py; the golden vectors beside them are the frameworks' own outputs, so a bundle
 * that the loader accepts computes what its framework computed. */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "models/bundle/model.h"
#include "models/import/import.h"
#include "tests/support/tmp.h"
#include "tests/unit/allocations.h"

#define FILES "tests/import/files/"

static struct tmp tmp;

static void setup(void)
{
    tmp_make(&tmp);
}

static void teardown(void)
{
    tmp_remove(&tmp);
}

/* Import FILES file with the options into the folder "m"; what it prints, for free(). */
static char *import(struct options options, const char *file, const char *golden, enum status *status,
                    struct error *err)
{
    char path[TMP_PATH_BYTES], output[TMP_PATH_BYTES], vectors[TMP_PATH_BYTES];
    FILE *out = tmpfile();
    ck_assert_ptr_nonnull(out);
    snprintf(path, sizeof path, "%s%s", *file == '/' ? "" : FILES, file);
    snprintf(vectors, sizeof vectors, FILES "%s.golden.json", golden ? golden : "");
    options.file = path;
    options.output = tmp_path(&tmp, "m", output);
    if (golden) options.golden = vectors;
    *err = (struct error){.message = ""};
    *status = import_run(&options, out, err);
    long bytes = ftell(out);
    char *text = calloc((size_t)bytes + 1, 1);
    rewind(out);
    ck_assert_uint_eq(fread(text, 1, (size_t)bytes, out), (size_t)bytes);
    fclose(out);
    return text;
}

#define LETTERS .tokenizer = FILES "letters.json"
#define PAIRS .tokenizer = FILES "pairs.txt"
#define SPACES .split = "whitespace"
#define ABC .labels = "a,b,c"
#define AHEAD .pooling = "last", .horizon
#define WEATHER .columns = "load:target,price:past,warm:future"
#define TWINS .columns = "a:target,b:target"
#define SCALER3 .scaler = FILES "scaler3.json"
#define NETWORK(name) .network = FILES name "_network.json"
#define TRANSLATOR LETTERS, NETWORK("translator"), .bos = ","
#define ENCODER .initial_state = "encoder"
#define LEVELS .levels = "0.1,0.5,0.9"

/* Files that become bundles; `says` is part of the report. */
static const struct {
    const char *file, *golden;
    struct options options;
    const char *says;
} made[] = {
    {"writer.pt", "writer", {LETTERS}, "hidden_size          6               from rnn.weight_hh_l0 [24, 6]"},
    {"writer.pt", NULL, {LETTERS}, "reference"},
    {"writer.pt", "writer", {.tokenizer = FILES "letters.txt"}, "text-generation"},
    {"writer.pt", "writer", {.tokenizer = FILES "letter_ids.json"}, "characters"},
    {"writer.pt", "writer", {LETTERS, .precision = "float16", .description = "Says \"hi\"."}, "embedding"},
    {"writer_legacy.pt", "writer", {LETTERS}, "PyTorch's format before 1.6"},
    {"writer_half.pt", "writer_half", {LETTERS}, "num_layers           2"},
    {"writer2_checkpoint.pt", "writer2", {LETTERS}, "optimizer_state_dict"},
    {"writer2_lightning.ckpt", "writer2", {LETTERS}, "model.rnn"},
    {"writer2_views.pt", "writer2", {LETTERS}, "linear"},
    {"writer2_views_legacy.pt", "writer2", {LETTERS}, "linear"},
    {"writer2.safetensors", "writer2", {LETTERS}, "safetensors"},
    {"writer2_script.pt", "writer2", {LETTERS}, "TorchScript"},
    {"writer2_trace.pt", "writer2", {LETTERS}, "TorchScript"},
    {"writer2.pt2", "writer2", {LETTERS}, "num_layers           2"},
    {"writer2_before_2_8.pt2", "writer2", {LETTERS}, "num_layers           2"},
    {"writer2.npz", "writer2", {LETTERS}, "NumPy's zip"},
    {"writer2_columns.npz", "writer2", {LETTERS}, "NumPy's zip"},
    {"classifier_module.pt", "classifier", {LETTERS, ABC, .pooling = "mean"}, "ReLU 'head.2'"},
    {"classifier.pt",
     "classifier",
     {LETTERS, ABC, .network = FILES "classifier_network.json"},
     "from --network"},
    {"classifier_module.pt", NULL, {PAIRS, ABC, .pooling = "mean", .ngrams = "2"}, "from --ngrams"},
    {"classifier_module.pt", NULL, {PAIRS, ABC, .pooling = "mean", .ngrams = "1,2"}, "1,2"},
    {"classifier_module.pt", NULL, {PAIRS, ABC, .pooling = "mean", .ngrams = "1", .split = "words"}, "words"},
    {"classifier_module.pt", NULL, {PAIRS, ABC, .pooling = "mean", .ngrams = "2", SPACES}, "whitespace"},
    {"classifier.pt", "classifier", {LETTERS, ABC, .network = FILES "network_plain.json"}, "from --network"},
    {"skip.pt", "skip", {LETTERS, NETWORK("skip")}, "add                                    from add of"},
    {"skip.pt", NULL, {LETTERS, NETWORK("skip")}, "reference"},
    {"attended.pt", "attended", {LETTERS, ABC, NETWORK("attended")}, "attention_size       6"},
    {"attended.pt", NULL, {LETTERS, ABC, NETWORK("attended")}, "reference"},
    {"feeding.pt", "feeding", {LETTERS, NETWORK("feeding")}, "previous"},
    {"feeding.pt", NULL, {LETTERS, NETWORK("feeding")}, "reference"},
    {"assorted.pt", "assorted", {ABC, NETWORK("assorted")}, "groups               8"},
    {"assorted.pt", NULL, {ABC, NETWORK("assorted")}, "reference"},
    {"translator.pt", "translator", {TRANSLATOR, ENCODER, .eos = "."}, "an encoder and a decoder"},
    {"translator.pt", NULL, {TRANSLATOR, ENCODER, .eos = "."}, "reference"},
    {"translator.pt", NULL, {TRANSLATOR, ENCODER, .eos = ".", .pad = "right:12:f"}, "12, on the right"},
    {"translator.pt",
     NULL,
     {TRANSLATOR, .initial_state = "zero", .eos = ".", .target_tokenizer = FILES "letters.txt",
      .source_eos = "a"},
     "source-eos"},
    {"branches.keras",
     "branches",
     {LETTERS, ABC, .pad = "none", NETWORK("branches")},
     "Keras' GRU(5) 'third'"},
    {"branches.keras", NULL, {LETTERS, ABC, .pad = "none", NETWORK("branches")}, "reference"},
    {"branches.h5", "branches", {LETTERS, ABC, .pad = "none", NETWORK("branches")}, "Keras' GRU(5) 'third'"},
    {"branches.weights.h5",
     "branches",
     {LETTERS, ABC, .pad = "none", NETWORK("branches")},
     "Keras' GRU 'third'"},
    {"branches_old.h5", "branches", {LETTERS, ABC, .pad = "none", NETWORK("branches")}, "Keras' LSTM 'both'"},
    {"branches.weights.h5", NULL, {LETTERS, ABC, .pad = "right:9:a", NETWORK("branches")}, "9, on the right"},
    {"keras_binary.h5", NULL, {.tokenizer = FILES "keras_filters.json", .labels = "no,yes"}, "words_keras"},
    {"keras_binary.h5", NULL, {.tokenizer = FILES "keras_letters.json", .labels = "no,yes"}, "characters"},
    {"keras_binary.h5",
     NULL,
     {.tokenizer = FILES "keras_parts.pickle:letters", .labels = "no,yes"},
     "characters"},
    {"sine.pt", "sine", {.task = "forecasting"}, "proj_size            3"},
    {"sine.pt", NULL, {.task = "forecasting", .scaler = FILES "standard.pkl"}, "scaler"},
    {"sine.pt", NULL, {.task = "forecasting", .scaler = FILES "range.pkl"}, "scaler"},
    {"horizons.pt", "horizons", {WEATHER, AHEAD = "4", .context = "24"}, "warm future     from --columns"},
    {"horizons.pt", NULL, {WEATHER "+2", AHEAD = "4", .context = "24"}, "horizon                4"},
    {"horizons.pt", NULL, {WEATHER, AHEAD = "4", .context = "9", SCALER3}, "scaler3.json"},
    {"twins.pt", "twins", {TWINS, AHEAD = "3", .context = "24", .shape = "step,column"}, "b target"},
    {"twins.pt", NULL, {TWINS, AHEAD = "3", .context = "24", .shape = "column,step"}, "reference"},
    {"levels.pt", "levels", {LEVELS, AHEAD = "2", .context = "24", .shape = "step,level"}, "horizon"},
    {"levels.pt", "levels", {.levels = "0.1,0.2,0.3,0.5,0.6,0.9", .task = "forecasting"}, "context_length"},
    {"onnx_twins.onnx", "twins", {TWINS, .horizon = "3", .context = "24"}, "from the axes of the output"},
    {"keras_twins.keras", "keras_twins", {TWINS, .horizon = "3"}, "from the axes of the output"},
    {"cells.pt", "cells", {ABC, .pooling = "last"}, "bias                 false"},
    {"gru.pt", "gru", {ABC, .pooling = "max"}, "bidirectional        true"},
    {"rnn_module.pt", NULL, {ABC, .pooling = "last"}, "nonlinearity"},
    {"normed.pt", "normed", {ABC, .network = FILES "normed_network.json"}, "kernel_size          3"},
    {"regressor.pt", "regressor", {.task = "sequence-prediction"}, "sequence-prediction"},
    {"keras_normed.keras", "keras_normed", {ABC}, "\"causal\""},
    {"keras_every_step.keras", "keras_every_step", {0}, "2 outputs at every step"},
    {"keras_every_step.keras", NULL, {0}, "reference"},
    {"letters_beside.pt", NULL, {.tokenizer = "characters"}, "from 'char2idx' of the checkpoint"},
    {"letters_beside.pt", NULL, {.tokenizer = FILES "letters.pkl"}, "characters"},
    {"writer.pt", NULL, {.tokenizer = FILES "torchtext_vocab.pkl"}, "words           itos of the pickle"},
    {"keras_binary.h5", NULL, {.tokenizer = FILES "keras_words.json", .labels = "no,yes"}, "words_keras"},
    {"keras_binary.h5", NULL, {.tokenizer = FILES "keras_words.pickle", .labels = "no,yes"}, "pickled"},
    {"keras1.h5", "keras2", {ABC}, "hard_sigmoid_keras2"},
    {"keras2.h5", "keras2", {ABC}, "Keras' LSTM(5) 'lstm_1'"},
    {"keras2_packed.h5", "keras2", {ABC}, "2.2.4"},
    {"keras2_cudnn.h5", "keras2_cudnn", {ABC}, "CuDNNLSTM(5)"},
    {"keras_binary.h5", "keras_binary", {LETTERS, .labels = "no,yes"}, "mask_zero            true"},
    {"keras_binary.keras",
     "keras_binary",
     {LETTERS, .labels = "no,yes"},
     "sigmoid         from the last layer"},
    {"keras_forecast.h5", "keras_forecast", {.task = "forecasting"}, "context_length         10"},
    {"keras_chain.keras", "keras_chain", {ABC}, "\"hard_sigmoid\""},
    {"keras_chain.keras", "keras_chain", {ABC}, "go_backwards         true"},
    {"keras_chain.keras", "keras_chain", {ABC}, "reset_after          false"},
    {"keras_letters.keras", "keras_letters", {LETTERS}, "one_hot"},
    {"keras_pooled.keras", "keras_pooled", {LETTERS, ABC, .pad = "none"}, "GlobalMaxPooling1D"},
    {"keras_pooled.keras", NULL, {LETTERS, ABC, .pad = "left:40:."}, "id 10 of the vocabulary"},
    {"keras_pooled.keras", "keras_padded", {.tokenizer = FILES "padded.txt", ABC, .pad = "left:12"}, "<pad>"},
    {"keras_binary.h5", NULL, {LETTERS, .labels = "no,yes", .pad = "left:9"}, "padding is masked"},
    {"onnx_writer.onnx", "onnx_writer", {LETTERS}, "ONNX' LSTM /rnn/LSTM"},
    {"onnx_writer_dynamo.onnx", "onnx_writer", {LETTERS}, "val_142 [6, 12]"},
    {"onnx_external.onnx", "onnx_writer", {LETTERS}, "embed"},
    {"onnx_classifier.onnx", "onnx_classifier", {LETTERS, ABC, .pad = "none"}, "\"mean\""},
    {"onnx_classifier_dynamo.onnx",
     "onnx_classifier",
     {LETTERS, ABC, .pad = "none"},
     "bidirectional        true"},
    {"keras_flatten.keras", "keras_flatten", {.task = "sequence-prediction"}, "steps                4"},
    {"keras_flatten.keras", NULL, {.task = "sequence-prediction"}, "reference"},
    {"writer2.json", "writer2", {LETTERS}, "epochs"},
    {"dump.json", "dump", {ABC, .pooling = "last", .gates = "ifco,zrh"}, "reset_after          false"},
    {"dump.npz", "dump", {ABC, .pooling = "last", .gates = "zrn,ifgo"}, "reset_after          false"},
    {"word_averaged.pt", "word", {LETTERS, ABC, .pooling = "last"}, "a counter of AveragedModel"},
    {"word_loss.ckpt", "word", {LETTERS, ABC, .pooling = "last"}, "weights of a loss"},
    {"word_tuple.pt", "word", {LETTERS, ABC, .pooling = "last"}, "net"},
    {"tied.safetensors", "tied", {LETTERS}, "embed"},
    {"tf2onnx_text.onnx",
     "tf2onnx_text",
     {LETTERS, ABC, .activation = "softmax", .pad = "none"},
     "bidirectional        true"},
    {"tf2onnx_both.onnx", "tf2onnx_both", {ABC, .activation = "softmax"}, "tf2onnx"},
    {"onnx_quantised_text.onnx", "onnx_quantised_text", {LETTERS}, "embed.weight_quantized [12, 4]  uint8"},
    {"onnx_quantised_rows.onnx", "onnx_quantised_rows", {ABC}, "dequantised"},
    {"onnx_training.onnx", "onnx_classifier", {LETTERS, ABC, .pad = "none"}, "relu"},
    {"onnx_gru.onnx", "onnx_gru", {ABC}, "\"max\""},
    {"onnx_states.onnx", "onnx_states", {ABC}, "\"last\""},
    {"onnx_states_dynamo.onnx", "onnx_states", {ABC}, "softmax         from the last layer"},
    {"onnx_peepholes.onnx", "onnx_peepholes", {ABC}, "peepholes            true"},
    {"onnx_peepholes.onnx", "onnx_peepholes", {ABC}, "initial_state        true"},
    {"onnx_fed/model.onnx", NULL, {0}, "2               cases of test_data_set_0"},
    {"onnx_fed/model.onnx", NULL, {.scaler = FILES "scaler3.json"}, "2 sequences     of test_data_set_0 met"},
    {"onnx_fed_layers.onnx", NULL, {0}, "initial_h              a state         zeros, unless a request has"},
    {"onnx_reset_before.onnx", "onnx_reset_before", {ABC}, "reset_after          false"},
    {"onnx_reverse.onnx", "onnx_reverse", {ABC}, "go_backwards         true"},
};

START_TEST(a_file_becomes_a_bundle_that_computes_the_same)
{
    struct error err;
    enum status status;
    struct model *model;
    char path[TMP_PATH_BYTES];
    char *report = import(made[_i].options, made[_i].file, made[_i].golden, &status, &err);
    ck_assert_msg(status == STATUS_OK, "%s: %s", made[_i].file, err.message);
    ck_assert_msg(strstr(report, made[_i].says) != NULL, "%s: %s", made[_i].file, report);
    status = model_load(tmp_path(&tmp, "m", path), "m", "1", PRECISION_AUTO, &model, &err);
    ck_assert_msg(status == STATUS_OK, "%s", err.message);
    ck_assert_double_lt(model->proof_float32.error, 1e-5);
    ck_assert_uint_ge(model->n_golden, 3);
    model_drop(model);
    free(report);
}
END_TEST

/* What is refused: `param` is the flag that the sentence asks for, or "". */
static const struct {
    const char *file;
    struct options options;
    const char *param, *says;
} refused[] = {
    {"keras_open.keras", {.task = "sequence-prediction"}, "", "the number of steps is not fixed"},
    {"keras_flatten.keras", {.task = "forecasting"}, "", "reads from the end"},
    {"dump.json", {ABC, .pooling = "last"}, "gates", "the order of the gates of 'first' is not in the file"},
    {"dump.json", {ABC, .pooling = "last", .gates = "ifco"}, "gates", "of Keras: zrn"},
    {"dump.json", {ABC, .pooling = "last", .gates = "iico,zzz,"}, "gates", "ifgo"},
    {"uneven.json", {ABC}, "", "'a' is no array of numbers whose rows have one length"},
    {"letter_ids.json", {ABC}, "", "JSON without weights"},
    {"packed.pt", {LETTERS, ABC, .pooling = "last"}, "", "quantised by torch.ao"},
    {"packed_module.pt", {LETTERS, ABC, .pooling = "last"}, "", "quantised by torch.ao"},
    {"packed_script.pt", {LETTERS, ABC, .pooling = "last"}, "", "quantised by torch.ao"},
    {"two.pt", {LETTERS, ABC, .pooling = "last"}, "", "torch.save(checkpoint['model'], 'one.pt')"},
    {"weight_norm.pt", {LETTERS, ABC, .pooling = "last"}, "", "remove_parametrizations"},
    {"normed.pt", {ABC, .pooling = "last"}, "network", "{\"type\":\"batch_norm\",\"prefix\":\"batch\"}"},
    {"tf2onnx_loop.onnx", {ABC}, "", "LSTM, GRU or RNN; of a model of Keras, import its own file"},
    {"onnx_quantised_odd.onnx", {ABC}, "", "(Mul): its weights are quantised"},
    {"onnx_quantised_gates.onnx", {ABC}, "", "its weights are quantised in a way that is not read"},
    {"writer.pt", {0}, "tokenizer", "which texts its 12 ids stand for"},
    {"writer.pt", {LETTERS, .task = "text-classification", ABC}, "pooling", "--pooling last"},
    {"writer.pt", {LETTERS, .task = "poetry"}, "task", "'poetry' is not known"},
    {"writer.pt", {LETTERS, .task = "forecasting"}, "task", "reads ids of tokens"},
    {"writer.pt", {.tokenizer = "bytes"}, "", "has 256 ids, but the network has 12"},
    {"classifier.pt", {LETTERS, ABC, .pooling = "mean"}, "network", "several linear layers"},
    {"classifier_module.pt", {LETTERS, .pooling = "mean"}, "labels", "3 classes"},
    {"classifier_module.pt", {LETTERS, .labels = "a,b", .pooling = "mean"}, "labels", "gives 2 names"},
    {"classifier_module.pt",
     {LETTERS, ABC, .pooling = "mean", .task = "text-generation"},
     "",
     "step by step"},
    {"sine.pt", {0}, "task", "--task forecasting"},
    {"optimizer.pt", {0}, "", "the state of an optimizer"},
    {"attention.pt", {LETTERS}, "", "attention"},
    {"complex.pt", {0}, "", "ComplexFloatStorage"},
    {"script.pt", {0}, "", "recurrent"},
    {"big_endian.npz", {LETTERS}, "", "little-endian"},
    {"standard.pkl", {0}, "", "a pickle that torch.save did not write"},
    {"letters.json", {0}, "", "the format is not known"},
    {"writer.pt", {.tokenizer = "characters"}, "tokenizer", "holds no list or dictionary of 12"},
    {"keras_binary.h5", {.tokenizer = FILES "keras_split.json", .labels = "no,yes"}, "", "splits at ', '"},
    {"keras_binary.h5",
     {.tokenizer = FILES "keras_parts.pickle:reads", .labels = "no,yes"},
     "",
     "an analyzer of"},
    {"keras_binary.h5",
     {.tokenizer = FILES "keras_parts.pickle:other", .labels = "no,yes"},
     "",
     "no member 'oth"},
    {"keras_binary.h5", {.tokenizer = FILES "letters.txt:reads", .labels = "no,yes"}, "", "is no pickle"},
    {"keras_pooled.keras", {LETTERS, ABC}, "pad", "--pad none"},
    {"keras_pooled.keras", {LETTERS, ABC, .pad = "left:40"}, "pad", "name the token"},
    {"keras_pooled.keras", {LETTERS, ABC, .pad = "left:40:z"}, "pad", "has no token 'z'"},
    {"keras_pooled.keras", {LETTERS, ABC, .pad = "left:0"}, "pad", "expected none, left:N"},
    {"keras_pooled.keras", {LETTERS, ABC, .pad = "left:9:"}, "pad", "expected none, left:N"},
    {"keras_pooled.keras", {LETTERS, ABC, .pad = "right:40"}, "pad", "by --pad right:40:TOKEN"},
    {"onnx_writer.onnx", {LETTERS, .task = "sequence-prediction", .pad = "left:4"}, "", "pads no texts"},
    {"horizons.pt", {.task = "forecasting"}, "columns", "the network reads 3 numbers a step"},
    {"horizons.pt", {WEATHER, .task = "forecasting"}, "horizon", "column 'price' is known up to now"},
    {"horizons.pt", {WEATHER, AHEAD = "4"}, "context", "how many values the network read"},
    {"horizons.pt", {WEATHER, .horizon = "4", .context = "24"}, "pooling", "the file does not say how"},
    {"horizons.pt", {WEATHER, AHEAD = "5"}, "horizon", "5 steps of 1 target at 1 level are 5 numbers"},
    {"horizons.pt", {WEATHER "+5", AHEAD = "4"}, "columns", "read 5 steps ahead"},
    {"horizons.pt", {WEATHER, AHEAD = "four"}, "", "expected a number from 1 to 4096"},
    {"horizons.pt", {WEATHER, AHEAD = "4", .task = "sequence-prediction"}, "task", "no place"},
    {"horizons.pt", {WEATHER, AHEAD = "4", .scaler = FILES "standard.pkl"}, "scaler", "are 3 columns"},
    {"horizons.pt", {.columns = "load:target", AHEAD = "4"}, "columns", "names 1 columns"},
    {"horizons.pt", {.columns = "a:past,b:past,c:past", AHEAD = "4"}, "columns", "none of them is a"},
    {"horizons.pt", {.columns = "a,b,c", AHEAD = "4"}, "", "'a' is no NAME:target"},
    {"horizons.pt", {.columns = "a:target+1,b,c", AHEAD = "4"}, "", "'a:target' is no NAME:target"},
    {"twins.pt", {TWINS, AHEAD = "3", .context = "24"}, "shape", "--shape step,column,level"},
    {"twins.pt", {TWINS, AHEAD = "3", .context = "24", .shape = "steps"}, "", "expected step, column and"},
    {"classifier_module.pt", {PAIRS, ABC, .pooling = "mean"}, "ngrams", "such as 'not good'"},
    {"classifier_module.pt", {PAIRS, ABC, .pooling = "mean", .ngrams = "6"}, "ngrams", "from 1 to 5"},
    {"classifier_module.pt", {PAIRS, ABC, .pooling = "mean", .ngrams = "2,"}, "ngrams", "from 1 to 5"},
    {"classifier_module.pt", {LETTERS, ABC, .pooling = "mean", SPACES}, "split", "of a vocabulary of words"},
    {"writer.pt", {PAIRS, .ngrams = "2"}, "", "task 'text-generation' reads single tokens"},
    {"classifier.pt", {LETTERS, ABC, .network = FILES "network_inputs.json"}, "", "reads ids"},
    {"classifier.pt", {LETTERS, ABC, .network = FILES "network_backwards.json"}, "", "go_backwards and"},
    {"classifier.pt", {LETTERS, ABC, .network = FILES "network_attention.json"}, "", "unknown key 'mode'"},
    {"attended.pt", {LETTERS, ABC, NETWORK("skip")}, "", "no tensors under the prefix 'embed'"},
    {"translator.pt", {TRANSLATOR, .eos = "."}, "initial-state", "--initial-state encoder"},
    {"translator.pt", {TRANSLATOR, .initial_state = "encoder"}, "eos", "by --bos TOKEN and --eos TOKEN"},
    {"translator.pt", {TRANSLATOR, ENCODER, .eos = "x"}, "eos", "has no token 'x'"},
    {"translator.pt", {TRANSLATOR, ENCODER, .eos = ".", .task = "text-generation"}, "task", "has no use for"},
    {"branches.keras",
     {LETTERS, ABC, .pad = "none", NETWORK("translator")},
     "",
     "no tensors under the prefix"},
    {"branches.keras", {LETTERS, ABC, NETWORK("branches")}, "pad", "--pad right:N"},
    {"branches.h5", {LETTERS, ABC, .pad = "none"}, "", "give it by --network FILE"},
    {"twins.pt", {TWINS, .task = "forecasting"}, "horizon", "6 numbers for 2 targets"},
    {"levels.pt", {.task = "forecasting"}, "horizon", "6 numbers for 1 target;"},
    {"levels.pt", {.levels = "0.1,2", AHEAD = "3"}, "", "above 0 and below 1"},
    {"keras_reshaped.keras", {ABC}, "", "a reshape is served if it comes last"},
    {"keras_forecast.h5", {.task = "sequence-classification", ABC}, "activation", "as a regression does"},
    {"keras_branches.keras", {0}, "", "only a chain of layers is followed"},
    {"keras_lambda.keras", {0}, "", "RepeatVector"},
    {"keras_weights.h5", {0}, "", "holds no tensors"},
    {"branches.weights.h5", {LETTERS}, "network", "{\"type\":\"gru\",\"prefix\":\"third\"}"},
    {"branches_old.h5", {LETTERS, ABC, NETWORK("bare")}, "network", "hard_sigmoid_keras2 in Keras 1 and 2"},
    {"keras_latest.h5", {0}, "", "libver='latest'"},
    {"onnx_projection.onnx", {.task = "forecasting"}, "", "the exporter left out the projection"},
    {"onnx_wrong_gru.onnx", {ABC}, "", "pytorch#189225"},
    {"missing.pt", {0}, "", "cannot be opened"},
    {"/dev/null", {0}, "", "is no regular file"},
};

START_TEST(what_cannot_be_imported_says_why)
{
    struct error err;
    enum status status;
    char path[TMP_PATH_BYTES];
    char *report = import(refused[_i].options, refused[_i].file, NULL, &status, &err);
    ck_assert_int_ne(status, STATUS_OK);
    ck_assert_msg(strstr(err.message, refused[_i].says) != NULL, "%s: %s", refused[_i].file, err.message);
    ck_assert_str_eq(err.param, refused[_i].param);
    FILE *config = fopen(tmp_path(&tmp, "m/config.json", path), "r");
    ck_assert_ptr_null(config);
    free(report);
}
END_TEST

/* Files that are opened by mistake. */
static const struct {
    const char *bytes;
    size_t n;
    const char *says;
} mistakes[] = {
#define FILE_OF(text, says) {text, sizeof text - 1, says}
    FILE_OF("version https://git-lfs.github.com/spec/v1\noid sha256:12", "git lfs pull"),
    FILE_OF("<!DOCTYPE html><html>", "a page of HTML"),
    FILE_OF("\x1f\x8b\x08\0\0\0\0\0", "gunzip"),
    FILE_OF("GGUF\3\0\0\0", "GGUF"),
    FILE_OF("\x1c\0\0\0TFL3\0\0\0\0", "tf2onnx"),
    FILE_OF("\x93NUMPY\1\0", "NumPy"),
    FILE_OF("{\"architectures\": [\"LSTM\"]}", "JSON without weights"),
    FILE_OF("PK\3\4", "it is too short"),
    FILE_OF("", "the format is not known"),
};

START_TEST(a_file_that_is_something_else_says_what)
{
    struct error err;
    enum status status;
    char path[TMP_PATH_BYTES];
    tmp_write(&tmp, "file.pt", mistakes[_i].bytes, mistakes[_i].n);
    free(import((struct options){0}, tmp_path(&tmp, "file.pt", path), NULL, &status, &err));
    ck_assert_int_ne(status, STATUS_OK);
    ck_assert_msg(strstr(err.message, mistakes[_i].says) != NULL, "%s", err.message);
}
END_TEST

static char *read_whole(const char *file, size_t *n)
{
    FILE *in = fopen(file, "rb");
    ck_assert_ptr_nonnull(in);
    fseek(in, 0, SEEK_END);
    *n = (size_t)ftell(in);
    rewind(in);
    char *bytes = malloc(*n + 1);
    ck_assert_uint_eq(fread(bytes, 1, *n, in), *n);
    fclose(in);
    return bytes;
}

/* ONNX' weights in a file beside it: as they are, missing, cut, and with another model's behind them. */
START_TEST(weights_beside_a_graph_are_whole_or_refused)
{
    static const struct {
        size_t bytes; /* of the file beside; SIZE_MAX: there is none */
        const char *says;
    } rows[] = {{2400, NULL},
                {SIZE_MAX, "must be in the same folder"},
                {2399, "it is incomplete, or another model's"},
                {100000, "it is another model's"}};
    struct error err;
    enum status status;
    char path[TMP_PATH_BYTES];
    size_t n, n_data;
    char *graph = read_whole(FILES "onnx_external.onnx", &n);
    char *data = read_whole(FILES "onnx_external.onnx.data", &n_data), *longer = calloc(100000, 1);
    memcpy(longer, data, n_data);
    tmp_write(&tmp, "g.onnx", graph, n);
    if (rows[_i].bytes != SIZE_MAX) tmp_write(&tmp, "onnx_external.onnx.data", longer, rows[_i].bytes);
    free(import((struct options){LETTERS}, tmp_path(&tmp, "g.onnx", path), NULL, &status, &err));
    ck_assert_msg((status == STATUS_OK) == !rows[_i].says, "%s", err.message);
    if (rows[_i].says) ck_assert_msg(strstr(err.message, rows[_i].says) != NULL, "%s", err.message);
    free(graph);
    free(data);
    free(longer);
}
END_TEST

START_TEST(folders_are_searched)
{
    struct error err;
    enum status status;
    char path[TMP_PATH_BYTES];
    tmp_mkdir(&tmp, "saved");
    tmp_write_text(&tmp, "saved/saved_model.pb", "x");
    free(import((struct options){0}, tmp_path(&tmp, "saved", path), NULL, &status, &err));
    ck_assert_ptr_nonnull(strstr(err.message, "SavedModel"));
    tmp_mkdir(&tmp, "empty");
    free(import((struct options){0}, tmp_path(&tmp, "empty", path), NULL, &status, &err));
    ck_assert_ptr_nonnull(strstr(err.message, "holds no model"));
    static const struct {
        const char *file, *says;
    } others[] = {{"prediction-net.json", "GluonTS"}, {"model.safetensors.index.json", "max_shard_size"}};
    for (size_t i = 0; i < sizeof others / sizeof *others; i++) {
        char folder[32], file[80];
        snprintf(folder, sizeof folder, "folder%zu", i);
        snprintf(file, sizeof file, "%s/%s", folder, others[i].file);
        tmp_mkdir(&tmp, folder);
        tmp_write_text(&tmp, file, "{}");
        free(import((struct options){0}, tmp_path(&tmp, folder, path), NULL, &status, &err));
        ck_assert_ptr_nonnull(strstr(err.message, others[i].says));
    }
}
END_TEST

START_TEST(a_bundle_that_is_there_stays)
{
    struct error err;
    enum status status;
    tmp_mkdir(&tmp, "m");
    free(import((struct options){LETTERS}, "writer.pt", NULL, &status, &err));
    ck_assert_int_eq(status, STATUS_BAD_VALUE);
    ck_assert_ptr_nonnull(strstr(err.message, "is there already"));
}
END_TEST

START_TEST(golden_vectors_that_differ_refuse_the_bundle)
{
    struct error err;
    enum status status;
    char path[TMP_PATH_BYTES];
    free(import((struct options){LETTERS}, "writer.pt", "writer2", &status, &err));
    ck_assert_int_eq(status, STATUS_BAD_GOLDEN);
    FILE *config = fopen(tmp_path(&tmp, "m/config.json", path), "r");
    ck_assert_ptr_null(config);
}
END_TEST

START_TEST(a_dry_run_writes_nothing)
{
    struct error err;
    enum status status;
    char path[TMP_PATH_BYTES];
    char *report = import((struct options){LETTERS, .dry_run = true}, "writer.pt", NULL, &status, &err);
    ck_assert_int_eq(status, STATUS_OK);
    ck_assert_ptr_nonnull(strstr(report, "text-generation"));
    FILE *config = fopen(tmp_path(&tmp, "m/config.json", path), "r");
    ck_assert_ptr_null(config);
    free(report);
}
END_TEST

static const char *const readable[] = {
    "writer.pt",           "writer_legacy.pt",
    "writer2.safetensors", "classifier_module.pt",
    "keras_letters.keras", "keras_binary.h5",
    "onnx_writer.onnx",    "onnx_quantised_text.onnx",
    "tf2onnx_both.onnx",   "writer2.json",
    "dump.npz"};

/* A file that is cut anywhere is refused, and the sanitizers watch every byte. */
START_TEST(cut_files_are_refused)
{
    char path[TMP_PATH_BYTES];
    struct error err;
    size_t n;
    snprintf(path, sizeof path, FILES "%s", readable[_i]);
    char *bytes = read_whole(path, &n);
    for (size_t cut = 1; cut < n; cut += n / 97 + 1) {
        struct pool *pool = pool_new(1 << 26);
        struct report report = {.pool = pool};
        struct plan *plan = pool_take(pool, 1, sizeof *plan);
        struct options options = {.pooling = "mean"};
        const char *origin = "";
        char *part = malloc(cut);
        memcpy(part, bytes, cut);
        plan->pool = pool;
        plan->report = &report;
        enum status status = import_read((uint8_t *)part, cut, NULL, &options, plan, &origin, &err);
        ck_assert_msg(status != STATUS_OK && err.message[0], "%s cut to %zu is accepted", readable[_i], cut);
        free(part);
        pool_free(pool);
    }
    free(bytes);
}
END_TEST

/* Whichever allocation fails: a clean refusal, and nothing is lost (the sanitizers see it). */
START_TEST(an_allocation_that_fails_is_a_refusal)
{
    struct error err;
    enum status status = STATUS_NO_MEMORY;
    for (uint64_t nth = 1; status != STATUS_OK && nth < 3000; nth += nth < 40 ? 1 : 7) {
        char path[TMP_PATH_BYTES], output[TMP_PATH_BYTES];
        FILE *out = tmpfile();
        bool dump = strstr(readable[_i], "dump"), binary = strstr(readable[_i], "binary");
        bool rows = dump || strstr(readable[_i], "tf2onnx"), classifier = strstr(readable[_i], "classifier");
        snprintf(path, sizeof path, FILES "%s", readable[_i]);
        struct options options = {.file = path,
                                  .output = tmp_path(&tmp, "m", output),
                                  .tokenizer = rows ? NULL : FILES "letters.json",
                                  .pooling = classifier || rows ? "mean" : NULL,
                                  .gates = dump ? "ifgo,zrn" : NULL,
                                  .activation = rows && !dump ? "softmax" : NULL,
                                  .labels = classifier || rows ? "a,b,c"
                                            : binary           ? "no,yes"
                                                               : NULL};
        allocations_fail_at(nth, false);
        status = import_run(&options, out, &err);
        bool failed = allocations_have_failed();
        fclose(out);
        if (status != STATUS_OK) ck_assert_msg(failed && err.message[0], "%zu: %s", (size_t)nth, err.message);
        if (!failed) break;
        if (status == STATUS_OK) { /* a line of the report was lost, no more */
            tmp_remove(&tmp);
            tmp_make(&tmp);
            status = STATUS_NO_MEMORY;
        }
    }
    ck_assert_int_eq(status, STATUS_OK);
}
END_TEST

Suite *import_suite(void);

Suite *import_suite(void)
{
    Suite *suite = suite_create("import");
    TCase *tests = tcase_create("import");
    tcase_add_checked_fixture(tests, setup, teardown);
    tcase_set_timeout(tests, 120);
#define COUNT(array) (int)(sizeof array / sizeof *array)
    tcase_add_loop_test(tests, a_file_becomes_a_bundle_that_computes_the_same, 0, COUNT(made));
    tcase_add_loop_test(tests, what_cannot_be_imported_says_why, 0, COUNT(refused));
    tcase_add_loop_test(tests, a_file_that_is_something_else_says_what, 0, COUNT(mistakes));
    tcase_add_loop_test(tests, weights_beside_a_graph_are_whole_or_refused, 0, 4);
    tcase_add_test(tests, folders_are_searched);
    tcase_add_test(tests, a_bundle_that_is_there_stays);
    tcase_add_test(tests, golden_vectors_that_differ_refuse_the_bundle);
    tcase_add_test(tests, a_dry_run_writes_nothing);
    tcase_add_loop_test(tests, cut_files_are_refused, 0, COUNT(readable));
    tcase_add_loop_test(tests, an_allocation_that_fails_is_a_refusal, 0, COUNT(readable));
    suite_add_tcase(suite, tests);
    return suite;
}
