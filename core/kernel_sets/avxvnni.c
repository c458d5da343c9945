/* Kernels for AVX2 with AVX-VNNI: int8 products in one instruction. */
#include "core/kernels/kernel_sets.h"

#if defined(__AVXVNNI__)

#include "core/kernel_sets/vector_avx2.h"

#define KERNELS       kernels_avxvnni
#define KERNELS_NAME  "avxvnni"
#define KERNELS_FUSED true
#include "core/kernel_sets/kernel_body.h"

#else

const struct kernels kernels_avxvnni = {.name = NULL};

#endif
