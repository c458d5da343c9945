/* Generation: one rider a prompt, which forks at its last token.
 *
 * The rider that reads a prompt goes on as the prompt's first candidate; the others (best_of of them in
 * all) board from its take(), each with a copy of its state, having drawn their first tokens from
 * the same logits. Candidates may ride on different workers, so each has scratch of its own.
 *
 *   rider      0 .. n_prompts-1       candidate 0 of each prompt (submitted)
 *              n_prompts ..           candidates 1 .. best_of-1 of prompt 0, of prompt 1, ...
 *   candidate  prompt * best_of + b   also the number of its random stream
 *
 * Pausing: feed() writes is_parked, then reads consumed; generation_consumed() writes consumed, then reads
 * is_parked (all seq_cst), so that one of the two sees the other. At worst the scheduler gets a wake
 * that nobody needs, and feed() parks again. */
#include "models/generation.h"

#include <math.h>
#include <string.h>

#include "core/memory.h"
#include "models/logits.h"
#include "models/request.h"
#include "models/rider.h"
#include "models/sampler.h"
#include "models/transcript.h"
#include "models/utf8.h"

struct prompt {
    int32_t *tokens; /* [n], bos first where there is one */
    size_t n, n_fed;
};

struct candidate {
    struct transcript transcript;
    struct sampler_scratch scratch;
    char *piece;               /* [tokenizer_max_piece] scratch */
    float *logprobs;           /* [token_capacity] or NULL */
    struct token_logprob *top; /* [token_capacity, n_top] or NULL */
    struct random random;
    uint32_t *counts;          /* [V], where there are penalties */
    int32_t last;              /* drawn, not yet fed */
    double sum_logprob;
    _Atomic size_t n_drawn;
    _Atomic size_t consumed;
    atomic_bool is_parked;
};

struct generation {
    struct job job;
    struct sampler sampler;
    struct logit_bias *biases;    /* the sampler's */
    struct stops stops;
    size_t n_prompts, n, best_of, max_tokens, max_unread, n_top;
    size_t n_prompt_tokens;
    bool echo, has_bos, wants_logprobs, ranks;
    struct prompt *prompts;       /* [n_prompts] */
    struct candidate *candidates; /* [n_prompts, best_of] */
    size_t *order;                /* [n_prompts, best_of] candidates, best first, once ranked */
    bool is_ranked;
};

/* ---- what a request asks for ---- */

static enum status check_numbers(const struct generation_request *r, struct error *err)
{
    const struct { const char *field; double value, low, high; } ranges[] = {
        {"temperature", r->temperature, 0, 100},
        {"top_p", r->top_p, 0, 1},
        {"min_p", r->min_p, 0, 1},
        {"repetition_penalty", r->repetition_penalty, 0.01, 100},
        {"presence_penalty", r->presence_penalty, -100, 100},
        {"frequency_penalty", r->frequency_penalty, -100, 100},
        {"logprobs", r->logprobs, -1, GENERATION_MAX_LOGPROBS},
    };
    for (size_t i = 0; i < sizeof ranges / sizeof *ranges; i++) {
        enum status status = request_check_number(ranges[i].field, ranges[i].value,
                                                  ranges[i].low, ranges[i].high, err);
        if (status != STATUS_OK) return status;
    }
    if (r->n < 1)
        return error_set_param(err, STATUS_BAD_VALUE, "n", "n is 0, expected at least 1");
    if (r->best_of < r->n)
        return error_set_param(err, STATUS_BAD_VALUE, "best_of",
                               "best_of is %zu, expected at least n = %zu", r->best_of, r->n);
    if (r->max_tokens < 1 && !r->echo)
        return error_set_param(err, STATUS_BAD_VALUE, "max_tokens",
                               "max_tokens is 0, expected at least 1 (0 goes with echo only)");
    return STATUS_OK;
}

static enum status check_stops(const struct generation_request *r, struct error *err)
{
    if (r->n_stops > GENERATION_MAX_STOPS)
        return error_set_param(err, STATUS_BAD_VALUE, "stop", "%zu stop strings, expected at most %d",
                               r->n_stops, GENERATION_MAX_STOPS);
    for (size_t i = 0; i < r->n_stops; i++) {
        if (r->stop_bytes[i] < 1 || r->stop_bytes[i] > GENERATION_MAX_STOP_BYTES)
            return error_set_param(err, STATUS_BAD_VALUE, "stop",
                                   "stop string %zu has %zu bytes, expected 1 to %d", i,
                                   r->stop_bytes[i], GENERATION_MAX_STOP_BYTES);
        if (!utf8_is_valid(r->stops[i], r->stop_bytes[i], NULL))
            return error_set_param(err, STATUS_BAD_FORMAT, "stop", "stop string %zu is not UTF-8",
                                   i);
    }
    return STATUS_OK;
}

static enum status check_biases(const struct generation_request *r, size_t V, struct error *err)
{
    for (size_t i = 0; i < r->n_biases; i++) {
        int32_t id = r->biases[i].id;
        if (id < 0 || (size_t)id >= V)
            return error_set_param(err, STATUS_BAD_VALUE, "logit_bias",
                                   "token %d, expected an id from 0 to %zu", (int)id, V - 1);
        enum status status = request_check_number("logit_bias", (double)r->biases[i].bias,
                                                  -100, 100, err);
        if (status != STATUS_OK) return status;
    }
    return STATUS_OK;
}

static enum status check_prompts(const struct model *model, const struct generation_request *r,
                                 struct error *err)
{
    if (r->n_prompts < 1)
        return error_set_param(err, STATUS_BAD_VALUE, "prompt", "no prompt, expected at least one");
    for (size_t p = 0; p < r->n_prompts; p++) {
        char field[ERROR_PARAM_BYTES];
        request_field(field, "prompt", p, r->n_prompts);
        if (r->prompts[p].n == 0 && tokenizer_bos(model->tokenizer) == TOKEN_NONE)
            return error_set_param(err, STATUS_BAD_VALUE, field,
                                   "%s is empty, and this model has no bos_token to begin with: "
                                   "expected at least one token", field);
        enum status status = request_check_tokens(field, &r->prompts[p],
                                                  network_vocabulary_size(model->network), err);
        if (status != STATUS_OK) return status;
    }
    return STATUS_OK;
}

static enum status check(const struct model *model, const struct generation_request *request,
                         struct error *err)
{
    enum status status = request_check_task(model, 1u << TASK_TEXT_GENERATION, "generation", err);
    if (status == STATUS_OK) status = check_prompts(model, request, err);
    if (status == STATUS_OK) status = check_numbers(request, err);
    if (status == STATUS_OK) status = check_stops(request, err);
    if (status == STATUS_OK)
        status = check_biases(request, network_output_size(model->network), err);
    return status;
}

/* ---- memory ---- */

/* What the text of a prompt takes at most: words may get a space each. */
static size_t echo_bytes(const struct tokenizer *tokenizer, const struct token_span *prompt)
{
    size_t sum = 0;
    for (size_t i = 0; i < prompt->n; i++) {
        size_t bytes;
        (void)tokenizer_piece(tokenizer, prompt->ids[i], &bytes);
        sum += bytes + 1;
    }
    return sum;
}

static void candidate_lay_out(struct candidate *c, const struct generation *g, size_t n_echo,
                              size_t n_echo_bytes, struct arena *arena)
{
    const struct tokenizer *tokenizer = g->job.model->tokenizer;
    struct transcript *t = &c->transcript;
    size_t bytes;
    if (!size_multiply(g->max_tokens, tokenizer_max_piece(tokenizer), &bytes) ||
        bytes > SIZE_MAX - n_echo_bytes || g->max_tokens > SIZE_MAX - n_echo) {
        arena->too_big = true;
        return;
    }
    sampler_scratch_take(&g->sampler, arena, &c->scratch);
    c->piece = arena_take(arena, tokenizer_max_piece(tokenizer), 1);
    t->text_capacity = transcript_text_bytes(tokenizer, bytes + n_echo_bytes);
    t->token_capacity = g->max_tokens + n_echo;
    t->text = arena_take(arena, t->text_capacity, 1);
    t->tokens = arena_take(arena, t->token_capacity, sizeof *t->tokens);
    t->offsets = arena_take(arena, t->token_capacity, sizeof *t->offsets);
    if (g->wants_logprobs)
        c->logprobs = arena_take(arena, t->token_capacity, sizeof *c->logprobs);
    if (g->n_top > 0)
        c->top = arena_take(arena, t->token_capacity, g->n_top * sizeof *c->top);
    if (sampler_has_penalties(&g->sampler))
        c->counts = arena_take(arena, g->sampler.V, sizeof *c->counts);
}

static void lay_out(struct generation *g, const struct generation_request *r, struct arena *arena)
{
    const struct tokenizer *tokenizer = g->job.model->tokenizer;
    job_lay_out(&g->job, arena);
    stops_lay_out(&g->stops, r->stop_bytes, r->n_stops, arena);
    g->biases = arena_take(arena, r->n_biases, sizeof *g->biases);
    g->prompts = arena_take(arena, r->n_prompts, sizeof *g->prompts);
    g->candidates = arena_take(arena, r->n_prompts * r->best_of, sizeof *g->candidates);
    if (g->ranks) g->order = arena_take(arena, r->n_prompts * r->best_of, sizeof *g->order);
    for (size_t p = 0; p < r->n_prompts && !arena->too_big; p++) {
        struct prompt measured, *prompt = g->prompts ? &g->prompts[p] : &measured;
        prompt->tokens = arena_take(arena, r->prompts[p].n + 1, sizeof *prompt->tokens);
        size_t n_echo = r->echo ? r->prompts[p].n : 0;
        size_t n_bytes = r->echo ? echo_bytes(tokenizer, &r->prompts[p]) : 0;
        for (size_t b = 0; b < r->best_of && !arena->too_big; b++) {
            struct candidate measured_too;
            struct candidate *c = g->candidates ? &g->candidates[p * r->best_of + b]
                                                : &measured_too;
            candidate_lay_out(c, g, n_echo, n_bytes, arena);
        }
    }
}

/* ---- a new generation ---- */

static void candidate_init(struct candidate *c, struct generation *g, struct prompt *prompt,
                           size_t number, uint64_t seed)
{
    const struct tokenizer *tokenizer = g->job.model->tokenizer;
    transcript_init(&c->transcript);
    random_init(&c->random, seed, number);
    atomic_init(&c->n_drawn, 0);
    atomic_init(&c->consumed, 0);
    atomic_init(&c->is_parked, false);
    for (size_t i = 0; i < prompt->n; i++) {
        int32_t id = prompt->tokens[i];
        if (c->counts) c->counts[id] |= SAMPLER_PROMPT;
        if (i == 0 && g->has_bos) continue;
        if (g->echo)
            (void)transcript_append(&c->transcript, tokenizer, NULL, id, c->piece);
        else
            transcript_follow(&c->transcript, tokenizer, id);
    }
}

static void prompt_init(struct prompt *prompt, const struct generation *g,
                        const struct token_span *span)
{
    if (g->has_bos) prompt->tokens[prompt->n++] = tokenizer_bos(g->job.model->tokenizer);
    if (span->n) memcpy(prompt->tokens + prompt->n, span->ids, span->n * sizeof *span->ids);
    prompt->n += span->n;
}

/* The rider of candidate b of prompt p. */
static struct rider *rider_of(const struct generation *g, size_t p, size_t b)
{
    if (b == 0) return &g->job._riders[p];
    return &g->job._riders[g->n_prompts + p * (g->best_of - 1) + b - 1];
}

static void fill_in(struct generation *g, const struct generation_request *r)
{
    stops_prepare(&g->stops, r->stops);
    if (r->n_biases) memcpy(g->biases, r->biases, r->n_biases * sizeof *g->biases);
    g->sampler.biases = g->biases;
    for (size_t p = 0; p < g->n_prompts; p++) {
        struct prompt *prompt = &g->prompts[p];
        prompt_init(prompt, g, &r->prompts[p]);
        g->n_prompt_tokens += r->prompts[p].n;
        for (size_t b = 0; b < g->best_of; b++) {
            size_t number = p * g->best_of + b;
            candidate_init(&g->candidates[number], g, prompt, number, r->seed);
            rider_of(g, p, b)->index = number;
            rider_of(g, p, b)->sequence.cost_steps = g->max_tokens;
        }
        if (g->best_of > 1) rider_adopt(rider_of(g, p, 0), rider_of(g, p, 1), g->best_of - 1);
        rider_of(g, p, 0)->sequence.cost_steps = prompt->n + g->best_of * g->max_tokens;
        rider_of(g, p, 0)->sequence.least_steps = prompt->n;
    }
}

static struct generation plan_of(struct model *model, const struct generation_request *r)
{
    struct generation plan = {
        .sampler = {
            .V = network_output_size(model->network),
            .temperature = r->temperature, .top_k = r->top_k, .top_p = r->top_p,
            .min_p = r->min_p, .repetition_penalty = r->repetition_penalty,
            .presence_penalty = r->presence_penalty,
            .frequency_penalty = r->frequency_penalty, .n_biases = r->n_biases,
        },
        .n_prompts = r->n_prompts, .n = r->n, .best_of = r->best_of,
        .max_tokens = r->max_tokens,
        .max_unread = r->best_of > r->n ? 0 : r->max_unread, /* unreadable before the end */
        .n_top = r->logprobs > 0 ? (size_t)r->logprobs : 0,
        .echo = r->echo,
        .has_bos = tokenizer_bos(model->tokenizer) != TOKEN_NONE,
        .wants_logprobs = r->logprobs >= 0,
        .ranks = r->best_of > r->n,
    };
    return plan;
}

/* ---- the driver ---- */

static struct generation *generation_of(const struct rider *rider)
{
    return (struct generation *)rider->job;
}

static bool is_behind(const struct generation *g, struct candidate *c)
{
    size_t written = atomic_load(&c->transcript.visible_tokens);
    size_t consumed = atomic_load(&c->consumed);
    return g->max_unread > 0 && written > consumed && written - consumed >= g->max_unread;
}

static void feed_prompt(const struct generation *g, struct prompt *prompt, size_t room,
                        struct ride *ride)
{
    size_t left = prompt->n - prompt->n_fed;
    ride->n_steps = left < room ? left : room;
    ride->tokens = prompt->tokens + prompt->n_fed;
    if (g->echo && g->wants_logprobs)
        ride->look = LOOK_ALL;
    else
        ride->look = left <= room ? LOOK_LAST : LOOK_NONE;
}

static void feed(struct sequence *sequence, size_t room, struct ride *ride)
{
    struct rider *rider = (struct rider *)sequence;
    struct generation *g = generation_of(rider);
    struct prompt *prompt = &g->prompts[rider->index / g->best_of];
    struct candidate *c = &g->candidates[rider->index];
    if (prompt->n_fed < prompt->n) {
        feed_prompt(g, prompt, room, ride);
        return;
    }
    if (is_behind(g, c)) {
        atomic_store(&c->is_parked, true);
        if (is_behind(g, c) && !rider_must_leave(rider)) return; /* n_steps is 0 */
        atomic_store(&c->is_parked, false);
    }
    ride->n_steps = 1;
    ride->tokens = &c->last;
    ride->look = LOOK_LAST;
}

/* What the model thought of token `id`, which stands at `at` in the transcript. */
static void note_logprobs(const struct generation *g, struct candidate *c, size_t at, int32_t id,
                          const float *logits, double log_sum)
{
    if (!g->wants_logprobs) return;
    c->logprobs[at] = (float)((double)logits[id] - log_sum);
    if (g->n_top) logits_top(logits, g->sampler.V, log_sum, g->n_top, c->top + at * g->n_top);
}

/* Draw, and write what was drawn. true: the candidate goes on. */
static bool candidate_advance(struct generation *g, struct candidate *c, const float *logits)
{
    const struct tokenizer *tokenizer = g->job.model->tokenizer;
    int32_t id = sampler_draw(&g->sampler, logits, c->counts, &c->random, &c->scratch);
    size_t n_drawn = atomic_load_explicit(&c->n_drawn, memory_order_relaxed) + 1;
    atomic_store_explicit(&c->n_drawn, n_drawn, memory_order_relaxed);
    if (c->counts) c->counts[id]++;
    double log_sum = 0;
    if (g->wants_logprobs || g->ranks) log_sum = logits_log_sum_exp(logits, g->sampler.V);
    if (g->ranks) c->sum_logprob += (double)logits[id] - log_sum;
    enum finish_reason finish = n_drawn == g->max_tokens ? FINISH_LENGTH : FINISH_NONE;
    if (id == tokenizer_eos(tokenizer)) {
        finish = FINISH_STOP;
    } else {
        note_logprobs(g, c, c->transcript.n_tokens, id, logits, log_sum);
        if (transcript_append(&c->transcript, tokenizer, &g->stops, id, c->piece))
            finish = FINISH_STOP;
    }
    c->last = id;
    if (finish != FINISH_NONE) transcript_close(&c->transcript, finish);
    return finish == FINISH_NONE;
}

/* The outputs of a ride over a prompt whose echo tells log-probabilities: that of step i is about
 * the token at i + 1. The first token of all has nothing before it. */
static void note_echo(const struct generation *g, const struct prompt *prompt,
                      struct candidate *c, const struct ride *ride)
{
    const size_t V = g->sampler.V, n_bos = g->has_bos ? 1 : 0;
    if (prompt->n_fed == 0 && !g->has_bos) {
        c->logprobs[0] = NAN;
        logits_top(ride->output, 0, 0, g->n_top, c->top);
    }
    for (size_t i = 0; i < ride->n_outputs && prompt->n_fed + i + 1 < prompt->n; i++) {
        size_t next = prompt->n_fed + i + 1;
        const float *logits = ride->output + i * V;
        note_logprobs(g, c, next - n_bos, prompt->tokens[next], logits,
                      logits_log_sum_exp(logits, V));
    }
}

/* The prompt is read: `from`'s echo is the echo of all its siblings. */
static void share_echo(const struct generation *g, struct candidate *to,
                       const struct candidate *from)
{
    size_t n = from->transcript.n_tokens;
    if (from->logprobs) memcpy(to->logprobs, from->logprobs, n * sizeof *to->logprobs);
    if (from->top) memcpy(to->top, from->top, n * g->n_top * sizeof *to->top);
}

/* The first draw of every candidate of the prompt, from the same logits. The echo is published
 * here, so that its log-probabilities are there with it. */
static enum verdict fork_prompt(struct generation *g, struct rider *rider, struct worker *worker,
                                const float *logits)
{
    struct candidate *first = &g->candidates[rider->index];
    for (size_t b = 1; b < g->best_of; b++) share_echo(g, first + b, first);
    bool first_goes_on = false;
    for (size_t b = 0; b < g->best_of; b++) {
        struct candidate *c = first + b;
        bool goes_on = false;
        if (g->max_tokens == 0)
            transcript_close(&c->transcript, FINISH_LENGTH);
        else
            goes_on = candidate_advance(g, c, logits);
        (void)transcript_publish(&c->transcript, &g->stops);
        if (b == 0)
            first_goes_on = goes_on;
        else if (goes_on)
            rider_board(rider, &rider->children[b - 1], worker);
    }
    return first_goes_on ? RIDE_ON : LEAVE;
}

static void tell(const struct generation *g)
{
    const struct job_observer *observer = &g->job.options.observer;
    if (observer->progress && !g->ranks) observer->progress(observer->context);
}

static enum verdict take(struct sequence *sequence, struct worker *worker, const struct ride *ride)
{
    struct rider *rider = (struct rider *)sequence;
    struct generation *g = generation_of(rider);
    struct prompt *prompt = &g->prompts[rider->index / g->best_of];
    struct candidate *c = &g->candidates[rider->index];
    if (rider_must_leave(rider)) return LEAVE;
    enum verdict verdict = RIDE_ON;
    if (prompt->n_fed < prompt->n) {
        if (ride->look == LOOK_ALL) note_echo(g, prompt, c, ride);
        prompt->n_fed += ride->n_steps;
        if (prompt->n_fed < prompt->n) return RIDE_ON;
        const float *last = ride->output + (ride->n_outputs - 1) * g->sampler.V;
        verdict = fork_prompt(g, rider, worker, last);
    } else {
        bool goes_on = candidate_advance(g, c, ride->output);
        if (goes_on && !transcript_publish(&c->transcript, &g->stops)) return RIDE_ON;
        verdict = goes_on ? RIDE_ON : LEAVE;
    }
    tell(g);
    return verdict;
}

enum status generation_new(struct model *model, const struct generation_request *request,
                           const struct job_options *options, struct generation **out,
                           struct error *err)
{
    static const struct driver driver = {feed, take, rider_finish};
    enum status status = check(model, request, err);
    if (status != STATUS_OK) return status;
    size_t n_candidates;
    struct arena arena = {0};
    if (!size_multiply(request->n_prompts, request->best_of, &n_candidates)) {
        arena.too_big = true;
        return job_allocate(&arena, err);
    }
    struct generation plan = plan_of(model, request);
    job_plan(&plan.job, model, n_candidates, request->n_prompts);
    (void)arena_take(&arena, 1, sizeof plan);
    lay_out(&plan, request, &arena);
    status = job_allocate(&arena, err);
    if (status != STATUS_OK) return status;
    struct generation *g = arena_take(&arena, 1, sizeof *g);
    memcpy(g, &plan, sizeof *g);
    lay_out(g, request, &arena);
    job_init(&g->job, options, &driver);
    fill_in(g, request);
    *out = g;
    return STATUS_OK;
}

/* ---- the reader ---- */

struct job *generation_job(struct generation *generation)
{
    return &generation->job;
}

size_t generation_n_choices(const struct generation *generation)
{
    return generation->n_prompts * generation->n;
}

static double mean_logprob(const struct candidate *c)
{
    size_t n = atomic_load_explicit(&c->n_drawn, memory_order_relaxed);
    return n > 0 ? c->sum_logprob / (double)n : -INFINITY;
}

/* Candidates of each prompt by mean log-probability, equal ones by number: an insertion sort. */
static void rank(struct generation *g)
{
    for (size_t p = 0; p < g->n_prompts; p++) {
        size_t *order = g->order + p * g->best_of;
        for (size_t b = 0; b < g->best_of; b++) {
            size_t number = p * g->best_of + b, at = b;
            double mean = mean_logprob(&g->candidates[number]);
            for (; at > 0 && mean > mean_logprob(&g->candidates[order[at - 1]]); at--)
                order[at] = order[at - 1];
            order[at] = number;
        }
    }
    g->is_ranked = true;
}

void generation_read(struct generation *generation, size_t choice, struct generation_choice *out)
{
    struct generation *g = generation;
    size_t number = choice;
    if (g->ranks && atomic_load(&g->job._pending) > 0) {
        *out = (struct generation_choice){.finish = FINISH_NONE};
        return;
    }
    if (g->ranks) {
        if (!g->is_ranked) rank(g);
        number = g->order[choice / g->n * g->best_of + choice % g->n];
    }
    struct candidate *c = &g->candidates[number];
    struct transcript *t = &c->transcript;
    *out = (struct generation_choice){
        .finish = (enum finish_reason)atomic_load_explicit(&t->finish, memory_order_acquire)};
    out->n_tokens = atomic_load_explicit(&t->visible_tokens, memory_order_acquire);
    out->n_text = atomic_load_explicit(&t->visible_text, memory_order_acquire);
    out->text = t->text;
    out->tokens = t->tokens;
    out->text_offsets = t->offsets;
    out->logprobs = c->logprobs;
    out->top = c->top;
    out->n_top = g->n_top;
}

void generation_consumed(struct generation *generation, size_t choice, size_t n_tokens)
{
    struct generation *g = generation;
    if (g->max_unread == 0) return; /* best_of > n included: then a choice is not a candidate */
    struct candidate *c = &g->candidates[choice];
    if (n_tokens <= atomic_load(&c->consumed)) return;
    atomic_store(&c->consumed, n_tokens);
    if (is_behind(g, c) || !atomic_exchange(&c->is_parked, false)) return;
    struct rider *rider = rider_of(g, choice / g->best_of, choice % g->best_of);
    scheduler_wake(g->job._scheduler, &rider->sequence);
}

size_t generation_prompt_tokens(const struct generation *generation)
{
    return generation->n_prompt_tokens;
}

size_t generation_completion_tokens(const struct generation *generation)
{
    size_t sum = 0, n = generation->n_prompts * generation->best_of;
    for (size_t i = 0; i < n; i++)
        sum += atomic_load_explicit(&generation->candidates[i].n_drawn, memory_order_relaxed);
    return sum;
}
