/* tune: notes of several voices, or one voice as it stands on a staff, and the files that hold them: Standard
 * MIDI Files and ABC notation.
 *
 * Times are whole ticks of 1 / steps_per_quarter of a quarter note, from 0. The notes of a voice are in order
 * and do not overlap. A tune borrows its notes. Pure; any thread. */
#ifndef CAROUSEL_MODELS_TUNE_H
#define CAROUSEL_MODELS_TUNE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    TUNE_MAX_VOICES = 8,
    TUNE_TITLE_BYTES = 160,
    TUNE_FIFTHS = 7 /* sharps or flats of a key, at most */
};

/* The scale above the tonic. */
enum tune_mode { MODE_MAJOR, MODE_MINOR, MODE_DORIAN, MODE_MIXOLYDIAN, N_MODES };

struct tune_note {
    uint8_t pitch;            /* MIDI: 60 is middle C, 0 to 127 */
    uint8_t voice;            /* 0, the highest, to voices - 1 */
    uint32_t start, duration; /* ticks; duration >= 1 */
};

struct tune {
    const struct tune_note *notes; /* [n] by voice, then by start */
    size_t n;
    unsigned voices;            /* 1 to TUNE_MAX_VOICES */
    unsigned steps_per_quarter; /* 1 to 96 */
    unsigned tempo;             /* quarter notes a minute, 10 to 400 */
    unsigned program;           /* General MIDI's instrument, 0 to 127 */
    unsigned beats, unit;       /* the metre: 3, 4 is 3/4; unit is 1, 2, 4, 8 or 16, beats 1 to 32 */
    int fifths;                 /* the key: its sharps, or its flats below 0; -7 to 7 */
    enum tune_mode mode;
    uint32_t ticks;             /* of the whole tune, at most 2^18 */
    char title[TUNE_TITLE_BYTES]; /* one line of UTF-8 */
};

/* What stands on the staff of one voice, in order. A part begins with MARK_OPEN and ends with MARK_REPEAT, if
 * it is played twice, or MARK_CLOSE. If its first bar is short (a pickup), its last bar is short by as much.
 * No note crosses a bar line. Notes of a triplet come in threes of one duration. */
enum mark_kind { MARK_NOTE, MARK_REST, MARK_BAR, MARK_OPEN, MARK_REPEAT, MARK_CLOSE };
struct mark {
    uint8_t kind, pitch; /* pitch: of a note */
    bool triplet;
    uint16_t ticks;      /* how long a note or a rest sounds; 0 for the others */
};

/* Read a key such as "G", "Bb", "F#m", "Dmin", "E minor", "Ador" or "D mixolydian". false: it is none. */
bool tune_read_key(const char *text, int *fifths, enum tune_mode *mode);
/* Write it as ABC does, such as "F#m" or "Ador"; returns out. */
enum { TUNE_KEY_BYTES = 8 };
const char *tune_print_key(int fifths, enum tune_mode mode, char out[TUNE_KEY_BYTES]);
/* Read a metre such as "3/4", "C" or "C|". false: it is none. */
bool tune_read_metre(const char *text, unsigned *beats, unsigned *unit);
/* Return the ticks of a bar, at least 1; 0 if a bar is no whole number of them. */
uint32_t tune_bar(const struct tune *tune);
/* Return the pitch class of the key's tonic, 0 (C) to 11. */
int tune_tonic(int fifths, enum tune_mode mode);
/* Return the signature of the key with that tonic and mode: of two, the one with fewer signs. */
int tune_signature(int tonic, enum tune_mode mode);

/* Find the key whose scale leaves out the fewest notes, of these the one with the fewest signs; minor if the
 * lowest voice ends on its tonic. */
void tune_guess_key(const struct tune *tune, int *fifths, enum tune_mode *mode);

/* Play the marks, each repeat twice: write the notes to out, of 2 * n notes, and the length to *ticks. Return
 * how many notes there are. */
size_t tune_play(const struct mark *marks, size_t n, struct tune_note *out, uint32_t *ticks);

/* Return the most bytes that the file has. */
size_t midi_room(const struct tune *tune);
/* Write a Standard MIDI File (RP-001, format 1: a track of tempo, metre and key, then a track a voice, each
 * on a channel of its own) to out[midi_room]; return its bytes. */
size_t midi_write(const struct tune *tune, uint8_t *out);

/* The same as ABC (abcnotation.com, standard 2.1): a voice a line, four bars a line, notes tied over bar
 * lines. */
size_t abc_room(const struct tune *tune);
size_t abc_write(const struct tune *tune, char *out);

/* The same for one voice as it stands on the staff: notes in beams, triplets, repeat signs. The tune's notes
 * do not matter. */
size_t abc_staff_room(size_t n_marks);
size_t abc_write_staff(const struct tune *tune, const struct mark *marks, size_t n, char *out);

#endif
