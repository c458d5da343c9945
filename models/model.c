/* model: a bundle put together and proved. What config.json says (bundle), what the tensors hold
 * (safetensors, network) and what PyTorch computed (golden) must all agree before there is a model. */
#include "models/model.h"

#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "core/memory.h"
#include "models/bundle.h"
#include "models/folder.h"
#include "models/golden.h"
#include "models/hash.h"
#include "models/safetensors.h"
#include "models/sentence.h"
#include "models/series.h"

static const char WEIGHTS[] = "model.safetensors", GOLDEN[] = "golden.json";

static enum status no_memory(struct error *err)
{
    return error_set(err, STATUS_NO_MEMORY, "no memory");
}

static double now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec * 1e3 + (double)now.tv_nsec / 1e6;
}

bool model_name_is_valid(const char *name)
{
    static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
    size_t n = strlen(name);
    if (n == 0 || n > MODEL_NAME_BYTES || !strchr(letters, name[0])) return false;
    for (size_t i = 0; i < n; i++)
        if (!strchr(letters, name[i]) && !strchr("._-", name[i])) return false;
    return true;
}

/* ------------------------------------------------------------------------------------------
 * What a task asks of a network */

static size_t n_pooling(const struct network *network)
{
    size_t n = 0;
    const struct layer *layer;
    for (size_t i = 0; (layer = network_layer(network, i)); i++) n += layer->pools;
    return n;
}

/* Classification: one vector for the whole sequence. The others: an output at every step, from what
 * lies before it. */
static enum status check_shape_of_task(const struct bundle *bundle, const struct network *network,
                                       struct error *err)
{
    bool pools =
        bundle->task == TASK_TEXT_CLASSIFICATION || bundle->task == TASK_SEQUENCE_CLASSIFICATION;
    size_t n = n_pooling(network);
    if (n != (size_t)pools)
        return error_set(err, STATUS_BAD_VALUE, "the network has %zu pooling layers, task '%s' needs %s", n,
                         task_name(bundle->task), pools ? "exactly one" : "none");
    if (!pools && network_is_whole(network))
        return error_set(err, STATUS_BAD_VALUE,
                         "the network reads its sequence in both directions, which task '%s' cannot: the "
                         "next step is not known yet",
                         task_name(bundle->task));
    return STATUS_OK;
}

/* What enters: as many tokens, or numbers a step, as the rest of config.json says. */
static enum status check_inputs(const struct bundle *bundle, const struct network *network,
                                const struct tokenizer *tokenizer, struct error *err)
{
    size_t vocabulary = network_vocabulary_size(network), inputs = network_input_size(network);
    if (tokenizer) {
        size_t n = tokenizer_size(tokenizer);
        if (vocabulary == n) return STATUS_OK;
        if (vocabulary == 0)
            return error_set(err, STATUS_BAD_VALUE, "the network reads numbers, task '%s' needs a "
                             "first layer that reads tokens", task_name(bundle->task));
        return error_set(err, STATUS_BAD_SHAPE,
                         "the network reads %zu different tokens, the tokenizer has %zu", vocabulary, n);
    }
    if (vocabulary > 0)
        return error_set(err, STATUS_BAD_VALUE, "the network reads tokens, task '%s' needs a first "
                         "layer that reads numbers", task_name(bundle->task));
    if (bundle->task == TASK_FORECASTING && bundle->forecast.n_inputs != inputs)
        return error_set(err, STATUS_BAD_SHAPE,
                         "the network reads %zu numbers a step, 'forecast' lists %zu inputs", inputs,
                         bundle->forecast.n_inputs);
    return STATUS_OK;
}

static enum status check_outputs(const struct bundle *bundle, const struct network *network,
                                 const struct tokenizer *tokenizer, struct error *err)
{
    size_t outputs = network_output_size(network);
    size_t expected = bundle->task == TASK_FORECASTING ? series_n_outputs(&bundle->forecast)
                      : bundle->task == TASK_TEXT_GENERATION ? tokenizer_size(tokenizer)
                                                             : bundle->n_labels;
    const char *what = bundle->task == TASK_FORECASTING        ? "'forecast' needs"
                       : bundle->task == TASK_TEXT_GENERATION ? "the tokenizer has"
                                                              : "'labels' has";
    if (outputs == expected) return STATUS_OK;
    return error_set(err, STATUS_BAD_SHAPE, "the network gives %zu numbers, %s %zu", outputs, what, expected);
}

static enum status check_network(const struct bundle *bundle, const struct model *model,
                                 struct error *err)
{
    enum status status = check_inputs(bundle, model->network, model->tokenizer, err);
    if (status == STATUS_OK)
        status = check_outputs(bundle, model->network, model->tokenizer, err);
    if (status == STATUS_OK) status = check_shape_of_task(bundle, model->network, err);
    if (status != STATUS_OK) error_prefix(err, "config.json");
    return status;
}

/* ------------------------------------------------------------------------------------------
 * Taking over what the bundle says */

static enum status copy_text(const char *text, char **out, struct error *err)
{
    *out = memory_copy_text(text, strlen(text));
    return *out ? STATUS_OK : no_memory(err);
}

static enum status copy_card(const struct bundle *bundle, struct model *model, struct error *err)
{
    enum status status = copy_text(bundle->description, &model->description, err);
    if (status == STATUS_OK) status = copy_text(bundle->license, &model->license, err);
    if (status == STATUS_OK) status = copy_text(bundle->training_data, &model->training_data, err);
    model->task = bundle->task;
    model->recommended = bundle->precision;
    model->generation = bundle->generation;
    model->forecast = bundle->forecast;
    return status;
}

static enum status copy_labels(const struct bundle *bundle, struct model *model, struct error *err)
{
    if (bundle->n_labels == 0) return STATUS_OK;
    model->labels = memory_new(bundle->n_labels, sizeof *model->labels);
    if (!model->labels) return no_memory(err);
    for (size_t i = 0; i < bundle->n_labels; i++) {
        enum status status = copy_text(bundle->labels[i], &model->labels[i], err);
        if (status != STATUS_OK) return status;
        model->n_labels = i + 1;
    }
    return STATUS_OK;
}

/* One number for all features becomes one a feature. */
static enum status spread(const char *name, const struct bundle_numbers *numbers, size_t size,
                          double fallback, float **out, struct error *err)
{
    if (numbers->n > 1 && numbers->n != size)
        return error_set(err, STATUS_BAD_SHAPE,
                         "config.json: features: '%s' has %zu numbers, the network reads %zu a step",
                         name, numbers->n, size);
    *out = memory_new(size, sizeof **out);
    if (!*out) return no_memory(err);
    for (size_t i = 0; i < size; i++)
        (*out)[i] = (float)(numbers->n == 0   ? fallback
                            : numbers->n == 1 ? numbers->values[0]
                                              : numbers->values[i]);
    return STATUS_OK;
}

static enum status copy_features(const struct bundle *bundle, struct model *model,
                                 struct error *err)
{
    size_t size = network_input_size(model->network);
    if (bundle->task != TASK_SEQUENCE_CLASSIFICATION) return STATUS_OK;
    enum status status = spread("mean", &bundle->mean, size, 0, &model->features.mean, err);
    if (status == STATUS_OK)
        status = spread("scale", &bundle->scale, size, 1, &model->features.scale, err);
    return status;
}

static enum status make_tokenizer(const struct bundle *bundle, struct model *model,
                                  struct error *err)
{
    if (!bundle->has_tokenizer) return STATUS_OK;
    enum status status = tokenizer_new(&bundle->tokenizer, &model->tokenizer, err);
    if (status != STATUS_OK) error_prefix(err, "config.json: tokenizer");
    return status;
}

/* ------------------------------------------------------------------------------------------
 * The tensors and the proof */

static enum status build_network(const struct bundle *bundle, const void *content, size_t bytes,
                                 enum precision precision, struct model *model, struct error *err)
{
    struct safetensors *weights = NULL;
    enum status status = safetensors_open(content, bytes, &weights, err);
    if (status == STATUS_OK)
        status = network_new(bundle->layers, bundle->n_layers, safetensors_tensors(weights),
                             precision, &model->network, err);
    if (status == STATUS_OK) status = safetensors_check_taken(weights, err);
    safetensors_free(weights);
    return status;
}

/* Before anything is made of the content: what is damaged may break in any way, and is told as what it is. */
static enum status check_hash(const struct bundle *bundle, struct model *model, struct error *err)
{
    model->hash_is_expected = bundle->sha256 != NULL;
    if (!bundle->sha256 || strcmp(bundle->sha256, model->hash) == 0) return STATUS_OK;
    return error_set(err, STATUS_BAD_FORMAT,
                     "%s: its sha256 is %s, but config.json expects %s: the file is damaged, incomplete or "
                     "not this bundle's; fetch it again, or, if the weights were meant to change, write the "
                     "sum that was found into config.json",
                     WEIGHTS, model->hash, bundle->sha256);
}

static enum status read_weights(const struct bundle *bundle, enum precision precision,
                                struct model *model, struct error *err)
{
    struct file file;
    enum status status =
        folder_open_file(bundle->folder, WEIGHTS, SAFETENSORS_MAX_BYTES, &file, err);
    if (status != STATUS_OK) return status;
    model->created_s = file.modified_s;
    size_t bytes = (size_t)file.bytes;
    void *content = memory_new(bytes, 1);
    status = content ? hash_read(file.fd, WEIGHTS, content, bytes, model->hash, err)
                     : error_set(err, STATUS_NO_MEMORY, "%s: no memory for %zu bytes", WEIGHTS, bytes);
    close(file.fd);
    if (status == STATUS_OK) status = check_hash(bundle, model, err);
    if (status == STATUS_OK) status = build_network(bundle, content, bytes, precision, model, err);
    memory_free(content);
    return status;
}

static enum status prove(const struct bundle *bundle, struct model *model, struct error *err)
{
    char *text;
    size_t bytes;
    enum status status =
        folder_read_file(bundle->folder, GOLDEN, GOLDEN_MAX_BYTES, &text, &bytes, err);
    if (status != STATUS_OK) return status;
    status = golden_check(model, text, bytes, &model->golden_error, &model->n_golden, err);
    memory_free(text);
    return status;
}

static enum status assemble_in(enum precision precision, const struct bundle *bundle,
                               struct model *model, struct error *err)
{
    enum status status = read_weights(bundle, precision, model, err);
    if (status == STATUS_OK) status = check_network(bundle, model, err);
    if (status == STATUS_OK) status = copy_features(bundle, model, err);
    if (status == STATUS_OK) status = prove(bundle, model, err);
    return status;
}

static void drop_network(struct model *model)
{
    memory_free(model->features.mean);
    memory_free(model->features.scale);
    network_free(model->network);
    model->features = (struct feature_scaling){0};
    model->network = NULL;
}

/* What the bundle's author measured may not hold for its golden vectors here: better served in full than not
 * at all. */
static enum status assemble_recommended(const struct bundle *bundle, struct model *model,
                                        struct error *err)
{
    struct error told;
    enum precision precision =
        bundle->precision == PRECISION_AUTO ? PRECISION_FLOAT32 : bundle->precision;
    enum status status = assemble_in(precision, bundle, model, &told);
    if (status != STATUS_BAD_GOLDEN || precision == PRECISION_FLOAT32) {
        if (status != STATUS_OK && err) *err = told;
        return status;
    }
    drop_network(model);
    status = copy_text(told.message, &model->precision_refused, err);
    return status == STATUS_OK ? assemble_in(PRECISION_FLOAT32, bundle, model, err) : status;
}

static enum status assemble(const struct bundle *bundle, enum precision precision,
                            struct model *model, struct error *err)
{
    enum status status = copy_card(bundle, model, err);
    if (status == STATUS_OK) status = copy_labels(bundle, model, err);
    if (status == STATUS_OK) status = make_tokenizer(bundle, model, err);
    if (status != STATUS_OK) return status;
    return precision == PRECISION_AUTO ? assemble_recommended(bundle, model, err)
                                       : assemble_in(precision, bundle, model, err);
}

static void model_free(struct model *model)
{
    for (size_t i = 0; i < model->n_labels; i++) memory_free(model->labels[i]);
    memory_free(model->labels);
    memory_free(model->description);
    memory_free(model->license);
    memory_free(model->training_data);
    memory_free(model->precision_refused);
    tokenizer_free(model->tokenizer);
    drop_network(model);
    memory_free(model);
}

static enum status check_identity(const char *name, const char *version, struct error *err)
{
    char quoted[QUOTE_BYTES];
    if (!model_name_is_valid(name))
        return error_set(err, STATUS_BAD_VALUE,
                         "model name %s, expected a letter or digit, then at most %d letters, "
                         "digits, '.', '_' or '-'",
                         sentence_quote(quoted, name, strlen(name)), MODEL_NAME_BYTES - 1);
    if (strlen(version) <= MODEL_VERSION_BYTES) return STATUS_OK;
    return error_set(err, STATUS_BAD_VALUE, "model version %s is too long",
                     sentence_quote(quoted, version, strlen(version)));
}

enum status model_load(const char *path, const char *name, const char *version,
                       enum precision precision, struct model **out, struct error *err)
{
    double begin_ms = now_ms();
    struct bundle *bundle = NULL;
    enum status status = check_identity(name, version, err);
    if (status == STATUS_OK) status = bundle_open(path, &bundle, err);
    if (status != STATUS_OK) return status;
    struct model *model = memory_new(1, sizeof *model);
    status = model ? assemble(bundle, precision, model, err) : no_memory(err);
    bundle_close(bundle);
    if (status != STATUS_OK) {
        if (model) model_free(model);
        return status;
    }
    snprintf(model->name, sizeof model->name, "%s", name);
    snprintf(model->version, sizeof model->version, "%s", version);
    atomic_init(&model->_references, 1);
    model->load_ms = now_ms() - begin_ms;
    *out = model;
    return STATUS_OK;
}

struct model *model_acquire(struct model *model)
{
    atomic_fetch_add_explicit(&model->_references, 1, memory_order_relaxed);
    return model;
}

/* The last drop must see what all others wrote before theirs. */
void model_drop(struct model *model)
{
    if (!model) return;
    if (atomic_fetch_sub_explicit(&model->_references, 1, memory_order_acq_rel) == 1)
        model_free(model);
}
