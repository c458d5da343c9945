#include "models/import/import.h"

#include <dirent.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "models/bundle/model.h"
#include "models/formats/zip.h"
#include "models/import/write.h"
#include "models/readers/keras.h"
#include "models/readers/onnx.h"
#include "models/readers/recorded.h"
#include "models/readers/source.h"
#include "models/readers/state_dict.h"
#include "models/text/folder.h"
#include "models/text/json.h"
#include "models/text/sentence.h"

enum { PATH_BYTES = 1024, MAX_NETWORK = 1 << 20, NAME_BYTES = 65 };

/* How PyTorch before 1.6 begins: a pickle of one long number, torch.serialization.MAGIC_NUMBER. */
static const uint8_t LEGACY_MAGIC[] = {0x8a, 0x0a, 0x6c, 0xfc, 0x9c, 0x46,
                                       0xf9, 0x20, 0x6a, 0xa8, 0x50, 0x19};

static bool begins(const uint8_t *file, size_t n, size_t at, const void *magic, size_t bytes)
{
    return n >= at && n - at >= bytes && memcmp(file + at, magic, bytes) == 0;
}

static bool is_safetensors(const uint8_t *file, size_t n)
{
    uint64_t length = 0;
    for (size_t i = 8; n > 8 && i-- > 0;) length = length << 8 | file[i];
    return n > 8 && file[8] == '{' && length > 0 && length <= n - 8;
}

/* The sentence for a file that is none of ours; NULL. */
static const char *mistake(const uint8_t *file, size_t n)
{
#define KIND(place, magic, text)                                                                             \
    if (begins(file, n, place, magic, sizeof magic - 1)) return text;
#include "models/import/kinds.def"
    return NULL;
}

typedef enum status read_source(const uint8_t *file, size_t n, struct source *source, struct error *err);

static enum status read_tensors(read_source *read, const uint8_t *file, size_t n,
                                const struct options *options, struct plan *plan, struct error *err)
{
    struct source source = {.pool = plan->pool, .report = plan->report};
    struct json *network = NULL;
    enum status status = read(file, n, &source, err);
    if (status == STATUS_OK && options->network) {
        char *text;
        size_t bytes;
        status = card_read_file(options->network, MAX_NETWORK, plan->pool, &text, &bytes, err);
        if (status == STATUS_OK) status = json_parse(text, bytes, &network, err);
        if (status != STATUS_OK) error_prefix(err, "--network");
    }
    if (status == STATUS_OK && source.n == 0)
        status = error_set(err, STATUS_BAD_FORMAT, "the file holds no tensors");
    plan->checkpoint = source.checkpoint;
    if (status == STATUS_OK) status = state_dict_plan(&source, options, network, plan, err);
    keras_release(source.keras);
    json_free(network);
    return status;
}

/* Weights without a model need --network, and say which layers they are of. */
static enum status read_h5(const uint8_t *file, size_t n, const struct options *options, struct plan *plan,
                           struct error *err)
{
    enum status status = options->network ? STATUS_NOT_FOUND : keras_read_h5(file, n, plan, err);
    return status == STATUS_NOT_FOUND ? read_tensors(keras_tensors_h5, file, n, options, plan, err) : status;
}

/* Read a zip, by what is in it. */
static enum status read_zip(const uint8_t *file, size_t n, const struct options *options, struct plan *plan,
                            const char **origin, struct error *err)
{
    struct zip zip;
    enum status status = zip_open(file, n, plan->pool, &zip, err);
    *origin = "a zip";
    if (status != STATUS_OK) return status;
    if (zip_find_exactly(&zip, "model.weights.h5")) {
        *origin = "Keras' zip";
        return options->network ? read_tensors(keras_tensors_zip, file, n, options, plan, err)
                                : keras_read_zip(file, n, plan, err);
    }
    *origin = is_numpy(&zip) ? "NumPy's zip" : "PyTorch's zip";
    return read_tensors(is_numpy(&zip) ? numpy_read : torch_read_zip, file, n, options, plan, err);
}

/* A ModelProto begins with ir_version, a small number; then come texts, or the graph. */
static bool is_onnx(const uint8_t *file, size_t n)
{
    return n > 4 && file[0] == 0x08 && file[1] >= 3 && file[1] < 32 && (file[2] & 7) != 3 &&
           (file[2] & 7) != 4;
}

static enum status read_onnx(const uint8_t *file, size_t n, const char *path, struct plan *plan,
                             struct error *err)
{
    struct folder *folder = NULL, *records = NULL;
    char above[PATH_BYTES], beside[PATH_BYTES + 32];
    enum status status = STATUS_OK;
    if (path) {
        const char *slash = strrchr(path, '/');
        snprintf(above, sizeof above, "%.*s", slash ? (int)(slash - path) : 1, slash ? path : ".");
        status = folder_open(*above ? above : "/", &folder, err);
        snprintf(beside, sizeof beside, "%s/test_data_set_0", above);
        if (status == STATUS_OK && access(beside, R_OK) == 0) status = folder_open(beside, &records, err);
    }
    if (status == STATUS_OK) status = onnx_read(file, n, folder, records, plan, err);
    folder_close(records);
    folder_close(folder);
    return status;
}

enum status import_read(const uint8_t *file, size_t n, const char *path, const struct options *options,
                        struct plan *plan, const char **origin, struct error *err)
{
    const char *sentence = mistake(file, n);
    if (sentence) return error_set(err, STATUS_BAD_FORMAT, "%s", sentence);
    if (begins(file, n, 0, "\x89HDF\r\n\x1a\n", 8)) {
        *origin = "Keras' HDF5";
        return read_h5(file, n, options, plan, err);
    }
    if (begins(file, n, 0, "PK\3\4", 4)) return read_zip(file, n, options, plan, origin, err);
    if (begins(file, n, 2, LEGACY_MAGIC, sizeof LEGACY_MAGIC)) {
        *origin = "PyTorch's format before 1.6";
        return read_tensors(torch_read_legacy, file, n, options, plan, err);
    }
    if (is_safetensors(file, n)) {
        *origin = "safetensors";
        return read_tensors(foreign_read, file, n, options, plan, err);
    }
    if (n && file[0] == '{') {
        *origin = "JSON";
        return read_tensors(dump_read, file, n, options, plan, err);
    }
    if (is_onnx(file, n)) {
        *origin = "ONNX";
        return read_onnx(file, n, path, plan, err);
    }
    if (n > 2 && file[0] == 0x80 && file[1] >= 2 && file[1] <= 5)
        return error_set(err, STATUS_UNSUPPORTED,
                         "this is a pickle that torch.save did not write; save the weights by "
                         "torch.save(model.state_dict(), 'model.pt')");
    return error_set(err, STATUS_BAD_FORMAT,
                     "the format is not known; expected a checkpoint of PyTorch (.pt), "
                     "safetensors, NumPy's .npz, JSON of arrays, Keras' .h5 or .keras, or ONNX");
}

/* ------------------------------------------------------------------------------------------
 * Files and folders */

/* Files of a folder that may hold a model, the best first. */
static const char *const names[] = {"model.safetensors", "pytorch_model.bin", "model.pt",  "model.pth",
                                    "model.keras",       "model.h5",          "model.onnx"};

static enum status find_in_folder(const char *folder, char path[PATH_BYTES], struct error *err)
{
    static const char *const ends[] = {".safetensors", ".pt", ".pth",  ".bin", ".ckpt",
                                       ".keras",       ".h5", ".hdf5", ".onnx"};
    struct stat about;
    char found[PATH_BYTES] = "";
    snprintf(path, PATH_BYTES, "%s/saved_model.pb", folder);
    if (stat(path, &about) == 0)
        return error_set(err, STATUS_UNSUPPORTED,
                         "this is a SavedModel of TensorFlow, which is not read; save it in Keras' "
                         "format: tf.keras.models.load_model(folder).save('model.keras')");
    snprintf(path, PATH_BYTES, "%s/prediction-net.json", folder);
    if (stat(path, &about) == 0)
        return error_set(err, STATUS_UNSUPPORTED,
                         "this is a predictor of GluonTS, whose network reads lags and features that GluonTS "
                         "computes, which is not served; its weights are in prediction-net-state.pt, which "
                         "may be imported by itself, with --network FILE, if it is a chain of layers");
    snprintf(path, PATH_BYTES, "%s/model.safetensors.index.json", folder);
    if (stat(path, &about) == 0)
        return error_set(err, STATUS_UNSUPPORTED,
                         "the weights lie in several files; save them in one, in Python: "
                         "model.save_pretrained('one', max_shard_size='100GB')");
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        snprintf(path, PATH_BYTES, "%s/%s", folder, names[i]);
        if (stat(path, &about) == 0) return STATUS_OK;
    }
    DIR *list = opendir(folder);
    for (struct dirent *entry; list && (entry = readdir(list));)
        for (size_t i = 0; i < sizeof ends / sizeof *ends; i++) {
            size_t bytes = strlen(entry->d_name), end = strlen(ends[i]);
            if (bytes <= end || strcmp(entry->d_name + bytes - end, ends[i])) continue;
            if (*found) {
                closedir(list);
                return error_set(err, STATUS_BAD_VALUE,
                                 "the folder holds several models; name the file that is wanted");
            }
            snprintf(found, sizeof found, "%s", entry->d_name);
        }
    if (list) closedir(list);
    if (!*found)
        return error_set(err, STATUS_NOT_FOUND,
                         "the folder holds no model (.pt, .safetensors, .keras, .h5, .onnx)");
    if (snprintf(path, PATH_BYTES, "%s/%s", folder, found) >= PATH_BYTES)
        return error_set(err, STATUS_TOO_LONG, "the path is too long");
    return STATUS_OK;
}

/* The name of the file without its folder and its end, with letters that a model's name may have. */
static void name_of(const char *path, char out[NAME_BYTES])
{
    char copy[PATH_BYTES];
    snprintf(copy, sizeof copy, "%s", path);
    for (size_t n = strlen(copy); n > 1 && copy[n - 1] == '/';) copy[--n] = '\0';
    const char *slash = strrchr(copy, '/');
    snprintf(out, NAME_BYTES, "%.64s", slash ? slash + 1 : copy);
    char *dot = strrchr(out, '.');
    if (dot && dot > out) *dot = '\0';
    for (char *c = out; *c; c++)
        if (!strchr("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-", *c)) *c = '-';
    if (!model_name_is_valid(out)) snprintf(out, NAME_BYTES, "model");
}

static enum status run(const struct options *options, struct plan *plan, FILE *out, struct error *err)
{
    char path[PATH_BYTES], quoted[QUOTE_BYTES], name[NAME_BYTES], output_name[NAME_BYTES];
    struct stat about;
    struct card card = {0};
    struct bundle_files files;
    const char *origin = "";
    char *file = NULL;
    size_t bytes = 0;
    enum status status = STATUS_OK;
    if (snprintf(path, sizeof path, "%s", options->file) >= PATH_BYTES)
        return error_set(err, STATUS_TOO_LONG, "the path is too long");
    if (stat(path, &about) == 0 && S_ISDIR(about.st_mode)) status = find_in_folder(options->file, path, err);
    if (status == STATUS_OK) status = card_read_file(path, IMPORT_MAX_FILE, plan->pool, &file, &bytes, err);
    if (status != STATUS_OK) return status;
    status = import_read((const uint8_t *)file, bytes, path, options, plan, &origin, err);
    if (status == STATUS_OK) status = recorded_check(plan, err);
    if (status == STATUS_OK) status = card_settle(plan, options, &card, err);
    if (status == STATUS_OK) status = write_make(plan, &card, options, origin, &files, err);
    fprintf(out, "%-22s %s\n", origin, sentence_quote(quoted, path, strlen(path)));
    report_print(plan->report, out);
    if (status != STATUS_OK || options->dry_run) return status;
    name_of(options->file, name);
    const char *output = options->output ? options->output : name;
    name_of(output, output_name);
    status = write_folder(&files, output, output_name, out, err);
    if (status == STATUS_OK) fprintf(out, "%-22s %s\n", "bundle", output);
    return status;
}

enum status import_run(const struct options *options, FILE *out, struct error *err)
{
    struct pool *pool = pool_new(IMPORT_MAX_MEMORY);
    if (!pool) return error_set(err, STATUS_NO_MEMORY, "no memory");
    struct report report = {.pool = pool};
    struct plan *plan = pool_take(pool, 1, sizeof *plan);
    enum status status = STATUS_NO_MEMORY;
    if (plan) {
        plan->pool = pool;
        plan->report = &report;
        status = run(options, plan, out, err);
    } else {
        error_set(err, status, "no memory");
    }
    pool_free(pool);
    return status;
}
