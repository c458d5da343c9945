/* One sequence: through the encoder, then through the decoder, which reads the points that are given and goes
 * on with a point at a time. If the model writes the sample of a style itself, it goes this way twice. */
#include "models/generation/handwriting.h"

#include <math.h>
#include <string.h>

#include "core/base/memory.h"
#include "models/bundle/input.h"
#include "models/jobs/random.h"
#include "models/jobs/request.h"
#include "models/jobs/job_sequence.h"

/* What a network can give is cut to these, far beyond what a trained one gives, so that sums stay finite. */
#define MAX_MEAN 1e4
#define MIN_LOG_DEVIATION (-20.0)
#define MAX_LOG_DEVIATION 8.0

/* What is written: first the sample of a style, if the model writes it; then the page. */
enum page_part { SAMPLE, PAGE, N_PARTS };

struct handwriting {
    struct job job;
    enum page_part now;
    int32_t *texts[N_PARTS];  /* [U] of each; the page's begins with the style's and a space */
    size_t U[N_PARTS];        /* 0: there is no such part */
    size_t room[N_PARTS];     /* points */
    size_t n_before;             /* rows of the page that are the style's */
    size_t n_read, M;
    float *rows;                 /* [most U, outputs of the encoder] */
    float *state;                /* of the decoder */
    float *weights;              /* [most U] of the rows in the last step */
    struct memory memory;
    float *given;                /* [n_given, HANDWRITING_INPUTS] points to read before any is drawn */
    size_t n_given, n_followed;
    float input[HANDWRITING_INPUTS];
    struct pen_point *points;    /* [room of the page] */
    size_t n, n_at_end;
    double bias;
    uint64_t seed;
    bool has_ended;
    struct random random;
};

const struct handwriting_spec *handwriting_spec_of(const struct model *model)
{
    return model->spec;
}

size_t handwriting_mixtures(size_t outputs)
{
    return outputs > 1 && (outputs - 1) % 6 == 0 ? (outputs - 1) / 6 : 0;
}

/* ---- one point ---------------------------------------------------------------------------------- */

static double cut(double x, double low, double high)
{
    return x >= low ? (x <= high ? x : high) : low; /* low of what is no number */
}

static double mean(float given)
{
    return cut((double)given, -MAX_MEAN, MAX_MEAN);
}

static double deviation(float given, double bias)
{
    return exp(cut((double)given, MIN_LOG_DEVIATION, MAX_LOG_DEVIATION) - bias);
}

/* The component that a draw falls on. */
static size_t choose(const float *logits, size_t M, double bias, double u)
{
    double most = -INFINITY, sum = 0, passed = 0;
    for (size_t i = 0; i < M; i++) most = fmax(most, (double)logits[i]);
    for (size_t i = 0; i < M; i++) sum += exp((1 + bias) * ((double)logits[i] - most));
    for (size_t i = 0; i + 1 < M; i++) {
        passed += exp((1 + bias) * ((double)logits[i] - most));
        if (u * sum < passed) return i;
    }
    return M - 1;
}

void handwriting_draw(const float *output, size_t M, double bias, struct random *random, double *dx,
                      double *dy, bool *ends)
{
    const float *mixture = output + 1;
    *ends = random_uniform(random) < 1 / (1 + exp(-(double)output[0]));
    const size_t i = choose(mixture, M, bias, random_uniform(random));
    const double x = random_normal(random), y = random_normal(random);
    const double rho = cut(tanh((double)mixture[5 * M + i]), -1, 1);
    *dx = mean(mixture[M + i]) + deviation(mixture[3 * M + i], bias) * x;
    *dy = mean(mixture[2 * M + i]) +
          deviation(mixture[4 * M + i], bias) * (rho * x + sqrt(1 - rho * rho) * y);
}

/* ---- the driver --------------------------------------------------------------------------------- */

static void feed(struct sequence *sequence, size_t room, struct ride *ride)
{
    struct handwriting *h = (struct handwriting *)((struct job_sequence *)sequence)->job;
    const bool reads_text = sequence->network == h->job.model->network;
    size_t left = reads_text ? h->U[h->now] - h->n_read : h->n_given - h->n_followed;
    ride->n_steps = left < room ? left : room;
    if (reads_text) {
        ride->tokens = h->texts[h->now] + h->n_read;
        ride->want = WANT_ALL;
        return;
    }
    ride->features = h->given + h->n_followed * HANDWRITING_INPUTS;
    if (!left) { /* what was drawn last */
        ride->n_steps = 1;
        ride->features = h->input;
    }
    ride->state = h->state;
    ride->memory = &h->memory;
    ride->want = left > room ? WANT_NONE : WANT_LAST;
}

static void read_text(struct handwriting *h, struct sequence *sequence, const struct ride *ride)
{
    const size_t width = network_output_size(sequence->network);
    memcpy(h->rows + h->n_read * width, ride->output, ride->n_steps * width * sizeof *h->rows);
    h->n_read += ride->n_steps;
    if (h->n_read < h->U[h->now]) return;
    coder_begin(h->job.model, sequence->state, h->state);
    sequence->network = h->job.model->decoder;
}

/* The sample is written: read it, and write the page. */
static void turn_to_page(struct handwriting *h, struct sequence *sequence)
{
    const struct network *encoder = h->job.model->network;
    h->given[h->n_given * HANDWRITING_INPUTS - 1] = 1; /* a hand lifts the pen before the next word */
    h->now = PAGE;
    h->n_read = h->n_followed = h->n_at_end = h->n = 0;
    h->memory.S = h->U[PAGE];
    random_init(&h->random, h->seed, 0);
    memset(sequence->state, 0, network_state_floats(encoder) * sizeof *sequence->state);
    sequence->network = encoder;
    sequence->whole_steps = network_is_whole(encoder) ? h->U[PAGE] : 0;
}

static size_t greatest(const float *x, size_t n)
{
    size_t at = 0;
    for (size_t i = 1; i < n; i++)
        if (x[i] > x[at]) at = i;
    return at;
}

/* Draw the next point, unless the text is written: the pen is lifted, and the window at the end. The page's
 * points are kept, the sample's are given to the page. */
static void draw(struct handwriting *h, const float *output)
{
    double dx, dy;
    bool ends;
    const double bias = h->now == PAGE ? h->bias : handwriting_spec_of(h->job.model)->bias;
    const size_t row = greatest(h->weights, h->U[h->now]), last = h->U[h->now] - 1;
    h->has_ended = h->n > 0 && h->input[2] > 0 && row == last;
    if (h->has_ended) return;
    handwriting_draw(output, h->M, bias, &h->random, &dx, &dy, &ends);
    h->input[0] = (float)dx;
    h->input[1] = (float)dy;
    h->input[2] = ends;
    if (h->now == PAGE) {
        const struct pen_point *before = h->n ? &h->points[h->n - 1] : NULL;
        h->points[h->n] = (struct pen_point){
            .x = before ? before->x + dx : 0, .y = before ? before->y + dy : 0, .ends_stroke = ends,
            .row = (uint32_t)(row < h->n_before ? 0 : row - h->n_before)};
    } else
        memcpy(h->given + h->n_given++ * HANDWRITING_INPUTS, h->input, sizeof h->input);
    h->n++;
    h->n_at_end = row == last ? h->n_at_end + 1 : 0;
    h->has_ended = h->n_at_end > HANDWRITING_PATIENCE;
}

static enum next receive(struct sequence *sequence, struct worker *worker, const struct ride *ride)
{
    struct job_sequence *seq = (struct job_sequence *)sequence;
    struct handwriting *h = (struct handwriting *)seq->job;
    (void)worker;
    if (job_sequence_must_leave(seq)) return LEAVE;
    if (sequence->network == h->job.model->network) {
        read_text(h, sequence, ride);
        return STAY;
    }
    if (h->n_followed < h->n_given) h->n_followed += ride->n_steps;
    if (!ride->n_outputs) return STAY;
    draw(h, ride->output);
    if (!h->has_ended && h->n < h->room[h->now]) return STAY;
    if (h->now == PAGE) return LEAVE;
    turn_to_page(h, sequence);
    return STAY;
}

/* ---- a new text --------------------------------------------------------------------------------- */

static enum status check_style(const struct model *model, const struct handwriting_style *style,
                               struct error *err)
{
    if (!style->text.n && style->n)
        return error_set_param(err, STATUS_BAD_VALUE, "style", "style has strokes and no text; expected the "
                               "text that they write");
    if (style->n > HANDWRITING_MAX_STYLE_POINTS)
        return error_set_param(err, STATUS_TOO_LONG, "style", "style has %zu points, expected at most %d",
                               style->n, (int)HANDWRITING_MAX_STYLE_POINTS);
    return request_check_tokens("style", &style->text, network_vocabulary_size(model->network), err);
}

static enum status check(const struct model *model, const struct handwriting_request *r, struct error *err)
{
    enum status status = request_check_ability(model, ABILITY_WRITE, err);
    if (status == STATUS_OK) status = request_check_number("bias", r->bias, 0, HANDWRITING_MAX_BIAS, err);
    if (status == STATUS_OK)
        status = request_check_tokens("input", &r->text, network_vocabulary_size(model->network), err);
    if (status == STATUS_OK && r->text.n < 1)
        return error_set_param(err, STATUS_BAD_VALUE, "input",
                               "input is empty, expected at least one character");
    if (status == STATUS_OK) status = check_style(model, &r->style, err);
    return status;
}

static enum status check_length(const struct handwriting *h, size_t max_whole_steps, struct error *err)
{
    const struct model *model = h->job.model;
    const size_t most = HANDWRITING_MAX_POINTS / (size_t)handwriting_spec_of(model)->points_per_character;
    if (h->U[PAGE] > most)
        return error_set_param(err, STATUS_TOO_LONG, "input",
                               "input has %zu characters, those of the style included; expected at most %zu "
                               "of model '%s': send a few lines at a time", h->U[PAGE], most, model->name);
    return request_check_length("input", model, h->U[PAGE], max_whole_steps, err);
}

/* The token of a space; TOKEN_NONE if the model has none. */
static int32_t space_of(const struct model *model)
{
    for (int32_t id = 0; (size_t)id < tokenizer_size(model->tokenizer); id++) {
        size_t bytes;
        const char *piece = tokenizer_piece(model->tokenizer, id, &bytes);
        if (bytes == 1 && *piece == ' ') return id;
    }
    return TOKEN_NONE;
}

static size_t larger(size_t a, size_t b)
{
    return a > b ? a : b;
}

static void lay_out(void *job, const void *request, struct arena *arena)
{
    struct handwriting *h = job;
    const struct model *model = h->job.model;
    const size_t most = larger(h->U[SAMPLE], h->U[PAGE]);
    (void)request;
    job_lay_out(&h->job, arena);
    for (size_t i = 0; i < N_PARTS; i++) h->texts[i] = arena_take(arena, h->U[i], sizeof *h->texts[i]);
    h->rows = arena_take(arena, most, network_output_size(model->network) * sizeof *h->rows);
    h->state = arena_take(arena, 1, network_state_floats(model->decoder) * sizeof *h->state);
    h->weights = arena_take(arena, most, sizeof *h->weights);
    h->memory.derived = arena_take(arena, most, network_memory_floats(model->decoder) * sizeof(float));
    h->given = arena_take(arena, h->n_given + h->room[SAMPLE], HANDWRITING_INPUTS * sizeof *h->given);
    h->points = arena_take(arena, h->room[PAGE], sizeof *h->points);
}

/* Sizes of all that depends on the texts. */
static void measure(struct handwriting *h, const struct handwriting_request *request, bool has_space)
{
    const struct model *model = h->job.model;
    const struct handwriting_style *style = &request->style;
    const size_t each = (size_t)handwriting_spec_of(model)->points_per_character;
    h->n_before = style->text.n ? style->text.n + has_space : 0;
    h->U[PAGE] = input_text_steps(model, h->n_before + request->text.n);
    h->room[PAGE] = input_text_steps(model, request->text.n) * each;
    h->n_given = 1 + style->n;
    if (!style->text.n || style->points) return;
    h->now = SAMPLE;
    h->U[SAMPLE] = input_text_steps(model, style->text.n);
    h->room[SAMPLE] = h->U[SAMPLE] * each;
}

/* Write the texts, and the points to read. */
static enum status fill_in(struct handwriting *h, const struct handwriting_request *request, int32_t space)
{
    const struct handwriting_style *style = &request->style;
    int32_t *ids = memory_new(h->n_before + request->text.n, sizeof *ids);
    if (!ids) return STATUS_NO_MEMORY;
    if (h->n_before) {
        memcpy(ids, style->text.ids, style->text.n * sizeof *ids);
        ids[h->n_before - 1] = h->n_before > style->text.n ? space : ids[h->n_before - 1];
    }
    memcpy(ids + h->n_before, request->text.ids, request->text.n * sizeof *ids);
    input_text(h->job.model, ids, h->n_before + request->text.n, h->texts[PAGE]);
    if (h->U[SAMPLE]) input_text(h->job.model, ids, style->text.n, h->texts[SAMPLE]);
    memory_free(ids);
    h->given[HANDWRITING_INPUTS - 1] = 1;
    if (style->n) memcpy(h->given + HANDWRITING_INPUTS, style->points, style->n * sizeof h->input);
    return STATUS_OK;
}

enum status handwriting_new(struct model *model, const struct handwriting_request *request,
                            const struct job_options *options, struct handwriting **out, struct error *err)
{
    static const struct driver driver = {feed, receive, job_sequence_finish};
    enum status status = check(model, request, err);
    if (status != STATUS_OK) return status;
    struct handwriting plan = {.now = PAGE, .bias = request->bias, .seed = request->seed,
                               .M = handwriting_mixtures(network_output_size(model->decoder))};
    const int32_t space = space_of(model);
    job_plan(&plan.job, model, 1, 1);
    measure(&plan, request, space != TOKEN_NONE);
    status = check_length(&plan, request->max_whole_steps, err);
    if (status != STATUS_OK) return status;
    void *made;
    status = job_make(&plan, sizeof plan, lay_out, request, &made, err);
    if (status != STATUS_OK) return status;
    struct handwriting *h = made;
    if (fill_in(h, request, space) != STATUS_OK) {
        job_release(h);
        return error_set(err, STATUS_NO_MEMORY, "no memory for the request");
    }
    job_init(&h->job, options, &driver);
    h->memory.rows = h->rows;
    h->memory.S = h->U[h->now];
    h->memory.weights = h->weights;
    random_init(&h->random, h->now == SAMPLE ? request->style.seed : h->seed, h->now == SAMPLE);
    struct sequence *sequence = &h->job._sequences[0].sequence;
    sequence->whole_steps = network_is_whole(model->network) ? h->U[h->now] : 0;
    sequence->least_steps = h->U[SAMPLE] + h->U[PAGE] + h->n_given;
    sequence->cost_steps = sequence->least_steps + 2 * h->room[SAMPLE] + h->room[PAGE];
    *out = h;
    return STATUS_OK;
}

struct job *handwriting_job(struct handwriting *handwriting)
{
    return &handwriting->job;
}

const struct pen_point *handwriting_points(const struct handwriting *handwriting, size_t *n, bool *has_ended)
{
    *n = handwriting->n;
    *has_ended = handwriting->has_ended;
    return handwriting->points;
}

size_t handwriting_n_read(const struct handwriting *handwriting)
{
    return handwriting->U[PAGE];
}
