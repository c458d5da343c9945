/* music: the job that writes a tune, or the voices below a melody, and how its steps become notes.
 *
 * A model of task music-generation reads and writes steps. A step is its notes from high to low, each a token
 * that is a MIDI number ("72"), then the token "."; so the highest voice comes first, and a melody is
 * harmonised by giving that note of each step and drawing the others. Drawn tokens keep to that form: the
 * notes of a step fall, and there are no more than the bundle has voices. eos ends a tune.
 *
 * A tune that eos has not ended can be gone on with: prime, melody and steps of a request are then those that
 * follow. */
#ifndef CAROUSEL_MODELS_MUSIC_H
#define CAROUSEL_MODELS_MUSIC_H

#include "models/jobs/job.h"
#include "models/media/tune.h"

/* How tokens mean music: as said above, or as models/generation/staff.h says. */
enum music_notation { MUSIC_STEPS, MUSIC_STAFF };

enum { MUSIC_MAX_STEPS = 1 << 14, MUSIC_REST = -1 };

/* config.json's "music". */
struct music_spec {
    long notation; /* enum music_notation */
    long voices, steps_per_quarter, tempo, max_steps; /* max_steps: of a tune that does not end */
    long tonic;    /* of all tunes on a staff, a MIDI number */
    double temperature, top_p;
};
const struct music_spec *music_spec_of(const struct model *model);

/* Check that each token is a note, "." or special, and that "." is there. STATUS_BAD_VALUE with a sentence.
 * */
enum status music_check(const struct tokenizer *tokenizer, struct error *err) MUST_CHECK;

/* Whether the model has a token for this note. */
bool music_has_pitch(const struct model *model, int pitch);

struct music_step {
    uint8_t pitches[TUNE_MAX_VOICES]; /* [n] falling */
    uint8_t n;                        /* 0: silence */
};

/* Borrowed until music_new returns. Pitches are MIDI numbers. */
struct music_request {
    const struct music_step *prime; /* [n_prime] how the tune begins */
    size_t n_prime;
    const int16_t *melody;          /* [n_melody] the highest note of each step after the prime, or
                                     * MUSIC_REST, a step of silence; NULL: none */
    size_t n_melody;
    size_t n_steps;                 /* of the tune, prime and melody included; 0: as the model ends it */
    double temperature, top_p;
    uint64_t seed;                  /* that of options->from goes on with its draws, another begins anew */
};

struct music;

/* The seed of a state, for a request that names none. */
uint64_t music_kept_seed(const struct state *state);

/* STATUS_UNSUPPORTED without the ability; STATUS_BAD_VALUE with the field's name for a note that the model
 * has not. */
enum status music_new(struct model *model, const struct music_request *request,
                      const struct job_options *options, struct music **out, struct error *err) MUST_CHECK;
struct job *music_job(struct music *music);

/* Once finished: the steps of this request, prime included. *has_ended: by eos. */
const struct music_step *music_steps(const struct music *music, size_t *n, bool *has_ended);
size_t music_n_read(const struct music *music);  /* tokens that were given */
size_t music_n_drawn(const struct music *music); /* and that were drawn */

/* Write the notes of n steps for `voices` voices to out[n * voices], by voice and then by start; return how
 * many. A step of fewer notes than voices has voices in unison: of all ways the one that moves the voices
 * least since the step before it. `holds`: a voice that repeats its note holds it. */
size_t music_notes(const struct music_step *steps, size_t n, unsigned voices, bool holds,
                   struct tune_note *out);

#endif
