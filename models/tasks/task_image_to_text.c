/* image-to-text: a sentence about a picture, or about the frames of an animation, by an encoder of rows of
 * numbers and a decoder. Requests: captioning.h, translation.h. */
#include <stdio.h>
#include <string.h>

#include "core/base/memory.h"
#include "models/bundle/bundle.h"
#include "models/bundle/golden.h"
#include "models/bundle/input.h"
#include "models/bundle/inspect.h"
#include "models/translation/captioning.h"

bool captioning_reads_pictures(const struct model *model)
{
    return model->picture.width > 0;
}

enum status captioning_rows(const struct model *model, const struct image *image, double **rows,
                            size_t *n_steps, struct error *err)
{
    const struct picture_spec *spec = &model->picture;
    *n_steps = picture_frames(spec) * picture_patches(spec);
    *rows = memory_new(*n_steps * picture_row_size(spec), sizeof **rows);
    if (!*rows) return error_set(err, STATUS_NO_MEMORY, "no memory");
    picture_put(spec, image, *rows);
    return STATUS_OK;
}

enum { GOLDEN_PIXELS = 1 << 22 }; /* of a golden case, at most */

static enum status check(const struct parts *parts, struct error *err)
{
    const struct picture_spec *picture = &parts->bundle->picture;
    size_t inputs = network_input_size(parts->network);
    enum status status = translation_check(parts, &task_image_to_text, err);
    if (status != STATUS_OK || !picture->width || picture_row_size(picture) == inputs) return status;
    return error_set(err, STATUS_BAD_SHAPE,
                     "a row of the picture has %zu numbers, the encoder reads %zu a step",
                     picture_row_size(picture), inputs);
}

/* A picture as a data URL, as requests have it. */
static enum status read_picture(const struct model *model, const char *url, struct steps *steps,
                                struct error *err)
{
    struct image image;
    double *rows = NULL;
    enum status status = image_decode_url(url, strlen(url), GOLDEN_PIXELS, &image, err);
    if (status == STATUS_OK) status = captioning_rows(model, &image, &rows, &steps->n, err);
    if (status == STATUS_OK) status = input_check_steps(steps->n, err);
    if (status == STATUS_OK) {
        steps->features = memory_new(steps->n * network_input_size(model->network), sizeof *steps->features);
        status = steps->features ? input_features(model, rows, steps->n, steps->features, err)
                                 : error_set(err, STATUS_NO_MEMORY, "no memory");
    }
    memory_free(rows);
    image_free(&image);
    return status;
}

static enum status steps(const struct model *model, const struct json *input, struct steps *out,
                         struct error *err)
{
    if (json_kind(input) == JSON_STRING && captioning_reads_pictures(model)) {
        enum status status = read_picture(model, json_string(input), out, err);
        if (status != STATUS_OK) error_prefix(err, "'input'");
        return status;
    }
    return input_features_of(model, input, out, err);
}

static void inspect(const struct view *view)
{
    const struct picture_spec *p = &view->model->picture;
    char frames[32] = "a picture";
    if (p->frames) snprintf(frames, sizeof frames, "%ld frames", p->frames);
    if (p->width)
        inspect_line(view, "picture", "%s of %ld x %ld, %s, in %zu patch%s%s; fit %s", frames, p->width,
                     p->height, p->channels == 1 ? "grey" : "red, green and blue", picture_patches(p),
                     picture_patches(p) == 1 ? "" : "es", p->coordinates ? " with coordinates" : "",
                     picture_fit_names[p->fit]);
    translation_inspect(view);
}

static size_t facts(const struct model *model, struct fact *facts)
{
    const struct picture_spec *p = &model->picture;
    size_t n = translation_facts(model, facts);
    if (!p->width) return n;
    facts[n++] = (struct fact){"picture_width", (double)p->width};
    facts[n++] = (struct fact){"picture_height", (double)p->height};
    facts[n++] = (struct fact){"picture_frames", (double)picture_frames(p)};
    return n;
}

const struct task task_image_to_text = {
    .name = "image-to-text",
    .abilities = CAN(CAPTION) | CAN(EXPLAIN),
    .sections = {{&section_tokenizer, true}, {&section_features, false}, {&section_translation, false}},
    .has_decoder = true,
    .spec_bytes = sizeof(struct translation_spec),
    .defaults = translation_set_defaults,
    .check = check,
    .steps = steps,
    .inspect = inspect,
    .facts = facts,
};
