/* kernel_sets: the tables that the selection chooses from; private to core/kernels and core/kernel_sets.
 *
 * Each set of kernels.def is one constant struct in one file, core/kernel_sets/<set>.c, compiled with
 * the flags of that instruction set alone. On another architecture the file compiles to an empty
 * table (name NULL), which the selection skips, so that no list of files depends on the machine. */
#ifndef CAROUSEL_CORE_KERNEL_SETS_H
#define CAROUSEL_CORE_KERNEL_SETS_H

#include "core/kernels/kernels.h"

#define X(set, needs) extern const struct kernels kernels_##set;
#include "core/kernels/kernels.def"

/* openblas differs: it lends its float32 product to the best set that runs here, which supplies
 * the rest. Loads the library, and writes the completed table to *set, once, before its first use.
 * STATUS_UNSUPPORTED if the library cannot be loaded. */
MUST_CHECK enum status kernels_openblas_complete(const struct kernels *rest, struct kernels *set,
                                                 struct error *err);

#endif
