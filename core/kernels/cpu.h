/* kernels_cpu: what this processor can run, as far as the operating system lets it.
 *
 * A processor may have registers that the system does not save when it switches threads (old
 * kernels, some hypervisors); using them would fault or corrupt. So a feature counts only if
 * the extended control register says that its register state is kept. */
#ifndef CAROUSEL_CORE_KERNELS_CPU_H
#define CAROUSEL_CORE_KERNELS_CPU_H

/* One bit for each group of instructions that a row of kernels.def may need. */
enum cpu {
    CPU_ANY = 0,
    CPU_AVX2 = 1,        /* AVX2, FMA, F16C; ymm state kept */
    CPU_AVXVNNI = 2,     /* the above and AVX-VNNI */
    CPU_AVX512 = 4,      /* CPU_AVX2 and AVX-512 F, BW, DQ, VL; zmm and mask state kept */
    CPU_AVX512_VNNI = 8, /* the above and AVX512-VNNI */
    CPU_AVX512_BF16 = 16, /* CPU_AVX512 and AVX512-BF16 */
    CPU_NEON = 32,       /* Advanced SIMD: every 64-bit Arm */
    CPU_DOTPROD = 64,    /* the above and FEAT_DotProd: SDOT */
    CPU_I8MM = 128,      /* the above and FEAT_I8MM: USMMLA */
    CPU_AMX = 256,       /* AMX-INT8 and AMX-BF16; tile state kept, and granted to this process */
};

/* The bits of enum cpu that hold here. Any thread. */
unsigned cpu_features(void);

#endif
