/* translation: a text from a text, by an encoder and a decoder with one vocabulary. Requests:
 * translation.h. */
#include <ctype.h>
#include <string.h>

#include "models/bundle/bundle.h"
#include "models/bundle/input.h"
#include "models/bundle/inspect.h"
#include "models/translation/translation.h"
#include "models/text/sentence.h"

struct keys {
    struct translation_spec spec;
    const char *source, *target;
};

static const struct field fields[] = {
    {.name = "initial_state", .kind = FIELD_CHOICE, .choices = initial_state_names,
     .offset = offsetof(struct keys, spec.coder.initial_state)},
    {.name = "num_beams", .kind = FIELD_INTEGER, .minimum = 1, .maximum = TRANSLATION_MAX_BEAMS,
     .offset = offsetof(struct keys, spec.num_beams)},
    {.name = "max_tokens", .kind = FIELD_INTEGER, .minimum = 1, .maximum = TRANSLATION_MAX_TOKENS,
     .offset = offsetof(struct keys, spec.max_tokens)},
    {.name = "length_penalty", .kind = FIELD_NUMBER, .minimum = 0, .maximum = 10,
     .offset = offsetof(struct keys, spec.length_penalty)},
    {.name = "coverage_penalty", .kind = FIELD_NUMBER, .minimum = 0, .maximum = 10,
     .offset = offsetof(struct keys, spec.coverage_penalty)},
    {.name = "split_sentences", .kind = FIELD_BOOLEAN, .offset = offsetof(struct keys, spec.split_sentences)},
    {.name = "source", .kind = FIELD_STRING, .offset = offsetof(struct keys, source)},
    {.name = "target", .kind = FIELD_STRING, .offset = offsetof(struct keys, target)},
};

/* Copy a code of a language, as BCP 47 writes them: letters and digits with hyphens. */
static enum status copy_language(const char *key, const char *code, char out[LANGUAGE_BYTES],
                                 struct error *err)
{
    char quoted[QUOTE_BYTES];
    size_t n = code ? strlen(code) : 0, i = 0;
    if (!code) return STATUS_OK;
    while (isalnum((unsigned char)code[i]) || (i > 0 && code[i] == '-')) i++;
    if (i == n && n >= 2 && n < LANGUAGE_BYTES) {
        memcpy(out, code, n + 1);
        return STATUS_OK;
    }
    return error_set(err, STATUS_BAD_VALUE, "'%s' is %s, expected the code of a language, such as 'en' or "
                     "'pt-BR'", key, sentence_quote(quoted, code, n));
}

static enum status read_translation(const struct json *value, struct bundle *bundle, struct error *err)
{
    struct translation_spec *spec = bundle->spec;
    struct keys keys = {.spec = *spec};
    enum status status = json_read(value, fields, sizeof fields / sizeof *fields, &keys, err);
    if (status == STATUS_OK) status = copy_language("source", keys.source, keys.spec.source, err);
    if (status == STATUS_OK) status = copy_language("target", keys.target, keys.spec.target, err);
    if (status == STATUS_OK && !*keys.spec.source != !*keys.spec.target)
        return error_set(err, STATUS_BAD_VALUE,
                         "'source' and 'target' name languages: expected both, or none");
    *spec = keys.spec;
    return status;
}

const struct section section_translation = {"translation", FIELD_OBJECT, read_translation};

void translation_set_defaults(void *spec)
{
    *(struct translation_spec *)spec = (struct translation_spec){.num_beams = 1, .max_tokens = 256,
                                                                 .length_penalty = 1};
}

/* Name the target_tokenizer, if it is one of its own, in a sentence about a tokenizer. */
static enum status blame(const struct parts *parts, enum status status, struct error *err)
{
    if (status != STATUS_OK && parts->target != parts->tokenizer) error_prefix(err, "target_tokenizer");
    return status;
}

static enum status check_target(const struct parts *parts, const struct task *task, struct error *err)
{
    const struct parts decoder = {parts->bundle, parts->decoder, parts->decoder, parts->target,
                                  parts->target, NULL};
    size_t outputs = network_output_size(parts->decoder), n = tokenizer_size(parts->target);
    enum status status = task_check_tokens(&decoder, task, err);
    if (status == STATUS_OK) status = task_check_causal(&decoder, task, err);
    if (status != STATUS_OK) return status;
    if (outputs != n)
        return error_set(err, STATUS_BAD_SHAPE, "the decoder gives %zu numbers, the tokenizer has %zu tokens",
                         outputs, n);
    if (tokenizer_bos(parts->target) == TOKEN_NONE || tokenizer_eos(parts->target) == TOKEN_NONE)
        return error_set(err, STATUS_BAD_VALUE,
                         "the tokenizer needs a 'bos_token', with which a target begins, and an 'eos_token', "
                         "with which it ends");
    return STATUS_OK;
}

static enum status check_coverage(const struct parts *parts, struct error *err)
{
    const struct translation_spec *spec = parts->bundle->spec;
    if (spec->coverage_penalty > 0 && !network_memory_size(parts->decoder))
        return error_set(err, STATUS_BAD_VALUE, "'coverage_penalty' is %g, but the decoder attends to "
                         "nothing: expected 0", spec->coverage_penalty);
    return STATUS_OK;
}

enum status translation_check(const struct parts *parts, const struct task *task, struct error *err)
{
    bool reads_numbers = task_reads(task, &section_features);
    enum status status = (reads_numbers ? task_check_numbers : task_check_tokens)(parts, task, err);
    if (status == STATUS_OK) status = task_check_stepwise(parts, task, err);
    if (status == STATUS_OK) status = blame(parts, check_target(parts, task, err), err);
    if (status == STATUS_OK) status = check_coverage(parts, err);
    return status == STATUS_OK ? coder_check(parts, parts->bundle->spec, err) : status;
}

static enum status check(const struct parts *parts, struct error *err)
{
    return translation_check(parts, &task_translation, err);
}

void translation_inspect(const struct view *view)
{
    const struct translation_spec *spec = translation_spec_of(view->model);
    inspect_line(view, "translation", "initial_state %s, num_beams %ld, max_tokens %ld, length_penalty %g",
                 initial_state_names[spec->coder.initial_state], spec->num_beams, spec->max_tokens,
                 spec->length_penalty);
    if (spec->coverage_penalty > 0)
        inspect_line(view, "coverage", "coverage_penalty %g", spec->coverage_penalty);
    if (*spec->source)
        inspect_line(view, "languages", "%s to %s%s", spec->source, spec->target,
                     spec->split_sentences ? ", sentence by sentence" : "");
}

size_t translation_facts(const struct model *model, struct fact *facts)
{
    const struct translation_spec *spec = translation_spec_of(model);
    facts[0] = (struct fact){"num_beams", (double)spec->num_beams};
    facts[1] = (struct fact){"max_tokens", (double)spec->max_tokens};
    return 2;
}

const struct task task_translation = {
    .name = "translation",
    .abilities = CAN(TRANSLATE) | CAN(TOKENIZE) | CAN(EXPLAIN),
    .sections = {{&section_tokenizer, true}, {&section_target_tokenizer, false},
                 {&section_translation, false}},
    .may_pad = true,
    .reads_eos = true,
    .has_decoder = true,
    .spec_bytes = sizeof(struct translation_spec),
    .defaults = translation_set_defaults,
    .check = check,
    .steps = input_text_of,
    .inspect = translation_inspect,
    .facts = translation_facts,
};
