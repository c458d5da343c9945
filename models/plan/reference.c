#include "models/plan/reference.h"

#include <math.h>
#include <string.h>

/* The numbers of one direction of one layer, as the source has them. */
struct numbers {
    double *w_in, *w_rec, *b_in, *b_rec, *proj, *peephole, *h0, *c0;
};

struct layer_numbers {
    struct numbers cells[PLAN_MAX_CELLS];
    double *weight, *bias, *mean, *variance;
};

struct reference {
    const struct plan *plan;
    struct layer_numbers *layers; /* [n_parts] */
};

/* [n, width] of what flows between layers. */
struct rows {
    double *values;
    size_t n, width;
    const double *final; /* h of each direction after its last step, if a recurrent layer gave the rows */
};

/* ------------------------------------------------------------------------------------------
 * Functions of one number */

static double sigmoid(double x)
{
    return 1 / (1 + exp(-x));
}
static double relu(double x)
{
    return x > 0 ? x : 0;
}
static double clip(double x)
{
    return x < 0 ? 0 : x > 1 ? 1 : x;
}
static double hard_sigmoid(double x)
{
    return clip(x / 6 + 0.5);
} /* Keras 3, PyTorch */
static double hard_sigmoid_keras2(double x)
{
    return clip(0.2 * x + 0.5);
} /* Keras 1 and 2, ONNX */
static double silu(double x)
{
    return x * sigmoid(x);
}
static double gelu(double x)
{
    return 0.5 * x * (1 + erf(x / sqrt(2)));
}
static double gelu_tanh(double x)
{
    return 0.5 * x * (1 + tanh(sqrt(2 / acos(-1)) * (x + 0.044715 * x * x * x)));
}
static double elu(double x)
{
    return x > 0 ? x : expm1(x);
}
static double softplus(double x)
{
    return x > 30 ? x : log1p(exp(x));
}

static const struct {
    const char *name;
    double (*function)(double x);
} functions[] = {
    {"sigmoid", sigmoid},
    {"tanh", tanh},
    {"relu", relu},
    {"hard_sigmoid", hard_sigmoid},
    {"hard_sigmoid_keras2", hard_sigmoid_keras2},
    {"silu", silu},
    {"gelu", gelu},
    {"gelu_tanh", gelu_tanh},
    {"elu", elu},
    {"softplus", softplus},
};

static double (*function_named(const char *name))(double x)
{
    for (size_t i = 0; i < sizeof functions / sizeof *functions; i++)
        if (strcmp(functions[i].name, name) == 0) return functions[i].function;
    return NULL;
}

/* ------------------------------------------------------------------------------------------
 * Recurrent layers */

/* One step: scratch has room for 2 * gates * H. */
struct run {
    const struct part *part;
    const struct cell *cell;
    const struct numbers *numbers;
    double (*gate)(double x);
    double (*squash)(double x);
    double *x_part, *h_part; /* [gates * H] by the source's own order: W x + b, U h + b */
    double *h, *c, *fresh;   /* [out], [H], [H] */
};

/* y = W x + b over the source's layout. */
static void product(const struct cell *cell, const double *w, const double *b, const double *x, size_t K,
                    double *y)
{
    size_t N = strlen(cell->gates) * cell->hidden;
    for (size_t row = 0; row < N; row++) {
        double sum = b ? b[row] : 0;
        for (size_t k = 0; k < K; k++) sum += x[k] * (cell->transposed ? w[k * N + row] : w[row * K + k]);
        y[row] = sum;
    }
}

/* Where the gate called `letter` begins. */
static size_t gate_at(const struct cell *cell, char letter)
{
    return (size_t)(strchr(cell->gates, letter) - cell->gates) * cell->hidden;
}

static double peep(const struct run *run, char letter, size_t j)
{
    if (!run->numbers->peephole) return 0;
    size_t at = (size_t)(strchr(run->cell->peephole_gates, letter) - run->cell->peephole_gates);
    return run->numbers->peephole[at * run->cell->hidden + j];
}

static void lstm_units(struct run *run)
{
    const struct cell *cell = run->cell;
    size_t i = gate_at(cell, 'i'), f = gate_at(cell, 'f'), g = gate_at(cell, 'g'), o = gate_at(cell, 'o');
    for (size_t j = 0; j < cell->hidden; j++) {
        double c = run->c[j];
        double in = run->gate(run->x_part[i + j] + run->h_part[i + j] + peep(run, 'i', j) * c);
        double keep = run->gate(run->x_part[f + j] + run->h_part[f + j] + peep(run, 'f', j) * c);
        c = keep * c + in * run->squash(run->x_part[g + j] + run->h_part[g + j]);
        double show = run->gate(run->x_part[o + j] + run->h_part[o + j] + peep(run, 'o', j) * c);
        run->c[j] = c;
        run->fresh[j] = show * run->squash(c);
    }
}

/* Of a gru without reset_after, U_n reads r * h, so it is made again for every unit. */
static double reset_before(const struct run *run, const double *gated, size_t row)
{
    const struct cell *cell = run->cell;
    size_t N = strlen(cell->gates) * cell->hidden;
    double sum = run->numbers->b_rec ? run->numbers->b_rec[row] : 0;
    for (size_t k = 0; k < cell->hidden; k++)
        sum += gated[k] * run->numbers->w_rec[cell->transposed ? k * N + row : row * cell->hidden + k];
    return sum;
}

static void gru_units(struct run *run)
{
    const struct cell *cell = run->cell;
    size_t r = gate_at(cell, 'r'), z = gate_at(cell, 'z'), n = gate_at(cell, 'n');
    for (size_t j = 0; j < cell->hidden; j++)
        run->c[j] =
            run->gate(run->x_part[r + j] + run->h_part[r + j]) * (run->part->reset_after ? 1 : run->h[j]);
    for (size_t j = 0; j < cell->hidden; j++) {
        double keep = run->gate(run->x_part[z + j] + run->h_part[z + j]);
        double past =
            run->part->reset_after ? run->c[j] * run->h_part[n + j] : reset_before(run, run->c, n + j);
        run->fresh[j] = (1 - keep) * run->squash(run->x_part[n + j] + past) + keep * run->h[j];
    }
}

static void rnn_units(struct run *run)
{
    for (size_t j = 0; j < run->cell->hidden; j++)
        run->fresh[j] = run->squash(run->x_part[j] + run->h_part[j]);
}

static void cell_step(struct run *run, const double *x)
{
    const struct cell *cell = run->cell;
    product(cell, run->numbers->w_in, run->numbers->b_in, x, cell->in, run->x_part);
    product(cell, run->numbers->w_rec, run->numbers->b_rec, run->h, cell->out, run->h_part);
    if (strcmp(run->part->type, "lstm") == 0) lstm_units(run);
    else if (strcmp(run->part->type, "gru") == 0) gru_units(run);
    else rnn_units(run);
    for (size_t j = 0; j < cell->out; j++) {
        double sum = 0;
        for (size_t k = 0; cell->proj && k < cell->hidden; k++)
            sum += run->numbers->proj[j * cell->hidden + k] * run->fresh[k];
        run->h[j] = cell->proj ? sum : run->fresh[j];
    }
}

/* One direction of one layer over all steps. */
static enum status run_cell(const struct reference *reference, size_t at, size_t index, const struct rows *in,
                            struct rows *out, double *final, struct error *err)
{
    const struct part *part = &reference->plan->parts[at];
    const struct cell *cell = &part->cells[index];
    size_t d = index % part->n_directions, n_gates = strlen(cell->gates), H = cell->hidden;
    struct run run = {.part = part,
                      .cell = cell,
                      .numbers = &reference->layers[at].cells[index],
                      .gate = function_named(part->gate ? part->gate : "sigmoid"),
                      .squash = function_named(part->squash ? part->squash : "tanh")};
    double *scratch = pool_take(reference->plan->pool, 2 * n_gates * H + 2 * H + cell->out, sizeof *scratch);
    if (!scratch) return pool_spent(err);
    if (!run.gate || !run.squash) return error_set(err, STATUS_INTERNAL, "an activation without a reference");
    run.x_part = scratch, run.h_part = scratch + n_gates * H;
    run.c = scratch + 2 * n_gates * H, run.fresh = run.c + H, run.h = run.fresh + H;
    if (run.numbers->h0) memcpy(run.h, run.numbers->h0, cell->out * sizeof *run.h);
    if (run.numbers->c0) memcpy(run.c, run.numbers->c0, H * sizeof *run.c);
    bool turned = d == 1 || part->backwards;
    for (size_t i = 0; i < in->n; i++) {
        size_t t = turned ? in->n - 1 - i : i;
        cell_step(&run, in->values + t * in->width);
        /* A second direction is turned back; go_backwards is not. */
        double *to = out->values + (part->backwards ? i : t) * out->width + d * cell->out;
        memcpy(to, run.h, cell->out * sizeof *to);
    }
    memcpy(final + d * cell->out, run.h, cell->out * sizeof *final);
    return STATUS_OK;
}

static enum status run_recurrent(const struct reference *reference, size_t at, struct rows *rows,
                                 struct error *err)
{
    const struct part *part = &reference->plan->parts[at];
    enum status status = STATUS_OK;
    for (size_t layer = 0; layer < part->n_layers && status == STATUS_OK; layer++) {
        struct rows out = {.n = rows->n, .width = part->out};
        out.values = pool_take(reference->plan->pool, out.n * out.width, sizeof *out.values);
        double *final = pool_take(reference->plan->pool, out.width, sizeof *final);
        if (!out.values || !final) return pool_spent(err);
        for (size_t d = 0; d < part->n_directions && status == STATUS_OK; d++)
            status = run_cell(reference, at, layer * part->n_directions + d, rows, &out, final, err);
        out.final = final;
        *rows = out;
    }
    return status;
}

/* ------------------------------------------------------------------------------------------
 * The other layers */

static enum status run_linear(const struct reference *reference, size_t at, struct rows *rows,
                              struct error *err)
{
    const struct part *part = &reference->plan->parts[at];
    const struct layer_numbers *numbers = &reference->layers[at];
    double *out = pool_take(reference->plan->pool, rows->n * part->out, sizeof *out);
    if (!out) return pool_spent(err);
    for (size_t t = 0; t < rows->n; t++)
        for (size_t j = 0; j < part->out; j++) {
            double sum = numbers->bias ? numbers->bias[j] : 0;
            for (size_t k = 0; k < part->in; k++)
                sum += rows->values[t * part->in + k] *
                       numbers->weight[part->transposed ? k * part->out + j : j * part->in + k];
            out[t * part->out + j] = sum;
        }
    *rows = (struct rows){out, rows->n, part->out, NULL};
    return STATUS_OK;
}

static enum status run_pooling(const struct reference *reference, const char *mode, struct rows *rows,
                               struct error *err)
{
    double *out = pool_take(reference->plan->pool, rows->width, sizeof *out);
    if (!out) return pool_spent(err);
    bool last = strcmp(mode, "last") == 0, max = strcmp(mode, "max") == 0, mean = strcmp(mode, "mean") == 0;
    size_t step = strcmp(mode, "middle") == 0 ? rows->n / 2 : rows->n - 1;
    for (size_t j = 0; j < rows->width; j++) {
        double sum = 0, largest = -(double)INFINITY;
        for (size_t t = 0; t < rows->n; t++) {
            double x = rows->values[t * rows->width + j];
            sum += x;
            largest = x > largest ? x : largest;
        }
        double one = rows->final && last ? rows->final[j] : rows->values[step * rows->width + j];
        out[j] = max ? largest : mean ? sum / (double)rows->n : strcmp(mode, "sum") == 0 ? sum : one;
    }
    *rows = (struct rows){out, 1, rows->width, NULL};
    return STATUS_OK;
}

/* The last `steps` rows one behind the other; rows of zeros come first if there are fewer. */
static enum status run_flatten(const struct reference *reference, size_t steps, struct rows *rows,
                               struct error *err)
{
    double *out = pool_take(reference->plan->pool, steps * rows->width, sizeof *out);
    if (!out) return pool_spent(err);
    size_t n = rows->n < steps ? rows->n : steps;
    memcpy(out + (steps - n) * rows->width, rows->values + (rows->n - n) * rows->width,
           n * rows->width * sizeof *out);
    *rows = (struct rows){out, 1, steps * rows->width, NULL};
    return STATUS_OK;
}

static enum status run_function(const struct reference *reference, double (*function)(double x),
                                struct rows *rows, struct error *err)
{
    double *out = pool_take(reference->plan->pool, rows->n * rows->width, sizeof *out);
    if (!out) return pool_spent(err);
    for (size_t i = 0; i < rows->n * rows->width; i++) out[i] = function(rows->values[i]);
    rows->values = out;
    rows->final = NULL;
    return STATUS_OK;
}

static enum status run_softmax(const struct reference *reference, struct rows *rows, struct error *err)
{
    double *out = pool_take(reference->plan->pool, rows->n * rows->width, sizeof *out);
    if (!out) return pool_spent(err);
    for (size_t t = 0; t < rows->n; t++) {
        const double *in = rows->values + t * rows->width;
        double largest = in[0], sum = 0;
        for (size_t j = 0; j < rows->width; j++) largest = in[j] > largest ? in[j] : largest;
        for (size_t j = 0; j < rows->width; j++) sum += exp(in[j] - largest);
        for (size_t j = 0; j < rows->width; j++) out[t * rows->width + j] = exp(in[j] - largest) / sum;
    }
    *rows = (struct rows){out, rows->n, rows->width, NULL};
    return STATUS_OK;
}

static enum status run_norm(const struct reference *reference, size_t at, struct rows *rows,
                            struct error *err)
{
    const struct part *part = &reference->plan->parts[at];
    const struct layer_numbers *n = &reference->layers[at];
    double *out = pool_take(reference->plan->pool, rows->n * rows->width, sizeof *out);
    if (!out) return pool_spent(err);
    for (size_t t = 0; t < rows->n; t++) {
        const double *in = rows->values + t * rows->width;
        double mean = 0, variance = 0;
        for (size_t j = 0; j < rows->width; j++) mean += in[j] / (double)rows->width;
        for (size_t j = 0; j < rows->width; j++)
            variance += (in[j] - mean) * (in[j] - mean) / (double)rows->width;
        for (size_t j = 0; j < rows->width; j++) {
            double m = n->mean ? n->mean[j] : mean, v = n->variance ? n->variance[j] : variance;
            double x = (in[j] - m) / sqrt(v + part->epsilon);
            out[t * rows->width + j] = n->weight ? x * n->weight[j] + n->bias[j] : x;
        }
    }
    *rows = (struct rows){out, rows->n, rows->width, NULL};
    return STATUS_OK;
}

/* Zeros lie before and after the steps: all before, or half of them, rounded down. */
static enum status run_conv(const struct reference *reference, size_t at, struct rows *rows,
                            struct error *err)
{
    const struct part *part = &reference->plan->parts[at];
    const struct layer_numbers *numbers = &reference->layers[at];
    size_t reach = (part->kernel - 1) * part->dilation,
           before = strcmp(part->mode, "causal") ? reach / 2 : reach;
    double *out = pool_take(reference->plan->pool, rows->n * part->out, sizeof *out);
    if (!out) return pool_spent(err);
    for (size_t t = 0; t < rows->n; t++)
        for (size_t o = 0; o < part->out; o++) {
            double sum = numbers->bias ? numbers->bias[o] : 0;
            for (size_t k = 0; k < part->kernel; k++) {
                size_t from = t + k * part->dilation;
                if (from < before || from - before >= rows->n) continue;
                const double *in = rows->values + (from - before) * part->in;
                for (size_t i = 0; i < part->in; i++)
                    sum += in[i] * numbers->weight[part->transposed ? (k * part->in + i) * part->out + o
                                                                    : (o * part->in + i) * part->kernel + k];
            }
            out[t * part->out + o] = sum;
        }
    *rows = (struct rows){out, rows->n, part->out, NULL};
    return STATUS_OK;
}

static enum status run_first(const struct reference *reference, const int32_t *ids, const double *values,
                             size_t n, struct rows *rows, size_t *next, struct error *err)
{
    const struct part *part = &reference->plan->parts[0];
    bool table = strcmp(part->type, "embedding") == 0, one_hot = strcmp(part->type, "one_hot") == 0;
    *next = table || one_hot;
    *rows = (struct rows){NULL, n, *next ? part->out : part->in, NULL};
    rows->values = pool_take(reference->plan->pool, n * rows->width, sizeof *rows->values);
    if (!rows->values) return pool_spent(err);
    if (*next != (ids != NULL)) return error_set(err, STATUS_INTERNAL, "ids or numbers: the wrong ones");
    if (!*next) memcpy(rows->values, values, n * rows->width * sizeof *values);
    for (size_t t = 0; *next && t < n; t++) {
        size_t id = (size_t)ids[t];
        if (id >= part->in) return error_set(err, STATUS_INTERNAL, "id %zu of %zu", id, part->in);
        if (one_hot) rows->values[t * rows->width + id] = 1;
        else
            memcpy(rows->values + t * rows->width, reference->layers[0].weight + id * rows->width,
                   rows->width * sizeof *rows->values);
    }
    return STATUS_OK;
}

enum status reference_run(const struct reference *reference, const int32_t *ids, const double *values,
                          size_t n, struct outputs *out, struct error *err)
{
    const struct plan *plan = reference->plan;
    struct rows rows;
    size_t first = 0;
    enum status status = run_first(reference, ids, values, n, &rows, &first, err);
    for (size_t i = first; i < plan->n_parts && status == STATUS_OK; i++) {
        const struct part *part = &plan->parts[i];
        double (*function)(double x) = function_named(part->type);
        if (part->n_layers) status = run_recurrent(reference, i, &rows, err);
        else if (strcmp(part->type, "linear") == 0) status = run_linear(reference, i, &rows, err);
        else if (strcmp(part->type, "batch_norm") == 0 || strcmp(part->type, "layer_norm") == 0)
            status = run_norm(reference, i, &rows, err);
        else if (strcmp(part->type, "conv1d") == 0) status = run_conv(reference, i, &rows, err);
        else if (strcmp(part->type, "pooling") == 0) status = run_pooling(reference, part->mode, &rows, err);
        else if (strcmp(part->type, "flatten") == 0)
            status = run_flatten(reference, part->kernel, &rows, err);
        else if (strcmp(part->type, "softmax") == 0) status = run_softmax(reference, &rows, err);
        else if (function) status = run_function(reference, function, &rows, err);
        else if (strcmp(part->type, "dropout"))
            status = error_set(err, STATUS_UNSUPPORTED, "%s has no reference", part->origin);
    }
    if (status == STATUS_OK) *out = (struct outputs){rows.values, rows.n, rows.width};
    return status;
}

/* ------------------------------------------------------------------------------------------ */

static enum status decode(const struct plan *plan, const struct tensor *tensor, double **out,
                          enum status status, struct error *err)
{
    if (status != STATUS_OK || !tensor) return status;
    return tensor_doubles(tensor, plan->pool, out, err);
}

static enum status decode_part(const struct plan *plan, const struct part *part,
                               struct layer_numbers *numbers, struct error *err)
{
    enum status status = STATUS_OK;
    for (size_t i = 0; i < part->n_layers * part->n_directions; i++) {
        const struct cell *cell = &part->cells[i];
        struct numbers *to = &numbers->cells[i];
        status = decode(plan, cell->w_in, &to->w_in, status, err);
        status = decode(plan, cell->w_rec, &to->w_rec, status, err);
        status = decode(plan, cell->b_in, &to->b_in, status, err);
        status = decode(plan, cell->b_rec, &to->b_rec, status, err);
        status = decode(plan, cell->proj, &to->proj, status, err);
        status = decode(plan, cell->peephole, &to->peephole, status, err);
        status = decode(plan, cell->h0, &to->h0, status, err);
        status = decode(plan, cell->c0, &to->c0, status, err);
    }
    status = decode(plan, part->weight, &numbers->weight, status, err);
    status = decode(plan, part->bias, &numbers->bias, status, err);
    status = decode(plan, part->mean, &numbers->mean, status, err);
    return decode(plan, part->variance, &numbers->variance, status, err);
}

enum status reference_new(const struct plan *plan, struct reference **out, struct error *err)
{
    struct reference *reference = pool_take(plan->pool, 1, sizeof *reference);
    if (reference) reference->layers = pool_take(plan->pool, plan->n_parts, sizeof *reference->layers);
    if (!reference || !reference->layers) return pool_spent(err);
    reference->plan = plan;
    for (size_t i = 0; i < plan->n_parts; i++) {
        enum status status = decode_part(plan, &plan->parts[i], &reference->layers[i], err);
        if (status != STATUS_OK) return status;
    }
    *out = reference;
    return STATUS_OK;
}
