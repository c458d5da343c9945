/* Any bytes as a pickle: the machine ends, and its result can be walked. */
#include <assert.h>
#include <string.h>

#include "models/formats/pickle.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Visit a bounded part of what may be a graph with circles. */
static void walk(const struct node *node, size_t depth, size_t *left)
{
    if (!node || depth == 0 || *left == 0) return;
    --*left;
    if (node->kind == NODE_TEXT) assert(node->text[node->bytes] == '\0');
    (void)node_class(node);
    (void)node_get(node, "weight");
    for (size_t i = 0; i < node->n_items; i++) walk(node_item(node, i), depth - 1, left);
    walk(node->callee, depth - 1, left);
    walk(node->arguments, depth - 1, left);
    walk(node->state, depth - 1, left);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct pool *pool = pool_new(1 << 26);
    struct pickle pickle;
    struct error err = {.message = ""};
    size_t left = 10000;
    if (!pool) return 0;
    if (pickle_read(data, size, pool, &pickle, &err) == STATUS_OK) {
        assert(pickle.bytes <= size);
        walk(pickle.root, PICKLE_MAX_DEPTH, &left);
    } else {
        assert(err.message[0]);
    }
    pool_free(pool);
    return 0;
}
