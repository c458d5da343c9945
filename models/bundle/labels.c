#include "models/bundle/labels.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/memory.h"
#include "models/bundle/bundle.h"
#include "models/text/sentence.h"

static const char *const activation_names[] = {"softmax", "sigmoid", "none", NULL};

const char *activation_name(enum activation activation)
{
    return activation_names[activation];
}

static int by_text(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static enum status check_distinct(const char *const *texts, size_t n, struct error *err)
{
    char quoted[QUOTE_BYTES];
    enum status status = STATUS_OK;
    const char **sorted = memory_new(n, sizeof *sorted);
    if (!sorted) return error_set(err, STATUS_NO_MEMORY, "no memory");
    memcpy((void *)sorted, (const void *)texts, n * sizeof *sorted);
    qsort((void *)sorted, n, sizeof *sorted, by_text);
    for (size_t i = 1; i < n && status == STATUS_OK; i++)
        if (strcmp(sorted[i - 1], sorted[i]) == 0)
            status = error_set(err, STATUS_BAD_VALUE, "%s is there twice",
                               sentence_quote(quoted, sorted[i], strlen(sorted[i])));
    memory_free((void *)sorted);
    return status;
}

static enum status read_labels(const struct json *array, struct bundle *bundle, struct error *err)
{
    size_t n = json_count(array);
    if (n == 0 || n > BUNDLE_MAX_LABELS)
        return error_set(err, STATUS_BAD_VALUE, "%zu labels, expected 1 to %d", n,
                         (int)BUNDLE_MAX_LABELS);
    bundle->labels = memory_new(n, sizeof *bundle->labels);
    if (!bundle->labels) return error_set(err, STATUS_NO_MEMORY, "no memory");
    for (const struct json *v = json_first(array); v; v = json_next(v)) {
        char name[32];
        snprintf(name, sizeof name, "[%zu]", bundle->n_labels);
        const struct field field = {.name = name, .kind = FIELD_STRING};
        enum status status = json_read_value(v, &field, &bundle->labels[bundle->n_labels++], err);
        if (status != STATUS_OK) return status;
    }
    return check_distinct(bundle->labels, n, err);
}

static enum status read_activation(const struct json *value, struct bundle *bundle, struct error *err)
{
    const struct field field = {.name = "the name", .kind = FIELD_CHOICE, .choices = activation_names};
    long choice;
    enum status status = json_read_value(value, &field, &choice, err);
    if (status == STATUS_OK) bundle->activation = (enum activation)choice;
    return status;
}

const struct section section_labels = {"labels", FIELD_ARRAY, read_labels};
const struct section section_activation = {"activation", FIELD_ANY, read_activation};

static bool ends_in_sigmoid(const struct bundle *bundle)
{
    return strcmp(bundle->layers[bundle->n_layers - 1].type->name, "sigmoid") == 0;
}

/* By softmax each output has its label. By sigmoid too, or one output decides between two labels. */
enum status labels_check(const struct parts *parts, struct error *err)
{
    const struct bundle *bundle = parts->bundle;
    size_t outputs = network_output_size(parts->network);
    bool sigmoid = bundle->activation == ACTIVATION_SIGMOID;
    bool is_binary = sigmoid && outputs == 1 && bundle->n_labels == 2;
    if (bundle->activation == ACTIVATION_NONE)
        return error_set(err, STATUS_BAD_VALUE, "'labels' has no place with 'activation' 'none'; scores of "
                         "labels need 'softmax' or 'sigmoid'");
    if (sigmoid && ends_in_sigmoid(bundle))
        return error_set(err, STATUS_BAD_VALUE,
                         "the network ends in a sigmoid layer, and 'activation' is 'sigmoid', which would be "
                         "the second; remove the layer: golden.json then holds the outputs before it");
    if (!sigmoid && outputs == 1 && bundle->n_labels <= 2)
        return error_set(err, STATUS_BAD_SHAPE,
                         "the network gives 1 number, 'labels' has %zu, and the softmax of one number is "
                         "always 1; a network that decides between two labels needs \"activation\": "
                         "\"sigmoid\" and two labels, of which a high output means the second",
                         bundle->n_labels);
    if (outputs == bundle->n_labels || is_binary) return STATUS_OK;
    return error_set(err, STATUS_BAD_SHAPE, "the network gives %zu numbers, 'labels' has %zu%s", outputs,
                     bundle->n_labels, outputs == 1 && sigmoid ? ", expected 1 or 2" : "");
}
