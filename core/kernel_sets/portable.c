/* Kernels in C for any machine: the set that is active before another is chosen. */
#include "core/kernels/kernel_sets.h"
#include "core/kernel_sets/vector_portable.h"

#define KERNELS       kernels_portable
#define KERNELS_NAME  "portable"
#define KERNELS_FUSED false
#include "core/kernel_sets/kernel_body.h"
