/* Which kernel set runs. The table kernels.def is walked best first; a set counts where it was
 * compiled and the processor has what its row asks for. The active set is one pointer, written
 * by kernels_select before other threads start and only read afterwards. */
#include "core/kernels.h"

#include "core/kernel_sets.h"
#include "core/kernels_cpu.h"

#include <string.h>

static const struct kernels *active = &kernels_portable;
static struct kernels openblas; /* kernels_openblas, completed with the best of the others */

const char *precision_name(enum precision precision)
{
    static const char *const names[] = {
#define X(name, text, bytes) [PRECISION_##name] = (text),
#include "core/precision.def"
#undef X
    };
    return names[precision];
}

enum status precision_find(const char *name, enum precision *precision)
{
    for (unsigned i = 0; i < N_PRECISIONS; i++) {
        if (strcmp(name, precision_name((enum precision)i)) != 0)
            continue;
        *precision = (enum precision)i;
        return STATUS_OK;
    }
    return STATUS_BAD_VALUE;
}

static const struct row {
    const char *name;
    const struct kernels *set;
    unsigned needs;
} rows[] = {
#define X(set, needs) {#set, &kernels_##set, needs},
#include "core/kernels.def"
#undef X
};

enum { N_ROWS = sizeof rows / sizeof *rows };

/* The row's set where it was compiled and runs here, otherwise NULL. */
static const struct kernels *row_set(const struct row *row)
{
    if (!row->set->name || (cpu_features() & row->needs) != row->needs)
        return NULL;
    if (row->set != &kernels_openblas)
        return row->set;
    if (!openblas.name)
        kernels_openblas_complete(kernels_available(0), &openblas);
    return &openblas;
}

const struct kernels *kernels_available(size_t index)
{
    for (size_t i = 0; i < N_ROWS; i++) {
        const struct kernels *set = row_set(&rows[i]);
        if (set && index-- == 0)
            return set;
    }
    return NULL;
}

enum status kernels_select(const char *name, struct error *err)
{
    const bool any = strcmp(name, "auto") == 0;
    for (size_t i = 0; i < N_ROWS; i++) {
        if (!any && strcmp(name, rows[i].name) != 0)
            continue;
        const struct kernels *set = row_set(&rows[i]);
        if (set) {
            active = set;
            return STATUS_OK;
        }
        if (any)
            continue;
        return error_set(err, STATUS_UNSUPPORTED, "kernel set '%s': not %s", name,
                         rows[i].set->name ? "supported by this processor" : "in this build");
    }
    return error_set(err, STATUS_BAD_VALUE,
                     "kernel set '%s': expected 'auto' or one of kernels.def", name);
}

const struct kernels *kernels_active(void)
{
    return active;
}
