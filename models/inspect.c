#include "models/inspect.h"

#include <inttypes.h>
#include <limits.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "models/bundle.h"
#include "models/bundle_forecast.h"
#include "models/folder.h"
#include "models/safetensors.h"
#include "models/sentence.h"
#include "models/utf8.h"

/* Everything that is printed; borrowed. */
struct view {
    const struct bundle *bundle;
    const struct model *model;
    const struct safetensors *weights;
    FILE *out;
};

enum { NAME_COLUMN = 15, LAYER_COLUMN = 11, MAX_LABELS_SHOWN = 20 };

/* ------------------------------------------------------------------------------------------
 * One line: a name in a column of its own, then the rest */

static void line(const struct view *view, const char *name, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

static void line(const struct view *view, const char *name, const char *format, ...)
{
    va_list args;
    fprintf(view->out, "%-*s ", NAME_COLUMN, name);
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
    fprintf(view->out, "%-*s ", NAME_COLUMN, name);
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

static void print_key(const struct view *view, const struct layer_key *key, long value)
{
    switch (key->kind) {
    case KEY_SIZE: fprintf(view->out, "  %s %ld", key->name, value); break;
    case KEY_BOOLEAN: fprintf(view->out, "  %s %s", key->name, value ? "true" : "false"); break;
    case KEY_CHOICE: fprintf(view->out, "  %s %s", key->name, key->choices[value]); break;
    case KEY_NUMBER: break;
    }
}

/* Keys that were left at their default are not shown. */
static bool is_shown(const struct layer_key *key, long value)
{
    return key->kind != KEY_NUMBER && (key->required || value != key->fallback);
}

static void print_layer(const struct view *view, size_t i)
{
    const struct layer_spec *spec = &view->bundle->layers[i];
    const struct layer_key *keys = spec->type->keys;
    int padding = LAYER_COLUMN - (int)strlen(spec->type->name);
    fprintf(view->out, "%-*s %s", NAME_COLUMN, i == 0 ? "network" : "", spec->type->name);
    if (spec->type->has_prefix) {
        fprintf(view->out, "%*s  ", padding, "");
        print_text(view, spec->prefix);
        fputc(':', view->out);
        padding = 0;
    }
    for (size_t k = 0; keys && keys[k].name && k < LAYER_MAX_KEYS; k++) {
        if (!is_shown(&keys[k], spec->values[k])) continue;
        fprintf(view->out, "%*s", padding, "");
        print_key(view, &keys[k], spec->values[k]);
        padding = 0;
    }
    fputc('\n', view->out);
}

static void print_network(const struct view *view)
{
    const struct network *network = view->model->network;
    size_t vocabulary = network_vocabulary_size(network);
    char text[32], floats[32];
    for (size_t i = 0; i < view->bundle->n_layers; i++) print_layer(view, i);
    if (vocabulary) line(view, "reads", "one of %zu tokens a step", vocabulary);
    else line(view, "reads", "%zu numbers a step", network_input_size(network));
    line(view, "gives", "%zu numbers %s", network_output_size(network),
         network_has_pooling(network) ? "a sequence" : "a step");
    line(view, "rides",
         network_is_whole(network) ? "whole: reads its sequence in both directions"
                                   : "step by step: can be interrupted and resumed");
    line(view, "parameters", "%s in %zu tensors, %s",
         grouped(text, safetensors_n_values(view->weights)), safetensors_n_tensors(view->weights),
         safetensors_dtype(view->weights));
    line(view, "in memory", "%s bytes of weights, as %s%s", grouped(text, network_bytes(network)),
         precision_name(network_precision(network)),
         network_precision(network) == view->model->recommended ? ", which config.json recommends" : "");
    if (view->model->precision_refused)
        line(view, "", "%s, which config.json recommends, is refused: %s",
             precision_name(view->model->recommended), view->model->precision_refused);
    line(view, "state", "%s bytes a sequence (%s floats)",
         grouped(text, network_state_floats(network) * sizeof(float)),
         grouped(floats, network_state_floats(network)));
}

/* ------------------------------------------------------------------------------------------
 * Text */

static void print_special(const struct view *view, const char *name, int32_t id)
{
    size_t bytes;
    char quoted[QUOTE_BYTES];
    if (id == TOKEN_NONE) return;
    const char *piece = tokenizer_piece(view->model->tokenizer, id, &bytes);
    line(view, name, "%s, id %d", sentence_quote(quoted, piece, bytes), (int)id);
}

static void print_tokenizer(const struct view *view)
{
    const struct tokenizer *tokenizer = view->model->tokenizer;
    const char *file = view->bundle->vocabulary_file;
    if (!tokenizer) return;
    line(view, "tokenizer", "%s, %zu tokens%s%s%s", tokenizer_type(tokenizer),
         tokenizer_size(tokenizer), file ? " from " : "", file ? file : "",
         view->bundle->tokenizer.lowercase ? ", lowercase" : "");
    print_special(view, "unk_token", tokenizer_unk(tokenizer));
    print_special(view, "bos_token", tokenizer_bos(tokenizer));
    print_special(view, "eos_token", tokenizer_eos(tokenizer));
}

static void print_generation(const struct view *view)
{
    const struct generation_defaults *g = &view->model->generation;
    if (view->model->task != TASK_TEXT_GENERATION) return;
    line(view, "generation",
         "temperature %g, top_p %g, top_k %ld, min_p %g, repetition_penalty %g, max_tokens %ld",
         g->temperature, g->top_p, g->top_k, g->min_p, g->repetition_penalty, g->max_tokens);
}

static void print_labels(const struct view *view)
{
    size_t n = view->model->n_labels;
    if (n == 0) return;
    fprintf(view->out, "%-*s %zu:", NAME_COLUMN, "labels", n);
    for (size_t i = 0; i < n && i < MAX_LABELS_SHOWN; i++) {
        fputs(i ? ", " : " ", view->out);
        print_text(view, view->model->labels[i]);
    }
    fputs(n > MAX_LABELS_SHOWN ? ", ...\n" : "\n", view->out);
}

static void print_features(const struct view *view)
{
    const struct bundle *bundle = view->bundle;
    if (view->model->task != TASK_SEQUENCE_CLASSIFICATION) return;
    if (bundle->mean.n <= 1 && bundle->scale.n <= 1)
        line(view, "features", "(x - %g) / %g", (double)view->model->features.mean[0],
             (double)view->model->features.scale[0]);
    else
        line(view, "features", "(x - mean) / scale, with %s of their own",
             bundle->mean.n > 1 && bundle->scale.n > 1 ? "means and scales"
             : bundle->mean.n > 1                      ? "means"
                                                       : "scales");
}

/* ------------------------------------------------------------------------------------------
 * Forecasts */

static void print_scaling(const struct view *view)
{
    const struct forecast_spec *f = &view->model->forecast;
    switch (f->scaling) {
    case SCALING_NONE: line(view, "scaling", "none"); break;
    case SCALING_CONSTANT: line(view, "scaling", "(x - %g) / %g", f->mean, f->scale); break;
    case SCALING_MEAN_ABS:
        line(view, "scaling", "x / mean absolute value read, at least %g", f->minimum);
        break;
    case SCALING_STANDARD:
        line(view, "scaling", "(x - mean) / standard deviation of the values read, at least %g",
             f->minimum);
        break;
    }
}

static void print_inputs(const struct view *view)
{
    const struct forecast_spec *f = &view->model->forecast;
    fprintf(view->out, "%-*s", NAME_COLUMN, "inputs");
    for (size_t i = 0; i < f->n_inputs; i++) {
        fprintf(view->out, "%s %s", i ? "," : "", forecast_input_name(f->inputs[i].kind));
        if (f->inputs[i].kind == INPUT_LAG || f->inputs[i].kind == INPUT_ERROR)
            fprintf(view->out, " %zu", f->inputs[i].lag);
    }
    fputc('\n', view->out);
}

static void print_basis(const struct view *view)
{
    const struct forecast_spec *f = &view->model->forecast;
    for (size_t i = 0; i < f->n_basis; i++) {
        fputs(i ? ", " : f->softmax ? " chosen among " : " of a combination of ", view->out);
        fputs(forecast_basis_name(f->basis[i].kind), view->out);
        if (f->basis[i].kind == BASIS_LAG) fprintf(view->out, " %zu", f->basis[i].lag);
    }
}

static void print_forecast(const struct view *view)
{
    const struct forecast_spec *f = &view->model->forecast;
    if (view->model->task != TASK_FORECASTING) return;
    line(view, "context", "the last %zu values", f->context_length);
    print_scaling(view);
    print_inputs(view);
    fprintf(view->out, "%-*s %s", NAME_COLUMN, "output", forecast_output_name(f->output));
    for (size_t i = 0; i < f->n_levels; i++)
        fprintf(view->out, "%s %g", i ? "," : "", f->levels[i]);
    print_basis(view);
    fputs(f->residual_last ? ", added to the last value\n" : "\n", view->out);
    line(view, "num_samples", "%zu", f->num_samples);
    if (view->bundle->seasonality) line(view, "seasonality", "%ld", view->bundle->seasonality);
}

/* ------------------------------------------------------------------------------------------
 * Files and proof */

static void print_file(const struct view *view, const char *title, const char *name)
{
    struct file file;
    char text[32];
    if (folder_open_file(view->bundle->folder, name, UINT64_MAX, &file, NULL) != STATUS_OK) return;
    fprintf(view->out, "%-*s %-18s %15s bytes\n", NAME_COLUMN, title, name,
            grouped(text, file.bytes));
    close(file.fd);
}

static void print_proof(const struct view *view)
{
    const struct model *model = view->model;
    print_file(view, "files", "config.json");
    print_file(view, "", "model.safetensors");
    print_file(view, "", "golden.json");
    if (view->bundle->vocabulary_file) print_file(view, "", view->bundle->vocabulary_file);
    line(view, "sha256", "%s%s", model->hash, model->hash_is_expected ? ", as config.json expects" : "");
    line(view, "golden", "%zu case%s met, largest difference %.2g", model->n_golden,
         model->n_golden == 1 ? "" : "s", model->golden_error);
    line(view, "loaded in", "%.1f ms", model->load_ms);
}

static void print_all(const struct view *view)
{
    const struct model *model = view->model;
    line(view, "task", "%s", task_name(model->task));
    text_line(view, "description", model->description);
    text_line(view, "licence", model->license);
    text_line(view, "training data", model->training_data);
    fputc('\n', view->out);
    print_network(view);
    fputc('\n', view->out);
    print_tokenizer(view);
    print_generation(view);
    print_labels(view);
    print_features(view);
    print_forecast(view);
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

enum status inspect_print(const char *path, enum precision precision, FILE *out, struct error *err)
{
    struct model *model;
    enum status status = model_load(path, "bundle", "1", precision, &model, err);
    if (status != STATUS_OK) return status;
    status = print_loaded(path, model, out, err);
    model_drop(model);
    return status;
}
