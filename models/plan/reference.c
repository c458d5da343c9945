#include "models/plan/reference.h"

#include <math.h>
#include <string.h>

#include "models/plan/reference_rows.h"

/* The numbers of one direction of one layer, as the source has them. */
struct numbers {
    double *w_in, *w_rec, *b_in, *b_rec, *proj, *peephole, *h0, *c0;
    double *end_h, *end_c;             /* after the last step that was run */
    const double *begin_h, *begin_c;   /* of an encoder; NULL: h0, c0 */
};

struct layer_numbers {
    struct numbers cells[PLAN_MAX_CELLS];
    double *weight, *bias, *mean, *variance;
};

struct reference {
    const struct plan *plan;
    struct layer_numbers *layers; /* [n_parts] */
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
static double leaky_relu(double x)
{
    return x > 0 ? x : 0.01 * x;
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
    {"leaky_relu", leaky_relu},
};

double (*reference_function(const char *name))(double x)
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
    struct numbers *numbers = &reference->layers[at].cells[index];
    struct run run = {.part = part,
                      .cell = cell,
                      .numbers = numbers,
                      .gate = reference_function(part->gate ? part->gate : "sigmoid"),
                      .squash = reference_function(part->squash ? part->squash : "tanh")};
    double *scratch = pool_take(reference->plan->pool, 2 * n_gates * H + 2 * H + cell->out, sizeof *scratch);
    if (!scratch) return pool_spent(err);
    if (!run.gate || !run.squash) return error_set(err, STATUS_INTERNAL, "an activation without a reference");
    run.x_part = scratch, run.h_part = scratch + n_gates * H;
    run.c = scratch + 2 * n_gates * H, run.fresh = run.c + H, run.h = run.fresh + H;
    const double *h = numbers->begin_h ? numbers->begin_h : numbers->h0;
    const double *c = numbers->begin_c ? numbers->begin_c : numbers->c0;
    if (h) memcpy(run.h, h, cell->out * sizeof *run.h);
    if (c) memcpy(run.c, c, H * sizeof *run.c);
    numbers->end_h = run.h, numbers->end_c = run.c;
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
    memcpy(out, rows->values, rows->n * rows->width * sizeof *out);
    for (size_t t = 0; t < rows->n; t++) reference_softmax(out + t * rows->width, rows->width);
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
            out[t * rows->width + j] = (n->weight ? x * n->weight[j] : x) + (n->bias ? n->bias[j] : 0);
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
                size_t in_group = part->in / part->groups, group = o / (part->out / part->groups);
                const double *in = rows->values + (from - before) * part->in + group * in_group;
                for (size_t i = 0; i < in_group; i++)
                    sum += in[i] * numbers->weight[part->transposed ? (k * part->in + i) * part->out + o
                                                                    : (o * in_group + i) * part->kernel + k];
            }
            out[t * part->out + o] = sum;
        }
    *rows = (struct rows){out, rows->n, part->out, NULL};
    return STATUS_OK;
}

/* The rows of ids: those of a table, or a 1 at the place of each. */
static enum status run_ids(const struct reference *reference, size_t at, const int32_t *ids, size_t n,
                           struct rows *rows, struct error *err)
{
    const struct part *part = &reference->plan->parts[at];
    *rows = (struct rows){pool_take(reference->plan->pool, n * part->out, sizeof *rows->values), n, part->out,
                          NULL};
    if (!rows->values) return pool_spent(err);
    if (!ids) return error_set(err, STATUS_INTERNAL, "%s reads ids, and there are numbers", part->origin);
    for (size_t t = 0; t < n; t++) {
        size_t id = (size_t)ids[t];
        if (id >= part->in) return error_set(err, STATUS_INTERNAL, "id %zu of %zu", id, part->in);
        if (strcmp(part->type, "one_hot") == 0) rows->values[t * rows->width + id] = 1;
        else
            memcpy(rows->values + t * rows->width, reference->layers[at].weight + id * rows->width,
                   rows->width * sizeof *rows->values);
    }
    return STATUS_OK;
}

/* One layer: *rows is what it reads, and becomes what it gives. */
static enum status run_part(const struct reference *reference, size_t i, struct rows *rows, struct error *err)
{
    const struct part *part = &reference->plan->parts[i];
    double (*function)(double x) = reference_function(part->type);
    if (part->n_layers) return run_recurrent(reference, i, rows, err);
    if (strcmp(part->type, "linear") == 0) return run_linear(reference, i, rows, err);
    if (strcmp(part->type, "batch_norm") == 0 || strcmp(part->type, "layer_norm") == 0)
        return run_norm(reference, i, rows, err);
    if (strcmp(part->type, "conv1d") == 0) return run_conv(reference, i, rows, err);
    if (strcmp(part->type, "pooling") == 0) return run_pooling(reference, part->mode, rows, err);
    if (strcmp(part->type, "flatten") == 0) return run_flatten(reference, part->kernel, rows, err);
    if (strcmp(part->type, "softmax") == 0) return run_softmax(reference, rows, err);
    if (function) return run_function(reference, function, rows, err);
    if (strcmp(part->type, "dropout") == 0 || strcmp(part->type, "identity") == 0) return STATUS_OK;
    return error_set(err, STATUS_INTERNAL, "%s has no reference", part->origin);
}

/* What enters a network, and where its parts lie in the plan. */
struct entering {
    size_t first, end;
    const int32_t *ids;
    const double *values; /* [n, width of the input] */
    size_t n;
    const struct rows *memory; /* NULL: none */
};

/* Run all parts once, into `given`. A `previous` recalls what stands there from the call before. */
static enum status run_once(const struct reference *reference, const struct entering *in, struct rows *given,
                            struct error *err)
{
    const struct plan *plan = reference->plan;
    enum status status = STATUS_OK;
    for (size_t i = in->first; i < in->end && status == STATUS_OK; i++) {
        const struct part *part = &plan->parts[i];
        struct rows sources[LAYER_MAX_SOURCES], out;
        size_t n = part->n_sources ? part->n_sources : 1;
        if (plan_reads_ids(part)) {
            status = run_ids(reference, i, in->ids, in->n, &given[i], err);
            continue;
        }
        for (size_t k = 0; k < n; k++) {
            int source = plan_source(plan, i, k);
            /* The values are read only; a layer writes new ones. */
            sources[k] = source == SOURCE_INPUT ? (struct rows){(double *)in->values, in->n, part->in, NULL}
                                                : given[source];
            if (!sources[k].values && strcmp(part->type, "previous"))
                return error_set(err, STATUS_BAD_VALUE, "%s reads ids, or a layer behind it", part->origin);
        }
        out = sources[0];
        status = part->spec ? reference_other(plan, part, sources, n, in->n, in->memory, &out, err)
                            : run_part(reference, i, &out, err);
        given[i] = out;
    }
    return status;
}

/* Run all parts. Each pass over a network that recalls makes one more step right. */
static enum status run_network(const struct reference *reference, const struct entering *in,
                               struct rows *last, struct error *err)
{
    const struct plan *plan = reference->plan;
    struct rows *given = pool_take(plan->pool, plan->n_parts, sizeof *given);
    size_t passes = 1;
    enum status status = STATUS_OK;
    if (!given) return pool_spent(err);
    for (size_t i = in->first; i < in->end; i++)
        if (strcmp(plan->parts[i].type, "previous") == 0) passes = in->n;
    for (size_t p = 0; p < passes && status == STATUS_OK; p++) status = run_once(reference, in, given, err);
    *last = given[in->end - 1];
    return status;
}

enum status reference_run(const struct reference *reference, const int32_t *ids, const double *values,
                          size_t n, struct outputs *out, struct error *err)
{
    struct rows rows;
    const struct entering in = {.end = reference->plan->n_parts, .ids = ids, .values = values, .n = n};
    enum status status = run_network(reference, &in, &rows, err);
    if (status == STATUS_OK) *out = (struct outputs){rows.values, rows.n, rows.width};
    return status;
}

/* Let each recurrent layer of the decoder begin where the encoder's layer at its place ended. */
static enum status begin_states(const struct reference *reference, struct error *err)
{
    const struct plan *plan = reference->plan;
    size_t from = 0;
    for (size_t to = plan->n_encoder; to < plan->n_parts; to++) {
        const struct part *part = &plan->parts[to];
        if (!part->n_layers) continue;
        while (from < plan->n_encoder && !plan->parts[from].n_layers) from++;
        const struct part *before = &plan->parts[from];
        if (from == plan->n_encoder || before->n_layers != part->n_layers || before->n_directions != 1 ||
            before->out != part->out || before->cells[0].hidden != part->cells[0].hidden)
            return error_set(err, STATUS_BAD_SHAPE,
                             "%s cannot go on from the encoder, which has no such layer at its place",
                             part->origin);
        for (size_t k = 0; k < part->n_layers; k++) {
            reference->layers[to].cells[k].begin_h = reference->layers[from].cells[k].end_h;
            reference->layers[to].cells[k].begin_c = reference->layers[from].cells[k].end_c;
        }
        from++;
    }
    return STATUS_OK;
}

enum status reference_translate(const struct reference *reference, const int32_t *ids, size_t n,
                                const int32_t *target, size_t n_target, struct outputs *out,
                                struct error *err)
{
    const struct plan *plan = reference->plan;
    struct rows memory, rows;
    const struct entering source = {.end = plan->n_encoder, .ids = ids, .n = n};
    const struct entering decoder = {
        .first = plan->n_encoder, .end = plan->n_parts, .ids = target, .n = n_target, .memory = &memory};
    enum status status = run_network(reference, &source, &memory, err);
    if (status == STATUS_OK && plan->begins) status = begin_states(reference, err);
    if (status == STATUS_OK) status = run_network(reference, &decoder, &rows, err);
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
        enum status status = reference_knows(&plan->parts[i], err);
        if (status == STATUS_OK) status = decode_part(plan, &plan->parts[i], &reference->layers[i], err);
        if (status != STATUS_OK) return status;
    }
    *out = reference;
    return STATUS_OK;
}
