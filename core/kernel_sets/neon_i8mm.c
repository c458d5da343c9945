/* Kernels for 64-bit Arm with the matrix instructions (FEAT_I8MM): int8 products of two rows, eight
 * inputs at a time. */
#include "core/kernels/kernel_sets.h"

#if defined(__aarch64__) && defined(__ARM_FEATURE_MATMUL_INT8)

#include "core/kernel_sets/vector_neon.h"

#define KERNELS       kernels_neon_i8mm
#define KERNELS_NAME  "neon_i8mm"
#define KERNELS_FUSED true
#include "core/kernel_sets/kernel_body.h"

#else

const struct kernels kernels_neon_i8mm = {.name = NULL};

#endif
