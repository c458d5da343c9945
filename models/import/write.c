#include "models/import/write.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/base/memory.h"
#include "models/bundle/model.h"
#include "models/import/cases.h"
#include "models/import/forecaster.h"
#include "models/text/hash.h"

enum {
    PATH_BYTES = 1024,
    FILE_BYTES = PATH_BYTES + 32,
    HEADER_ALIGNMENT = 8
};

/* ------------------------------------------------------------------------------------------
 * model.safetensors */

static size_t weight_values(const struct weight *weight)
{
    size_t n = 1;
    for (size_t i = 0; i < weight->rank; i++) n *= weight->shape[i];
    return n;
}

/* Whether weight w of part p is the first of its name: two layers may share their tensors. */
static bool is_first(const struct plan *plan, size_t p, size_t w)
{
    for (size_t i = 0; i < p; i++) {
        if (strcmp(plan->parts[i].prefix, plan->parts[p].prefix)) continue;
        for (size_t k = 0; k < plan->parts[i].n_weights; k++)
            if (strcmp(plan->parts[i].weights[k].name, plan->parts[p].weights[w].name) == 0) return false;
    }
    return true;
}

static void put_header(const struct plan *plan, struct json_text *json)
{
    size_t at = 0;
    json_text_put(json, "{");
    for (size_t p = 0; p < plan->n_parts; p++)
        for (size_t w = 0; w < plan->parts[p].n_weights; w++) {
            const struct weight *weight = &plan->parts[p].weights[w];
            if (!is_first(plan, p, w)) continue;
            json_text_put(json, "%s", at ? "," : "");
            json_text_string(json, weight->name);
            json_text_put(json, ":{\"dtype\":\"F32\",\"shape\":[");
            for (size_t i = 0; i < weight->rank; i++)
                json_text_put(json, "%s%zu", i ? "," : "", weight->shape[i]);
            size_t end = at + weight_values(weight) * sizeof(float);
            json_text_put(json, "],\"data_offsets\":[%zu,%zu]}", at, end);
            at = end;
        }
    json_text_put(json, "}");
    while (json->n % HEADER_ALIGNMENT && !json->spent) json_text_put(json, " ");
}

static uint8_t *put_little(uint8_t *at, uint64_t x, size_t bytes)
{
    for (size_t i = 0; i < bytes; i++) *at++ = (uint8_t)(x >> 8 * i);
    return at;
}

static enum status make_weights(const struct plan *plan, struct bundle_files *out, struct error *err)
{
    struct json_text header = {.pool = plan->pool};
    size_t bytes = 8;
    put_header(plan, &header);
    if (header.spent) return pool_spent(err);
    for (size_t p = 0; p < plan->n_parts; p++)
        for (size_t w = 0; w < plan->parts[p].n_weights; w++)
            if (is_first(plan, p, w)) bytes += weight_values(&plan->parts[p].weights[w]) * sizeof(float);
    out->weights_bytes = bytes + header.n;
    uint8_t *file = pool_take(plan->pool, out->weights_bytes, 1), *at = file;
    if (!file) return pool_spent(err);
    at = put_little(at, header.n, 8);
    memcpy(at, header.text, header.n);
    at += header.n;
    for (size_t p = 0; p < plan->n_parts; p++)
        for (size_t w = 0; w < plan->parts[p].n_weights; w++) {
            const struct weight *weight = &plan->parts[p].weights[w];
            if (!is_first(plan, p, w)) continue;
            for (size_t i = 0; i < weight_values(weight); i++) {
                uint32_t bits;
                memcpy(&bits, &weight->values[i], sizeof bits);
                at = put_little(at, bits, sizeof bits);
            }
        }
    out->weights = file;
    return STATUS_OK;
}

/* ------------------------------------------------------------------------------------------
 * config.json */

static void put_part(const struct plan *plan, size_t at, struct json_text *json)
{
    const struct part *part = &plan->parts[at];
    json_text_put(json, "    {\"type\": ");
    json_text_string(json, part->type);
    if (*part->prefix) {
        json_text_put(json, ", \"prefix\": ");
        json_text_string(json, part->prefix);
    }
    for (size_t k = 0; k < part->n_keys; k++)
        json_text_put(json, ", \"%s\": %s", part->keys[k].name, part->keys[k].json);
    if (part->name) {
        json_text_put(json, ", \"name\": ");
        json_text_string(json, part->name);
    }
    for (size_t k = 0; k < part->n_sources; k++) {
        int source = part->sources[k];
        json_text_put(json, k ? ", " : ", \"inputs\": [");
        json_text_string(json, source == SOURCE_INPUT ? "input" : plan->parts[source].name);
    }
    if (part->n_sources) json_text_put(json, "]");
    if (part->origin && *part->origin) {
        json_text_put(json, ", \"_origin\": ");
        json_text_string(json, part->origin);
    }
    json_text_put(json, "}");
}

static void put_parts(const struct plan *plan, size_t from, size_t to, struct json_text *json)
{
    json_text_put(json, "[\n");
    for (size_t i = from; i < to; i++) {
        put_part(plan, i, json);
        json_text_put(json, "%s\n", i + 1 < to ? "," : "");
    }
    json_text_put(json, "  ]");
}

static void put_network(const struct plan *plan, struct json_text *json)
{
    json_text_put(json, "  \"network\": ");
    if (plan->n_encoder) {
        json_text_put(json, "{\"encoder\": ");
        put_parts(plan, 0, plan->n_encoder, json);
        json_text_put(json, ",\n  \"decoder\": ");
    }
    put_parts(plan, plan->n_encoder, plan->n_parts, json);
    json_text_put(json, plan->n_encoder ? "}" : "");
}

static void put_texts(struct json_text *json, const char *const *texts, size_t n)
{
    json_text_put(json, "[");
    for (size_t i = 0; i < n; i++) {
        json_text_put(json, "%s", i ? ", " : "");
        json_text_string(json, texts[i]);
    }
    json_text_put(json, "]");
}

static void put_tokenizer(const struct card *card, bool is_target, struct json_text *json)
{
    const struct vocabulary *vocabulary = is_target ? &card->target : &card->vocabulary;
    const struct {
        const char *key, *token;
    } special[] = {{"filters", vocabulary->filters},
                   {"unknown", vocabulary->unknown},
                   {"unk_token", vocabulary->unk},
                   {"bos_token", vocabulary->bos},
                   {"eos_token", vocabulary->eos}};
    json_text_put(json, ",\n  \"%stokenizer\": {\"type\": \"%s\"", is_target ? "target_" : "",
                  vocabulary->type);
    if (vocabulary->n) {
        json_text_put(json, ", \"vocabulary\": ");
        put_texts(json, vocabulary->items, vocabulary->n);
    }
    for (size_t i = 0; i < sizeof special / sizeof *special; i++) {
        if (!special[i].token) continue;
        json_text_put(json, ", \"%s\": ", special[i].key);
        json_text_string(json, special[i].token);
    }
    for (size_t i = 0; i < vocabulary->n_ngrams; i++)
        json_text_put(json, "%s%zu%s", i ? ", " : ", \"ngrams\": [", vocabulary->ngrams[i],
                      i + 1 < vocabulary->n_ngrams ? "" : "]");
    if (card->pad_length && !is_target) {
        json_text_put(json, ", \"pad_length\": %zu, \"pad_side\": \"%s\", \"pad_token\": ", card->pad_length,
                      card->pads_right ? "right" : "left");
        json_text_string(json, card->pad);
    }
    json_text_put(json, "%s}", vocabulary->lowercase ? ", \"lowercase\": true" : "");
}

static void put_scaler(const struct card *card, struct json_text *json)
{
    json_text_put(json, "\"mean\": ");
    if (card->n_scaler == 1) json_text_put(json, "%.17g", card->mean[0]);
    else json_text_numbers(json, card->mean, card->n_scaler, 17);
    json_text_put(json, ", \"scale\": ");
    if (card->n_scaler == 1) json_text_put(json, "%.17g", card->scale[0]);
    else json_text_numbers(json, card->scale, card->n_scaler, 17);
}

static enum status make_config(const struct plan *plan, const struct card *card,
                               const struct options *options, const char *origin, struct bundle_files *out,
                               struct error *err)
{
    struct json_text json = {.pool = plan->pool};
    uint8_t digest[HASH_BYTES];
    char hex[HASH_HEX_BYTES];
    hash_bytes(out->weights, out->weights_bytes, digest);
    hash_print(digest, hex);
    json_text_put(&json, "{\n  \"format_version\": 1,\n  \"_imported\": ");
    json_text_string(&json, origin);
    json_text_put(&json, ",\n  \"sha256\": \"%s\",\n  \"task\": \"%s\",\n", hex, card->task);
    if (options->description) {
        json_text_put(&json, "  \"description\": ");
        json_text_string(&json, options->description);
        json_text_put(&json, ",\n");
    }
    if (options->precision) json_text_put(&json, "  \"precision\": \"%.20s\",\n", options->precision);
    put_network(plan, &json);
    if (card->has_vocabulary) put_tokenizer(card, false, &json);
    if (card->has_target) put_tokenizer(card, true, &json);
    if (plan->begins) json_text_put(&json, ",\n  \"translation\": {\"initial_state\": \"encoder\"}");
    if (card->n_labels) {
        json_text_put(&json, ",\n  \"labels\": ");
        put_texts(&json, card->labels, card->n_labels);
        if (strcmp(card->task, "token-classification"))
            json_text_put(&json, ",\n  \"activation\": \"%s\"", card->sigmoid ? "sigmoid" : "softmax");
    }
    if (card->every_step) json_text_put(&json, ",\n  \"prediction\": {\"return\": \"all\"}");
    if (card->context_length) {
        json_text_put(&json, ",\n");
        forecaster_put(card, &json);
    } else if (card->n_scaler) {
        json_text_put(&json, ",\n  \"features\": {");
        put_scaler(card, &json);
        json_text_put(&json, "}");
    }
    json_text_put(&json, "\n}\n");
    if (json.spent) return pool_spent(err);
    out->config = json.text;
    out->config_bytes = json.n;
    return STATUS_OK;
}

enum status write_make(struct plan *plan, const struct card *card, const struct options *options,
                       const char *origin, struct bundle_files *out, struct error *err)
{
    enum status status = make_weights(plan, out, err);
    if (status == STATUS_OK) status = make_config(plan, card, options, origin, out, err);
    return status == STATUS_OK ? cases_make(plan, card, out, err) : status;
}

/* ------------------------------------------------------------------------------------------
 * The folder */

static enum status write_file(const char *folder, const char *name, const void *bytes, size_t n,
                              struct error *err)
{
    char path[FILE_BYTES];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    FILE *file = fopen(path, "wxb");
    bool written = file && fwrite(bytes, 1, n, file) == n;
    written = (!file || fclose(file) == 0) && written;
    return written ? STATUS_OK
                   : error_set(err, STATUS_IO, "%.200s: cannot be written: %s", path, strerror(errno));
}

static void remove_folder(const char *folder)
{
    static const char *const names[] = {"config.json", "model.safetensors", "golden.json"};
    char path[FILE_BYTES];
    for (size_t i = 0; i < 3; i++) {
        snprintf(path, sizeof path, "%s/%s", folder, names[i]);
        unlink(path);
    }
    rmdir(folder);
}

static enum status prove(const char *folder, const char *name, FILE *out, struct error *err)
{
    struct model *model = NULL;
    enum status status = model_load(folder, name, "1", PRECISION_FLOAT32, &model, err);
    if (status != STATUS_OK) {
        error_prefix(err, "the bundle that was made is refused by the server");
        return status;
    }
    fprintf(out, "%-22s %zu cases met by the server's loader, largest difference %.2g, %.2g allowed\n",
            "proved", model->n_golden, model->proof.error, model->proof.bound);
    model_drop(model);
    return STATUS_OK;
}

enum status write_folder(const struct bundle_files *files, const char *path, const char *name, FILE *out,
                         struct error *err)
{
    char folder[PATH_BYTES];
    struct stat about;
    if (lstat(path, &about) == 0)
        return error_set(err, STATUS_BAD_VALUE, "%.200s is there already; remove it or choose another -o",
                         path);
    if (snprintf(folder, sizeof folder, "%s.new-%ld", path, (long)getpid()) >= PATH_BYTES)
        return error_set(err, STATUS_TOO_LONG, "the path of -o is too long");
    if (mkdir(folder, 0777) != 0)
        return error_set(err, STATUS_IO, "%.200s: cannot be made: %s", folder, strerror(errno));
    enum status status = write_file(folder, "model.safetensors", files->weights, files->weights_bytes, err);
    if (status == STATUS_OK)
        status = write_file(folder, "config.json", files->config, files->config_bytes, err);
    if (status == STATUS_OK)
        status = write_file(folder, "golden.json", files->golden, files->golden_bytes, err);
    if (status == STATUS_OK) status = prove(folder, name, out, err);
    if (status == STATUS_OK && rename(folder, path) != 0)
        status = error_set(err, STATUS_IO, "%.200s: cannot be made: %s", path, strerror(errno));
    if (status != STATUS_OK) remove_folder(folder);
    return status;
}
