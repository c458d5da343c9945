/* both_ways: what a series that is known ahead gets of both directions (TiRex-2, arXiv 2607.01204). Such a
 * series rides twice in its group, forwards and, as a RIDE_MIRROR behind that, from its last step to its
 * first. With f_t for its row of step t on the way forwards and r_t on the way back:
 *
 *     y_t = W [f_t r_t]
 *
 * which both rides get, the mirror from the last step to the first. Rows of other rides stay as they are. */
#include <string.h>

#include "core/base/memory.h"
#include "core/network/layer.h"

enum { EMBEDDING_DIM }; /* values, in the order of keys */

static const struct layer_key keys[] = {
    {.name = "embedding_dim", .kind = KEY_SIZE, .required = true, .minimum = 1, .maximum = LAYER_MAX_SIZE},
    {.name = NULL},
};

struct both {
    struct layer layer;
    struct matrix *W; /* [D, 2 D] */
};

static void both_free(struct layer *layer)
{
    if (!layer) return;
    matrix_free(((struct both *)layer)->W);
    memory_free(layer);
}

static enum status build(const struct layer_spec *spec, const struct layer_context *context,
                         struct layer **out, struct error *err)
{
    size_t D = (size_t)spec->values[EMBEDDING_DIM];
    struct both *both = memory_new(1, sizeof *both);
    if (!both) return error_set(err, STATUS_NO_MEMORY, "both_ways '%s': no memory", spec->prefix);
    both->layer = (struct layer){.type = spec->type, .input_size = D, .output_size = D, .forward_size = D,
                                 .mixes = true};
    enum status status =
        layer_matrix_of(spec, context, "weight", &(struct layer_rows){.tensor_rows = D, .n = D}, NULL, 2 * D,
                        layer_precision(context->precision, false, 2 * D), &both->W, err);
    if (status == STATUS_OK) *out = &both->layer;
    else both_free(&both->layer);
    return status;
}

/* Pairs of rows, and what comes of them. */
static size_t scratch_floats(const struct layer *layer, size_t R, size_t B)
{
    (void)B;
    return layer_round(R * layer->input_size) + layer_round(R * layer->input_size);
}

/* Whether the ride at place b of the batch has its mirror behind it. */
static bool is_mirrored(const struct turn *turn, size_t b)
{
    return turn->roles[b] != RIDE_MIRROR && b + 1 < turn->B && turn->roles[b + 1] == RIDE_MIRROR;
}

static void run(const struct layer *layer, const struct turn *turn, const float *in, float *out,
                float *scratch)
{
    const struct both *both = (const struct both *)layer;
    size_t D = layer->input_size, n = 0;
    float *pairs = scratch, *made = scratch + layer_round(turn->R * D);
    memcpy(out, in, turn->R * D * sizeof *out);
    for (size_t b = 0; turn->roles && b < turn->B; b++)
        for (size_t t = 0; is_mirrored(turn, b) && t < turn->steps[b]; t++, n++) {
            size_t back = turn->first[turn->steps[b] - 1 - t] + b + 1;
            memcpy(pairs + n * 2 * D, in + (turn->first[t] + b) * D, D * sizeof *pairs);
            memcpy(pairs + n * 2 * D + D, in + back * D, D * sizeof *pairs);
        }
    if (n == 0) return;
    struct operand A = {.values = pairs, .values_stride = 2 * D};
    struct target C = {.C = made, .stride = D};
    team_multiply(turn->team, both->W, n, &A, &C);
    for (size_t b = 0; b < turn->B; b++)
        for (size_t t = 0; is_mirrored(turn, b) && t < turn->steps[b]; t++, made += D) {
            size_t back = turn->first[turn->steps[b] - 1 - t] + b + 1;
            memcpy(out + (turn->first[t] + b) * D, made, D * sizeof *out);
            memcpy(out + back * D, made, D * sizeof *out);
        }
}

static size_t bytes(const struct layer *layer)
{
    return matrix_bytes(((const struct both *)layer)->W);
}

/* The slow path has one sequence, which stays as it is. */
static enum status backward(const struct layer *layer, const struct passage *p, const float *d_out,
                            float *d_in)
{
    memcpy(d_in, d_out, p->T * layer->input_size * sizeof *d_in);
    return STATUS_OK;
}

const struct layer_type layer_both_ways = {
    .name = "both_ways",
    .has_prefix = true,
    .keys = keys,
    .build = build,
    .free = both_free,
    .scratch_floats = scratch_floats,
    .run = run,
    .bytes = bytes,
    .backward = backward,
};
