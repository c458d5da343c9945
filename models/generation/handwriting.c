/* One sequence: through the encoder, then a point at a time through the decoder. */
#include "models/generation/handwriting.h"

#include <math.h>
#include <string.h>

#include "models/bundle/input.h"
#include "models/jobs/random.h"
#include "models/jobs/request.h"
#include "models/jobs/job_sequence.h"

/* What a network can give is cut to these, far beyond what a trained one gives, so that sums stay finite. */
#define MAX_MEAN 1e4
#define MIN_LOG_DEVIATION (-20.0)
#define MAX_LOG_DEVIATION 8.0

struct handwriting {
    struct job job;
    int32_t *text;            /* [U] */
    size_t U, n_read, M;
    float *rows;              /* [U, outputs of the encoder] */
    float *state;             /* of the decoder */
    float *weights;           /* [U] of the rows in the last step */
    struct memory memory;
    float input[HANDWRITING_INPUTS];
    struct pen_point *points; /* [room] */
    size_t n, room, n_at_end;
    double bias;
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
    if (sequence->network == h->job.model->network) {
        size_t left = h->U - h->n_read;
        ride->n_steps = left < room ? left : room;
        ride->tokens = h->text + h->n_read;
        ride->want = WANT_ALL;
        return;
    }
    ride->n_steps = 1;
    ride->features = h->input;
    ride->state = h->state;
    ride->memory = &h->memory;
    ride->want = WANT_LAST;
}

static enum next read_text(struct handwriting *h, struct sequence *sequence, const struct ride *ride)
{
    const size_t width = network_output_size(sequence->network);
    memcpy(h->rows + h->n_read * width, ride->output, ride->n_steps * width * sizeof *h->rows);
    h->n_read += ride->n_steps;
    if (h->n_read < h->U) return STAY;
    coder_begin(h->job.model, sequence->state, h->state);
    sequence->network = h->job.model->decoder;
    return STAY;
}

static size_t greatest(const float *x, size_t n)
{
    size_t at = 0;
    for (size_t i = 1; i < n; i++)
        if (x[i] > x[at]) at = i;
    return at;
}

static enum next receive(struct sequence *sequence, struct worker *worker, const struct ride *ride)
{
    struct job_sequence *seq = (struct job_sequence *)sequence;
    struct handwriting *h = (struct handwriting *)seq->job;
    (void)worker;
    if (job_sequence_must_leave(seq)) return LEAVE;
    if (sequence->network == h->job.model->network) return read_text(h, sequence, ride);
    double dx, dy;
    bool ends;
    handwriting_draw(ride->output, h->M, h->bias, &h->random, &dx, &dy, &ends);
    const size_t row = greatest(h->weights, h->U);
    const struct pen_point *before = h->n ? &h->points[h->n - 1] : NULL;
    h->points[h->n++] = (struct pen_point){.x = before ? before->x + dx : 0, .y = before ? before->y + dy : 0,
                                           .ends_stroke = ends, .row = (uint32_t)row};
    h->input[0] = (float)dx;
    h->input[1] = (float)dy;
    h->input[2] = ends;
    h->n_at_end = row == h->U - 1 ? h->n_at_end + 1 : 0;
    h->has_ended = h->n_at_end > 0 && (ends || h->n_at_end > HANDWRITING_PATIENCE);
    return h->has_ended || h->n == h->room ? LEAVE : STAY;
}

/* ---- a new text --------------------------------------------------------------------------------- */

static enum status check(const struct model *model, const struct handwriting_request *r, struct error *err)
{
    enum status status = request_check_ability(model, ABILITY_WRITE, err);
    if (status == STATUS_OK) status = request_check_number("bias", r->bias, 0, HANDWRITING_MAX_BIAS, err);
    if (status == STATUS_OK)
        status = request_check_tokens("input", &r->text, network_vocabulary_size(model->network), err);
    if (status == STATUS_OK && r->text.n < 1)
        return error_set_param(err, STATUS_BAD_VALUE, "input",
                               "input is empty, expected at least one character");
    if (status != STATUS_OK) return status;
    const size_t U = input_text_steps(model, r->text.n);
    const size_t most = HANDWRITING_MAX_POINTS / (size_t)handwriting_spec_of(model)->points_per_character;
    if (U > most)
        return error_set_param(err, STATUS_TOO_LONG, "input",
                               "input has %zu characters, expected at most %zu of model '%s': send a few "
                               "lines at a time", U, most, model->name);
    return request_check_length("input", model, U, r->max_whole_steps, err);
}

static void lay_out(void *job, const void *request, struct arena *arena)
{
    struct handwriting *h = job;
    const struct model *model = h->job.model;
    (void)request;
    job_lay_out(&h->job, arena);
    h->text = arena_take(arena, h->U, sizeof *h->text);
    h->rows = arena_take(arena, h->U, network_output_size(model->network) * sizeof *h->rows);
    h->state = arena_take(arena, 1, network_state_floats(model->decoder) * sizeof *h->state);
    h->weights = arena_take(arena, h->U, sizeof *h->weights);
    h->memory.derived = arena_take(arena, h->U, network_memory_floats(model->decoder) * sizeof(float));
    h->points = arena_take(arena, h->room, sizeof *h->points);
}

enum status handwriting_new(struct model *model, const struct handwriting_request *request,
                            const struct job_options *options, struct handwriting **out, struct error *err)
{
    static const struct driver driver = {feed, receive, job_sequence_finish};
    enum status status = check(model, request, err);
    if (status != STATUS_OK) return status;
    struct handwriting plan = {.U = input_text_steps(model, request->text.n), .bias = request->bias,
                               .M = handwriting_mixtures(network_output_size(model->decoder)),
                               .input = {0, 0, 1}};
    plan.room = plan.U * (size_t)handwriting_spec_of(model)->points_per_character;
    job_plan(&plan.job, model, 1, 1);
    void *made;
    status = job_make(&plan, sizeof plan, lay_out, request, &made, err);
    if (status != STATUS_OK) return status;
    struct handwriting *h = made;
    job_init(&h->job, options, &driver);
    input_text(model, request->text.ids, request->text.n, h->text);
    h->memory.rows = h->rows;
    h->memory.S = h->U;
    h->memory.weights = h->weights;
    random_init(&h->random, request->seed, 0);
    struct sequence *sequence = &h->job._sequences[0].sequence;
    sequence->whole_steps = network_is_whole(model->network) ? h->U : 0;
    sequence->least_steps = h->U + 1;
    sequence->cost_steps = h->U + h->room;
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
    return handwriting->U;
}
