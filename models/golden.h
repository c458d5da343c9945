/* golden: the proof that a loaded model computes what PyTorch computed.
 *
 * golden.json holds inputs as requests hold them, the steps that the network is fed for each, and
 * the raw output vector after the last step. All three are compared: tokens exactly, features
 * within 1e-5 of max(1, |value|), outputs within the file's own tolerance. A network whose weights were
 * narrowed at load cannot meet a float32 tolerance; it is allowed GOLDEN_FLOAT16 or GOLDEN_INT8 times
 * max(1, largest |output| of the case) more. That catches a model that is broken (swapped
 * gates, a missing bias), not one that is a little worse: quality in low precision is
 * measured on held-out data. One thread; allocates. */
#ifndef CAROUSEL_MODELS_GOLDEN_H
#define CAROUSEL_MODELS_GOLDEN_H

#include "models/model.h"

enum { GOLDEN_MAX_BYTES = 8 << 20, GOLDEN_MAX_CASES = 64, GOLDEN_MAX_STEPS = 4096 };

/* Half precision keeps 11 bits of a weight, int8 about 7; errors of single weights average out over a
 * sum and pile up over steps. */
#define GOLDEN_FLOAT16 0.01
#define GOLDEN_INT8 0.1
#define GOLDEN_MAX_TOLERANCE 0.01

/* Check text[0..bytes), the content of golden.json, which a zero byte follows, against `model`, of which
 * all but the golden figures must be filled in. *error is the largest absolute difference of an
 * output, *n the number of cases. STATUS_BAD_GOLDEN and the numbers where they differ; other statuses where
 * the file is broken. The sentence begins with "golden.json". */
MUST_CHECK enum status golden_check(const struct model *model, const char *text, size_t bytes,
                                    double *error, size_t *n, struct error *err);

#endif
