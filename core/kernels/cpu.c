#define _DEFAULT_SOURCE /* syscall */
#include "core/kernels/cpu.h"

#if defined(__x86_64__)

#include <cpuid.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/syscall.h>
#include <unistd.h>

/* Bits of cpuid leaf 1 (ecx), leaf 7 (ebx, ecx, edx) and leaf 7.1 (eax), and of XCR0. */
enum {
    LEAF1_FMA = 12,
    LEAF1_OSXSAVE = 27,
    LEAF1_AVX = 28,
    LEAF1_F16C = 29,
    LEAF7_AVX2 = 5,
    LEAF7_AVX512F = 16,
    LEAF7_AVX512DQ = 17,
    LEAF7_AVX512BW = 30,
    LEAF7_AVX512VL = 31,
    LEAF7_ECX_VNNI = 11,
    LEAF7_EDX_AMX_BF16 = 22,
    LEAF7_EDX_AMX_TILE = 24,
    LEAF7_EDX_AMX_INT8 = 25,
    LEAF71_AVXVNNI = 4,
    LEAF71_AVX512_BF16 = 5,
    XCR0_YMM = 0x06, /* xmm and ymm registers */
    XCR0_ZMM = 0xe6, /* and mask registers, both halves of zmm */
    XCR0_TILES = 0x60000,
};

/* arch/x86/include/uapi/asm/prctl.h of Linux 5.16, which is newer than some headers. */
enum { REQUEST_STATE = 0x1023, TILE_DATA = 18 };

static bool has(uint32_t word, unsigned bit)
{
    return word >> bit & 1;
}

static uint32_t kept_state(void)
{
    uint32_t low, high;
    __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
    return low;
}

/* Tile registers are larger than the rest together, so that Linux keeps them only for who asks. */
static bool tiles_granted(void)
{
    return syscall(SYS_arch_prctl, REQUEST_STATE, TILE_DATA) == 0;
}

unsigned cpu_features(void)
{
    uint32_t a, b, c, d, a71 = 0, b71, c71, d71;
    if (!__get_cpuid(1, &a, &b, &c, &d))
        return CPU_ANY;
    if (!has(c, LEAF1_OSXSAVE) || !has(c, LEAF1_AVX))
        return CPU_ANY;
    const bool fused = has(c, LEAF1_FMA) && has(c, LEAF1_F16C);
    const uint32_t kept = kept_state();
    if (!__get_cpuid_count(7, 0, &a, &b, &c, &d))
        return CPU_ANY;
    if (a >= 1)
        __get_cpuid_count(7, 1, &a71, &b71, &c71, &d71);

    if (!fused || !has(b, LEAF7_AVX2) || (kept & XCR0_YMM) != XCR0_YMM)
        return CPU_ANY;
    unsigned features = CPU_AVX2;
    if (has(a71, LEAF71_AVXVNNI))
        features |= CPU_AVXVNNI;
    if ((kept & XCR0_ZMM) == XCR0_ZMM && has(b, LEAF7_AVX512F) && has(b, LEAF7_AVX512DQ) &&
        has(b, LEAF7_AVX512BW) && has(b, LEAF7_AVX512VL)) {
        features |= CPU_AVX512;
        if (has(c, LEAF7_ECX_VNNI))
            features |= CPU_AVX512_VNNI;
        if (has(a71, LEAF71_AVX512_BF16))
            features |= CPU_AVX512_BF16;
        if ((kept & XCR0_TILES) == XCR0_TILES && has(d, LEAF7_EDX_AMX_TILE) && has(d, LEAF7_EDX_AMX_INT8) &&
            has(d, LEAF7_EDX_AMX_BF16) && tiles_granted())
            features |= CPU_AMX;
    }
    return features;
}

#elif defined(__aarch64__)

#include <sys/auxv.h>

/* Bits of the auxiliary vector that every program has: arch/arm64/include/uapi/asm/hwcap.h of Linux. */
#define CAPABLE_DOTPROD (1ul << 20) /* of AT_HWCAP */
#define CAPABLE_I8MM    (1ul << 13) /* of AT_HWCAP2 */

unsigned cpu_features(void)
{
    unsigned features = CPU_NEON;
    if (getauxval(AT_HWCAP) & CAPABLE_DOTPROD) {
        features |= CPU_DOTPROD;
        if (getauxval(AT_HWCAP2) & CAPABLE_I8MM)
            features |= CPU_I8MM;
    }
    return features;
}

#else

unsigned cpu_features(void)
{
    return CPU_ANY;
}

#endif
