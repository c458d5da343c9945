#include "models/tasks/ctc_language.h"

#include <math.h>
#include <string.h>

#include "core/base/memory.h"
#include "models/jobs/job_sequence.h"
#include "models/jobs/logits.h"
#include "models/jobs/request.h"
#include "models/tokenizers/tokenizer.h"

struct ctc_language {
    struct job job;
    struct ctc_search *search;      /* owned */
    struct ctc_question *questions; /* [B] those that the model answers in the next turn */
    int32_t *read;                  /* [B] their tokens */
    size_t n_questions, B, V, stride;
    int32_t *tokens;                /* [V] */
    int32_t first;                  /* what stands before a text */
    float *states;                  /* [2 B, stride] by slots */
};

/* ---- tokens ------------------------------------------------------------------------------------- */

/* The one token of a text; TOKEN_NONE if it is none, or several. */
static int32_t token_of(const struct model *language, const char *text)
{
    struct tokenizer_loss loss = {0};
    struct error err;
    int32_t *ids, token = TOKEN_NONE;
    size_t n;
    if (tokenizer_read(language->tokenizer, text, strlen(text), 8, &ids, &n, &loss, &err) != STATUS_OK)
        return TOKEN_NONE;
    if (n == 1 && !loss.n_skipped && ids[0] != tokenizer_unk(language->tokenizer)) token = ids[0];
    memory_free(ids);
    return token;
}

size_t ctc_language_tokens(const struct model *language, char *const *labels, size_t n, size_t blank,
                           int32_t *tokens)
{
    size_t n_known = 0;
    for (size_t k = 0; k < n; k++) {
        tokens[k] = k == blank ? TOKEN_NONE : token_of(language, labels[k]);
        n_known += tokens[k] != TOKEN_NONE;
    }
    return n_known;
}

/* ---- the driver --------------------------------------------------------------------------------- */

static float *state_of(const struct ctc_language *l, size_t slot)
{
    return l->states + slot * l->stride;
}

static void answer(struct ctc_language *l, size_t slot, const float *logits)
{
    double *answer = ctc_search_slot(l->search, slot);
    const size_t n = network_output_size(l->job.model->network);
    const double sum = logits_log_sum_exp(logits, n);
    for (size_t k = 0; k < l->V; k++)
        answer[k] = l->tokens[k] == TOKEN_NONE ? -log((double)n) : (double)logits[l->tokens[k]] - sum;
}

/* Prepare one question: true if the model must be asked. */
static bool prepare(struct ctc_language *l, const struct ctc_question *question, int32_t *token)
{
    *token = question->label < 0 ? l->first : l->tokens[question->label];
    if (question->label >= 0)
        memcpy(state_of(l, question->slot), state_of(l, question->from), l->stride * sizeof *l->states);
    if (*token != TOKEN_NONE) return true;
    memcpy(ctc_search_slot(l->search, question->slot), ctc_search_slot(l->search, question->from),
           l->V * sizeof(double));
    return false;
}

/* Move the search on until the model must be asked. false: it is over. */
static bool go_on(struct ctc_language *l)
{
    size_t n;
    do {
        n = ctc_search_advance(l->search, l->questions);
        l->n_questions = 0;
        for (size_t i = 0; i < n; i++) {
            int32_t token;
            if (!prepare(l, &l->questions[i], &token)) continue;
            l->questions[l->n_questions] = l->questions[i];
            l->read[l->n_questions++] = token;
        }
    } while (n && !l->n_questions);
    return n > 0;
}

static void feed(struct sequence *sequence, size_t room, struct ride *rides)
{
    struct ctc_language *l = (struct ctc_language *)((struct job_sequence *)sequence)->job;
    (void)room;
    for (size_t i = 0; i < l->n_questions; i++)
        rides[i] = (struct ride){.n_steps = 1, .tokens = &l->read[i], .want = WANT_LAST,
                                 .state = state_of(l, l->questions[i].slot)};
}

static enum next receive(struct sequence *sequence, struct worker *worker, const struct ride *rides)
{
    struct job_sequence *seq = (struct job_sequence *)sequence;
    struct ctc_language *l = (struct ctc_language *)seq->job;
    (void)worker;
    if (job_sequence_must_leave(seq)) return LEAVE;
    for (size_t i = 0; i < l->n_questions; i++) answer(l, l->questions[i].slot, rides[i].output);
    return go_on(l) ? STAY : LEAVE;
}

/* ---- life --------------------------------------------------------------------------------------- */

static void lay_out(void *job, const void *request, struct arena *arena)
{
    struct ctc_language *l = job;
    (void)request;
    job_lay_out(&l->job, arena);
    l->questions = arena_take(arena, l->B, sizeof *l->questions);
    l->read = arena_take(arena, l->B, sizeof *l->read);
    l->tokens = arena_take(arena, l->V, sizeof *l->tokens);
    l->states = arena_take(arena, 2 * l->B, l->stride * sizeof *l->states);
}

static enum status check(const struct model *language, const struct ctc_language_request *request,
                         struct error *err)
{
    enum status status = request_check_ability(language, ABILITY_COMPLETE, err);
    if (status != STATUS_OK) return status;
    if (request->options->num_beams > request->max_seats)
        return error_set_param(err, STATUS_BAD_VALUE, "num_beams", "num_beams is %zu, expected at most %zu "
                               "beside a language model", request->options->num_beams, request->max_seats);
    return STATUS_OK;
}

enum status ctc_language_new(struct model *language, const struct ctc_language_request *request,
                             const struct job_options *options, struct ctc_language **out, struct error *err)
{
    static const struct driver driver = {feed, receive, job_sequence_finish};
    enum status status = check(language, request, err);
    if (status != STATUS_OK) return status;
    const size_t B = request->options->num_beams, V = request->outputs->V;
    struct ctc_language plan = {.B = B, .V = V, .first = tokenizer_bos(language->tokenizer),
                                .stride = layer_round(network_state_floats(language->network))};
    if (plan.first == TOKEN_NONE) plan.first = token_of(language, " ");
    if (plan.first == TOKEN_NONE)
        return error_set(err, STATUS_UNSUPPORTED,
                         "model '%s' knows neither a beginning of texts nor a space, so it cannot say how a "
                         "text begins", language->name);
    void *made;
    job_plan(&plan.job, language, 1, 1);
    status = job_make(&plan, sizeof plan, lay_out, request, &made, err);
    if (status != STATUS_OK) return status;
    struct ctc_language *l = made;
    memcpy(l->tokens, request->tokens, V * sizeof *l->tokens);
    status = ctc_search_new(request->outputs, request->options, &l->search);
    if (status != STATUS_OK) {
        job_release(l);
        return error_set(err, STATUS_NO_MEMORY, "no memory for the search");
    }
    job_init(&l->job, options, &driver);
    struct sequence *sequence = &l->job._sequences[0].sequence;
    sequence->seats = (uint32_t)B;
    sequence->cost_steps = request->outputs->T * B + 1;
    sequence->least_steps = 1;
    (void)go_on(l); /* the first question is what a text begins with */
    *out = l;
    return STATUS_OK;
}

struct job *ctc_language_job(struct ctc_language *search)
{
    return &search->job;
}

void ctc_language_free(struct ctc_language *search)
{
    if (!search) return;
    ctc_search_free(search->search);
    job_free(&search->job);
}

enum status ctc_language_texts(const struct ctc_language *search, struct ctc_texts *out)
{
    return ctc_search_texts(search->search, out);
}
