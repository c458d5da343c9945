/* golden: the proof that a loaded model computes what PyTorch computed.
 *
 * golden.json holds inputs as requests hold them, perhaps with an initial state, the steps that the network
 * is fed for each, and the raw output vector after the last step, or those after every step. All are
 * compared: tokens exactly, features within 1e-5 of max(1, |value|), outputs within the file's own tolerance
 * times max(1, largest |output| of the case). A network whose weights were narrowed at load cannot meet a
 * float32 tolerance; GOLDEN_FLOAT16, GOLDEN_BFLOAT16 or GOLDEN_INT8 is added to its tolerance. So wide a
 * bound may hide a wrong network, so models/bundle/model.c checks the network in float32 first. Quality in
 * low precision is measured on held-out data. One thread; allocates. */
#ifndef CAROUSEL_MODELS_GOLDEN_H
#define CAROUSEL_MODELS_GOLDEN_H

#include "models/bundle/model.h"

enum { GOLDEN_MAX_BYTES = 8 << 20, GOLDEN_MAX_CASES = 64, GOLDEN_MAX_STEPS = 4096 };

/* Half precision keeps 11 bits of a weight, bfloat16 8 of a weight and of a hidden state, int8 about 7;
 * errors of single weights average out over a sum and pile up over steps. */
#define GOLDEN_FLOAT16 0.01
#define GOLDEN_BFLOAT16 0.03
#define GOLDEN_INT8 0.1
#define GOLDEN_MAX_TOLERANCE 0.01
/* Steps of all cases together times the network's bytes of weights: about two minutes of one core. */
#define GOLDEN_MAX_WORK ((uint64_t)1 << 42)

/* Check text[0..bytes), the content of golden.json, which a zero byte follows, against `model`, of which
 * all but the golden figures must be filled in. *proof is the largest absolute difference of an output and
 * what its case allows, *n the number of cases. STATUS_BAD_GOLDEN and the numbers if they differ by more;
 * other statuses if the file is broken. The sentence begins with "golden.json". */
MUST_CHECK enum status golden_check(const struct model *model, const char *text, size_t bytes,
                                    struct golden_proof *proof, size_t *n, struct error *err);

#endif
