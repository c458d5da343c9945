/* pronunciation: the phonemes of a word, by an encoder of its letters and a decoder. Requests: translation.h;
 * as text: pronunciation.h. */
#include "models/bundle/inspect.h"
#include "models/translation/pronunciation.h"
#include "models/bundle/bundle.h"
#include "models/bundle/input.h"

static enum status read_pronunciation(const struct json *value, struct bundle *bundle, struct error *err)
{
    static const struct field fields[] = {
        {.name = "alphabet", .kind = FIELD_CHOICE, .choices = alphabet_names,
         .offset = offsetof(struct pronunciation_spec, alphabet)},
    };
    return json_read(value, fields, sizeof fields / sizeof *fields, bundle->spec, err);
}

static const struct section section_pronunciation = {"pronunciation", FIELD_OBJECT, read_pronunciation};

static enum status check(const struct parts *parts, struct error *err)
{
    const struct pronunciation_spec *spec = parts->bundle->spec;
    enum status status = translation_check(parts, &task_pronunciation, err);
    if (status != STATUS_OK) return status;
    return pronunciation_check(parts->target, (enum alphabet)spec->alphabet, err);
}

static void inspect(const struct view *view)
{
    inspect_line(view, "alphabet", "%s%s", alphabet_names[pronunciation_spec_of(view->model)->alphabet],
                 pronunciation_has_stress(view->model) ? ", with stress" : "");
    translation_inspect(view);
}

const struct task task_pronunciation = {
    .name = "pronunciation",
    .abilities = CAN(PRONOUNCE) | CAN(TOKENIZE) | CAN(EXPLAIN),
    .sections = {{&section_tokenizer, true}, {&section_target_tokenizer, false},
                 {&section_translation, false}, {&section_pronunciation, false}},
    .reads_eos = true,
    .has_decoder = true,
    .spec_bytes = sizeof(struct pronunciation_spec),
    .defaults = translation_set_defaults,
    .check = check,
    .steps = input_text_of,
    .inspect = inspect,
    .facts = translation_facts,
};
