/* text-generation: the next token from those before it. Requests: generation.h, scoring.h, reading.h. */
#include "models/bundle/bundle.h"
#include "models/bundle/input.h"
#include "models/bundle/inspect.h"
#include "models/generation/generation.h"
#include "models/generation/ngrams.h"

#define GENERATION(field) .name = #field, .offset = offsetof(struct generation_defaults, field)

static const char *const chat_templates[] = {"none", "plain", "roles", NULL};

static const struct field generation_fields[] = {
    {GENERATION(chat_template), .kind = FIELD_CHOICE, .choices = chat_templates},
    {GENERATION(temperature), .kind = FIELD_NUMBER, .minimum = 0, .maximum = 100},
    {GENERATION(top_p), .kind = FIELD_NUMBER, .above = true, .minimum = 0, .maximum = 1},
    {GENERATION(top_k), .kind = FIELD_INTEGER, .minimum = 0, .maximum = 1 << 20},
    {GENERATION(min_p), .kind = FIELD_NUMBER, .minimum = 0, .maximum = 1},
    {GENERATION(repetition_penalty), .kind = FIELD_NUMBER, .above = true, .minimum = 0,
     .maximum = 100},
    {GENERATION(no_repeat_ngram_size), .kind = FIELD_INTEGER, .minimum = 0, .maximum = NGRAMS_WINDOW},
    {GENERATION(max_tokens), .kind = FIELD_INTEGER, .minimum = 1, .maximum = 1 << 20},
};

static enum status read_generation(const struct json *value, struct bundle *bundle,
                                   struct error *err)
{
    return json_read(value, generation_fields, sizeof generation_fields / sizeof *generation_fields,
                     bundle->spec, err);
}

static const struct section section_generation = {"generation", FIELD_OBJECT, read_generation};

static void set_defaults(void *spec)
{
    *(struct generation_defaults *)spec = (struct generation_defaults){
        .temperature = 1, .top_p = 1, .repetition_penalty = 1, .max_tokens = 256};
}

static enum status check(const struct parts *parts, struct error *err)
{
    size_t outputs = network_output_size(parts->network), n = tokenizer_size(parts->tokenizer);
    enum status status = task_check_tokens(parts, &task_text_generation, err);
    if (status == STATUS_OK && outputs != n)
        return error_set(err, STATUS_BAD_SHAPE, "the network gives %zu numbers, the tokenizer has %zu",
                         outputs, n);
    return status == STATUS_OK ? task_check_causal(parts, &task_text_generation, err) : status;
}

static void inspect(const struct view *view)
{
    const struct generation_defaults *g = generation_defaults_of(view->model);
    inspect_line(view, "generation",
                 "temperature %g, top_p %g, top_k %ld, min_p %g, repetition_penalty %g, "
                 "no_repeat_ngram_size %ld, max_tokens %ld",
                 g->temperature, g->top_p, g->top_k, g->min_p, g->repetition_penalty, g->no_repeat_ngram_size,
                 g->max_tokens);
}

const struct task task_text_generation = {
    .name = "text-generation",
    .abilities = CAN(COMPLETE) | CAN(SCORE) | CAN(TOKENIZE) | CAN(EMBED) | CAN(EXPLAIN),
    .sections = {{&section_tokenizer, true}, {&section_generation, false}},
    .spec_bytes = sizeof(struct generation_defaults),
    .defaults = set_defaults,
    .check = check,
    .steps = input_text_of,
    .inspect = inspect,
};
