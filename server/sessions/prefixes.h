/* prefixes: states after the beginnings of prompts, so that a prompt which begins as an earlier one did is
 * read from there on.
 *
 * A state is found by the tokens that it has read, all of which are compared, and by its salt: the network
 * and the owner. So no owner learns from the time of an answer what another has asked. The texts are the same
 * with and without: how a prompt is cut into rides changes no bit (core/network/network.h). Bounded in bytes;
 * the state that was used least recently gives way. One lock, under which no other is taken. Any thread. */
#ifndef CAROUSEL_SERVER_PREFIXES_H
#define CAROUSEL_SERVER_PREFIXES_H

#include "models/jobs/state.h"

struct prefixes;

/* At most so many bytes; 0 keeps nothing. NULL without memory. */
struct prefixes *prefixes_new(size_t bytes);
void prefixes_free(struct prefixes *prefixes); /* accepts NULL */

/* The number that stands for a network and an owner. */
uint64_t prefixes_salt(uint64_t network_serial, const char *owner);
/* The longest beginning of tokens[0..n) whose state is kept: its length, or 0. *out is the caller's
 * reference. */
size_t prefixes_find(struct prefixes *prefixes, uint64_t salt, const int32_t *tokens, size_t n,
                     struct state **out);
/* Keep `state`, which is acquired, as that after tokens[0..n). Without memory nothing is kept. */
void prefixes_put(struct prefixes *prefixes, uint64_t salt, const int32_t *tokens, size_t n,
                  struct state *state);

struct prefixes_stats {
    uint64_t lookups, hits, tokens; /* since the start; tokens: that were not read again */
    size_t bytes;                   /* now */
};
void prefixes_stats(struct prefixes *prefixes, struct prefixes_stats *out);

#endif
