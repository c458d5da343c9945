/* Kernels for AVX-512 with VNNI and BF16: int8 and bfloat16 products in one instruction. */
#include "core/kernels/kernel_sets.h"

#if defined(__AVX512VNNI__) && defined(__AVX512BF16__)

#include "core/kernel_sets/vector_avx512.h"

#define KERNELS       kernels_avx512_bf16
#define KERNELS_NAME  "avx512_bf16"
#define KERNELS_FUSED true
#include "core/kernel_sets/kernel_body.h"

#else

const struct kernels kernels_avx512_bf16 = {.name = NULL};

#endif
