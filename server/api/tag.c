/* POST /v1/classify on models that tag: the entities of each text, and its intent. */
#include "server/api/tag.h"

#include <stdlib.h>

#include "core/base/memory.h"
#include "models/tasks/prediction.h"
#include "models/tasks/tagging.h"
#include "server/api/answer.h"
#include "server/api/readings.h"

static bool put_intent(struct writer *out, const struct model *model, const float *rows, size_t n_rows)
{
    size_t n = prediction_spec_of(model)->n_intents, best = 0;
    put_name(out, "intent");
    if (n == 0) {
        put_null(out);
        return true;
    }
    float *scores = memory_new(n, sizeof *scores);
    if (!scores) return false;
    prediction_intents(model, rows, n_rows, scores);
    for (size_t i = 1; i < n; i++)
        if (scores[i] > scores[best]) best = i;
    put_open(out, '{');
    put_named_string(out, "label", model->labels[prediction_n_labels(model) + best]);
    put_name(out, "score");
    put_float(out, scores[best]);
    put_close(out, '}');
    memory_free(scores);
    return true;
}

static void put_entity(struct writer *out, const struct entity *entity, const char *text,
                       const struct text_place *places)
{
    const struct text_place *first = &places[entity->first], *last = &places[entity->end - 1];
    put_open(out, '{');
    put_named_string(out, "label", entity->kind);
    put_name(out, "value");
    put_string_n(out, text + first->start_byte, last->end_byte - first->start_byte);
    put_named_integer(out, "start", (int64_t)first->start);
    put_named_integer(out, "end", (int64_t)last->end);
    put_named_integer(out, "start_utf16", (int64_t)first->start_utf16);
    put_named_integer(out, "end_utf16", (int64_t)last->end_utf16);
    put_name(out, "score");
    put_float(out, (float)entity->score);
    put_close(out, '}');
}

static bool put_entities(struct writer *out, const struct tags *tags, const struct reading_work *task,
                         size_t i)
{
    const struct model *model = task->work.job->model;
    size_t width = prediction_n_values(model) + prediction_spec_of(model)->n_intents, n_rows, n, at = 0;
    const float *rows = reading_rows(task->reading, i, &n_rows);
    struct text_place *places;
    struct entity entity;
    if (!put_intent(out, model, rows, n_rows)) return false;
    rows += task->n_before * width;
    n_rows -= task->n_before + input_puts_eos(model);
    if (!texts_places(&task->texts, model->tokenizer, i, n_rows, &places, &n)) return false;
    size_t *path = memory_new(n + 1, sizeof *path);
    bool good = path && tags_path(tags, rows, width, n, path) == STATUS_OK;
    put_name(out, "entities");
    put_open(out, '[');
    while (good && tags_next(tags, path, rows, width, n, &at, &entity))
        put_entity(out, &entity, task->texts.texts[i], places);
    put_close(out, ']');
    memory_free(path);
    memory_free(places);
    return good;
}

static void print(struct work *work, struct request *request, struct reply *reply)
{
    const struct reading_work *task = (struct reading_work *)work;
    const struct model *model = work->job->model;
    const struct usage usage = {"steps_in", request->record.steps_in};
    struct tags *tags = NULL;
    struct transitions learned;
    bool good = tags_new((const char *const *)model->labels, prediction_n_labels(model),
                         prediction_transitions(model, &learned) ? &learned : NULL, &tags) == STATUS_OK;
    struct writer out;
    answer_open(&out, request, "cls-", "classification", model);
    put_name(&out, "results");
    put_open(&out, '[');
    for (size_t i = 0; i < task->texts.n && good; i++) {
        put_open(&out, '{');
        good = put_entities(&out, tags, task, i);
        put_close(&out, '}');
    }
    put_close(&out, ']');
    tags_free(tags);
    if (!good) writer_fail(&out);
    answer_close(&out, &usage, 1, work, reply);
}

bool tag_submit(struct call *call, const struct inputs *inputs)
{
    const struct reading_want want = prediction_want(call->model, ABILITY_TAG, READING_ALL);
    return readings_submit(call, inputs, &want, true, calloc(1, sizeof(struct reading_work)), print);
}
