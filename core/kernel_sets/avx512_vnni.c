/* Kernels for AVX-512 with VNNI: int8 products in one instruction. */
#include "core/kernels/kernel_sets.h"

#if defined(__AVX512VNNI__)

#include "core/kernel_sets/vector_avx512.h"

#define KERNELS       kernels_avx512_vnni
#define KERNELS_NAME  "avx512_vnni"
#define KERNELS_FUSED true
#include "core/kernel_sets/kernel_body.h"

#else

const struct kernels kernels_avx512_vnni = {.name = NULL};

#endif
