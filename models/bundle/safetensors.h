/* safetensors: the tensors of a model.safetensors file, decoded one at a time.
 *
 * The format (https://github.com/huggingface/safetensors): eight bytes, little-endian, the
 * length N of the header; N bytes of JSON, name -> {dtype, shape, data_offsets [begin, end)}, perhaps
 * a "__metadata__"; then the data, which the offsets count from. Numbers are little-endian.
 *
 * All of it is untrusted. Opening checks the header: at most
 * SAFETENSORS_MAX_HEADER bytes and SAFETENSORS_MAX_TENSORS tensors, offsets in bounds, no overlap,
 * no gap, as many bytes as dtype and shape say. Tensors are taken from the content in memory, which its
 * owner may have weighed against a checksum: what was weighed is what is taken. It is read rather than
 * mapped: a mapped file that shrinks would kill the process.
 *
 * One thread, while a model loads. */
#ifndef CAROUSEL_MODELS_SAFETENSORS_H
#define CAROUSEL_MODELS_SAFETENSORS_H

#include <stddef.h>
#include <stdint.h>

#include "core/network/tensors.h"

enum { SAFETENSORS_MAX_HEADER = 1 << 20, SAFETENSORS_MAX_TENSORS = 4096 };
#define SAFETENSORS_MAX_BYTES ((uint64_t)1 << 31)

struct safetensors;

/* The file whose whole content is content[0..bytes), borrowed until safetensors_free. The caller owns
 * *out. */
MUST_CHECK enum status safetensors_open(const void *content, uint64_t bytes, struct safetensors **out,
                                        struct error *err);
/* The same of the open file `fd`, which has `bytes` bytes and of which the header alone is read: no tensor
 * can be taken (STATUS_INTERNAL), but each can be checked. */
MUST_CHECK enum status safetensors_open_header(int fd, uint64_t bytes, struct safetensors **out,
                                               struct error *err);
/* What the open file `fd` of `bytes` bytes is, if it is of another known kind: "a Git LFS pointer, ...", with
 * what to do. Else NULL. */
const char *safetensors_foreign_kind(int fd, uint64_t bytes);
void safetensors_free(struct safetensors *file); /* accepts NULL */

/* The tensors as core sees them: F32, F16 and BF16 become float32. Borrowed until
 * safetensors_free. A tensor may be taken more than once. STATUS_CLOSING if that is given up
 * (core/base/throttle.h). */
struct tensors *safetensors_tensors(struct safetensors *file);

/* STATUS_BAD_VALUE and the name of a tensor that has been neither taken nor checked. */
MUST_CHECK enum status safetensors_check_taken(const struct safetensors *file, struct error *err);

/* For inspection: how many tensors, how many numbers they hold together, and the dtype that the most
 * tensors have ("" for none). */
size_t safetensors_n_tensors(const struct safetensors *file);
uint64_t safetensors_n_values(const struct safetensors *file);
const char *safetensors_dtype(const struct safetensors *file);

#endif
