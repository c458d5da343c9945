/* POST /v1/transcribe: the path of a pen, or steps, as text. POST /v1/audio/transcriptions: sound as text, in
 * the shape of OpenAI's. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/memory.h"
#include "models/features/feature.h"
#include "models/media/wav.h"
#include "models/tasks/transcription.h"
#include "server/api/form.h"
#include "server/api/pen_strokes.h"
#include "server/api/branch.h"
#include "server/api/words.h"
#include "server/media/transcribe_answer.h"
#include "server/request/server.h"

static const char *const format_names[] = {[FORMAT_JSON] = "json", [FORMAT_TEXT] = "text",
                                           [FORMAT_VERBOSE_JSON] = "verbose_json", [FORMAT_SRT] = "srt",
                                           [FORMAT_VTT] = "vtt"};

/* Bounds of the fields about a language model. */
#define MOST_WEIGHT 10
#define MOST_BONUS 10

static void heard_drop(struct heard *heard)
{
    if (!heard) return;
    heard_free(heard);
    memory_free(heard);
}

/* Give back what reading a request has made. */
static void drop_wanted(struct transcribe *wanted)
{
    heard_drop(wanted->heard);
    if (wanted->language) model_drop(wanted->language);
    memory_free(wanted->tokens);
}

static void release(struct work *work)
{
    struct transcribe *task = (struct transcribe *)work;
    if (task->search) ctc_language_free(task->search);
    else job_free(work->job);
    drop_wanted(task);
    model_drop(task->model);
    free(task);
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
    transcribe_print(task, &texts, request, reply);
    ctc_free(&texts);
}

/* ---- with a language model -------------------------------------------------------------------- */

/* The search has ended: print its texts. */
static void search_answer(void *context, struct request *request, struct reply *reply)
{
    struct transcribe *task = context;
    struct work *work = &task->work;
    struct ctc_texts texts;
    if (!work_settle(work, request, &reply->problem)) return;
    work->timings.queue_ms += task->read_timings.queue_ms;
    work->timings.compute_ms += task->read_timings.compute_ms;
    work->timings.total_ms += task->read_timings.total_ms;
    if (ctc_language_texts(task->search, &texts) != STATUS_OK) {
        problem_set(&reply->problem, FAULT_NO_MEMORY, NULL, NULL);
        return;
    }
    transcribe_print(task, &texts, request, reply);
    ctc_free(&texts);
    if (reply->problem.fault == FAULT_NONE)
        branch_finish(work->branch, reply->body, reply->body_bytes, &reply->problem);
}

/* The reading has ended: leave the search, an operation of its own, which the exchange knows by its
 * address. */
static void reading_answer(void *context, struct request *request, struct reply *reply)
{
    static const struct operation searching = {.start = work_start, .cancel = work_cancel,
                                               .answer = search_answer, .cost_steps = work_cost_steps,
                                               .free = work_free};
    struct transcribe *task = context;
    struct ctc_outputs outputs;
    struct error err = {0};
    if (!work_settle(&task->work, request, &reply->problem)) return;
    if (!branch_keep(task->work.branch, task->work.job, &reply->problem)) return;
    struct transcribe *next = malloc(sizeof *next);
    enum status status = next ? heard_outputs(task->heard, task->reading, &outputs) : STATUS_NO_MEMORY;
    const struct ctc_language_request search = {
        .outputs = &outputs, .options = &task->options, .tokens = task->tokens,
        .max_seats = scheduler_max_seats(request->server->scheduler)};
    if (status == STATUS_OK)
        status = ctc_language_new(task->language, &search, &task->job_options, &task->search, &err);
    if (status != STATUS_OK) {
        free(next);
        problem_from(&reply->problem, status, &err, "language_model");
        return;
    }
    job_free(task->work.job);
    *next = *task;
    free(task);
    next->read_timings = next->work.timings;
    next->work.job = ctc_language_job(next->search);
    next->work.started = next->work.settled = false;
    request->operation = &searching;
    request->work = next;
}

/* The labels are letters that the language model knows, at least half of them. */
static bool find_tokens(struct call *call, struct transcribe *wanted)
{
    const struct model *model = call->model;
    const size_t blank = (size_t)transcription_spec_of(model)->blank;
    wanted->tokens = memory_new(model->n_labels, sizeof *wanted->tokens);
    if (!wanted->tokens) return problem_set(call->problem, FAULT_NO_MEMORY, NULL, NULL);
    const size_t n = ctc_language_tokens(wanted->language, model->labels, model->n_labels, blank,
                                         wanted->tokens);
    return 2 * n >= model->n_labels - 1 ||
           problem_set(call->problem, FAULT_UNSUPPORTED_FOR_MODEL, "language_model",
                       "model '%s' knows %zu of the %zu labels of model '%s' as single tokens; expected a "
                       "model of the same letters", wanted->language->name, n, model->n_labels - 1,
                       model->name);
}

static bool read_language(struct call *call, struct transcribe *wanted)
{
    const char *name = NULL;
    struct ctc_options *options = &wanted->options;
    options->weight = 0.5;
    if (!field_string(call->root, "language_model", MODEL_NAME_BYTES + MODEL_VERSION_BYTES + 1, &name,
                      call->problem) ||
        !field_number(call->root, "language_weight", 0, MOST_WEIGHT, &options->weight, call->problem) ||
        !field_number(call->root, "length_bonus", -MOST_BONUS, MOST_BONUS, &options->bonus, call->problem))
        return false;
    const char *alone = json_get(call->root, "language_weight") ? "language_weight"
                        : json_get(call->root, "length_bonus")  ? "length_bonus"
                                                                : NULL;
    if (!name)
        return !alone || problem_set(call->problem, FAULT_INVALID_VALUE, alone,
                                     "'%s' goes with 'language_model'; name one, or leave it out", alone);
    char shown[QUOTE_BYTES];
    options->has_language = true;
    wanted->language = registry_acquire(call->request->server->registry, name);
    if (!wanted->language)
        return problem_set(call->problem, FAULT_MODEL_NOT_FOUND, "language_model", "model %s is not served",
                           sentence_quote(shown, name, strlen(name)));
    if (!task_can(wanted->language->task, ABILITY_COMPLETE))
        return problem_set(call->problem, FAULT_UNSUPPORTED_FOR_MODEL, "language_model",
                           "model '%s' (%s) is no language model; expected one that completes texts",
                           wanted->language->name, wanted->language->task->name);
    return find_tokens(call, wanted);
}

/* ---- what is asked -------------------------------------------------------------------------- */

/* Defer the request; wanted->heard is given to the work. `param` is the field that they come from. */
static bool submit(struct call *call, const struct transcribe *wanted, const char *param)
{
    static const struct operation reading_first = {.start = work_start, .cancel = work_cancel,
                                                   .answer = reading_answer, .cost_steps = work_cost_steps,
                                                   .free = work_free};
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
    task->model = model_acquire(call->model);
    task->job_options = call->options;
    task->job_options.from = NULL;
    task->job_options.keeps = false;
    memory_free(heard->steps.values);
    heard->steps.values = NULL;
    task->work.job = reading_job(reading);
    task->work.print = print;
    task->work.release = release;
    task->work.branch = call_take_branch(call);
    call_defer(call, &task->work);
    if (task->language) call->request->operation = &reading_first;
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
    wanted->options.num_beams = beams;
    wanted->options.n_best = n;
    return n <= beams || problem_set(call->problem, FAULT_INVALID_VALUE, "n",
                                     "'n' is %zu, expected at most num_beams, which is %zu", n, beams);
}

void api_transcribe(struct request *request, struct reply *reply)
{
    static const char *const known[] = {"strokes", "samples", "features", "n", "num_beams",
                                        "language_model", "language_weight", "length_bonus", NULL};
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
    good = good && read_search(&call, &wanted) && read_language(&call, &wanted) &&
           open_heard(&call, &wanted) && inputs[which].transcribe(&call, &wanted);
    if (!good) drop_wanted(&wanted);
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
    wanted.options = (struct ctc_options){.num_beams = (size_t)transcription_spec_of(call.model)->num_beams,
                                          .n_best = 1};
    bool good = read_format(&call, &wanted) && read_granularities(&call, &wanted) && read_hints(&call) &&
                open_heard(&call, &wanted) && transcribe_file(&call, &form, &wanted);
    if (!good) drop_wanted(&wanted);
    call_close(&call);
}
