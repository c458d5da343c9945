/* Kernels for AMX: int8 and bfloat16 products in tile registers, the rest as in avx512_bf16. */
#include "core/kernels/kernel_sets.h"

#if defined(__AMX_INT8__) && defined(__AMX_BF16__) && defined(__AVX512VNNI__) && defined(__AVX512BF16__)

#include "core/kernel_sets/vector_avx512.h"

#define KERNELS       kernels_amx
#define KERNELS_NAME  "amx"
#define KERNELS_FUSED true
#include "core/kernel_sets/kernel_body.h"

#else

const struct kernels kernels_amx = {.name = NULL};

#endif
