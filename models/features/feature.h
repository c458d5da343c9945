/* feature: front ends, which turn what clients send (sound, the path of a pen) into the steps that a network
 * reads. A front end is described by "features" of config.json, {"type": ...}, and computed by the server;
 * requests and golden vectors use the same function.
 *
 * Some front ends run piece by piece: what they give for a beginning of an input is the beginning of what
 * they give for the whole, except for the last steps, which are open. The next piece is then run behind the
 * end of the input that the piece before it kept, and gives those steps again.
 *
 * A type is a struct of functions, one file in models/features/ and one row of features.def. A front end is
 * read-only after front_new and shared by all threads; running it allocates. */
#ifndef CAROUSEL_MODELS_FEATURE_H
#define CAROUSEL_MODELS_FEATURE_H

#include <stdbool.h>
#include <stddef.h>

#include "core/base/status.h"

struct json;
struct field;

/* What a front end reads. */
enum media { MEDIA_SOUND, MEDIA_INK, N_MEDIA };
const char *media_name(enum media media); /* "sound", "the strokes of a pen" */

/* One input as a client sent it. Borrowed; all numbers are finite. */
struct raw {
    enum media media;
    const double *values; /* sound: [n] samples from -1 to 1, one channel, at front_rate; ink: [n, 2] x and y,
                           * y downwards */
    size_t n;             /* samples or points, at least 1 */
    const size_t *ends;   /* [n_ends] ink: one past the last point of each stroke; no stroke is empty */
    size_t n_ends;
    size_t n_known;       /* ink: resampled points at the beginning that a piece before this one has given */
};

/* What a front end makes of it. Owned by the caller: front_steps_free. */
struct front_steps {
    double *values; /* [n, width], before "mean" and "scale", which a front end does not have */
    size_t *origin; /* [n + 1] the sample or point with which each step begins, and where the last one ends */
    size_t n;       /* at least 1 */
    size_t n_open;  /* steps at the end that a next piece may change: 1 to n; a type leaves 0 for 1 */
    /* if it runs piece by piece: the next piece is run behind the input from `keep_from` on, with n_known */
    size_t keep_from, n_known;
};
void front_steps_free(struct front_steps *steps);

struct front;

/* A type of front end. */
struct front_type {
    const char *name;
    enum media media;
    size_t bytes; /* of its own struct */
    const struct field *fields; /* [n_fields] its keys, with "type", into that struct */
    size_t n_fields;
    void (*defaults)(void *self);
    /* Check the keys, and make what running needs. STATUS_BAD_VALUE, STATUS_NO_MEMORY. */
    enum status (*prepare)(void *self, struct error *err);
    void (*release)(void *self);          /* may be NULL */
    size_t (*width)(const void *self);    /* numbers of a step */
    double (*rate)(const void *self);     /* sound: samples a second; NULL otherwise */
    bool (*runs_on)(const void *self);    /* whether it runs piece by piece; NULL: it does not */
    /* As front_run; *out is zeroed before, and freed by the caller after a failure too. */
    enum status (*run)(const void *self, const struct raw *raw, size_t max_steps, struct front_steps *out,
                       struct error *err);
};

/* Make the front end that `object` ("features" of config.json) describes. The caller owns *out.
 * STATUS_BAD_VALUE with a sentence about the key, STATUS_NO_MEMORY. */
MUST_CHECK enum status front_new(const struct json *object, struct front **out, struct error *err);
void front_free(struct front *front); /* accepts NULL */

const char *front_type_name(const struct front *front);
enum media front_media(const struct front *front);
size_t front_width(const struct front *front);
double front_rate(const struct front *front); /* of sound; 0 otherwise */
bool front_runs_on(const struct front *front);

/* Turn an input into steps. STATUS_TOO_LONG if they are more than max_steps; STATUS_BAD_VALUE if a result is
 * not finite; STATUS_NO_MEMORY. On failure *out holds nothing. */
MUST_CHECK enum status front_run(const struct front *front, const struct raw *raw, size_t max_steps,
                                 struct front_steps *out, struct error *err);

/* The input of a golden case: samples, or strokes of [x, y]. Owned: raw_free. */
struct raw_owned {
    struct raw raw;
    double *values;
    size_t *ends;
};
MUST_CHECK enum status raw_read(const struct front *front, const struct json *input, struct raw_owned *out,
                                struct error *err);
void raw_free(struct raw_owned *raw);

#endif
