/* wav: sound files of the RIFF WAVE format as samples of one channel at a wanted rate.
 *
 * PCM of 8, 16, 24 and 32 bits, floats of 32 and 64 bits, 1 to 8 channels, 4,000 to 192,000 samples a second,
 * plain or extensible (Microsoft, "Multiple Channel Audio Data and WAVE Files", 2001). Channels are averaged.
 * Lengths in headers are believed as far as there are bytes: streams write 0 or 0xffffffff. Resampling is by
 * a windowed sinc of 32 zero crossings, cut off at the lower of the two rates' half. Pure; any thread; every
 * byte may be hostile. */
#ifndef CAROUSEL_MODELS_WAV_H
#define CAROUSEL_MODELS_WAV_H

#include <stdbool.h>
#include <stddef.h>

#include "core/base/status.h"

struct sound {
    double *samples; /* [n] from -1 to 1 (floats may exceed that); owned: memory_free */
    size_t n;        /* at least 1 */
    double seconds;  /* of the file */
};

/* Whether the bytes begin as a WAV file does. */
bool wav_is(const char *bytes, size_t n);

/* STATUS_BAD_FORMAT with a sentence about the file; STATUS_TOO_LONG if it is longer than max_seconds;
 * STATUS_NO_MEMORY. */
MUST_CHECK enum status wav_read(const char *bytes, size_t n, double rate, double max_seconds,
                                struct sound *out, struct error *err);

#endif
