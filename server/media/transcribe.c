/* POST /v1/transcribe: the path of a pen, or steps, as text. POST /v1/audio/transcriptions: sound as text, in
 * the shape of OpenAI's. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/memory.h"
#include "models/features/feature.h"
#include "models/media/wav.h"
#include "models/tasks/ctc.h"
#include "models/tasks/heard.h"
#include "models/tasks/transcription.h"
#include "server/api/answer.h"
#include "server/api/form.h"
#include "server/api/pen_strokes.h"
#include "server/api/words.h"
#include "server/request/server.h"

enum format { FORMAT_OURS, FORMAT_JSON, FORMAT_TEXT, FORMAT_VERBOSE_JSON, FORMAT_SRT, FORMAT_VTT, N_FORMATS };
static const char *const format_names[] = {[FORMAT_JSON] = "json", [FORMAT_TEXT] = "text",
                                           [FORMAT_VERBOSE_JSON] = "verbose_json", [FORMAT_SRT] = "srt",
                                           [FORMAT_VTT] = "vtt"};

/* A subtitle ends at a pause of so many seconds, or when it has lasted so long. */
static const double PAUSE_S = 0.8, CUE_S = 6;

struct transcribe {
    struct work work;
    struct reading *reading;
    struct ctc_options options;
    struct heard *heard;      /* owned; the steps' values are given up once the job has copied them */
    double rate, seconds;     /* of sound; rate 0: other input */
    enum format format;
    bool words, segments;
};

static void heard_drop(struct heard *heard)
{
    if (!heard) return;
    heard_free(heard);
    memory_free(heard);
}

static void release(struct work *work)
{
    heard_drop(((struct transcribe *)work)->heard);
    work_release(work);
}

/* ---- texts ---------------------------------------------------------------------------------- */

/* Labels [from, to) of a text. */
struct run {
    size_t from, to;
};

static const char *label_text(const struct transcribe *task, const struct ctc_text *text, size_t i)
{
    return task->work.job->model->labels[text->labels[i]];
}

/* The labels of a run, one after the other, zero-terminated; the caller frees it. NULL: no memory. */
static char *write_run(const struct transcribe *task, const struct ctc_text *text, struct run run)
{
    size_t bytes = 1, n = 0;
    for (size_t i = run.from; i < run.to; i++) bytes += strlen(label_text(task, text, i));
    char *out = malloc(bytes);
    for (size_t i = run.from; out && i < run.to; i++) {
        const char *label = label_text(task, text, i);
        memcpy(out + n, label, strlen(label));
        n += strlen(label);
    }
    if (out) out[n] = '\0';
    return out;
}

/* The next word at or behind label *at. */
static bool next_word(const struct transcribe *task, const struct ctc_text *text, size_t *at, struct run *out)
{
    bool one = transcription_spec_of(task->work.job->model)->label_is_word;
    while (!one && *at < text->n && !strcmp(label_text(task, text, *at), " ")) ++*at;
    if (*at >= text->n) return false;
    for (out->from = (*at)++; !one && *at < text->n && strcmp(label_text(task, text, *at), " ");) ++*at;
    out->to = *at;
    return true;
}

/* Where a step begins in the input. */
static size_t place_of(const struct transcribe *task, size_t step)
{
    return task->heard->all_places ? (size_t)task->heard->all_places[step] : step;
}

/* Where a run begins and ends in the input: in seconds of sound, else in points or steps. */
static double begin_of(const struct transcribe *task, const struct ctc_text *text, struct run run)
{
    size_t at = place_of(task, text->first[run.from]);
    return task->rate > 0 ? (double)at / task->rate : (double)at;
}

static double end_of(const struct transcribe *task, const struct ctc_text *text, struct run run)
{
    size_t at = place_of(task, text->last[run.to - 1] + 1);
    if (task->rate > 0) return (double)at / task->rate;
    return fmax((double)at, begin_of(task, text, run) + 1); /* a letter may lie between two points */
}

/* The next subtitle: words without a long pause between. */
static bool next_cue(const struct transcribe *task, const struct ctc_text *text, size_t *at, struct run *out)
{
    struct run word;
    size_t ahead = *at;
    if (!next_word(task, text, &ahead, out)) return false;
    *at = ahead;
    while (next_word(task, text, &ahead, &word)) {
        struct run whole = {out->from, word.to};
        bool pauses = begin_of(task, text, word) - end_of(task, text, *out) > PAUSE_S;
        if (pauses || end_of(task, text, whole) - begin_of(task, text, whole) > CUE_S) break;
        *out = whole;
        *at = ahead;
    }
    return true;
}

/* ---- answers -------------------------------------------------------------------------------- */

static void put_run(struct writer *out, const struct transcribe *task, const struct ctc_text *text,
                    const char *name, struct run run)
{
    char *written = write_run(task, text, run);
    if (written) put_named_string(out, name, written);
    else writer_fail(out);
    free(written);
}

static void put_span(struct writer *out, const struct transcribe *task, const struct ctc_text *text,
                     struct run run)
{
    put_named_rounded(out, "start", begin_of(task, text, run));
    put_named_rounded(out, "end", end_of(task, text, run));
}

static void put_score(struct writer *out, double score)
{
    put_name(out, "score");
    put_double(out, score);
}

/* Our own shape: each letter with its place, and the other texts. */
static void print_ours(const struct transcribe *task, const struct ctc_texts *texts, struct request *request,
                       struct reply *reply)
{
    const struct ctc_text *best = &texts->texts[0];
    const struct usage usage = {"steps_in", request->record.steps_in};
    struct writer out;
    answer_open(&out, request, "trans-", "transcription", task->work.job->model);
    put_run(&out, task, best, "text", (struct run){0, best->n});
    put_score(&out, best->score);
    put_name(&out, "segments");
    put_open(&out, '[');
    for (size_t i = 0; i < best->n; i++) {
        put_open(&out, '{');
        put_run(&out, task, best, "text", (struct run){i, i + 1});
        put_span(&out, task, best, (struct run){i, i + 1});
        put_close(&out, '}');
    }
    put_close(&out, ']');
    put_name(&out, "alternatives");
    put_open(&out, '[');
    for (size_t k = 1; k < texts->n; k++) {
        put_open(&out, '{');
        put_run(&out, task, &texts->texts[k], "text", (struct run){0, texts->texts[k].n});
        put_score(&out, texts->texts[k].score);
        put_close(&out, '}');
    }
    put_close(&out, ']');
    answer_close(&out, &usage, 1, &task->work, reply);
}

static void put_segments(struct writer *out, const struct transcribe *task, const struct ctc_text *text)
{
    struct run run;
    int64_t id = 0;
    put_name(out, "segments");
    put_open(out, '[');
    for (size_t at = 0; next_cue(task, text, &at, &run);) {
        put_open(out, '{');
        put_named_integer(out, "id", id++);
        put_named_integer(out, "seek", 0);
        put_span(out, task, text, run);
        put_run(out, task, text, "text", run);
        put_name(out, "tokens");
        put_open(out, '[');
        for (size_t i = run.from; i < run.to; i++) put_integer(out, text->labels[i]);
        put_close(out, ']');
        put_named_integer(out, "temperature", 0);
        put_name(out, "avg_logprob");
        put_double(out, text->score / (double)text->n);
        put_close(out, '}');
    }
    put_close(out, ']');
}

static void print_json(const struct transcribe *task, const struct ctc_text *text,
                       const struct request *request, struct reply *reply)
{
    struct writer out;
    struct run run;
    const char *language = transcription_spec_of(task->work.job->model)->language;
    writer_init(&out, (size_t)request->server->config->limits_reply_bytes);
    put_open(&out, '{');
    if (task->format == FORMAT_VERBOSE_JSON) {
        put_named_string(&out, "task", "transcribe");
        put_named_string(&out, "language", *language ? language : "und");
        put_named_rounded(&out, "duration", task->seconds);
    }
    put_run(&out, task, text, "text", (struct run){0, text->n});
    if (task->format == FORMAT_VERBOSE_JSON && task->words) {
        put_name(&out, "words");
        put_open(&out, '[');
        for (size_t at = 0; next_word(task, text, &at, &run);) {
            put_open(&out, '{');
            put_run(&out, task, text, "word", run);
            put_span(&out, task, text, run);
            put_close(&out, '}');
        }
        put_close(&out, ']');
    }
    if (task->format == FORMAT_VERBOSE_JSON && task->segments) put_segments(&out, task, text);
    put_name(&out, "usage");
    put_open(&out, '{');
    put_named_string(&out, "type", "duration");
    put_named_rounded(&out, "seconds", task->seconds);
    put_close(&out, '}');
    put_close(&out, '}');
    answer_writer(&out, reply);
}

/* "00:00:01,500" or "00:00:01.500". */
static void put_time(struct writer *out, double seconds, char point)
{
    char text[48];
    long ms = lround(seconds * 1000);
    int n = snprintf(text, sizeof text, "%02ld:%02ld:%02ld%c%03ld", ms / 3600000, ms / 60000 % 60,
                     ms / 1000 % 60, point, ms % 1000);
    put_raw(out, text, (size_t)n);
}

static void print_subtitles(const struct transcribe *task, const struct ctc_text *text,
                            const struct request *request, struct reply *reply)
{
    struct writer out;
    struct run run;
    char number[24];
    size_t k = 0;
    bool is_srt = task->format == FORMAT_SRT;
    writer_init(&out, (size_t)request->server->config->limits_reply_bytes);
    if (!is_srt) put_raw(&out, "WEBVTT\n\n", 8);
    for (size_t at = 0; next_cue(task, text, &at, &run);) {
        char *written = write_run(task, text, run);
        if (!written) writer_fail(&out);
        if (is_srt) put_raw(&out, number, (size_t)snprintf(number, sizeof number, "%zu\n", ++k));
        put_time(&out, begin_of(task, text, run), is_srt ? ',' : '.');
        put_raw(&out, " --> ", 5);
        put_time(&out, end_of(task, text, run), is_srt ? ',' : '.');
        put_raw(&out, "\n", 1);
        if (written) put_raw(&out, written, strlen(written));
        put_raw(&out, "\n\n", 2);
        free(written);
    }
    answer_writer(&out, reply);
    reply->content_type = is_srt ? "application/x-subrip; charset=utf-8" : "text/vtt; charset=utf-8";
}

static void print_text(const struct transcribe *task, const struct ctc_text *text,
                       const struct request *request, struct reply *reply)
{
    struct writer out;
    char *written = write_run(task, text, (struct run){0, text->n});
    writer_init(&out, (size_t)request->server->config->limits_reply_bytes);
    if (written) put_raw(&out, written, strlen(written));
    else writer_fail(&out);
    put_raw(&out, "\n", 1);
    free(written);
    answer_writer(&out, reply);
    reply->content_type = "text/plain; charset=utf-8";
}

static void print(struct work *work, struct request *request, struct reply *reply)
{
    const struct transcribe *task = (struct transcribe *)work;
    struct ctc_outputs outputs;
    struct ctc_texts texts;
    if (heard_outputs(task->heard, task->reading, &outputs) != STATUS_OK ||
        ctc_decode(&outputs, &task->options, &texts) != STATUS_OK) {
        problem_set(&reply->problem, FAULT_NO_MEMORY, NULL, NULL);
        return;
    }
    const struct ctc_text *best = &texts.texts[0];
    request->record.steps_out = best->n;
    if (task->format == FORMAT_OURS) print_ours(task, &texts, request, reply);
    else if (task->format == FORMAT_TEXT) print_text(task, best, request, reply);
    else if (task->format == FORMAT_SRT || task->format == FORMAT_VTT)
        print_subtitles(task, best, request, reply);
    else print_json(task, best, request, reply);
    ctc_free(&texts);
}

/* ---- what is asked -------------------------------------------------------------------------- */

/* Defer the request; wanted->heard is given to the work. `param` is the field that they come from. */
static bool submit(struct call *call, const struct transcribe *wanted, const char *param)
{
    struct error err = {0};
    struct heard *heard = wanted->heard;
    struct reading_want want = transcription_want();
    const struct input input = {.features = heard->steps.values, .n_steps = heard->steps.n};
    struct transcribe *task = calloc(1, sizeof *task);
    if (!task) return problem_set(call->problem, FAULT_NO_MEMORY, NULL, NULL);
    call_record(call, heard->steps.n);
    heard_want(heard, &want);
    enum status status = reading_new(call->model, &input, 1, &want,
                                     scheduler_max_rows(call->request->server->scheduler), &call->options,
                                     &task->reading, &err);
    if (status != STATUS_OK) {
        free(task);
        err.param[0] = '\0';
        return problem_from(call->problem, status, &err, param);
    }
    struct reading *reading = task->reading;
    *task = *wanted;
    task->reading = reading;
    memory_free(heard->steps.values);
    heard->steps.values = NULL;
    task->work.job = reading_job(reading);
    task->work.print = print;
    task->work.release = release;
    task->work.branch = call_take_branch(call);
    call_defer(call, &task->work);
    return true;
}

/* Begin with what the pieces before this one left. */
static bool open_heard(struct call *call, struct transcribe *wanted)
{
    struct error err = {0};
    const bool goes_on = call->options.from || call->options.keeps;
    wanted->heard = memory_new(1, sizeof *wanted->heard);
    if (!wanted->heard) return problem_set(call->problem, FAULT_NO_MEMORY, NULL, NULL);
    enum status status = heard_open(wanted->heard, call->model, call->options.from, goes_on, &err);
    return status == STATUS_OK || problem_from(call->problem, status, &err, NULL);
}

/* Run the model's front end over the input of the field `param`. */
static bool run_front(struct call *call, const struct raw *raw, const char *param, struct heard *heard)
{
    struct error err = {0};
    size_t most = (size_t)call->config->limits_sequence_values / network_input_size(call->model->network);
    size_t rows = scheduler_max_rows(call->request->server->scheduler);
    if (network_is_whole(call->model->network) && rows < most) most = rows;
    enum status status = heard_room(heard, &most, &err);
    if (status == STATUS_OK) status = heard_add(heard, raw, most, &err);
    if (status == STATUS_OK) return true;
    error_prefix(&err, "'%s'", param);
    return problem_from(call->problem, status, &err, param);
}

static bool transcribe_strokes(struct call *call, struct transcribe *wanted)
{
    struct raw_owned raw = {.values = NULL};
    if (!call->model->front || front_media(call->model->front) != MEDIA_INK)
        return problem_set(call->problem, FAULT_UNSUPPORTED_FOR_MODEL, "strokes",
                           "model '%s' reads no strokes; expected %s", call->model->name,
                           call->model->front ? "a WAV file by POST /v1/audio/transcriptions, or 'samples'"
                                              : "'features', an array of steps");
    bool good = strokes_read(call, json_get(call->root, "strokes"), "strokes", &raw) &&
                run_front(call, &raw.raw, "strokes", wanted->heard);
    raw_free(&raw);
    return good && submit(call, wanted, "strokes");
}

static bool transcribe_samples(struct call *call, struct transcribe *wanted)
{
    const struct json *field = json_get(call->root, "samples");
    const size_t n = json_kind(field) == JSON_ARRAY ? json_count(field) : 0;
    const size_t most = (size_t)call->config->limits_sequence_values;
    if (!call->model->front || front_media(call->model->front) != MEDIA_SOUND)
        return problem_set(call->problem, FAULT_UNSUPPORTED_FOR_MODEL, "samples",
                           "model '%s' reads no sound; expected %s", call->model->name,
                           call->model->front ? "'strokes'" : "'features', an array of steps");
    if (n > most)
        return problem_set(call->problem, FAULT_INPUT_TOO_LONG, "samples",
                           "'samples' has %zu numbers; expected at most %zu", n, most);
    double *values = n ? memory_new(n, sizeof *values) : NULL;
    if (n && !values) return problem_set(call->problem, FAULT_NO_MEMORY, NULL, NULL);
    bool good = n && json_numbers(field, values, n);
    for (size_t i = 0; good && i < n; i++) good = fabs(values[i]) <= 1;
    const struct raw raw = {.media = MEDIA_SOUND, .values = values, .n = n};
    if (!good) field_expected(field, "samples", "an array of numbers from -1 to 1, of one channel at the "
                              "model's sampling_rate", call->problem);
    wanted->rate = front_rate(call->model->front);
    good = good && run_front(call, &raw, "samples", wanted->heard);
    memory_free(values);
    return good && submit(call, wanted, "samples");
}

static bool transcribe_features(struct call *call, struct transcribe *wanted)
{
    struct inputs inputs;
    struct error err = {0};
    size_t most = SIZE_MAX;
    if (wanted->heard->goes_on && call->model->front)
        return problem_set(call->problem, FAULT_UNSUPPORTED_FOR_MODEL, "features",
                           "'features' do not go on from each other for a model with a front end; expected "
                           "'%s'", front_media(call->model->front) == MEDIA_INK ? "strokes" : "samples");
    if (heard_room(wanted->heard, &most, &err) != STATUS_OK) {
        error_prefix(&err, "'features'");
        return problem_from(call->problem, STATUS_TOO_LONG, &err, "features");
    }
    if (!inputs_read(call, "features", 0, &inputs)) return false;
    bool good = inputs.n == 1 || problem_set(call->problem, FAULT_INVALID_VALUE, "features",
                                             "'features' holds %zu inputs; expected one", inputs.n);
    if (good) {
        wanted->heard->steps = (struct front_steps){.values = inputs.features[0],
                                                    .n = inputs.inputs[0].n_steps};
        inputs.features[0] = NULL;
    }
    inputs_free(&inputs);
    return good && submit(call, wanted, "features");
}

static bool read_search(struct call *call, struct transcribe *wanted)
{
    size_t n = 1, beams = (size_t)transcription_spec_of(call->model)->num_beams;
    if (!field_size(call->root, "n", 1, CTC_MAX_BEAMS, &n, call->problem)) return false;
    if (beams < n) beams = n;
    if (!field_size(call->root, "num_beams", 1, CTC_MAX_BEAMS, &beams, call->problem)) return false;
    wanted->options = (struct ctc_options){beams, n};
    return n <= beams || problem_set(call->problem, FAULT_INVALID_VALUE, "n",
                                     "'n' is %zu, expected at most num_beams, which is %zu", n, beams);
}

void api_transcribe(struct request *request, struct reply *reply)
{
    static const char *const known[] = {"strokes", "samples", "features", "n", "num_beams", NULL};
    static const struct fields fields = {.known = known, .goes_on = true};
    static const struct {
        const char *name;
        bool (*transcribe)(struct call *call, struct transcribe *wanted);
    } inputs[] = {{"strokes", transcribe_strokes}, {"samples", transcribe_samples},
                  {"features", transcribe_features}};
    struct transcribe wanted = {.format = FORMAT_OURS};
    struct call call;
    if (!call_open(&call, request, reply, &fields, ABILITY_TRANSCRIBE)) return;
    size_t n = 0, which = 0;
    for (size_t i = 0; i < sizeof inputs / sizeof *inputs; i++)
        if (json_get(call.root, inputs[i].name)) n++, which = i;
    bool good = n == 1 || problem_set(call.problem, FAULT_INVALID_VALUE, "strokes",
                                      "expected one of 'strokes', 'samples' and 'features'; found %s",
                                      n ? "several" : "none");
    good = good && read_search(&call, &wanted) && open_heard(&call, &wanted) &&
           inputs[which].transcribe(&call, &wanted);
    if (!good) heard_drop(wanted.heard);
    call_close(&call);
}

/* ---- OpenAI's ------------------------------------------------------------------------------- */

static bool read_format(struct call *call, struct transcribe *wanted)
{
    unsigned which = 0;
    const bool good = word_read(call, "response_format", format_names + FORMAT_JSON,
                                N_FORMATS - FORMAT_JSON, &which);
    wanted->format = FORMAT_JSON + which;
    return good;
}

static bool read_granularities(struct call *call, struct transcribe *wanted)
{
    const struct json *list = json_get(call->root, "timestamp_granularities");
    wanted->segments = !json_first(list);
    for (const struct json *v = json_first(list); v; v = json_next(v)) {
        const char *word = json_kind(v) == JSON_STRING ? json_string(v) : "";
        if (strcmp(word, "word") && strcmp(word, "segment"))
            return field_word_expected(v, "timestamp_granularities", "'word' or 'segment'", call->problem);
        wanted->words |= *word == 'w';
        wanted->segments |= *word == 's';
    }
    return !wanted->words || wanted->format == FORMAT_VERBOSE_JSON ||
           problem_set(call->problem, FAULT_INVALID_VALUE, "timestamp_granularities",
                       "words have times in 'response_format' 'verbose_json' only");
}

/* Fields of OpenAI's that are hints to other models: a language and no randomness are what these models have
 * anyway. */
static bool read_hints(struct call *call)
{
    const char *text = NULL;
    double temperature = 0;
    if (!field_string(call->root, "language", 64, &text, call->problem) ||
        !field_number(call->root, "temperature", 0, 1, &temperature, call->problem))
        return false;
    return temperature <= 0 || problem_set(call->problem, FAULT_INVALID_VALUE, "temperature",
                                           "'temperature' is %g; these models draw nothing at random, "
                                           "expected 0", temperature);
}

static bool transcribe_file(struct call *call, const struct multipart *form, struct transcribe *wanted)
{
    struct error err = {0};
    struct sound sound;
    const struct front *front = call->model->front;
    const struct part *file = form_file(call, form, "file");
    if (!file) return false;
    if (!front || front_media(front) != MEDIA_SOUND)
        return problem_set(call->problem, FAULT_UNSUPPORTED_FOR_MODEL, "model",
                           "model '%s' reads no sound; expected a model with a front end of sound",
                           call->model->name);
    wanted->rate = front_rate(front);
    enum status status = wav_read(file->bytes, file->n, wanted->rate,
                                  (double)call->config->limits_sequence_values / wanted->rate, &sound, &err);
    if (status != STATUS_OK) {
        error_prefix(&err, "'file'");
        if (status == STATUS_BAD_FORMAT) status = STATUS_BAD_VALUE;
        return problem_from(call->problem, status, &err, "file");
    }
    const struct raw raw = {.media = MEDIA_SOUND, .values = sound.samples, .n = sound.n};
    wanted->seconds = sound.seconds;
    bool good = run_front(call, &raw, "file", wanted->heard);
    memory_free(sound.samples);
    return good && submit(call, wanted, "file");
}

void api_audio_transcriptions(struct request *request, struct reply *reply)
{
    static const char *const known[] = {"response_format", "timestamp_granularities", "language",
                                        "temperature", NULL};
    static const char *const plain[] = {"temperature", "stream", "timeout_ms", "priority", NULL};
    static const struct refusal refusals[] = {
        {"prompt", "these models are given no text before the sound; leave it out", JSON_ABSENT},
        {"stream", "the answer comes whole; leave it out", JSON_ABSENT},
        {"include", "ask for response_format 'verbose_json', which has avg_logprob", JSON_ABSENT},
        {NULL, NULL, JSON_ABSENT}};
    static const struct fields fields = {
        .known = known, .refusals = refusals, .is_open = true,
        .stateless = "a file is heard whole; POST /v1/transcribe hears 'samples' piece by piece"};
    struct transcribe wanted = {.format = FORMAT_JSON};
    struct multipart form;
    struct call call;
    if (!form_open(&call, request, reply, &fields, plain, ABILITY_TRANSCRIBE, &form)) return;
    wanted.options = (struct ctc_options){(size_t)transcription_spec_of(call.model)->num_beams, 1};
    bool good = read_format(&call, &wanted) && read_granularities(&call, &wanted) && read_hints(&call) &&
                open_heard(&call, &wanted) && transcribe_file(&call, &form, &wanted);
    if (!good) heard_drop(wanted.heard);
    call_close(&call);
}
