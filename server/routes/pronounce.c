/* POST /v1/pronounce: the phonemes of words, by an encoder, a decoder and beam search. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/memory.h"
#include "models/bundle/input.h"
#include "models/translation/pronunciation.h"
#include "server/api/answer.h"
#include "server/api/beams.h"
#include "server/api/texts.h"
#include "server/api/words.h"

struct pronounce {
    struct work work;
    struct translation *translation;
    struct kept_texts words;
    struct pronunciation_style style;
    bool aligns, shows_attention;
};

static void release(struct work *work)
{
    struct pronounce *task = (struct pronounce *)work;
    texts_free(&task->words);
    work_release(work);
}

/* Two pronunciations may differ in their stress alone, which is not shown. */
static bool is_written_before(const struct pronounce *task, const struct translation_result *results,
                              size_t k, const char *text, char *other)
{
    for (size_t i = 0; i < k; i++) {
        pronunciation_write(task->work.job->model, results[i].tokens, results[i].n, &task->style, other);
        if (!strcmp(text, other)) return true;
    }
    return false;
}

/* One phoneme, and the letter to which it attended most: weights[n] of the letters. */
static void put_aligned(struct writer *out, const struct pronounce *task, int32_t token,
                        const struct text_place *letters, const float *weights, size_t n, char *text)
{
    size_t best = 0;
    for (size_t s = 1; s < n; s++)
        if (weights[s] > weights[best]) best = s;
    pronunciation_write(task->work.job->model, &token, 1, &task->style, text);
    put_open(out, '{');
    put_named_string(out, "phoneme", text);
    put_named_integer(out, "start", (int64_t)letters[best].start);
    put_named_integer(out, "end", (int64_t)letters[best].end);
    put_name(out, "weight");
    put_float(out, weights[best]);
    put_close(out, '}');
}

/* Which letter each phoneme of a result comes from. */
static bool put_alignment(struct writer *out, const struct pronounce *task, size_t i,
                          const struct translation_result *result, char *text)
{
    size_t S, n = 0;
    const struct model *model = task->work.job->model;
    (void)translation_source(task->translation, i, &S);
    size_t first = input_puts_bos(model), n_letters = S - first - input_puts_eos(model);
    struct text_place *letters = NULL;
    float *weights = memory_new((result->n + 1) * S, sizeof *weights);
    bool good = weights && texts_places(&task->words, model->tokenizer, i, n_letters, &letters, &n);
    if (good && n && translation_attention(task->translation, i, result, weights)) {
        put_name(out, "alignment");
        put_open(out, '[');
        for (size_t t = 0; t < result->n; t++)
            put_aligned(out, task, result->tokens[t], letters, weights + t * S + first, n, text);
        put_close(out, ']');
    }
    memory_free(letters);
    memory_free(weights);
    return good;
}

/* What one result says, without the brackets. `text` is how it is written, and then room for more. */
static bool put_result(struct writer *out, const struct pronounce *task, size_t i,
                       const struct translation_result *result, char *text)
{
    put_named_string(out, "phonemes", text);
    beams_put(out, result);
    if (task->shows_attention && !beams_put_attention(out, task->translation, i, result)) return false;
    return !task->aligns || put_alignment(out, task, i, result, text);
}

/* The best pronunciation of a word, and the others as its alternatives. */
static bool put_pronunciation(struct writer *out, const struct pronounce *task, size_t i, char *text,
                              char *other)
{
    size_t n, n_others = 0;
    const struct model *model = task->work.job->model;
    const struct translation_result *results = translation_results(task->translation, i, &n);
    put_open(out, '{');
    put_named_string(out, "input", task->words.texts[i]);
    pronunciation_write(model, results[0].tokens, results[0].n, &task->style, text);
    bool good = put_result(out, task, i, &results[0], text);
    for (size_t k = 1; k < n && good; k++) {
        pronunciation_write(model, results[k].tokens, results[k].n, &task->style, text);
        if (is_written_before(task, results, k, text, other)) continue;
        if (!n_others++) {
            put_name(out, "alternatives");
            put_open(out, '[');
        }
        put_open(out, '{');
        good = put_result(out, task, i, &results[k], text);
        put_close(out, '}');
    }
    if (n_others) put_close(out, ']');
    put_close(out, '}');
    return good;
}

static void print(struct work *work, struct request *request, struct reply *reply)
{
    const struct pronounce *task = (struct pronounce *)work;
    const struct model *model = work->job->model;
    struct writer out;
    size_t longest = 0, n;
    for (size_t i = 0; i < task->words.n; i++) {
        const struct translation_result *results = translation_results(task->translation, i, &n);
        request->record.steps_out += results[0].n;
        for (size_t k = 0; k < n; k++) longest = results[k].n > longest ? results[k].n : longest;
    }
    char *text = memory_new(pronunciation_room(model, longest), 2), *other = text;
    if (text) other += pronunciation_room(model, longest);
    answer_open(&out, request, "pron-", "pronunciation", model);
    put_named_string(&out, "alphabet", alphabet_names[task->style.alphabet]);
    put_name(&out, "pronunciations");
    put_open(&out, '[');
    bool good = text != NULL;
    for (size_t i = 0; i < task->words.n && good; i++) good = put_pronunciation(&out, task, i, text, other);
    put_close(&out, ']');
    beams_put_seed(&out, task->translation);
    if (!good) writer_fail(&out);
    memory_free(text);
    beams_close(&out, work, request, reply);
}

/* ---- what is asked ---------------------------------------------------------------------------- */

/* The alphabet and the stress: as the model has them, unless the request says otherwise. */
static bool read_style(struct call *call, struct pronunciation_style *style)
{
    enum alphabet own = (enum alphabet)pronunciation_spec_of(call->model)->alphabet;
    bool is_ipa = own == ALPHABET_IPA, has_stress = pronunciation_has_stress(call->model);
    style->stress = has_stress;
    if (!choice_read(call, "alphabet", "arpabet", "ipa", &is_ipa) ||
        !field_boolean(call->root, "stress", &style->stress, call->problem))
        return false;
    style->alphabet = is_ipa ? ALPHABET_IPA : ALPHABET_ARPABET;
    if (!is_ipa && own == ALPHABET_IPA)
        return problem_set(call->problem, FAULT_UNSUPPORTED_FOR_MODEL, "alphabet",
                           "model '%s' writes the International Phonetic Alphabet only; expected 'ipa'",
                           call->model->name);
    if (style->stress && !has_stress)
        return problem_set(call->problem, FAULT_UNSUPPORTED_FOR_MODEL, "stress",
                           "model '%s' does not know where the stress lies; leave 'stress' out",
                           call->model->name);
    return true;
}

static bool submit(struct call *call, const struct pronounce *wanted, struct translation_request *request,
                   const struct spans *spans)
{
    struct error err = {0};
    struct pronounce *task = calloc(1, sizeof *task);
    if (!task) return problem_set(call->problem, FAULT_NO_MEMORY, NULL, NULL);
    *task = *wanted;
    task->shows_attention = request->keeps_attention;
    request->keeps_attention |= task->aligns;
    enum status status = texts_keep(spans, &task->words) ? STATUS_OK : STATUS_NO_MEMORY;
    if (status == STATUS_OK)
        status = translation_new(call->model, request, &call->options, &task->translation, &err);
    if (status != STATUS_OK) {
        release(&task->work);
        return problem_from(call->problem, status, &err, "input");
    }
    task->work.job = translation_job(task->translation);
    task->work.print = print;
    task->work.release = release;
    call_defer(call, &task->work);
    return true;
}

void api_pronounce(struct request *request, struct reply *reply)
{
    static const char *const known[] = {"input", "alphabet", "stress", "n", "alignment", BEAMS_FIELDS, NULL};
    static const struct fields fields = {
        .known = known, .stateless = "a word is read whole, and nothing comes after its sounds"};
    struct call call;
    struct spans spans;
    struct pronounce asked = {.aligns = false};
    if (!call_open(&call, request, reply, &fields, ABILITY_PRONOUNCE)) return;
    struct translation_request wanted = beams_request(&call, ABILITY_PRONOUNCE);
    if (beams_read_n(&call, &wanted) &&
        field_boolean(call.root, "alignment", &asked.aligns, call.problem) &&
        read_style(&call, &asked.style) &&
        spans_read(&call, "input", TEXTS_ONE, &spans)) {
        call_record(&call, spans.n_tokens);
        wanted.inputs = spans.spans;
        wanted.n_inputs = spans.n;
        if (texts_check_letters(&call, "input", &spans, "words")) submit(&call, &asked, &wanted, &spans);
        spans_free(&spans);
    }
    call_close(&call);
}
