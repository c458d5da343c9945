/* Scoring: one sequence an item. The output of step i is about the token at i + 1, so the last token is
 * never fed, and outputs are looked at from the step before the first scored token on. */
#include "models/generation/scoring.h"

#include <stdio.h>
#include <string.h>

#include "core/base/memory.h"
#include "models/generation/kept_text.h"
#include "models/jobs/logits.h"
#include "models/jobs/request.h"
#include "models/jobs/job_sequence.h"

struct item {
    int32_t *tokens; /* [n] bos if there is one, context, text */
    size_t n, n_fed;
    size_t first; /* the first scored token, >= 1 */
};

struct scoring {
    struct job job;
    size_t n;
    int32_t lead;                   /* TOKEN_NONE: none */
    struct item *items;             /* [n] */
    struct scoring_result *results; /* [n] */
};

/* What stands before an item's own tokens: bos, or the last token of the state, which was drawn and not read;
 * TOKEN_NONE: nothing. */
static int32_t lead_of(const struct model *model, const struct state *from)
{
    struct kept_text kept;
    bool good = from && kept_text_read(from, network_output_size(model->network), &kept, NULL, NULL, NULL);
    return good ? kept.last : tokenizer_bos(model->tokenizer);
}

static enum status check_item(const struct model *model, const struct scoring_item *item, size_t n_lead,
                              const char *field, struct error *err)
{
    size_t V = network_vocabulary_size(model->network);
    enum status status = request_check_tokens(field, &item->context, V, err);
    if (status == STATUS_OK) status = request_check_tokens(field, &item->text, V, err);
    if (status != STATUS_OK) return status;
    if (item->text.n > 0 && n_lead + item->context.n + item->text.n > 1) return STATUS_OK;
    return error_set_param(err, STATUS_BAD_VALUE, field,
                           "%s: %zu tokens, and none has one before it: expected at least %d", field,
                           item->text.n, item->text.n == 0 ? 1 : 2);
}

static enum status check(const struct model *model, const struct scoring_item *items, size_t n,
                         size_t n_choices, const struct job_options *options, struct error *err)
{
    struct kept_text kept;
    enum status status = request_check_ability(model, ABILITY_SCORE, err);
    if (status == STATUS_OK) status = request_check_state(model, options, "input", 1, err);
    if (status == STATUS_OK && options->from &&
        !kept_text_read(options->from, network_output_size(model->network), &kept, NULL, NULL, err))
        status = STATUS_BAD_VALUE;
    const size_t n_lead = status == STATUS_OK && lead_of(model, options->from) != TOKEN_NONE;
    if (status != STATUS_OK) return status;
    if (n < 1)
        return error_set_param(err, STATUS_BAD_VALUE, "input", "no input, expected at least one");
    for (size_t i = 0; i < n && status == STATUS_OK; i++) {
        char field[ERROR_PARAM_BYTES];
        if (n_choices) (void)snprintf(field, sizeof field, "choices[%zu]", i % n_choices);
        else request_field(field, "input", i, n);
        status = check_item(model, &items[i], n_lead, field, err);
    }
    return status;
}

static void lay_out(void *job, const void *request, struct arena *arena)
{
    struct scoring *s = job;
    const struct scoring_item *items = request;
    job_lay_out(&s->job, arena);
    s->items = arena_take(arena, s->n, sizeof *s->items);
    s->results = arena_take(arena, s->n, sizeof *s->results);
    for (size_t i = 0; i < s->n; i++) {
        struct item measured, *item = s->items ? &s->items[i] : &measured;
        item->first = (s->lead != TOKEN_NONE) + items[i].context.n;
        item->n = item->first + items[i].text.n;
        item->tokens = arena_take(arena, item->n, sizeof *item->tokens);
        if (item->first == 0) item->first = 1;
    }
}

static void put(struct item *item, size_t *at, const int32_t *ids, size_t n)
{
    if (n > 0) memcpy(item->tokens + *at, ids, n * sizeof *ids);
    *at += n;
}

static void fill_in(struct scoring *s, const struct scoring_item *items)
{
    for (size_t i = 0; i < s->n; i++) {
        struct item *item = &s->items[i];
        size_t at = 0;
        put(item, &at, &s->lead, s->lead != TOKEN_NONE);
        put(item, &at, items[i].context.ids, items[i].context.n);
        put(item, &at, items[i].text.ids, items[i].text.n);
        struct sequence *sequence = &s->job._sequences[i].sequence;
        sequence->cost_steps = sequence->least_steps = item->n - 1;
    }
}

static struct item *item_of(const struct job_sequence *seq)
{
    return &((struct scoring *)seq->job)->items[seq->index];
}

static void feed(struct sequence *sequence, size_t room, struct ride *ride)
{
    struct item *item = item_of((struct job_sequence *)sequence);
    size_t left = item->n - 1 - item->n_fed;
    ride->n_steps = left < room ? left : room;
    ride->tokens = item->tokens + item->n_fed;
    ride->want = item->n_fed + ride->n_steps >= item->first ? WANT_ALL : WANT_NONE;
}

static enum next receive(struct sequence *sequence, struct worker *worker, const struct ride *ride)
{
    (void)worker;
    struct job_sequence *seq = (struct job_sequence *)sequence;
    if (job_sequence_must_leave(seq)) return LEAVE;
    struct item *item = item_of(seq);
    struct scoring_result *result = &((struct scoring *)seq->job)->results[seq->index];
    const size_t V = network_output_size(sequence->network);
    for (size_t i = 0; i < ride->n_outputs; i++) {
        size_t next = item->n_fed + i + 1;
        if (next < item->first) continue;
        const float *logits = ride->output + i * V;
        result->log_likelihood += (double)logits[item->tokens[next]] - logits_log_sum_exp(logits, V);
        result->n_scored++;
    }
    item->n_fed += ride->n_steps;
    return item->n_fed == item->n - 1 ? LEAVE : STAY;
}

enum status scoring_new(struct model *model, const struct scoring_item *items, size_t n, size_t n_choices,
                        const struct job_options *options, struct scoring **out,
                        struct error *err)
{
    static const struct driver driver = {feed, receive, job_sequence_finish};
    enum status status = check(model, items, n, n_choices, options, err);
    if (status != STATUS_OK) return status;
    struct scoring plan = {.n = n, .lead = lead_of(model, options->from)};
    job_plan(&plan.job, model, n, n);
    void *made;
    status = job_make(&plan, sizeof plan, lay_out, items, &made, err);
    if (status != STATUS_OK) return status;
    struct scoring *s = made;
    job_init(&s->job, options, &driver);
    fill_in(s, items);
    *out = s;
    return STATUS_OK;
}

struct job *scoring_job(struct scoring *scoring)
{
    return &scoring->job;
}

const struct scoring_result *scoring_results(const struct scoring *scoring)
{
    return scoring->results;
}
