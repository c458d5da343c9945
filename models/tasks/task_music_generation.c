/* music-generation: a tune, a step of several voices after the other (music.h), or one voice on a staff
 * (staff.h). */
#include "models/bundle/bundle.h"
#include "models/bundle/input.h"
#include "models/bundle/inspect.h"
#include "models/generation/music.h"
#include "models/generation/staff.h"

#define MUSIC(field) .name = #field, .offset = offsetof(struct music_spec, field)

static enum status read_music(const struct json *value, struct bundle *bundle, struct error *err)
{
    static const char *const notations[] = {"steps", "staff", NULL};
    static const struct field fields[] = {
        {MUSIC(notation), .kind = FIELD_CHOICE, .choices = notations},
        {MUSIC(tonic), .kind = FIELD_INTEGER, .minimum = 0, .maximum = 127},
        {MUSIC(voices), .kind = FIELD_INTEGER, .minimum = 1, .maximum = TUNE_MAX_VOICES},
        {MUSIC(steps_per_quarter), .kind = FIELD_INTEGER, .minimum = 1, .maximum = 96},
        {MUSIC(tempo), .kind = FIELD_INTEGER, .minimum = 10, .maximum = 400},
        {MUSIC(max_steps), .kind = FIELD_INTEGER, .minimum = 1, .maximum = MUSIC_MAX_STEPS},
        {MUSIC(temperature), .kind = FIELD_NUMBER, .minimum = 0, .maximum = 100},
        {MUSIC(top_p), .kind = FIELD_NUMBER, .above = true, .minimum = 0, .maximum = 1},
    };
    struct music_spec *spec = bundle->spec;
    enum status status = json_read(value, fields, sizeof fields / sizeof *fields, spec, err);
    if (status != STATUS_OK || spec->notation != MUSIC_STAFF || spec->voices == 1) return status;
    return error_set(err, STATUS_BAD_VALUE, "'voices' is %ld; a staff has 1", spec->voices);
}

static const struct section section_music = {"music", FIELD_OBJECT, read_music};

static void set_defaults(void *spec)
{
    *(struct music_spec *)spec = (struct music_spec){
        .voices = 4, .steps_per_quarter = 1, .tempo = 80, .max_steps = 256, .tonic = 60, .temperature = 1,
        .top_p = 1};
}

static enum status check(const struct parts *parts, struct error *err)
{
    size_t outputs = network_output_size(parts->network), n = tokenizer_size(parts->tokenizer);
    enum status status = task_check_tokens(parts, &task_music_generation, err);
    if (status == STATUS_OK && outputs != n)
        return error_set(err, STATUS_BAD_SHAPE, "the network gives %zu numbers, the tokenizer has %zu",
                         outputs, n);
    if (status == STATUS_OK) status = task_check_causal(parts, &task_music_generation, err);
    if (status != STATUS_OK) return status;
    const struct music_spec *spec = parts->bundle->spec;
    if (spec->notation == MUSIC_STAFF) return staff_check(parts->tokenizer, spec, err);
    return music_check(parts->tokenizer, err);
}

static void inspect(const struct view *view)
{
    const struct music_spec *m = music_spec_of(view->model);
    if (m->notation == MUSIC_STAFF) {
        inspect_line(view, "music",
                     "a staff, tonic %ld, %ld ticks a quarter note, tempo %ld, at most %ld ticks, "
                         "temperature %g, "
                     "top_p %g", m->tonic, m->steps_per_quarter, m->tempo, m->max_steps, m->temperature,
                         m->top_p);
        return;
    }
    inspect_line(view, "music",
                 "%ld voices, %ld steps a quarter note, tempo %ld, at most %ld steps, temperature %g, "
                 "top_p %g", m->voices, m->steps_per_quarter, m->tempo, m->max_steps, m->temperature,
                 m->top_p);
}

static size_t facts(const struct model *model, struct fact *out)
{
    const struct music_spec *m = music_spec_of(model);
    int lowest = 0, highest = 127;
    while (lowest < 127 && !music_has_pitch(model, lowest)) lowest++;
    while (highest > 0 && !music_has_pitch(model, highest)) highest--;
    out[0] = (struct fact){"voices", (double)m->voices};
    out[1] = (struct fact){"steps_per_quarter", (double)m->steps_per_quarter};
    out[2] = (struct fact){"lowest_note", lowest};
    out[3] = (struct fact){"highest_note", highest};
    out[4] = (struct fact){"tonic", (double)m->tonic};
    return m->notation == MUSIC_STAFF ? 5 : 4;
}

const struct task task_music_generation = {
    .name = "music-generation",
    .abilities = CAN(COMPOSE) | CAN(TOKENIZE) | CAN(EXPLAIN),
    .sections = {{&section_tokenizer, true}, {&section_music, false}},
    .spec_bytes = sizeof(struct music_spec),
    .defaults = set_defaults,
    .check = check,
    .steps = input_text_of,
    .inspect = inspect,
    .facts = facts,
};
