/* Standard MIDI Files. Each event is the time since the one before it, then its bytes. */
#include "models/media/tune.h"

#include <string.h>

enum {
    DIVISION = 480,      /* of a quarter note, if steps_per_quarter divides it; else 96 a tick */
    VELOCITY = 80,
    EVENT_BYTES = 8,     /* a time of up to 4 bytes, a status, two values */
    TRACK_BYTES = 64,    /* a track's head and end, its program and its name's frame */
    META = 0xff
};

struct track {
    uint8_t *at, *length; /* where the next byte goes; where the track's length stands */
    uint64_t now;         /* in units of the file */
};

static void put(struct track *track, uint32_t value, unsigned bytes)
{
    while (bytes--) *track->at++ = (uint8_t)(value >> (8 * bytes));
}

/* A variable-length quantity: seven bits a byte, the high bit on all but the last. */
static void put_time(struct track *track, uint64_t when)
{
    uint32_t delta = (uint32_t)(when - track->now);
    unsigned shift = 21;
    track->now = when;
    while (shift > 0 && !(delta >> shift)) shift -= 7;
    for (; shift > 0; shift -= 7) *track->at++ = (uint8_t)(0x80 | (delta >> shift & 0x7f));
    *track->at++ = (uint8_t)(delta & 0x7f);
}

static void put_meta(struct track *track, uint8_t type, const void *bytes, size_t n)
{
    put_time(track, track->now);
    put(track, META, 1);
    put(track, type, 1);
    put(track, (uint32_t)(n >> 7 & 0x7f) | 0x80, 1); /* at most TUNE_TITLE_BYTES: two bytes hold it */
    put(track, (uint32_t)(n & 0x7f), 1);
    if (n) memcpy(track->at, bytes, n);
    track->at += n;
}

static void track_open(struct track *track)
{
    memcpy(track->at, "MTrk", 4);
    track->length = track->at + 4;
    track->at += 8;
    track->now = 0;
}

static void track_close(struct track *track, uint64_t end)
{
    put_time(track, end > track->now ? end : track->now);
    put(track, META, 1);
    put(track, 0x2f00, 2);
    uint32_t n = (uint32_t)(track->at - track->length - 4);
    for (unsigned i = 0; i < 4; i++) track->length[i] = (uint8_t)(n >> (24 - 8 * i));
}

static void put_head(struct track *track, const struct tune *tune)
{
    uint32_t us = 60000000 / tune->tempo;
    uint8_t log_unit = 0;
    while (1u << log_unit < tune->unit) log_unit++;
    const uint8_t tempo[] = {(uint8_t)(us >> 16), (uint8_t)(us >> 8), (uint8_t)us};
    const uint8_t metre[] = {(uint8_t)tune->beats, log_unit, (uint8_t)(96 / tune->unit), 8};
    const uint8_t key[] = {(uint8_t)(int8_t)tune->fifths, tune->mode == MODE_MINOR};
    track_open(track);
    put_meta(track, 0x03, tune->title, strlen(tune->title));
    put_meta(track, 0x51, tempo, sizeof tempo);
    put_meta(track, 0x58, metre, sizeof metre);
    put_meta(track, 0x59, key, sizeof key);
    track_close(track, 0);
}

static void put_note(struct track *track, uint64_t when, unsigned status, unsigned pitch, unsigned velocity)
{
    put_time(track, when);
    put(track, status << 16 | pitch << 8 | velocity, 3);
}

size_t midi_room(const struct tune *tune)
{
    size_t heads = 2 + tune->voices;
    return TUNE_TITLE_BYTES + heads * TRACK_BYTES + tune->n * 2 * (size_t)EVENT_BYTES;
}

size_t midi_write(const struct tune *tune, uint8_t *out)
{
    unsigned tick = DIVISION % tune->steps_per_quarter ? 96 : DIVISION / tune->steps_per_quarter;
    struct track track = {.at = out};
    memcpy(out, "MThd", 4);
    track.at += 4;
    put(&track, 6, 4);
    put(&track, 1, 2);
    put(&track, tune->voices + 1, 2);
    put(&track, tick * tune->steps_per_quarter, 2);
    put_head(&track, tune);
    size_t i = 0;
    for (unsigned voice = 0; voice < tune->voices; voice++) {
        const uint8_t name[] = {'V', 'o', 'i', 'c', 'e', ' ', (uint8_t)('1' + voice)};
        track_open(&track);
        put_meta(&track, 0x03, name, sizeof name);
        put_time(&track, 0);
        put(&track, 0xc000 | voice << 8 | tune->program, 2);
        for (; i < tune->n && tune->notes[i].voice == voice; i++) {
            const struct tune_note *note = &tune->notes[i];
            put_note(&track, (uint64_t)note->start * tick, 0x90 | voice, note->pitch, VELOCITY);
            put_note(&track, ((uint64_t)note->start + note->duration) * tick, 0x80 | voice, note->pitch, 0);
        }
        track_close(&track, (uint64_t)tune->ticks * tick);
    }
    return (size_t)(track.at - out);
}
