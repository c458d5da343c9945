/* log_mel: the logarithms of the energies in bands of equal width on Slaney's mel scale, without their mean
 * over the recording, or relative to its loudest (librosa.power_to_db with ref=numpy.max). The windows are
 * Hann's, the triangles have area 1 in hertz: the numbers of librosa.feature.melspectrogram with
 * center=False. Slaney: Auditory Toolbox, 1998; the transform is Cooley and Tukey's, 1965. */
#include <math.h>
#include <string.h>

#include "core/base/memory.h"
#include "models/features/feature.h"
#include "models/text/json.h"

static const double PI = 3.14159265358979323846;

struct log_mel {
    const struct json *type; /* known by then */
    long sampling_rate, n_fft, win_length, hop_length, n_mels, stack;
    long silence_after; /* samples */
    double fmin, fmax, log_offset; /* fmax 0: half the sampling rate */
    double top_db;                 /* 0: not relative to the loudest */
    bool remove_mean;
    double *window;  /* [n_fft], zero around the middle win_length */
    double *filters; /* [n_mels, n_fft / 2 + 1] */
    double *turns;   /* [n_fft / 2, 2] cosines and sines of the transform */
};

#define AT(member) .offset = offsetof(struct log_mel, member)
static const struct field fields[] = {
    {.name = "type", .kind = FIELD_ANY, AT(type)},
    {.name = "sampling_rate", .kind = FIELD_INTEGER, .minimum = 1000, .maximum = 192000, .required = true,
     AT(sampling_rate)},
    {.name = "n_fft", .kind = FIELD_INTEGER, .minimum = 16, .maximum = 8192, .required = true, AT(n_fft)},
    {.name = "win_length", .kind = FIELD_INTEGER, .minimum = 2, .maximum = 8192, AT(win_length)},
    {.name = "hop_length", .kind = FIELD_INTEGER, .minimum = 1, .maximum = 8192, .required = true,
     AT(hop_length)},
    {.name = "n_mels", .kind = FIELD_INTEGER, .minimum = 1, .maximum = 512, .required = true, AT(n_mels)},
    {.name = "fmin", .kind = FIELD_NUMBER, .minimum = 0, .maximum = 96000, AT(fmin)},
    {.name = "fmax", .kind = FIELD_NUMBER, .minimum = 0, .maximum = 96000, AT(fmax)},
    {.name = "log_offset", .kind = FIELD_NUMBER, .above = true, .minimum = 0, .maximum = 1, AT(log_offset)},
    {.name = "top_db", .kind = FIELD_NUMBER, .above = true, .minimum = 0, .maximum = 200, AT(top_db)},
    {.name = "remove_mean", .kind = FIELD_BOOLEAN, AT(remove_mean)},
    {.name = "stack", .kind = FIELD_INTEGER, .minimum = 1, .maximum = 64, AT(stack)},
    {.name = "silence_after", .kind = FIELD_INTEGER, .minimum = 0, .maximum = 192000, AT(silence_after)},
};
#undef AT

static void defaults(void *self)
{
    *(struct log_mel *)self = (struct log_mel){.log_offset = 1e-6, .remove_mean = true, .stack = 1};
}

/* ---- mel ---- */

static double to_mel(double hertz)
{
    return hertz < 1000 ? hertz * 3 / 200 : 15 + 27 * log(hertz / 1000) / log(6.4);
}

static double to_hertz(double mel)
{
    return mel < 15 ? mel * 200 / 3 : 1000 * exp((mel - 15) * log(6.4) / 27);
}

static void fill_filters(struct log_mel *f)
{
    double low = to_mel(f->fmin), high = to_mel(f->fmax), step = (high - low) / (double)(f->n_mels + 1);
    long n_bins = f->n_fft / 2 + 1;
    for (long m = 0; m < f->n_mels; m++) {
        double left = to_hertz(low + step * (double)m), middle = to_hertz(low + step * (double)(m + 1)),
               right = to_hertz(low + step * (double)(m + 2));
        for (long k = 0; k < n_bins; k++) {
            double hertz = (double)k * (double)f->sampling_rate / (double)f->n_fft;
            double up = (hertz - left) / (middle - left), down = (right - hertz) / (right - middle);
            f->filters[m * n_bins + k] = fmax(0, fmin(up, down)) * 2 / (right - left);
        }
    }
}

static enum status check(struct log_mel *f, struct error *err)
{
    double half = (double)f->sampling_rate / 2;
    if (!f->win_length) f->win_length = f->n_fft;
    if (f->fmax <= 0) f->fmax = half;
    if (f->n_fft & (f->n_fft - 1))
        return error_set(err, STATUS_BAD_VALUE, "'n_fft' is %ld, expected a power of two", f->n_fft);
    if (f->win_length > f->n_fft)
        return error_set(err, STATUS_BAD_VALUE, "'win_length' is %ld, expected at most 'n_fft', %ld",
                         f->win_length, f->n_fft);
    if (f->fmax > half || f->fmin >= f->fmax)
        return error_set(err, STATUS_BAD_VALUE, "'fmin' is %g and 'fmax' %g, expected fmin below fmax, and "
                         "fmax at most half of 'sampling_rate'", f->fmin, f->fmax);
    return STATUS_OK;
}

static enum status prepare(void *self, struct error *err)
{
    struct log_mel *f = self;
    enum status status = check(f, err);
    if (status != STATUS_OK) return status;
    size_t n = (size_t)f->n_fft, before = (size_t)(f->n_fft - f->win_length) / 2;
    f->window = memory_new(n, sizeof *f->window);
    f->filters = memory_new((size_t)f->n_mels * (n / 2 + 1), sizeof *f->filters);
    f->turns = memory_new(n, sizeof *f->turns);
    if (!f->window || !f->filters || !f->turns) return error_set(err, STATUS_NO_MEMORY, "no memory");
    for (size_t i = 0; i < (size_t)f->win_length; i++)
        f->window[before + i] = 0.5 - 0.5 * cos(2 * PI * (double)i / (double)f->win_length);
    for (size_t i = 0; i < n / 2; i++) {
        f->turns[2 * i] = cos(2 * PI * (double)i / (double)n);
        f->turns[2 * i + 1] = -sin(2 * PI * (double)i / (double)n);
    }
    fill_filters(f);
    return STATUS_OK;
}

static void release(void *self)
{
    struct log_mel *f = self;
    memory_free(f->window);
    memory_free(f->filters);
    memory_free(f->turns);
}

static size_t width(const void *self)
{
    const struct log_mel *f = self;
    return (size_t)(f->n_mels * f->stack);
}

static double rate(const void *self)
{
    return (double)((const struct log_mel *)self)->sampling_rate;
}

static bool runs_on(const void *self)
{
    const struct log_mel *f = self;
    return !f->remove_mean && f->top_db <= 0;
}

/* ---- the transform ---- */

/* Transform z[n, 2] in place; `turns` are those of n. */
static void transform(double *z, size_t n, const double *turns)
{
    for (size_t i = 1, j = 0; i < n; i++) { /* the order of reversed bits */
        size_t bit = n >> 1;
        for (; j & bit; bit >>= 1) j ^= bit;
        j ^= bit;
        if (i >= j) continue;
        double re = z[2 * i], im = z[2 * i + 1];
        z[2 * i] = z[2 * j], z[2 * i + 1] = z[2 * j + 1];
        z[2 * j] = re, z[2 * j + 1] = im;
    }
    for (size_t size = 2; size <= n; size *= 2)
        for (size_t first = 0; first < n; first += size)
            for (size_t k = 0; k < size / 2; k++) {
                double *a = z + 2 * (first + k), *b = a + size;
                const double *turn = turns + 2 * (k * (n / size));
                double re = b[0] * turn[0] - b[1] * turn[1], im = b[0] * turn[1] + b[1] * turn[0];
                b[0] = a[0] - re, b[1] = a[1] - im;
                a[0] += re, a[1] += im;
            }
}

/* Write the logarithms of one frame, whose samples begin at `first`. z: [n_fft, 2], then [n_fft / 2 + 1]. */
static void run_frame(const struct log_mel *f, const struct raw *raw, size_t first, double *z, double *out)
{
    size_t n = (size_t)f->n_fft, n_bins = n / 2 + 1;
    double *power = z + 2 * n;
    for (size_t i = 0; i < n; i++) {
        z[2 * i] = first + i < raw->n ? raw->values[first + i] * f->window[i] : 0;
        z[2 * i + 1] = 0;
    }
    transform(z, n, f->turns);
    for (size_t k = 0; k < n_bins; k++) power[k] = z[2 * k] * z[2 * k] + z[2 * k + 1] * z[2 * k + 1];
    for (size_t m = 0; m < (size_t)f->n_mels; m++) {
        double energy = 0;
        for (size_t k = 0; k < n_bins; k++) energy += power[k] * f->filters[m * n_bins + k];
        out[m] = log(energy + f->log_offset);
    }
}

static void subtract_mean(double *rows, size_t n, size_t size)
{
    for (size_t m = 0; m < size; m++) {
        double sum = 0;
        for (size_t t = 0; t < n; t++) sum += rows[t * size + m];
        for (size_t t = 0; t < n; t++) rows[t * size + m] -= sum / (double)n;
    }
}

/* Make the loudest of values[n] zero, and none more than top_db decibels below it. */
static void level(double *values, size_t n, double top_db)
{
    double loudest = -INFINITY, least = -top_db * log(10) / 10;
    for (size_t i = 0; i < n; i++) loudest = fmax(loudest, values[i]);
    for (size_t i = 0; i < n; i++) values[i] = fmax(values[i] - loudest, least);
}

/* Return how many of the steps a next piece may change: those that reach into the silence, and the last. */
static size_t count_open(const struct log_mel *f, const struct raw *raw, size_t steps)
{
    size_t fft = (size_t)f->n_fft, hop = (size_t)f->hop_length, stack = (size_t)f->stack;
    size_t closed = raw->n < fft ? 0 : ((raw->n - fft) / hop + 1) / stack;
    size_t begun = raw->n / (hop * stack); /* frames may have gaps: the first open step begins in the sound */
    if (begun < closed) closed = begun;
    return closed < steps ? steps - closed : 1;
}

static enum status run(const void *self, const struct raw *raw, size_t max_steps, struct front_steps *out,
                       struct error *err)
{
    const struct log_mel *f = self;
    size_t fft = (size_t)f->n_fft, hop = (size_t)f->hop_length, stack = (size_t)f->stack;
    size_t least = fft + (stack - 1) * hop, n = raw->n + (size_t)f->silence_after;
    if (n < least) n = least;
    size_t steps = ((n - fft) / hop + 1) / stack;
    if (steps > max_steps)
        return error_set(err, STATUS_TOO_LONG, "%.1f s of sound are %zu steps, expected at most %zu steps: "
                         "send shorter pieces", (double)raw->n / (double)f->sampling_rate, steps, max_steps);
    double *z = memory_new(2 * fft + fft / 2 + 1, sizeof *z);
    out->values = memory_new(steps * width(self), sizeof *out->values);
    out->origin = memory_new(steps + 1, sizeof *out->origin);
    out->n = steps;
    out->n_open = count_open(f, raw, steps);
    bool good = z && out->values && out->origin;
    for (size_t t = 0; good && t < steps * stack; t++)
        run_frame(f, raw, t * hop, z, out->values + t * (size_t)f->n_mels);
    if (good && f->top_db > 0) level(out->values, steps * width(self), f->top_db);
    if (good && f->remove_mean) subtract_mean(out->values, steps * stack, (size_t)f->n_mels);
    for (size_t t = 0; good && t <= steps; t++)
        out->origin[t] = t * stack * hop < raw->n ? t * stack * hop : raw->n;
    memory_free(z);
    return good ? STATUS_OK : error_set(err, STATUS_NO_MEMORY, "no memory");
}

const struct front_type front_log_mel = {
    .name = "log_mel", .media = MEDIA_SOUND, .bytes = sizeof(struct log_mel), .fields = fields,
    .n_fields = sizeof fields / sizeof *fields, .defaults = defaults, .prepare = prepare, .release = release,
    .width = width, .rate = rate, .runs_on = runs_on, .run = run,
};
