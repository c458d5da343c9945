/* transcription: sound or handwriting as text, by connectionist temporal classification. One label is the
 * blank; the others are written one after the other. Requests: transcription.h, ctc.h, reading.h. */
#include <string.h>

#include "models/bundle/bundle.h"
#include "models/bundle/inspect.h"
#include "models/features/feature.h"
#include "models/tasks/ctc.h"
#include "models/tasks/transcription.h"

struct keys {
    long blank, num_beams;
    bool label_is_word;
    const char *language;
};

static enum status read_transcription(const struct json *value, struct bundle *bundle, struct error *err)
{
    static const struct field fields[] = {
        {.name = "blank", .kind = FIELD_INTEGER, .minimum = 0, .maximum = BUNDLE_MAX_LABELS - 1,
         .offset = offsetof(struct keys, blank)},
        {.name = "num_beams", .kind = FIELD_INTEGER, .minimum = 1, .maximum = CTC_MAX_BEAMS,
         .offset = offsetof(struct keys, num_beams)},
        {.name = "label_is_word", .kind = FIELD_BOOLEAN, .offset = offsetof(struct keys, label_is_word)},
        {.name = "language", .kind = FIELD_STRING, .offset = offsetof(struct keys, language)},
    };
    struct transcription_spec *spec = bundle->spec;
    struct keys keys = {.num_beams = spec->num_beams, .language = ""};
    enum status status = json_read(value, fields, sizeof fields / sizeof *fields, &keys, err);
    if (status != STATUS_OK) return status;
    size_t n = strlen(keys.language);
    if (n >= TRANSCRIPTION_LANGUAGE_BYTES)
        return error_set(err, STATUS_BAD_VALUE, "'language' has %zu bytes, expected at most %d, as 'en'", n,
                         TRANSCRIPTION_LANGUAGE_BYTES - 1);
    spec->blank = keys.blank;
    spec->num_beams = keys.num_beams;
    spec->label_is_word = keys.label_is_word;
    memcpy(spec->language, keys.language, n + 1);
    return STATUS_OK;
}

static const struct section section_transcription = {"transcription", FIELD_OBJECT, read_transcription};

static void set_defaults(void *spec)
{
    *(struct transcription_spec *)spec = (struct transcription_spec){.num_beams = 8};
}

const struct transcription_spec *transcription_spec_of(const struct model *model)
{
    return model->spec;
}

struct reading_want transcription_want(void)
{
    return (struct reading_want){.ability = ABILITY_TRANSCRIBE, .tap = TAP_OUTPUT, .rows = READING_ALL};
}

static enum status check(const struct parts *parts, struct error *err)
{
    const struct task *task = &task_transcription;
    const struct transcription_spec *spec = parts->bundle->spec;
    size_t n_labels = parts->bundle->n_labels, outputs = network_output_size(parts->network);
    enum status status = task_check_numbers(parts, task, err);
    if (status == STATUS_OK) status = task_check_stepwise(parts, task, err);
    if (status != STATUS_OK) return status;
    if (outputs != n_labels || n_labels < 2)
        return error_set(err, STATUS_BAD_SHAPE, "the network gives %zu numbers, 'labels' has %zu; expected "
                         "as many, at least 2, of which one is the blank", outputs, n_labels);
    if ((size_t)spec->blank >= n_labels)
        return error_set(err, STATUS_BAD_VALUE, "'blank' is %ld, expected the index of one of %zu labels",
                         spec->blank, n_labels);
    if (!parts->front || front_width(parts->front) == network_input_size(parts->network)) return STATUS_OK;
    return error_set(err, STATUS_BAD_SHAPE, "the front end '%s' gives %zu numbers a step, the network reads "
                     "%zu", front_type_name(parts->front), front_width(parts->front),
                     network_input_size(parts->network));
}

static void inspect(const struct view *view)
{
    const struct model *model = view->model;
    const struct transcription_spec *spec = transcription_spec_of(model);
    if (model->front)
        inspect_line(view, "front end", "%s, of %s", front_type_name(model->front),
                     media_name(front_media(model->front)));
    inspect_line(view, "decoding", "blank is label %ld; %ld beam%s", spec->blank, spec->num_beams,
                 spec->num_beams == 1 ? ": greedy" : "s");
}

static size_t facts(const struct model *model, struct fact *facts)
{
    size_t n = 0;
    facts[n++] = (struct fact){"num_beams", (double)transcription_spec_of(model)->num_beams};
    if (model->front && front_rate(model->front) > 0)
        facts[n++] = (struct fact){"sampling_rate", front_rate(model->front)};
    return n;
}

const struct task task_transcription = {
    .name = "transcription",
    .abilities = CAN(TRANSCRIBE) | CAN(EXPLAIN),
    .sections = {{&section_features, false}, {&section_labels, true}, {&section_transcription, false}},
    .has_front = true,
    .spec_bytes = sizeof(struct transcription_spec),
    .defaults = set_defaults,
    .check = check,
    .steps = input_front_of,
    .inspect = inspect,
    .facts = facts,
};
