#include "models/readers/recorded.h"

#include <math.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "models/plan/reference.h"

enum { MAX_FILE = 1 << 28, NAME_BYTES = 64, MAX_STATES = 16 };

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

size_t recorded_batch(const struct plan *plan)
{
    const struct tensor *in = plan->recorded_input;
    return in && in->rank >= 2 ? in->shape[plan->step_first ? 1 : 0] : 0;
}

bool recorded_states(const struct plan *plan)
{
    bool found = false;
    for (size_t i = 0; i < plan->n_parts; i++)
        found = found || plan->parts[i].fed_h || plan->parts[i].fed_c;
    return found;
}

enum status recorded_rows(struct plan *plan, size_t b, const double **rows, size_t *n, struct error *err)
{
    const struct tensor *in = plan->recorded_input;
    size_t B = recorded_batch(plan), width = in->rank == 3 ? in->shape[2] : 1;
    enum status status = STATUS_OK;
    *n = in->shape[plan->step_first ? 0 : 1];
    if (!plan->recorded_values) status = tensor_doubles(in, plan->pool, &plan->recorded_values, err);
    if (status != STATUS_OK) return status;
    double *own;
    *rows = own = pool_take(plan->pool, *n * width, sizeof *own);
    if (!own) return pool_spent(err);
    for (size_t t = 0; t < *n; t++)
        memcpy(own + t * width, plan->recorded_values + (plan->step_first ? t * B + b : b * *n + t) * width,
               width * sizeof *own);
    return STATUS_OK;
}

static enum status state_of(struct pool *pool, const struct tensor *fed, size_t b, const struct tensor **out,
                            struct error *err)
{
    if (!fed) return STATUS_OK;
    if (b >= fed->shape[1])
        return error_set(err, STATUS_UNSUPPORTED,
                         "the recorded initial states (test_data_set_0) are of %zu sequences, but the inputs "
                         "of more",
                         fed->shape[1]);
    const struct tensor *layer = plan_slice(pool, fed, 0, err);
    *out = layer ? plan_slice(pool, layer, b, err) : NULL;
    return *out ? STATUS_OK : err->status;
}

enum status recorded_begin(struct plan *plan, size_t b, struct error *err)
{
    enum status status = STATUS_OK;
    for (size_t i = 0; i < plan->n_parts && status == STATUS_OK; i++) {
        struct part *part = &plan->parts[i];
        status = state_of(plan->pool, part->fed_h, b, &part->cells[0].h0, err);
        if (status == STATUS_OK) status = state_of(plan->pool, part->fed_c, b, &part->cells[0].c0, err);
    }
    return status;
}

void recorded_end(struct plan *plan)
{
    for (size_t i = 0; i < plan->n_parts; i++) {
        if (plan->parts[i].fed_h) plan->parts[i].cells[0].h0 = NULL;
        if (plan->parts[i].fed_c) plan->parts[i].cells[0].c0 = NULL;
    }
}

struct recording {
    struct plan *plan;
    const struct reference *reference; /* NULL: one for each sequence, which begins with its own state */
    const double *output;              /* of all sequences */
    size_t B, width_in, n_output;
    double largest;
};

/* What the network gives for sequence b. */
static enum status run_one(struct recording *r, size_t b, struct outputs *found, struct error *err)
{
    const char *first = plan_input(r->plan)->type;
    bool ids = !strcmp(first, "embedding") || !strcmp(first, "one_hot");
    const struct reference *reference = r->reference;
    struct reference *own = NULL;
    const double *rows;
    size_t n;
    enum status status = recorded_rows(r->plan, b, &rows, &n, err);
    if (status != STATUS_OK) return status;
    int32_t *tokens = pool_take(r->plan->pool, n, sizeof *tokens);
    if (!tokens) return pool_spent(err);
    for (size_t t = 0; t < n; t++) {
        double id = rows[t * r->width_in];
        tokens[t] = ids && id >= 0 && id < 1e9 ? (int32_t)id : 0;
    }
    if (!reference) {
        status = recorded_begin(r->plan, b, err);
        if (status == STATUS_OK) status = reference_new(r->plan, &own, err);
        reference = own;
    }
    if (status == STATUS_OK)
        status = reference_run(reference, ids ? tokens : NULL, ids ? NULL : rows, n, found, err);
    recorded_end(r->plan);
    return status;
}

/* One sequence of the batch. */
static enum status check_one(struct recording *r, size_t b, struct error *err)
{
    struct pool *pool = r->plan->pool;
    struct outputs found;
    enum status status = run_one(r, b, &found, err);
    if (status != STATUS_OK) return status;
    size_t each = r->n_output / recorded_batch(r->plan), n = each == found.width ? 1 : found.n;
    if (each != n * found.width)
        return error_set(err, STATUS_UNSUPPORTED,
                         "the recorded outputs (test_data_set_0) have another shape than the network's");
    double *row = pool_take(pool, found.width, sizeof *row);
    if (!row) return pool_spent(err);
    for (size_t i = 0; i < n; i++) {
        memcpy(row, found.values + (n == 1 ? found.n - 1 : i) * found.width, found.width * sizeof *row);
        finish(r->plan, row, found.width);
        size_t at = n == 1 ? b : r->plan->step_first ? i * recorded_batch(r->plan) + b : b * n + i;
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

enum status recorded_check(struct plan *plan, struct error *err)
{
    const struct tensor *in = plan->recorded_input, *out = plan->recorded_output;
    struct recording r = {.plan = plan};
    double *output;
    if (!in || !out || plan->n_parts == 0) return STATUS_OK;
    if (in->rank < 2 || in->rank > 3 || in->n_values == 0 || out->n_values == 0)
        return error_set(err, STATUS_UNSUPPORTED,
                         "the recorded inputs (test_data_set_0) have another shape than the network's");
    r.B = recorded_batch(plan);
    r.width_in = in->rank == 3 ? in->shape[2] : 1;
    if (in->rank == 3 && r.width_in != plan_input(plan)->in)
        return error_set(err, STATUS_UNSUPPORTED,
                         "the recorded inputs (test_data_set_0) have another width than the network's");
    r.n_output = out->n_values;
    enum status status = tensor_doubles(out, plan->pool, &output, err);
    struct reference *reference = NULL;
    bool states = recorded_states(plan);
    if (status == STATUS_OK && !states) status = reference_new(plan, &reference, err);
    if (states && r.B > MAX_STATES) r.B = MAX_STATES; /* a reference for each costs as much as the weights */
    r.output = output;
    r.reference = reference;
    for (size_t b = 0; b < r.B && status == STATUS_OK; b++) status = check_one(&r, b, err);
    if (status == STATUS_OK)
        report_fact(plan->report, "recorded", pool_print(plan->pool, "%zu sequences", r.B),
                    pool_print(plan->pool, "of test_data_set_0 met, largest difference %.2g", r.largest));
    return status;
}
