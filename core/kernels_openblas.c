/* OpenBLAS as a kernel set: its sgemm on the weights as given, everything else from the best set
 * that runs here. It is the portable backend for processors we have no kernels for, and the
 * second opinion in the tests. Its sums depend on the batch, so it is not batch independent.
 *
 * Build with -DWITHOUT_OPENBLAS to leave the library out. */
#include "core/kernel_sets.h"

#ifndef WITHOUT_OPENBLAS

#include "core/kernels_cpu.h"

#include <assert.h>
#include <cblas.h>
#include <limits.h>
#include <string.h>

static size_t minimum(size_t a, size_t b)
{
    return a < b ? a : b;
}

static void product_sgemm(const struct product *p)
{
    const size_t first = p->panel_first * PANEL_COLUMNS;
    const size_t last = minimum(p->panel_last * PANEL_COLUMNS, p->N);
    if (first >= last || p->R == 0)
        return;
    assert(p->R <= INT_MAX && p->K <= INT_MAX && p->N <= INT_MAX && p->lda <= INT_MAX &&
           p->ldc <= INT_MAX);
    if (!p->accumulate && p->bias) {
        for (size_t r = 0; r < p->R; r++)
            memcpy(p->C + r * p->ldc + first, p->bias + first, (last - first) * sizeof(float));
    }
    const float beta = p->accumulate || p->bias ? 1.0f : 0.0f;
    cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasTrans, (int)p->R, (int)(last - first), (int)p->K,
                1.0f, p->A, (int)p->lda, (const float *)p->W + first * p->K, (int)p->K, beta,
                p->C + first, (int)p->ldc);
}

const struct kernels kernels_openblas = {
    .name = "openblas",
    .layout = LAYOUT_ROWS,
    .product = {[PRECISION_FLOAT32] = product_sgemm},
};

/* One BLAS thread: the workers are the parallelism. */
void kernels_openblas_complete(const struct kernels *rest, struct kernels *set)
{
    openblas_set_num_threads(1);
    assert(openblas_get_num_threads() == 1);
    *set = *rest;
    set->name = kernels_openblas.name;
    set->layout = kernels_openblas.layout;
    set->batch_independent = kernels_openblas.batch_independent;
    set->is_fused = false;
    set->product[PRECISION_FLOAT32] = kernels_openblas.product[PRECISION_FLOAT32];
}

const char *kernels_openblas_core(void)
{
    return openblas_get_corename();
}

const char *kernels_openblas_advice(void)
{
    const unsigned features = cpu_features();
    if (strcmp(openblas_get_corename(), "Prescott") != 0)
        return NULL;
    if (features & CPU_AVX512)
        return "SkylakeX";
    return features & CPU_AVX2 ? "Haswell" : NULL;
}

#else

const struct kernels kernels_openblas = {.name = NULL};

void kernels_openblas_complete(const struct kernels *rest, struct kernels *set)
{
    *set = *rest;
}

const char *kernels_openblas_core(void)
{
    return NULL;
}

const char *kernels_openblas_advice(void)
{
    return NULL;
}

#endif
