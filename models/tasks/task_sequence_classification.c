/* sequence-classification: one label, or several, for a whole sequence of rows of numbers. Requests:
 * classification.h, reading.h. */
#include "models/bundle/input.h"
#include "models/bundle/labels.h"

static enum status check(const struct parts *parts, struct error *err)
{
    enum status status = task_check_numbers(parts, &task_sequence_classification, err);
    if (status == STATUS_OK) status = labels_check(parts, err);
    return status == STATUS_OK ? task_check_pooled(parts, &task_sequence_classification, err) : status;
}

const struct task task_sequence_classification = {
    .name = "sequence-classification",
    .abilities = CAN(CLASSIFY) | CAN(EMBED) | CAN(EXPLAIN),
    .sections = {{&section_features, false}, {&section_labels, true}, {&section_activation, false}},
    .check = check,
    .steps = input_features_of,
};
