/* token-classification: a label for each token of a text, and so the entities in it; and, if the network
 * gives it, an intent of the whole text. Requests: prediction.h, tagging.h, reading.h. */
#include <stdio.h>
#include <string.h>

#include "core/base/memory.h"
#include "models/bundle/bundle.h"
#include "models/bundle/inspect.h"
#include "models/tasks/prediction.h"
#include "models/tasks/tagging.h"
#include "models/text/sentence.h"

static const char *const places[] = {"mean", "first", "last", NULL}; /* enum intent_from */

struct keys {
    long n_intents, from;
    const char *transitions;
};

static enum status copy_prefix(const char *prefix, struct prediction_spec *spec, struct error *err)
{
    char quoted[QUOTE_BYTES];
    size_t bytes = strlen(prefix);
    if (bytes >= sizeof spec->transitions || !sentence_is_plain(prefix, bytes))
        return error_set(err, STATUS_BAD_VALUE,
                         "'transitions' is %s, expected at most %zu bytes of characters that can be shown",
                         sentence_quote(quoted, prefix, bytes), sizeof spec->transitions - 1);
    memcpy(spec->transitions, prefix, bytes + 1);
    return STATUS_OK;
}

static enum status read_tagging(const struct json *value, struct bundle *bundle, struct error *err)
{
    static const struct field fields[] = {
        {.name = "num_intents", .kind = FIELD_INTEGER, .minimum = 1, .maximum = TAGS_MAX_LABELS,
         .offset = offsetof(struct keys, n_intents)},
        {.name = "intent_from", .kind = FIELD_CHOICE, .choices = places,
         .offset = offsetof(struct keys, from)},
        {.name = "transitions", .kind = FIELD_STRING, .offset = offsetof(struct keys, transitions)},
    };
    struct prediction_spec *spec = bundle->spec;
    struct keys keys = {0};
    enum status status = json_read(value, fields, 3, &keys, err);
    spec->n_intents = (size_t)keys.n_intents;
    spec->from = (enum intent_from)keys.from;
    if (status == STATUS_OK && keys.transitions) status = copy_prefix(keys.transitions, spec, err);
    return status;
}

static const struct section section_tagging = {"tagging", FIELD_OBJECT, read_tagging};

static void set_defaults(void *spec)
{
    *(struct prediction_spec *)spec = (struct prediction_spec){.all = true};
}

/* The names and the meaning of PyPI's pytorch-crf. The numbers are laid out as struct transitions has
 * them. */
static enum status read_transitions(const struct bundle *bundle, struct tensors *tensors, float **out,
                                    struct error *err)
{
    static const char *const names[] = {"transitions", "start_transitions", "end_transitions"};
    const struct prediction_spec *spec = bundle->spec;
    if (!spec->transitions[0]) return STATUS_OK;
    if (bundle->n_labels <= spec->n_intents || bundle->n_labels - spec->n_intents > TAGS_MAX_LEARNED)
        return error_set(err, STATUS_BAD_VALUE,
                         "config.json: tagging: 'transitions' needs 1 to %d labels that are no intents; "
                         "'labels' has %zu, of which %zu are intents",
                         TAGS_MAX_LEARNED, bundle->n_labels, spec->n_intents);
    size_t n = bundle->n_labels - spec->n_intents, shape[] = {n, n}, at = 0;
    float *numbers = out ? memory_new(n * n + 2 * n, sizeof *numbers) : NULL;
    if (out && !numbers) return error_set(err, STATUS_NO_MEMORY, "no memory for %zu transitions", n * n);
    enum status status = STATUS_OK;
    for (size_t i = 0; i < 3 && status == STATUS_OK; i++) {
        char name[LAYER_PREFIX_BYTES + 20];
        size_t rank = i == 0 ? 2 : 1, count = i == 0 ? n * n : n;
        snprintf(name, sizeof name, "%s.%s", spec->transitions, names[i]);
        status = tensors->check(tensors, name, rank, shape, err);
        if (status == STATUS_OK && out)
            status = tensors->read(tensors, name, rank, shape, 0, count, numbers + at, err);
        at += count;
    }
    if (out) *out = numbers; /* the model's, even if it is not to be */
    return status;
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
    if (spec->transitions[0])
        inspect_line(view, "transitions", "learned, '%s'", spec->transitions);
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
    .read = read_transitions,
    .steps = input_text_of,
    .inspect = inspect,
    .facts = facts,
};
