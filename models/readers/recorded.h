/* recorded: inputs and outputs that lie beside an ONNX model in test_data_set_0, as ONNX' own tests have
 * them: input_0.pb, output_0.pb and so on, each a TensorProto. Inputs behind the first are constants of the
 * graph. One thread. */
#ifndef CAROUSEL_MODELS_IMPORT_RECORDED_H
#define CAROUSEL_MODELS_IMPORT_RECORDED_H

#include "models/readers/onnx_file.h"

/* Read "kind_i.pb" of the open folder into *out, which is borrowed from the pool; NULL if it is not there. */
MUST_CHECK enum status recorded_read(struct onnx_file *file, const struct folder *folder, const char *kind,
                                     size_t i, const struct tensor **out, struct error *err);
/* Run the plan's recorded inputs through the reference, and refuse the model if the recorded outputs differ.
 */
MUST_CHECK enum status recorded_check(const struct plan *plan, struct error *err);

#endif
