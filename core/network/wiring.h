/* wiring: how the layers of a network hang together, and where their outputs lie. Private to network.c, which
 * runs a network, and network_build.c, which builds one. */
#ifndef CAROUSEL_CORE_WIRING_H
#define CAROUSEL_CORE_WIRING_H

#include "core/network/network.h"

/* What one layer reads, and where it writes. */
struct wire {
    int sources[LAYER_MAX_SOURCES]; /* layers, or SOURCE_INPUT */
    size_t n_sources;               /* 0 if it recalls: what it gives lies in its state */
    size_t slot;                    /* of its output; the last layer of a head writes elsewhere */
};

/* A buffer of rows in the workspace, for outputs whose lives do not overlap. */
struct slot {
    size_t width; /* floats a row, whole cache lines */
    size_t start; /* widths of the slots before it */
};

/* Layer `from` is recalled by a layer whose state lies at `offset`. */
struct recall {
    size_t from, offset;
};

struct network {
    uint64_t serial, family;
    enum precision precision;
    struct layer **layers;   /* [n_layers] owned */
    struct wire *wires;      /* [n_layers] */
    size_t n_layers;
    size_t head;             /* the first layer of the head; n_layers if there is none */
    struct slot *slots;      /* [n_slots]; the inputs lie in the first */
    size_t n_slots, width;   /* width: of all slots */
    struct recall *recalls;  /* [n_recalls] */
    size_t n_recalls;
    struct layer input;      /* stands for what enters, as a source */
    size_t state_floats, memory_size, memory_floats;
    bool whole, pools, mixes;
};

#endif
