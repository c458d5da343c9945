#include "models/readers/keras_layers.h"

#include <stdio.h>
#include <string.h>

#include "models/text/sentence.h"

const struct json *keras_member(const struct json *object, const char *key)
{
    if (!object || json_kind(object) != JSON_OBJECT) return NULL;
    for (const struct json *m = json_first(object); m; m = json_next(m))
        if (strcmp(json_key(m), key) == 0) return m;
    return NULL;
}

const char *keras_text(const struct json *object, const char *key)
{
    const struct json *found = keras_member(object, key);
    return found && json_kind(found) == JSON_STRING ? json_string(found) : NULL;
}

bool keras_truth(const struct json *object, const char *key, bool fallback)
{
    const struct json *found = keras_member(object, key);
    return found && json_kind(found) == JSON_BOOLEAN ? json_boolean(found) : fallback;
}

static enum status unsupported(const struct keras_layer *layer, const char *what, struct error *err)
{
    char name[QUOTE_BYTES];
    return error_set(err, STATUS_UNSUPPORTED, "Keras' %.60s %s: %s", layer->class,
                     sentence_quote(name, layer->name, strlen(layer->name)), what);
}

static const char *origin_of(struct plan *plan, const struct keras_layer *layer, size_t units)
{
    char name[QUOTE_BYTES], inside[96] = "";
    if (layer->inner_class && units)
        snprintf(inside, sizeof inside, "%.60s(%zu)", layer->inner_class, units);
    else if (layer->inner_class) snprintf(inside, sizeof inside, "%.60s", layer->inner_class);
    else if (units) snprintf(inside, sizeof inside, "%zu", units);
    return pool_print(plan->pool, "Keras' %.60s(%s) %s", layer->class, inside,
                      sentence_quote(name, layer->name, strlen(layer->name)));
}

static enum status expect_weights(const struct keras_layer *layer, size_t n, struct error *err)
{
    char sentence[96];
    if (layer->n_weights == n) return STATUS_OK;
    snprintf(sentence, sizeof sentence, "the file has %zu weights of it, expected %zu", layer->n_weights, n);
    return unsupported(layer, sentence, err);
}

/* ------------------------------------------------------------------------------------------
 * Activations */

static const struct {
    const char *name, *type;
} activations[] = {
    {"relu", "relu"},  {"tanh", "tanh"}, {"sigmoid", "sigmoid"},   {"gelu", "gelu"}, {"silu", "silu"},
    {"swish", "silu"}, {"elu", "elu"},   {"softplus", "softplus"}, {"ReLU", "relu"},
};

/* Keras' name as a layer type: NULL and true for linear, false for what is not known. */
static bool activation_type(const char *name, int version, const char **type)
{
    *type = NULL;
    if (strcmp(name, "linear") == 0) return true;
    if (strcmp(name, "hard_sigmoid") == 0) *type = version < 3 ? "hard_sigmoid_keras2" : "hard_sigmoid";
    for (size_t i = 0; i < sizeof activations / sizeof *activations; i++)
        if (strcmp(name, activations[i].name) == 0) *type = activations[i].type;
    return *type != NULL;
}

/* The name in a configuration: a text, or in some versions the configuration of a function. */
static const char *activation_name(const struct json *config, const char *key, const char *fallback)
{
    const struct json *found = keras_member(config, key);
    if (!found || json_kind(found) == JSON_NULL) return fallback;
    if (json_kind(found) == JSON_STRING) return json_string(found);
    const char *inside = keras_text(found, "config");
    return inside ? inside : "of your own";
}

static enum status add_activation(struct plan *plan, const struct keras_layer *layer, const char *name,
                                  struct error *err)
{
    const char *type;
    if (layer->is_last && strcmp(name, "softmax") == 0) plan->end = END_SOFTMAX;
    else if (layer->is_last && strcmp(name, "sigmoid") == 0) plan->end = END_SIGMOID;
    else if (!activation_type(name, layer->version, &type))
        return unsupported(layer, pool_print(plan->pool, "the activation '%.40s' is not served here", name),
                           err);
    else if (type)
        return plan_plain(plan, type,
                          pool_print(plan->pool, "%s, activation %s", origin_of(plan, layer, 0), name), err);
    return STATUS_OK;
}

/* ------------------------------------------------------------------------------------------
 * Recurrent layers */

/* A matrix whose element [row, column] is where `place` says in `source`, made in the pool. */
static const struct tensor *rearrange(struct plan *plan, const struct tensor *source, size_t rows,
                                      size_t columns,
                                      size_t (*place)(size_t row, size_t column, size_t rows, size_t columns,
                                                      size_t H),
                                      size_t H, struct error *err)
{
    float *values, *out = pool_take(plan->pool, rows * columns, sizeof *out);
    struct tensor *made = pool_small(plan->pool, sizeof *made);
    if (!out || !made) {
        if (pool_spent(err)) return NULL;
    }
    if (source->n_values != rows * columns) {
        error_set(err, STATUS_BAD_SHAPE, "tensor %s has another size than its layer", source->name);
        return NULL;
    }
    if (tensor_floats(source, plan->pool, &values, err) != STATUS_OK) return NULL;
    for (size_t r = 0; r < rows; r++)
        for (size_t c = 0; c < columns; c++) out[r * columns + c] = values[place(r, c, rows, columns, H)];
    *made = (struct tensor){.name = source->name, .type = NUMBER_F32, .rank = 2, .shape = {rows, columns}};
    tensor_set_dense(made);
    return tensor_make(made, (const uint8_t *)out, rows * columns * sizeof *out, 0, err) == STATUS_OK ? made
                                                                                                      : NULL;
}

/* cuDNN's kernel [in, gates * H] keeps in each gate's columns, read row by row, a matrix [H, in]. */
static size_t cudnn_kernel(size_t row, size_t column, size_t rows, size_t columns, size_t H)
{
    size_t g = row / H, n = row % H * columns + column;
    return n / H * rows + g * H + n % H;
}

/* Its recurrent kernel keeps each gate's matrix turned. */
static size_t cudnn_recurrent(size_t row, size_t column, size_t rows, size_t columns, size_t H)
{
    (void)columns;
    return row % H * rows + row / H * H + column;
}

/* Two rows of biases, or two halves: of the input, and recurrent. */
static enum status split_bias(struct plan *plan, struct cell *cell, const struct tensor *bias, size_t gates,
                              struct error *err)
{
    struct tensor *two = pool_small(plan->pool, sizeof *two);
    if (!two) return pool_spent(err);
    *two = *bias;
    if (bias->rank == 1 && bias->shape[0] == 2 * gates * cell->hidden) {
        two->rank = 2, two->shape[0] = 2, two->shape[1] = bias->shape[0] / 2;
        two->strides[1] = bias->strides[0], two->strides[0] = bias->strides[0] * two->shape[1];
    }
    if (two->rank != 2 || two->shape[0] != 2) {
        cell->b_in = bias;
        return STATUS_OK;
    }
    cell->b_in = plan_slice(plan->pool, two, 0, err);
    cell->b_rec = plan_slice(plan->pool, two, 1, err);
    return cell->b_in && cell->b_rec ? STATUS_OK : err->status;
}

enum status keras_fill_cell(struct plan *plan, struct cell *cell, const struct tensor *const *weights,
                            bool has_bias, bool cudnn, struct error *err)
{
    const struct tensor *kernel = weights[0], *recurrent = weights[1];
    size_t gates = strlen(cell->gates);
    if (kernel->rank != 2 || recurrent->rank != 2 || recurrent->shape[1] != gates * recurrent->shape[0] ||
        kernel->shape[1] != recurrent->shape[1])
        return error_set(err, STATUS_BAD_SHAPE, "tensors %s and %s do not fit each other", kernel->name,
                         recurrent->name);
    cell->in = kernel->shape[0];
    cell->hidden = cell->out = recurrent->shape[0];
    cell->w_in = kernel, cell->w_rec = recurrent;
    cell->transposed = !cudnn;
    if (cudnn) {
        cell->w_in = rearrange(plan, kernel, gates * cell->hidden, cell->in, cudnn_kernel, cell->hidden, err);
        if (cell->w_in)
            cell->w_rec = rearrange(plan, recurrent, gates * cell->hidden, cell->hidden, cudnn_recurrent,
                                    cell->hidden, err);
        if (!cell->w_in || !cell->w_rec) return err->status;
    }
    return has_bias ? split_bias(plan, cell, weights[2], gates, err) : STATUS_OK;
}

/* Keras 1 keeps a matrix a gate: W, U and b of each, in the order of its class. They become one. */
static enum status join_gates(struct plan *plan, const struct keras_layer *layer, size_t first,
                              const char *gates, const struct tensor *out[3], struct error *err)
{
    size_t n = strlen(gates);
    for (size_t kind = 0; kind < 3; kind++) {
        const struct tensor *one = layer->weights[first + kind];
        bool matrix = kind < 2;
        size_t rows = matrix ? one->shape[0] : 1, columns = matrix ? one->shape[1] : one->shape[0];
        struct tensor *made = pool_small(plan->pool, sizeof *made);
        if (one->rank != (matrix ? 2u : 1u)) return unsupported(layer, "its weights have another rank", err);
        double *values = pool_take(plan->pool, n * one->n_values, sizeof *values);
        if (!made || !values) return pool_spent(err);
        for (size_t g = 0; g < n; g++) {
            const struct tensor *part = layer->weights[first + 3 * g + kind];
            double *from;
            if (part->n_values != one->n_values) return unsupported(layer, "its gates differ in size", err);
            enum status status = tensor_doubles(part, plan->pool, &from, err);
            if (status != STATUS_OK) return status;
            for (size_t r = 0; r < rows; r++)
                memcpy(values + r * n * columns + g * columns, from + r * columns, columns * sizeof *values);
        }
        *made = (struct tensor){
            .name = one->name, .type = NUMBER_F64, .rank = one->rank, .shape = {rows, n * columns}};
        if (!matrix) made->shape[0] = n * columns;
        tensor_set_dense(made);
        enum status status =
            tensor_make(made, (const uint8_t *)values, n * one->n_values * sizeof *values, 0, err);
        if (status != STATUS_OK) return status;
        out[kind] = made;
    }
    return STATUS_OK;
}

static const struct {
    const char *class, *type, *gates, *gates1;
    bool cudnn;
} recurrents[] = {
    {"LSTM", "lstm", "ifgo", "igfo", false}, {"GRU", "gru", "zrn", "zrn", false},
    {"SimpleRNN", "rnn", "n", "n", false},   {"CuDNNLSTM", "lstm", "ifgo", "", true},
    {"CuDNNGRU", "gru", "zrn", "", true},
};
enum { N_RECURRENTS = sizeof recurrents / sizeof *recurrents };

static size_t find_recurrent(const char *class)
{
    size_t i = 0;
    while (i < N_RECURRENTS && strcmp(recurrents[i].class, class)) i++;
    return i;
}

static enum status find_functions(struct plan *plan, const struct keras_layer *layer,
                                  const struct json *config, bool cudnn, struct part *part, struct error *err)
{
    const char *squash = cudnn ? "tanh" : activation_name(config, "activation", "tanh");
    const char *gate =
        cudnn ? "sigmoid"
              : activation_name(config, layer->version == 1 ? "inner_activation" : "recurrent_activation",
                                layer->version < 3 ? "hard_sigmoid" : "sigmoid");
    if (strcmp(part->type, "rnn") == 0) gate = "sigmoid";
    if (!activation_type(squash, layer->version, &part->squash) || !part->squash)
        return unsupported(layer,
                           pool_print(plan->pool, "the activation '%.40s' is not served in it", squash), err);
    if (!activation_type(gate, layer->version, &part->gate) || !part->gate)
        return unsupported(
            layer, pool_print(plan->pool, "the recurrent activation '%.40s' is not served in it", gate), err);
    return STATUS_OK;
}

static enum status add_recurrent(struct plan *plan, const struct keras_layer *layer, struct error *err)
{
    bool two = strcmp(layer->class, "Bidirectional") == 0;
    const struct json *config = two ? layer->inner : layer->config;
    const char *merge = keras_text(layer->config, "merge_mode");
    size_t kind = find_recurrent(two ? layer->inner_class : layer->class);
    if (two && merge && strcmp(merge, "concat")) return unsupported(layer, "merge_mode is not 'concat'", err);
    if (keras_truth(config, "return_state", false) && !layer->is_named)
        return unsupported(layer, "return_state is not served", err);
    bool has_bias = keras_truth(config, "use_bias", true), cudnn = recurrents[kind].cudnn;
    size_t gates = strlen(recurrents[kind].gates), per = has_bias ? 3 : 2;
    bool apart = layer->version == 1 && gates > 1 && layer->n_weights == 3 * gates * (two ? 2 : 1);
    enum status status = apart ? STATUS_OK : expect_weights(layer, (two ? 2 : 1) * per, err);
    if (status != STATUS_OK) return status;
    const struct json *units = keras_member(config, layer->version == 1 ? "output_dim" : "units");
    double n_units = units && json_kind(units) == JSON_NUMBER ? json_number(units) : 0;
    const char *origin = origin_of(plan, layer, n_units > 0 && n_units < 1e9 ? (size_t)n_units : 0);
    struct part *part = plan_add(plan, recurrents[kind].type, layer->name, origin, err);
    if (!part) return err->status;
    part->n_layers = 1;
    part->n_directions = two ? 2 : 1;
    part->backwards = keras_truth(config, "go_backwards", false);
    part->reset_after = cudnn || keras_truth(config, "reset_after", false);
    if (two && part->backwards) return unsupported(layer, "go_backwards within it is not served", err);
    status = find_functions(plan, layer, config, cudnn, part, err);
    for (size_t d = 0; d < part->n_directions && status == STATUS_OK; d++) {
        const struct tensor *joined[3];
        part->cells[d].gates = apart ? recurrents[kind].gates1 : recurrents[kind].gates;
        if (apart) status = join_gates(plan, layer, d * 3 * gates, recurrents[kind].gates1, joined, err);
        if (status == STATUS_OK)
            status = keras_fill_cell(plan, &part->cells[d], apart ? joined : layer->weights + d * per,
                                     has_bias, cudnn, err);
    }
    if (status == STATUS_OK) status = plan_recurrent(plan, part, err);
    if (status == STATUS_OK && keras_truth(config, "stateful", false))
        report_ignored(plan->report, "stateful", "a request begins without a state");
    if (status == STATUS_OK && !keras_truth(config, "return_sequences", false))
        status =
            plan_pooling(plan, "last", pool_print(plan->pool, "return_sequences=False of %s", origin), err);
    return status;
}

/* ------------------------------------------------------------------------------------------
 * The other layers */

static enum status add_dense(struct plan *plan, const struct keras_layer *layer, struct error *err)
{
    const struct json *config = layer->inner ? layer->inner : layer->config;
    bool has_bias = keras_truth(config, layer->version == 1 ? "bias" : "use_bias", true);
    enum status status = expect_weights(layer, has_bias ? 2 : 1, err);
    if (status != STATUS_OK) return status;
    size_t units = layer->weights[0]->rank == 2 ? layer->weights[0]->shape[1] : 0;
    status = plan_linear(plan, layer->name, origin_of(plan, layer, units), layer->weights[0],
                         has_bias ? layer->weights[1] : NULL, true, err);
    const char *activation = activation_name(config, "activation", "linear");
    return status == STATUS_OK ? add_activation(plan, layer, activation, err) : status;
}

static enum status add_embedding(struct plan *plan, const struct keras_layer *layer, struct error *err)
{
    enum status status = expect_weights(layer, 1, err);
    if (status != STATUS_OK) return status;
    bool masks = keras_truth(layer->config, "mask_zero", false);
    plan->pads = !masks;
    plan->masks = masks;
    status = plan_embedding(plan, layer->name, origin_of(plan, layer, 0), layer->weights[0], err);
    if (status == STATUS_OK)
        report_fact(plan->report, "  mask_zero", masks ? "true" : "false",
                    masks ? "padding is skipped, so none is needed" : "padding was read like any id");
    return status;
}

/* Layers that do nothing when a model is served. */
static const char *const idle[] = {"Dropout",         "SpatialDropout1D", "GaussianNoise",
                                   "GaussianDropout", "AlphaDropout",     "ActivityRegularization",
                                   "Masking"};
static double real_of(const struct json *config, const char *key, double fallback)
{
    const struct json *found = keras_member(config, key);
    return found && json_kind(found) == JSON_NUMBER ? json_number(found) : fallback;
}

/* BatchNormalization and LayerNormalization: gamma, beta, and of the first the moving mean and variance. */
static enum status add_norm(struct plan *plan, const struct keras_layer *layer, bool batch, struct error *err)
{
    bool scale = keras_truth(layer->config, "scale", true),
         center = keras_truth(layer->config, "center", true);
    size_t affine = scale && center ? 2 : 0;
    if (scale != center) return unsupported(layer, "scale and center must be both true or both false", err);
    enum status status = expect_weights(layer, affine + (batch ? 2 : 0), err);
    if (status != STATUS_OK) return status;
    if (!batch && !affine) return unsupported(layer, "it has no weights, which is not imported", err);
    struct norm_source source = {.epsilon = real_of(layer->config, "epsilon", 1e-3),
                                 .from = pool_print(plan->pool, "from Keras' %.60s", layer->class)};
    if (affine) source.weight = layer->weights[0], source.bias = layer->weights[1];
    if (batch) source.mean = layer->weights[affine], source.variance = layer->weights[affine + 1];
    return plan_norm(plan, batch ? "batch_norm" : "layer_norm", layer->name, origin_of(plan, layer, 0),
                     &source, err);
}

/* The one number of a list such as "strides": [1]. */
static size_t only_of(const struct json *config, const char *key)
{
    const struct json *found = keras_member(config, key);
    if (found && json_kind(found) == JSON_ARRAY) found = json_first(found);
    double x = found && json_kind(found) == JSON_NUMBER ? json_number(found) : 1;
    return x >= 1 && x <= 4096 ? (size_t)x : 0;
}

static enum status add_conv(struct plan *plan, const struct keras_layer *layer, struct error *err)
{
    bool has_bias = keras_truth(layer->config, "use_bias", true);
    const char *padding = keras_text(layer->config, "padding");
    bool causal = padding && strcmp(padding, "causal") == 0, same = padding && strcmp(padding, "same") == 0;
    enum status status = expect_weights(layer, has_bias ? 2 : 1, err);
    if (status != STATUS_OK) return status;
    if (!causal && !same)
        return unsupported(layer, "padding 'valid' gives fewer steps than it reads, and is not served", err);
    if (only_of(layer->config, "strides") != 1)
        return unsupported(layer, "strides above 1 are not served", err);
    struct conv_source source = {.weight = layer->weights[0],
                                 .bias = has_bias ? layer->weights[1] : NULL,
                                 .keras = true,
                                 .padding = causal ? "causal" : "same",
                                 .dilation = only_of(layer->config, "dilation_rate"),
                                 .from = "from Keras' Conv1D"};
    status = plan_conv(plan, layer->name, origin_of(plan, layer, 0), &source, err);
    return status == STATUS_OK
               ? add_activation(plan, layer, activation_name(layer->config, "activation", "linear"), err)
               : status;
}

/* The axes that a last Reshape gives a vector: steps and columns of a forecast. */
static enum status add_reshape(struct plan *plan, const struct keras_layer *layer, struct error *err)
{
    const struct json *shape = keras_member(layer->config, "target_shape"), *v = NULL;
    size_t sizes[2] = {0, 0}, n = 0;
    if (shape && json_kind(shape) == JSON_ARRAY) v = json_first(shape);
    for (; v; v = json_next(v), n++) {
        double x = json_kind(v) == JSON_NUMBER ? json_number(v) : 0;
        if (n < 2 && x >= 1 && x <= 4096) sizes[n] = (size_t)x;
    }
    if (!layer->is_last || !plan->pools || n != 2 || !sizes[0] || sizes[0] * sizes[1] != plan_width(plan))
        return unsupported(layer, "a reshape is served if it comes last and gives one vector two axes", err);
    memcpy(plan->split, sizes, sizeof sizes);
    return STATUS_OK;
}

static enum status add_other(struct plan *plan, const struct keras_layer *layer, struct error *err)
{
    const char *class = layer->class, *origin = origin_of(plan, layer, 0);
    if (strcmp(class, "GlobalAveragePooling1D") == 0) return plan_pooling(plan, "mean", origin, err);
    if (strcmp(class, "GlobalMaxPooling1D") == 0) return plan_pooling(plan, "max", origin, err);
    if (strcmp(class, "Softmax") == 0) return add_activation(plan, layer, "softmax", err);
    if (strcmp(class, "Activation") == 0)
        return add_activation(plan, layer, activation_name(layer->config, "activation", "linear"), err);
    if (strcmp(class, "BatchNormalization") == 0) return add_norm(plan, layer, true, err);
    if (strcmp(class, "LayerNormalization") == 0) return add_norm(plan, layer, false, err);
    if (strcmp(class, "Conv1D") == 0) return add_conv(plan, layer, err);
    if (strcmp(class, "ReLU") == 0) return add_activation(plan, layer, "relu", err);
    if (strcmp(class, "Flatten") == 0 && plan->pools) {
        report_ignored(plan->report, origin, "there is one step left");
        return STATUS_OK;
    }
    if (strcmp(class, "Reshape") == 0) return add_reshape(plan, layer, err);
    if (strcmp(class, "Flatten") == 0 && plan->n_parts) return plan_flatten(plan, origin, err);
    for (size_t i = 0; i < sizeof idle / sizeof *idle; i++)
        if (strcmp(class, idle[i]) == 0) {
            report_ignored(plan->report, origin, "it does nothing when a model is served without padding");
            return STATUS_OK;
        }
    return unsupported(layer,
                       "a layer of this class is not served; a chain of Embedding, LSTM, GRU, SimpleRNN, "
                       "Bidirectional, Dense, Conv1D, norms and pooling is",
                       err);
}

enum status keras_add_layer(struct plan *plan, const struct keras_layer *layer, struct error *err)
{
    const char *class = layer->class;
    if (find_recurrent(class) < N_RECURRENTS) return add_recurrent(plan, layer, err);
    if (strcmp(class, "Bidirectional") == 0) {
        if (layer->inner_class && find_recurrent(layer->inner_class) < N_RECURRENTS)
            return add_recurrent(plan, layer, err);
        return unsupported(layer, "it wraps something else than LSTM, GRU or SimpleRNN", err);
    }
    if (strcmp(class, "Dense") == 0 || strcmp(class, "TimeDistributedDense") == 0)
        return add_dense(plan, layer, err);
    if (strcmp(class, "TimeDistributed") == 0) {
        if (layer->inner_class && strcmp(layer->inner_class, "Dense") == 0)
            return add_dense(plan, layer, err);
        return unsupported(layer, "it wraps something else than Dense", err);
    }
    if (strcmp(class, "Embedding") == 0) return add_embedding(plan, layer, err);
    return add_other(plan, layer, err);
}
