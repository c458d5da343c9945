/* POST /v1/translate: texts to texts, by an encoder, a decoder and beam search. A text of several sentences
 * may be cut, and its translations put together again with the white space that was between them. */
#include <stdlib.h>
#include <string.h>

#include "core/base/memory.h"
#include "server/api/answer.h"
#include "server/api/beams.h"
#include "server/api/texts.h"

struct translate {
    struct work work;
    struct translation *translation;
    struct kept_texts texts;
    struct piece_of *pieces; /* [n] owned; what each input of the translation is of the texts; NULL: all */
    size_t n;
};

static void release(struct work *work)
{
    struct translate *task = (struct translate *)work;
    texts_free(&task->texts);
    memory_free(task->pieces);
    work_release(work);
}

/* ---- the answer ------------------------------------------------------------------------------- */

/* What one result of input i says, without the brackets. */
static bool put_result(struct writer *out, const struct translation *translation, size_t i,
                       const struct translation_result *result)
{
    if (!beams_put_text(out, translation_model(translation)->target, result)) return false;
    beams_put(out, result);
    return beams_put_attention(out, translation, i, result);
}

/* The best result of input i, and the others as its alternatives, without the brackets. */
static bool put_results(struct writer *out, const struct translation *translation, size_t i)
{
    size_t n;
    const struct translation_result *results = translation_results(translation, i, &n);
    bool good = put_result(out, translation, i, &results[0]);
    if (n < 2) return good;
    put_name(out, "alternatives");
    put_open(out, '[');
    for (size_t k = 1; k < n && good; k++) {
        put_open(out, '{');
        good = put_result(out, translation, i, &results[k]);
        put_close(out, '}');
    }
    put_close(out, ']');
    return good;
}

/* The translations of sentences `first` to `end` of a text, with what lies between them in the text. */
static bool put_joined(struct writer *out, const struct translate *task, const char *text, size_t first,
                       size_t end)
{
    const struct tokenizer *target = translation_model(task->translation)->target;
    struct writer joined;
    size_t n, bytes = 0;
    bool good = true;
    writer_init(&joined, SIZE_MAX / 2);
    for (size_t i = first; i < end && good; i++) {
        char *sentence = beams_text(target, translation_results(task->translation, i, &n));
        size_t from = i > first ? task->pieces[i - 1].end : 0;
        good = sentence != NULL;
        put_raw(&joined, text + from, task->pieces[i].start - from);
        if (good) put_raw(&joined, sentence, strlen(sentence));
        memory_free(sentence);
    }
    size_t last = task->pieces[end - 1].end;
    put_raw(&joined, text + last, strlen(text) - last);
    char *whole = writer_take(&joined, &bytes);
    if (whole) put_named_string(out, "text", whole);
    free(whole);
    return good && whole;
}

/* A text of several sentences: all together, then each with its place. */
static bool put_sentences(struct writer *out, const struct translate *task, size_t text, size_t first,
                          size_t end)
{
    double score = 0, log_probability = 0;
    bool has_ended = true;
    size_t n = end - first, n_results;
    const char *source = task->texts.texts[text];
    struct text_place *places = memory_new(n, sizeof *places);
    bool good = places && put_joined(out, task, source, first, end);
    if (good) texts_pieces(source, task->pieces + first, n, places);
    for (size_t i = first; i < end; i++) {
        const struct translation_result *best = translation_results(task->translation, i, &n_results);
        score += best->score / (double)n;
        log_probability += best->log_probability;
        has_ended &= best->has_ended;
    }
    beams_put(out, &(struct translation_result){.score = score, .log_probability = log_probability,
                                                .has_ended = has_ended});
    put_name(out, "sentences");
    put_open(out, '[');
    for (size_t i = 0; i < n && good; i++) {
        put_open(out, '{');
        put_named_integer(out, "start", (int64_t)places[i].start);
        put_named_integer(out, "end", (int64_t)places[i].end);
        put_named_integer(out, "start_utf16", (int64_t)places[i].start_utf16);
        put_named_integer(out, "end_utf16", (int64_t)places[i].end_utf16);
        good = put_results(out, task->translation, first + i);
        put_close(out, '}');
    }
    put_close(out, ']');
    memory_free(places);
    return good;
}

static void print(struct work *work, struct request *request, struct reply *reply)
{
    const struct translate *task = (struct translate *)work;
    struct writer out;
    bool good = true;
    size_t n;
    answer_open(&out, request, "trans-", "translation", work->job->model);
    put_name(&out, "translations");
    put_open(&out, '[');
    for (size_t i = 0, end; i < task->n && good; i = end) {
        size_t text = task->pieces ? task->pieces[i].text : i;
        for (end = i + 1; task->pieces && end < task->n && task->pieces[end].text == text;) end++;
        put_open(&out, '{');
        good = end == i + 1 ? put_results(&out, task->translation, i)
                            : put_sentences(&out, task, text, i, end);
        put_close(&out, '}');
    }
    put_close(&out, ']');
    if (!good) writer_fail(&out);
    for (size_t i = 0; i < task->n; i++)
        request->record.steps_out += translation_results(task->translation, i, &n)[0].n;
    beams_close(&out, work, request, reply);
}

/* ---- what is asked ---------------------------------------------------------------------------- */

/* The fields besides the texts; what is left out is as the bundle says. */
static bool read_fields(const struct call *call, struct translation_request *request, bool *cut)
{
    size_t alternatives = 0;
    *cut = translation_spec_of(call->model)->split_sentences;
    if (!beams_read(call, request) ||
        !field_size(call->root, "alternatives", 0, TRANSLATION_MAX_BEAMS - 1, &alternatives,
                    call->problem) ||
        !field_boolean(call->root, "split_sentences", cut, call->problem))
        return false;
    if (alternatives >= request->num_beams)
        return problem_set(call->problem, FAULT_INVALID_VALUE, "alternatives",
                           "'alternatives' is %zu, expected less than num_beams, which is %zu", alternatives,
                           request->num_beams);
    request->n_best = alternatives + 1;
    return true;
}

/* Keep what the answer needs of texts that are cut. */
static bool keep_texts(struct translate *task, struct spans *spans)
{
    task->n = spans->n;
    if (!spans->pieces) return true;
    task->pieces = spans->pieces;
    spans->pieces = NULL;
    return texts_keep(spans, &task->texts);
}

static bool submit(struct call *call, struct translation_request *request, struct spans *spans)
{
    struct error err = {0};
    struct translate *task = calloc(1, sizeof *task);
    size_t *texts = spans->pieces ? memory_new(spans->n, sizeof *texts) : NULL;
    for (size_t i = 0; texts && i < spans->n; i++) texts[i] = spans->pieces[i].text;
    bool good = task && (texts || !spans->pieces) && keep_texts(task, spans);
    request->texts = texts;
    request->n_texts = spans->n_texts;
    enum status status = STATUS_NO_MEMORY;
    if (good) status = translation_new(call->model, request, &call->options, &task->translation, &err);
    memory_free(texts);
    if (status != STATUS_OK) {
        if (task) release(&task->work);
        return problem_from(call->problem, status, &err, "input");
    }
    task->work.job = translation_job(task->translation);
    task->work.print = print;
    task->work.release = release;
    call_defer(call, &task->work);
    return true;
}

void api_translate(struct request *request, struct reply *reply)
{
    static const char *const known[] = {"input", "num_beams", "alternatives", "max_tokens", "length_penalty",
                                        "return_attention", "split_sentences", NULL};
    static const struct fields fields = {.known = known};
    struct call call;
    struct spans spans;
    bool cut;
    if (!call_open(&call, request, reply, &fields, ABILITY_TRANSLATE)) return;
    struct translation_request wanted = beams_request(&call, ABILITY_TRANSLATE);
    if (read_fields(&call, &wanted, &cut) &&
        spans_read(&call, "input", TEXTS_ONE | (cut ? TEXTS_CUT : 0), &spans)) {
        call_record(&call, spans.n_tokens);
        wanted.inputs = spans.spans;
        wanted.n_inputs = spans.n;
        submit(&call, &wanted, &spans);
        spans_free(&spans);
    }
    call_close(&call);
}
