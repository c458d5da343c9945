#include "models/generation/handwriting_style.h"

#include <math.h>
#include <string.h>

#include "core/base/memory.h"
#include "models/features/path.h"
#include "models/text/utf8.h"

/* Letters of Latin script that rise above the small ones, and that reach below the line. */
static const char TALL[] = "bdfhiklt'\"!?()&/ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789";
static const char DEEP[] = "gjpqyQ,;()";

/* The shares of a line's height: of its middle, where all letters are, and of what rises or reaches below. */
static const double MIDDLE = 0.4, RISE = 0.3;

/* A sample that is flatter than this share of its width is a dash, or dots. */
static const double LEAST = 0.1;

/* The share of a line's height that a text with these letters has. */
static double height_of(const char *text)
{
    return MIDDLE + RISE * (text[strcspn(text, TALL)] != '\0') + RISE * (text[strcspn(text, DEEP)] != '\0');
}

/* The strokes as they were sent, at another scale. */
static enum status as_sent(const struct raw *strokes, double scale, struct path *out, struct error *err)
{
    size_t at = 0;
    *out = (struct path){.spots = memory_new(strokes->n, sizeof *out->spots)};
    if (!out->spots) return error_set(err, STATUS_NO_MEMORY, "no memory");
    for (size_t k = 0; k < strokes->n_ends; k++)
        for (; at < strokes->ends[k]; at++)
            out->spots[out->n++] = (struct spot){.x = strokes->values[2 * at] * scale, .origin = at,
                                                 .y = strokes->values[2 * at + 1] * scale,
                                                 .ends = at + 1 == strokes->ends[k]};
    return STATUS_OK;
}

static bool write_points(const struct path *path, float *out)
{
    for (size_t i = 0; i < path->n; i++, out += HANDWRITING_INPUTS) {
        const struct spot *spot = &path->spots[i], *before = i ? spot - 1 : spot;
        out[0] = (float)(spot->x - before->x);
        out[1] = (float)(spot->y - before->y);
        out[2] = spot->ends;
        if (!isfinite(out[0]) || !isfinite(out[1])) return false;
    }
    return true;
}

enum status handwriting_style_points(const struct handwriting_spec *spec, const struct raw *strokes,
                                     const char *text, float **points, size_t *n, struct error *err)
{
    double height = fmax(path_spread(strokes, 1), LEAST * path_spread(strokes, 0));
    double scale = spec->line_height * height_of(text) / (height > 0 ? height : 1);
    struct path path;
    *points = NULL;
    enum status status = spec->spacing > 0 ? path_resample(strokes, scale, spec->spacing,
                                                           HANDWRITING_MAX_STYLE_POINTS, &path, err)
                                           : as_sent(strokes, scale, &path, err);
    if (status != STATUS_OK) return status;
    *n = path.n;
    *points = memory_new(path.n, HANDWRITING_INPUTS * sizeof **points);
    if (!*points) status = error_set(err, STATUS_NO_MEMORY, "no memory");
    else if (!write_points(&path, *points))
        status = error_set(err, STATUS_BAD_VALUE, "the strokes are too far apart; expected one line of "
                           "writing");
    path_free(&path);
    if (status != STATUS_OK) {
        memory_free(*points);
        *points = NULL;
    }
    return status;
}

enum status handwriting_style_text(const struct model *model, int32_t **ids, size_t *n, struct error *err)
{
    const char *text = handwriting_spec_of(model)->style_text;
    const size_t bytes = strlen(text);
    size_t length;
    uint32_t code;
    *n = 0;
    *ids = memory_new(bytes + 1, sizeof **ids);
    if (!*ids) return error_set(err, STATUS_NO_MEMORY, "no memory");
    for (size_t at = 0; at < bytes; at += length) {
        length = utf8_decode(text + at, bytes - at, &code);
        if (!length) break;
        struct tokenizer_loss loss = {0};
        struct error unknown;
        int32_t *one;
        size_t n_one;
        enum status status = tokenizer_read(model->tokenizer, text + at, length, 1, &one, &n_one, &loss,
                                            &unknown);
        if (status != STATUS_OK) continue;
        const bool is_known = n_one == 1 && !loss.n_skipped && one[0] != tokenizer_unk(model->tokenizer);
        if (is_known) (*ids)[(*n)++] = one[0];
        memory_free(one);
    }
    return STATUS_OK;
}
