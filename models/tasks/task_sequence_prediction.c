/* sequence-prediction: values, or labels, at every step of rows of numbers or of a text, or at its last step.
 * Requests: prediction.h, reading.h. */
#include "models/bundle/bundle.h"
#include "models/bundle/inspect.h"
#include "models/bundle/labels.h"
#include "models/tasks/prediction.h"

static enum status read_prediction(const struct json *value, struct bundle *bundle, struct error *err)
{
    static const char *const returns[] = {"last", "all", NULL};
    static const struct field fields[] = {{.name = "return", .kind = FIELD_CHOICE, .choices = returns}};
    struct prediction_spec *spec = bundle->spec;
    long all = spec->all;
    enum status status = json_read(value, fields, 1, &all, err);
    spec->all = all;
    return status;
}

static const struct section section_prediction = {"prediction", FIELD_OBJECT, read_prediction};

static enum status check(const struct parts *parts, struct error *err)
{
    const struct task *task = &task_sequence_prediction;
    const struct bundle *bundle = parts->bundle;
    const struct prediction_spec *spec = bundle->spec;
    if (parts->tokenizer && (bundle->mean.n || bundle->scale.n))
        return error_set(err, STATUS_BAD_VALUE,
                         "'features' has no place beside 'tokenizer': the network reads "
                         "either numbers or tokens");
    enum status status = (parts->tokenizer ? task_check_tokens : task_check_numbers)(parts, task, err);
    if (status == STATUS_OK && bundle->n_labels > 0) status = labels_check(parts, err);
    if (status != STATUS_OK || !network_has_pooling(parts->network)) return status;
    if (spec->all)
        return error_set(err, STATUS_BAD_VALUE,
                         "'return' is 'all', but the network has a pooling layer, which "
                         "gives one vector for a sequence; expected 'last', or no pooling layer");
    return task_check_pooled(parts, task, err);
}

static enum status steps(const struct model *model, const struct json *input, struct steps *out,
                         struct error *err)
{
    return (model->tokenizer ? input_text_of : input_features_of)(model, input, out, err);
}

static void inspect(const struct view *view)
{
    inspect_line(view, "returns", "%s; activation %s",
                 prediction_spec_of(view->model)->all ? "every step" : "the last step",
                 activation_name(view->model->activation));
}

const struct task task_sequence_prediction = {
    .name = "sequence-prediction",
    .abilities = CAN(PREDICT) | CAN(EMBED) | CAN(EXPLAIN),
    .sections = {{&section_tokenizer, false}, {&section_features, false}, {&section_labels, false},
                 {&section_activation, false}, {&section_prediction, false}},
    .reads_eos = true,
    .activation = ACTIVATION_NONE,
    .spec_bytes = sizeof(struct prediction_spec),
    .check = check,
    .steps = steps,
    .inspect = inspect,
};
