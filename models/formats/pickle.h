/* pickle: Python's pickles read as data. Nothing is ever called, imported or run.
 *
 * A pickle is a program for a small stack machine (Python's pickletools documents it). This reader runs that
 * machine on symbols: a global becomes its name, a call becomes a node that holds what would have been called
 * and with what, and the state that an object would have been given hangs on its node. So the objects of
 * foreign classes are inert, and the caller looks for what it knows by name.
 *
 * Protocols 0 to 5. The result may share nodes and may hold circles: bound every walk. One thread; all is
 * borrowed from the pool, texts and bytes from the pickle. */
#ifndef CAROUSEL_MODELS_IMPORT_PICKLE_H
#define CAROUSEL_MODELS_IMPORT_PICKLE_H

#include <stdbool.h>

#include "models/formats/pool.h"

enum { PICKLE_MAX_BYTES = 1 << 28, PICKLE_MAX_NODES = 1 << 22, PICKLE_MAX_DEPTH = 64 };

enum node_kind {
    NODE_NONE,
    NODE_BOOLEAN,
    NODE_INTEGER,
    NODE_FLOAT,
    NODE_TEXT,
    NODE_BYTES,
    NODE_LIST,       /* items: lists, tuples and sets */
    NODE_DICTIONARY, /* items: key, value, key, value */
    NODE_GLOBAL,     /* text: "torch._utils._rebuild_tensor_v2" */
    NODE_CALL,       /* callee, arguments, state; items that were put into it */
    NODE_PERSISTENT  /* arguments: what names an object outside of the pickle */
};

struct node {
    enum node_kind kind;
    int64_t integer; /* booleans too */
    double real;
    const char *text; /* [bytes], zero-terminated if it is a text or a global */
    size_t bytes;
    struct node **items;
    size_t n_items, room;
    struct node *callee, *arguments, *state;
};

struct pickle {
    struct node *root;
    struct node **persistent; /* [n_persistent] each place where one was named, in order */
    size_t n_persistent, room;
    size_t bytes; /* of the file that the pickle fills */
};

/* Read one pickle at the front of bytes[0..n). STATUS_BAD_FORMAT, STATUS_TOO_LONG, STATUS_NO_MEMORY. */
MUST_CHECK enum status pickle_read(const uint8_t *bytes, size_t n, struct pool *pool, struct pickle *out,
                                   struct error *err);

/* For callers; each accepts NULL and gives NULL or false. */
bool node_is(const struct node *node, enum node_kind kind);
bool node_is_text(const struct node *node, const char *text);
/* true for a call of a global of that name, or the global itself. */
bool node_calls(const struct node *node, const char *name);
/* The name of the global that is called, "" if there is none. */
const char *node_class(const struct node *node);
/* The value of a text key: of a dictionary, of the items or the state of a call. */
struct node *node_get(const struct node *node, const char *key);
struct node *node_item(const struct node *node, size_t i);
/* true if it holds keys and values: a dictionary, or a call such as collections.OrderedDict. */
bool node_is_mapping(const struct node *node);

#endif
