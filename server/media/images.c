/* POST /v1/images/generations: pictures of a class, in OpenAI's shape. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "core/base/memory.h"
#include "models/media/image.h"
#include "server/api/answer.h"
#include "server/api/branch.h"
#include "server/api/codec.h"
#include "server/base/config.h"
#include "server/media/images.h"
#include "server/request/access.h"
#include "server/request/server.h"

enum { PROMPT_BYTES = 1024, MAX_OUTPUT_SIDE = 1024, WHITE = 255 };
#define MAX_SEED 9007199254740991

static void release(struct work *work)
{
    struct images *task = (struct images *)work;
    memory_free(task->told);
    events_release(&task->events);
    work_release(work);
}

/* ---- the answer --------------------------------------------------------------------------------- */

void images_size(const struct images *task, size_t *width, size_t *height)
{
    const struct drawing_spec *spec = drawing_spec_of(task->work.job->model);
    *width = task->scale * (size_t)spec->width;
    *height = task->scale * (size_t)spec->height;
}

void images_put_size(struct writer *out, const struct images *task)
{
    char size[32];
    size_t width, height;
    images_size(task, &width, &height);
    snprintf(size, sizeof size, "%zux%zu", width, height);
    put_named_string(out, "size", size);
    put_named_string(out, "output_format", "png");
}

void images_put_png(struct writer *out, const struct images *task, size_t i, size_t n_rows)
{
    size_t width, height, bytes;
    images_size(task, &width, &height);
    uint8_t *grey = memory_new(width * height, 1), *file = NULL;
    const uint8_t *ink = drawing_picture(task->drawing, i);
    for (size_t y = 0; grey && y < height; y++)
        for (size_t x = 0; x < width; x++)
            grey[y * width + x] =
                y / task->scale < n_rows && ink[y / task->scale * (width / task->scale) + x / task->scale]
                    ? 0 : WHITE;
    if (grey) file = image_write_png(grey, width, height, &bytes);
    if (file) {
        put_name(out, "b64_json");
        put_base64(out, file, bytes);
    } else writer_fail(out);
    memory_free(grey);
    memory_free(file);
}

void images_put_log_probability(struct writer *out, const struct images *task, size_t i)
{
    put_name(out, "log_probability");
    put_double(out, drawing_log_probability(task->drawing, i));
}

void images_end(struct writer *out, const struct images *task, const struct request *request)
{
    const struct usage usage[] = {{"input_tokens", request->record.steps_in},
                                  {"output_tokens", request->record.steps_out},
                                  {"total_tokens", request->record.steps_in + request->record.steps_out}};
    answer_end(out, usage, 3, &task->work);
}

static void print(struct work *work, struct request *request, struct reply *reply)
{
    const struct images *task = (struct images *)work;
    struct writer out;
    request->record.steps_out = task->n * task->n_drawn;
    writer_init(&out, (size_t)request->server->config->limits_reply_bytes);
    put_open(&out, '{');
    if (work->branch) {
        char id[REQUEST_ID_BYTES];
        branch_name(work->branch, access_new_id("img-", id));
        put_named_string(&out, "id", id);
        branch_put(work->branch, &out);
    }
    put_named_integer(&out, "created", (int64_t)time(NULL));
    put_named_string(&out, "model", work->job->model->name);
    put_named_integer(&out, "seed", task->seed);
    images_put_size(&out, task);
    put_name(&out, "data");
    put_open(&out, '[');
    for (size_t i = 0; i < task->n; i++) {
        put_open(&out, '{');
        images_put_png(&out, task, i, drawing_rows(task->drawing, i));
        images_put_log_probability(&out, task, i);
        put_close(&out, '}');
    }
    put_close(&out, ']');
    images_end(&out, task, request);
    answer_writer(&out, reply);
}

/* ---- what is asked ------------------------------------------------------------------------------ */

static bool read_prompt(struct call *call, size_t *label)
{
    const struct model *model = call->model;
    const char *prompt = NULL;
    char list[256] = "";
    if (!field_string(call->root, "prompt", PROMPT_BYTES, &prompt, call->problem)) return false;
    if (!prompt && call->options.from) {
        uint64_t seed;
        drawing_kept(call->options.from, label, &seed);
        return true;
    }
    for (*label = 0; *label < model->n_labels; ++*label) {
        if (prompt && !strcmp(prompt, model->labels[*label])) return true;
        size_t n = strlen(list);
        snprintf(list + n, sizeof list - n, "%s'%.32s'", n ? ", " : "", model->labels[*label]);
    }
    return problem_set(call->problem, FAULT_INVALID_VALUE, "prompt",
                       "'prompt' is %s of the classes that model '%s' draws; expected one of %s",
                       prompt ? "none" : "missing, and must be one", model->name, list);
}

/* "WIDTHxHEIGHT" or "auto": the model's own size, or the same whole multiple of both sides. */
static bool read_size(struct call *call, size_t *scale)
{
    const struct drawing_spec *spec = drawing_spec_of(call->model);
    const char *size = NULL;
    unsigned width = 0, height = 0;
    char rest;
    *scale = 1;
    if (!field_string(call->root, "size", 32, &size, call->problem)) return false;
    if (!size || !strcmp(size, "auto")) return true;
    bool good = strspn(size, "0123456789x") == strlen(size) && strlen(size) < 12 &&
                sscanf(size, "%ux%u%c", &width, &height, &rest) == 2 && width <= MAX_OUTPUT_SIDE &&
                height <= MAX_OUTPUT_SIDE;
    *scale = width / (unsigned long)spec->width;
    if (good && *scale && *scale * (size_t)spec->width == width && *scale * (size_t)spec->height == height)
        return true;
    return problem_set(call->problem, FAULT_INVALID_VALUE, "size",
                       "'size' is no size that model '%s' draws; expected 'auto', '%ldx%ld' or a whole "
                       "multiple of it, at most %d pixels wide and high", call->model->name,
                       spec->width, spec->height,
                       (int)MAX_OUTPUT_SIDE);
}

/* The rows of the upper part: *pixels is the caller's to free. */
static bool read_complete(struct call *call, uint8_t **pixels, size_t *n)
{
    const struct drawing_spec *spec = drawing_spec_of(call->model);
    const struct json *rows = json_get(call->root, "complete");
    if (!rows) return true;
    bool good = json_kind(rows) == JSON_ARRAY && json_count(rows) <= (size_t)spec->height;
    *pixels = memory_new((size_t)(spec->height * spec->width), sizeof **pixels);
    if (!*pixels) return problem_set(call->problem, FAULT_NO_MEMORY, NULL, NULL);
    for (const struct json *row = json_first(rows); good && row; row = json_next(row)) {
        good = json_kind(row) == JSON_ARRAY && json_count(row) == (size_t)spec->width;
        for (const struct json *pixel = json_first(row); good && pixel; pixel = json_next(pixel)) {
            good = json_kind(pixel) == JSON_NUMBER && json_number(pixel) >= 0 && json_number(pixel) <= 1;
            if (good) (*pixels)[(*n)++] = json_number(pixel) > 0.5;
        }
    }
    return good || problem_set(call->problem, FAULT_INVALID_VALUE, "complete",
                               "'complete' is no upper part of a picture; expected at most %ld rows of %ld "
                               "numbers from 0 (paper) to 1 (ink)", spec->height, spec->width);
}

/* Only PNG files as base64 are made; a client that asks for nothing gets them too. */
static bool read_form(struct call *call)
{
    static const struct {
        const char *name, *only;
    } fixed[] = {{"response_format", "b64_json"}, {"output_format", "png"}};
    for (size_t i = 0; i < sizeof fixed / sizeof *fixed; i++) {
        const char *text = NULL;
        if (!field_string(call->root, fixed[i].name, 32, &text, call->problem)) return false;
        if (text && strcmp(text, fixed[i].only) != 0)
            return problem_set(call->problem, FAULT_INVALID_VALUE, fixed[i].name,
                               "'%s' is not '%s', which is all that "
                               "this server gives: send that, or leave it out", fixed[i].name, fixed[i].only);
    }
    return true;
}

/* A stream shows the rows of each picture as they are drawn, in at most `partial_images` steps. */
static bool read_stream(struct call *call, struct images *task, struct drawing_request *r)
{
    const size_t height = (size_t)drawing_spec_of(call->model)->height;
    task->n_partials = height;
    if (!field_boolean(call->root, "stream", &r->streams, call->problem) ||
        !field_size(call->root, "partial_images", 0, height, &task->n_partials, call->problem))
        return false;
    if (json_get(call->root, "partial_images") && !r->streams)
        return problem_set(call->problem, FAULT_INVALID_VALUE, "partial_images",
                           "'partial_images' goes with 'stream': true only; leave it out, or stream");
    return !r->streams || !call->options.keeps ||
           problem_set(call->problem, FAULT_INVALID_VALUE, "stream",
                       "a streamed picture keeps no state; leave 'stream' or 'store' out");
}

static bool read_request(struct call *call, struct images *task, struct drawing_request *r, uint8_t **pixels)
{
    size_t most = (size_t)call->config->limits_choices;
    r->n = 1;
    r->temperature = 1;
    task->seed = call_random_seed();
    (void)branch_seed(call->branch, &task->seed);
    if (call->options.from) {
        size_t label;
        uint64_t seed;
        drawing_kept(call->options.from, &label, &seed);
        task->seed = (int64_t)seed;
    }
    if (!read_prompt(call, &r->label) || !read_size(call, &task->scale) || !read_form(call) ||
        !field_size(call->root, "n", 1, most < DRAWING_MAX_PICTURES ? most : DRAWING_MAX_PICTURES, &r->n,
                    call->problem) ||
        !field_number(call->root, "temperature", 0, 2, &r->temperature, call->problem) ||
        !field_integer(call->root, "seed", 0, MAX_SEED, &task->seed, call->problem) ||
        !field_size(call->root, "rows", 1, (size_t)drawing_spec_of(call->model)->height, &r->n_rows,
                    call->problem) ||
        !read_complete(call, pixels, &r->n_given) || !read_stream(call, task, r))
        return false;
    const struct drawing_spec *spec = drawing_spec_of(call->model);
    task->n_begun = call->options.from ? (size_t)call->options.from->step : r->n_given;
    const size_t n_wanted = (r->n_rows ? r->n_rows : (size_t)spec->height) * (size_t)spec->width;
    task->n_drawn = n_wanted > task->n_begun ? n_wanted - task->n_begun : 0;
    r->given = *pixels;
    r->seed = (uint64_t)task->seed;
    task->n = r->n;
    return true;
}

static bool submit(struct call *call, const struct images *wanted, const struct drawing_request *request)
{
    struct error err = {0};
    struct images *task = calloc(1, sizeof *task);
    if (!task) return problem_set(call->problem, FAULT_NO_MEMORY, NULL, NULL);
    *task = *wanted;
    enum status status = drawing_new(call->model, request, &call->options, &task->drawing, &err);
    if (status != STATUS_OK) {
        free(task);
        return problem_from(call->problem, status, &err, "n");
    }
    task->work.job = drawing_job(task->drawing);
    task->work.print = print;
    task->work.release = release;
    if (request->streams && !images_stream_begin(task, call->request)) {
        release(&task->work);
        return problem_set(call->problem, FAULT_NO_MEMORY, NULL, NULL);
    }
    call_record(call, request->n_given);
    task->work.branch = call_take_branch(call);
    call_defer(call, &task->work);
    if (request->streams) call->request->operation = &images_stream;
    return true;
}

void api_images(struct request *request, struct reply *reply)
{
    static const char *const known[] = {"prompt", "n", "size", "response_format", "output_format", "seed",
                                        "temperature", "complete", "rows", "stream", "partial_images",
                                        NULL};
    static const struct refusal refusals[] = {
        {"quality", "these models have one quality: leave it out", JSON_STRING},
        {"style", "the class is all that these models are told: leave it out", JSON_STRING},
        {"background", "pictures are opaque: leave it out", JSON_STRING},
        {"output_compression", "PNG files lose nothing: leave it out", JSON_ABSENT},
        {NULL, NULL, JSON_ABSENT}};
    static const struct fields fields = {.known = known, .refusals = refusals, .goes_on = true,
                                         .is_open = true};
    struct call call;
    struct images task = {.scale = 1};
    struct drawing_request wanted = {.n = 1};
    uint8_t *pixels = NULL;
    if (!call_open(&call, request, reply, &fields, ABILITY_DRAW)) return;
    if (read_request(&call, &task, &wanted, &pixels)) submit(&call, &task, &wanted);
    memory_free(pixels);
    call_close(&call);
}
