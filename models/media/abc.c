/* ABC notation. Of voices the length of a tick is L:, so a duration is written as a number of them; a staff
 * is written in eighths. Accidentals hold to the end of a bar. */
#include "models/media/tune.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

enum {
    NOTE_BYTES = 24, HEAD_BYTES = 160, VOICE_BYTES = 64, BARS_A_LINE = 4, PLACES = 7 * 12, MIDDLE = 5,
    UNSET = 99
};

static const char letters[] = "CDEFGAB";
static const int natural[] = {0, 2, 4, 5, 7, 9, 11};          /* semitones of each letter */
static const int fifths_of[] = {0, 2, 4, -1, 1, 3, 5};        /* its place on the line of fifths */

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

/* What stands before the notes; L: is 1 / length. */
static void put_head(struct line *line, const struct tune *tune, unsigned length)
{
    char key[TUNE_KEY_BYTES];
    put(line, "X:1\nT:%s\nM:%u/%u\nL:1/%u\nQ:1/4=%u\n", tune->title, tune->beats, tune->unit, length,
        tune->tempo);
    if (tune->voices > 1) put(line, "%%%%score [");
    for (unsigned voice = 1; tune->voices > 1 && voice <= tune->voices; voice++) put(line, " %u", voice);
    if (tune->voices > 1) put(line, " ]\n");
    for (unsigned voice = 1; tune->voices > 1 && voice <= tune->voices; voice++)
        put(line, "V:%u clef=%s\n", voice, 2 * voice <= tune->voices ? "treble" : "bass");
    put(line, "K:%s\n", tune_print_key(tune->fifths, tune->mode, key));
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
    put_head(&line, tune, 4 * tune->steps_per_quarter);
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

/* ---- a staff ---- */

/* A duration as a factor of L:, such as "3", "3/2" or "/2". */
static void put_length(struct line *line, unsigned ticks, unsigned of)
{
    unsigned a = ticks, b = of;
    while (b) {
        unsigned rest = a % b;
        a = b;
        b = rest;
    }
    if (ticks / a > 1) put(line, "%u", ticks / a);
    if (of / a > 1) put(line, "/%u", of / a);
}

/* The ticks that a beam may cover: a beat, or half a bar of four. */
static uint32_t beam_of(const struct tune *tune)
{
    unsigned n = tune->beats == 4 ? 2 : tune->beats;
    if (tune->unit == 8 && tune->beats % 3 == 0) n = tune->beats / 3;
    return tune_bar(tune) < n ? 1 : tune_bar(tune) / n;
}

static void put_sign(struct line *line, enum mark_kind kind, bool is_last, bool is_pickup)
{
    static const char *const ends[] = {[MARK_REPEAT] = ":|", [MARK_CLOSE] = "||"};
    if (kind == MARK_OPEN) line->n_bars = 0;
    else if (kind != MARK_BAR) put(line, " %s\n", is_last && kind == MARK_CLOSE ? "|]" : ends[kind]);
    else if (is_pickup || ++line->n_bars % BARS_A_LINE) put(line, " | ");
    else put(line, " |\n");
    line->now = 0;
    bar_begin(&line->bar, line->bar.fifths);
}

/* Whether the part that begins at marks[i] is repeated, so that a sign must open it. */
static bool is_repeated(const struct mark *marks, size_t i, size_t n)
{
    while (i < n && marks[i].kind != MARK_REPEAT && marks[i].kind != MARK_CLOSE) i++;
    return i < n && marks[i].kind == MARK_REPEAT;
}

size_t abc_staff_room(size_t n_marks)
{
    return HEAD_BYTES + TUNE_TITLE_BYTES + n_marks * NOTE_BYTES;
}

size_t abc_write_staff(const struct tune *tune, const struct mark *marks, size_t n, char *out)
{
    struct line line = {.at = out, .end = out + abc_staff_room(n), .bar_ticks = tune_bar(tune)};
    uint32_t beam = beam_of(tune);
    unsigned n_triplet = 0;
    put_head(&line, tune, 8);
    bar_begin(&line.bar, tune->fifths);
    for (size_t i = 0; i < n; i++) {
        const struct mark *mark = &marks[i];
        if (mark->kind > MARK_REST) {
            bool is_pickup = mark->kind == MARK_BAR && line.now < line.bar_ticks;
            put_sign(&line, mark->kind, i + 1 == n, is_pickup);
            if (mark->kind == MARK_OPEN && is_repeated(marks, i, n)) put(&line, "|: ");
            n_triplet = 0;
            continue;
        }
        if (line.now > 0 && line.now % beam == 0 && n_triplet % 3 == 0) put(&line, " ");
        if (mark->triplet && n_triplet++ % 3 == 0) put(&line, "(3");
        if (mark->kind == MARK_REST) put(&line, "z");
        else put_pitch(&line, mark->pitch);
        /* in eighths; a triplet's notes are written half as long again as they sound */
        put_length(&line, mark->ticks * (mark->triplet ? 3u : 2u), tune->steps_per_quarter);
        line.now += mark->ticks;
    }
    return (size_t)(line.at - out);
}
