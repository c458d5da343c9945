/* staff: the job that writes a tune of one voice as it stands on a staff, with bars, pickups and repeats.
 *
 * A model of task music-generation whose config.json says "notation": "staff" reads and writes words: a
 * metre ("6x8"), a mode ("major"), then parts. A part is "[", bars with bar lines between them, and "]" if it
 * is played twice or "." if once. A bar line is "|", or, if the vocabulary numbers them, "b3" behind three
 * whole bars of the tune, so that the network reads how long it is by then. In a bar "n12" says that
 * the notes from here on last 12 ticks each, "t8" that the next three are a triplet of 8 ticks each; a note
 * is a MIDI number, a rest is "z". All tunes have the same tonic.
 *
 * Words are drawn among those that keep the form, so each bar has its length: a note must fit in the rest of
 * its bar, and leave a rest that the model's durations can fill; a bar line, of the number that belongs
 * there, follows a full bar, or once in a part a short first bar; the last bar of that part is then short by
 * as much. */
#ifndef CAROUSEL_MODELS_STAFF_H
#define CAROUSEL_MODELS_STAFF_H

#include "models/generation/music.h"

/* Check the words, and that they suffice: a metre, a mode, "[", bar lines, "]" or ".", a duration that
 * divides each bar, a note, bos and eos. Bar lines are "|" alone, or "b0" and so on, at most STAFF_NUMBERS.
 * STATUS_BAD_VALUE with a sentence. */
enum status staff_check(const struct tokenizer *tokenizer, const struct music_spec *spec,
                        struct error *err) MUST_CHECK;

/* Borrowed until staff_new returns. Pitches are as they sound. */
struct staff_request {
    unsigned beats, unit;     /* the metre; 0: drawn */
    bool has_key;             /* else the mode is drawn, and the tonic is the model's */
    int fifths;               /* of the key's signature */
    enum tune_mode mode;
    const struct mark *prime; /* [n_prime] notes,
        rests and bar lines with which the first part begins; a bar */
    size_t n_prime;           /* line may be left out after a full bar. Needs a metre and a key */
    size_t bars;              /* of the tune as it is written, pickups not counted; 0: as the model ends it */
    double temperature, top_p;
    uint64_t seed;
};

struct staff;

/* STATUS_UNSUPPORTED without the ability; STATUS_BAD_VALUE with the field's name for a metre, a mode, a note
 * or a duration that the model has not, or a prime that breaks a bar; STATUS_TOO_LONG. */
enum status staff_new(struct model *model, const struct staff_request *request,
                      const struct job_options *options, struct staff **out, struct error *err) MUST_CHECK;
struct job *staff_job(struct staff *staff);

/* Once finished: the tune as it sounds, prime included, and its metre and key. *has_ended: by eos, before the
 * asked bars or the bundle's max_steps forced it. */
const struct mark *staff_marks(const struct staff *staff, size_t *n, bool *has_ended);
void staff_style(const struct staff *staff, struct tune *tune); /* beats, unit, fifths, mode */
size_t staff_n_read(const struct staff *staff);  /* words that were given */
size_t staff_n_drawn(const struct staff *staff); /* and that were drawn */

#endif
