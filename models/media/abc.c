/* ABC notation. The length of a tick is L:, so a duration is written as a number of them. Accidentals hold to
 * the end of a bar, as on a staff. */
#include "models/media/tune.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

enum { NOTE_BYTES = 24, HEAD_BYTES = 160, VOICE_BYTES = 64, BARS_A_LINE = 4, PLACES = 7 * 12, MIDDLE = 5,
      UNSET = 99 };

static const char letters[] = "CDEFGAB";
static const int natural[] = {0, 2, 4, 5, 7, 9, 11};          /* semitones of each letter */
static const int fifths_of[] = {0, 2, 4, -1, 1, 3, 5};        /* its place on the line of fifths */

/* ---- keys and metres ---- */

bool tune_read_key(const char *text, int *fifths, bool *minor)
{
    static const struct {
        const char *name;
        bool minor;
    } modes[] = {{"", false}, {"maj", false}, {"major", false}, {"m", true}, {"min", true}, {"minor", true}};
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
        place -= modes[i].minor ? 3 : 0;
        if (place < -TUNE_FIFTHS || place > TUNE_FIFTHS) return false;
        *fifths = place;
        *minor = modes[i].minor;
        return true;
    }
    return false;
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

int tune_tonic(int fifths, bool minor)
{
    return ((fifths * 7 + (minor ? 9 : 0)) % 12 + 12) % 12;
}

void tune_guess_key(const struct tune *tune, int *fifths, bool *minor)
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
        for (int k = -1; k <= 5; k++) outside -= count[tune_tonic(place + k, false)];
        if (outside >= fewest) continue;
        fewest = outside;
        *fifths = place;
    }
    *minor = last == tune_tonic(*fifths, true);
}

/* ---- notes ---- */

/* The letter and the accidental of a pitch class: the spelling that lies nearest to the key on the line of
 * fifths, whose scale lies from fifths - 1 to fifths + 5. */
static void spell(int pitch, int fifths, int *letter, int *accidental)
{
    int best = UNSET;
    for (int i = 0; i < 7; i++)
        for (int a = -1; a <= 1; a++) {
            int distance = 2 * (fifths_of[i] + 7 * a) - 2 * fifths - 4;
            if ((natural[i] + a - pitch) % 12 != 0) continue;
            if (distance < 0) distance = -distance;
            if (distance >= best) continue;
            best = distance;
            *letter = i;
            *accidental = a;
        }
}

/* The accidental that the key gives a letter. */
static int signature(int letter, int fifths)
{
    int place = fifths_of[letter];
    return place < fifths - 1 ? 1 : place > fifths + 5 ? -1 : 0;
}

/* What stands in the current bar, for each letter and octave. */
struct bar {
    int8_t accidental[PLACES];
    int fifths;
};

static void bar_begin(struct bar *bar, int fifths)
{
    bar->fifths = fifths;
    for (int i = 0; i < PLACES; i++) bar->accidental[i] = (int8_t)signature(i % 7, fifths);
}

/* A file that is being written, and the place in its voice. */
struct line {
    char *at, *end;
    uint32_t now, bar_ticks, ticks;
    unsigned n_bars;
    struct bar bar;
};

static void put(struct line *line, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* abc_room has counted all that is put; what would go beyond it is left out. */
static void put(struct line *line, const char *format, ...)
{
    size_t room = (size_t)(line->end - line->at);
    va_list args;
    va_start(args, format);
    int n = vsnprintf(line->at, room, format, args);
    va_end(args);
    line->at += n >= 0 && (size_t)n < room ? n : 0;
}

static void put_pitch(struct line *line, unsigned pitch)
{
    static const char *const signs[] = {"_", "=", "^"};
    int letter = 0, accidental = 0;
    spell((int)pitch % 12, line->bar.fifths, &letter, &accidental);
    int octave = ((int)pitch - accidental + 12) / 12 - 1; /* of the letter; that of middle C is 5 */
    int8_t *now = &line->bar.accidental[(octave + 1) * 7 + letter];
    if (*now != accidental) put(line, "%s", signs[accidental + 1]);
    *now = (int8_t)accidental;
    put(line, "%c", octave > MIDDLE ? letters[letter] + 'a' - 'A' : letters[letter]);
    for (int i = MIDDLE + 1; i < octave; i++) put(line, "'");
    for (int i = octave; i < MIDDLE; i++) put(line, ",");
}

/* Write so much of a note, or of a rest if pitch is below 0, as the bars leave, with ties between. */
static void put_part(struct line *line, int pitch, uint32_t duration)
{
    while (duration > 0) {
        uint32_t left = line->bar_ticks - line->now % line->bar_ticks;
        uint32_t part = duration < left ? duration : left;
        if (pitch < 0) put(line, "z");
        else put_pitch(line, (unsigned)pitch);
        if (part > 1) put(line, "%u", (unsigned)part);
        duration -= part;
        line->now += part;
        if (pitch >= 0 && duration > 0) put(line, "-");
        if (part == left) {
            line->n_bars++;
            bool ends = line->now >= line->ticks;
            put(line, "%s", ends ? " |]" : line->n_bars % BARS_A_LINE ? " | " : " |\n");
            bar_begin(&line->bar, line->bar.fifths);
        } else if (duration == 0) put(line, " ");
    }
}

static void put_key(struct line *line, int fifths, bool minor)
{
    int place = fifths + (minor ? 3 : 0), letter = 0;
    while ((fifths_of[letter] - place) % 7 != 0) letter++;
    int accidental = (place - fifths_of[letter]) / 7;
    put(line, "K:%c%s%s\n", letters[letter], accidental < 0 ? "b" : accidental > 0 ? "#" : "",
        minor ? "m" : "");
}

/* What stands before the notes. */
static void put_head(struct line *line, const struct tune *tune)
{
    put(line, "X:1\nT:%s\nM:%u/%u\nL:1/%u\nQ:1/4=%u\n", tune->title, tune->beats, tune->unit,
        4 * tune->steps_per_quarter, tune->tempo);
    if (tune->voices > 1) put(line, "%%%%score [");
    for (unsigned voice = 1; tune->voices > 1 && voice <= tune->voices; voice++) put(line, " %u", voice);
    if (tune->voices > 1) put(line, " ]\n");
    for (unsigned voice = 1; tune->voices > 1 && voice <= tune->voices; voice++)
        put(line, "V:%u clef=%s\n", voice, 2 * voice <= tune->voices ? "treble" : "bass");
    put_key(line, tune->fifths, tune->minor);
}

size_t abc_room(const struct tune *tune)
{
    /* each bar line may part a note or a rest, and between two notes there may be a rest */
    size_t bars = (tune->ticks / tune_bar(tune) + 2) * tune->voices;
    size_t heads = HEAD_BYTES + TUNE_TITLE_BYTES + tune->voices * (size_t)VOICE_BYTES;
    return heads + (2 * tune->n + 2 * bars) * NOTE_BYTES;
}

size_t abc_write(const struct tune *tune, char *out)
{
    struct line line = {.at = out, .end = out + abc_room(tune), .bar_ticks = tune_bar(tune),
                        .ticks = tune->ticks};
    size_t i = 0;
    put_head(&line, tune);
    for (unsigned voice = 0; voice < tune->voices; voice++) {
        if (tune->voices > 1) put(&line, "V:%u\n", voice + 1);
        line.now = line.n_bars = 0;
        bar_begin(&line.bar, tune->fifths);
        for (; i < tune->n && tune->notes[i].voice == voice; i++) {
            put_part(&line, -1, tune->notes[i].start - line.now);
            put_part(&line, tune->notes[i].pitch, tune->notes[i].duration);
        }
        put_part(&line, -1, tune->ticks - line.now);
        put(&line, line.now % line.bar_ticks ? "|]\n" : "\n");
    }
    return (size_t)(line.at - out);
}
