/* Any bytes as a file to import, of whichever format they begin like: a plan or a sentence. What becomes a
 * plan also goes through the reference. */
#include <assert.h>
#include <string.h>

#include "models/import/import.h"
#include "models/plan/reference.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void run_reference(const struct plan *plan)
{
    static const int32_t ids[2];
    struct reference *reference;
    struct error err = {.message = ""};
    struct outputs out;
    const char *first = plan->n_parts ? plan->parts[0].type : "";
    bool reads_ids = !strcmp(first, "embedding") || !strcmp(first, "one_hot");
    if (!*first || reference_new(plan, &reference, &err) != STATUS_OK) return;
    double *rows = pool_take(plan->pool, 2 * plan->parts[0].in + 1, sizeof *rows);
    if (rows && reference_run(reference, reads_ids ? ids : NULL, rows, 2, &out, &err) != STATUS_OK)
        assert(err.message[0]);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct pool *pool = pool_new(1 << 26);
    struct report report = {.pool = pool};
    struct plan *plan = pool ? pool_take(pool, 1, sizeof *plan) : NULL;
    const struct options options = {.pooling = "last"};
    struct error err = {.message = ""};
    const char *origin = "";
    if (plan) {
        plan->pool = pool;
        plan->report = &report;
        if (import_read(data, size, NULL, &options, plan, &origin, &err) == STATUS_OK) run_reference(plan);
        else assert(err.message[0]);
    }
    pool_free(pool);
    return 0;
}
