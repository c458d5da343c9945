/* embedding: a row of weights for every token.
 *
 * Where an lstm follows, it computes at load what each row becomes (core/lstm.c), and this layer
 * is dropped. */
#include "core/layer.h"

#include <string.h>

#include "core/memory.h"

enum { NUM_EMBEDDINGS, EMBEDDING_DIM }; /* values, in the order of keys */

static const struct layer_key keys[] = {
    {.name = "num_embeddings", .kind = KEY_SIZE, .required = true, .minimum = 1,
     .maximum = LAYER_MAX_SIZE},
    {.name = "embedding_dim", .kind = KEY_SIZE, .required = true, .minimum = 1,
     .maximum = LAYER_MAX_SIZE},
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
    struct embedding *e = memory_new(1, sizeof *e);
    if (!e) return error_set(err, STATUS_NO_MEMORY, "embedding '%s': no memory", spec->prefix);
    e->layer = (struct layer){.type = spec->type, .vocabulary_size = V, .output_size = E,
                              .forward_size = E};
    enum status status = layer_take(spec, context, "weight", V, E, &e->weight, err);
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

const struct layer_type layer_embedding = {
    .name = "embedding",
    .has_prefix = true,
    .keys = keys,
    .build = build,
    .free = embedding_free,
    .run = run,
    .bytes = bytes,
};
