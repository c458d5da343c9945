/* One sequence. Its first turns read the given words; then each turn draws one, among those that keep the
 * form (staff_form.h). */
#include "models/generation/staff.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "models/generation/sampler.h"
#include "models/generation/staff_form.h"
#include "models/jobs/job_sequence.h"
#include "models/jobs/request.h"

enum { LIST_BYTES = 128 };

struct staff {
    struct job job;
    struct sampler sampler;
    struct sampler_scratch scratch;
    struct random random;
    struct staff_form form;
    struct word *words;   /* [V] */
    bool *fillable;       /* [longest + 1] */
    float *logits;        /* [V] those that may be drawn */
    int32_t *tokens;      /* [capacity] the tune */
    struct mark *marks;   /* [capacity] */
    size_t n, n_fed, n_given, n_marks, capacity;
    uint32_t longest;     /* bar, ticks */
    int shift;            /* semitones from the model's tonic to the key's */
    int fifths;           /* of the key, if it is given */
    bool has_key, has_ended;
};

/* ---- the vocabulary ---- */

/* What the words amount to. */
struct census {
    size_t count[N_WORD_KINDS];
    uint32_t longest_bar, shortest_bar, shortest_note; /* ticks */
    uint32_t numbers; /* a bit for each that a bar line has */
};

/* Read all words, to `out` unless it is NULL. STATUS_BAD_VALUE for one that cannot be used. */
static enum status read_words(const struct tokenizer *tokenizer, const struct music_spec *spec,
                              struct word *out,
                              struct census *census, struct error *err)
{
    *census = (struct census){.shortest_bar = UINT32_MAX, .shortest_note = UINT32_MAX};
    for (size_t i = 0; i < tokenizer_size(tokenizer); i++) {
        int32_t id = (int32_t)i;
        size_t bytes;
        struct word word = staff_word(tokenizer, id);
        const char *piece = tokenizer_piece(tokenizer, id, &bytes);
        uint32_t bar = word.kind == WORD_METRE ? staff_bar(&word, (unsigned)spec->steps_per_quarter) : 1;
        bool is_other = word.kind == WORD_OTHER && id != tokenizer_bos(tokenizer) &&
            id != tokenizer_unk(tokenizer);
        bool is_far = word.kind == WORD_NOTE && (word.pitch < STAFF_LOWEST || word.pitch > STAFF_HIGHEST);
        if (is_other || is_far || !bar)
            return error_set(err, STATUS_BAD_VALUE,
                             "token %zu of the vocabulary is '%.*s'; expected a metre of whole ticks such as "
                             "'6x8', a mode, a sign, a bar line from 'b0' to 'b%d', a length such as "
                             "'n12' or 't8', 'z' or a MIDI number from %d to %d", i,
                             (int)(bytes < 20 ? bytes : 20), piece, STAFF_NUMBERS - 1, STAFF_LOWEST,
                             STAFF_HIGHEST);
        census->count[word.kind]++;
        if (word.kind == WORD_METRE && bar > census->longest_bar) census->longest_bar = bar;
        if (word.kind == WORD_METRE && bar < census->shortest_bar) census->shortest_bar = bar;
        if (word.ticks && word.ticks < census->shortest_note) census->shortest_note = word.ticks;
        if (word.kind == WORD_BAR) census->numbers |= UINT32_C(1) << word.number;
        if (out) out[i] = word;
    }
    return STATUS_OK;
}

/* If the token is a metre: whether notes of one length fill its bar. Then sums of lengths fill what is left
 * of it after any note that staff_allows. */
static enum status check_bar(const struct tokenizer *tokenizer, int32_t token, unsigned steps_per_quarter,
                             struct error *err)
{
    struct word metre = staff_word(tokenizer, token);
    if (metre.kind != WORD_METRE) return STATUS_OK;
    uint32_t bar = staff_bar(&metre, steps_per_quarter);
    for (size_t i = 0; i < tokenizer_size(tokenizer); i++) {
        struct word length = staff_word(tokenizer, (int32_t)i);
        if (length.kind == WORD_LENGTH && bar % length.ticks == 0) return STATUS_OK;
    }
    return error_set(err, STATUS_BAD_VALUE, "no length of the vocabulary divides a bar of %d/%d, %u ticks",
                     metre.beats, metre.unit, (unsigned)bar);
}

/* Check that the numbers of the n bar lines are 0 to n - 1, so that one of them may follow any full bar. */
static enum status check_lines(const struct census *census, struct error *err)
{
    size_t n = census->count[WORD_BAR];
    if (n <= STAFF_NUMBERS && census->numbers == UINT32_MAX >> (STAFF_NUMBERS - n)) return STATUS_OK;
    return error_set(err, STATUS_BAD_VALUE,
                     "the vocabulary has %zu bar lines, and their numbers are not those from 0 to %zu; "
                     "expected '|' alone, or 'b0', 'b1' and so on", n, n - 1);
}

enum status staff_check(const struct tokenizer *tokenizer, const struct music_spec *spec, struct error *err)
{
    static const struct {
        enum word_kind kind, other;
        const char *name;
    } needed[] = {{WORD_METRE, WORD_METRE, "a metre such as '6x8'"}, {WORD_MODE, WORD_MODE,
                                                                      "a mode such as 'major'"},
                  {WORD_OPEN, WORD_OPEN, "'['"}, {WORD_BAR, WORD_BAR, "'|' or 'b0'"},
                  {WORD_REPEAT, WORD_CLOSE, "']' or '.'"},
                  {WORD_LENGTH, WORD_LENGTH, "a length such as 'n12'"}, {WORD_NOTE, WORD_NOTE,
                                                                         "a MIDI number"},
                  {WORD_END, WORD_END, "an eos_token"}};
    struct census census;
    enum status status = read_words(tokenizer, spec, NULL, &census, err);
    for (size_t i = 0; i < sizeof needed / sizeof *needed && status == STATUS_OK; i++)
        if (!census.count[needed[i].kind] && !census.count[needed[i].other])
            status = error_set(err, STATUS_BAD_VALUE, "the vocabulary has not %s, which a staff needs",
                               needed[i].name);
    if (status == STATUS_OK && tokenizer_bos(tokenizer) == TOKEN_NONE)
        status = error_set(err, STATUS_BAD_VALUE, "the tokenizer has no bos_token, which begins a tune");
    if (status == STATUS_OK) status = check_lines(&census, err);
    for (size_t i = 0; i < tokenizer_size(tokenizer) && status == STATUS_OK; i++)
        status = check_bar(tokenizer, (int32_t)i, (unsigned)spec->steps_per_quarter, err);
    return status;
}

/* ---- the tune that grows ---- */

static void add(struct staff *s, int32_t token)
{
    const struct word *word = &s->words[token];
    s->tokens[s->n++] = token;
    if (!staff_add(&s->form, word, &s->marks[s->n_marks])) return;
    s->marks[s->n_marks++].pitch = (uint8_t)(word->kind == WORD_NOTE ? word->pitch + s->shift : 0);
}

static int32_t draw(struct staff *s, const float *output)
{
    int32_t first = TOKEN_NONE;
    for (size_t i = 0; i < s->sampler.V; i++) {
        bool is_allowed = staff_allows(&s->form, &s->words[i]);
        s->logits[i] = is_allowed ? output[i] : -INFINITY;
        if (is_allowed && first == TOKEN_NONE) first = (int32_t)i;
    }
    int32_t token = sampler_draw(&s->sampler, s->logits, NULL, NULL, &s->random, &s->scratch);
    return staff_allows(&s->form, &s->words[token]) ? token : first; /* of logits that are all the least */
}

static void feed(struct sequence *sequence, size_t room, struct ride *ride)
{
    const struct staff *s = (struct staff *)((struct job_sequence *)sequence)->job;
    size_t left = s->n - s->n_fed;
    ride->n_steps = left < room ? left : room;
    ride->tokens = s->tokens + s->n_fed;
    ride->tap = TAP_OUTPUT;
    ride->want = left <= room ? WANT_LAST : WANT_NONE;
}

static enum next receive(struct sequence *sequence, struct worker *worker, const struct ride *ride)
{
    (void)worker;
    struct job_sequence *seq = (struct job_sequence *)sequence;
    struct staff *s = (struct staff *)seq->job;
    if (job_sequence_must_leave(seq)) return LEAVE;
    s->n_fed += ride->n_steps;
    if (s->n_fed < s->n) return STAY;
    bool is_full = s->form.n_bars >= s->form.max_bars;
    add(s, draw(s, ride->output));
    s->has_ended = s->form.place == FORM_ENDED && !is_full;
    return s->form.place == FORM_ENDED || s->n == s->capacity ? LEAVE : STAY;
}

/* ---- a new tune ---- */

static int32_t find(const struct staff *s, const struct word *wanted)
{
    for (size_t i = 0; i < s->sampler.V; i++) {
        const struct word *word = &s->words[i];
        if (word->kind == wanted->kind && word->beats == wanted->beats && word->unit == wanted->unit &&
            word->mode == wanted->mode && word->ticks == wanted->ticks && word->pitch == wanted->pitch &&
            word->number == wanted->number)
            return (int32_t)i;
    }
    return TOKEN_NONE;
}

/* The words of a kind, as a sentence lists them; returns out. */
static const char *list(const struct staff *s, enum word_kind kind, char out[LIST_BYTES])
{
    size_t n = 0, bytes;
    *out = 0;
    for (size_t i = 0; i < s->sampler.V && n < LIST_BYTES; i++) {
        if (s->words[i].kind != kind) continue;
        const char *piece = tokenizer_piece(s->job.model->tokenizer, (int32_t)i, &bytes);
        n += (size_t)snprintf(out + n, LIST_BYTES - n, "%s%.*s", n ? ", " : "", (int)bytes, piece);
    }
    for (char *c = out; kind == WORD_METRE && *c; c++)
        if (*c == 'x') *c = '/';
    return out;
}

static enum status add_head(struct staff *s, const struct staff_request *r, struct error *err)
{
    char known[LIST_BYTES];
    const struct word metre = {.kind = WORD_METRE, .beats = (uint8_t)r->beats, .unit = (uint8_t)r->unit},
                      mode = {.kind = WORD_MODE, .mode = r->mode};
    int32_t token = r->beats ? find(s, &metre) : TOKEN_NONE;
    if (r->beats && token == TOKEN_NONE)
        return error_set_param(err, STATUS_BAD_VALUE, "metre",
                               "model '%s' does not know the metre %u/%u; expected %s",
                               s->job.model->name, r->beats, r->unit, list(s, WORD_METRE, known));
    if (r->has_key && find(s, &mode) == TOKEN_NONE)
        return error_set_param(err, STATUS_BAD_VALUE, "key",
                               "model '%s' does not know the mode of this key; expected %s",
                               s->job.model->name, list(s, WORD_MODE, known));
    if (token != TOKEN_NONE) add(s, token);
    if (token != TOKEN_NONE && r->has_key) add(s, find(s, &mode));
    return STATUS_OK;
}

/* Add a word of the prime, which is its item i. */
static enum status add_given(struct staff *s, const struct word *word, size_t i, struct error *err)
{
    int32_t token = find(s, word);
    if (token == TOKEN_NONE)
        return error_set_param(err, STATUS_BAD_VALUE, "prime",
                               "prime: model '%s' does not know the %s of item %zu in this key; expected one "
                               "of its vocabulary", s->job.model->name,
                               word->kind == WORD_NOTE ? "note" : "duration", i);
    if (!staff_allows(&s->form, word))
        return error_set_param(err, STATUS_BAD_VALUE, "prime",
                               "prime: item %zu does not fit in its bar, of which %u of %u ticks are full; "
                               "expected whole bars, triplets of three notes, no more bars than 'bars'", i,
                               (unsigned)s->form.at, (unsigned)s->form.bar);
    add(s, token);
    return STATUS_OK;
}

/* A note or a rest, with the bar line and the length that it needs before it. */
static enum status add_prime_note(struct staff *s, const struct mark *mark, size_t i, struct error *err)
{
    struct word note = {.kind = mark->kind == MARK_REST ? WORD_REST : WORD_NOTE},
                length = {.kind = WORD_LENGTH, .ticks = mark->ticks};
    enum status status = STATUS_OK;
    if (mark->kind == MARK_NOTE) { /* a pitch that cannot be moved is one that the model does not know */
        int pitch = mark->pitch - s->shift;
        note.pitch = (uint8_t)(pitch >= 0 && pitch < 128 ? pitch : 0);
    }
    if (find(s, &length) == TOKEN_NONE) length.kind = WORD_TRIPLET;
    const struct word line = staff_line(&s->form);
    if (s->form.at == s->form.bar) status = add_given(s, &line, i, err);
    bool goes_on = s->form.left ? s->form.triplet == mark->ticks
                                : length.kind == WORD_LENGTH && s->form.length == mark->ticks;
    if (status == STATUS_OK && !goes_on) status = add_given(s, &length, i, err);
    return status == STATUS_OK ? add_given(s, &note, i, err) : status;
}

static enum status add_prime(struct staff *s, const struct staff_request *r, struct error *err)
{
    enum status status = STATUS_OK;
    if (r->n_prime == 0) return STATUS_OK;
    if (!r->beats || !r->has_key)
        return error_set_param(err, STATUS_BAD_VALUE, "prime",
                               "'prime' came without 'metre' or 'key'; expected both beside it, because they "
                               "say how its notes are read");
    status = add_given(s, &(struct word){.kind = WORD_OPEN}, 0, err);
    for (size_t i = 0; i < r->n_prime && status == STATUS_OK; i++) {
        const struct word line = staff_line(&s->form);
        if (r->prime[i].kind == MARK_BAR) status = add_given(s, &line, i, err);
        else status = add_prime_note(s, &r->prime[i], i, err);
    }
    return status;
}

static enum status check(const struct model *model, const struct staff_request *r, struct error *err)
{
    enum status status = request_check_ability(model, ABILITY_COMPOSE, err);
    if (status == STATUS_OK) status = request_check_number("temperature", r->temperature, 0, 100, err);
    if (status == STATUS_OK) status = request_check_number("top_p", r->top_p, 0, 1, err);
    return status;
}

static void lay_out(void *job, const void *request, struct arena *arena)
{
    struct staff *s = job;
    (void)request;
    job_lay_out(&s->job, arena);
    sampler_scratch_take(&s->sampler, arena, &s->scratch);
    s->words = arena_take(arena, s->sampler.V, sizeof *s->words);
    s->fillable = arena_take(arena, (size_t)s->longest + 1, sizeof *s->fillable);
    s->logits = arena_take(arena, s->sampler.V, sizeof *s->logits);
    s->tokens = arena_take(arena, s->capacity, sizeof *s->tokens);
    s->marks = arena_take(arena, s->capacity, sizeof *s->marks);
}

/* Find how long the tune may be: in ticks, and in words, of which a note has two at most and a bar four. */
static enum status measure(struct staff *s, const struct staff_request *r, struct error *err)
{
    const struct music_spec *spec = music_spec_of(s->job.model);
    const struct word metre = {.kind = WORD_METRE, .beats = (uint8_t)r->beats, .unit = (uint8_t)r->unit};
    struct census census;
    enum status status = read_words(s->job.model->tokenizer, spec, NULL, &census, err);
    if (status != STATUS_OK) return status;
    size_t bar = r->beats ? staff_bar(&metre, (unsigned)spec->steps_per_quarter) : census.longest_bar;
    if (bar && r->bars > MUSIC_MAX_STEPS / bar)
        return error_set_param(err, STATUS_TOO_LONG, "bars", "%zu bars have %zu ticks, expected at most %d",
                               r->bars,
                               r->bars * bar, (int)MUSIC_MAX_STEPS);
    s->longest = census.longest_bar;
    s->form.max_bars = r->bars;
    s->form.is_asked = r->bars > 0;
    s->form.n_numbers = census.count[WORD_BAR];
    s->form.max_ticks = (size_t)spec->max_steps;
    s->form.steps_per_quarter = (unsigned)spec->steps_per_quarter;
    size_t ticks = r->bars ? r->bars * s->longest : (size_t)spec->max_steps + s->longest;
    size_t bars = r->bars ? r->bars : ticks / census.shortest_bar + 1;
    s->capacity = 2 * (ticks / census.shortest_note) + 4 * bars + 8;
    return STATUS_OK;
}

static enum status fill_in(struct staff *s, const struct staff_request *r, struct error *err)
{
    const struct tokenizer *tokenizer = s->job.model->tokenizer;
    const struct music_spec *spec = music_spec_of(s->job.model);
    struct census census;
    enum status status = read_words(tokenizer, spec, s->words, &census, err);
    if (status != STATUS_OK) return status;
    staff_fill(s->words, s->sampler.V, s->fillable, s->longest);
    s->form.fillable = s->fillable;
    s->has_key = r->has_key;
    s->fifths = r->fifths;
    /* to the nearest tonic of that name, at most six semitones down and five up */
    if (r->has_key) s->shift = (int)((tune_tonic(r->fifths, r->mode) - spec->tonic % 12 + 18) % 12) - 6;
    s->tokens[s->n++] = tokenizer_bos(tokenizer);
    random_init(&s->random, r->seed, 0);
    status = add_head(s, r, err);
    if (status == STATUS_OK) status = add_prime(s, r, err);
    s->n_given = s->n;
    return status;
}

enum status staff_new(struct model *model, const struct staff_request *request,
                      const struct job_options *options,
                      struct staff **out, struct error *err)
{
    static const struct driver driver = {feed, receive, job_sequence_finish};
    enum status status = check(model, request, err);
    if (status != STATUS_OK) return status;
    struct staff plan = {.sampler = {.V = tokenizer_size(model->tokenizer), .temperature =
        request->temperature,
                                     .top_p = request->top_p, .repetition_penalty = 1}};
    job_plan(&plan.job, model, 1, 1);
    status = measure(&plan, request, err);
    if (status != STATUS_OK) return status;
    void *made;
    status = job_make(&plan, sizeof plan, lay_out, request, &made, err);
    if (status != STATUS_OK) return status;
    struct staff *s = made;
    status = fill_in(s, request, err);
    if (status != STATUS_OK) {
        job_release(s);
        return status;
    }
    job_init(&s->job, options, &driver);
    struct sequence *sequence = &s->job._sequences[0].sequence;
    sequence->cost_steps = s->capacity;
    sequence->least_steps = s->n_given;
    *out = s;
    return STATUS_OK;
}

struct job *staff_job(struct staff *staff)
{
    return &staff->job;
}

const struct mark *staff_marks(const struct staff *staff, size_t *n, bool *has_ended)
{
    *n = staff->n_marks;
    *has_ended = staff->has_ended;
    return staff->marks;
}

void staff_style(const struct staff *staff, struct tune *tune)
{
    long tonic = music_spec_of(staff->job.model)->tonic % 12;
    tune->beats = staff->form.metre.beats;
    tune->unit = staff->form.metre.unit;
    tune->mode = staff->form.mode;
    tune->fifths = staff->has_key ? staff->fifths : tune_signature((int)tonic, staff->form.mode);
}

size_t staff_n_read(const struct staff *staff)
{
    return staff->n_given;
}

size_t staff_n_drawn(const struct staff *staff)
{
    return staff->n - staff->n_given;
}
