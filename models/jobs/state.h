/* state: what a sequence remembers, put away so that a later request can go on from it.
 *
 * `floats` are the network's (core/network/network.h). `rest` is what the task keeps beside them, such as the
 * token that was drawn and not yet read; the task alone writes and reads it (models/jobs/rest.h). A state is
 * immutable once it is handed out, is shared by all threads and counts its references. Going on from one
 * copies it, so the same state serves any number of times. */
#ifndef CAROUSEL_MODELS_STATE_H
#define CAROUSEL_MODELS_STATE_H

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#include "core/base/status.h"

struct state {
    uint64_t step;       /* steps that the floats have behind them, from the first of all */
    size_t n_floats;
    size_t n_rest;       /* bytes */
    float *floats;       /* [n_floats] */
    unsigned char *rest; /* [n_rest] */
    _Atomic size_t _references;
};

/* Make a state whose floats and rest the caller fills in before sharing it. The caller owns one reference.
 * STATUS_NO_MEMORY if there is none. */
enum status state_new(uint64_t step, size_t n_floats, size_t n_rest, struct state **out) MUST_CHECK;
/* Return `state` with one more reference. Accepts NULL. */
struct state *state_acquire(struct state *state);
/* Give one reference back; the last one frees. Accepts NULL. */
void state_drop(struct state *state);
/* The bytes of memory that it fills. */
size_t state_bytes(const struct state *state);

#endif
