#include "models/import/cases.h"

#include <string.h>

#include "core/base/memory.h"
#include "models/import/forecaster.h"
#include "models/plan/reference.h"
#include "models/readers/recorded.h"
#include "models/tokenizers/tokenizer.h"

enum {
    N_CASES = 4,
    MAX_STEPS = 24,
    MAX_RECORDED = 256, /* steps */
    TEXT_BYTES = 1024
};

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
        bool control = (unsigned char)*token < 0x20 || (*token == '<' && token[1]) ||
                       (vocabulary->unk && strcmp(token, vocabulary->unk) == 0);
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
                                        .bos_token = vocabulary->bos,
                                        .eos_token = vocabulary->eos,
                                        .filters = vocabulary->filters,
                                        .unknown = vocabulary->unknown,
                                        .lowercase = vocabulary->lowercase};
    spec.n_ngrams = vocabulary->n_ngrams;
    memcpy(spec.ngrams, vocabulary->ngrams, sizeof spec.ngrams);
    return tokenizer_new(&spec, out, err);
}

/* The id of a token; of bytes the byte. */
static int32_t id_of(const struct vocabulary *vocabulary, const char *token)
{
    for (size_t id = 0; id < vocabulary->n; id++)
        if (strcmp(vocabulary->items[id], token) == 0) return (int32_t)id;
    return (uint8_t)token[0];
}

/* The ids as the network reads them, docs/bundle-format.md, "tokenizer": between bos and eos, and padded. */
static enum status frame(const struct plan *plan, const struct card *card, const int32_t **ids, size_t *n,
                         struct error *err)
{
    const struct vocabulary *v = &card->vocabulary;
    bool ends = v->eos && strcmp(card->task, "text-generation");
    size_t own = *n + (v->bos != NULL) + ends, most = card->pad_length ? card->pad_length : own, at = 0;
    int32_t *whole = pool_take(plan->pool, own, sizeof *whole),
            *read = pool_take(plan->pool, most, sizeof *read);
    if (!whole || !read) return pool_spent(err);
    if (v->bos) whole[at++] = id_of(v, v->bos);
    memcpy(whole + at, *ids, *n * sizeof *whole);
    if (ends) whole[own - 1] = id_of(v, v->eos);
    size_t pads = own < most ? most - own : 0, first = card->pads_right ? 0 : pads;
    for (size_t t = 0; t < most; t++)
        read[t] = t < first || t >= first + own ? (int32_t)card->pad_id
                                                : whole[own - (most - pads) + t - first];
    *ids = read;
    *n = most;
    return STATUS_OK;
}

/* Steps of a target: what begins it, and then any tokens. */
static enum status translate(const struct plan *plan, const struct card *card,
                             const struct reference *reference, const int32_t *ids, size_t n, size_t steps,
                             uint64_t *state, struct json_text *json, struct outputs *output,
                             struct error *err)
{
    const struct vocabulary *vocabulary = card->has_target ? &card->target : &card->vocabulary;
    int32_t *target = pool_take(plan->pool, steps, sizeof *target);
    if (!target) return pool_spent(err);
    target[0] = id_of(vocabulary, vocabulary->bos);
    for (size_t t = 1; t < steps; t++)
        target[t] = (int32_t)(next_number(state) % (vocabulary->n ? vocabulary->n : 256));
    for (size_t t = 0; t < steps; t++)
        json_text_put(json, "%s%d", t ? ", " : ", \"target\": [", (int)target[t]);
    json_text_put(json, "]");
    return reference_translate(reference, ids, n, target, steps, output, err);
}

static enum status put_text_case(const struct plan *plan, const struct card *card,
                                 const struct tokenizer *tokenizer, const struct reference *reference,
                                 size_t steps, uint64_t *state, struct json_text *json,
                                 struct outputs *output, bool *made, struct error *err)
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
    *made = n > 0;
    enum status status = *made ? frame(plan, card, &ids, &n, err) : STATUS_OK;
    if (status == STATUS_OK && *made) {
        json_text_put(json, "{\"input\": ");
        json_text_string(json, text);
        for (size_t i = 0; i < n; i++) json_text_put(json, "%s%d", i ? ", " : ", \"tokens\": [", (int)ids[i]);
        json_text_put(json, "]");
        status = plan->n_encoder
                     ? translate(plan, card, reference, ids, n, steps, state, json, output, err)
                     : reference_run(reference, ids, NULL, n, output, err);
    }
    memory_free(own);
    return status;
}

static enum status put_number_case(const struct plan *plan, const struct card *card,
                                   const struct reference *reference, size_t steps, uint64_t *state,
                                   struct json_text *json, struct outputs *output, struct error *err)
{
    size_t width = plan_input(plan)->in, n = (steps + forecaster_ahead(card)) * width;
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
    all = all && !plan->pools && !plan->n_encoder;
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
    size_t width = plan_input(plan)->in, n;
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
                plan->recorded_input->rank == 3 && plan->recorded_input->shape[2] == plan_input(plan)->in &&
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
                     ? put_text_case(plan, card, tokenizer, reference, steps, &state, json, &output,
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

enum status cases_make(struct plan *plan, const struct card *card, struct bundle_files *out,
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
