#include "models/media/wav.h"

#include <math.h>
#include <stdint.h>
#include <string.h>

#include "core/base/memory.h"

enum { MAX_CHANNELS = 8, MIN_RATE = 4000, MAX_RATE = 192000, CROSSINGS = 32 };
enum format { FORMAT_PCM = 1, FORMAT_FLOAT = 3, FORMAT_EXTENSIBLE = 0xfffe };

static const double PI = 3.14159265358979323846;

static uint32_t word(const unsigned char *at, size_t bytes)
{
    uint32_t value = 0;
    for (size_t i = 0; i < bytes; i++) value |= (uint32_t)at[i] << 8 * i;
    return value;
}

bool wav_is(const char *bytes, size_t n)
{
    return n >= 12 && !memcmp(bytes, "RIFF", 4) && !memcmp(bytes + 8, "WAVE", 4);
}

/* ---- chunks --------------------------------------------------------------------------------- */

struct wave {
    uint32_t format, channels, rate, bits;
    const unsigned char *data; /* [n_frames, channels] of bits each */
    size_t n_frames;
};

static enum status read_format(const unsigned char *chunk, size_t n, struct wave *wave, struct error *err)
{
    if (n < 16) return error_set(err, STATUS_BAD_FORMAT, "its format chunk has %zu bytes, expected 16", n);
    wave->format = word(chunk, 2);
    wave->channels = word(chunk + 2, 2);
    wave->rate = word(chunk + 4, 4);
    wave->bits = word(chunk + 14, 2);
    if (wave->format == FORMAT_EXTENSIBLE && n >= 26) wave->format = word(chunk + 24, 2);
    bool is_pcm = wave->format == FORMAT_PCM &&
                  (wave->bits == 8 || wave->bits == 16 || wave->bits == 24 || wave->bits == 32);
    bool is_float = wave->format == FORMAT_FLOAT && (wave->bits == 32 || wave->bits == 64);
    if (!is_pcm && !is_float)
        return error_set(err, STATUS_BAD_FORMAT, "it has samples of format %u and %u bits, expected PCM of "
                         "8, 16, 24 or 32 bits, or floats of 32 or 64", wave->format, wave->bits);
    if (wave->channels < 1 || wave->channels > MAX_CHANNELS)
        return error_set(err, STATUS_BAD_FORMAT, "it has %u channels, expected 1 to %d", wave->channels,
                         MAX_CHANNELS);
    if (wave->rate < MIN_RATE || wave->rate > MAX_RATE)
        return error_set(err, STATUS_BAD_FORMAT, "it has %u samples a second, expected %d to %d", wave->rate,
                         MIN_RATE, MAX_RATE);
    return STATUS_OK;
}

static enum status read_chunks(const unsigned char *bytes, size_t n, struct wave *wave, struct error *err)
{
    for (size_t at = 12; n - at >= 8;) {
        const unsigned char *chunk = bytes + at + 8;
        size_t length = word(bytes + at + 4, 4), left = n - at - 8;
        if (length > left) length = left;
        if (!memcmp(bytes + at, "fmt ", 4)) {
            enum status status = read_format(chunk, length, wave, err);
            if (status != STATUS_OK) return status;
        }
        if (!memcmp(bytes + at, "data", 4) && wave->channels) {
            if (word(bytes + at + 4, 4) == 0) length = left; /* a stream's, which was never filled in */
            wave->data = chunk;
            wave->n_frames = length / (wave->channels * (wave->bits / 8));
            if (wave->n_frames == 0) return error_set(err, STATUS_BAD_FORMAT, "it has no samples");
            return STATUS_OK;
        }
        at += 8 + length;
        if (length % 2 && at < n) at++; /* chunks begin at even places */
    }
    return error_set(err, STATUS_BAD_FORMAT, wave->channels ? "it has no data chunk"
                                                            : "it has no format chunk before its data");
}

/* ---- samples -------------------------------------------------------------------------------- */

static double sample(const struct wave *wave, const unsigned char *at)
{
    float single;
    double value = 0;
    if (wave->format == FORMAT_PCM && wave->bits == 8) return ((double)at[0] - 128) / 128;
    if (wave->format == FORMAT_PCM) { /* at the top of 32 bits, so that the sign is in place */
        uint32_t bits = word(at, wave->bits / 8) << (32 - wave->bits);
        return (bits & 0x80000000u ? (double)bits - 4294967296.0 : (double)bits) / 2147483648.0;
    }
    if (wave->bits == 32) {
        uint32_t bits = word(at, 4);
        memcpy(&single, &bits, sizeof single);
        value = (double)single;
    } else {
        uint64_t bits = (uint64_t)word(at + 4, 4) << 32 | word(at, 4);
        memcpy(&value, &bits, sizeof value);
    }
    return fabs(value) <= 1e6 ? value : 0; /* NaN and what no sound is */
}

static void mix(const struct wave *wave, double *out)
{
    size_t size = wave->bits / 8;
    for (size_t i = 0; i < wave->n_frames; i++) {
        double sum = 0;
        for (size_t c = 0; c < wave->channels; c++)
            sum += sample(wave, wave->data + (i * wave->channels + c) * size);
        out[i] = sum / wave->channels;
    }
}

static uint32_t common_divisor(uint32_t a, uint32_t b)
{
    while (b) {
        uint32_t rest = a % b;
        a = b;
        b = rest;
    }
    return a;
}

/* Fill the taps of one phase: what a sample that lies `part` of a step behind an input sample is made of. */
static void fill_taps(double part, double cut, size_t reach, double *taps)
{
    double sum = 0;
    for (size_t k = 0; k < 2 * reach; k++) {
        double x = (double)k - (double)(reach - 1) - part, y = PI * x * cut, w = x / (double)reach;
        double sinc = fabs(y) < 1e-12 ? 1 : sin(y) / y;
        taps[k] = fabs(w) < 1 ? sinc * (0.5 + 0.5 * cos(PI * w)) : 0;
        sum += taps[k];
    }
    for (size_t k = 0; k < 2 * reach; k++) taps[k] /= sum;
}

/* Resample in[n] from rate `from` to `to`: output i lies at input i * from / to. */
static enum status resample(const double *in, size_t n, uint32_t from, uint32_t to, double *out, size_t n_out,
                            struct error *err)
{
    uint32_t divisor = common_divisor(from, to), phases = to / divisor;
    double cut = to < from ? (double)to / from : 1;
    size_t reach = (size_t)ceil(CROSSINGS / 2 / cut);
    double *taps = memory_new(2 * reach, sizeof *taps);
    if (!taps) return error_set(err, STATUS_NO_MEMORY, "no memory");
    for (size_t phase = 0; phase < phases && phase < n_out; phase++) { /* the outputs that share their taps */
        fill_taps((double)((uint64_t)phase * from % to) / to, cut, reach, taps);
        for (size_t i = phase; i < n_out; i += phases) {
            size_t first = (size_t)((uint64_t)i * from / to) + 1; /* of the input, plus reach */
            double sum = 0;
            for (size_t k = 0; k < 2 * reach; k++) {
                size_t at = first + k;
                if (at >= reach && at - reach < n) sum += taps[k] * in[at - reach];
            }
            out[i] = sum;
        }
    }
    memory_free(taps);
    return STATUS_OK;
}

enum status wav_read(const char *bytes, size_t n, double rate, double max_seconds, struct sound *out,
                     struct error *err)
{
    struct wave wave = {0};
    if (!wav_is(bytes, n)) return error_set(err, STATUS_BAD_FORMAT, "it is no WAV file");
    enum status status = read_chunks((const unsigned char *)bytes, n, &wave, err);
    if (status != STATUS_OK) return status;
    double seconds = (double)wave.n_frames / wave.rate;
    if (seconds > max_seconds)
        return error_set(err, STATUS_TOO_LONG, "it is %.1f s long, expected at most %g s", seconds,
                         max_seconds);
    uint32_t to = (uint32_t)rate;
    size_t n_out = (size_t)(((uint64_t)wave.n_frames * to + wave.rate - 1) / wave.rate);
    double *mixed = memory_new(wave.n_frames, sizeof *mixed);
    *out = (struct sound){.samples = memory_new(n_out, sizeof *out->samples), .n = n_out, .seconds = seconds};
    if (!mixed || !out->samples) status = error_set(err, STATUS_NO_MEMORY, "no memory");
    if (status == STATUS_OK) mix(&wave, mixed);
    if (status == STATUS_OK && to == wave.rate) memcpy(out->samples, mixed, n_out * sizeof *mixed);
    else if (status == STATUS_OK)
        status = resample(mixed, wave.n_frames, wave.rate, to, out->samples, n_out, err);
    memory_free(mixed);
    if (status != STATUS_OK) {
        memory_free(out->samples);
        *out = (struct sound){.n = 0};
    }
    return status;
}
