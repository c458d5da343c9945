/* POST /v1/translate: texts to texts, by an encoder, a decoder and beam search or draws. A text of several
 * sentences may be cut, and its translations put together again with the white space that was between them.
 * */
#include <stdlib.h>
#include <string.h>

#include "core/base/memory.h"
#include "server/api/answer.h"
#include "server/api/branch.h"
#include "server/routes/translate.h"

static void release(struct work *work)
{
    struct translate *task = (struct translate *)work;
    texts_free(&task->texts);
    memory_free(task->pieces);
    memory_free(task->told);
    events_release(&task->events);
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

size_t translate_end(const struct translate *task, size_t first)
{
    size_t end = first + 1;
    while (task->pieces && end < task->n && task->pieces[end].text == task->pieces[first].text) end++;
    return end;
}

struct translation_result translate_whole(const struct translate *task, size_t first, size_t end)
{
    struct translation_result whole = {.has_ended = true};
    size_t n;
    for (size_t i = first; i < end; i++) {
        const struct translation_result *best = translation_results(task->translation, i, &n);
        whole.score += best->score / (double)(end - first);
        whole.log_probability += best->log_probability;
        whole.has_ended &= best->has_ended;
    }
    return whole;
}

void translate_record(const struct translate *task, struct request *request)
{
    size_t n;
    for (size_t i = 0; i < task->n; i++)
        request->record.steps_out += translation_results(task->translation, i, &n)[0].n;
}

/* A text of several sentences: all together, then each with its place. */
static bool put_sentences(struct writer *out, const struct translate *task, size_t text, size_t first,
                          size_t end)
{
    const struct translation_result whole = translate_whole(task, first, end);
    size_t n = end - first;
    const char *source = task->texts.texts[text];
    struct text_place *places = memory_new(n, sizeof *places);
    bool good = places && put_joined(out, task, source, first, end);
    if (good) texts_pieces(source, task->pieces + first, n, places);
    beams_put(out, &whole);
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
    answer_open(&out, request, "trans-", "translation", work->job->model);
    put_name(&out, "translations");
    put_open(&out, '[');
    for (size_t i = 0, end; i < task->n && good; i = end) {
        size_t text = task->pieces ? task->pieces[i].text : i;
        end = translate_end(task, i);
        put_open(&out, '{');
        good = end == i + 1 ? put_results(&out, task->translation, i)
                            : put_sentences(&out, task, text, i, end);
        put_close(&out, '}');
    }
    put_close(&out, ']');
    beams_put_seed(&out, task->translation);
    if (!good) writer_fail(&out);
    translate_record(task, request);
    beams_close(&out, work, request, reply);
}

/* ---- what is asked ---------------------------------------------------------------------------- */

/* How many results: "n", or "alternatives" besides the best. */
static bool read_amount(const struct call *call, struct translation_request *request)
{
    size_t alternatives = 0;
    if (!field_size(call->root, "alternatives", 0, TRANSLATION_MAX_BEAMS - 1, &alternatives, call->problem))
        return false;
    request->n_best = alternatives + 1;
    if (json_get(call->root, "n") && json_get(call->root, "alternatives"))
        return problem_set(call->problem, FAULT_INVALID_VALUE, "n",
                           "'n' counts what 'alternatives' counts, and the best one; expected one of them");
    return field_size(call->root, "n", 1, TRANSLATION_MAX_BEAMS, &request->n_best, call->problem);
}

/* A stream shows a text while it grows: there is one, and nothing but its text. */
static bool check_stream(const struct call *call, struct translation_request *request)
{
    const char *field = request->n_best > 1 ? json_get(call->root, "n") ? "n" : "alternatives"
                        : request->keeps_attention ? "return_attention" : NULL;
    if (field)
        return problem_set(call->problem, FAULT_INVALID_VALUE, field,
                           "'%s' does not go with 'stream': true, which shows one text while it is written; "
                           "leave one of them out", field);
    if (!json_get(call->root, "num_beams")) request->num_beams = 1;
    if (request->num_beams > 1)
        return problem_set(call->problem, FAULT_INVALID_VALUE, "num_beams",
                           "'num_beams' is %zu; expected 1 with 'stream': true, because a search may take "
                           "back what it has written", request->num_beams);
    return true;
}

/* The fields besides the texts; what is left out is as the bundle says. */
static bool read_fields(const struct call *call, struct translation_request *request, bool *cut)
{
    *cut = translation_spec_of(call->model)->split_sentences;
    if (!read_amount(call, request) || !beams_read(call, request) ||
        !field_boolean(call->root, "split_sentences", cut, call->problem) ||
        !field_boolean(call->root, "stream", &request->streams, call->problem))
        return false;
    if (request->n_best > request->num_beams)
        return problem_set(call->problem, FAULT_INVALID_VALUE,
                           json_get(call->root, "n") ? "n" : "alternatives",
                           "%zu results are asked for; expected at most num_beams, which is %zu",
                           request->n_best, request->num_beams);
    return !request->streams || check_stream(call, request);
}

/* Keep what the answer needs of texts. */
static bool keep_texts(struct translate *task, struct spans *spans)
{
    task->n = spans->n;
    task->n_texts = spans->pieces ? spans->n_texts : spans->n;
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
    if (status == STATUS_OK && request->streams && !translate_stream_begin(task, call->request)) {
        task->work.job = translation_job(task->translation);
        status = STATUS_NO_MEMORY;
    }
    if (status != STATUS_OK) {
        if (task) release(&task->work);
        return problem_from(call->problem, status, &err, "input");
    }
    task->work.job = translation_job(task->translation);
    task->work.print = print;
    task->work.release = release;
    task->work.branch = call_take_branch(call);
    call_defer(call, &task->work);
    if (request->streams) call->request->operation = &translate_stream;
    return true;
}

/* A stream does not say under which id its state is kept. */
static bool check_kept(const struct call *call, const struct translation_request *request)
{
    return !call->options.keeps || !request->streams ||
           problem_set(call->problem, FAULT_INVALID_VALUE, "stream",
                       "a streamed translation keeps no state; leave 'stream' or 'store' out");
}

/* From the state of a translation, whose source and whose beginning it has. */
static void go_on(struct call *call, struct translation_request *wanted)
{
    struct translation_kept kept;
    struct error err = {0};
    bool cut;
    if (json_get(call->root, "input")) {
        problem_set(call->problem, FAULT_INVALID_VALUE, "input",
                    "the state has its text already; leave 'input' out");
        return;
    }
    if (!translation_read_kept(call->model, call->options.from, &kept, &err)) {
        problem_from(call->problem, *err.message ? STATUS_BAD_VALUE : STATUS_NO_MEMORY, &err, "state");
        return;
    }
    struct token_span source = {kept.ids, kept.n_source};
    struct spans spans = {.spans = &source, .n = 1, .n_texts = 1, .n_tokens = kept.n_source};
    if (read_fields(call, wanted, &cut) && check_kept(call, wanted)) {
        if (!json_get(call->root, "seed")) wanted->seed = kept.seed;
        wanted->given = kept.ids + kept.n_source;
        wanted->n_given = kept.n_target;
        wanted->inputs = &source;
        wanted->n_inputs = 1;
        call_record(call, kept.n_source);
        submit(call, wanted, &spans);
    }
    memory_free(kept.ids);
}

void api_translate(struct request *request, struct reply *reply)
{
    static const char *const known[] = {"input", "n", "alternatives", "split_sentences", "stream",
                                        BEAMS_FIELDS, NULL};
    static const struct fields fields = {.known = known, .goes_on = true};
    struct call call;
    struct spans spans;
    bool cut;
    if (!call_open(&call, request, reply, &fields, ABILITY_TRANSLATE)) return;
    struct translation_request wanted = beams_request(&call, ABILITY_TRANSLATE);
    bool begins = !call.options.from || (call.branch->has_session && json_get(call.root, "input"));
    if (!begins) go_on(&call, &wanted);
    else if (read_fields(&call, &wanted, &cut) && check_kept(&call, &wanted) &&
        spans_read(&call, "input", TEXTS_ONE | (cut ? TEXTS_CUT : 0), &spans)) {
        call_record(&call, spans.n_tokens);
        wanted.inputs = spans.spans;
        wanted.n_inputs = spans.n;
        submit(&call, &wanted, &spans);
        spans_free(&spans);
    }
    call_close(&call);
}
