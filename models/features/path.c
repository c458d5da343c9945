#include "models/features/path.h"

#include <math.h>

#include "core/base/memory.h"

/* Append a point; without spots, only count it. */
static void add(struct path *path, double x, double y, size_t origin)
{
    if (path->spots) path->spots[path->n] = (struct spot){x, y, origin, false, false};
    path->n++;
}

/* Resample points [first, end) of a stroke. false: more than the most points. */
static bool walk_stroke(const struct raw *raw, size_t first, size_t end, double scale, double spacing,
                        size_t most, struct path *path)
{
    double x = raw->values[2 * first] * scale, y = raw->values[2 * first + 1] * scale, left = spacing;
    size_t begin = path->n;
    add(path, x, y, first);
    for (size_t i = first + 1; i < end; i++) {
        double to_x = raw->values[2 * i] * scale, to_y = raw->values[2 * i + 1] * scale;
        double dx = to_x - x, dy = to_y - y, length = sqrt(dx * dx + dy * dy), at = left;
        if (!(length < spacing * (double)most)) return false;
        for (; at <= length && path->n <= most; at += spacing)
            add(path, x + dx * (at / length), y + dy * (at / length), i - 1);
        left = at - length;
        x = to_x, y = to_y;
    }
    if (end > first + 1) add(path, x, y, end - 1);
    if (path->spots) {
        path->spots[begin].begins = true;
        path->spots[path->n - 1].ends = true;
    }
    return path->n <= most;
}

static bool walk(const struct raw *raw, double scale, double spacing, size_t most, struct path *path)
{
    size_t first = 0;
    for (size_t k = 0; k < raw->n_ends; first = raw->ends[k++])
        if (!walk_stroke(raw, first, raw->ends[k], scale, spacing, most, path)) return false;
    return true;
}

enum status path_resample(const struct raw *strokes, double scale, double spacing, size_t most,
                          struct path *out, struct error *err)
{
    *out = (struct path){.n = 0};
    if (!isfinite(scale) || !walk(strokes, scale, spacing, most, out)) {
        out->n = 0;
        return error_set(err, STATUS_TOO_LONG, "the strokes are longer than %zu points of the model's "
                         "spacing: send one line of writing, a word or a few", most);
    }
    out->spots = memory_new(out->n, sizeof *out->spots);
    out->n = 0;
    if (!out->spots) return error_set(err, STATUS_NO_MEMORY, "no memory");
    (void)walk(strokes, scale, spacing, most, out);
    return STATUS_OK;
}

void path_free(struct path *path)
{
    memory_free(path->spots);
    *path = (struct path){.n = 0};
}

double path_spread(const struct raw *strokes, size_t axis)
{
    double low = strokes->values[axis], high = low;
    for (size_t i = 0; i < strokes->n; i++) {
        low = fmin(low, strokes->values[2 * i + axis]);
        high = fmax(high, strokes->values[2 * i + axis]);
    }
    return high - low;
}
