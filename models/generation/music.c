/* One sequence. Its first turns read the given tokens. Then each turn draws one token, which is read together
 * with those that need not be drawn, such as the melody's next note. */
#include "models/generation/music.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "models/generation/sampler.h"
#include "models/jobs/request.h"
#include "models/jobs/rest.h"
#include "models/jobs/job_sequence.h"

enum { PITCHES = 128, NO_NOTE = -1, STOP_NOTE = -2 };

struct music {
    struct job job;
    struct sampler sampler;
    struct sampler_scratch scratch;
    struct random random;
    int32_t stop, eos;          /* tokens; eos may be TOKEN_NONE */
    int32_t token_of[PITCHES];  /* or TOKEN_NONE */
    int16_t *note_of;           /* [V] the pitch, NO_NOTE or STOP_NOTE */
    float *logits;              /* [V] those that may be drawn */
    int32_t *tokens;            /* [capacity] the tune */
    size_t n, n_fed, n_given;
    struct music_step *steps;   /* [total + 1] those that are done, then the current one */
    size_t n_steps, total, n_prime, n_melody;
    int16_t *melody;            /* [n_melody] */
    unsigned voices;
    bool ends_itself, has_ended;
    uint64_t seed, step;        /* step: of options->from */
};

const struct music_spec *music_spec_of(const struct model *model)
{
    return model->spec;
}

/* ---- the vocabulary ---------------------------------------------------------------------------- */

static int note_of(const struct tokenizer *tokenizer, int32_t id)
{
    size_t bytes;
    int note = 0;
    const char *piece = tokenizer_piece(tokenizer, id, &bytes);
    if (bytes == 1 && *piece == '.') return STOP_NOTE;
    if (bytes < 1 || bytes > 3 || (bytes > 1 && *piece == '0')) return NO_NOTE;
    for (size_t i = 0; i < bytes; i++) {
        if (piece[i] < '0' || piece[i] > '9') return NO_NOTE;
        note = note * 10 + (piece[i] - '0');
    }
    return note < PITCHES ? note : NO_NOTE;
}

enum status music_check(const struct tokenizer *tokenizer, struct error *err)
{
    size_t n_stops = 0, n_notes = 0, V = tokenizer_size(tokenizer), bytes;
    for (size_t i = 0; i < V; i++) {
        int32_t id = (int32_t)i;
        int note = note_of(tokenizer, id);
        n_stops += note == STOP_NOTE;
        n_notes += note >= 0;
        if (note != NO_NOTE || id == tokenizer_bos(tokenizer) || id == tokenizer_eos(tokenizer) ||
            id == tokenizer_unk(tokenizer))
            continue;
        const char *piece = tokenizer_piece(tokenizer, id, &bytes);
        return error_set(err, STATUS_BAD_VALUE,
                         "token %zu of the vocabulary is '%.*s'; expected a MIDI number from 0 to 127, "
                         "'.' for the end of a step, or a special token", i,
                         (int)(bytes < 20 ? bytes : 20), piece);
    }
    if (n_stops == 1 && n_notes > 0 && tokenizer_bos(tokenizer) != TOKEN_NONE) return STATUS_OK;
    return error_set(err, STATUS_BAD_VALUE,
                     "the vocabulary has %zu notes, %zu tokens '.' and %s bos_token; expected notes, "
                     "one '.', and a bos_token, which begins a tune", n_notes, n_stops,
                     tokenizer_bos(tokenizer) == TOKEN_NONE ? "no" : "a");
}

bool music_has_pitch(const struct model *model, int pitch)
{
    for (size_t i = 0; pitch >= 0 && i < tokenizer_size(model->tokenizer); i++)
        if (note_of(model->tokenizer, (int32_t)i) == pitch) return true;
    return false;
}

/* ---- the tune that grows ------------------------------------------------------------------------ */

static struct music_step *current(struct music *m)
{
    return &m->steps[m->n_steps];
}

static void add(struct music *m, int32_t token)
{
    int note = m->note_of[token];
    m->tokens[m->n++] = token;
    if (note >= 0) current(m)->pitches[current(m)->n++] = (uint8_t)note;
    if (note == STOP_NOTE) m->n_steps++;
}

/* Add what is given at the place that the tune has reached: the melody's notes, and its rests. */
static void add_given(struct music *m)
{
    while (m->n_steps < m->total && current(m)->n == 0) {
        size_t at = m->n_steps - m->n_prime;
        if (at >= m->n_melody) return;
        if (m->melody[at] != MUSIC_REST) {
            add(m, m->token_of[m->melody[at]]);
            return;
        }
        add(m, m->stop);
    }
}

static bool may_follow(const struct music *m, int32_t token)
{
    const struct music_step *step = &m->steps[m->n_steps];
    int note = m->note_of[token];
    if (token == m->eos) return m->ends_itself && step->n == 0;
    if (note == STOP_NOTE) return true;
    return note >= 0 && step->n < m->voices && (step->n == 0 || note < step->pitches[step->n - 1]);
}

static int32_t draw(struct music *m, const float *output)
{
    for (size_t i = 0; i < m->sampler.V; i++)
        m->logits[i] = may_follow(m, (int32_t)i) ? output[i] : -INFINITY;
    int32_t token = sampler_draw(&m->sampler, m->logits, NULL, NULL, &m->random, &m->scratch);
    return may_follow(m, token) ? token : m->stop; /* of logits that are all the least */
}

static void feed(struct sequence *sequence, size_t room, struct ride *ride)
{
    const struct music *m = (struct music *)((struct job_sequence *)sequence)->job;
    size_t left = m->n - m->n_fed;
    ride->n_steps = left < room ? left : room;
    ride->tokens = m->tokens + m->n_fed;
    ride->tap = TAP_OUTPUT;
    ride->want = left <= room ? WANT_LAST : WANT_NONE;
}

static enum next receive(struct sequence *sequence, struct worker *worker, const struct ride *ride)
{
    (void)worker;
    struct job_sequence *seq = (struct job_sequence *)sequence;
    struct music *m = (struct music *)seq->job;
    if (job_sequence_must_leave(seq)) return LEAVE;
    m->n_fed += ride->n_steps;
    if (m->n_fed < m->n) return STAY;
    int32_t token = draw(m, ride->output);
    m->has_ended = token == m->eos;
    if (m->has_ended) return LEAVE;
    add(m, token);
    add_given(m);
    return m->n_steps < m->total ? STAY : LEAVE;
}

/* ---- what is kept ------------------------------------------------------------------------------- */

/* A tune between two steps: the tokens that the network has not read yet, which are the end of the last step
 * and the rests of a melody after it. */
struct kept {
    uint64_t seed;
    uint32_t has_ended, n;
    struct random random;
};

static void walk(struct rest *rest, struct kept *kept)
{
    struct random *random = &kept->random;
    uint32_t n_left = random->n_left;
    rest_field(rest, &kept->seed, sizeof kept->seed);
    rest_field(rest, &kept->has_ended, sizeof kept->has_ended);
    rest_field(rest, random->key, sizeof random->key);
    rest_field(rest, random->counter, sizeof random->counter);
    rest_field(rest, random->block, sizeof random->block);
    rest_field(rest, &n_left, sizeof n_left);
    rest_field(rest, &kept->n, sizeof kept->n);
    random->n_left = n_left;
}

/* false if this model did not write it. Its tokens stand behind what is read, kept->n of them. */
static bool read_kept(const struct model *model, const struct state *state, struct kept *kept,
                      const unsigned char **tokens)
{
    struct rest rest = {.use = REST_READ, .bytes = state->rest, .n = state->n_rest};
    *kept = (struct kept){0};
    walk(&rest, kept);
    bool good = !rest.failed && kept->has_ended <= 1 && kept->random.n_left <= 2 && kept->n >= 1 &&
                kept->n <= MUSIC_MAX_STEPS + 1 && rest.n - rest.at == kept->n * sizeof(int32_t);
    for (size_t i = 0; good && i < kept->n; i++) {
        int32_t token;
        memcpy(&token, state->rest + rest.at + i * sizeof token, sizeof token);
        good = token >= 0 && (size_t)token < tokenizer_size(model->tokenizer);
    }
    *tokens = state->rest + rest.at;
    return good;
}

uint64_t music_kept_seed(const struct state *state)
{
    struct rest rest = {.use = REST_READ, .bytes = state->rest, .n = state->n_rest};
    struct kept kept = {0};
    walk(&rest, &kept);
    return kept.seed;
}

static enum status keep(struct job *job, struct state **out)
{
    const struct music *m = (const struct music *)job;
    struct kept kept = {.seed = m->seed, .has_ended = m->has_ended, .n = (uint32_t)(m->n - m->n_fed),
                        .random = m->random};
    if (m->has_ended) kept.n = 1; /* one that nothing reads */
    struct rest rest = {.use = REST_MEASURE};
    walk(&rest, &kept);
    size_t n_floats = network_state_floats(job->model->network), tokens = kept.n * sizeof *m->tokens;
    enum status status = state_new(m->step + m->n_fed, n_floats, rest.at + tokens, out);
    if (status != STATUS_OK) return status;
    memcpy((*out)->floats, job->_sequences[0].sequence.state, n_floats * sizeof(float));
    rest = (struct rest){.use = REST_WRITE, .bytes = (*out)->rest, .n = (*out)->n_rest};
    walk(&rest, &kept);
    memcpy((*out)->rest + rest.at, m->tokens + m->n - kept.n, tokens);
    return STATUS_OK;
}

/* ---- a new tune --------------------------------------------------------------------------------- */

static enum status check_pitch(const struct model *model, const char *field, size_t i, int pitch,
                               struct error *err)
{
    if (music_has_pitch(model, pitch)) return STATUS_OK;
    return error_set_param(err, STATUS_BAD_VALUE, field,
                           "%s: step %zu has the note %d, which model '%s' does not know; expected "
                           "notes from lowest_note to highest_note of GET /v1/models/%s", field, i, pitch,
                           model->name, model->name);
}

static enum status check(const struct model *model, const struct music_request *r, struct error *err)
{
    enum status status = request_check_ability(model, ABILITY_COMPOSE, err);
    if (status == STATUS_OK) status = request_check_number("temperature", r->temperature, 0, 100, err);
    if (status == STATUS_OK) status = request_check_number("top_p", r->top_p, 0, 1, err);
    if (status != STATUS_OK) return status;
    const size_t given = r->n_prime + r->n_melody;
    if (given > MUSIC_MAX_STEPS || r->n_steps > MUSIC_MAX_STEPS)
        return error_set_param(err, STATUS_TOO_LONG, r->n_steps > MUSIC_MAX_STEPS ? "bars" : "melody",
                               "the tune has %zu steps, expected at most %d",
                               given > r->n_steps ? given : r->n_steps, (int)MUSIC_MAX_STEPS);
    for (size_t i = 0; i < r->n_prime && status == STATUS_OK; i++) {
        const struct music_step *step = &r->prime[i];
        if ((long)step->n > music_spec_of(model)->voices)
            return error_set_param(err, STATUS_BAD_VALUE, "prime",
                                   "prime: step %zu has %u notes, expected at most %ld",
                                   i, step->n, music_spec_of(model)->voices);
        for (size_t k = 0; k < step->n && status == STATUS_OK; k++)
            status = check_pitch(model, "prime", i, step->pitches[k], err);
    }
    for (size_t i = 0; i < r->n_melody && status == STATUS_OK; i++)
        if (r->melody[i] != MUSIC_REST) status = check_pitch(model, "melody", i, r->melody[i], err);
    return status;
}

static void lay_out(void *job, const void *request, struct arena *arena)
{
    struct music *m = job;
    (void)request;
    job_lay_out(&m->job, arena);
    sampler_scratch_take(&m->sampler, arena, &m->scratch);
    m->note_of = arena_take(arena, m->sampler.V, sizeof *m->note_of);
    m->logits = arena_take(arena, m->sampler.V, sizeof *m->logits);
    m->tokens = arena_take(arena, m->total * (m->voices + 1) + 2 + m->n, sizeof *m->tokens);
    m->steps = arena_take(arena, m->total + 1, sizeof *m->steps);
    m->melody = arena_take(arena, m->n_melody + 1, sizeof *m->melody);
}

static void fill_in(struct music *m, const struct music_request *r, const struct state *from)
{
    struct kept kept;
    const unsigned char *tokens;
    const struct tokenizer *tokenizer = m->job.model->tokenizer;
    for (size_t i = 0; i < PITCHES; i++) m->token_of[i] = TOKEN_NONE;
    for (size_t i = 0; i < m->sampler.V; i++) {
        int note = note_of(tokenizer, (int32_t)i);
        m->note_of[i] = (int16_t)note;
        if (note >= 0) m->token_of[note] = (int32_t)i;
        if (note == STOP_NOTE) m->stop = (int32_t)i;
    }
    m->eos = tokenizer_eos(tokenizer);
    random_init(&m->random, r->seed, 0);
    m->n = 0;
    if (from) {
        (void)read_kept(m->job.model, from, &kept, &tokens); /* it was checked */
        memcpy(m->tokens, tokens, kept.n * sizeof *m->tokens);
        m->n = kept.n;
        if (kept.seed == m->seed) m->random = kept.random;
    } else m->tokens[m->n++] = tokenizer_bos(tokenizer);
    if (r->n_melody) memcpy(m->melody, r->melody, r->n_melody * sizeof *m->melody);
    for (size_t i = 0; i < r->n_prime; i++) {
        for (size_t k = 0; k < r->prime[i].n; k++) add(m, m->token_of[r->prime[i].pitches[k]]);
        add(m, m->stop);
    }
    add_given(m);
    m->n_given = m->n;
}

static enum status check_state(const struct model *model, const struct job_options *options, size_t *n_kept,
                               struct error *err)
{
    struct kept kept = {0};
    const unsigned char *tokens;
    enum status status = request_check_state(model, options, "model", 1, err);
    if (status != STATUS_OK) return status;
    if (options->from && !read_kept(model, options->from, &kept, &tokens))
        return error_set(err, STATUS_BAD_VALUE,
                         "the state is not one that this model wrote: expected a state of the same model");
    *n_kept = kept.n;
    if (!kept.has_ended) return STATUS_OK;
    return error_set(err, STATUS_BAD_VALUE,
                     "the tune of the state has ended; expected one whose finish_reason was 'length'");
}

enum status music_new(struct model *model, const struct music_request *request,
                      const struct job_options *options, struct music **out, struct error *err)
{
    static const struct driver driver = {feed, receive, job_sequence_finish};
    size_t n_kept = 0;
    enum status status = check(model, request, err);
    if (status == STATUS_OK) status = check_state(model, options, &n_kept, err);
    if (status != STATUS_OK) return status;
    const struct music_spec *spec = music_spec_of(model);
    struct music plan = {
        .sampler = {.V = tokenizer_size(model->tokenizer), .temperature = request->temperature,
                    .top_p = request->top_p, .repetition_penalty = 1},
        .n_prime = request->n_prime, .n_melody = request->n_melody, .voices = (unsigned)spec->voices,
        .ends_itself = request->n_steps == 0 && request->n_melody == 0,
        .n = n_kept, .seed = request->seed, .step = options->from ? options->from->step : 0,
    };
    size_t given = request->n_prime + request->n_melody;
    size_t most = given > request->n_steps ? given : request->n_steps;
    plan.total = plan.ends_itself ? request->n_prime + (size_t)spec->max_steps : most;
    job_plan(&plan.job, model, 1, 1);
    void *made;
    status = job_make(&plan, sizeof plan, lay_out, request, &made, err);
    if (status != STATUS_OK) return status;
    struct music *m = made;
    fill_in(m, request, options->from);
    if (m->n_steps >= m->total) { /* a prime of the whole length, or nothing but rests */
        job_release(m);
        return error_set_param(err, STATUS_BAD_VALUE, request->n_melody ? "melody" : "bars",
                               "all %zu steps are given, and there is nothing to write; expected "
                               "more steps than the prime has, or a melody with a note", plan.total);
    }
    job_init(&m->job, options, &driver);
    m->job._keep = keep;
    struct sequence *sequence = &m->job._sequences[0].sequence;
    sequence->cost_steps = m->n_given + (m->total - m->n_steps) * (m->voices + 1);
    sequence->least_steps = m->n_given;
    *out = m;
    return STATUS_OK;
}

struct job *music_job(struct music *music)
{
    return &music->job;
}

const struct music_step *music_steps(const struct music *music, size_t *n, bool *has_ended)
{
    *n = music->n_steps;
    *has_ended = music->has_ended;
    return music->steps;
}

size_t music_n_read(const struct music *music)
{
    return music->n_given;
}

size_t music_n_drawn(const struct music *music)
{
    return music->n - music->n_given + music->has_ended;
}

/* ---- voices ------------------------------------------------------------------------------------- */

/* Give each voice a note of the step, from high to low, each note to one voice or more. Bit v of `moves` says
 * that voice v + 1 has the next note. Return how far the voices move, in semitones. */
static int lead(const struct music_step *step, unsigned voices, unsigned moves, const int *before, int *now)
{
    unsigned at = 0;
    int sum = 0;
    for (unsigned v = 0; v < voices; v++) {
        if (v > 0) at += moves >> (v - 1) & 1;
        now[v] = step->pitches[at];
        if (before[v] >= 0) sum += abs(now[v] - before[v]);
    }
    return sum;
}

static unsigned bits(unsigned x)
{
    unsigned n = 0;
    for (; x; x &= x - 1) n++;
    return n;
}

static void lead_best(const struct music_step *step, unsigned voices, int *voice)
{
    int best[TUNE_MAX_VOICES] = {0}, now[TUNE_MAX_VOICES], least = -1;
    for (unsigned moves = 0; moves < 1u << (voices - 1); moves++) {
        if (bits(moves) + 1 != step->n) continue;
        int sum = lead(step, voices, moves, voice, now);
        if (least >= 0 && sum >= least) continue;
        least = sum;
        memcpy(best, now, sizeof best);
    }
    for (unsigned v = 0; v < voices; v++) voice[v] = step->n ? best[v] : MUSIC_REST;
}

size_t music_notes(const struct music_step *steps, size_t n, unsigned voices, bool holds,
                   struct tune_note *out)
{
    size_t count[TUNE_MAX_VOICES] = {0}, total = 0;
    int voice[TUNE_MAX_VOICES];
    for (unsigned v = 0; v < voices; v++) voice[v] = MUSIC_REST;
    for (size_t i = 0; i < n; i++) {
        lead_best(&steps[i], voices, voice);
        for (unsigned v = 0; v < voices && voice[v] != MUSIC_REST; v++) {
            struct tune_note *own = out + v * n, *last = own + (count[v] ? count[v] - 1 : 0);
            bool follows = holds && count[v] && last->pitch == voice[v] && last->start + last->duration == i;
            if (follows) last->duration++;
            else own[count[v]++] = (struct tune_note){(uint8_t)voice[v], (uint8_t)v, (uint32_t)i, 1};
        }
    }
    for (unsigned v = 0; v < voices; v++) {
        memmove(out + total, out + v * n, count[v] * sizeof *out);
        total += count[v];
    }
    return total;
}
