#include "models/tasks/answering.h"

#include <string.h>

#include "core/base/memory.h"
#include "models/bundle/golden.h"
#include "models/jobs/logits.h"
#include "models/jobs/scores.h"
#include "models/text/json.h"

void answering_join(const struct token_span *question, const struct token_span *context, int32_t *out)
{
    if (question->n) memcpy(out, question->ids, question->n * sizeof *out);
    if (context->n) memcpy(out + question->n, context->ids, context->n * sizeof *out);
}

/* ---- golden cases ---------------------------------------------------------------------------- */

struct texts {
    const char *question, *context;
};

static const struct field fields[] = {
    {.name = "question", .kind = FIELD_STRING, .required = true, .offset = offsetof(struct texts, question)},
    {.name = "context", .kind = FIELD_STRING, .required = true, .offset = offsetof(struct texts, context)},
};

static enum status encode(const struct model *model, const char *name, const char *text, int32_t **ids,
                          struct token_span *out, struct error *err)
{
    enum status status = tokenizer_encode(model->tokenizer, text, strlen(text), GOLDEN_MAX_STEPS, ids,
                                          &out->n, err);
    if (status != STATUS_OK) error_prefix(err, "'input': '%s'", name);
    else out->ids = *ids;
    return status;
}

/* Put together what the network reads. */
static enum status join(const struct model *model, const struct token_span *question,
                        const struct token_span *context, struct steps *out, struct error *err)
{
    size_t n = question->n + context->n;
    int32_t *ids = memory_new(n + 1, sizeof *ids);
    out->n = input_text_steps(model, n);
    out->tokens = memory_new(out->n + 1, sizeof *out->tokens);
    bool there = ids && out->tokens;
    if (there) {
        answering_join(question, context, ids);
        input_text(model, ids, n, out->tokens);
    }
    memory_free(ids);
    return there ? input_check_steps(out->n, err) : error_set(err, STATUS_NO_MEMORY, "no memory");
}

enum status answering_steps(const struct model *model, const struct json *input, struct steps *out,
                            struct error *err)
{
    char found[JSON_DESCRIPTION_BYTES];
    struct texts texts = {0};
    struct token_span question = {0}, context = {0};
    int32_t *question_ids = NULL, *context_ids = NULL;
    if (json_kind(input) != JSON_OBJECT)
        return error_set(err, STATUS_BAD_VALUE, "'input' is %s, expected an object with 'question' and "
                                                "'context'", json_describe(found, input));
    enum status status = json_read(input, fields, sizeof fields / sizeof *fields, &texts, err);
    if (status == STATUS_OK)
        status = encode(model, "question", texts.question, &question_ids, &question, err);
    if (status == STATUS_OK) status = encode(model, "context", texts.context, &context_ids, &context, err);
    if (status == STATUS_OK) status = join(model, &question, &context, out, err);
    memory_free(question_ids);
    memory_free(context_ids);
    return status;
}

/* ---- requests -------------------------------------------------------------------------------- */

static size_t width_of(const struct model *model)
{
    return model->n_labels + answering_spec_of(model)->supporting;
}

static void put(const struct model *model, const float *output, float *row)
{
    logits_softmax(output, model->n_labels, row);
    if (answering_spec_of(model)->supporting)
        scores_put(ACTIVATION_SIGMOID, output + model->n_labels, 1, 1, row + model->n_labels);
}

struct reading_want answering_want(const struct model *model)
{
    enum reading_rows rows = answering_spec_of(model)->supporting ? READING_ALL : READING_LAST;
    return (struct reading_want){.ability = ABILITY_ANSWER, .rows = rows, .put = put,
                                 .width = width_of(model)};
}

const float *answering_scores(const struct model *model, const float *rows, size_t n_rows)
{
    return rows + (n_rows - 1) * width_of(model);
}

float answering_support(const struct model *model, const float *rows, size_t step)
{
    return rows[step * width_of(model) + model->n_labels];
}
