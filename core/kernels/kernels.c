/* Which kernel set runs. The table kernels.def is walked best first; a set counts if it was
 * compiled and the processor has what its row asks for. The active set is one pointer, written
 * by kernels_select before other threads start and only read afterwards. */
#include "core/kernels/kernels.h"

#include "core/kernels/kernel_sets.h"
#include "core/kernels/cpu.h"

#include <string.h>

static const struct kernels *active = &kernels_portable;
static struct kernels openblas; /* kernels_openblas, completed with the best of the others */

const char *precision_name(enum precision precision)
{
    static const char *const names[] = {
#define X(name, text, weight_bytes, code_bytes) [PRECISION_##name] = (text),
#include "core/kernels/precision.def"
    };
    return names[precision];
}

size_t precision_code_bytes(enum precision precision)
{
    static const size_t sizes[] = {
#define X(name, text, weight_bytes, code_bytes) [PRECISION_##name] = (code_bytes),
#include "core/kernels/precision.def"
    };
    return sizes[precision];
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
#include "core/kernels/kernels.def"
};

enum { N_ROWS = sizeof rows / sizeof *rows };

static bool row_runs(const struct row *row)
{
    return row->set->name && (cpu_features() & row->needs) == row->needs;
}

/* The row's set if it was compiled and runs here, otherwise NULL, and *err says why. */
static const struct kernels *row_set(const struct row *row, struct error *err)
{
    if (!row_runs(row)) {
        error_set(err, STATUS_UNSUPPORTED, "kernel set '%s': not %s", row->name,
                  row->set->name ? "supported by this processor" : "in this build");
        return NULL;
    }
    if (row->set != &kernels_openblas)
        return row->set;
    if (!openblas.name && kernels_openblas_complete(kernels_available(0), &openblas, err) != STATUS_OK)
        return NULL;
    return &openblas;
}

const char *kernels_available_name(size_t index)
{
    for (size_t i = 0; i < N_ROWS; i++)
        if (row_runs(&rows[i]) && index-- == 0)
            return rows[i].name;
    return NULL;
}

const struct kernels *kernels_available(size_t index)
{
    for (size_t i = 0; i < N_ROWS; i++) {
        const struct kernels *set = row_set(&rows[i], NULL);
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
        const struct kernels *set = row_set(&rows[i], err);
        if (set) {
            active = set;
            return STATUS_OK;
        }
        if (!any)
            return STATUS_UNSUPPORTED;
    }
    return error_set(err, STATUS_BAD_VALUE,
                     "kernel set '%s': expected 'auto' or one of kernels.def", name);
}

const struct kernels *kernels_active(void)
{
    return active;
}
