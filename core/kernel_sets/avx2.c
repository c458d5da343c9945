/* Kernels for AVX2 with FMA and F16C: int8 is widened to 16 bits. */
#include "core/kernels/kernel_sets.h"

#if defined(__AVX2__) && defined(__FMA__) && defined(__F16C__)

#include "core/kernel_sets/vector_avx2.h"

#define KERNELS       kernels_avx2
#define KERNELS_NAME  "avx2"
#define KERNELS_FUSED true
#include "core/kernel_sets/kernel_body.h"

#else

const struct kernels kernels_avx2 = {.name = NULL};

#endif
