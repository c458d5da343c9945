/* model: a bundle put together and proved. What config.json says (bundle), what the tensors hold
 * (safetensors, network) and what PyTorch computed (golden) must all agree before there is a model. */
#include "models/bundle/model.h"

#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "core/base/memory.h"
#include "models/bundle/bundle.h"
#include "models/features/feature.h"
#include "models/text/folder.h"
#include "models/bundle/golden.h"
#include "models/text/hash.h"
#include "models/bundle/room.h"
#include "models/bundle/safetensors.h"
#include "models/text/sentence.h"

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

static enum status check_network(const struct bundle *bundle, const struct network *network,
                                 const struct network *decoder, const struct model *model,
                                 struct error *err)
{
    const struct parts parts = {bundle, network, decoder, model->tokenizer, model->target,
                                model->front};
    enum status status = bundle->task->check(&parts, err);
    if (status == STATUS_OK && network_memory_size(network))
        status = error_set(err, STATUS_BAD_VALUE,
                           "%s attends to a memory, which only the decoder of a task with two networks has",
                           decoder ? "the encoder" : "the network");
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
    model->activation = bundle->activation;
    model->recommended = bundle->precision;
    model->accepts_token_ids = bundle->tokenizer.spec.accepts_token_ids;
    model->pad_length = bundle->tokenizer.spec.pad_length;
    model->pads_right = bundle->tokenizer.spec.pads_right;
    if (status != STATUS_OK || !bundle->spec) return status;
    model->spec = memory_new(1, bundle->task->spec_bytes);
    if (!model->spec) return no_memory(err);
    memcpy(model->spec, bundle->spec, bundle->task->spec_bytes);
    return STATUS_OK;
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
                          double fallback, double **out, struct error *err)
{
    if (numbers->n > 1 && numbers->n != size)
        return error_set(err, STATUS_BAD_SHAPE,
                         "config.json: features: '%s' has %zu numbers, the network reads %zu a step",
                         name, numbers->n, size);
    *out = memory_new(size, sizeof **out);
    if (!*out) return no_memory(err);
    for (size_t i = 0; i < size; i++)
        (*out)[i] = numbers->n == 0 ? fallback : numbers->values[numbers->n == 1 ? 0 : i];
    return STATUS_OK;
}

static enum status copy_features(const struct bundle *bundle, struct model *model,
                                 struct error *err)
{
    size_t size = network_input_size(model->network);
    if (size == 0 || !task_reads(bundle->task, &section_features)) return STATUS_OK;
    if (bundle->picture.width && !task_can(bundle->task, ABILITY_CAPTION))
        return error_set(err, STATUS_BAD_VALUE,
                         "config.json: features: type 'picture' has no place in a bundle of task '%s'",
                         bundle->task->name);
    enum status status = spread("mean", &bundle->mean, size, 0, &model->features.mean, err);
    if (status == STATUS_OK)
        status = spread("scale", &bundle->scale, size, 1, &model->features.scale, err);
    model->picture = bundle->picture;
    if (status != STATUS_OK || !model->picture.width || !model->picture.coordinates) return status;
    /* one number for all is meant for the pixels */
    for (size_t i = size - 2; i < size; i++) {
        if (bundle->mean.n == 1) model->features.mean[i] = 0;
        if (bundle->scale.n == 1) model->features.scale[i] = 1;
    }
    return STATUS_OK;
}

static enum status make_tokenizer(const struct bundle_tokenizer *from, const char *key,
                                  struct tokenizer **out, struct error *err)
{
    if (!from->is_given) return STATUS_OK;
    enum status status = tokenizer_new(&from->spec, out, err);
    if (status != STATUS_OK) error_prefix(err, "config.json: %s", key);
    return status;
}

static enum status make_tokenizers(const struct bundle *bundle, struct model *model, struct error *err)
{
    enum status status = make_tokenizer(&bundle->tokenizer, "tokenizer", &model->tokenizer, err);
    if (status == STATUS_OK)
        status = make_tokenizer(&bundle->target, "target_tokenizer", &model->target, err);
    if (!model->target) model->target = model->tokenizer;
    return status;
}

static enum status make_front(const struct bundle *bundle, struct model *model, struct error *err)
{
    if (!bundle->front) return STATUS_OK;
    if (!bundle->task->has_front)
        return error_set(err, STATUS_BAD_VALUE, "config.json: features: 'type' has no place in task '%s', "
                         "whose clients send the steps themselves", bundle->task->name);
    enum status status = front_new(bundle->front, &model->front, err);
    if (status != STATUS_OK) error_prefix(err, "config.json: features");
    return status;
}

/* ------------------------------------------------------------------------------------------
 * The tensors and the proof */

/* Set memory aside for content and network together, or refuse the bundle. */
static enum status reserve(uint64_t bytes, struct error *err)
{
    char needed[ROOM_TEXT_BYTES], left[ROOM_TEXT_BYTES], limit[ROOM_TEXT_BYTES];
    struct room room;
    if (room_reserve(bytes, &room)) return STATUS_OK;
    return error_set(err, STATUS_TOO_LONG,
                     "the model needs %s of memory while it is loaded, but %s are left of the %s that the "
                     "machine or its cgroup allows; give it more, or serve fewer models",
                     room_text(bytes, needed), room_text(room.available, left), room_text(room.limit, limit));
}

/* Check all that can be known from the header of the weights, before anything as large as they is allocated
 * or read: that each tensor is there and has its shape, that the network's form fits the task and the rest
 * of config.json, and that there is memory for it, in float32, in which it is proved first: *reserved, which
 * is the caller's to release. */
static enum status plan(const struct bundle *bundle, const struct file *file, const struct model *model,
                        uint64_t *reserved, struct error *err)
{
    struct safetensors *weights = NULL;
    struct network *form = NULL, *decoder = NULL;
    uint64_t bytes = 0, more = 0;
    enum status status = safetensors_open_header(file->fd, file->bytes, &weights, err);
    if (status == STATUS_OK)
        status = network_plan(bundle->layers, bundle->n_layers, safetensors_tensors(weights),
                              PRECISION_FLOAT32, &form, &bytes, err);
    if (status == STATUS_OK && bundle->n_decoder) {
        status = network_plan(bundle->decoder, bundle->n_decoder, safetensors_tensors(weights),
                              PRECISION_FLOAT32, &decoder, &more, err);
        if (status != STATUS_OK) error_prefix(err, "decoder");
        bytes += more;
    }
    if (status == STATUS_OK && bundle->task->read)
        status = bundle->task->read(bundle, safetensors_tensors(weights), NULL, err);
    if (status == STATUS_OK) status = safetensors_check_taken(weights, err);
    if (status == STATUS_OK) status = check_network(bundle, form, decoder, model, err);
    bytes = bytes > UINT64_MAX - file->bytes ? UINT64_MAX : bytes + file->bytes;
    if (status == STATUS_OK) status = reserve(bytes, err);
    if (status == STATUS_OK) *reserved = bytes;
    network_free(form);
    network_free(decoder);
    safetensors_free(weights);
    return status;
}

/* Compare the sum that config.json names, if it names one. */
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

/* The file is refused by its header, and *err says why. A file that is damaged may break in any way: if
 * config.json names its sum, and the sum is another, say that instead, unless the file is a whole one of
 * another kind, such as the pointer that Git LFS leaves in its place. */
static enum status blame(const struct bundle *bundle, const struct file *file, struct model *model,
                         enum status status, struct error *err)
{
    struct error other;
    if (!bundle->sha256 || status == STATUS_NO_MEMORY || safetensors_foreign_kind(file->fd, file->bytes))
        return status;
    if (hash_read(file->fd, WEIGHTS, NULL, (size_t)file->bytes, model->hash, &other) != STATUS_OK ||
        check_hash(bundle, model, &other) == STATUS_OK)
        return status;
    if (err) *err = other;
    return other.status;
}

/* The files that a network is made of and proved by. */
struct files {
    void *weights; /* [n_weights] owned, the whole file */
    char *golden;  /* [n_golden] owned, zero-terminated */
    size_t n_weights, n_golden;
    struct hash_reading *hashing; /* of the weights, which may still go on; NULL: over */
    uint64_t reserved; /* bytes of memory, until the network is made */
};

static enum status read_content(const struct bundle *bundle, const struct file *file, struct files *files,
                                struct error *err)
{
    files->n_weights = (size_t)file->bytes;
    files->weights = memory_unset(files->n_weights); /* its pages come while it is read */
    if (!files->weights)
        return error_set(err, STATUS_NO_MEMORY, "%s: no memory for %zu bytes", WEIGHTS, files->n_weights);
    enum status status =
        hash_begin(file->fd, WEIGHTS, files->weights, files->n_weights, &files->hashing, err);
    if (status != STATUS_OK) return status;
    return folder_read_file(bundle->folder, GOLDEN, GOLDEN_MAX_BYTES, &files->golden, &files->n_golden, err);
}

static enum status read_files(const struct bundle *bundle, struct files *files, struct model *model,
                              struct error *err)
{
    struct file file;
    enum status status =
        folder_open_file(bundle->folder, WEIGHTS, SAFETENSORS_MAX_BYTES, &file, err);
    if (status != STATUS_OK) return status;
    model->created_s = file.modified_s;
    status = plan(bundle, &file, model, &files->reserved, err);
    if (status != STATUS_OK) status = blame(bundle, &file, model, status, err);
    else status = read_content(bundle, &file, files, err);
    close(file.fd);
    return status;
}

static enum status build_network(const struct bundle *bundle, const void *content, size_t bytes,
                                 enum precision precision, struct model *model, struct error *err)
{
    struct safetensors *weights = NULL;
    enum status status = safetensors_open(content, bytes, &weights, err);
    if (status == STATUS_OK)
        status = network_new(bundle->layers, bundle->n_layers, safetensors_tensors(weights),
                             precision, &model->network, err);
    if (status == STATUS_OK && bundle->n_decoder) {
        status = network_new_decoder(model->network, bundle->decoder, bundle->n_decoder,
                                     safetensors_tensors(weights), precision, &model->decoder, err);
        if (status != STATUS_OK) error_prefix(err, "decoder");
    }
    if (status == STATUS_OK && bundle->task->read)
        status = bundle->task->read(bundle, safetensors_tensors(weights), &model->numbers, err);
    if (status == STATUS_OK) status = safetensors_check_taken(weights, err);
    safetensors_free(weights);
    return status;
}

static void drop_network(struct model *model)
{
    memory_free(model->features.mean);
    memory_free(model->features.scale);
    memory_free(model->numbers);
    network_free(model->network);
    network_free(model->decoder);
    model->features = (struct feature_scaling){0};
    model->network = model->decoder = NULL;
    model->numbers = NULL;
}

/* Make the model's network in `precision`, in place of the one it has, and prove it. */
static enum status assemble_in(enum precision precision, const struct bundle *bundle,
                               const struct files *files, struct model *model, struct error *err)
{
    drop_network(model);
    enum status status = build_network(bundle, files->weights, files->n_weights, precision, model, err);
    if (status == STATUS_OK)
        status = check_network(bundle, model->network, model->decoder, model,
                               err); /* the file may have changed */
    if (status == STATUS_OK) status = copy_features(bundle, model, err);
    if (status == STATUS_OK)
        status = golden_check(model, files->golden, files->n_golden, &model->proof, &model->n_golden, err);
    if (status == STATUS_OK && precision == PRECISION_FLOAT32) model->proof_float32 = model->proof;
    return status;
}

/* Prove the network in float32, then in the precision that serves: the bound of a narrow precision is so wide
 * that a wrong network may keep it. One network at a time, so that memory never holds both. */
static enum status assemble_networks(const struct bundle *bundle, enum precision asked,
                                     const struct files *files, struct model *model, struct error *err)
{
    struct error reason;
    enum precision precision = asked == PRECISION_AUTO ? bundle->precision : asked;
    enum status status = assemble_in(PRECISION_FLOAT32, bundle, files, model, err);
    if (status != STATUS_OK || precision == PRECISION_AUTO || precision == PRECISION_FLOAT32) return status;
    status = assemble_in(precision, bundle, files, model, &reason);
    /* What the bundle's author measured may not hold here. Float32 has been proved, so it serves. */
    if (status != STATUS_OK && status != STATUS_NO_MEMORY && status != STATUS_CLOSING &&
        asked == PRECISION_AUTO) {
        status = copy_text(reason.message, &model->precision_refused, err);
        return status == STATUS_OK ? assemble_in(PRECISION_FLOAT32, bundle, files, model, err) : status;
    }
    if (status != STATUS_OK && err) *err = reason;
    return status;
}

/* Compare the sum of the weights, which were hashed while the network was made of them. A file that is
 * damaged may fail there in any way: if it has the wrong sum, say that instead. */
static enum status weigh(const struct bundle *bundle, struct files *files, struct model *model,
                         enum status status, struct error *err)
{
    struct error other;
    bool says_nothing = status == STATUS_NO_MEMORY || status == STATUS_CLOSING;
    if (says_nothing || (status != STATUS_OK && !bundle->sha256)) {
        hash_drop(files->hashing);
        return status;
    }
    hash_finish(files->hashing, model->hash);
    if (check_hash(bundle, model, &other) == STATUS_OK) return status;
    if (err) *err = other;
    return other.status;
}

static enum status assemble(const struct bundle *bundle, enum precision precision,
                            struct model *model, struct error *err)
{
    enum status status = copy_card(bundle, model, err);
    if (status == STATUS_OK) status = copy_labels(bundle, model, err);
    if (status == STATUS_OK) status = make_tokenizers(bundle, model, err);
    if (status == STATUS_OK) status = make_front(bundle, model, err);
    struct files files = {0};
    if (status == STATUS_OK) status = read_files(bundle, &files, model, err);
    if (status == STATUS_OK) status = assemble_networks(bundle, precision, &files, model, err);
    if (files.hashing) status = weigh(bundle, &files, model, status, err);
    memory_free(files.weights);
    memory_free(files.golden);
    if (files.reserved > 0) room_release(files.reserved);
    return status;
}

static void model_free(struct model *model)
{
    for (size_t i = 0; i < model->n_labels; i++) memory_free(model->labels[i]);
    memory_free(model->labels);
    memory_free(model->description);
    memory_free(model->license);
    memory_free(model->training_data);
    memory_free(model->precision_refused);
    memory_free(model->spec);
    if (model->target != model->tokenizer) tokenizer_free(model->target);
    tokenizer_free(model->tokenizer);
    front_free(model->front);
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

size_t model_bytes(const struct model *model)
{
    return network_bytes(model->network) + (model->decoder ? network_bytes(model->decoder) : 0);
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
