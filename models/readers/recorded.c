#include "models/readers/recorded.h"

#include <math.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "models/plan/reference.h"

enum { MAX_FILE = 1 << 28, NAME_BYTES = 64 };

static const double TOLERANCE = 1e-4;

enum status recorded_read(struct onnx_file *file, const struct folder *folder, const char *kind, size_t i,
                          const struct tensor **out, struct error *err)
{
    char name[NAME_BYTES];
    struct file opened;
    *out = NULL;
    snprintf(name, sizeof name, "%s_%zu.pb", kind, i);
    if (!folder || !folder_has(folder, name)) return STATUS_OK;
    enum status status = folder_open_file(folder, name, MAX_FILE, &opened, err);
    if (status != STATUS_OK) return status;
    uint8_t *bytes = pool_take(file->pool, (size_t)opened.bytes + 1, 1);
    struct tensor *tensor = pool_small(file->pool, sizeof *tensor);
    status =
        bytes && tensor ? file_read(opened.fd, name, 0, bytes, (size_t)opened.bytes, err) : pool_spent(err);
    close(opened.fd);
    if (status == STATUS_OK) status = onnx_tensor(file, bytes, (size_t)opened.bytes, tensor, err);
    if (status == STATUS_OK) *out = tensor;
    return status;
}

/* What the source applies behind its last layer. */
static void finish(const struct plan *plan, double *row, size_t n)
{
    double largest = row[0], sum = 0;
    for (size_t i = 0; i < n; i++) largest = row[i] > largest ? row[i] : largest;
    for (size_t i = 0; i < n; i++) sum += exp(row[i] - largest);
    for (size_t i = 0; i < n; i++)
        row[i] = plan->end == END_SOFTMAX   ? exp(row[i] - largest) / sum
                 : plan->end == END_SIGMOID ? 1 / (1 + exp(-row[i]))
                                            : row[i];
}

struct recording {
    const struct plan *plan;
    const struct reference *reference;
    const double *input, *output; /* of all sequences */
    size_t B, T, width_in, n_output;
    double largest;
};

/* One sequence of the batch. */
static enum status check_one(struct recording *r, size_t b, struct error *err)
{
    struct pool *pool = r->plan->pool;
    bool ids = !strcmp(r->plan->parts[0].type, "embedding") || !strcmp(r->plan->parts[0].type, "one_hot");
    int32_t *tokens = pool_take(pool, r->T, sizeof *tokens);
    double *rows = pool_take(pool, r->T * r->width_in, sizeof *rows);
    struct outputs found;
    if (!tokens || !rows) return pool_spent(err);
    for (size_t t = 0; t < r->T; t++) {
        size_t at = (r->plan->step_first ? t * r->B + b : b * r->T + t) * r->width_in;
        memcpy(rows + t * r->width_in, r->input + at, r->width_in * sizeof *rows);
        double id = rows[t * r->width_in];
        tokens[t] = ids && id >= 0 && id < 1e9 ? (int32_t)id : 0;
    }
    enum status status =
        reference_run(r->reference, ids ? tokens : NULL, ids ? NULL : rows, r->T, &found, err);
    if (status != STATUS_OK) return status;
    size_t each = r->n_output / r->B, n = each == found.width ? 1 : found.n;
    if (each != n * found.width)
        return error_set(err, STATUS_UNSUPPORTED,
                         "the recorded outputs (test_data_set_0) have another shape than the network's");
    double *row = pool_take(pool, found.width, sizeof *row);
    if (!row) return pool_spent(err);
    for (size_t i = 0; i < n; i++) {
        memcpy(row, found.values + (n == 1 ? found.n - 1 : i) * found.width, found.width * sizeof *row);
        finish(r->plan, row, found.width);
        size_t at = n == 1 ? b : r->plan->step_first ? i * r->B + b : b * n + i;
        for (size_t j = 0; j < found.width; j++) {
            double expected = r->output[at * found.width + j], difference = fabs(row[j] - expected);
            if (!(difference <= TOLERANCE * fmax(1, fabs(expected))))
                return error_set(err, STATUS_BAD_GOLDEN,
                                 "the recorded outputs (test_data_set_0) differ: sequence %zu, output %zu is "
                                 "%.7g, recorded %.7g",
                                 b, j, row[j], expected);
            r->largest = fmax(r->largest, difference);
        }
    }
    return STATUS_OK;
}

enum status recorded_check(const struct plan *plan, struct error *err)
{
    const struct tensor *in = plan->recorded_input, *out = plan->recorded_output;
    struct recording r = {.plan = plan};
    double *input, *output;
    struct reference *reference;
    if (!in || !out || plan->n_parts == 0) return STATUS_OK;
    if (in->rank < 2 || in->rank > 3 || in->n_values == 0 || out->n_values == 0)
        return error_set(err, STATUS_UNSUPPORTED,
                         "the recorded inputs (test_data_set_0) have another shape than the network's");
    r.B = in->shape[plan->step_first ? 1 : 0], r.T = in->shape[plan->step_first ? 0 : 1];
    r.width_in = in->rank == 3 ? in->shape[2] : 1;
    bool ids = in->rank == 2;
    if (!ids && r.width_in != plan->parts[0].in)
        return error_set(err, STATUS_UNSUPPORTED,
                         "the recorded inputs (test_data_set_0) have another width than the network's");
    r.n_output = out->n_values;
    enum status status = tensor_doubles(in, plan->pool, &input, err);
    if (status == STATUS_OK) status = tensor_doubles(out, plan->pool, &output, err);
    if (status == STATUS_OK) status = reference_new(plan, &reference, err);
    if (status != STATUS_OK) return status;
    r.input = input, r.output = output, r.reference = reference;
    for (size_t b = 0; b < r.B && status == STATUS_OK; b++) status = check_one(&r, b, err);
    if (status == STATUS_OK)
        report_fact(plan->report, "recorded", pool_print(plan->pool, "%zu sequences", r.B),
                    pool_print(plan->pool, "of test_data_set_0 met, largest difference %.2g", r.largest));
    return status;
}
