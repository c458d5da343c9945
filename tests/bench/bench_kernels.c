/* Usage: bench_kernels [SET ...]     (every set that runs here when none is named)
 *        bench_kernels ceilings      (only the rows `peak` and `stream`)
 *
 * The kernels against what this machine was measured to do in the same moment. CSV on standard
 * output, one row a set, operation and shape:
 *
 *     set,op,R,K,N,median_us,best_us,gops,gbytes,bound,percent
 *
 * gops counts a multiply-add as two (for gates and codes: 1e9 units); gbytes is 1e9 bytes, the
 * weights streamed once (for gates: gates, c and h); both from the best time. bound names the
 * ceiling that the shape meets first, percent is the share of it that was reached:
 *     fma    the arithmetic peak of the set's registers (float32, float16, bfloat16)
 *     vnni   the same for int8 dot products
 *     amx    the same for tile registers (int8, bfloat16)
 *     L2 L3  weights / bandwidth, L3 where the weights and rows do not fit in L2
 * Rows with op `peak` and `stream` come first and show the ceilings; they are measured anew
 * beside every product, as clocks and caches are shared with whatever else runs.
 *
 * Work is fixed by shape. Each row: warm-up, then samples of at least SAMPLE_SECONDS of this
 * thread's processor time, so that other programs disturb only the caches; the percentages
 * compare best with best. The streaming ceilings move with the neighbours: over 100 % means that
 * the caches were kinder to the product than to its yardstick. */
#include "core/kernels/kernels.h"
#include "core/network/matrix.h"
#include "core/base/memory.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum {
    SAMPLES = 41,
    CEILING_SAMPLES = 7,
    L2_BYTES = 700 << 10,
    STREAM_L2 = 384 << 10,
    STREAM_L3 = 8 << 20
};

#define SAMPLE_SECONDS 0.0008

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

struct timing {
    double median, best; /* seconds a call */
};

static int compare_doubles(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static struct timing measure(void (*work)(void *), void *argument, size_t n)
{
    double samples[SAMPLES];
    work(argument);
    double start = now();
    work(argument);
    const double once = now() - start;
    const size_t calls = once > SAMPLE_SECONDS ? 1 : (size_t)(SAMPLE_SECONDS / (once + 1e-9)) + 1;
    for (size_t i = 0; i < n; i++) {
        start = now();
        for (size_t j = 0; j < calls; j++)
            work(argument);
        samples[i] = (now() - start) / (double)calls;
    }
    qsort(samples, n, sizeof *samples, compare_doubles);
    return (struct timing){samples[n / 2], samples[0]};
}

static void *allocate(size_t count, size_t size)
{
    void *block = memory_new(count, size);
    if (block)
        return block;
    fprintf(stderr, "bench_kernels: out of memory\n");
    exit(1);
}

/* ---- the ceilings ---- */

static struct {
    double fma512, fma256, vnni512, vnni256, amx_int8, amx_bf16, l2, l3;
} machine;

static volatile float sink;

#if defined(__x86_64__)

enum { PEAK_CHAINS = 12, PEAK_STEPS = 20000, TILE_OPS = 4 * 2 * 16 * 16 };

/* Twelve independent chains of one instruction, written out so that no compiler comes between. */
#define CHAIN(OP, REG, n) OP " %%" REG "0, %%" REG "1, %%" REG #n "\n"
#define CHAINS(OP, REG) \
    CHAIN(OP, REG, 2) \
    CHAIN(OP, REG, 3) \
    CHAIN(OP, REG, 4) \
    CHAIN(OP, REG, 5) \
    CHAIN(OP, REG, 6) CHAIN(OP, REG, 7) CHAIN(OP, REG, 8) CHAIN(OP, REG, 9) CHAIN(OP, REG, 10) \
        CHAIN(OP, REG, 11) CHAIN(OP, REG, 12) CHAIN(OP, REG, 13)
#define PEAK(NAME, OP, REG) \
    static void NAME(void *unused) \
    { \
        size_t steps = PEAK_STEPS; \
        (void)unused; \
        __asm__ volatile("vpxor %%xmm0, %%xmm0, %%xmm0\n vpxor %%xmm1, %%xmm1, %%xmm1\n" \
                         "1:\n" CHAINS(OP, REG) "dec %0\n jnz 1b\n vzeroupper\n" \
                         : "+r"(steps) \
                         : \
                         : "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7", "xmm8", \
                           "xmm9", "xmm10", "xmm11", "xmm12", "xmm13", "cc"); \
    }

PEAK(peak_fma512, "vfmadd231ps", "zmm")
PEAK(peak_fma256, "vfmadd231ps", "ymm")
PEAK(peak_vnni512, "vpdpbusd", "zmm")
PEAK(peak_vnni256, "%{vex%} vpdpbusd", "ymm")

#define TILES  "amx-tile,amx-int8,amx-bf16"
#define TILE_PEAK(NAME, OP) \
    __attribute__((target(TILES))) static void NAME(void *unused) \
    { \
        static const struct { \
            uint8_t palette, unused[15]; \
            uint16_t row_bytes[16]; \
            uint8_t rows[16]; \
        } shapes = {1, {0}, {64, 64, 64, 64, 64, 64, 64, 64}, {16, 16, 16, 16, 16, 16, 16, 16}}; \
        size_t steps = PEAK_STEPS; \
        (void)unused; \
        __asm__ volatile("ldtilecfg %1\n" \
                         "1:\n" OP " %%tmm6, %%tmm4, %%tmm0\n" OP " %%tmm7, %%tmm4, %%tmm1\n" OP \
                         " %%tmm6, %%tmm5, %%tmm2\n" OP " %%tmm7, %%tmm5, %%tmm3\n" \
                         "dec %0\n jnz 1b\n tilerelease\n" \
                         : "+r"(steps) \
                         : "m"(shapes) \
                         : "cc"); \
    }

TILE_PEAK(peak_amx_int8, "tdpbusd")
TILE_PEAK(peak_amx_bf16, "tdpbf16ps")

static double peak(void (*work)(void *), double ops)
{
    const struct timing t = measure(work, NULL, CEILING_SAMPLES);
    return ops * PEAK_STEPS / t.best * 1e-9;
}

static bool set_exists(const char *name)
{
    const struct kernels *set;
    for (size_t i = 0; (set = kernels_available(i)) != NULL; i++) {
        if (strcmp(set->name, name) == 0)
            return true;
    }
    return false;
}

static void measure_peaks(void)
{
    if (set_exists("avx2"))
        machine.fma256 = peak(peak_fma256, 16 * PEAK_CHAINS);
    if (set_exists("avx512"))
        machine.fma512 = peak(peak_fma512, 32 * PEAK_CHAINS);
    if (set_exists("avx512_vnni"))
        machine.vnni512 = peak(peak_vnni512, 128 * PEAK_CHAINS);
    if (set_exists("avxvnni"))
        machine.vnni256 = peak(peak_vnni256, 64 * PEAK_CHAINS);
    if (set_exists("amx")) {
        machine.amx_int8 = peak(peak_amx_int8, TILE_OPS * 64.0);
        machine.amx_bf16 = peak(peak_amx_bf16, TILE_OPS * 32.0);
    }
}

#else

static void measure_peaks(void)
{
}

#endif

/* Reading speed of one core: every cache line once, in order. */
struct stream {
    const char *block;
    size_t bytes;
};

/* With loads as wide as the machine has: narrower ones would meet the limit of loads before that of the
 * cache. */
#define STREAM(NAME, BYTES, ATTRIBUTES) \
    ATTRIBUTES static void NAME(void *argument) \
    { \
        typedef int wide __attribute__((vector_size(BYTES), aligned(BYTES))); \
        const struct stream *s = argument; \
        wide all[4] = {{0}}; \
        for (size_t i = 0; i < s->bytes; i += 256) { \
            for (size_t j = 0; j < 256 / BYTES; j++) \
                all[j % 4] |= *(const wide *)(const void *)(s->block + i + BYTES * j); \
        } \
        all[0] |= all[1] | all[2] | all[3]; \
        sink = (float)all[0][0]; \
    }

STREAM(stream_16, 16, )
#if defined(__x86_64__)
STREAM(stream_32, 32, __attribute__((target("avx2"))))
STREAM(stream_64, 64, __attribute__((target("avx512f"))))
#else
#define stream_32 stream_16
#define stream_64 stream_16
#endif

static double stream(size_t bytes)
{
    static char *block;
    if (!block)
        block = allocate(STREAM_L3, 1);
    void (*const read)(void *) = machine.fma512 > 0   ? stream_64
                                 : machine.fma256 > 0 ? stream_32
                                                      : stream_16;
    const struct timing t = measure(read, &(struct stream){block, bytes}, CEILING_SAMPLES);
    return (double)bytes / t.best * 1e-9;
}

static void measure_machine(void)
{
    measure_peaks();
    machine.l3 = stream(STREAM_L3);
    machine.l2 = stream(STREAM_L2);
}

static void print_machine(void)
{
    measure_machine();
    const struct {
        const char *name;
        double value;
    } peaks[] = {{"fma512", machine.fma512},
                 {"fma256", machine.fma256},
                 {"vnni512", machine.vnni512},
                 {"vnni256", machine.vnni256},
                 {"amx_int8", machine.amx_int8},
                 {"amx_bf16", machine.amx_bf16}};
    for (size_t i = 0; i < sizeof peaks / sizeof *peaks; i++) {
        if (peaks[i].value > 0)
            printf("%s,peak,,,,,,%.1f,,,\n", peaks[i].name, peaks[i].value);
    }
    printf("L2,stream,,,,,,,%.1f,,\nL3,stream,,,,,,,%.1f,,\n", machine.l2, machine.l3);
}

/* openblas borrows all but float32 from the best set. */
static bool has_tiles(const struct kernels *set)
{
    return machine.amx_int8 > 0 && (strcmp(set->name, "amx") == 0 || strcmp(set->name, "openblas") == 0);
}

/* The arithmetic ceiling of a set, 0 where it was not measured. */
static double ceiling(const struct kernels *set, enum precision precision)
{
    const bool blas = strcmp(set->name, "openblas") == 0;
    const bool tiles = has_tiles(set);
    const bool wide = machine.fma512 > 0 && (tiles || strncmp(set->name, "avx512", 6) == 0);
    if (tiles && precision == PRECISION_BFLOAT16)
        return machine.amx_bf16;
    if (precision == PRECISION_INT8) {
        if (tiles)
            return machine.amx_int8;
        if (machine.vnni512 > 0 && (strncmp(set->name, "avx512_", 7) == 0 || blas))
            return machine.vnni512;
        return strcmp(set->name, "avxvnni") == 0 ? machine.vnni256 : 0;
    }
    if (wide || (blas && machine.fma512 > 0))
        return machine.fma512;
    return strncmp(set->name, "avx", 3) == 0 || blas ? machine.fma256 : 0;
}

/* ---- products ---- */

struct product_case {
    const struct matrix *matrix;
    size_t R;
    struct operand A;
    struct target C;
};

static void product_work(void *argument)
{
    const struct product_case *c = argument;
    matrix_multiply(c->matrix, c->R, &c->A, &c->C);
}

static void product_row(const struct kernels *set, enum precision precision,
                        const struct product_case *c)
{
    const size_t K = matrix_inputs(c->matrix), N = matrix_outputs(c->matrix);
    measure_machine();
    const struct timing t = measure(product_work, (void *)(size_t)c, SAMPLES);
    const double ops = 2.0 * (double)c->R * (double)K * (double)N;
    const double bytes = (double)matrix_bytes(c->matrix);
    const size_t code_bytes = precision_code_bytes(precision);
    const double rows = (double)c->R * (double)(4 * N + (code_bytes ? code_bytes : 4) * K);
    const bool near = bytes + rows < L2_BYTES;
    const double gops = ceiling(set, precision), gbytes = near ? machine.l2 : machine.l3;
    const double by_ops = gops > 0 ? ops / gops * 1e-9 : 0;
    const double by_bytes = gbytes > 0 ? bytes / gbytes * 1e-9 : 0;
    const bool arithmetic = by_ops > by_bytes;
    const double bound = arithmetic ? by_ops : by_bytes;
    const bool is_coded = precision_code_bytes(precision) > 0;
    const char *arithmetic_name = is_coded && has_tiles(set)      ? "amx"
                                  : precision == PRECISION_INT8 ? "vnni"
                                                                : "fma";
    printf("%s,%s,%zu,%zu,%zu,%.3f,%.3f,%.1f,%.1f,%s,%.0f\n", set->name, precision_name(precision),
           c->R, K, N, t.median * 1e6, t.best * 1e6, ops / t.best * 1e-9, bytes / t.best * 1e-9,
           arithmetic ? arithmetic_name
           : near     ? "L2"
                      : "L3",
           100 * bound / t.best);
    fflush(stdout);
}

static void fill(float *x, size_t n)
{
    uint32_t state = 1;
    for (size_t i = 0; i < n; i++) {
        state = state * 1664525u + 1013904223u;
        x[i] = (float)(int32_t)state * 0x1p-31f;
    }
}

static void bench_products(const struct kernels *set, size_t K, size_t N)
{
    static const size_t rows[] = {1, 2, 3, 4, 6, 8, 16, 32, 64, 128, 256};
    const size_t n_rows = sizeof rows / sizeof *rows, most = rows[n_rows - 1];
    float *W = allocate(N * K, sizeof *W), *A = allocate(most * K, sizeof *A);
    float *C = allocate(most * N, sizeof *C);
    uint16_t *codes = allocate(most * K, sizeof *codes);
    fill(W, N * K);
    fill(A, most * K);
    for (unsigned i = 0; i < N_PRECISIONS; i++) {
        const size_t stride = K * precision_code_bytes((enum precision)i);
        if (stride)
            matrix_encode((enum precision)i, most, K, A, K, codes, stride);
        struct matrix *matrix;
        if (matrix_new(W, NULL, N, K, (enum precision)i, &matrix) != STATUS_OK)
            exit(1);
        for (size_t j = 0; j < n_rows; j++) {
            const struct product_case c = {
                matrix, rows[j], {A, K, codes, stride}, {.C = C, .stride = N, .accumulate = true}};
            product_row(set, (enum precision)i, &c);
        }
        matrix_free(matrix);
    }
    memory_free(W);
    memory_free(A);
    memory_free(C);
    memory_free(codes);
}

/* ---- gates and arrays ---- */

struct gates_case {
    const struct kernels *set;
    struct gates gates;
    uint8_t *codes;
};

static void gates_work(void *argument)
{
    const struct gates_case *c = argument;
    c->set->lstm_gates(&c->gates);
}

static void quantize_work(void *argument)
{
    const struct gates_case *c = argument;
    c->set->encode[PRECISION_INT8](c->gates.R * c->gates.H, c->gates.h, c->codes);
}

static void bench_gates(const struct kernels *set, size_t R, size_t H)
{
    float *gates = allocate(R * 4 * H, sizeof *gates), *c = allocate(R * H, sizeof *c);
    float *h = allocate(R * H, sizeof *h);
    struct gates_case one = {set, {R, H, gates, 4 * H, c, H, h, H}, allocate(R * H, 1)};
    fill(gates, R * 4 * H);
    const struct timing g = measure(gates_work, &one, SAMPLES);
    const struct timing q = measure(quantize_work, &one, SAMPLES);
    const double units = (double)(R * H);
    printf("%s,lstm_gates,%zu,,%zu,%.3f,%.3f,%.1f,%.1f,,\n", set->name, R, H, g.median * 1e6,
           g.best * 1e6, units / g.best * 1e-9, 28 * units / g.best * 1e-9);
    printf("%s,quantize,%zu,,%zu,%.3f,%.3f,%.1f,%.1f,,\n", set->name, R, H, q.median * 1e6,
           q.best * 1e6, units / q.best * 1e-9, 5 * units / q.best * 1e-9);
    memory_free(gates);
    memory_free(c);
    memory_free(h);
    memory_free(one.codes);
}

static bool is_named(int count, char **names, const char *name)
{
    for (int i = 0; i < count; i++) {
        if (strcmp(names[i], name) == 0)
            return true;
    }
    return count == 0;
}

int main(int argc, char **argv)
{
    static const struct {
        size_t K, N;
    } shapes[] = {{128, 512}, {512, 2048}, {1024, 2048}};
    const struct kernels *set;
    printf("set,op,R,K,N,median_us,best_us,gops,gbytes,bound,percent\n");
    print_machine();
    if (argc == 2 && strcmp(argv[1], "ceilings") == 0)
        return 0;
    for (size_t i = 0; (set = kernels_available(i)) != NULL; i++) {
        struct error err;
        if (!is_named(argc - 1, argv + 1, set->name))
            continue;
        if (kernels_select(set->name, &err) != STATUS_OK)
            return 1;
        for (size_t s = 0; s < sizeof shapes / sizeof *shapes; s++)
            bench_products(set, shapes[s].K, shapes[s].N);
        bench_gates(set, 1, 512);
        bench_gates(set, 64, 512);
    }
    return 0;
}
