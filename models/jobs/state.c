#include "models/jobs/state.h"

#include "core/base/memory.h"

enum status state_new(uint64_t step, size_t n_floats, size_t n_rest, struct state **out)
{
    size_t bytes;
    *out = NULL;
    if (!size_multiply(n_floats, sizeof(float), &bytes) || n_rest > SIZE_MAX - bytes - sizeof(struct state))
        return STATUS_NO_MEMORY;
    struct state *state = memory_new(sizeof *state + bytes + n_rest, 1);
    if (!state) return STATUS_NO_MEMORY;
    state->step = step;
    state->n_floats = n_floats;
    state->n_rest = n_rest;
    state->floats = (float *)(state + 1);
    state->rest = (unsigned char *)(state->floats + n_floats);
    atomic_init(&state->_references, 1);
    *out = state;
    return STATUS_OK;
}

struct state *state_acquire(struct state *state)
{
    if (state) atomic_fetch_add(&state->_references, 1);
    return state;
}

void state_drop(struct state *state)
{
    if (state && atomic_fetch_sub(&state->_references, 1) == 1) memory_free(state);
}

size_t state_bytes(const struct state *state)
{
    return sizeof *state + state->n_floats * sizeof *state->floats + state->n_rest;
}
