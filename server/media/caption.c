/* POST /v1/caption: sentences about a picture or the frames of an animation, by an encoder, a decoder and
 * beam search. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/memory.h"
#include "models/translation/captioning.h"
#include "server/api/answer.h"
#include "server/api/beams.h"
#include "server/api/form.h"
#include "server/base/config.h"

enum { MAX_FRAMES = 4096 }; /* of "frames" */

struct caption {
    struct work work;
    struct translation *translation;
};

/* ---- the answer ------------------------------------------------------------------------------- */

static void print(struct work *work, struct request *request, struct reply *reply)
{
    const struct caption *task = (struct caption *)work;
    const struct model *model = work->job->model;
    struct writer out;
    size_t n;
    const struct translation_result *results = translation_results(task->translation, 0, &n);
    bool good = true;
    answer_open(&out, request, "cap-", "caption", model);
    put_name(&out, "captions");
    put_open(&out, '[');
    for (size_t k = 0; k < n && good; k++) {
        put_open(&out, '{');
        good = beams_put_text(&out, model->target, &results[k]);
        beams_put(&out, &results[k]);
        good = good && beams_put_attention(&out, task->translation, 0, &results[k]);
        put_close(&out, '}');
    }
    put_close(&out, ']');
    beams_put_seed(&out, task->translation);
    if (!good) writer_fail(&out);
    request->record.steps_out += results[0].n;
    beams_close(&out, work, request, reply);
}

/* ---- what is asked ---------------------------------------------------------------------------- */

/* What the encoder reads, owned. */
struct source {
    const char *field; /* that it came from */
    double *rows;
    size_t n_steps;
};

static size_t max_pixels(const struct call *call)
{
    return (size_t)call->config->limits_image_pixels;
}

static bool check_front_end(const struct call *call, const char *field)
{
    if (captioning_reads_pictures(call->model)) return true;
    return problem_set(call->problem, FAULT_UNSUPPORTED_FOR_MODEL, field,
                       "model '%s' reads rows of numbers, not pictures; expected 'features'",
                       call->model->name);
}

static bool fail(const struct call *call, enum status status, struct error *err, const char *field)
{
    if (status == STATUS_BAD_VALUE) error_prefix(err, "'%s'", field);
    return problem_from(call->problem, status, err, field);
}

/* The pictures of a request: files of a form, or else data URLs. */
struct pictures {
    const struct part *files[MULTIPART_MAX_PARTS];
    size_t n_files;
    const struct json *value; /* the field, if there are no files */
};

/* Decode a picture: file i, or the one in a string. The caller frees *image. */
static bool decode(const struct call *call, const struct pictures *pictures, size_t i,
                   const struct json *value, const char *field, size_t most, struct image *image)
{
    struct error err = {0};
    *image = (struct image){0};
    if (pictures->n_files) {
        const struct part *file = pictures->files[i];
        enum status status = image_decode((const uint8_t *)file->bytes, file->n, most, image, &err);
        return status == STATUS_OK || fail(call, status, &err, field);
    }
    if (json_kind(value) != JSON_STRING)
        return field_expected(value, field, "a data URL, a string such as 'data:image/png;base64,iVBORw0...'",
                              call->problem);
    const char *url = json_string(value);
    enum status status = image_decode_url(url, strlen(url), most, image, &err);
    return status == STATUS_OK || fail(call, status, &err, field);
}

static bool read_image(const struct call *call, const struct pictures *pictures, struct source *source)
{
    struct error err = {0};
    struct image image;
    source->field = "image";
    if (!check_front_end(call, "image")) return false;
    if (pictures->n_files > 1)
        return problem_set(call->problem, FAULT_INVALID_VALUE, "image",
                           "'image' is there %zu times; expected one file, or several as 'frames'",
                           pictures->n_files);
    bool good = decode(call, pictures, 0, pictures->value, "image", max_pixels(call), &image);
    if (good) {
        enum status status = captioning_rows(call->model, &image, &source->rows, &source->n_steps, &err);
        good = status == STATUS_OK || fail(call, status, &err, "image");
    }
    image_free(&image);
    return good;
}

/* One picture a frame, decoded one by one: those that the model looks at. */
static bool read_frames(const struct call *call, const struct pictures *pictures, struct source *source)
{
    const struct picture_spec *spec = &call->model->picture;
    const struct json *value = pictures->value, *frame = json_first(value);
    source->field = "frames";
    if (!check_front_end(call, "frames")) return false;
    size_t n = pictures->n_files, at = 0, N = picture_frames(spec);
    if (!n && json_kind(value) == JSON_ARRAY) n = json_count(value);
    if (n < 1 || n > MAX_FRAMES)
        return field_expected(value, "frames", "an array of 1 to 4096 data URLs, one a frame", call->problem);
    size_t size = picture_patches(spec) * picture_row_size(spec);
    source->n_steps = N * picture_patches(spec);
    source->rows = memory_new(N * size, sizeof *source->rows);
    if (!source->rows) return problem_set(call->problem, FAULT_NO_MEMORY, NULL, NULL);
    for (size_t i = 0; i < N; i++) {
        char field[ERROR_PARAM_BYTES];
        struct image image;
        for (; at < picture_sample(i, N, n); at++)
            if (!pictures->n_files) frame = json_next(frame);
        snprintf(field, sizeof field, "frames[%zu]", at);
        bool good = decode(call, pictures, at, frame, field, max_pixels(call) / N, &image);
        if (good) picture_put_frame(spec, &image, 0, source->rows + i * size);
        image_free(&image);
        if (!good) return false;
    }
    return true;
}

/* Rows of a front end of the client's own; one sequence. */
static bool read_features(struct call *call, struct source *source)
{
    struct inputs inputs;
    source->field = "features";
    if (!inputs_read(call, "features", 0, &inputs)) return false;
    bool good = inputs.n == 1;
    if (good) {
        source->rows = inputs.features[0];
        source->n_steps = inputs.inputs[0].n_steps;
        inputs.features[0] = NULL;
    } else problem_set(call->problem, FAULT_INVALID_VALUE, "features",
                       "'features' holds %zu sequences, expected the rows of one picture", inputs.n);
    inputs_free(&inputs);
    return good;
}

/* The files of a form that have this name, with or without the brackets of a list. */
static void find_files(const struct multipart *form, const char *name, struct pictures *pictures)
{
    const size_t bytes = strlen(name);
    for (size_t i = 0; i < form->n; i++) {
        const struct part *part = &form->parts[i];
        if (!part->is_file || strncmp(part->name, name, bytes)) continue;
        if (!part->name[bytes] || !strcmp(part->name + bytes, "[]"))
            pictures->files[pictures->n_files++] = part;
    }
}

/* Exactly one of the three ways to send a picture. form: empty if the body is JSON. */
static bool read_source(struct call *call, const struct multipart *form, struct source *source)
{
    static const char *const names[] = {"image", "frames", "features"};
    struct pictures pictures, found = {0};
    size_t n = 0, which = 0, n_files = 0;
    *source = (struct source){0};
    for (size_t i = 0; i < 3; i++) {
        pictures = (struct pictures){.value = json_get(call->root, names[i])};
        if (i < 2) find_files(form, names[i], &pictures);
        n += (size_t)(pictures.value != NULL) + (size_t)(pictures.n_files > 0);
        n_files += pictures.n_files;
        if (pictures.value || pictures.n_files) which = i, found = pictures;
    }
    for (size_t i = 0; i < form->n; i++) n_files -= form->parts[i].is_file;
    if (n_files)
        return problem_set(call->problem, FAULT_INVALID_VALUE, "image",
                           "the form has a file that is neither 'image' nor 'frames'; expected these only");
    if (n != 1)
        return problem_set(call->problem, FAULT_INVALID_VALUE, n ? names[which] : "image",
                           "expected exactly one of 'image', 'frames' and 'features', found %s",
                           n ? "several" : "none");
    if (which == 2) return read_features(call, source);
    return which ? read_frames(call, &found, source) : read_image(call, &found, source);
}

static bool submit(struct call *call, const struct translation_request *request)
{
    struct error err = {0};
    struct caption *task = calloc(1, sizeof *task);
    if (!task) return problem_set(call->problem, FAULT_NO_MEMORY, NULL, NULL);
    enum status status = translation_new(call->model, request, &call->options, &task->translation, &err);
    if (status != STATUS_OK) {
        free(task);
        return problem_from(call->problem, status, &err, request->field);
    }
    task->work.job = translation_job(task->translation);
    task->work.print = print;
    task->work.release = work_release;
    call_defer(call, &task->work);
    return true;
}

void api_caption(struct request *request, struct reply *reply)
{
    static const char *const known[] = {"image", "frames", "features", "n", BEAMS_FIELDS, NULL};
    static const struct fields fields = {
        .known = known, .stateless = "a picture is looked at whole, and nothing comes after its caption"};
    static const char *const plain[] = {"n", BEAMS_FIELDS, "timeout_ms", "priority", NULL};
    struct call call;
    struct multipart form = {.n = 0};
    struct source source = {0};
    if (!(multipart_is_type(request->content_type)
              ? form_open(&call, request, reply, &fields, plain, ABILITY_CAPTION, &form)
              : call_open(&call, request, reply, &fields, ABILITY_CAPTION)))
        return;
    struct translation_request wanted = beams_request(&call, ABILITY_CAPTION);
    if (beams_read_n(&call, &wanted) && read_source(&call, &form, &source)) {
        const struct input rows = {.features = source.rows, .n_steps = source.n_steps};
        call_record(&call, source.n_steps);
        wanted.rows = &rows;
        wanted.n_inputs = 1;
        wanted.field = source.field;
        submit(&call, &wanted);
    }
    memory_free(source.rows);
    call_close(&call);
}
