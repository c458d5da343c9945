/* OpenBLAS as a kernel set: its sgemm on the weights as given, everything else from the best set
 * that runs here. It is the portable backend for processors we have no kernels for, and the
 * second opinion in the tests. Its sums depend on the batch, so it is not batch independent.
 *
 * The library is loaded when the set is first asked for, not linked: as soon as it is loaded it starts
 * threads, unless its environment variable says otherwise at that moment. Each thread that uses it wants
 * 128 MiB of address space, and asks for ever if the system refuses; so the process would never exit.
 *
 * Build with -DWITHOUT_OPENBLAS to leave it out. */
#define _DEFAULT_SOURCE /* MAP_ANONYMOUS */
#include "core/kernels/kernel_sets.h"

#ifndef WITHOUT_OPENBLAS

#include "core/kernels/cpu.h"

#include <assert.h>
#include <cblas.h>
#include <dlfcn.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#define LIBRARY "libopenblas.so.0"

/* Address space that there must be: the library, and buffers of a few workers. */
enum { LEAST_MEBIBYTES = 512 };

static struct {
    __typeof__(cblas_sgemm) *sgemm;
    __typeof__(openblas_get_corename) *corename;
    void *handle; /* NULL: not loaded */
} blas;

static bool has_room(void)
{
    const size_t bytes = (size_t)LEAST_MEBIBYTES << 20;
    void *probe = mmap(NULL, bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    return probe != MAP_FAILED && munmap(probe, bytes) == 0;
}

/* One thread: the workers are the parallelism. Not for two threads at a time. */
static enum status load(struct error *err)
{
    if (blas.handle) return STATUS_OK;
    if (!has_room())
        return error_set(err, STATUS_UNSUPPORTED,
                         "kernel set 'openblas': less than %d MiB of address space are left (ulimit -v); "
                         "raise the limit or set scheduler.kernels to auto",
                         LEAST_MEBIBYTES);
    if (setenv("OPENBLAS_NUM_THREADS", "1", 1)) return error_set(err, STATUS_NO_MEMORY, "no memory");
    void *handle = dlopen(LIBRARY, RTLD_NOW | RTLD_LOCAL);
    /* POSIX lets a function's address be stored so, ISO C does not let it be cast. */
    if (handle) *(void **)&blas.sgemm = dlsym(handle, "cblas_sgemm");
    if (handle) *(void **)&blas.corename = dlsym(handle, "openblas_get_corename");
    if (!handle || !blas.sgemm || !blas.corename)
        return error_set(err, STATUS_UNSUPPORTED,
                         "kernel set 'openblas': %s cannot be used: %s; install it (Debian: "
                         "libopenblas0-pthread) or set scheduler.kernels to auto",
                         LIBRARY, handle ? "it has no cblas_sgemm" : dlerror());
    blas.handle = handle;
    return STATUS_OK;
}

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
    blas.sgemm(CblasRowMajor, CblasNoTrans, CblasTrans, (int)p->R, (int)(last - first), (int)p->K,
               1.0f, p->A, (int)p->lda, (const float *)p->W + first * p->K, (int)p->K, beta,
               p->C + first, (int)p->ldc);
}

const struct kernels kernels_openblas = {
    .name = "openblas",
    .layout = LAYOUT_ROWS,
    .product = {[PRECISION_FLOAT32] = product_sgemm},
};

enum status kernels_openblas_complete(const struct kernels *rest, struct kernels *set, struct error *err)
{
    enum status status = load(err);
    if (status != STATUS_OK) return status;
    *set = *rest;
    set->name = kernels_openblas.name;
    set->layout = kernels_openblas.layout;
    set->batch_independent = kernels_openblas.batch_independent;
    set->is_fused = false;
    set->product[PRECISION_FLOAT32] = kernels_openblas.product[PRECISION_FLOAT32];
    return STATUS_OK;
}

const char *kernels_openblas_core(void)
{
    return load(NULL) == STATUS_OK ? blas.corename() : NULL;
}

const char *kernels_openblas_advice(void)
{
    const unsigned features = cpu_features();
    const char *core = kernels_openblas_core();
    if (!core || strcmp(core, "Prescott") != 0)
        return NULL;
    if (features & CPU_AVX512)
        return "SkylakeX";
    return features & CPU_AVX2 ? "Haswell" : NULL;
}

#else

const struct kernels kernels_openblas = {.name = NULL};

enum status kernels_openblas_complete(const struct kernels *rest, struct kernels *set, struct error *err)
{
    (void)rest, (void)set;
    return error_set(err, STATUS_UNSUPPORTED, "kernel set 'openblas': not in this build");
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
