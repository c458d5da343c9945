/* Kernels for 64-bit Arm with Advanced SIMD, which every such processor has. */
#include "core/kernels/kernel_sets.h"

#if defined(__aarch64__) && defined(__ARM_NEON)

#include "core/kernel_sets/vector_neon.h"

#define KERNELS       kernels_neon
#define KERNELS_NAME  "neon"
#define KERNELS_FUSED true
#include "core/kernel_sets/kernel_body.h"

#else

const struct kernels kernels_neon = {.name = NULL};

#endif
