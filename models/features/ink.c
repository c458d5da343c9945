/* ink: the path of a pen as steps of equal length. The writing is brought to one height by percentiles of the
 * heights along its path, and resampled every `spacing` units of its stroke's length, the stroke's ends
 * included. Without `normalise` clients write in a line of that height, whose middle is at y = 0, and it can
 * run piece by piece: a piece is some whole strokes. A point is five numbers: the way from the point before,
 * in spacings (x, y); 1 if a stroke begins; the height above the middle, in line heights; 1 if a stroke ends.
 * `stack` points make one step. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/memory.h"
#include "models/features/feature.h"
#include "models/features/path.h"
#include "models/text/json.h"

enum { NUMBERS = 5, MAX_POINTS = 1 << 17 };

struct ink {
    const struct json *type; /* known by then */
    double height, spacing, least_height, low, high;
    long stack;
    bool normalise;
};

#define AT(member) .offset = offsetof(struct ink, member)
static const struct field fields[] = {
    {.name = "type", .kind = FIELD_ANY, AT(type)},
    {.name = "height", .kind = FIELD_NUMBER, .above = true, .minimum = 0, .maximum = 1e6, AT(height)},
    {.name = "spacing", .kind = FIELD_NUMBER, .above = true, .minimum = 0, .maximum = 1e6, AT(spacing)},
    {.name = "least_height", .kind = FIELD_NUMBER, .above = true, .minimum = 0, .maximum = 1,
     AT(least_height)},
    {.name = "low", .kind = FIELD_NUMBER, .minimum = 0, .maximum = 1, AT(low)},
    {.name = "high", .kind = FIELD_NUMBER, .minimum = 0, .maximum = 1, AT(high)},
    {.name = "stack", .kind = FIELD_INTEGER, .minimum = 1, .maximum = 64, AT(stack)},
    {.name = "normalise", .kind = FIELD_BOOLEAN, AT(normalise)},
};
#undef AT

static void defaults(void *self)
{
    *(struct ink *)self = (struct ink){
        .height = 100, .spacing = 7, .least_height = 0.12, .low = 0.05, .high = 0.95, .stack = 1,
        .normalise = true};
}

static enum status prepare(void *self, struct error *err)
{
    const struct ink *f = self;
    if (f->low >= f->high)
        return error_set(err, STATUS_BAD_VALUE, "'low' is %g and 'high' %g, expected low below high", f->low,
                         f->high);
    if (f->spacing < f->height / 1000)
        return error_set(err, STATUS_BAD_VALUE, "'spacing' is %g, expected at least a thousandth of 'height'",
                         f->spacing);
    return STATUS_OK;
}

static size_t width(const void *self)
{
    return NUMBERS * (size_t)((const struct ink *)self)->stack;
}

static bool runs_on(const void *self)
{
    return !((const struct ink *)self)->normalise;
}

static int by_size(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* The percentiles of the heights along a path. */
static enum status measure(const struct ink *f, const struct path *path, double *low, double *high,
                           struct error *err)
{
    double *heights = memory_new(path->n, sizeof *heights), last = (double)(path->n - 1);
    if (!heights) return error_set(err, STATUS_NO_MEMORY, "no memory");
    for (size_t i = 0; i < path->n; i++) heights[i] = path->spots[i].y;
    qsort(heights, path->n, sizeof *heights, by_size);
    *low = heights[(size_t)floor(f->low * last)];
    *high = heights[(size_t)floor(f->high * last)];
    memory_free(heights);
    return STATUS_OK;
}

/* Resample at the wanted height: *middle is that of the percentiles. */
static enum status resample(const struct ink *f, const struct raw *raw, size_t most, struct path *path,
                            double *middle, struct error *err)
{
    double wide = path_spread(raw, 0), size = fmax(path_spread(raw, 1), f->least_height * wide);
    double low = 0, high = 0;
    if (!f->normalise) return path_resample(raw, 1, f->spacing, most, path, err);
    if (!(size > 0)) size = 1;
    enum status status = path_resample(raw, f->height / size, f->spacing, MAX_POINTS, path, err);
    if (status != STATUS_OK) return status;
    status = measure(f, path, &low, &high, err);
    path_free(path);
    if (status != STATUS_OK) return status;
    double least = f->least_height * wide * (f->height / size);
    double more = f->height / fmax(fmax(high - low, least), 1);
    *middle = (low + high) / 2 * more;
    return path_resample(raw, f->height / size * more, f->spacing, most, path, err);
}

/* Write the numbers of a point. */
static void write_point(const struct ink *f, const struct path *path, size_t i, double middle, double *out)
{
    const struct spot *spot = &path->spots[i], *before = i ? spot - 1 : spot;
    out[0] = (spot->x - before->x) / f->spacing;
    out[1] = (spot->y - before->y) / f->spacing;
    out[2] = spot->begins;
    out[3] = (spot->y - middle) / f->height;
    out[4] = spot->ends;
}

/* The last step may have more points yet. It needs the point before its first, so the next piece is run
 * behind the whole stroke of that point. */
static void keep_end(const struct path *path, size_t first, struct front_steps *out)
{
    if (!first) return;
    size_t begin = first - 1;
    while (!path->spots[begin].begins) begin--;
    out->keep_from = path->spots[begin].origin;
    out->n_known = first - begin;
}

static enum status run(const void *self, const struct raw *raw, size_t max_steps, struct front_steps *out,
                       struct error *err)
{
    const struct ink *f = self;
    struct path path = {.n = 0};
    double middle = 0;
    size_t stack = (size_t)f->stack, known = raw->n_known, n = 0;
    size_t most = max_steps < MAX_POINTS ? max_steps * stack + known : MAX_POINTS;
    enum status status = resample(f, raw, most, &path, &middle, err);
    if (status == STATUS_OK && known >= path.n)
        status = error_set(err, STATUS_BAD_VALUE, "%zu points were given before, of %zu", known, path.n);
    if (status == STATUS_OK) {
        n = path.n - known;
        out->n = (n + stack - 1) / stack;
        out->values = memory_new(out->n * stack, NUMBERS * sizeof *out->values);
        out->origin = memory_new(out->n + 1, sizeof *out->origin);
        if (!out->values || !out->origin) status = error_set(err, STATUS_NO_MEMORY, "no memory");
    }
    if (status == STATUS_OK) {
        for (size_t i = 0; i < n; i++) {
            write_point(f, &path, known + i, middle, out->values + NUMBERS * i);
            if (i % stack == 0) out->origin[i / stack] = path.spots[known + i].origin;
        }
        out->origin[out->n] = raw->n;
        if (!f->normalise) keep_end(&path, known + (out->n - 1) * stack, out);
    }
    path_free(&path);
    return status;
}

const struct front_type front_ink = {
    .name = "ink", .media = MEDIA_INK, .bytes = sizeof(struct ink), .fields = fields,
    .n_fields = sizeof fields / sizeof *fields, .defaults = defaults, .prepare = prepare, .width = width,
    .runs_on = runs_on, .run = run,
};
