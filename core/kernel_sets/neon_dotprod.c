/* Kernels for 64-bit Arm with the dot product instructions (FEAT_DotProd): int8 products four inputs
 * at a time. */
#include "core/kernels/kernel_sets.h"

#if defined(__aarch64__) && defined(__ARM_FEATURE_DOTPROD)

#include "core/kernel_sets/vector_neon.h"

#define KERNELS       kernels_neon_dotprod
#define KERNELS_NAME  "neon_dotprod"
#define KERNELS_FUSED true
#include "core/kernel_sets/kernel_body.h"

#else

const struct kernels kernels_neon_dotprod = {.name = NULL};

#endif
