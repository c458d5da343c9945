#include "tests/support/written.h"

#include <check.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "models/text/hash.h"

enum { LENGTH_BYTES = 8 };

struct files {
    const char *config, *vocabulary, *header, *golden;
    float values[40];
    size_t n;
};

/* A decoder that attends to what it reads, in three bundles. */
#define DECODER                                                                                              \
    "   \"decoder\": [{\"type\": \"one_hot\", \"num_classes\": 3},\n" \
    "     {\"type\": \"attention\", \"prefix\": \"a\", \"score\": \"dot\", \"query_size\": 3, " \
    "\"memory_size\": 3},\n"                                                                               \
    "     {\"type\": \"linear\", \"prefix\": \"out\", \"in_features\": 3, \"out_features\": 3}]},\n"
#define DECODER_TENSORS                                                                                      \
    "{\"out.weight\": {\"dtype\": \"F32\", \"shape\": [3, 3], \"data_offsets\": [0, 36]},\n" \
    " \"out.bias\": {\"dtype\": \"F32\", \"shape\": [3], \"data_offsets\": [36, 48]}"

static const struct files bundles[N_TASKS] = {
    [TASK_TEXT_GENERATION] = {
        "{\"format_version\": 1, \"task\": \"text-generation\", \"description\": \"Three letters.\",\n"
        " \"license\": \"CC0-1.0\", \"training_data\": \"none\",\n"
        " \"network\": [{\"type\": \"one_hot\", \"num_classes\": 3},\n"
        "   {\"type\": \"linear\", \"prefix\": \"out\", \"in_features\": 3, \"out_features\": 3}],\n"
        " \"tokenizer\": {\"type\": \"characters\", \"vocabulary\": [\"a\", \"b\", \"\\u00e9\"]},\n"
        " \"generation\": {\"temperature\": 0.5}}",
        NULL,
        "{\"__metadata__\": {\"format\": \"pt\"},\n"
        " \"out.weight\": {\"dtype\": \"F32\", \"shape\": [3, 3], \"data_offsets\": [0, 36]},\n"
        " \"out.bias\": {\"dtype\": \"F32\", \"shape\": [3], \"data_offsets\": [36, 48]}}",
        "{\"cases\": [{\"input\": \"ba\", \"tokens\": [1, 0], \"output\": [1.5, 4, 7.25]},\n"
        " {\"input\": \"\\u00e9\", \"tokens\": [2], \"output\": [3.5, 6, 9.25]}]}",
        {1, 2, 3, 4, 5, 6, 7, 8, 9, 0.5f, 0, 0.25f}, 12},
    [TASK_TEXT_CLASSIFICATION] = {
        "{\"format_version\": 1, \"task\": \"text-classification\",\n"
        " \"network\": [{\"type\": \"one_hot\", \"num_classes\": 4},\n"
        "   {\"type\": \"pooling\", \"mode\": \"mean\"}, {\"type\": \"dropout\", \"p\": 0.5},\n"
        "   {\"type\": \"linear\", \"prefix\": \"out\", \"in_features\": 4, \"out_features\": 2}],\n"
        " \"tokenizer\": {\"type\": \"words\", \"vocabulary\": \"vocab.txt\", \"unk_token\": \"<unk>\",\n"
        "   \"eos_token\": \"</s>\", \"lowercase\": true},\n"
        " \"labels\": [\"no\", \"yes\"]}",
        "<unk>\n</s>\ngood\nbad\n",
        "{\"out.weight\": {\"dtype\": \"F32\", \"shape\": [2, 4], \"data_offsets\": [0, 32]},"
        " \"out.bias\": {\"dtype\": \"F32\", \"shape\": [2], \"data_offsets\": [32, 40]}}",
        "{\"tolerance\": 0.001, \"cases\": [\n"
        " {\"input\": \"Good bad !\", \"tokens\": [2, 3, 0, 1], \"output\": [2.5, 26]}]}",
        {1, 2, 3, 4, 10, 20, 30, 40, 0, 1}, 10},
    [TASK_SEQUENCE_CLASSIFICATION] = {
        "{\"format_version\": 1, \"task\": \"sequence-classification\",\n"
        " \"network\": [{\"type\": \"linear\", \"prefix\": \"out\", \"in_features\": 2,"
        " \"out_features\": 2},\n"
        "   {\"type\": \"pooling\", \"mode\": \"max\"}],\n"
        " \"features\": {\"mean\": 1, \"scale\": [2, 4]},\n"
        " \"labels\": [\"up\", \"down\"]}",
        NULL,
        "{\"out.weight\": {\"dtype\": \"F32\", \"shape\": [2, 2], \"data_offsets\": [0, 16]},"
        " \"out.bias\": {\"dtype\": \"F32\", \"shape\": [2], \"data_offsets\": [16, 24]}}",
        "{\"cases\": [{\"input\": [[3, 5], [1, 9]], \"features\": [[1, 1], [0, 2]],\n"
        "   \"output\": [1.5, 2]}]}",
        {1, 0, 0, 1, 0.5f, 0}, 6},
    [TASK_FORECASTING] = {
        "{\"format_version\": 1, \"task\": \"forecasting\",\n"
        " \"network\": [{\"type\": \"linear\", \"prefix\": \"out\", \"in_features\": 2,"
        " \"out_features\": 2}],\n"
        " \"forecast\": {\"context_length\": 3, \"scaling\": {\"type\": \"constant\", \"mean\": 2,"
        " \"scale\": 4},\n"
        "   \"inputs\": [\"value\", \"missing\"], \"output\": {\"type\": \"normal\"}}}",
        NULL,
        "{\"out.weight\": {\"dtype\": \"F32\", \"shape\": [2, 2], \"data_offsets\": [0, 16]},"
        " \"out.bias\": {\"dtype\": \"F32\", \"shape\": [2], \"data_offsets\": [16, 24]}}",
        "{\"cases\": [{\"input\": [99, 2, null, 6], \"features\": [[0, 0], [0, 1], [1, 0]],\n"
        "   \"output\": [2.5, 3]}]}",
        {2, 0, 3, 1, 0.5f, 0}, 6},
    [TASK_SEQUENCE_PREDICTION] = {
        "{\"format_version\": 1, \"task\": \"sequence-prediction\",\n"
        " \"network\": [{\"type\": \"linear\", \"prefix\": \"out\", \"in_features\": 2,"
        " \"out_features\": 2}],\n"
        " \"features\": {\"mean\": 1, \"scale\": [2, 4]},\n"
        " \"prediction\": {\"return\": \"all\"}}",
        NULL,
        "{\"out.weight\": {\"dtype\": \"F32\", \"shape\": [2, 2], \"data_offsets\": [0, 16]},"
        " \"out.bias\": {\"dtype\": \"F32\", \"shape\": [2], \"data_offsets\": [16, 24]}}",
        "{\"cases\": [{\"input\": [[3, 5], [1, 9]], \"features\": [[1, 1], [0, 2]],\n"
        "   \"outputs\": [[1.5, 1], [0.5, 2]]}]}",
        {1, 0, 0, 1, 0.5f, 0}, 6},
    [TASK_TOKEN_CLASSIFICATION] = {
        "{\"format_version\": 1, \"task\": \"token-classification\",\n"
        " \"network\": [{\"type\": \"one_hot\", \"num_classes\": 4},\n"
        "   {\"type\": \"linear\", \"prefix\": \"out\", \"in_features\": 4, \"out_features\": 5}],\n"
        " \"tokenizer\": {\"type\": \"words\", \"vocabulary\": [\"<unk>\", \"new\", \"york\", \"rain\"],\n"
        "   \"unk_token\": \"<unk>\", \"lowercase\": true},\n"
        " \"tagging\": {\"num_intents\": 2, \"transitions\": \"crf\"},\n"
        " \"labels\": [\"O\", \"B-city\", \"I-city\", \"go\", \"weather\"]}",
        NULL,
        "{\"out.weight\": {\"dtype\": \"F32\", \"shape\": [5, 4], \"data_offsets\": [0, 80]},"
        " \"out.bias\": {\"dtype\": \"F32\", \"shape\": [5], \"data_offsets\": [80, 100]},"
        " \"crf.transitions\": {\"dtype\": \"F32\", \"shape\": [3, 3], \"data_offsets\": [100, 136]},"
        " \"crf.start_transitions\": {\"dtype\": \"F32\", \"shape\": [3], \"data_offsets\": [136, 148]},"
        " \"crf.end_transitions\": {\"dtype\": \"F32\", \"shape\": [3], \"data_offsets\": [148, 160]}}",
        "{\"cases\": [{\"input\": \"rain in New York\", \"tokens\": [3, 0, 1, 2],\n"
        "   \"outputs\": [[5, 1, 0, 0, 4], [6, 0, 0, 0, 1], [0, 6, 4, 0, 1], [1, 3, 5, 2, 1]]}]}",
        /* rows: O, B-city, I-city, go, weather; columns: <unk>, new, york, rain */
        {6, 0, 1, 5, 0, 6, 3, 1, 0, 4, 5, 0, 0, 0, 2, 0, 0, 0, 0, 3, 0, 0, 0, 0, 1,
         1, 2, -9, 3, 4, 5, 6, 7, 8, 0, 0.5f, -9, 0.25f, 0, 0}, 40},
    /* The shares of the source's tokens are e / (e + 2) for the one that is read, 1 / (e + 2) for others. */
    [TASK_TRANSLATION] = {
        "{\"format_version\": 1, \"task\": \"translation\",\n"
        " \"network\": {\"encoder\": [{\"type\": \"one_hot\", \"num_classes\": 3}],\n"
        DECODER
        " \"tokenizer\": {\"type\": \"characters\", \"vocabulary\": [\"<s>\", \"</s>\", \"a\"],\n"
        "   \"bos_token\": \"<s>\", \"eos_token\": \"</s>\"}}",
        NULL,
        DECODER_TENSORS "}",
        "{\"cases\": [{\"input\": \"a\", \"tokens\": [0, 2, 1], \"target\": [0],\n"
        "   \"output\": [0.5761169, 0.2119416, 0.7119416]}]}",
        {1, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0.5f}, 12},
    [TASK_IMAGE_TO_TEXT] = {
        "{\"format_version\": 1, \"task\": \"image-to-text\",\n"
        " \"network\": {\"encoder\": [{\"type\": \"linear\", \"prefix\": \"in\", \"in_features\": 3, "
        "\"out_features\": 3, \"bias\": false}],\n"
        DECODER
        " \"features\": {\"type\": \"picture\", \"width\": 2, \"height\": 1, \"patch\": 1, "
        "\"channels\": 1, \"coordinates\": true},\n"
        " \"tokenizer\": {\"type\": \"words\", \"vocabulary\": [\"<s>\", \"</s>\", \"red\"],\n"
        "   \"bos_token\": \"<s>\", \"eos_token\": \"</s>\"}}",
        NULL,
        DECODER_TENSORS ",\n"
        " \"in.weight\": {\"dtype\": \"F32\", \"shape\": [3, 3], \"data_offsets\": [48, 84]}}",
        "{\"cases\": [{\"input\": [[0, 0, 0]], \"features\": [[0, 0, 0]], \"target\": [0],\n"
        "   \"output\": [0, 0, 0.5]}]}",
        {1, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0.5f, 1, 0, 0, 0, 1, 0, 0, 0, 1}, 21},
    [TASK_PRONUNCIATION] = {
        "{\"format_version\": 1, \"task\": \"pronunciation\",\n"
        " \"network\": {\"encoder\": [{\"type\": \"one_hot\", \"num_classes\": 3}],\n"
        DECODER
        " \"tokenizer\": {\"type\": \"characters\", \"vocabulary\": [\"<s>\", \"</s>\", \"a\"],\n"
        "   \"bos_token\": \"<s>\", \"eos_token\": \"</s>\"},\n"
        " \"target_tokenizer\": {\"type\": \"words\", \"vocabulary\": [\"<s>\", \"</s>\", \"AH0\"],\n"
        "   \"bos_token\": \"<s>\", \"eos_token\": \"</s>\"}}",
        NULL,
        DECODER_TENSORS "}",
        "{\"cases\": [{\"input\": \"a\", \"tokens\": [0, 2, 1], \"target\": [0],\n"
        "   \"output\": [0.5761169, 0.2119416, 0.7119416]}]}",
        {1, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0.5f}, 12},
    /* The likeliest step is 64 and 60; a step is followed by another. */
    [TASK_MUSIC_GENERATION] = {
        "{\"format_version\": 1, \"task\": \"music-generation\",\n"
        " \"network\": [{\"type\": \"one_hot\", \"num_classes\": 5},\n"
        "   {\"type\": \"linear\", \"prefix\": \"out\", \"in_features\": 5, \"out_features\": 5}],\n"
        " \"tokenizer\": {\"type\": \"words\", \"vocabulary\": [\"<s>\", \"</s>\", \".\", \"60\", \"64\"],\n"
        "   \"bos_token\": \"<s>\", \"eos_token\": \"</s>\"},\n"
        " \"music\": {\"max_steps\": 12}}",
        NULL,
        "{\"out.weight\": {\"dtype\": \"F32\", \"shape\": [5, 5], \"data_offsets\": [0, 100]},\n"
        " \"out.bias\": {\"dtype\": \"F32\", \"shape\": [5], \"data_offsets\": [100, 120]}}",
        "{\"cases\": [{\"input\": \"64 60 .\", \"tokens\": [0, 4, 3, 2], \"output\": [0, 1, 0, 0, 2]}]}",
        {0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 2, 0, 0, 0, 0, 0, 2, 2, 0, 2, 0, 0}, 30},
    /* A dot is one step: 0, 0, begins, on the middle, ends. */
    [TASK_TRANSCRIPTION] = {
        "{\"format_version\": 1, \"task\": \"transcription\",\n"
        " \"network\": [{\"type\": \"linear\", \"prefix\": \"out\", \"in_features\": 5,"
        " \"out_features\": 3}],\n"
        " \"features\": {\"type\": \"ink\", \"stack\": 1},\n"
        " \"transcription\": {\"blank\": 0, \"num_beams\": 4, \"language\": \"en\"},\n"
        " \"labels\": [\"<blank>\", \"a\", \"b\"]}",
        NULL,
        "{\"out.weight\": {\"dtype\": \"F32\", \"shape\": [3, 5], \"data_offsets\": [0, 60]},"
        " \"out.bias\": {\"dtype\": \"F32\", \"shape\": [3], \"data_offsets\": [60, 72]}}",
        "{\"cases\": [{\"input\": [[[3, 5]]], \"features\": [[0, 0, 1, 0, 1]],\n"
        "   \"output\": [3, 1.5, 7]}]}",
        {9, 9, 1, 9, 2, 9, 9, 0, 9, 1, 9, 9, 3, 9, 4, 0, 0.5f, 0}, 18},
    /* The last word decides the answer; a sentence that ends in "!" supports it. */
    [TASK_QUESTION_ANSWERING] = {
        "{\"format_version\": 1, \"task\": \"question-answering\",\n"
        " \"network\": [{\"type\": \"one_hot\", \"num_classes\": 4},\n"
        "   {\"type\": \"linear\", \"prefix\": \"out\", \"in_features\": 4, \"out_features\": 3}],\n"
        " \"tokenizer\": {\"type\": \"words\", \"vocabulary\": [\"red\", \"blue\", \"!\", \"?\"]},\n"
        " \"answering\": {\"supporting\": true},\n"
        " \"labels\": [\"no\", \"yes\"]}",
        NULL,
        "{\"out.weight\": {\"dtype\": \"F32\", \"shape\": [3, 4], \"data_offsets\": [0, 48]},"
        " \"out.bias\": {\"dtype\": \"F32\", \"shape\": [3], \"data_offsets\": [48, 60]}}",
        "{\"cases\": [{\"input\": {\"question\": \"red?\", \"context\": \"blue! red\"},\n"
        "   \"tokens\": [0, 3, 1, 2, 0],\n"
        "   \"outputs\": [[1, 4, -2], [0, 0, -3], [3, 2, -2], [1, 0, 5], [1, 4, -2]]}]}",
        /* rows: no, yes, supports; columns: red, blue, !, ? */
        {1, 3, 1, 0, 3.5f, 1.5f, -0.5f, -0.5f, 1, 1, 8, 0, 0, 0.5f, -3}, 15},
    [TASK_IMAGE_GENERATION] = {
        "{\"format_version\": 1, \"task\": \"image-generation\",\n"
        " \"network\": [{\"type\": \"linear\", \"prefix\": \"out\", \"in_features\": 6,\n"
        "   \"out_features\": 1}],\n"
        " \"labels\": [\"a\", \"b\"],\n"
        " \"drawing\": {\"height\": 2, \"width\": 2, \"above\": 1, \"left\": 1}}",
        NULL,
        "{\"out.weight\": {\"dtype\": \"F32\", \"shape\": [1, 6], \"data_offsets\": [0, 24]},\n"
        " \"out.bias\": {\"dtype\": \"F32\", \"shape\": [1], \"data_offsets\": [24, 28]}}",
        "{\"cases\": [{\"input\": {\"prompt\": \"b\", \"pixels\": [[1, 0], [1, 1]]},\n"
        "   \"features\": [[0, 0, 0, 0, 0, 1], [0, 1, 0, 1, 0, 1],\n"
        "   [1, 0, 1, 0, 0, 1], [0, 1, 1, 1, 0, 1]],\n"
        "   \"output\": [46.5]}]}",
        {1, 2, 4, 8, 16, 32, 0.5f}, 7},
    /* A mixture of one normal, whatever the point; the decoder looks at "a" and at the end alike. */
    [TASK_HANDWRITING_GENERATION] = {
        "{\"format_version\": 1, \"task\": \"handwriting-generation\",\n"
        " \"network\": {\"encoder\": [{\"type\": \"one_hot\", \"num_classes\": 2}],\n"
        "   \"decoder\": [{\"type\": \"linear\", \"prefix\": \"in\", \"in_features\": 3, "
        "\"out_features\": 2, \"bias\": false},\n"
        "   {\"type\": \"attention\", \"prefix\": \"look\", \"score\": \"dot\", \"query_size\": 2, "
        "\"memory_size\": 2},\n"
        "   {\"type\": \"linear\", \"prefix\": \"out\", \"in_features\": 2, \"out_features\": 7, "
        "\"bias\": false}]},\n"
        " \"handwriting\": {\"points_per_character\": 4},\n"
        " \"tokenizer\": {\"type\": \"characters\", \"vocabulary\": [\"</s>\", \"a\"], "
        "\"eos_token\": \"</s>\"}}",
        NULL,
        "{\"in.weight\": {\"dtype\": \"F32\", \"shape\": [2, 3], \"data_offsets\": [0, 24]},\n"
        " \"out.weight\": {\"dtype\": \"F32\", \"shape\": [7, 2], \"data_offsets\": [24, 80]}}",
        "{\"cases\": [{\"input\": \"a\", \"tokens\": [1, 0], \"target\": [[0, 0, 1], [2, 1, 0]],\n"
        "   \"output\": [0.5, 0, 1, -1, 0.5, 0.25, 0]}]}",
        {0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 2, 0, 0, -2, 1, 0, 0, 0.5f, 0, 0}, 20},
};

static void join(char *out, size_t size, const char *name, const char *file)
{
    ck_assert_int_lt(snprintf(out, size, "%s/%s", name, file), (int)size);
}

void written_safetensors(const struct tmp *tmp, const char *file, const char *header,
                         const void *data, size_t n)
{
    size_t length = strlen(header);
    char *bytes = malloc(LENGTH_BYTES + length + n);
    ck_assert_ptr_nonnull(bytes);
    for (size_t i = 0; i < LENGTH_BYTES; i++)
        bytes[i] = (char)((uint64_t)length >> 8 * i & 0xff);
    memcpy(bytes + LENGTH_BYTES, header, length);
    if (n > 0) memcpy(bytes + LENGTH_BYTES + length, data, n);
    tmp_write(tmp, file, bytes, LENGTH_BYTES + length + n);
    free(bytes);
}

void written_bundle(const struct tmp *tmp, const char *name, enum task_id task)
{
    const struct files *files = &bundles[task];
    char path[TMP_PATH_BYTES];
    tmp_mkdir(tmp, name);
    join(path, sizeof path, name, "config.json");
    tmp_write_text(tmp, path, files->config);
    join(path, sizeof path, name, "golden.json");
    tmp_write_text(tmp, path, files->golden);
    join(path, sizeof path, name, "model.safetensors");
    written_safetensors(tmp, path, files->header, files->values, files->n * sizeof(float));
    if (!files->vocabulary) return;
    join(path, sizeof path, name, "vocab.txt");
    tmp_write_text(tmp, path, files->vocabulary);
}

static char *replaced(const char *text, size_t n, const char *old, const char *new, size_t *bytes)
{
    const char *at = strstr(text, old);
    ck_assert_msg(at != NULL, "'%s' does not occur", old);
    size_t before = (size_t)(at - text), after = n - before - strlen(old);
    char *out = calloc(before + strlen(new) + after + 1, 1);
    ck_assert_ptr_nonnull(out);
    memcpy(out, text, before);
    memcpy(out + before, new, strlen(new));
    memcpy(out + before + strlen(new), at + strlen(old), after);
    *bytes = before + strlen(new) + after;
    return out;
}

static void edit_header(const struct tmp *tmp, const char *path, const char *old, const char *new)
{
    size_t n, length = 0, bytes;
    char *file = tmp_read(tmp, path, &n);
    for (size_t i = 0; i < LENGTH_BYTES; i++) length |= (size_t)(unsigned char)file[i] << 8 * i;
    char *header = calloc(length + 1, 1);
    ck_assert_ptr_nonnull(header);
    memcpy(header, file + LENGTH_BYTES, length);
    char *edited = replaced(header, length, old, new, &bytes);
    written_safetensors(tmp, path, edited, file + LENGTH_BYTES + length, n - LENGTH_BYTES - length);
    free(edited);
    free(header);
    free(file);
}

void written_edit(const struct tmp *tmp, const char *name, const char *file, const char *old,
                  const char *new)
{
    char path[TMP_PATH_BYTES];
    size_t n, bytes;
    if (strcmp(file, "header") == 0) {
        join(path, sizeof path, name, "model.safetensors");
        edit_header(tmp, path, old, new);
        return;
    }
    join(path, sizeof path, name, file);
    char *text = tmp_read(tmp, path, &n);
    char *edited = replaced(text, n, old, new, &bytes);
    tmp_write(tmp, path, edited, bytes);
    free(edited);
    free(text);
}

void written_recommending(const struct tmp *tmp, const char *name, const char *precision)
{
    char edited[64];
    written_bundle(tmp, name, TASK_TEXT_GENERATION);
    if (!precision) return;
    snprintf(edited, sizeof edited, "\"precision\": \"%s\", \"network\"", precision);
    written_edit(tmp, name, "config.json", "\"network\"", edited);
}

void written_sum(const struct tmp *tmp, const char *name)
{
    char path[TMP_PATH_BYTES], hex[HASH_HEX_BYTES], edited[128];
    uint8_t hash[HASH_BYTES];
    size_t n;
    join(path, sizeof path, name, "model.safetensors");
    char *bytes = tmp_read(tmp, path, &n);
    hash_bytes(bytes, n, hash);
    hash_print(hash, hex);
    free(bytes);
    snprintf(edited, sizeof edited, "\"sha256\": \"%s\", \"task\"", hex);
    written_edit(tmp, name, "config.json", "\"task\"", edited);
}

void written_flip(const struct tmp *tmp, const char *name, const char *file, size_t bit)
{
    char path[TMP_PATH_BYTES];
    size_t n;
    join(path, sizeof path, name, file);
    char *bytes = tmp_read(tmp, path, &n);
    ck_assert_uint_lt(bit / 8, n);
    bytes[bit / 8] = (char)(bytes[bit / 8] ^ 1 << bit % 8);
    tmp_write(tmp, path, bytes, n);
    free(bytes);
}

void written_rounding(const struct tmp *tmp, const char *name, float large, float small)
{
    const float values[] = {large, small, 0, large, small, 0, large, small, 0, 0, 0, 0};
    char path[TMP_PATH_BYTES];
    written_recommending(tmp, name, "int8");
    join(path, sizeof path, name, "model.safetensors");
    written_safetensors(tmp, path,
                        "{\"out.weight\": {\"dtype\": \"F32\", \"shape\": [3, 3], \"data_offsets\": [0, 36]},"
                        " \"out.bias\": {\"dtype\": \"F32\", \"shape\": [3], \"data_offsets\": [36, 48]}}",
                        values, sizeof values);
    join(path, sizeof path, name, "golden.json");
    tmp_write_text(tmp, path,
                   "{\"tolerance\": 1e-5,"
                   " \"cases\": [{\"input\": \"b\", \"tokens\": [1], \"output\": [0.3, 0.3, 0.3]}]}");
}

/* One weight of 100 leaves the others of its row steps of 0.8 in int8, so 0.3 is lost: a difference of
 * 0.3 where 0.1 is allowed. */
void written_too_fine(const struct tmp *tmp, const char *name)
{
    written_rounding(tmp, name, 100, 0.3f);
}

enum status written_load(const struct tmp *tmp, enum precision precision, struct model **model,
                         struct error *err)
{
    char path[TMP_PATH_BYTES];
    return model_load(tmp_path(tmp, "m", path), "m", "1", precision, model, err);
}
