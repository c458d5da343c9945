/* One sequence an input: through the encoder, then as a beam through the decoder. */
#include "models/translation/translation.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "core/base/memory.h"
#include "models/bundle/input.h"
#include "models/jobs/logits.h"
#include "models/jobs/request.h"
#include "models/jobs/job_sequence.h"

/* A continuation of a hypothesis. */
struct candidate {
    double score; /* ln p of all its tokens */
    size_t parent;
    int32_t token;
};

/* The search for one input. Arrays are [B] unless said otherwise. */
struct beam {
    int32_t *source; /* [S], or */
    float *features; /* [S, inputs of the encoder] */
    size_t S, n_read;
    float *rows;     /* [S, outputs of the encoder] */
    struct memory *memories;       /* of each hypothesis: the same rows */
    float *weights;                /* [max_tokens, B, S] of the rows; NULL unless they are kept */
    /* those that go on */
    size_t n_live, n_done; /* n_done: tokens of each */
    double *score;
    int32_t *token;
    float **state, **next_state;   /* blocks of the decoder's state; they change places */
    struct candidate *candidates;  /* [2 B] best first */
    size_t *parents;               /* [max_tokens, B] and tokens: the way back */
    int32_t *tokens;
    /* those that are finished, best first */
    struct translation_result *results;
    int32_t *texts; /* [B, max_tokens] where results have their tokens */
    size_t n_results;
};

struct translation {
    struct job job;
    size_t n, B, n_best, max_tokens;
    double length_penalty;
    bool keeps_attention;
    struct beam *beams; /* [n] */
};

const struct translation_spec *translation_spec_of(const struct model *model)
{
    return model->spec;
}

/* ---- what a request asks for ----------------------------------------------------------------- */

static enum status check_size(const char *field, size_t value, size_t most, struct error *err)
{
    return request_check_number(field, (double)value, 1, (double)most, err);
}

/* Whether the weights of one input can be kept. */
static enum status check_attention(const struct model *model, const struct translation_request *request,
                                   const char *field, size_t S, struct error *err)
{
    size_t weights = S * request->num_beams * request->max_tokens; /* each below 2^21 */
    if (!network_memory_size(model->decoder))
        return error_set_param(err, STATUS_UNSUPPORTED, "model",
                               "the decoder of model '%s' attends to nothing", model->name);
    if (weights <= TRANSLATION_MAX_ATTENTION) return STATUS_OK;
    return error_set_param(err, STATUS_TOO_LONG, field,
                           "%s: %zu source steps, %zu beams and %zu max_tokens are %zu weights of attention, "
                           "expected at most %d: lower max_tokens or num_beams", field, S, request->num_beams,
                           request->max_tokens, weights, (int)TRANSLATION_MAX_ATTENTION);
}

/* The steps of input i. */
static size_t source_steps(const struct model *model, const struct translation_request *request, size_t i)
{
    return request->rows ? request->rows[i].n_steps : input_text_steps(model, request->inputs[i].n);
}

static enum status check_input(const struct model *model, const struct translation_request *request, size_t i,
                               struct error *err)
{
    char field[ERROR_PARAM_BYTES];
    enum status status = STATUS_OK;
    request_field(field, request->field ? request->field : "input", request->texts ? request->texts[i] : i,
                  request->texts ? request->n_texts : request->n_inputs);
    if ((request->rows ? request->rows[i].n_steps : request->inputs[i].n) < 1)
        return error_set_param(err, STATUS_BAD_VALUE, field, "%s is empty, expected at least one %s", field,
                               request->rows ? "step" : "token");
    if (!request->rows)
        status = request_check_tokens(field, &request->inputs[i], network_vocabulary_size(model->network),
                                      err);
    size_t S = source_steps(model, request, i);
    if (status == STATUS_OK) status = request_check_length(field, model, S, request->max_whole_steps, err);
    if (status == STATUS_OK && request->keeps_attention)
        status = check_attention(model, request, field, S, err);
    return status;
}

static enum status check(const struct model *model, const struct translation_request *request,
                         struct error *err)
{
    size_t most = TRANSLATION_MAX_BEAMS, seats = request->max_seats < most ? request->max_seats : most;
    enum status status = request_check_ability(model, request->ability, err);
    if (status == STATUS_OK) status = check_size("num_beams", request->num_beams, seats, err);
    if (status == STATUS_OK) status = check_size("n_best", request->n_best, request->num_beams, err);
    if (status == STATUS_OK)
        status = check_size("max_tokens", request->max_tokens, TRANSLATION_MAX_TOKENS, err);
    if (status == STATUS_OK)
        status = request_check_number("length_penalty", request->length_penalty, 0, 10, err);
    if (status == STATUS_OK && request->n_inputs < 1)
        return error_set_param(err, STATUS_BAD_VALUE, "input", "no input, expected at least one");
    for (size_t i = 0; i < request->n_inputs && status == STATUS_OK; i++)
        status = check_input(model, request, i, err);
    return status;
}

/* ---- memory ---------------------------------------------------------------------------------- */

static size_t state_stride(const struct model *model)
{
    return layer_round(network_state_floats(model->decoder));
}

static void lay_out(void *job, const void *request, struct arena *arena)
{
    struct translation *t = job;
    const struct translation_request *r = request;
    const struct model *model = t->job.model;
    const size_t B = t->B, width = network_output_size(model->network);
    job_lay_out(&t->job, arena);
    t->beams = arena_take(arena, t->n, sizeof *t->beams);
    for (size_t i = 0; i < t->n; i++) {
        struct beam measured, *b = t->beams ? &t->beams[i] : &measured;
        size_t S = b->S = source_steps(model, r, i);
        if (r->rows) b->features = arena_take(arena, S, network_input_size(model->network) * sizeof(float));
        else b->source = arena_take(arena, S, sizeof *b->source);
        if (network_memory_size(model->decoder)) b->rows = arena_take(arena, S, width * sizeof *b->rows);
        float *derived = arena_take(arena, S, network_memory_floats(model->decoder) * sizeof *derived);
        float *states = arena_take(arena, B, state_stride(model) * sizeof *states);
        b->memories = arena_take(arena, B, sizeof *b->memories);
        if (t->keeps_attention) b->weights = arena_take(arena, t->max_tokens * B, S * sizeof *b->weights);
        for (size_t k = 0; t->beams && k < B; k++)
            b->memories[k] = (struct memory){.rows = b->rows, .S = S, .derived = derived};
        b->score = arena_take(arena, B, sizeof *b->score);
        b->token = arena_take(arena, B, sizeof *b->token);
        b->state = arena_take(arena, B, sizeof(float *));
        b->next_state = arena_take(arena, B, sizeof(float *));
        b->candidates = arena_take(arena, 2 * B, sizeof *b->candidates);
        b->parents = arena_take(arena, t->max_tokens, B * sizeof *b->parents);
        b->tokens = arena_take(arena, t->max_tokens, B * sizeof *b->tokens);
        b->results = arena_take(arena, B, sizeof *b->results);
        b->texts = arena_take(arena, t->max_tokens, B * sizeof *b->texts);
        for (size_t k = 0; t->beams && k < B; k++) {
            b->state[k] = states + k * state_stride(model);
            b->results[k].tokens = b->texts + k * t->max_tokens;
        }
    }
}

/* ---- the search ------------------------------------------------------------------------------- */

static bool is_better(const struct candidate *a, const struct candidate *b)
{
    return a->score > b->score;
}

/* Keep the `most` best of all continuations, best first; equal ones in the order in which they come. */
static size_t collect(struct beam *b, const struct ride *rides, size_t V, size_t most)
{
    struct candidate *kept = b->candidates;
    size_t n = 0;
    for (size_t i = 0; i < b->n_live; i++) {
        double before = b->score[i] - logits_log_sum_exp(rides[i].output, V);
        for (size_t v = 0; v < V; v++) {
            struct candidate candidate = {before + (double)rides[i].output[v], i, (int32_t)v};
            if (n == most && !is_better(&candidate, &kept[n - 1])) continue;
            size_t at = n < most ? n++ : n - 1;
            for (; at && is_better(&candidate, &kept[at - 1]); at--) kept[at] = kept[at - 1];
            kept[at] = candidate;
        }
    }
    return n;
}

/* The tokens of hypothesis k of those that have n tokens. */
static void trace_back(const struct translation *t, const struct beam *b, size_t n, size_t k, int32_t *out)
{
    for (; n > 0; n--) {
        out[n - 1] = b->tokens[(n - 1) * t->B + k];
        k = b->parents[(n - 1) * t->B + k];
    }
}

/* A hypothesis of n tokens is finished: put it among the results if it is one of the B best. */
static void finish(const struct translation *t, struct beam *b, size_t n, size_t k, double log_probability,
                   bool has_ended)
{
    double length = (double)(n + has_ended), score = log_probability / pow(length, t->length_penalty);
    size_t at = b->n_results < t->B ? b->n_results++ : t->B;
    if (at == t->B && score <= b->results[--at].score) return;
    struct translation_result result = {b->results[at].tokens, n, log_probability, score, has_ended, k};
    trace_back(t, b, n, k, b->texts + (result.tokens - b->texts)); /* into the block that this place has */
    for (; at && score > b->results[at - 1].score; at--) b->results[at] = b->results[at - 1];
    b->results[at] = result;
}

/* Hypothesis k goes on from the state of its parent. The first child gets its parent's block, and the
 * others get a copy in a block that no hypothesis needs any more. */
static void move_states(struct beam *b, const size_t *parents, size_t n, size_t B, size_t n_floats)
{
    float **next = b->next_state;
    memset(next, 0, B * sizeof(float *));
    for (size_t k = 0; k < n; k++) {
        bool is_first = true;
        for (size_t i = 0; i < k; i++) is_first &= parents[i] != parents[k];
        if (is_first) next[k] = b->state[parents[k]];
    }
    size_t spare = 0;
    for (size_t k = 0; k < B; k++) {
        if (next[k]) continue;
        for (bool is_taken = true; is_taken; spare += is_taken) {
            is_taken = false;
            for (size_t i = 0; i < n; i++) is_taken |= parents[i] == spare;
        }
        next[k] = b->state[spare++];
        if (k < n) memcpy(next[k], b->state[parents[k]], n_floats * sizeof(float));
    }
    b->next_state = b->state;
    b->state = next;
}

/* After a step; true if the search goes on. */
static bool advance(const struct translation *t, struct beam *b, const struct ride *rides)
{
    const struct network *decoder = t->job.model->decoder;
    const int32_t eos = tokenizer_eos(t->job.model->target);
    size_t n = collect(b, rides, network_output_size(decoder), 2 * t->B), n_live = 0;
    size_t *parents = b->parents + b->n_done * t->B;
    int32_t *tokens = b->tokens + b->n_done * t->B;
    for (size_t r = 0; r < n; r++) {
        const struct candidate *c = &b->candidates[r];
        if (c->token == eos) {
            if (r < t->B) finish(t, b, b->n_done, c->parent, c->score, true);
        } else if (n_live < t->B) {
            parents[n_live] = c->parent;
            tokens[n_live] = b->token[n_live] = c->token;
            b->score[n_live++] = c->score;
        }
    }
    b->n_live = n_live;
    b->n_done++;
    if (b->n_results == t->B || n_live == 0) return false;
    if (b->n_done < t->max_tokens) {
        move_states(b, parents, n_live, t->B, network_state_floats(decoder));
        return true;
    }
    for (size_t k = 0; k < n_live; k++) finish(t, b, b->n_done, k, b->score[k], false);
    return false;
}

/* ---- the driver ------------------------------------------------------------------------------- */

static struct beam *beam_of(const struct job_sequence *seq)
{
    return &((struct translation *)seq->job)->beams[seq->index];
}

static void feed(struct sequence *sequence, size_t room, struct ride *rides)
{
    const struct job_sequence *seq = (struct job_sequence *)sequence;
    struct beam *b = beam_of(seq);
    if (sequence->network == seq->job->model->network) {
        size_t left = b->S - b->n_read;
        rides[0].n_steps = left < room ? left : room;
        if (b->source) rides[0].tokens = b->source + b->n_read;
        else rides[0].features = b->features + b->n_read * network_input_size(sequence->network);
        rides[0].want = b->rows ? WANT_ALL : WANT_NONE;
        return;
    }
    const struct translation *t = (struct translation *)seq->job;
    for (size_t i = 0; i < b->n_live; i++) {
        struct memory *memory = &b->memories[i];
        memory->n_derived = b->memories[0].n_derived; /* the first one has ridden */
        if (b->weights) memory->weights = b->weights + (b->n_done * t->B + i) * b->S;
        rides[i] = (struct ride){.n_steps = 1, .tokens = &b->token[i], .state = b->state[i],
                                 .memory = memory, .want = WANT_LAST};
    }
}

/* The source has been read: on to the decoder, with one hypothesis that has no token yet. */
static void begin(const struct translation *t, struct sequence *sequence, struct beam *b)
{
    const struct model *model = t->job.model;
    coder_begin(model, sequence->state, b->state[0]);
    b->n_live = 1;
    b->score[0] = 0;
    b->token[0] = tokenizer_bos(model->target);
    sequence->network = model->decoder;
    sequence->seats = (uint32_t)t->B;
}

static enum next receive(struct sequence *sequence, struct worker *worker, const struct ride *rides)
{
    struct job_sequence *seq = (struct job_sequence *)sequence;
    const struct translation *t = (struct translation *)seq->job;
    struct beam *b = beam_of(seq);
    (void)worker;
    if (job_sequence_must_leave(seq)) return LEAVE;
    if (sequence->network == t->job.model->decoder) return advance(t, b, rides) ? STAY : LEAVE;
    size_t width = network_output_size(sequence->network);
    if (b->rows)
        memcpy(b->rows + b->n_read * width, rides[0].output, rides[0].n_steps * width * sizeof *b->rows);
    b->n_read += rides[0].n_steps;
    if (b->n_read == b->S) begin(t, sequence, b);
    return STAY;
}

/* Copy what the encoder is to read. */
static enum status fill_sources(struct translation *t, const struct translation_request *request,
                                struct error *err)
{
    const struct model *model = t->job.model;
    for (size_t i = 0; i < t->n; i++) {
        const struct beam *b = &t->beams[i];
        if (b->source) {
            input_text(model, request->inputs[i].ids, request->inputs[i].n, b->source);
            continue;
        }
        enum status status = input_features(model, request->rows[i].features, b->S, b->features, err);
        if (status == STATUS_OK) continue;
        const char *field = request->field ? request->field : "input";
        error_prefix(err, "%s", field);
        if (err) snprintf(err->param, sizeof err->param, "%s", field);
        return status;
    }
    return STATUS_OK;
}

enum status translation_new(struct model *model, const struct translation_request *request,
                            const struct job_options *options, struct translation **out, struct error *err)
{
    static const struct driver driver = {feed, receive, job_sequence_finish};
    enum status status = check(model, request, err);
    if (status != STATUS_OK) return status;
    struct translation plan = {.n = request->n_inputs, .B = request->num_beams, .n_best = request->n_best,
                               .max_tokens = request->max_tokens, .length_penalty = request->length_penalty,
                               .keeps_attention = request->keeps_attention};
    struct translation *t = NULL;
    void *block;
    job_plan(&plan.job, model, plan.n, plan.n);
    status = job_make(&plan, sizeof plan, lay_out, request, &block, err);
    if (status != STATUS_OK) return status;
    t = block;
    job_init(&t->job, options, &driver);
    status = fill_sources(t, request, err);
    if (status != STATUS_OK) {
        job_free(&t->job);
        return status;
    }
    for (size_t i = 0; i < t->n; i++) {
        struct sequence *sequence = &t->job._sequences[i].sequence;
        const struct beam *b = &t->beams[i];
        sequence->whole_steps = b->S;
        sequence->least_steps = b->S + 1;
        sequence->cost_steps = b->S + t->B * t->max_tokens;
    }
    *out = t;
    return STATUS_OK;
}

struct job *translation_job(struct translation *translation)
{
    return &translation->job;
}

const struct translation_result *translation_results(const struct translation *translation, size_t i,
                                                     size_t *n)
{
    const struct beam *b = &translation->beams[i];
    *n = b->n_results < translation->n_best ? b->n_results : translation->n_best;
    return b->results;
}

const struct model *translation_model(const struct translation *translation)
{
    return translation->job.model;
}

const int32_t *translation_source(const struct translation *translation, size_t i, size_t *n)
{
    *n = translation->beams[i].S;
    return translation->beams[i].source;
}

bool translation_attention(const struct translation *t, size_t i, const struct translation_result *result,
                           float *out)
{
    const struct beam *b = &t->beams[i];
    size_t k = result->_last, n = result->n, row = b->S * sizeof *out;
    if (!b->weights) return false;
    if (result->has_ended) memcpy(out + n * b->S, b->weights + (n * t->B + k) * b->S, row);
    for (; n > 0; n--) {
        k = b->parents[(n - 1) * t->B + k];
        memcpy(out + (n - 1) * b->S, b->weights + ((n - 1) * t->B + k) * b->S, row);
    }
    return true;
}
