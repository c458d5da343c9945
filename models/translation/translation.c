/* One sequence an input: through the encoder, then as a beam through the decoder. */
#include "models/translation/translation.h"

#include <stdio.h>
#include <string.h>

#include "core/base/memory.h"
#include "models/bundle/input.h"
#include "models/jobs/job_sequence.h"
#include "models/jobs/request.h"
#include "models/jobs/rest.h"
#include "models/translation/search.h"

/* One input: what the encoder reads, what it gives, and the search. */
struct source {
    int32_t *tokens; /* [S], or */
    float *features; /* [S, inputs of the encoder] */
    size_t S, n_read;
    float *rows;               /* [S, outputs of the encoder] */
    struct memory *memories;   /* [B] of each hypothesis: the same rows */
    struct beam beam;
};

struct translation {
    struct job job;
    struct search search;
    size_t n, n_best;
    bool shows_attention; /* translation_attention will be asked */
    struct source *sources; /* [n] */
    int32_t *given;         /* [search.n_given] */
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
    if (status == STATUS_OK && (request->keeps_attention || request->coverage_penalty > 0))
        status = check_attention(model, request, field, S, err);
    return status;
}

static enum status check(const struct model *model, const struct translation_request *request,
                         struct error *err)
{
    size_t most = TRANSLATION_MAX_BEAMS, seats = request->max_seats < most ? request->max_seats : most;
    enum status status = request_check_ability(model, request->ability, err);
    if (status == STATUS_OK)
        status = check_size(request->temperature > 0 ? "n" : "num_beams", request->num_beams, seats, err);
    if (status == STATUS_OK) status = check_size("n_best", request->n_best, request->num_beams, err);
    if (status == STATUS_OK)
        status = check_size("max_tokens", request->max_tokens, TRANSLATION_MAX_TOKENS, err);
    if (status == STATUS_OK)
        status = request_check_number("length_penalty", request->length_penalty, 0, 10, err);
    if (status == STATUS_OK)
        status = request_check_number("coverage_penalty", request->coverage_penalty, 0, 10, err);
    if (status == STATUS_OK)
        status = request_check_number("temperature", request->temperature, 0, 2, err);
    if (status == STATUS_OK) status = request_check_number("top_p", request->top_p, 0, 1, err);
    if (status == STATUS_OK && request->streams && request->num_beams > 1)
        return error_set_param(err, STATUS_BAD_VALUE, "stream",
                               "a text is known while it is written only if it is the only one: expected one "
                               "beam or one draw, found %zu", request->num_beams);
    if (status == STATUS_OK && request->n_given && request->n_given >= request->max_tokens)
        return error_set_param(err, STATUS_BAD_VALUE, "max_tokens",
                               "max_tokens is %zu, and %zu tokens stand already: expected more",
                               request->max_tokens, request->n_given);
    if (status == STATUS_OK && request->n_inputs < 1)
        return error_set_param(err, STATUS_BAD_VALUE, "input", "no input, expected at least one");
    for (size_t i = 0; i < request->n_inputs && status == STATUS_OK; i++)
        status = check_input(model, request, i, err);
    return status;
}

/* ---- memory ---------------------------------------------------------------------------------- */

static void lay_out(void *job, const void *request, struct arena *arena)
{
    struct translation *t = job;
    const struct translation_request *r = request;
    const struct model *model = t->job.model;
    const size_t B = t->search.B, width = network_output_size(model->network);
    job_lay_out(&t->job, arena);
    t->sources = arena_take(arena, t->n, sizeof *t->sources);
    t->given = arena_take(arena, t->search.n_given, sizeof *t->given);
    for (size_t i = 0; i < t->n; i++) {
        struct source measured, *source = t->sources ? &t->sources[i] : &measured;
        size_t S = source->S = source_steps(model, r, i);
        if (r->rows)
            source->features = arena_take(arena, S, network_input_size(model->network) * sizeof(float));
        else source->tokens = arena_take(arena, S, sizeof *source->tokens);
        if (network_memory_size(model->decoder))
            source->rows = arena_take(arena, S, width * sizeof *source->rows);
        float *derived = arena_take(arena, S, network_memory_floats(model->decoder) * sizeof *derived);
        source->memories = arena_take(arena, B, sizeof *source->memories);
        for (size_t k = 0; t->sources && k < B; k++)
            source->memories[k] = (struct memory){.rows = source->rows, .S = S, .derived = derived};
        beam_lay_out(&source->beam, &t->search, i, S, arena);
    }
}

/* ---- the driver ------------------------------------------------------------------------------- */

static struct source *source_of(const struct job_sequence *seq)
{
    return &((struct translation *)seq->job)->sources[seq->index];
}

static void feed_encoder(const struct sequence *sequence, const struct source *source, size_t room,
                         struct ride *ride)
{
    size_t left = source->S - source->n_read;
    ride->n_steps = left < room ? left : room;
    if (source->tokens) ride->tokens = source->tokens + source->n_read;
    else ride->features = source->features + source->n_read * network_input_size(sequence->network);
    ride->want = source->rows ? WANT_ALL : WANT_NONE;
}

static void feed(struct sequence *sequence, size_t room, struct ride *rides)
{
    const struct job_sequence *seq = (struct job_sequence *)sequence;
    const struct translation *t = (struct translation *)seq->job;
    struct source *source = source_of(seq);
    const struct beam *b = &source->beam;
    if (sequence->network == seq->job->model->network) {
        feed_encoder(sequence, source, room, rides);
        return;
    }
    for (size_t i = 0; i < b->n_live; i++) {
        struct memory *memory = &source->memories[i];
        memory->n_derived = source->memories[0].n_derived; /* the first one has ridden */
        if (b->weights) memory->weights = beam_weights(b, &t->search, b->n_done, i);
        rides[i] = (struct ride){.n_steps = 1, .tokens = &b->token[i], .state = b->state[i],
                                 .memory = memory, .want = WANT_LAST};
    }
}

/* The source has been read: on to the decoder. */
static void begin(const struct translation *t, struct sequence *sequence, struct beam *b)
{
    coder_begin(t->job.model, sequence->state, b->state[0]);
    beam_begin(b, &t->search);
    sequence->network = t->job.model->decoder;
    sequence->seats = (uint32_t)t->search.B;
}

static enum next advance(const struct translation *t, struct beam *b, const struct ride *rides)
{
    const struct job_observer *observer = &t->job.options.observer;
    bool goes_on = beam_advance(b, &t->search, rides);
    if (t->search.streams && observer->progress) observer->progress(observer->context);
    return goes_on ? STAY : LEAVE;
}

static enum next receive(struct sequence *sequence, struct worker *worker, const struct ride *rides)
{
    struct job_sequence *seq = (struct job_sequence *)sequence;
    const struct translation *t = (struct translation *)seq->job;
    struct source *source = source_of(seq);
    (void)worker;
    if (job_sequence_must_leave(seq)) return LEAVE;
    if (sequence->network == t->job.model->decoder) return advance(t, &source->beam, rides);
    size_t width = network_output_size(sequence->network);
    if (source->rows)
        memcpy(source->rows + source->n_read * width, rides[0].output,
               rides[0].n_steps * width * sizeof *source->rows);
    source->n_read += rides[0].n_steps;
    if (source->n_read == source->S) begin(t, sequence, &source->beam);
    return STAY;
}

/* ---- what is kept ----------------------------------------------------------------------------- */

static void walk(struct rest *rest, struct translation_kept *kept)
{
    rest_field(rest, &kept->seed, sizeof kept->seed);
    rest_field(rest, &kept->n_source, sizeof kept->n_source);
    rest_field(rest, &kept->n_target, sizeof kept->n_target);
}

bool translation_read_kept(const struct model *model, const struct state *state,
                           struct translation_kept *kept, struct error *err)
{
    struct rest rest = {.use = REST_READ, .bytes = state->rest, .n = state->n_rest};
    *kept = (struct translation_kept){0};
    walk(&rest, kept);
    const size_t n = (size_t)kept->n_source + kept->n_target;
    bool good = !rest.failed && state->n_floats == 0 && kept->n_source > 0 && model->decoder &&
                rest.n - rest.at == n * sizeof(int32_t);
    if (good && !(kept->ids = memory_new(n, sizeof(int32_t))))
        return error_set(err, STATUS_NO_MEMORY, "no memory for the state") == STATUS_OK;
    if (good) memcpy(kept->ids, state->rest + rest.at, n * sizeof(int32_t));
    for (size_t i = 0; good && i < n; i++) {
        size_t V = i < kept->n_source ? network_vocabulary_size(model->network)
                                      : network_output_size(model->decoder);
        bool ends = i >= kept->n_source && kept->ids[i] == tokenizer_eos(model->target);
        good = kept->ids[i] >= 0 && (size_t)kept->ids[i] < V && !ends;
    }
    if (good) return true;
    memory_free(kept->ids);
    kept->ids = NULL;
    return error_set(err, STATUS_BAD_VALUE, "the state is not one that this model wrote: expected a state of "
                                            "the same model") == STATUS_OK;
}

static enum status keep(struct job *job, struct state **out)
{
    const struct translation *t = (const struct translation *)job;
    const struct model *model = job->model;
    const struct source *source = &t->sources[0];
    const struct translation_result *best = &source->beam.results[0];
    const size_t n_bos = input_puts_bos(model), n_read = source->S - n_bos - input_puts_eos(model);
    struct translation_kept kept = {.seed = t->search.seed, .n_source = (uint32_t)n_read,
                                    .n_target = (uint32_t)best->n};
    struct rest rest = {.use = REST_MEASURE};
    walk(&rest, &kept);
    enum status status = state_new(best->n, 0, rest.at + (n_read + best->n) * sizeof(int32_t), out);
    if (status != STATUS_OK) return status;
    rest = (struct rest){.use = REST_WRITE, .bytes = (*out)->rest, .n = (*out)->n_rest};
    walk(&rest, &kept);
    rest_field(&rest, source->tokens + n_bos, n_read * sizeof(int32_t));
    memcpy((*out)->rest + rest.at, best->tokens, best->n * sizeof(int32_t));
    return STATUS_OK;
}

/* ---- making one ------------------------------------------------------------------------------- */

/* Copy what the encoder is to read. */
static enum status fill_sources(struct translation *t, const struct translation_request *request,
                                struct error *err)
{
    const struct model *model = t->job.model;
    for (size_t i = 0; i < t->n; i++) {
        const struct source *source = &t->sources[i];
        if (source->tokens) {
            input_text(model, request->inputs[i].ids, request->inputs[i].n, source->tokens);
            continue;
        }
        enum status status = input_features(model, request->rows[i].features, source->S, source->features,
                                            err);
        if (status == STATUS_OK) continue;
        const char *field = request->field ? request->field : "input";
        error_prefix(err, "%s", field);
        if (err) snprintf(err->param, sizeof err->param, "%s", field);
        return status;
    }
    return STATUS_OK;
}

/* What all searches of the request have in common. */
static struct search search_of(const struct model *model, const struct translation_request *request)
{
    const size_t V = network_output_size(model->decoder);
    return (struct search){
        .B = request->num_beams, .max_tokens = request->max_tokens, .V = V,
        .state_floats = network_state_floats(model->decoder), .target = model->target,
        .length_penalty = request->length_penalty, .coverage_penalty = request->coverage_penalty,
        .draws = request->temperature > 0,
        .keeps_weights = request->keeps_attention || request->coverage_penalty > 0,
        .streams = request->streams, .seed = request->seed, .n_given = request->n_given,
        .sampler = {.V = V, .temperature = request->temperature, .top_p = request->top_p,
                    .repetition_penalty = 1}};
}

enum status translation_new(struct model *model, const struct translation_request *request,
                            const struct job_options *options, struct translation **out, struct error *err)
{
    static const struct driver driver = {feed, receive, job_sequence_finish};
    enum status status = check(model, request, err);
    if (status == STATUS_OK && options->keeps && model->pad_length)
        return error_set(err, STATUS_UNSUPPORTED, "model '%s' pads its inputs and cannot go on from one",
                         model->name);
    if (status == STATUS_OK && options->keeps && (request->n_inputs > 1 || request->rows))
        status = error_set_param(err, STATUS_BAD_VALUE, "input",
                                 "%zu texts or sentences are given, expected one: a state is that of one",
                                 request->n_inputs);
    if (status != STATUS_OK) return status;
    struct translation plan = {.n = request->n_inputs, .n_best = request->n_best,
                               .shows_attention = request->keeps_attention,
                               .search = search_of(model, request)};
    struct translation *t = NULL;
    void *block;
    job_plan(&plan.job, model, plan.n, plan.n);
    status = job_make(&plan, sizeof plan, lay_out, request, &block, err);
    if (status != STATUS_OK) return status;
    t = block;
    job_init(&t->job, options, &driver);
    t->job._keep = keep;
    if (request->n_given) memcpy(t->given, request->given, request->n_given * sizeof *t->given);
    t->search.given = t->given;
    status = fill_sources(t, request, err);
    if (status != STATUS_OK) {
        job_free(&t->job);
        return status;
    }
    for (size_t i = 0; i < t->n; i++) {
        struct sequence *sequence = &t->job._sequences[i].sequence;
        const size_t S = t->sources[i].S;
        sequence->whole_steps = S;
        sequence->least_steps = S + 1;
        sequence->cost_steps = S + t->search.B * t->search.max_tokens;
    }
    *out = t;
    return STATUS_OK;
}

struct job *translation_job(struct translation *translation)
{
    return &translation->job;
}

/* ---- what was found --------------------------------------------------------------------------- */

const struct translation_result *translation_results(const struct translation *translation, size_t i,
                                                     size_t *n)
{
    const struct beam *b = &translation->sources[i].beam;
    *n = b->n_results < translation->n_best ? b->n_results : translation->n_best;
    return b->results;
}

void translation_written(const struct translation *translation, size_t i, struct translation_text *out)
{
    const struct transcript *t = translation->sources[i].beam.transcript;
    out->has_ended = atomic_load_explicit(&t->finish, memory_order_acquire) != FINISH_NONE;
    out->n = atomic_load_explicit(&t->visible_text, memory_order_acquire);
    out->text = t->text;
}

const uint64_t *translation_seed(const struct translation *translation)
{
    return translation->search.draws ? &translation->search.seed : NULL;
}

const struct model *translation_model(const struct translation *translation)
{
    return translation->job.model;
}

const int32_t *translation_source(const struct translation *translation, size_t i, size_t *n)
{
    *n = translation->sources[i].S;
    return translation->sources[i].tokens;
}

bool translation_attention(const struct translation *t, size_t i, const struct translation_result *result,
                           float *out)
{
    const struct beam *b = &t->sources[i].beam;
    size_t k = result->_last, n = result->n, row = b->S * sizeof *out;
    if (!t->shows_attention) return false;
    if (result->has_ended) memcpy(out + n * b->S, beam_weights(b, &t->search, n, k), row);
    for (; n > 0; n--) {
        k = beam_parent(b, &t->search, n, k);
        memcpy(out + (n - 1) * b->S, beam_weights(b, &t->search, n - 1, k), row);
    }
    return true;
}
