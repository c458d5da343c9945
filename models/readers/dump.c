/* Weights that a script wrote as JSON: {"rnn.weight_ih_l0": [[...], ...], ...}, or the same nested by module,
 * as json.dump of {name: tensor.tolist()} makes them. */
#include <string.h>

#include "core/base/memory.h"
#include "models/readers/source.h"
#include "models/text/json.h"
#include "models/text/sentence.h"

enum { MAX_NESTED = 8 };

/* The shape, by the first element of each axis. false if there is no number at its end. */
static bool find_shape(const struct json *array, struct tensor *tensor)
{
    size_t values = 1;
    tensor->rank = 0;
    for (const struct json *at = array; at && json_kind(at) == JSON_ARRAY; at = json_first(at)) {
        size_t n = 0;
        for (const struct json *one = json_first(at); one; one = json_next(one)) n++;
        if (n == 0 || tensor->rank == TENSOR_MAX_RANK || !size_multiply(values, n, &values)) return false;
        tensor->shape[tensor->rank++] = n;
        if (json_kind(json_first(at)) == JSON_NUMBER) return true;
    }
    return false;
}

/* The numbers of an array, which must have the shape from `axis` on. */
static bool fill(const struct json *array, const struct tensor *tensor, size_t axis, double *values,
                 size_t *n)
{
    size_t found = 0;
    for (const struct json *one = json_first(array); one; one = json_next(one), found++) {
        bool last = axis + 1 == tensor->rank;
        if (found == tensor->shape[axis] || json_kind(one) != (last ? JSON_NUMBER : JSON_ARRAY)) return false;
        if (last) values[(*n)++] = json_number(one);
        else if (!fill(one, tensor, axis + 1, values, n)) return false;
    }
    return found == tensor->shape[axis];
}

static enum status add_array(const struct json *array, const char *name, struct source *source,
                             struct error *err)
{
    struct tensor tensor = {.name = name, .type = NUMBER_F64};
    char quoted[QUOTE_BYTES];
    size_t total = 1, n = 0;
    bool good = find_shape(array, &tensor);
    for (size_t a = 0; good && a < tensor.rank; a++) good = size_multiply(total, tensor.shape[a], &total);
    double *values = good && total <= JSON_MAX_VALUES ? pool_take(source->pool, total, sizeof *values) : NULL;
    if (good && total <= JSON_MAX_VALUES && !values) return pool_spent(err);
    if (!values || !fill(array, &tensor, 0, values, &n))
        return error_set(err, STATUS_BAD_SHAPE, "%s is no array of numbers whose rows have one length",
                         sentence_quote(quoted, name, strlen(name)));
    tensor_set_dense(&tensor);
    enum status status = tensor_make(&tensor, (const uint8_t *)values, n * sizeof *values, 0, err);
    return status == STATUS_OK ? source_add(source, &tensor, err) : status;
}

static enum status add_members(const struct json *object, const char *prefix, size_t depth,
                               struct source *source, struct error *err)
{
    enum status status = STATUS_OK;
    for (const struct json *m = json_first(object); m && status == STATUS_OK; m = json_next(m)) {
        struct tensor shape;
        bool array = json_kind(m) == JSON_ARRAY && find_shape(m, &shape);
        const char *name = pool_print(source->pool, "%s%s%s", prefix, *prefix ? "." : "", json_key(m));
        if (!name) return pool_spent(err);
        if (array) status = add_array(m, name, source, err);
        else if (json_kind(m) == JSON_OBJECT && depth < MAX_NESTED)
            status = add_members(m, name, depth + 1, source, err);
        else report_ignored(source->report, name, "no array of numbers");
    }
    return status;
}

enum status dump_read(const uint8_t *file, size_t n, struct source *source, struct error *err)
{
    struct json *root;
    enum status status = json_parse((const char *)file, n, &root, err);
    if (status == STATUS_TOO_LONG)
        error_prefix(err, "weights as JSON are for small models; save them by safetensors or numpy.savez");
    if (status != STATUS_OK) return status;
    if (json_kind(root) == JSON_OBJECT) status = add_members(root, "", 0, source, err);
    json_free(root);
    source->is_ordered = true;
    if (status == STATUS_OK && source->n == 0)
        status = error_set(err, STATUS_BAD_FORMAT,
                           "this is JSON without weights, such as a configuration; give the file that holds "
                           "the weights (.pt, .safetensors, .h5, .keras, .onnx), or JSON of arrays by their "
                           "names: json.dump({k: v.tolist() for k, v in model.state_dict().items()}, file)");
    return status;
}
