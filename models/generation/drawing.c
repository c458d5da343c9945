/* One sequence a picture. The pixels that are given are read in turns of several steps, from windows that all
 * pictures share. */
#include "models/generation/drawing.h"

#include <math.h>
#include <stdatomic.h>
#include <string.h>

#include "models/jobs/random.h"
#include "models/jobs/request.h"
#include "models/jobs/rest.h"
#include "models/jobs/job_sequence.h"

struct picture {
    uint8_t *pixels; /* [height, width] */
    float *window;   /* [F] of the pixel that comes next */
    size_t n_done;
    atomic_size_t n_rows; /* whole ones, which another thread may read */
    double log_probability;
    struct random random;
};

struct drawing {
    struct job job;
    size_t n, label, n_pixels, n_begun, n_given, n_wanted, F; /* of each picture's pixels: in all, those of
                                                                * `from`, and given, and in the end */
    double temperature;
    uint64_t seed;
    bool streams;
    float *given;             /* [n_given - n_begun, F] */
    struct picture *pictures; /* [n] */
};

const struct drawing_spec *drawing_spec_of(const struct model *model)
{
    return model->spec;
}

size_t drawing_inputs(const struct drawing_spec *spec, size_t n_labels)
{
    return (size_t)(spec->above * (2 * spec->beside + 1) + spec->left) + 2 + n_labels;
}

static float ink(const struct drawing_spec *spec, const uint8_t *pixels, long y, long x)
{
    return y >= 0 && x >= 0 && x < spec->width ? pixels[y * spec->width + x] : 0;
}

void drawing_window(const struct drawing_spec *spec, const uint8_t *pixels, size_t at, size_t label,
                    size_t n_labels,
                    float *out)
{
    const long y = (long)at / spec->width, x = (long)at % spec->width;
    for (long dy = spec->above; dy >= 1; dy--)
        for (long dx = -spec->beside; dx <= spec->beside; dx++) *out++ = ink(spec, pixels, y - dy, x + dx);
    for (long dx = -spec->left; dx < 0; dx++) *out++ = ink(spec, pixels, y, x + dx);
    *out++ = spec->height > 1 ? (float)y / (float)(spec->height - 1) : 0;
    *out++ = spec->width > 1 ? (float)x / (float)(spec->width - 1) : 0;
    for (size_t i = 0; i < n_labels; i++) *out++ = i == label;
}

static void look_at_next(const struct drawing *d, struct picture *picture)
{
    const struct model *model = d->job.model;
    drawing_window(drawing_spec_of(model), picture->pixels, picture->n_done, d->label, model->n_labels,
                   picture->window);
}

/* ---- the driver --------------------------------------------------------------------------------- */

static void feed(struct sequence *sequence, size_t room, struct ride *ride)
{
    const struct job_sequence *seq = (struct job_sequence *)sequence;
    const struct drawing *d = (struct drawing *)seq->job;
    const struct picture *picture = &d->pictures[seq->index];
    size_t left = d->n_given > picture->n_done ? d->n_given - picture->n_done : 0;
    ride->n_steps = left > room ? room : left > 0 ? left : 1;
    ride->features = left > 0 ? d->given + (picture->n_done - d->n_begun) * d->F : picture->window;
    ride->tap = TAP_OUTPUT;
    ride->want = WANT_ALL;
}

/* ln p of a pixel of that logit, without overflow: -ln(1 + exp(-z)) of ink, -ln(1 + exp(z)) of paper. */
static double log_probability(double logit, bool is_ink)
{
    double z = is_ink ? -logit : logit;
    return z > 0 ? -z - log1p(exp(-z)) : -log1p(exp(z));
}

static bool draw(const struct drawing *d, struct picture *picture, double logit)
{
    if (d->temperature < 1e-6) return logit > 0;
    return random_uniform(&picture->random) < 1 / (1 + exp(-logit / d->temperature));
}

/* Publish the rows that have become whole. */
static void tell(const struct drawing *d, struct picture *picture)
{
    const size_t n_rows = picture->n_done / (size_t)drawing_spec_of(d->job.model)->width;
    if (n_rows == atomic_load_explicit(&picture->n_rows, memory_order_relaxed)) return;
    atomic_store_explicit(&picture->n_rows, n_rows, memory_order_release);
    const struct job_observer *observer = &d->job.options.observer;
    if (d->streams && observer->progress) observer->progress(observer->context);
}

static enum next receive(struct sequence *sequence, struct worker *worker, const struct ride *ride)
{
    (void)worker;
    struct job_sequence *seq = (struct job_sequence *)sequence;
    const struct drawing *d = (struct drawing *)seq->job;
    struct picture *picture = &d->pictures[seq->index];
    if (job_sequence_must_leave(seq)) return LEAVE;
    for (size_t i = 0; i < ride->n_outputs; i++) {
        double logit = (double)ride->output[i];
        uint8_t *pixel = &picture->pixels[picture->n_done];
        if (picture->n_done >= d->n_given) *pixel = draw(d, picture, logit);
        picture->log_probability += log_probability(logit, *pixel);
        picture->n_done++;
    }
    tell(d, picture);
    if (picture->n_done == d->n_wanted) return LEAVE;
    if (picture->n_done >= d->n_given) look_at_next(d, picture);
    return STAY;
}

/* ---- what is kept --------------------------------------------------------------------------------- */

/* A picture that is not whole. */
struct kept {
    uint64_t label, n_done, seed;
    double log_probability;
    struct random random;
};

static void walk(struct rest *rest, struct kept *kept, uint8_t *pixels)
{
    struct random *random = &kept->random;
    uint32_t n_left = random->n_left;
    rest_field(rest, &kept->label, sizeof kept->label);
    rest_field(rest, &kept->n_done, sizeof kept->n_done);
    rest_field(rest, &kept->seed, sizeof kept->seed);
    rest_field(rest, &kept->log_probability, sizeof kept->log_probability);
    rest_field(rest, random->key, sizeof random->key);
    rest_field(rest, random->counter, sizeof random->counter);
    rest_field(rest, random->block, sizeof random->block);
    rest_field(rest, &n_left, sizeof n_left);
    random->n_left = n_left;
    if (pixels) rest_field(rest, pixels, (size_t)kept->n_done);
}

/* Read what is kept, and its pixels unless that is NULL; false if this model did not write it. */
static bool read_kept(const struct model *model, const struct state *state, struct kept *kept,
                      uint8_t *pixels)
{
    struct rest rest = {.use = REST_READ, .bytes = state->rest, .n = state->n_rest};
    const struct drawing_spec *spec = drawing_spec_of(model);
    *kept = (struct kept){0};
    walk(&rest, kept, NULL);
    bool good = !rest.failed && rest.n - rest.at == kept->n_done && kept->n_done == state->step &&
                kept->label < model->n_labels &&
                kept->n_done <= (uint64_t)(spec->height * spec->width) && kept->random.n_left <= 2;
    for (size_t i = 0; good && i < kept->n_done; i++) {
        if (pixels) pixels[i] = state->rest[rest.at + i];
        good = state->rest[rest.at + i] <= 1;
    }
    return good;
}

void drawing_kept(const struct state *state, size_t *label, uint64_t *seed)
{
    struct rest rest = {.use = REST_READ, .bytes = state->rest, .n = state->n_rest};
    struct kept kept = {0};
    walk(&rest, &kept, NULL);
    *label = (size_t)kept.label;
    *seed = kept.seed;
}

static enum status keep(struct job *job, struct state **out)
{
    const struct drawing *d = (const struct drawing *)job;
    struct picture *picture = &d->pictures[0];
    struct kept kept = {.label = d->label, .n_done = picture->n_done, .seed = d->seed,
                        .log_probability = picture->log_probability, .random = picture->random};
    struct rest rest = {.use = REST_MEASURE};
    walk(&rest, &kept, picture->pixels);
    size_t n_floats = network_state_floats(job->model->network);
    enum status status = state_new(picture->n_done, n_floats, rest.at, out);
    if (status != STATUS_OK) return status;
    memcpy((*out)->floats, job->_sequences[0].sequence.state, n_floats * sizeof(float));
    rest = (struct rest){.use = REST_WRITE, .bytes = (*out)->rest, .n = (*out)->n_rest};
    walk(&rest, &kept, picture->pixels);
    return STATUS_OK;
}

/* ---- a new drawing ------------------------------------------------------------------------------ */

/* What a state and the request say of one picture. */
static enum status check_state(const struct model *model, const struct drawing_request *r,
                               const struct job_options *options, struct error *err)
{
    const struct drawing_spec *spec = drawing_spec_of(model);
    const size_t wanted = (r->n_rows ? r->n_rows : (size_t)spec->height) * (size_t)spec->width;
    struct kept kept = {0};
    enum status status = request_check_state(model, options, "n", options->keeps ? r->n : 1, err);
    if (status != STATUS_OK) return status;
    if (options->from && !read_kept(model, options->from, &kept, NULL))
        return error_set(err, STATUS_BAD_VALUE,
                         "the state is not one that this model wrote: expected a state of the same model");
    if (options->from && r->label != kept.label)
        return error_set_param(err, STATUS_BAD_VALUE, "prompt",
                               "the state is of a picture of '%s'; expected that 'prompt', or none",
                               model->labels[kept.label]);
    if (options->from && r->n_given)
        return error_set_param(err, STATUS_BAD_VALUE, "complete",
                               "the picture of the state has its upper part already; leave 'complete' out");
    if (r->n_rows > (size_t)spec->height || r->n_given > wanted || (options->from && kept.n_done >= wanted))
        return error_set_param(err, STATUS_BAD_VALUE, "rows",
                               "%zu rows are to stand in the end, and %zu stand or are given; expected at "
                               "most %ld, and more than stand", wanted / (size_t)spec->width,
                               (size_t)(options->from ? kept.n_done : r->n_given) / (size_t)spec->width,
                               spec->height);
    return STATUS_OK;
}

static enum status check(const struct model *model, const struct drawing_request *r, struct error *err)
{
    enum status status = request_check_ability(model, ABILITY_DRAW, err);
    if (status == STATUS_OK) status = request_check_number("temperature", r->temperature, 0, 100, err);
    if (status == STATUS_OK) status = request_check_number("n", (double)r->n, 1, DRAWING_MAX_PICTURES, err);
    if (status != STATUS_OK) return status;
    const struct drawing_spec *spec = drawing_spec_of(model);
    if (r->label >= model->n_labels)
        return error_set_param(err, STATUS_BAD_VALUE, "prompt", "label %zu, expected 0 to %zu", r->label,
                               model->n_labels - 1);
    if (r->n_given <= (size_t)(spec->height * spec->width)) return STATUS_OK;
    return error_set_param(err, STATUS_BAD_VALUE, "complete", "complete: %zu pixels, expected at most %ld",
                           r->n_given,
                           spec->height * spec->width);
}

static void lay_out(void *job, const void *request, struct arena *arena)
{
    struct drawing *d = job;
    (void)request;
    job_lay_out(&d->job, arena);
    d->given = arena_take(arena, d->n_given - d->n_begun, d->F * sizeof *d->given);
    d->pictures = arena_take(arena, d->n, sizeof *d->pictures);
    for (size_t i = 0; i < d->n; i++) {
        struct picture measured, *picture = d->pictures ? &d->pictures[i] : &measured;
        picture->pixels = arena_take(arena, d->n_pixels, sizeof *picture->pixels);
        picture->window = arena_take(arena, d->F, sizeof *picture->window);
    }
}

/* Picture `i` of those that go on from one state; the first one goes on with its draws, too. */
static void begin_from(const struct drawing *d, struct picture *picture, const struct state *from, size_t i)
{
    struct kept kept;
    (void)read_kept(d->job.model, from, &kept, picture->pixels); /* it was checked */
    picture->n_done = (size_t)kept.n_done;
    picture->log_probability = kept.log_probability;
    if (i == 0 && kept.seed == d->seed) picture->random = kept.random;
}

enum status drawing_new(struct model *model, const struct drawing_request *request,
                        const struct job_options *options, struct drawing **out, struct error *err)
{
    static const struct driver driver = {feed, receive, job_sequence_finish};
    const struct state *from = options->from;
    enum status status = check(model, request, err);
    if (status == STATUS_OK) status = check_state(model, request, options, err);
    if (status != STATUS_OK) return status;
    const struct drawing_spec *spec = drawing_spec_of(model);
    const size_t n_begun = from ? (size_t)from->step : 0;
    struct drawing plan = {.n = request->n, .label = request->label,
                           .n_pixels = (size_t)(spec->height * spec->width), .n_begun = n_begun,
                           .n_given = from ? n_begun : request->n_given,
                           .F = drawing_inputs(spec, model->n_labels),
                           .temperature = request->temperature, .seed = request->seed,
                           .streams = request->streams};
    plan.n_wanted = request->n_rows ? request->n_rows * (size_t)spec->width : plan.n_pixels;
    void *made;
    job_plan(&plan.job, model, plan.n, plan.n);
    status = job_make(&plan, sizeof plan, lay_out, request, &made, err);
    if (status != STATUS_OK) return status;
    struct drawing *d = made;
    job_init(&d->job, options, &driver);
    d->job._keep = keep;
    for (size_t i = 0; i < d->n; i++) {
        struct picture *picture = &d->pictures[i];
        struct sequence *sequence = &d->job._sequences[i].sequence;
        random_init(&picture->random, request->seed, i);
        if (from) begin_from(d, picture, from, i);
        else if (d->n_given) memcpy(picture->pixels, request->given, d->n_given);
        atomic_init(&picture->n_rows, picture->n_done / (size_t)spec->width);
        if (d->n_given == picture->n_done) look_at_next(d, picture);
        sequence->cost_steps = sequence->least_steps = d->n_wanted - d->n_begun;
    }
    for (size_t at = d->n_begun; at < d->n_given; at++)
        drawing_window(spec, d->pictures[0].pixels, at, d->label, model->n_labels,
                       d->given + (at - d->n_begun) * d->F);
    *out = d;
    return STATUS_OK;
}

struct job *drawing_job(struct drawing *drawing)
{
    return &drawing->job;
}

const uint8_t *drawing_picture(const struct drawing *drawing, size_t i)
{
    return drawing->pictures[i].pixels;
}

double drawing_log_probability(const struct drawing *drawing, size_t i)
{
    return drawing->pictures[i].log_probability;
}

size_t drawing_rows(const struct drawing *drawing, size_t i)
{
    return atomic_load_explicit(&drawing->pictures[i].n_rows, memory_order_acquire);
}
