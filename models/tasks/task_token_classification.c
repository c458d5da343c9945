/* token-classification: a label for each token of a text, and so the entities in it; and, if the network
 * gives it, an intent of the whole text. Requests: prediction.h, tagging.h, reading.h. */
#include "models/bundle/bundle.h"
#include "models/bundle/inspect.h"
#include "models/tasks/prediction.h"
#include "models/tasks/tagging.h"

static const char *const places[] = {"mean", "first", "last", NULL}; /* enum intent_from */

struct keys {
    long n_intents, from;
};

static enum status read_tagging(const struct json *value, struct bundle *bundle, struct error *err)
{
    static const struct field fields[] = {
        {.name = "num_intents", .kind = FIELD_INTEGER, .minimum = 1, .maximum = TAGS_MAX_LABELS,
         .required = true,
         .offset = offsetof(struct keys, n_intents)},
        {.name = "intent_from", .kind = FIELD_CHOICE, .choices = places, .offset = offsetof(struct keys,
                                                                                            from)},
    };
    struct prediction_spec *spec = bundle->spec;
    struct keys keys = {0};
    enum status status = json_read(value, fields, 2, &keys, err);
    spec->n_intents = (size_t)keys.n_intents;
    spec->from = (enum intent_from)keys.from;
    return status;
}

static const struct section section_tagging = {"tagging", FIELD_OBJECT, read_tagging};

static void set_defaults(void *spec)
{
    *(struct prediction_spec *)spec = (struct prediction_spec){.all = true};
}

static enum status check(const struct parts *parts, struct error *err)
{
    const struct task *task = &task_token_classification;
    const struct prediction_spec *spec = parts->bundle->spec;
    size_t n_labels = parts->bundle->n_labels, outputs = network_output_size(parts->network);
    enum status status = task_check_tokens(parts, task, err);
    if (status == STATUS_OK) status = task_check_stepwise(parts, task, err);
    if (status != STATUS_OK) return status;
    if (n_labels > TAGS_MAX_LABELS)
        return error_set(err, STATUS_BAD_VALUE, "'labels' has %zu entries, task '%s' allows at most %d",
                         n_labels,
                         task->name, TAGS_MAX_LABELS);
    if (outputs != n_labels)
        return error_set(err, STATUS_BAD_SHAPE, "the network gives %zu numbers, 'labels' has %zu", outputs,
                         n_labels);
    if (n_labels < spec->n_intents + 2)
        return error_set(err, STATUS_BAD_VALUE,
                         "'labels' has %zu entries, of which the last %zu are intents; "
                         "expected at least 2 before them", n_labels, spec->n_intents);
    return STATUS_OK;
}

static void inspect(const struct view *view)
{
    const struct prediction_spec *spec = prediction_spec_of(view->model);
    if (spec->n_intents)
        inspect_line(view, "intents", "the last %zu labels, from the %s", spec->n_intents,
                     spec->from == INTENT_MEAN    ? "mean of all steps"
                     : spec->from == INTENT_FIRST ? "first step"
                                                  : "last step");
}

static size_t facts(const struct model *model, struct fact *facts)
{
    facts[0] = (struct fact){"num_intents", (double)prediction_spec_of(model)->n_intents};
    return 1;
}

const struct task task_token_classification = {
    .name = "token-classification",
    .abilities = CAN(CLASSIFY) | CAN(TAG) | CAN(PREDICT) | CAN(TOKENIZE) | CAN(EMBED) | CAN(EXPLAIN),
    .sections = {{&section_tokenizer, true}, {&section_labels, true}, {&section_tagging, false}},
    .reads_eos = true,
    .spec_bytes = sizeof(struct prediction_spec),
    .defaults = set_defaults,
    .check = check,
    .steps = input_text_of,
    .inspect = inspect,
    .facts = facts,
};
