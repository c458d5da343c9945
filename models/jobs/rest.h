/* rest: the bytes that a task keeps beside the network's floats (models/jobs/state.h).
 *
 * A task describes its rest once, as a walk over its fields. The walk measures, writes or reads by what the
 * cursor is for, so that the three cannot disagree. Fields are of fixed width and little-endian, which is the
 * order of every machine that this program is built for. Reading suspects every byte: a field that is not
 * there is left zero, and `failed` stays set.
 *
 *     struct rest rest = {.use = REST_MEASURE};                               walk; rest.at bytes are needed
 *     struct rest rest = {.use = REST_WRITE, .bytes = state->rest, .n = n};   walk
 *     struct rest rest = {.use = REST_READ, .bytes = ...};                    walk; then rest_is_over(&rest)
 *
 * One thread at a time. */
#ifndef CAROUSEL_MODELS_REST_H
#define CAROUSEL_MODELS_REST_H

#include <stdbool.h>
#include <stddef.h>

enum rest_use { REST_MEASURE, REST_WRITE, REST_READ };

struct rest {
    enum rest_use use;
    unsigned char *bytes; /* [n]; NULL while measuring */
    size_t n, at;
    bool failed;          /* a field did not fit; stays set */
};

/* Move one field of `bytes` bytes between the rest and *field. */
void rest_field(struct rest *rest, void *field, size_t bytes);
/* Return true if every field was there and no byte is left. */
bool rest_is_over(const struct rest *rest);

#endif
