#include "models/import/write.h"

#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/base/memory.h"
#include "models/bundle/model.h"
#include "models/import/forecaster.h"
#include "models/plan/reference.h"
#include "models/readers/recorded.h"
#include "models/text/hash.h"
#include "models/tokenizers/tokenizer.h"

enum {
    N_CASES = 4,
    MAX_STEPS = 24,
    MAX_RECORDED = 256, /* steps */
    TEXT_BYTES = 1024,
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

static void put_header(const struct plan *plan, struct json_text *json)
{
    size_t at = 0;
    json_text_put(json, "{");
    for (size_t p = 0; p < plan->n_parts; p++)
        for (size_t w = 0; w < plan->parts[p].n_weights; w++) {
            const struct weight *weight = &plan->parts[p].weights[w];
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
            bytes += weight_values(&plan->parts[p].weights[w]) * sizeof(float);
    out->weights_bytes = bytes + header.n;
    uint8_t *file = pool_take(plan->pool, out->weights_bytes, 1), *at = file;
    if (!file) return pool_spent(err);
    at = put_little(at, header.n, 8);
    memcpy(at, header.text, header.n);
    at += header.n;
    for (size_t p = 0; p < plan->n_parts; p++)
        for (size_t w = 0; w < plan->parts[p].n_weights; w++) {
            const struct weight *weight = &plan->parts[p].weights[w];
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

static void put_network(const struct plan *plan, struct json_text *json)
{
    json_text_put(json, "  \"network\": [\n");
    for (size_t p = 0; p < plan->n_parts; p++) {
        const struct part *part = &plan->parts[p];
        json_text_put(json, "    {\"type\": ");
        json_text_string(json, part->type);
        if (*part->prefix) {
            json_text_put(json, ", \"prefix\": ");
            json_text_string(json, part->prefix);
        }
        for (size_t k = 0; k < part->n_keys; k++)
            json_text_put(json, ", \"%s\": %s", part->keys[k].name, part->keys[k].json);
        if (part->origin && *part->origin) {
            json_text_put(json, ", \"_origin\": ");
            json_text_string(json, part->origin);
        }
        json_text_put(json, "}%s\n", p + 1 < plan->n_parts ? "," : "");
    }
    json_text_put(json, "  ]");
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

static void put_tokenizer(const struct card *card, struct json_text *json)
{
    const struct vocabulary *vocabulary = &card->vocabulary;
    json_text_put(json, ",\n  \"tokenizer\": {\"type\": \"%s\"", vocabulary->type);
    if (vocabulary->n) {
        json_text_put(json, ", \"vocabulary\": ");
        put_texts(json, vocabulary->items, vocabulary->n);
    }
    if (vocabulary->unk) {
        json_text_put(json, ", \"unk_token\": ");
        json_text_string(json, vocabulary->unk);
    }
    for (size_t i = 0; i < vocabulary->n_ngrams; i++)
        json_text_put(json, "%s%zu%s", i ? ", " : ", \"ngrams\": [", vocabulary->ngrams[i],
                      i + 1 < vocabulary->n_ngrams ? "" : "]");
    if (card->pad_length) {
        json_text_put(json, ", \"pad_length\": %zu, \"pad_token\": ", card->pad_length);
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
    if (card->has_vocabulary) put_tokenizer(card, &json);
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

/* ------------------------------------------------------------------------------------------
 * golden.json: inputs from a fixed stream of numbers, outputs from the reference */

static uint64_t next_number(uint64_t *state)
{
    *state = *state * 6364136223846793005u + 1442695040888963407u; /* Knuth, MMIX */
    return *state >> 33;
}

/* A text of tokens of the vocabulary, n of them; short if their names are long. */
static void make_text(const struct vocabulary *vocabulary, size_t n, uint64_t *state, char text[TEXT_BYTES])
{
    bool words = vocabulary->type[0] == 'w'; /* words, words_keras, whitespace */
    text[0] = '\0';
    for (size_t i = 0; i < n; i++) {
        size_t used = strlen(text);
        if (vocabulary->n == 0) {
            snprintf(text + used, TEXT_BYTES - used, "%c", (char)(' ' + next_number(state) % 95));
            continue;
        }
        const char *token = vocabulary->items[next_number(state) % vocabulary->n];
        bool control = (unsigned char)*token < 0x20 || (*token == '<' && token[1]);
        if (control || strlen(token) + used + 2 > TEXT_BYTES) continue;
        snprintf(text + used, TEXT_BYTES - used, "%s%s", words && used ? " " : "", token);
    }
}

static enum status make_tokenizer(const struct vocabulary *vocabulary, struct pool *pool,
                                  struct tokenizer **out, struct error *err)
{
    size_t *bytes = pool_take(pool, vocabulary->n + 1, sizeof *bytes);
    if (!bytes) return pool_spent(err);
    for (size_t i = 0; i < vocabulary->n; i++) bytes[i] = strlen(vocabulary->items[i]);
    struct tokenizer_spec spec = {.type = vocabulary->type,
                                        .vocabulary = vocabulary->n ? vocabulary->items : NULL,
                                        .vocabulary_bytes = vocabulary->n ? bytes : NULL,
                                        .n_vocabulary = vocabulary->n,
                                        .unk_token = vocabulary->unk,
                                        .lowercase = vocabulary->lowercase};
    spec.n_ngrams = vocabulary->n_ngrams;
    memcpy(spec.ngrams, vocabulary->ngrams, sizeof spec.ngrams);
    return tokenizer_new(&spec, out, err);
}

/* The ids as a bundle that pads reads them, docs/bundle-format.md, "tokenizer". */
static enum status pad(const struct card *card, struct pool *pool, const int32_t **ids, size_t *n,
                       struct error *err)
{
    size_t most = card->pad_length;
    int32_t *padded = pool_take(pool, most, sizeof *padded);
    if (!padded) return pool_spent(err);
    for (size_t t = 0; t < most; t++)
        padded[t] = t + *n < most ? (int32_t)card->pad_id : (*ids)[*n - most + t];
    *ids = padded;
    *n = most;
    return STATUS_OK;
}

static enum status put_text_case(const struct card *card, const struct tokenizer *tokenizer,
                                 const struct reference *reference, size_t steps, struct pool *pool,
                                 uint64_t *state, struct json_text *json, struct outputs *output, bool *made,
                                 struct error *err)
{
    char text[TEXT_BYTES];
    int32_t *own = NULL;
    size_t n = 0;
    struct error unknown;
    make_text(&card->vocabulary, steps, state, text);
    *made = false;
    if (tokenizer_encode(tokenizer, text, strlen(text), 4 * MAX_STEPS, &own, &n, &unknown) != STATUS_OK)
        return STATUS_OK;
    const int32_t *ids = own;
    bool there = n > 0;
    enum status status = there && card->pad_length ? pad(card, pool, &ids, &n, err) : STATUS_OK;
    if (status == STATUS_OK && there) status = reference_run(reference, ids, NULL, n, output, err);
    if (status == STATUS_OK && there) {
        *made = true;
        json_text_put(json, "{\"input\": ");
        json_text_string(json, text);
        json_text_put(json, ", \"tokens\": [");
        for (size_t i = 0; i < n; i++) json_text_put(json, "%s%d", i ? ", " : "", (int)ids[i]);
        json_text_put(json, "]");
    }
    memory_free(own);
    return status;
}

static enum status put_number_case(const struct plan *plan, const struct card *card,
                                   const struct reference *reference, size_t steps, uint64_t *state,
                                   struct json_text *json, struct outputs *output, struct error *err)
{
    size_t width = plan->parts[0].in, n = (steps + forecaster_ahead(card)) * width;
    double *raw = pool_take(plan->pool, n, sizeof *raw);
    double *scaled = pool_take(plan->pool, n, sizeof *scaled);
    double *read = pool_take(plan->pool, steps * width, sizeof *read);
    if (!raw || !scaled || !read) return pool_spent(err);
    for (size_t i = 0; i < n; i++) {
        size_t f = card->n_scaler > 1 ? i % width : 0;
        double mean = card->n_scaler ? card->mean[f] : 0, scale = card->n_scaler ? card->scale[f] : 1;
        raw[i] = mean + scale * ((double)(next_number(state) % 3001) / 1000 - 1.5);
        scaled[i] = (double)(float)((raw[i] - mean) / scale);
    }
    for (size_t i = 0; i < steps * width; i++)
        read[i] = scaled[i + (card->n_columns ? card->columns[i % width].lead * width : 0)];
    json_text_put(json, "{\"input\": ");
    if (card->context_length) forecaster_put_input(card, raw, steps, json);
    for (size_t t = 0; t < steps && !card->context_length; t++) {
        json_text_put(json, "%s", t ? ", " : "[");
        json_text_numbers(json, raw + t * width, width, 17);
    }
    json_text_put(json, "%s, \"features\": [", card->context_length ? "" : "]");
    for (size_t t = 0; t < steps; t++) {
        json_text_put(json, "%s", t ? ", " : "");
        json_text_numbers(json, read + t * width, width, 9);
    }
    json_text_put(json, "]");
    return reference_run(reference, NULL, read, steps, output, err);
}

/* The output of the last step; of a network that reads backwards and does not pool, those of all steps,
 * because at the last one its backward half has seen one step only. */
static void put_outputs(const struct plan *plan, const struct outputs *output, struct json_text *json)
{
    bool all = false;
    for (size_t i = 0; i < plan->n_parts; i++)
        all = all || plan->parts[i].n_directions > 1 || plan->parts[i].backwards || plan->parts[i].kernel > 1;
    all = all && !plan->pools;
    json_text_put(json, all ? ", \"outputs\": [" : ", \"output\": ");
    for (size_t t = all ? 0 : output->n - 1; t < output->n; t++) {
        if (all && t) json_text_put(json, ", ");
        json_text_numbers(json, output->values + t * output->width, output->width, 9);
    }
    json_text_put(json, all ? "]}" : "}");
}

/* h or c of the recurrent layers, as requests have initial_state. */
static enum status put_states(const struct plan *plan, bool is_c, struct json_text *json, struct error *err)
{
    bool first = true;
    for (size_t i = 0; i < plan->n_parts; i++) {
        const struct part *part = &plan->parts[i];
        const struct tensor *state = is_c ? part->cells[0].c0 : part->cells[0].h0;
        size_t n = is_c ? part->cells[0].hidden : part->cells[0].out;
        double *values;
        if (!part->n_layers || (is_c && strcmp(part->type, "lstm"))) continue;
        if (!(values = pool_take(plan->pool, n, sizeof *values))) return pool_spent(err);
        enum status status = state ? tensor_doubles(state, plan->pool, &values, err) : STATUS_OK;
        if (status != STATUS_OK) return status;
        json_text_put(json, "%s", first ? is_c ? ", \"c\": [" : "{\"h\": [" : ", ");
        json_text_numbers(json, values, n, 9);
        first = false;
    }
    json_text_put(json, "%s%s", first ? "" : "]", is_c ? "}" : "");
    return STATUS_OK;
}

/* Sequence b as it was recorded, with the states that its layers begin with. */
static enum status put_recorded_case(struct plan *plan, const struct card *card, size_t b,
                                     struct json_text *json, struct error *err)
{
    size_t width = plan->parts[0].in, n;
    const double *rows;
    struct reference *reference;
    struct outputs output = {0};
    enum status status = recorded_rows(plan, b, &rows, &n, err);
    if (status == STATUS_OK) status = recorded_begin(plan, b, err);
    if (status == STATUS_OK) status = reference_new(plan, &reference, err);
    if (status == STATUS_OK) status = reference_run(reference, NULL, rows, n, &output, err);
    if (status != STATUS_OK) return status;
    for (size_t raw = 2; raw-- > 0;) {
        json_text_put(json, raw ? ",\n  {\"input\": [" : "], \"features\": [");
        for (size_t i = 0; i < n * width; i++) {
            size_t f = card->n_scaler > 1 ? i % width : 0;
            double x = raw && card->n_scaler ? card->mean[f] + card->scale[f] * rows[i] : rows[i];
            json_text_put(json, "%s%.17g%s", i % width ? ", " : i ? ", [" : "[", x,
                          i % width == width - 1 ? "]" : "");
        }
    }
    json_text_put(json, "], \"initial_state\": ");
    status = put_states(plan, false, json, err);
    if (status == STATUS_OK) status = put_states(plan, true, json, err);
    put_outputs(plan, &output, json);
    return status;
}

/* The recorded sequences whose initial states are no part of the bundle, so that these are proved too. */
static enum status put_recorded_cases(struct plan *plan, const struct card *card, struct json_text *json,
                                      struct error *err)
{
    size_t B = recorded_batch(plan);
    enum status status = STATUS_OK;
    bool fits = recorded_states(plan) && !card->has_vocabulary && !card->context_length &&
                plan->recorded_input->rank == 3 && plan->recorded_input->shape[2] == plan->parts[0].in &&
                plan->recorded_input->shape[plan->step_first ? 0 : 1] <= MAX_RECORDED;
    for (size_t i = 0; i < plan->n_parts; i++)
        fits = fits && plan->parts[i].n_directions < 2 && !plan->parts[i].backwards &&
               plan->parts[i].kernel < 2;
    for (size_t b = 0; fits && b < B && b < N_CASES && status == STATUS_OK; b++) {
        status = put_recorded_case(plan, card, b, json, err);
        recorded_end(plan);
    }
    if (fits)
        report_size(plan->report, "initial states", B < N_CASES ? B : N_CASES, "cases of test_data_set_0");
    return status;
}

static enum status put_cases(struct plan *plan, const struct card *card,
                             const struct tokenizer *tokenizer, struct json_text *json, struct error *err)
{
    static const size_t lengths[N_CASES] = {1, 5, 12, MAX_STEPS};
    struct reference *reference;
    uint64_t state = 16;
    size_t made = 0;
    enum status status = reference_new(plan, &reference, err);
    for (size_t i = 0, tries = 0; i < N_CASES && tries < 64 && status == STATUS_OK; tries++) {
        struct outputs output = {0};
        bool is_made = true;
        size_t steps = lengths[i], before = json->n;
        if (card->context_length && steps > card->context_length) steps = card->context_length;
        json_text_put(json, "%s", made ? ",\n  " : "\n  ");
        status = tokenizer
                     ? put_text_case(card, tokenizer, reference, steps, plan->pool, &state, json, &output,
                                     &is_made, err)
                     : put_number_case(plan, card, reference, steps, &state, json, &output, err);
        if (status != STATUS_OK) break;
        if (!is_made) { /* such a text has no ids: another one */
            json->n = before;
            continue;
        }
        put_outputs(plan, &output, json);
        made++, i++;
    }
    if (status == STATUS_OK && !made)
        return error_set(err, STATUS_BAD_VALUE,
                         "no text can be made of the vocabulary, so nothing proves the model; "
                         "give inputs and outputs by --golden FILE");
    return status == STATUS_OK ? put_recorded_cases(plan, card, json, err) : status;
}

static enum status make_golden(struct plan *plan, const struct card *card, struct bundle_files *out,
                               struct error *err)
{
    struct json_text json = {.pool = plan->pool};
    struct tokenizer *tokenizer = NULL;
    if (card->golden) {
        out->golden = card->golden;
        out->golden_bytes = card->golden_bytes;
        report_fact(plan->report, "golden", "given", "from --golden");
        return STATUS_OK;
    }
    enum status status =
        card->has_vocabulary ? make_tokenizer(&card->vocabulary, plan->pool, &tokenizer, err) : STATUS_OK;
    json_text_put(&json, "{\"source\": \"reference\",\n \"cases\": [");
    if (status == STATUS_OK) status = put_cases(plan, card, tokenizer, &json, err);
    json_text_put(&json, "]}\n");
    tokenizer_free(tokenizer);
    if (status != STATUS_OK) return status;
    if (json.spent) return pool_spent(err);
    out->golden = json.text;
    out->golden_bytes = json.n;
    report_fact(plan->report, "golden", "reference",
                "computed in double from the source's own tensors: proves the conversion, not the meaning");
    return STATUS_OK;
}

enum status write_make(struct plan *plan, const struct card *card, const struct options *options,
                       const char *origin, struct bundle_files *out, struct error *err)
{
    enum status status = make_weights(plan, out, err);
    if (status == STATUS_OK) status = make_config(plan, card, options, origin, out, err);
    return status == STATUS_OK ? make_golden(plan, card, out, err) : status;
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
