/* Generation: one sequence a prompt, which forks at its last token.
 *
 * The sequence that reads a prompt goes on as the prompt's first candidate; the others (best_of of them in
 * all) board from its receive(), each with a copy of its state, having drawn their first tokens from
 * the same logits. Candidates may ride on different workers, so each has scratch of its own.
 *
 *   sequence   0 .. n_prompts-1       candidate 0 of each prompt (submitted)
 *              n_prompts ..           candidates 1 .. best_of-1 of prompt 0, of prompt 1, ...
 *   candidate  prompt * best_of + b   also the number of its random stream
 *
 * Pausing: feed() writes is_parked, then reads consumed; generation_consumed() writes consumed, then reads
 * is_parked (all seq_cst), so that one of the two sees the other. At worst the scheduler gets a wake
 * too many, and feed() parks again. */
#include "models/generation/generation.h"

#include <math.h>
#include <string.h>

#include "core/base/memory.h"
#include "models/jobs/logits.h"
#include "models/jobs/job_sequence.h"
#include "models/generation/kept_text.h"
#include "models/generation/sampler.h"
#include "models/generation/transcript.h"

struct prompt {
    int32_t *tokens; /* [n], first the one that is not the client's: bos, or the last of a kept state */
    size_t n, n_fed;
};

struct candidate {
    struct transcript transcript;
    struct sampler_scratch scratch;
    char *piece;               /* [tokenizer_max_piece] scratch */
    float *logprobs;           /* [token_capacity] or NULL */
    struct token_logprob *top; /* [token_capacity, n_top] or NULL */
    struct random random;
    uint32_t *counts;          /* [V], if there are penalties or the state is kept */
    struct ngrams ngrams;
    int32_t last;              /* drawn, not yet fed */
    double sum_logprob;
    _Atomic size_t n_drawn;
    _Atomic size_t consumed;
    atomic_bool is_parked;
    bool is_over;              /* what was held back completes a stop string of this request */
};

struct generation {
    struct job job;
    struct sampler sampler;
    struct logit_bias *biases;    /* the sampler's */
    struct stops stops;
    size_t n_prompts, n, best_of, max_tokens, max_unread, n_top;
    size_t n_prompt_tokens;
    bool echo, has_lead, wants_logprobs, ranks, keeps;
    const struct state *from;     /* that the prompts follow, borrowed until generation_new returns; or NULL
                                   * */
    struct kept_text *kept;       /* what `from` keeps, and later what this one does */
    size_t marks[GENERATION_MARKS], n_marks; /* lengths of the prompt after which the state is noted */
    float *marked;                /* [n_marks, state_floats] */
    float *snapshot;              /* [state_floats] before the prompt's last token, if that is kept */
    uint64_t step;                /* of `from` */
    uint64_t seed;
    struct prompt *prompts;       /* [n_prompts] */
    struct candidate *candidates; /* [n_prompts, best_of] */
    size_t *order;                /* [n_prompts, best_of] candidates, best first, once ranked */
    bool is_ranked;
};

/* ---- memory ---- */

/* The most bytes of a prompt's text: words may get a space each. */
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
        bytes > SIZE_MAX - n_echo_bytes - KEPT_TEXT_HELD_BYTES || g->max_tokens > SIZE_MAX - n_echo) {
        arena->too_big = true;
        return;
    }
    sampler_scratch_take(&g->sampler, arena, &c->scratch);
    if (g->from) n_echo_bytes += KEPT_TEXT_HELD_BYTES;
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
    if (sampler_has_penalties(&g->sampler) || g->keeps)
        c->counts = arena_take(arena, g->sampler.V, sizeof *c->counts);
    ngrams_take(&c->ngrams, g->sampler.no_repeat_ngram_size, arena);
}

static void lay_out(void *job, const void *request, struct arena *arena)
{
    struct generation *g = job;
    const struct generation_request *r = request;
    const struct tokenizer *tokenizer = g->job.model->tokenizer;
    job_lay_out(&g->job, arena);
    stops_lay_out(&g->stops, r->stop_bytes, r->n_stops, arena);
    g->biases = arena_take(arena, r->n_biases, sizeof *g->biases);
    g->prompts = arena_take(arena, r->n_prompts, sizeof *g->prompts);
    g->candidates = arena_take(arena, r->n_prompts * r->best_of, sizeof *g->candidates);
    if (g->ranks) g->order = arena_take(arena, r->n_prompts * r->best_of, sizeof *g->order);
    if (g->keeps || g->from) g->kept = arena_take(arena, 1, sizeof *g->kept);
    if (g->n_marks)
        g->marked = arena_take(arena, g->n_marks,
                               network_state_floats(g->job.model->network) * sizeof(float));
    if (g->keeps && g->max_tokens == 0)
        g->snapshot = arena_take(arena, network_state_floats(g->job.model->network), sizeof *g->snapshot);
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

/* Go on where the kept text was cut. What it held back comes first. If a new prompt stands between, that text
 * is decided, else it may yet begin a stop string. The first choice goes on with the random stream, unless
 * the request names another seed. */
static void candidate_resume(struct candidate *c, const struct generation *g, const struct prompt *prompt,
                             size_t number)
{
    struct kept_text *kept = g->kept;
    const struct stops *stops = prompt->n > 1 ? NULL : &g->stops;
    (void)kept_text_read(g->from, g->sampler.V, kept, c->counts, &c->ngrams, NULL); /* it was checked */
    if (number == 0 && kept->seed == g->seed) c->random = kept->random;
    c->is_over = transcript_resume(&c->transcript, stops, kept->previous, kept->held, kept->n_held);
}

static void candidate_init(struct candidate *c, struct generation *g, struct prompt *prompt,
                           size_t number, uint64_t seed)
{
    const struct tokenizer *tokenizer = g->job.model->tokenizer;
    transcript_init(&c->transcript);
    random_init(&c->random, seed, number);
    atomic_init(&c->n_drawn, 0);
    atomic_init(&c->consumed, 0);
    atomic_init(&c->is_parked, false);
    if (g->from) candidate_resume(c, g, prompt, number);
    for (size_t i = 0; i < prompt->n; i++) {
        int32_t id = prompt->tokens[i];
        bool is_lead = i == 0 && g->has_lead;
        if (c->counts && !(is_lead && g->from)) c->counts[id] |= SAMPLER_PROMPT;
        if (is_lead) continue;
        ngrams_add(&c->ngrams, id);
        if (g->echo)
            (void)transcript_append(&c->transcript, tokenizer, NULL, id, c->piece);
        else
            transcript_follow(&c->transcript, tokenizer, id);
    }
}

static void prompt_init(struct prompt *prompt, const struct generation *g,
                        const struct token_span *span)
{
    if (g->has_lead)
        prompt->tokens[prompt->n++] = g->from ? g->kept->last : tokenizer_bos(g->job.model->tokenizer);
    if (span->n) memcpy(prompt->tokens + prompt->n, span->ids, span->n * sizeof *span->ids);
    prompt->n += span->n;
}

/* The sequence of candidate b of prompt p. */
static struct job_sequence *sequence_of(const struct generation *g, size_t p, size_t b)
{
    if (b == 0) return &g->job._sequences[p];
    return &g->job._sequences[g->n_prompts + p * (g->best_of - 1) + b - 1];
}

static void fill_in(struct generation *g, const struct generation_request *r)
{
    stops_prepare(&g->stops, r->stops);
    if (r->n_biases) memcpy(g->biases, r->biases, r->n_biases * sizeof *g->biases);
    g->sampler.biases = g->biases;
    if (g->from) (void)kept_text_read(g->from, g->sampler.V, g->kept, NULL, NULL, NULL);
    for (size_t p = 0; p < g->n_prompts; p++) {
        struct prompt *prompt = &g->prompts[p];
        prompt_init(prompt, g, &r->prompts[p]);
        g->n_prompt_tokens += r->prompts[p].n;
        for (size_t b = 0; b < g->best_of; b++) {
            size_t number = p * g->best_of + b;
            candidate_init(&g->candidates[number], g, prompt, number, r->seed);
            sequence_of(g, p, b)->index = number;
            sequence_of(g, p, b)->sequence.cost_steps = g->max_tokens;
        }
        if (g->best_of > 1) job_sequence_adopt(sequence_of(g, p, 0), sequence_of(g, p, 1), g->best_of - 1);
        sequence_of(g, p, 0)->sequence.cost_steps = prompt->n + g->best_of * g->max_tokens;
        sequence_of(g, p, 0)->sequence.least_steps = prompt->n;
        if (r->prefix) {
            prompt->n_fed = r->n_prefix;
            memcpy(sequence_of(g, p, 0)->sequence.state, r->prefix->floats,
                   r->prefix->n_floats * sizeof(float));
            sequence_of(g, p, 0)->sequence.cost_steps -= r->n_prefix;
            sequence_of(g, p, 0)->sequence.least_steps -= r->n_prefix;
        }
    }
    g->from = NULL;
}

static struct generation plan_of(struct model *model, const struct generation_request *r,
                                 const struct job_options *options)
{
    struct generation plan = {
        .sampler = {
            .V = network_output_size(model->network),
            .temperature = r->temperature, .top_k = r->top_k, .top_p = r->top_p,
            .no_repeat_ngram_size = r->no_repeat_ngram_size,
            .min_p = r->min_p, .repetition_penalty = r->repetition_penalty,
            .presence_penalty = r->presence_penalty,
            .frequency_penalty = r->frequency_penalty, .n_biases = r->n_biases,
        },
        .n_prompts = r->n_prompts, .n = r->n, .best_of = r->best_of,
        .max_tokens = r->max_tokens,
        .max_unread = r->best_of > r->n ? 0 : r->max_unread, /* unreadable before the end */
        .n_top = r->logprobs > 0 ? (size_t)r->logprobs : 0,
        .echo = r->echo,
        .has_lead = options->from || tokenizer_bos(model->tokenizer) != TOKEN_NONE,
        .keeps = options->keeps, .from = options->from, .seed = r->seed,
        .step = options->from ? options->from->step : 0,
        .wants_logprobs = r->logprobs >= 0,
        .ranks = r->best_of > r->n,
    };
    size_t last = r->prompts[0].n + plan.has_lead - 1; /* the last token is read anew, for its outputs */
    for (size_t n = GENERATION_FIRST_MARK; r->marks && n < last &&
         plan.n_marks < GENERATION_MARKS - 1; n *= 2)
        if (n > r->n_prefix) plan.marks[plan.n_marks++] = n;
    if (r->marks && last >= GENERATION_FIRST_MARK && last > r->n_prefix) plan.marks[plan.n_marks++] = last;
    return plan;
}

/* ---- the driver ---- */

static struct generation *generation_of(const struct job_sequence *seq)
{
    return (struct generation *)seq->job;
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
    if (g->snapshot && left > 1 && left <= room) room = left - 1;
    for (size_t i = 0; i < g->n_marks; i++)
        if (g->marks[i] > prompt->n_fed &&
            g->marks[i] - prompt->n_fed < room) room = g->marks[i] - prompt->n_fed;
    ride->n_steps = left < room ? left : room;
    ride->tokens = prompt->tokens + prompt->n_fed;
    if (g->echo && g->wants_logprobs)
        ride->want = WANT_ALL;
    else
        ride->want = left <= room ? WANT_LAST : WANT_NONE;
}

static void note_mark(const struct generation *g, const struct prompt *prompt,
                      const struct sequence *sequence)
{
    const size_t n = network_state_floats(sequence->network);
    for (size_t i = 0; i < g->n_marks; i++)
        if (g->marks[i] == prompt->n_fed) memcpy(g->marked + i * n, sequence->state, n * sizeof *g->marked);
}

static void feed(struct sequence *sequence, size_t room, struct ride *ride)
{
    struct job_sequence *seq = (struct job_sequence *)sequence;
    struct generation *g = generation_of(seq);
    struct prompt *prompt = &g->prompts[seq->index / g->best_of];
    struct candidate *c = &g->candidates[seq->index];
    if (prompt->n_fed < prompt->n) {
        note_mark(g, prompt, sequence);
        if (g->snapshot && prompt->n_fed + 1 == prompt->n)
            memcpy(g->snapshot, sequence->state, network_state_floats(sequence->network) * sizeof(float));
        feed_prompt(g, prompt, room, ride);
        return;
    }
    if (is_behind(g, c)) {
        atomic_store(&c->is_parked, true);
        if (is_behind(g, c) && !job_sequence_must_leave(seq)) return; /* n_steps is 0 */
        atomic_store(&c->is_parked, false);
    }
    ride->n_steps = 1;
    ride->tokens = &c->last;
    ride->want = WANT_LAST;
}

/* What the model thought of token `id`, which stands at `at` in the transcript. */
static void note_logprobs(const struct generation *g, struct candidate *c, size_t at, int32_t id,
                          const float *logits, double log_sum)
{
    if (!g->wants_logprobs) return;
    c->logprobs[at] = (float)((double)logits[id] - log_sum);
    if (g->n_top) logits_top(logits, g->sampler.V, log_sum, g->n_top, c->top + at * g->n_top);
}

/* End the text. One that is kept and may go on holds back what its next part decides. */
static void candidate_close(const struct generation *g, struct candidate *c, enum finish_reason finish)
{
    if (g->keeps && finish == FINISH_LENGTH) transcript_pause(&c->transcript, &g->stops);
    else transcript_close(&c->transcript, finish);
}

/* Draw, and write what was drawn. true: the candidate goes on. */
static bool candidate_advance(struct generation *g, struct candidate *c, const float *logits)
{
    const struct tokenizer *tokenizer = g->job.model->tokenizer;
    int32_t id = sampler_draw(&g->sampler, logits, c->counts, &c->ngrams, &c->random, &c->scratch);
    size_t n_drawn = atomic_load_explicit(&c->n_drawn, memory_order_relaxed) + 1;
    atomic_store_explicit(&c->n_drawn, n_drawn, memory_order_relaxed);
    if (c->counts) c->counts[id]++;
    ngrams_add(&c->ngrams, id);
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
    if (finish != FINISH_NONE) candidate_close(g, c, finish);
    return finish == FINISH_NONE;
}

/* The outputs of a ride over a prompt whose echo tells log-probabilities: that of step i is about
 * the token at i + 1. The first token of all has nothing before it. */
static void note_echo(const struct generation *g, const struct prompt *prompt,
                      struct candidate *c, const struct ride *ride)
{
    const size_t V = g->sampler.V, n_bos = g->has_lead ? 1 : 0;
    if (prompt->n_fed == 0 && !g->has_lead) {
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
static enum next fork_prompt(struct generation *g, struct job_sequence *seq, struct worker *worker,
                             const float *logits)
{
    struct candidate *first = &g->candidates[seq->index];
    for (size_t b = 1; b < g->best_of; b++) share_echo(g, first + b, first);
    bool first_goes_on = false;
    for (size_t b = 0; b < g->best_of; b++) {
        struct candidate *c = first + b;
        bool goes_on = false;
        if (c->is_over)
            transcript_close(&c->transcript, FINISH_STOP);
        else if (g->max_tokens == 0)
            candidate_close(g, c, FINISH_LENGTH);
        else
            goes_on = candidate_advance(g, c, logits);
        if (goes_on) (void)transcript_publish(&c->transcript, &g->stops);
        if (b == 0)
            first_goes_on = goes_on;
        else if (goes_on)
            job_sequence_board(seq, &seq->children[b - 1], worker);
    }
    return first_goes_on ? STAY : LEAVE;
}

static void notify(const struct generation *g)
{
    const struct job_observer *observer = &g->job.options.observer;
    if (observer->progress && !g->ranks) observer->progress(observer->context);
}

static enum next receive(struct sequence *sequence, struct worker *worker, const struct ride *ride)
{
    struct job_sequence *seq = (struct job_sequence *)sequence;
    struct generation *g = generation_of(seq);
    struct prompt *prompt = &g->prompts[seq->index / g->best_of];
    struct candidate *c = &g->candidates[seq->index];
    if (job_sequence_must_leave(seq)) return LEAVE;
    enum next next = STAY;
    if (prompt->n_fed < prompt->n) {
        if (ride->want == WANT_ALL) note_echo(g, prompt, c, ride);
        prompt->n_fed += ride->n_steps;
        if (prompt->n_fed < prompt->n) return STAY;
        const float *last = ride->output + (ride->n_outputs - 1) * g->sampler.V;
        next = fork_prompt(g, seq, worker, last);
    } else {
        bool goes_on = candidate_advance(g, c, ride->output);
        if (goes_on && !transcript_publish(&c->transcript, &g->stops)) return STAY;
        next = goes_on ? STAY : LEAVE;
    }
    notify(g);
    return next;
}

static enum status keep(struct job *job, struct state **out)
{
    const struct generation *g = (struct generation *)job;
    const struct job_sequence *seq = &g->job._sequences[0];
    const struct prompt *prompt = &g->prompts[0];
    struct candidate *c = &g->candidates[0];
    size_t n_floats = network_state_floats(g->job.model->network);
    size_t n_drawn = atomic_load(&c->n_drawn), n_read = prompt->n - 1 + n_drawn;
    *g->kept = (struct kept_text){
        .last = n_drawn ? c->last : prompt->tokens[prompt->n - 1], .previous = c->transcript.previous,
        .seed = g->seed, .random = c->random};
    g->kept->n_held = (uint32_t)transcript_held(&c->transcript, g->kept->held, sizeof g->kept->held);
    struct rest rest = {.use = REST_MEASURE};
    kept_text_walk(&rest, g->kept, c->counts, &c->ngrams, g->sampler.V);
    enum status status = state_new(g->step + n_read, n_floats, rest.at, out);
    if (status != STATUS_OK) return status;
    const float *floats = n_drawn || !g->snapshot ? seq->sequence.state : g->snapshot;
    memcpy((*out)->floats, floats, n_floats * sizeof *floats);
    rest = (struct rest){.use = REST_WRITE, .bytes = (*out)->rest, .n = (*out)->n_rest};
    kept_text_walk(&rest, g->kept, c->counts, &c->ngrams, g->sampler.V);
    return STATUS_OK;
}

enum status generation_new(struct model *model, const struct generation_request *request,
                           const struct job_options *options, struct generation **out,
                           struct error *err)
{
    static const struct driver driver = {feed, receive, job_sequence_finish};
    enum status status = generation_check(model, request, options, err);
    if (status != STATUS_OK) return status;
    size_t n_candidates;
    void *made;
    if (!size_multiply(request->n_prompts, request->best_of, &n_candidates)) return job_too_large(err);
    struct generation plan = plan_of(model, request, options);
    job_plan(&plan.job, model, n_candidates, request->n_prompts);
    status = job_make(&plan, sizeof plan, lay_out, request, &made, err);
    if (status != STATUS_OK) return status;
    struct generation *g = made;
    job_init(&g->job, options, &driver);
    g->job._keep = keep;
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
    struct job_sequence *seq = sequence_of(g, choice / g->best_of, choice % g->best_of);
    scheduler_wake(g->job._scheduler, &seq->sequence);
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

int64_t generation_seed(const struct state *state)
{
    struct kept_text kept;
    return kept_text_read(state, INT32_MAX, &kept, NULL, NULL, NULL) ? (int64_t)kept.seed : 0;
}

bool generation_mark(const struct generation *generation, size_t i, const int32_t **tokens, size_t *n,
                     const float **floats)
{
    const struct generation *g = generation;
    if (i >= g->n_marks) return false;
    *tokens = g->prompts[0].tokens;
    *n = g->marks[i];
    *floats = g->marked + i * network_state_floats(g->job.model->network);
    return true;
}
