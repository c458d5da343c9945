#include "models/bundle/inspect.h"

#include <inttypes.h>
#include <limits.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "models/bundle/bundle.h"
#include "models/text/folder.h"
#include "models/bundle/safetensors.h"
#include "models/text/number.h"
#include "models/text/sentence.h"
#include "models/text/utf8.h"

enum { LAYER_COLUMN = 11, MAX_LABELS_SHOWN = 20 };

/* ------------------------------------------------------------------------------------------
 * One line: a name in a column of its own, then the rest */

void inspect_line(const struct view *view, const char *name, const char *format, ...)
{
    va_list args;
    fprintf(view->out, "%-*s ", INSPECT_COLUMN, name);
    va_start(args, format);
    vfprintf(view->out, format, args);
    va_end(args);
    fputc('\n', view->out);
}

/* Text of the bundle, which may try to move the cursor. */
static void print_text(const struct view *view, const char *text)
{
    uint32_t code;
    for (size_t n; *text; text += n) {
        n = utf8_decode(text, strlen(text), &code);
        if (n > 0 && sentence_is_showable(code)) fwrite(text, 1, n, view->out);
        else fputc('?', view->out);
        if (n == 0) n = 1;
    }
}

static void text_line(const struct view *view, const char *name, const char *text)
{
    if (!*text) return;
    fprintf(view->out, "%-*s ", INSPECT_COLUMN, name);
    print_text(view, text);
    fputc('\n', view->out);
}

/* 3380289 as "3,380,289". */
static const char *grouped(char out[32], uint64_t n)
{
    char plain[24];
    size_t digits = (size_t)snprintf(plain, sizeof plain, "%" PRIu64, n), at = 0;
    for (size_t i = 0; i < digits; i++) {
        if (i > 0 && (digits - i) % 3 == 0) out[at++] = ',';
        out[at++] = plain[i];
    }
    out[at] = '\0';
    return out;
}

/* ------------------------------------------------------------------------------------------
 * The network */

static void print_key(const struct view *view, const struct layer_key *key, long value, double number)
{
    switch (key->kind) {
    case KEY_SIZE: fprintf(view->out, "  %s %ld", key->name, value); break;
    case KEY_BOOLEAN: fprintf(view->out, "  %s %s", key->name, value ? "true" : "false"); break;
    case KEY_CHOICE: fprintf(view->out, "  %s %s", key->name, key->choices[value]); break;
    case KEY_REAL: fprintf(view->out, "  %s %g", key->name, number); break;
    case KEY_NUMBER: break;
    }
}

/* Keys that were left at their default are not shown. */
static bool is_shown(const struct layer_key *key, long value, double number)
{
    if (key->kind == KEY_REAL) return key->required || number < key->real || number > key->real;
    return key->kind != KEY_NUMBER && (key->required || value != key->fallback);
}

/* Layers that a layer reads instead of the one before it. */
static void print_sources(const struct view *view, const struct layer_spec *spec)
{
    for (size_t k = 0; k < spec->n_sources; k++) {
        fprintf(view->out, "%s", k ? ", " : "  inputs ");
        if (spec->sources[k] == SOURCE_INPUT) fprintf(view->out, "input");
        else fprintf(view->out, "network[%d]", spec->sources[k]);
    }
}

/* `origin`: what the framework calls the layer, a comment that carousel-import writes; NULL. */
static void print_layer(const struct view *view, const struct layer_spec *spec, const char *title,
                        const struct json *origin)
{
    const struct layer_key *keys = spec->type->keys;
    int padding = LAYER_COLUMN - (int)strlen(spec->type->name);
    fprintf(view->out, "%-*s %s", INSPECT_COLUMN, title, spec->type->name);
    if (spec->type->has_prefix) {
        fprintf(view->out, "%*s  ", padding, "");
        print_text(view, spec->prefix);
        fputc(':', view->out);
        padding = 0;
    }
    for (size_t k = 0; keys && keys[k].name && k < LAYER_MAX_KEYS; k++) {
        if (!is_shown(&keys[k], spec->values[k], spec->numbers[k])) continue;
        fprintf(view->out, "%*s", padding, "");
        print_key(view, &keys[k], spec->values[k], spec->numbers[k]);
        padding = 0;
    }
    print_sources(view, spec);
    if (json_kind(origin) == JSON_STRING) {
        fputs("  from ", view->out);
        print_text(view, json_string(origin));
    }
    fputc('\n', view->out);
}

static void print_layers(const struct view *view, const struct layer_spec *layers, size_t n,
                         const char *title)
{
    const struct json *network = json_get(view->bundle->_document, "network"), *entry = NULL;
    if (json_kind(network) == JSON_ARRAY && json_count(network) == n) entry = json_first(network);
    for (size_t i = 0; i < n; i++, entry = entry ? json_next(entry) : NULL)
        print_layer(view, &layers[i], i ? "" : title, entry ? json_get(entry, "_origin") : NULL);
}

static void print_network(const struct view *view)
{
    const struct network *network = view->model->network;
    size_t vocabulary = network_vocabulary_size(network);
    char text[32], floats[32];
    const struct network *decoder = view->model->decoder;
    size_t n_floats = network_state_floats(network) + (decoder ? network_state_floats(decoder) : 0);
    print_layers(view, view->bundle->layers, view->bundle->n_layers, decoder ? "encoder" : "network");
    print_layers(view, view->bundle->decoder, view->bundle->n_decoder, "decoder");
    if (vocabulary) inspect_line(view, "reads", "one of %zu tokens a step", vocabulary);
    else inspect_line(view, "reads", "%zu numbers a step", network_input_size(network));
    inspect_line(view, "gives", "%zu numbers %s", network_output_size(network), network_has_pooling(network) ?
                 "a sequence" : "a step");
    inspect_line(view, "rides", network_is_whole(network) ? "whole: reads its sequence in both directions" :
                 "step by step: can be interrupted and resumed");
    inspect_line(view, "parameters", "%s in %zu tensors, %s", grouped(text,
                 safetensors_n_values(view->weights)), safetensors_n_tensors(view->weights),
                 safetensors_dtype(view->weights));
    inspect_line(view, "in memory", "%s bytes of weights, as %s%s", grouped(text, model_bytes(view->model)),
                 precision_name(network_precision(network)), network_precision(network) ==
                 view->model->recommended ? ", which config.json recommends" : "");
    if (view->model->precision_refused)
        inspect_line(view, "", "%s, which config.json recommends, is refused: %s",
                     precision_name(view->model->recommended), view->model->precision_refused);
    inspect_line(view, "state", "%s bytes a sequence (%s floats)", grouped(text, n_floats * sizeof(float)),
                 grouped(floats, n_floats));
}

/* ------------------------------------------------------------------------------------------
 * Text */

static void print_special(const struct view *view, const struct tokenizer *tokenizer, const char *name,
                          int32_t id)
{
    size_t bytes;
    char quoted[QUOTE_BYTES];
    if (id == TOKEN_NONE) return;
    const char *piece = tokenizer_piece(tokenizer, id, &bytes);
    inspect_line(view, name, "%s, id %d", sentence_quote(quoted, piece, bytes), (int)id);
}

static void print_tokenizer(const struct view *view, const char *key, const struct bundle_tokenizer *from,
                            const struct tokenizer *tokenizer)
{
    if (!from->is_given) return;
    const char *file = from->vocabulary.file, *unknown = from->spec.unknown;
    inspect_line(view, key, "%s, %zu tokens%s%s%s%s%s%s", tokenizer_type(tokenizer),
                 tokenizer_size(tokenizer), file ? " from " : "", file ? file : "",
                 from->spec.lowercase ? ", lowercase" : "", from->spec.accepts_token_ids ?
                 ", accepts token ids" : "", unknown ? ", unknown: " : "", unknown ? unknown : "");
    print_special(view, tokenizer, "unk_token", tokenizer_unk(tokenizer));
    print_special(view, tokenizer, "bos_token", tokenizer_bos(tokenizer));
    print_special(view, tokenizer, "eos_token", tokenizer_eos(tokenizer));
    print_special(view, tokenizer, "pad_token", tokenizer_pad(tokenizer));
    for (size_t i = 0; i < from->spec.n_ngrams; i++) {
        if (i == 0) fprintf(view->out, "%-*s", INSPECT_COLUMN, "ngrams");
        fprintf(view->out, "%s %zu%s", i ? "," : " of", from->spec.ngrams[i],
                i + 1 < from->spec.n_ngrams ? "" : " tokens\n");
    }
    if (from->spec.pad_length)
        inspect_line(view, "pad_length", "%zu tokens, on the %s", from->spec.pad_length,
                     from->spec.pads_right ? "right" : "left");
}

static void print_labels(const struct view *view)
{
    size_t n = view->model->n_labels;
    if (n == 0) return;
    fprintf(view->out, "%-*s %zu:", INSPECT_COLUMN, "labels", n);
    for (size_t i = 0; i < n && i < MAX_LABELS_SHOWN; i++) {
        fputs(i ? ", " : " ", view->out);
        print_text(view, view->model->labels[i]);
    }
    fputs(n > MAX_LABELS_SHOWN ? ", ...\n" : "\n", view->out);
    bool is_binary = network_output_size(view->model->network) < n;
    if (view->model->activation == ACTIVATION_SIGMOID)
        inspect_line(view, "activation", "sigmoid: %s", is_binary ?
                     "one output, the score of the second label" :
                     "independent labels, whose scores do not sum to 1");
}

static void print_features(const struct view *view)
{
    const struct bundle *bundle = view->bundle;
    char mean[NUMBER_BYTES], scale[NUMBER_BYTES];
    if (!view->model->features.mean || view->model->front) return;
    number_print(mean, view->model->features.mean[0]);
    number_print(scale, view->model->features.scale[0]);
    if (bundle->mean.n <= 1 && bundle->scale.n <= 1) inspect_line(view, "features", "(x - %s) / %s", mean,
                                                                  scale);
    else
        inspect_line(view, "features", "(x - mean) / scale, with %s of their own", bundle->mean.n > 1 &&
                     bundle->scale.n > 1 ? "means and scales" : bundle->mean.n > 1 ? "means" : "scales");
}

/* ------------------------------------------------------------------------------------------
 * Files and proof */

static void print_file(const struct view *view, const char *title, const char *name)
{
    struct file file;
    char text[32];
    if (folder_open_file(view->bundle->folder, name, UINT64_MAX, &file, NULL) != STATUS_OK) return;
    fprintf(view->out, "%-*s %-18s %15s bytes\n", INSPECT_COLUMN, title, name,
            grouped(text, file.bytes));
    close(file.fd);
}

static void print_proof(const struct view *view)
{
    const struct model *model = view->model;
    print_file(view, "files", "config.json");
    print_file(view, "", "model.safetensors");
    print_file(view, "", "golden.json");
    const struct bundle_list *lists[] = {&view->bundle->tokenizer.vocabulary, &view->bundle->tokenizer.merges,
                                         &view->bundle->target.vocabulary, &view->bundle->target.merges};
    for (size_t i = 0; i < sizeof lists / sizeof *lists; i++)
        if (lists[i]->file) print_file(view, "", lists[i]->file);
    inspect_line(view, "sha256", "%s%s", model->hash, model->hash_is_expected ? ", as config.json expects" :
                 "");
    inspect_line(view, "golden", "%zu case%s met in float32, largest difference %.2g, %.2g allowed",
                 model->n_golden, model->n_golden == 1 ? "" : "s", model->proof_float32.error,
                 model->proof_float32.bound);
    if (network_precision(model->network) != PRECISION_FLOAT32)
        inspect_line(view, "", "and in %s, largest difference %.2g, %.2g allowed",
                     precision_name(network_precision(model->network)), model->proof.error,
                     model->proof.bound);
    static const char *const sources[] = {
        [GOLDEN_RECORDED] = "outputs that an exporter recorded",
        [GOLDEN_REFERENCE] = "outputs of carousel import's reference: "
                             "they prove the conversion, not the meaning"};
    if (model->proof_float32.source != GOLDEN_GIVEN)
        inspect_line(view, "", "%s", sources[model->proof_float32.source]);
    inspect_line(view, "loaded in", "%.1f ms", model->load_ms);
}

static void print_all(const struct view *view)
{
    const struct model *model = view->model;
    inspect_line(view, "task", "%s", model->task->name);
    text_line(view, "description", model->description);
    text_line(view, "licence", model->license);
    text_line(view, "training data", model->training_data);
    fputc('\n', view->out);
    print_network(view);
    fputc('\n', view->out);
    print_tokenizer(view, "tokenizer", &view->bundle->tokenizer, model->tokenizer);
    print_tokenizer(view, "targets", &view->bundle->target, model->target);
    print_labels(view);
    print_features(view);
    if (model->task->inspect) model->task->inspect(view);
    fputc('\n', view->out);
    print_proof(view);
}

/* The model has been loaded, so what is read again here is known to be sound, unless it has changed. */
static enum status print_loaded(const char *path, const struct model *model, FILE *out,
                                struct error *err)
{
    struct bundle *bundle = NULL;
    struct safetensors *weights = NULL;
    struct file file = {.fd = -1};
    enum status status = bundle_open(path, &bundle, err);
    if (status == STATUS_OK)
        status = folder_open_file(bundle->folder, "model.safetensors", SAFETENSORS_MAX_BYTES, &file,
                                  err);
    if (status == STATUS_OK) status = safetensors_open_header(file.fd, file.bytes, &weights, err);
    if (status == STATUS_OK) print_all(&(struct view){bundle, model, weights, out});
    if (status == STATUS_OK && (fflush(out) != 0 || ferror(out)))
        status = error_set(err, STATUS_IO, "cannot write");
    safetensors_free(weights);
    if (file.fd >= 0) close(file.fd);
    bundle_close(bundle);
    return status;
}

enum status inspect_print(const char *path, const char *name, enum precision precision, FILE *out,
                          struct error *err)
{
    struct model *model;
    enum status status = model_load(path, name, "1", precision, &model, err);
    if (status != STATUS_OK) return status;
    status = print_loaded(path, model, out, err);
    model_drop(model);
    return status;
}
