/* heard: the input of a transcription, which may come in pieces.
 *
 * A piece is read behind those before it, from a state (models/jobs/state.h), and the answer is that of the
 * whole input so far: its text, its score and its places. So the state keeps the outputs of all steps, and,
 * if the model has a front end, the end of the input that the next step needs. With a front end the last
 * steps are not final, because the next piece may change them: they are read for the answer, and the state is
 * the one before them. One thread at a time. */
#ifndef CAROUSEL_MODELS_HEARD_H
#define CAROUSEL_MODELS_HEARD_H

#include "models/features/feature.h"
#include "models/jobs/reading.h"
#include "models/jobs/rest.h"
#include "models/tasks/ctc.h"

/* What a state may keep of an input in pieces: its outputs and their places. */
enum { HEARD_MAX_BYTES = 1 << 22 };

struct heard {
    const struct model *model;
    bool goes_on;         /* it has a state before it, or leaves one */
    /* of the pieces before: */
    float *rows;          /* [n_rows, outputs] owned */
    uint64_t *places;     /* [n_rows] owned: where each step begins, in samples or points */
    size_t n_rows;
    uint64_t n_past;      /* samples or points before `end` */
    struct raw_owned end; /* of the input, kept for this piece */
    /* of this piece, once heard_add has run, or the caller has set the steps: */
    struct front_steps steps; /* owned; their places count from n_past */
    struct raw_owned next_end;
    uint64_t next_past;
    /* of all, once heard_outputs has run: */
    float *all_rows;      /* [n_rows + steps.n, outputs] owned */
    uint64_t *all_places; /* [n_rows + steps.n + 1] owned; NULL: no front end */
};

/* Begin with what `from` keeps; NULL: nothing. STATUS_UNSUPPORTED if the input is to come in pieces, which is
 * `goes_on`, and the model's network or front end looks at whole inputs; STATUS_BAD_VALUE if the state is not
 * one of this model's; STATUS_NO_MEMORY. heard_free in any case. */
enum status heard_open(struct heard *heard, const struct model *model, const struct state *from, bool goes_on,
                       struct error *err) MUST_CHECK;
void heard_free(struct heard *heard);

/* How many more steps may follow, `most` if the input is whole. STATUS_TOO_LONG: none. */
enum status heard_room(const struct heard *heard, size_t *most, struct error *err) MUST_CHECK;

/* Run the model's front end over a piece: heard->steps. As front_run. */
enum status heard_add(struct heard *heard, const struct raw *piece, size_t max_steps,
                      struct error *err) MUST_CHECK;

/* What a reading of the steps must keep. `heard` outlives the job. */
void heard_want(struct heard *heard, struct reading_want *want);

/* Once the reading has finished: the outputs of all steps so far. STATUS_NO_MEMORY. */
enum status heard_outputs(struct heard *heard, const struct reading *reading,
                          struct ctc_outputs *out) MUST_CHECK;

#endif
