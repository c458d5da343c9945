/* Keys, metres, and a staff that is played. */
#include "models/media/tune.h"

#include <stdio.h>
#include <string.h>

static const char letters[] = "CDEFGAB";
static const int fifths_of[] = {0, 2, 4, -1, 1, 3, 5};  /* a letter's place on the line of fifths */
/* How far the tonic lies on it above that of the major key with the same signature. */
static const int above_major[N_MODES] = {[MODE_MINOR] = 3, [MODE_DORIAN] = 2, [MODE_MIXOLYDIAN] = 1};

bool tune_read_key(const char *text, int *fifths, enum tune_mode *mode)
{
    static const struct {
        const char *name;
        enum tune_mode mode;
    } modes[] = {{"", MODE_MAJOR}, {"maj", MODE_MAJOR}, {"major", MODE_MAJOR}, {"m", MODE_MINOR},
                 {"min", MODE_MINOR}, {"minor", MODE_MINOR}, {"dor", MODE_DORIAN}, {"dorian", MODE_DORIAN},
                 {"mix", MODE_MIXOLYDIAN}, {"mixolydian", MODE_MIXOLYDIAN}};
    const char *letter = *text ? strchr(letters, *text) : NULL;
    if (!letter) return false;
    int place = fifths_of[letter - letters];
    text++;
    if (*text == '#') place += 7;
    else if (*text == 'b') place -= 7;
    text += *text == '#' || *text == 'b';
    text += *text == ' ';
    for (size_t i = 0; i < sizeof modes / sizeof *modes; i++) {
        if (strcmp(text, modes[i].name) != 0) continue;
        place -= above_major[modes[i].mode];
        if (place < -TUNE_FIFTHS || place > TUNE_FIFTHS) return false;
        *fifths = place;
        *mode = modes[i].mode;
        return true;
    }
    return false;
}

const char *tune_print_key(int fifths, enum tune_mode mode, char out[TUNE_KEY_BYTES])
{
    static const char *const ends[N_MODES] = {"", "m", "dor", "mix"};
    int place = fifths + above_major[mode], letter = 0;
    while ((fifths_of[letter] - place) % 7 != 0) letter++;
    int accidental = (place - fifths_of[letter]) / 7;
    snprintf(out, TUNE_KEY_BYTES, "%c%s%s", letters[letter], accidental ? accidental < 0 ? "b" : "#" : "",
             ends[mode]);
    return out;
}

bool tune_read_metre(const char *text, unsigned *beats, unsigned *unit)
{
    unsigned n = 0;
    if (!strcmp(text, "C") || !strcmp(text, "C|")) {
        *beats = *unit = text[1] ? 2 : 4;
        return true;
    }
    for (; *text >= '0' && *text <= '9' && n <= 32; text++) n = n * 10 + (unsigned)(*text - '0');
    if (n < 1 || n > 32 || *text++ != '/') return false;
    static const char *const units[] = {"1", "2", "4", "8", "16"};
    for (unsigned i = 0; i < 5; i++) {
        if (strcmp(text, units[i]) != 0) continue;
        *beats = n;
        *unit = 1u << i;
        return true;
    }
    return false;
}

uint32_t tune_bar(const struct tune *tune)
{
    uint32_t quarters4 = tune->beats * 4 * tune->steps_per_quarter;
    return quarters4 % tune->unit ? 0 : quarters4 / tune->unit;
}

int tune_tonic(int fifths, enum tune_mode mode)
{
    return ((fifths + above_major[mode]) * 7 % 12 + 12) % 12;
}

int tune_signature(int tonic, enum tune_mode mode)
{
    for (int i = 0; i <= 12; i++) { /* 0, 1, -1, 2, -2 ... 6, -6 */
        int place = i % 2 ? (i + 1) / 2 : -(i / 2);
        if (tune_tonic(place, mode) == tonic) return place;
    }
    return 0; /* not reached: twelve places have all tonics */
}

void tune_guess_key(const struct tune *tune, int *fifths, enum tune_mode *mode)
{
    size_t count[12] = {0}, fewest = SIZE_MAX;
    int last = -1;
    for (size_t i = 0; i < tune->n; i++) {
        count[tune->notes[i].pitch % 12]++;
        last = tune->notes[i].pitch % 12; /* the last note of all is the lowest voice's */
    }
    for (int i = 0; i <= 12; i++) { /* 0, 1, -1, 2, -2 ... 6, -6 */
        int place = i % 2 ? (i + 1) / 2 : -(i / 2);
        size_t outside = tune->n;
        for (int k = -1; k <= 5; k++) outside -= count[tune_tonic(place + k, MODE_MAJOR)];
        if (outside >= fewest) continue;
        fewest = outside;
        *fifths = place;
    }
    *mode = last == tune_tonic(*fifths, MODE_MINOR) ? MODE_MINOR : MODE_MAJOR;
}

size_t tune_play(const struct mark *marks, size_t n, struct tune_note *out, uint32_t *ticks)
{
    size_t n_notes = 0, opened = 0;
    bool is_second = false;
    *ticks = 0;
    for (size_t i = 0; i < n; i++) {
        const struct mark *mark = &marks[i];
        if (mark->kind == MARK_OPEN) opened = i;
        if (mark->kind == MARK_NOTE) out[n_notes++] = (struct tune_note){mark->pitch, 0, *ticks, mark->ticks};
        *ticks += mark->ticks;
        if (mark->kind != MARK_REPEAT) continue;
        is_second = !is_second;
        if (is_second) i = opened;
    }
    return n_notes;
}
