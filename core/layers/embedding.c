/* embedding: a row of weights for every token.
 *
 * If a recurrent layer follows, it computes at load what each row becomes
 * (core/recurrent/recurrent_build.c), and this layer is dropped. */
#include "core/network/layer.h"

#include <string.h>

#include "core/base/memory.h"

enum { NUM_EMBEDDINGS, EMBEDDING_DIM, PADDING_IDX }; /* values, in the order of keys */

static const struct layer_key keys[] = {
    {.name = "num_embeddings", .kind = KEY_SIZE, .required = true, .minimum = 1,
     .maximum = LAYER_MAX_SIZE},
    {.name = "embedding_dim", .kind = KEY_SIZE, .required = true, .minimum = 1,
     .maximum = LAYER_MAX_SIZE},
    {.name = "padding_idx", .kind = KEY_SIZE, .minimum = -LAYER_MAX_SIZE, .maximum = LAYER_MAX_SIZE},
    {.name = NULL},
};

struct embedding {
    struct layer layer;
    float *weight; /* [num_embeddings, embedding_dim] owned */
};

static void embedding_free(struct layer *layer)
{
    if (!layer) return;
    memory_free(((struct embedding *)layer)->weight);
    memory_free(layer);
}

static enum status build(const struct layer_spec *spec, const struct layer_context *context,
                         struct layer **out, struct error *err)
{
    size_t V = (size_t)spec->values[NUM_EMBEDDINGS], E = (size_t)spec->values[EMBEDDING_DIM];
    if (context->before)
        return error_set(err, STATUS_BAD_VALUE,
                         "embedding '%s': reads tokens, expected to be the first layer",
                         spec->prefix);
    long padding = spec->values[PADDING_IDX]; /* its row is what the weights say, as in PyTorch */
    if (padding >= (long)V || padding < -(long)V)
        return error_set(err, STATUS_BAD_VALUE, "embedding '%s': padding_idx is %ld, expected %ld to %ld",
                         spec->prefix, padding, -(long)V, (long)V - 1);
    struct embedding *e = memory_new(1, sizeof *e);
    if (!e) return error_set(err, STATUS_NO_MEMORY, "embedding '%s': no memory", spec->prefix);
    e->layer = (struct layer){.type = spec->type, .vocabulary_size = V, .output_size = E,
                              .forward_size = E};
    enum status status = layer_take(spec, context, "weight", V, E, &e->weight, err);
    layer_keep(context, V, E);
    if (status == STATUS_OK) *out = &e->layer;
    else embedding_free(&e->layer);
    return status;
}

static void run(const struct layer *layer, const struct turn *turn, const float *in, float *out,
                float *scratch)
{
    const struct embedding *e = (const struct embedding *)layer;
    size_t E = layer->output_size;
    (void)in, (void)scratch;
    for (size_t r = 0; r < turn->R; r++)
        memcpy(out + r * E, e->weight + (size_t)turn->tokens[r] * E, E * sizeof *out);
}

static size_t bytes(const struct layer *layer)
{
    return layer->vocabulary_size * layer->output_size * sizeof(float);
}

/* The derivative by a factor on the token's vector: the sum of its numbers times their gradients. */
static enum status backward(const struct layer *layer, const struct passage *p, const float *d_out,
                            float *d_in)
{
    size_t n = layer->output_size;
    for (size_t t = 0; t < p->T; t++) {
        double sum = 0;
        for (size_t i = 0; i < n; i++) sum += (double)d_out[t * n + i] * (double)p->out[t * n + i];
        d_in[t] = (float)sum;
    }
    return STATUS_OK;
}

const struct layer_type layer_embedding = {
    .name = "embedding",
    .has_prefix = true,
    .keys = keys,
    .build = build,
    .free = embedding_free,
    .run = run,
    .bytes = bytes,
    .backward = backward,
};
