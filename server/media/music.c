/* POST /v1/music: a tune, or a melody with voices below it, as notes, as MIDI or as ABC. The model's notation
 * (models/generation/music.h) decides which job writes it. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/memory.h"
#include "models/generation/music.h"
#include "models/generation/staff.h"
#include "server/api/answer.h"
#include "server/api/branch.h"
#include "server/api/codec.h"
#include "server/api/words.h"
#include "server/base/config.h"

enum { TITLE_BYTES = 100, MAX_BARS = 4096, MINOR_THIRD = 3, MAJOR_THIRD = 4, LOWEST_TONIC = 43 };
#define MAX_SEED 9007199254740991
static const double tick_tolerance = 0.1; /* of a duration that is written as 0.333 */

enum format { FORMAT_NOTES, FORMAT_ABC, FORMAT_MIDI, N_FORMATS };
static const struct media_format formats[N_FORMATS] = {
    {"notes", NULL}, {"abc", "text/vnd.abc; charset=utf-8"}, {"midi", "audio/midi"}};

struct compose {
    struct work work;
    struct music *music; /* or NULL, */
    struct staff *staff; /* and then this */
    struct tune tune; /* what the request says of it; its notes come later */
    unsigned format; /* enum format */
    int64_t seed;
    bool holds, has_key;
};

/* What music_new or staff_new copies, owned. */
struct asked {
    struct music_request request;
    struct staff_request staff;
    struct music_step *prime;
    struct mark *marks;
    int16_t *melody;
    size_t bars;
};

/* ---- the answer --------------------------------------------------------------------------------- */

static void put_notes(struct writer *out, const struct tune *tune)
{
    const double quarter = tune->steps_per_quarter;
    put_name(out, "notes");
    put_open(out, '[');
    for (size_t i = 0; i < tune->n; i++) {
        put_open(out, '{');
        put_named_integer(out, "pitch", tune->notes[i].pitch);
        put_name(out, "start");
        put_double(out, tune->notes[i].start / quarter);
        put_name(out, "duration");
        put_double(out, tune->notes[i].duration / quarter);
        put_named_integer(out, "voice", tune->notes[i].voice);
        put_close(out, '}');
    }
    put_close(out, ']');
}

/* The parts of a staff and the bar lines within each, at the times of its first pass. */
static void put_parts(struct writer *out, const struct mark *marks, size_t n, double quarter)
{
    uint32_t now = 0, begin = 0;
    put_name(out, "parts");
    put_open(out, '[');
    for (size_t i = 0; i < n; i++) {
        bool is_repeated = marks[i].kind == MARK_REPEAT;
        now += marks[i].ticks;
        if (marks[i].kind == MARK_OPEN) {
            begin = now;
            put_open(out, '{');
            put_name(out, "start");
            put_double(out, begin / quarter);
            put_name(out, "bars");
            put_open(out, '[');
        } else if (marks[i].kind == MARK_BAR) put_double(out, now / quarter);
        else if (is_repeated || marks[i].kind == MARK_CLOSE) {
            put_close(out, ']');
            put_name(out, "end");
            put_double(out, now / quarter);
            put_named_boolean(out, "repeated", is_repeated);
            put_close(out, '}');
            now += is_repeated ? now - begin : 0;
        }
    }
    put_close(out, ']');
}

/* marks [n] of a staff, or NULL. */
static void print_notes(const struct compose *task, struct request *request, const struct tune *tune,
                        const struct mark *marks, size_t n, bool has_ended, struct reply *reply)
{
    struct writer out;
    size_t n_read = task->staff ? staff_n_read(task->staff) : music_n_read(task->music);
    size_t n_drawn = request->record.steps_out;
    const struct usage usage[] = {
        {"prompt_tokens", n_read}, {"completion_tokens", n_drawn}, {"total_tokens", n_read + n_drawn}};
    char key[TUNE_KEY_BYTES], metre[16];
    snprintf(metre, sizeof metre, "%u/%u", tune->beats, tune->unit);
    answer_open(&out, request, "music-", "music", task->work.job->model);
    put_named_integer(&out, "seed", task->seed);
    put_named_string(&out, "key", tune_print_key(tune->fifths, tune->mode, key));
    put_named_string(&out, "metre", metre);
    put_named_integer(&out, "tempo", tune->tempo);
    put_name(&out, "duration");
    put_double(&out, tune->ticks / (double)tune->steps_per_quarter);
    put_named_integer(&out, "voices", tune->voices);
    put_notes(&out, tune);
    if (marks) put_parts(&out, marks, n, tune->steps_per_quarter);
    put_named_string(&out, "finish_reason", has_ended ? "stop" : "length");
    answer_close(&out, usage, 3, &task->work, reply);
}

/* The file as the reply's body; marks [n] of a staff, or NULL. false: no memory. */
static bool print_file(const struct compose *task, const struct tune *tune, const struct mark *marks,
                       size_t n,
                       struct reply *reply)
{
    bool is_midi = task->format == FORMAT_MIDI;
    size_t room = is_midi ? midi_room(tune) : marks ? abc_staff_room(n) : abc_room(tune);
    reply->body = malloc(room);
    if (!reply->body) return false;
    if (is_midi) reply->body_bytes = midi_write(tune, (uint8_t *)reply->body);
    else if (marks) reply->body_bytes = abc_write_staff(tune, marks, n, reply->body);
    else reply->body_bytes = abc_write(tune, reply->body);
    reply->content_type = formats[task->format].media_type;
    return true;
}

static void print(struct work *work, struct request *request, struct reply *reply)
{
    const struct compose *task = (struct compose *)work;
    struct tune tune = task->tune;
    size_t n;
    bool has_ended;
    const struct music_step *steps = task->music ? music_steps(task->music, &n, &has_ended) : NULL;
    const struct mark *marks = task->staff ? staff_marks(task->staff, &n, &has_ended) : NULL;
    struct tune_note *notes = memory_new((marks ? 2 * n : n * tune.voices) + 1, sizeof *notes);
    request->record.steps_out = marks ? staff_n_drawn(task->staff) : music_n_drawn(task->music);
    bool good = notes != NULL;
    if (good) {
        tune.notes = notes;
        tune.ticks = (uint32_t)n;
        if (marks) tune.n = tune_play(marks, n, notes, &tune.ticks);
        else tune.n = music_notes(steps, n, tune.voices, task->holds, notes);
        if (marks) staff_style(task->staff, &tune);
        else if (!task->has_key) tune_guess_key(&tune, &tune.fifths, &tune.mode);
        if (!*tune.title)
            snprintf(tune.title, sizeof tune.title, "%.64s, seed %lld", work->job->model->name,
                     (long long)task->seed);
        if (task->format == FORMAT_NOTES) print_notes(task, request, &tune, marks, n, has_ended, reply);
        else good = print_file(task, &tune, marks, n, reply);
    }
    memory_free(notes);
    if (!good) problem_set(&reply->problem, FAULT_NO_MEMORY, NULL, NULL);
}

/* ---- what is asked ------------------------------------------------------------------------------ */

/* A text without control characters, which would end its line in a file. */
static bool read_title(struct call *call, char *title)
{
    const char *text = NULL;
    if (!field_string(call->root, "title", TITLE_BYTES, &text, call->problem)) return false;
    for (const char *c = text ? text : ""; *c; c++)
        if ((unsigned char)*c < ' ')
            return problem_set(call->problem, FAULT_INVALID_VALUE, "title",
                               "'title' has a control character; expected one line of text");
    if (text) strcpy(title, text);
    return true;
}

static bool read_style(struct call *call, struct compose *task)
{
    const struct music_spec *spec = music_spec_of(call->model);
    struct tune *tune = &task->tune;
    const char *key = NULL, *metre = NULL;
    size_t tempo = (size_t)spec->tempo, program = 0;
    if (!format_read(call, formats, N_FORMATS, &task->format) || !read_title(call, tune->title) ||
        !field_string(call->root, "key", 16, &key, call->problem) ||
        !field_string(call->root, "metre", 8, &metre, call->problem) ||
        !field_size(call->root, "tempo", 10, 400, &tempo, call->problem) ||
        !field_size(call->root, "program", 0, 127, &program, call->problem) ||
        !field_boolean(call->root, "hold", &task->holds, call->problem))
        return false;
    tune->voices = (unsigned)spec->voices;
    tune->steps_per_quarter = (unsigned)spec->steps_per_quarter;
    tune->tempo = (unsigned)tempo;
    tune->program = (unsigned)program;
    tune->beats = tune->unit = spec->notation == MUSIC_STAFF ? 0 : 4; /* 0: the model's choice */
    task->has_key = key != NULL;
    if (key && !tune_read_key(key, &tune->fifths, &tune->mode))
        return field_word_expected(json_get(call->root, "key"), "key",
                                   "a key such as 'G', 'Bb', 'F#m' or 'Ador'", call->problem);
    if (metre && (!tune_read_metre(metre, &tune->beats, &tune->unit) || !tune_bar(tune)))
        return field_word_expected(json_get(call->root, "metre"), "metre",
                                   "a metre such as '3/4', whose bars are whole steps of the model",
                                   call->problem);
    return true;
}

/* One step of a prime: an array of notes in any order; a note that is there twice counts once. */
static bool read_step(struct call *call, const struct json *value, size_t i, struct music_step *step)
{
    char param[ERROR_PARAM_BYTES];
    snprintf(param, sizeof param, "prime[%zu]", i);
    const char *expected = "an array of notes, each a MIDI number from 0 to 127, at most the model's voices";
    if (json_kind(value) != JSON_ARRAY) return field_expected(value, param, expected, call->problem);
    for (const struct json *item = json_first(value); item; item = json_next(item)) {
        int64_t pitch;
        if (!json_is_integer(item, 0, 127, &pitch)) return field_expected(item, param, expected,
                                                                          call->problem);
        size_t at = 0;
        while (at < step->n && step->pitches[at] > pitch) at++;
        if (at < step->n && step->pitches[at] == pitch) continue;
        if (step->n == TUNE_MAX_VOICES) return field_expected(value, param, expected, call->problem);
        memmove(step->pitches + at + 1, step->pitches + at, step->n - at);
        step->pitches[at] = (uint8_t)pitch;
        step->n++;
    }
    return true;
}

/* An array of at most `most` items, and its length. */
static bool read_list(struct call *call, const char *name, const char *expected, const struct json **list,
                      size_t *n)
{
    *list = json_get(call->root, name);
    *n = json_count(*list);
    if (!*list) return true;
    if (json_kind(*list) != JSON_ARRAY || *n < 1) return field_expected(*list, name, expected,
                                                                        call->problem);
    if (*n <= (size_t)call->config->limits_max_tokens && *n <= MUSIC_MAX_STEPS) return true;
    return problem_set(call->problem, FAULT_INPUT_TOO_LONG, name,
                       "'%s' has %zu steps; expected at most %lld", name, *n,
                       (long long)call->config->limits_max_tokens);
}

/* One item of a staff's prime: {"pitch": 62 or null, "duration": quarter notes}, or "|". */
static bool read_mark(struct call *call, const struct json *item, size_t i, struct mark *mark)
{
    char param[ERROR_PARAM_BYTES];
    snprintf(param, sizeof param, "prime[%zu]", i);
    const char *expected = "{\"pitch\": a MIDI number or null, \"duration\": quarter notes}, or \"|\"";
    const char *sign = json_kind(item) == JSON_STRING ? json_string(item) : NULL;
    *mark = (struct mark){.kind = MARK_BAR};
    if (sign && !strcmp(sign, "|")) return true;
    if (json_kind(item) != JSON_OBJECT) return field_expected(item, param, expected, call->problem);
    const struct json *duration = NULL, *pitch = NULL;
    for (const struct json *member = json_first(item); member; member = json_next(member)) {
        if (!strcmp(json_key(member), "duration")) duration = member;
        else if (!strcmp(json_key(member), "pitch")) pitch = member;
        else return field_expected(item, param, expected, call->problem);
    }
    double per_quarter = (double)music_spec_of(call->model)->steps_per_quarter;
    double ticks = json_kind(duration) == JSON_NUMBER ? json_number(duration) * per_quarter : 0;
    int64_t number = 0;
    bool is_rest = json_kind(pitch) == JSON_NULL;
    bool is_long = ticks > 0.5 && ticks < UINT16_MAX && fabs(ticks - round(ticks)) <= tick_tolerance;
    if (!is_long || (!is_rest && !json_is_integer(pitch, 0, 127, &number)))
        return field_expected(item, param, expected, call->problem);
    mark->kind = is_rest ? MARK_REST : MARK_NOTE;
    mark->pitch = (uint8_t)number;
    mark->ticks = (uint16_t)round(ticks);
    return true;
}

static bool read_marks(struct call *call, struct asked *asked)
{
    const struct json *list;
    size_t n, i = 0;
    if (!read_list(call, "prime", "an array of notes and bar lines", &list, &n)) return false;
    if (!n) return true;
    asked->staff.prime = asked->marks = memory_new(n, sizeof *asked->marks);
    if (!asked->marks) return problem_set(call->problem, FAULT_NO_MEMORY, NULL, NULL);
    for (const struct json *item = json_first(list); item; item = json_next(item), i++)
        if (!read_mark(call, item, i, &asked->marks[i])) return false;
    asked->staff.n_prime = n;
    return true;
}

static bool read_prime(struct call *call, struct asked *asked)
{
    const struct json *list;
    size_t n, i = 0;
    if (!read_list(call, "prime", "an array of steps, each an array of notes", &list, &n)) return false;
    if (!n) return true;
    asked->request.prime = asked->prime = memory_new(n, sizeof *asked->prime);
    if (!asked->prime) return problem_set(call->problem, FAULT_NO_MEMORY, NULL, NULL);
    for (const struct json *item = json_first(list); item; item = json_next(item), i++)
        if (!read_step(call, item, i, &asked->prime[i])) return false;
    asked->request.n_prime = n;
    return true;
}

static bool read_melody(struct call *call, struct asked *asked)
{
    const struct json *list;
    size_t n, i = 0;
    const char *expected = "an array of notes, each a MIDI number from 0 to 127, or null for a rest";
    if (!read_list(call, "melody", expected, &list, &n)) return false;
    if (!n) return true;
    asked->request.melody = asked->melody = memory_new(n, sizeof *asked->melody);
    if (!asked->melody) return problem_set(call->problem, FAULT_NO_MEMORY, NULL, NULL);
    for (const struct json *item = json_first(list); item; item = json_next(item), i++) {
        int64_t pitch = MUSIC_REST;
        char param[ERROR_PARAM_BYTES];
        snprintf(param, sizeof param, "melody[%zu]", i);
        if (json_kind(item) != JSON_NULL && !json_is_integer(item, 0, 127, &pitch))
            return field_expected(item, param, "a MIDI number from 0 to 127, or null for a rest",
                                  call->problem);
        asked->melody[i] = (int16_t)pitch;
    }
    asked->request.n_melody = n;
    return true;
}

/* A tune in a key that begins with nothing given begins with the triad of its tonic: root, fifth, third,
 * root, from low to high. */
static bool begin_in_key(struct call *call, const struct compose *task, struct asked *asked)
{
    struct music_step *step = asked->prime = memory_new(1, sizeof *asked->prime);
    if (!step) return problem_set(call->problem, FAULT_NO_MEMORY, NULL, NULL);
    const struct tune *tune = &task->tune;
    int tonic = tune_tonic(tune->fifths, tune->mode);
    int third = tune->mode == MODE_MINOR || tune->mode == MODE_DORIAN ? MINOR_THIRD : MAJOR_THIRD;
    int low = LOWEST_TONIC + ((tonic - LOWEST_TONIC) % 12 + 12) % 12;
    const int chord[] = {low + 24, low + 12 + third, low + 7, low};
    for (size_t i = 0; i < 4 && i < tune->voices; i++) {
        size_t from = tune->voices == 1 ? 0 : 4 - (tune->voices < 4 ? tune->voices : 4);
        if (music_has_pitch(call->model, chord[from + i])) step->pitches[step->n++] =
            (uint8_t)chord[from + i];
    }
    asked->request.prime = step;
    asked->request.n_prime = 1;
    return true;
}

static bool read_length(struct call *call, const struct compose *task, struct asked *asked)
{
    struct music_request *r = &asked->request;
    if (!field_size(call->root, "bars", 1, MAX_BARS, &asked->bars, call->problem)) return false;
    if (asked->bars && r->melody)
        return problem_set(call->problem, FAULT_INVALID_VALUE, "bars",
                           "'bars' has no place beside 'melody', which says how long the tune is; "
                           "leave one out");
    r->n_steps = asked->bars * tune_bar(&task->tune);
    if (r->n_steps <= (size_t)call->config->limits_max_tokens) return true;
    return problem_set(call->problem, FAULT_INPUT_TOO_LONG, "bars",
                       "%zu bars are %zu steps; expected at most %lld",
                       asked->bars, r->n_steps, (long long)call->config->limits_max_tokens);
}

/* What is said of a staff. A melody cannot be given to it. */
static bool read_staff(struct call *call, const struct compose *task, struct asked *asked)
{
    struct staff_request *r = &asked->staff;
    if (json_get(call->root, "melody"))
        return problem_set(call->problem, FAULT_UNSUPPORTED_FOR_MODEL, "melody",
                           "model '%s' writes one voice and cannot harmonise a melody; expected a model of "
                               "several "
                           "voices, or a 'prime' to go on from", call->model->name);
    if (!read_marks(call, asked) || !field_size(call->root, "bars", 1, MAX_BARS, &r->bars, call->problem))
        return false;
    r->beats = task->tune.beats;
    r->unit = task->tune.unit;
    r->has_key = task->has_key;
    r->fifths = task->tune.fifths;
    r->mode = task->tune.mode;
    r->temperature = asked->request.temperature;
    r->top_p = asked->request.top_p;
    r->seed = (uint64_t)task->seed;
    size_t bar = r->beats ? tune_bar(&task->tune) : task->tune.steps_per_quarter * 4u;
    if (r->bars <= (size_t)call->config->limits_max_tokens / bar) return true;
    return problem_set(call->problem, FAULT_INPUT_TOO_LONG, "bars", "%zu bars have %zu ticks; expected at "
                       "most %lld",
                       r->bars, r->bars * bar, (long long)call->config->limits_max_tokens);
}

static bool read_steps(struct call *call, const struct compose *task, struct asked *asked)
{
    struct music_request *r = &asked->request;
    if (!read_prime(call, asked) || !read_melody(call, asked) || !read_length(call, task,
                                                                              asked)) return false;
    r->seed = (uint64_t)task->seed;
    if (call->branch && task->format != FORMAT_NOTES)
        return problem_set(call->problem, FAULT_INVALID_VALUE, "format",
                           "a file does not say under which id its state is kept; expected 'notes'");
    bool begins = task->has_key && !r->prime && !r->melody && !call->options.from;
    return !begins || begin_in_key(call, task, asked);
}

/* A tune on a staff is written from its head to its end. */
static bool check_branch(struct call *call)
{
    return !call->branch || music_spec_of(call->model)->notation != MUSIC_STAFF ||
           problem_set(call->problem, FAULT_UNSUPPORTED_FOR_MODEL, "model",
                       "model '%s' writes a tune from its head to its end, and keeps no state; send a "
                       "'prime' to go on from", call->model->name);
}

static bool read_request(struct call *call, struct compose *task, struct asked *asked)
{
    const struct music_spec *spec = music_spec_of(call->model);
    struct music_request *r = &asked->request;
    r->temperature = spec->temperature;
    r->top_p = spec->top_p;
    task->seed = call_random_seed();
    if (!check_branch(call)) return false;
    if (call->options.from) task->seed = (int64_t)music_kept_seed(call->options.from);
    else (void)branch_seed(call->branch, &task->seed);
    if (!read_style(call, task) ||
        !field_number(call->root, "temperature", 0, 2, &r->temperature, call->problem) ||
        !field_number(call->root, "top_p", 0, 1, &r->top_p, call->problem) ||
        !field_integer(call->root, "seed", 0, MAX_SEED, &task->seed, call->problem))
        return false;
    return spec->notation == MUSIC_STAFF ? read_staff(call, task, asked) : read_steps(call, task, asked);
}

static bool submit(struct call *call, const struct compose *wanted, const struct asked *asked)
{
    struct error err = {0};
    struct compose *task = calloc(1, sizeof *task);
    if (!task) return problem_set(call->problem, FAULT_NO_MEMORY, NULL, NULL);
    *task = *wanted;
    bool is_staff = music_spec_of(call->model)->notation == MUSIC_STAFF;
    enum status status = is_staff ? staff_new(call->model, &asked->staff, &call->options, &task->staff, &err)
                                  : music_new(call->model, &asked->request, &call->options, &task->music,
                                              &err);
    if (status != STATUS_OK) {
        free(task);
        return problem_from(call->problem, status, &err, "bars");
    }
    task->work.job = is_staff ? staff_job(task->staff) : music_job(task->music);
    task->work.print = print;
    task->work.release = work_release;
    call_record(call, is_staff ? staff_n_read(task->staff) : music_n_read(task->music));
    task->work.branch = call_take_branch(call);
    call_defer(call, &task->work);
    return true;
}

void api_music(struct request *request, struct reply *reply)
{
    static const char *const known[] = {"prime", "melody", "bars", "key", "metre", "tempo", "program",
                                        "title", "hold",
                                        "temperature", "top_p", "seed", "format", NULL};
    static const struct fields fields = {.known = known, .goes_on = true};
    struct call call;
    struct compose task = {.format = FORMAT_NOTES};
    struct asked asked = {.bars = 0};
    if (!call_open(&call, request, reply, &fields, ABILITY_COMPOSE)) return;
    if (read_request(&call, &task, &asked)) submit(&call, &task, &asked);
    memory_free(asked.prime);
    memory_free(asked.marks);
    memory_free(asked.melody);
    call_close(&call);
}
