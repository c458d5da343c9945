/* recorded: inputs and outputs that lie beside an ONNX model in test_data_set_0, as ONNX' own tests have
 * them: input_0.pb, output_0.pb and so on, each a TensorProto. Inputs behind the first are constants of the
 * graph, or initial states. One thread. */
#ifndef CAROUSEL_MODELS_IMPORT_RECORDED_H
#define CAROUSEL_MODELS_IMPORT_RECORDED_H

#include "models/readers/onnx_file.h"

/* Read "kind_i.pb" of the open folder into *out, which is borrowed from the pool; NULL if it is not there. */
MUST_CHECK enum status recorded_read(struct onnx_file *file, const struct folder *folder, const char *kind,
                                     size_t i, const struct tensor **out, struct error *err);
/* Run the plan's recorded inputs through the reference, and refuse the model if the recorded outputs differ.
 */
MUST_CHECK enum status recorded_check(struct plan *plan, struct error *err);

/* The sequences whose inputs were recorded; 0: none. */
size_t recorded_batch(const struct plan *plan);
/* Whether a layer begins with a state that the source reads as an input, and that was recorded. */
bool recorded_states(const struct plan *plan);
/* Let the layers of the plan begin with the recorded states of sequence b, for the next reference_new, until
 * recorded_end. */
MUST_CHECK enum status recorded_begin(struct plan *plan, size_t b, struct error *err);
void recorded_end(struct plan *plan);
/* The steps of sequence b [*n, width], or its ids as numbers [*n]; borrowed from the pool. */
MUST_CHECK enum status recorded_rows(struct plan *plan, size_t b, const double **rows, size_t *n,
                                     struct error *err);

#endif
