/* One sequence a picture. The pixels that are given are read in turns of several steps, from windows that all
 * pictures share. */
#include "models/generation/drawing.h"

#include <math.h>
#include <string.h>

#include "models/jobs/random.h"
#include "models/jobs/request.h"
#include "models/jobs/job_sequence.h"

struct picture {
    uint8_t *pixels; /* [height, width] */
    float *window;   /* [F] of the pixel that comes next */
    size_t n_done;
    double log_probability;
    struct random random;
};

struct drawing {
    struct job job;
    size_t n, label, n_pixels, n_given, F;
    double temperature;
    float *given;             /* [n_given, F] */
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
    ride->features = left > 0 ? d->given + picture->n_done * d->F : picture->window;
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
    if (picture->n_done == d->n_pixels) return LEAVE;
    if (picture->n_done >= d->n_given) look_at_next(d, picture);
    return STAY;
}

/* ---- a new drawing ------------------------------------------------------------------------------ */

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
    d->given = arena_take(arena, d->n_given, d->F * sizeof *d->given);
    d->pictures = arena_take(arena, d->n, sizeof *d->pictures);
    for (size_t i = 0; i < d->n; i++) {
        struct picture measured, *picture = d->pictures ? &d->pictures[i] : &measured;
        picture->pixels = arena_take(arena, d->n_pixels, sizeof *picture->pixels);
        picture->window = arena_take(arena, d->F, sizeof *picture->window);
    }
}

enum status drawing_new(struct model *model, const struct drawing_request *request,
                        const struct job_options *options, struct drawing **out, struct error *err)
{
    static const struct driver driver = {feed, receive, job_sequence_finish};
    enum status status = check(model, request, err);
    if (status != STATUS_OK) return status;
    const struct drawing_spec *spec = drawing_spec_of(model);
    struct drawing plan = {.n = request->n, .label = request->label, .n_pixels =
                           (size_t)(spec->height * spec->width),
                           .n_given = request->n_given, .F = drawing_inputs(spec, model->n_labels),
                           .temperature = request->temperature};
    void *made;
    job_plan(&plan.job, model, plan.n, plan.n);
    status = job_make(&plan, sizeof plan, lay_out, request, &made, err);
    if (status != STATUS_OK) return status;
    struct drawing *d = made;
    job_init(&d->job, options, &driver);
    for (size_t i = 0; i < d->n; i++) {
        struct picture *picture = &d->pictures[i];
        struct sequence *sequence = &d->job._sequences[i].sequence;
        if (d->n_given) memcpy(picture->pixels, request->given, d->n_given);
        random_init(&picture->random, request->seed, i);
        if (!d->n_given) look_at_next(d, picture);
        sequence->cost_steps = sequence->least_steps = d->n_pixels;
    }
    for (size_t at = 0; at < d->n_given; at++)
        drawing_window(spec, d->pictures[0].pixels, at, d->label, model->n_labels, d->given + at * d->F);
    *out = d;
    return STATUS_OK;
}

struct job *drawing_job(struct drawing *drawing)
{
    return &drawing->job;
}

const uint8_t *drawing_picture(const struct drawing *drawing, size_t i, double *log_probability)
{
    *log_probability = drawing->pictures[i].log_probability;
    return drawing->pictures[i].pixels;
}
