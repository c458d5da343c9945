/* safetensors: the tensors of a model.safetensors file, read one at a time.
 *
 * The format (https://github.com/huggingface/safetensors): eight bytes, little-endian, the
 * length N of the header; N bytes of JSON, name -> {dtype, shape, data_offsets [begin, end)}, perhaps
 * a "__metadata__"; then the data, which the offsets count from. Numbers are little-endian.
 *
 * All of it is untrusted. Opening reads and checks the header alone: at most
 * SAFETENSORS_MAX_HEADER bytes and SAFETENSORS_MAX_TENSORS tensors, offsets in bounds, no overlap,
 * no gap, as many bytes as dtype and shape say. A tensor's data are read when it is taken, in
 * pieces, so that nothing larger than one tensor of the file's own size is ever allocated. The file is
 * read rather than mapped: a mapped file that shrinks would kill the process.
 *
 * One thread, while a model loads. */
#ifndef CAROUSEL_MODELS_SAFETENSORS_H
#define CAROUSEL_MODELS_SAFETENSORS_H

#include <stddef.h>
#include <stdint.h>

#include "core/tensors.h"

enum { SAFETENSORS_MAX_HEADER = 1 << 20, SAFETENSORS_MAX_TENSORS = 4096 };
#define SAFETENSORS_MAX_BYTES ((uint64_t)1 << 31)

struct safetensors;

/* Read the header of the open file `fd`, which has `bytes` bytes and is borrowed until
 * safetensors_free. The caller owns *out. */
MUST_CHECK enum status safetensors_open(int fd, uint64_t bytes, struct safetensors **out,
                                        struct error *err);
void safetensors_free(struct safetensors *file); /* takes NULL */

/* The tensors as core sees them: F32, F16 and BF16 become float32. Borrowed until
 * safetensors_free. A tensor may be taken more than once. */
struct tensors *safetensors_tensors(struct safetensors *file);

/* STATUS_BAD_VALUE and the name of a tensor that nobody has taken. */
MUST_CHECK enum status safetensors_check_taken(const struct safetensors *file, struct error *err);

/* For inspection: how many tensors, how many numbers they hold together, and the dtype that the most
 * tensors have ("" for none). */
size_t safetensors_n_tensors(const struct safetensors *file);
uint64_t safetensors_n_values(const struct safetensors *file);
const char *safetensors_dtype(const struct safetensors *file);

#endif
