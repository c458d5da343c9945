/* Kernels for AVX-512 (F, BW, DQ, VL) without VNNI: int8 is widened to 16 bits. */
#include "core/kernels/kernel_sets.h"

#if defined(__AVX512F__) && defined(__AVX512BW__) && defined(__AVX512VL__)

#include "core/kernel_sets/vector_avx512.h"

#define KERNELS       kernels_avx512
#define KERNELS_NAME  "avx512"
#define KERNELS_FUSED true
#include "core/kernel_sets/kernel_body.h"

#else

const struct kernels kernels_avx512 = {.name = NULL};

#endif
