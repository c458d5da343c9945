/* question-answering: which of the labels answers a question about a text. Requests: answering.h,
 * reading.h. */
#include "models/bundle/bundle.h"
#include "models/bundle/inspect.h"
#include "models/tasks/answering.h"

static enum status read_answering(const struct json *value, struct bundle *bundle, struct error *err)
{
    static const struct field fields[] = {
        {.name = "supporting", .kind = FIELD_BOOLEAN, .offset = offsetof(struct answering_spec, supporting)},
    };
    return json_read(value, fields, sizeof fields / sizeof *fields, bundle->spec, err);
}

static const struct section section_answering = {"answering", FIELD_OBJECT, read_answering};

/* The output of a label each, and one for the sentences; without that one the network may pool. */
static enum status check(const struct parts *parts, struct error *err)
{
    const struct task *task = &task_question_answering;
    const bool supporting = ((const struct answering_spec *)parts->bundle->spec)->supporting;
    size_t outputs = network_output_size(parts->network), n_labels = parts->bundle->n_labels;
    enum status status = task_check_tokens(parts, task, err);
    if (status == STATUS_OK && supporting) status = task_check_stepwise(parts, task, err);
    else if (status == STATUS_OK && network_has_pooling(parts->network))
        status = task_check_pooled(parts, task, err);
    else if (status == STATUS_OK) status = task_check_causal(parts, task, err);
    if (status != STATUS_OK) return status;
    if (n_labels < 2)
        return error_set(err, STATUS_BAD_VALUE, "'labels' has %zu entries, expected 2 answers or more",
                         n_labels);
    if (outputs != n_labels + supporting)
        return error_set(err, STATUS_BAD_SHAPE, "the network gives %zu numbers, 'labels' has %zu%s", outputs,
                         n_labels, supporting ? ", and 'supporting' needs one more" : "");
    return STATUS_OK;
}

static void inspect(const struct view *view)
{
    inspect_line(view, "answers", "%zu labels%s", view->model->n_labels,
                 answering_spec_of(view->model)->supporting ? ", with the sentences that they rest on" : "");
}

const struct task task_question_answering = {
    .name = "question-answering",
    .abilities = CAN(ANSWER) | CAN(TOKENIZE) | CAN(EXPLAIN),
    .sections = {{&section_tokenizer, true}, {&section_labels, true}, {&section_answering, false}},
    .reads_eos = true,
    .spec_bytes = sizeof(struct answering_spec),
    .check = check,
    .steps = answering_steps,
    .inspect = inspect,
};
