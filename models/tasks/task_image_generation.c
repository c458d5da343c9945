/* image-generation: a picture of a class, a pixel after the other. Requests: drawing.h. */
#include <stdlib.h>
#include <string.h>

#include "core/base/memory.h"
#include "models/bundle/bundle.h"
#include "models/bundle/input.h"
#include "models/bundle/inspect.h"
#include "models/generation/drawing.h"
#include "models/text/json.h"

#define DRAWING(field) .name = #field, .offset = offsetof(struct drawing_spec, field)

static enum status read_drawing(const struct json *value, struct bundle *bundle, struct error *err)
{
    static const struct field fields[] = {
        {DRAWING(height), .kind = FIELD_INTEGER, .minimum = 1, .maximum = DRAWING_MAX_SIDE, .required = true},
        {DRAWING(width), .kind = FIELD_INTEGER, .minimum = 1, .maximum = DRAWING_MAX_SIDE, .required = true},
        {DRAWING(above), .kind = FIELD_INTEGER, .minimum = 0, .maximum = DRAWING_MAX_REACH},
        {DRAWING(beside), .kind = FIELD_INTEGER, .minimum = 0, .maximum = DRAWING_MAX_REACH},
        {DRAWING(left), .kind = FIELD_INTEGER, .minimum = 0, .maximum = DRAWING_MAX_REACH},
    };
    return json_read(value, fields, sizeof fields / sizeof *fields, bundle->spec, err);
}

static const struct section section_drawing = {"drawing", FIELD_OBJECT, read_drawing};

static enum status check(const struct parts *parts, struct error *err)
{
    const struct bundle *bundle = parts->bundle;
    const size_t expected = drawing_inputs(bundle->spec, bundle->n_labels);
    const size_t inputs = network_input_size(parts->network), outputs = network_output_size(parts->network);
    enum status status = task_check_numbers(parts, &task_image_generation, err);
    if (status == STATUS_OK) status = task_check_causal(parts, &task_image_generation, err);
    if (status != STATUS_OK) return status;
    if (inputs != expected)
        return error_set(err, STATUS_BAD_SHAPE,
                         "the network reads %zu numbers; 'drawing' and %zu labels give %zu",
                         inputs, bundle->n_labels, expected);
    if (outputs == 1) return STATUS_OK;
    return error_set(err, STATUS_BAD_SHAPE, "the network gives %zu numbers; expected 1, the logit of ink",
                     outputs);
}

/* The rows of the upper part of a picture, each a whole row of 0 and 1. */
static enum status read_rows(const struct json *rows, const struct drawing_spec *spec, uint8_t *pixels,
                             size_t *n, struct error *err)
{
    *n = 0;
    if (json_kind(rows) != JSON_ARRAY || json_count(rows) > (size_t)spec->height)
        return error_set(err, STATUS_BAD_VALUE, "'pixels': expected at most %ld rows", spec->height);
    for (const struct json *row = json_first(rows); row; row = json_next(row)) {
        if (json_kind(row) != JSON_ARRAY || json_count(row) != (size_t)spec->width)
            return error_set(err, STATUS_BAD_VALUE, "'pixels': expected rows of %ld numbers", spec->width);
        for (const struct json *pixel = json_first(row); pixel; pixel = json_next(pixel)) {
            double x;
            enum status status = input_read_number(pixel, "pixels", *n, 1, &x, err);
            if (status != STATUS_OK) return status;
            pixels[(*n)++] = x > 0.5;
        }
    }
    return input_check_steps(*n, err);
}

/* A golden case: {"prompt": label, "pixels": rows}. */
static enum status steps(const struct model *model, const struct json *input, struct steps *out,
                         struct error *err)
{
    struct golden {
        const char *prompt;
        const struct json *pixels;
    } golden = {NULL, NULL};
    static const struct field fields[] = {
        {.name = "prompt", .kind = FIELD_STRING, .offset = offsetof(struct golden, prompt), .required = true},
        {.name = "pixels", .kind = FIELD_ARRAY, .offset = offsetof(struct golden, pixels), .required = true}};
    const struct drawing_spec *spec = drawing_spec_of(model);
    size_t label = 0, F = drawing_inputs(spec, model->n_labels);
    if (json_kind(input) != JSON_OBJECT)
        return error_set(err, STATUS_BAD_VALUE, "'input' is no object of 'prompt' and 'pixels'");
    enum status status = json_read(input, fields, 2, &golden, err);
    if (status != STATUS_OK) return status;
    while (label < model->n_labels && strcmp(golden.prompt, model->labels[label]) != 0) label++;
    if (label == model->n_labels) return error_set(err, STATUS_BAD_VALUE, "'prompt' is none of the labels");
    uint8_t *pixels = memory_new((size_t)(spec->height * spec->width), sizeof *pixels);
    if (!pixels) return error_set(err, STATUS_NO_MEMORY, "no memory");
    status = read_rows(golden.pixels, spec, pixels, &out->n, err);
    if (status == STATUS_OK) out->features = memory_new(out->n * F, sizeof *out->features);
    if (status == STATUS_OK && !out->features) status = error_set(err, STATUS_NO_MEMORY, "no memory");
    for (size_t at = 0; status == STATUS_OK && at < out->n; at++)
        drawing_window(spec, pixels, at, label, model->n_labels, out->features + at * F);
    memory_free(pixels);
    return status;
}

static void inspect(const struct view *view)
{
    const struct drawing_spec *d = drawing_spec_of(view->model);
    inspect_line(view, "drawing",
                 "%ld x %ld pixels; reads %ld rows above, %ld columns beside, %ld pixels to the left",
                 d->height, d->width, d->above, d->beside, d->left);
}

static size_t facts(const struct model *model, struct fact *out)
{
    out[0] = (struct fact){"height", (double)drawing_spec_of(model)->height};
    out[1] = (struct fact){"width", (double)drawing_spec_of(model)->width};
    return 2;
}

const struct task task_image_generation = {
    .name = "image-generation",
    .abilities = CAN(DRAW) | CAN(EXPLAIN),
    .sections = {{&section_labels, true}, {&section_drawing, true}},
    .activation = ACTIVATION_NONE,
    .spec_bytes = sizeof(struct drawing_spec),
    .check = check,
    .steps = steps,
    .inspect = inspect,
    .facts = facts,
};
