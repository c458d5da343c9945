/* onnx: models of ONNX whose graph is a chain of layers, as both exporters of PyTorch and tf2onnx write them.
 *
 * The graph is followed from its first input, node by node, with the meaning of each axis (batch, step,
 * feature, direction), so that transposes and reshapes need no pattern. What depends on no input is computed.
 * The operators are a fixed list; every other one is refused by node and name. One thread. */
#ifndef CAROUSEL_MODELS_IMPORT_ONNX_H
#define CAROUSEL_MODELS_IMPORT_ONNX_H

#include "models/readers/onnx_file.h"

/* Read file[0..n). `folder` holds external data, `records` what was recorded (recorded.h); NULL: there are
 * none. */
MUST_CHECK enum status onnx_read(const uint8_t *file, size_t n, const struct folder *folder,
                                 const struct folder *records, struct plan *plan, struct error *err);

#endif
