/* sources: the "name" and "inputs" of a bundle's layers: which layers each of them reads.
 * docs/bundle-format.md, "Layers that are not a chain". */
#ifndef CAROUSEL_MODELS_SOURCES_H
#define CAROUSEL_MODELS_SOURCES_H

#include "core/network/layer.h"
#include "models/text/json.h"

enum { LAYER_NAME_BYTES = 64 };

/* Fill sources of specs[0..n), which were read from the n objects of `network`. Core checks whether a layer
 * may read what it names. STATUS_BAD_VALUE with a sentence. */
enum status sources_read(const struct json *network, struct layer_spec *specs, size_t n,
                         struct error *err) MUST_CHECK;

#endif
