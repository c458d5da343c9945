/* Any layers as --network, and any file for their tensors: two bytes of length, JSON, and the file. What
 * becomes a plan also goes through the reference. */
#include <assert.h>
#include <string.h>

#include "models/import/import.h"
#include "models/plan/reference.h"
#include "models/readers/keras.h"
#include "models/readers/state_dict.h"
#include "models/text/json.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void run_reference(const struct plan *plan)
{
    static const int32_t ids[3];
    struct reference *reference;
    struct error err = {.message = ""};
    struct outputs out;
    enum status status = plan->n_parts ? reference_new(plan, &reference, &err) : STATUS_BAD_VALUE;
    if (status != STATUS_OK) return;
    const struct part *input = plan_input(plan);
    double *rows = pool_take(plan->pool, 3 * input->in + 1, sizeof *rows);
    if (!rows) return;
    if (plan->n_encoder) status = reference_translate(reference, ids, 3, ids, 2, &out, &err);
    else status = reference_run(reference, plan_reads_ids(input) ? ids : NULL, rows, 3, &out, &err);
    assert(status == STATUS_OK || err.message[0]);
}

static enum status read_file(const uint8_t *file, size_t n, struct source *source, struct error *err)
{
    struct zip zip;
    if (n > 4 && memcmp(file, "\x89HDF", 4) == 0) return keras_tensors_h5(file, n, source, err);
    if (n < 4 || memcmp(file, "PK\3\4", 4)) return foreign_read(file, n, source, err);
    enum status status = zip_open(file, n, source->pool, &zip, err);
    if (status != STATUS_OK) return status;
    if (zip_find_exactly(&zip, "model.weights.h5")) return keras_tensors_zip(file, n, source, err);
    return torch_read_zip(file, n, source, err);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    size_t bytes = size < 2 ? 0 : (size_t)data[0] << 8 | data[1];
    if (size < 2 || bytes > size - 2) return 0;
    struct pool *pool = pool_new(1 << 26);
    struct report report = {.pool = pool};
    struct source source = {.pool = pool, .report = &report};
    struct plan *plan = pool ? pool_take(pool, 1, sizeof *plan) : NULL;
    const struct options options = {.pooling = "last"};
    struct error err = {.message = ""};
    struct json *network = NULL;
    char *text = pool ? pool_text(pool, (const char *)data + 2, bytes) : NULL;
    if (plan && text && json_parse(text, bytes, &network, &err) == STATUS_OK) {
        plan->pool = pool;
        plan->report = &report;
        enum status status = read_file(data + 2 + bytes, size - 2 - bytes, &source, &err);
        plan->checkpoint = source.checkpoint;
        if (status == STATUS_OK) status = state_dict_plan(&source, &options, network, plan, &err);
        if (status == STATUS_OK) run_reference(plan);
        else assert(err.message[0]);
    }
    keras_release(source.keras);
    json_free(network);
    pool_free(pool);
    return 0;
}
