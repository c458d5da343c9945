/* gold: a golden case of tests/golden/cases, read into memory. tests/golden/make_golden.py says what a file
 * holds; another file aborts the test. */
#ifndef CAROUSEL_TESTS_SUPPORT_GOLD_H
#define CAROUSEL_TESTS_SUPPORT_GOLD_H

#include "core/network/network.h"
#include "tests/support/taken.h"

enum { MAX_SPECS = 80, MAX_TENSORS = 80, MAX_SEQUENCES = 64, MAX_LINE = 512 };

struct tensor {
    char name[128];
    size_t rank, shape[3], n;
    float *values;
};

struct gold {
    struct tensors tensors; /* first: take() gets a pointer to it */
    char name[64];
    struct layer_spec specs[MAX_SPECS];
    struct tensor tensor[MAX_TENSORS];
    size_t n_specs, n_tensors;
    size_t input_size; /* 0: tokens */
    size_t B, lengths[MAX_SEQUENCES], steps;
    size_t groups[MAX_SEQUENCES]; /* as struct ride's n_group */
    enum ride_role roles[MAX_SEQUENCES];
    bool is_grouped;
    size_t output_size, rows, state_floats, gradient_floats;
    float *features, *outputs, *states, *gradients; /* sequence after sequence */
    size_t memory_size, spans[MAX_SEQUENCES], spanned; /* rows of each sequence's memory, and of all */
    float *memories, *memory_gradients; /* the second if there are gradients */
    int32_t *tokens;
};

/* Read the case in file `path`. The caller owns it. */
struct gold *gold_load(const char *path);
void gold_free(struct gold *gold);

#endif
