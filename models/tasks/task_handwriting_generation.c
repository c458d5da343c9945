/* handwriting-generation: a text as the path of a pen. Requests: handwriting.h. */
#include <string.h>

#include "models/bundle/bundle.h"
#include "models/bundle/input.h"
#include "models/bundle/inspect.h"
#include "models/generation/handwriting.h"

#define HANDWRITING(field) .name = #field, .offset = offsetof(struct handwriting_spec, field)

struct keys {
    struct handwriting_spec spec; /* first: the fields lie in it */
    const char *style_text;
};

static enum status read_handwriting(const struct json *value, struct bundle *bundle, struct error *err)
{
    static const struct field fields[] = {
        {.name = "initial_state", .kind = FIELD_CHOICE, .choices = initial_state_names,
         .offset = offsetof(struct handwriting_spec, coder.initial_state)},
        {HANDWRITING(points_per_character), .kind = FIELD_INTEGER, .minimum = 1, .maximum = 1000},
        {HANDWRITING(bias), .kind = FIELD_NUMBER, .minimum = 0, .maximum = HANDWRITING_MAX_BIAS},
        {HANDWRITING(line_height), .kind = FIELD_NUMBER, .minimum = 0, .above = true, .maximum = 1e6},
        {HANDWRITING(spacing), .kind = FIELD_NUMBER, .minimum = 0, .maximum = 1e6},
        {.name = "style_text", .kind = FIELD_STRING, .offset = offsetof(struct keys, style_text)},
    };
    struct handwriting_spec *spec = bundle->spec;
    struct keys keys = {.spec = *spec, .style_text = spec->style_text};
    enum status status = json_read(value, fields, sizeof fields / sizeof *fields, &keys, err);
    if (status != STATUS_OK) return status;
    const size_t bytes = strlen(keys.style_text);
    if (bytes >= HANDWRITING_STYLE_BYTES)
        return error_set(err, STATUS_BAD_VALUE, "'style_text' has %zu bytes, expected at most %d", bytes,
                         HANDWRITING_STYLE_BYTES - 1);
    memmove(keys.spec.style_text, keys.style_text, bytes + 1);
    *spec = keys.spec;
    return STATUS_OK;
}

static const struct section section_handwriting = {"handwriting", FIELD_OBJECT, read_handwriting};

static void defaults(void *spec)
{
    *(struct handwriting_spec *)spec = (struct handwriting_spec){.points_per_character = 60, .bias = 0.5,
                                                                 .line_height = 14, .spacing = 1,
                                                                 .style_text = "the quick brown fox"};
}

static enum status check(const struct parts *parts, struct error *err)
{
    const struct network *decoder = parts->decoder;
    enum status status = task_check_tokens(parts, &task_handwriting_generation, err);
    if (status == STATUS_OK) status = task_check_stepwise(parts, &task_handwriting_generation, err);
    if (status == STATUS_OK) status = coder_check(parts, parts->bundle->spec, err);
    if (status != STATUS_OK) return status;
    if (network_is_whole(decoder) || network_has_pooling(decoder) || !network_memory_size(decoder))
        return error_set(err, STATUS_BAD_VALUE,
                         "the decoder must go on from point to point and look at the text: expected one "
                         "direction, no pooling, and a layer 'gaussian_attention' or 'attention'");
    if (network_input_size(decoder) != HANDWRITING_INPUTS)
        return error_set(err, STATUS_BAD_SHAPE,
                         "the decoder reads %zu numbers a step; expected %d: the way of the pen in x and y, "
                         "and 1 if a stroke ends", network_input_size(decoder), (int)HANDWRITING_INPUTS);
    const size_t M = handwriting_mixtures(network_output_size(decoder));
    if (M >= 1 && M <= HANDWRITING_MAX_MIXTURES) return STATUS_OK;
    return error_set(err, STATUS_BAD_SHAPE, "the decoder gives %zu numbers; expected 1 + 6 M of them for a "
                     "mixture of M = 1 to %d normals", network_output_size(decoder),
                     (int)HANDWRITING_MAX_MIXTURES);
}

static void inspect(const struct view *view)
{
    const struct handwriting_spec *spec = handwriting_spec_of(view->model);
    inspect_line(view, "handwriting",
                 "mixture of %zu normals, bias %g, at most %ld points a character, lines %g high",
                 handwriting_mixtures(network_output_size(view->model->decoder)), spec->bias,
                 spec->points_per_character, spec->line_height);
}

static size_t facts(const struct model *model, struct fact *out)
{
    const struct handwriting_spec *spec = handwriting_spec_of(model);
    out[0] = (struct fact){"mixtures", (double)handwriting_mixtures(network_output_size(model->decoder))};
    out[1] = (struct fact){"bias", spec->bias};
    out[2] = (struct fact){"max_characters", (double)(HANDWRITING_MAX_POINTS / spec->points_per_character)};
    return 3;
}

const struct task task_handwriting_generation = {
    .name = "handwriting-generation",
    .abilities = CAN(WRITE) | CAN(TOKENIZE),
    .sections = {{&section_tokenizer, true}, {&section_handwriting, false}},
    .reads_eos = true,
    .has_decoder = true,
    .spec_bytes = sizeof(struct handwriting_spec),
    .defaults = defaults,
    .check = check,
    .steps = input_text_of,
    .inspect = inspect,
    .facts = facts,
};
