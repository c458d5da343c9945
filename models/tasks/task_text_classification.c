/* text-classification: one label, or several, for a whole text. Requests: classification.h, reading.h. */
#include "models/bundle/input.h"
#include "models/bundle/labels.h"

static enum status check(const struct parts *parts, struct error *err)
{
    enum status status = task_check_tokens(parts, &task_text_classification, err);
    if (status == STATUS_OK) status = labels_check(parts, err);
    return status == STATUS_OK ? task_check_pooled(parts, &task_text_classification, err) : status;
}

const struct task task_text_classification = {
    .name = "text-classification",
    .abilities = CAN(CLASSIFY) | CAN(TOKENIZE) | CAN(EMBED) | CAN(EXPLAIN),
    .sections = {{&section_tokenizer, true}, {&section_labels, true}, {&section_activation, false}},
    .may_pad = true,
    .may_ngram = true,
    .reads_eos = true,
    .check = check,
    .steps = input_text_of,
};
