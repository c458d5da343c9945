/* Classification: one rider an input, one output at its end. */
#include "models/classification.h"

#include <string.h>

#include "core/memory.h"
#include "models/logits.h"
#include "models/request.h"
#include "models/rider.h"
#include "models/steps.h"

struct classification {
    struct job job;
    size_t n;
    struct steps *steps; /* [n] */
    float *scores;       /* [n, n_labels] */
};

static void lay_out(struct classification *c, const struct classification_input *inputs,
                    struct arena *arena)
{
    const struct model *model = c->job.model;
    job_lay_out(&c->job, arena);
    c->steps = arena_take(arena, c->n, sizeof *c->steps);
    c->scores = arena_take(arena, c->n, network_output_size(model->network) * sizeof *c->scores);
    for (size_t i = 0; i < c->n; i++) {
        struct steps measured;
        steps_lay_out(c->steps ? &c->steps[i] : &measured, model, &inputs[i], arena);
    }
}

static enum status fill_in(struct classification *c, const struct classification_input *inputs,
                           struct error *err)
{
    for (size_t i = 0; i < c->n; i++) {
        char field[ERROR_PARAM_BYTES];
        request_field(field, "input", i, c->n);
        enum status status = steps_fill(&c->steps[i], c->job.model, &inputs[i], field, err);
        if (status != STATUS_OK) return status;
    }
    return STATUS_OK;
}

static struct classification *classification_of(const struct rider *rider)
{
    return (struct classification *)rider->job;
}

static void feed(struct sequence *sequence, size_t room, struct ride *ride)
{
    const struct rider *rider = (struct rider *)sequence;
    const struct steps *steps = &classification_of(rider)->steps[rider->index];
    steps_feed(steps, sequence->network, room, LOOK_LAST, ride);
}

static enum verdict take(struct sequence *sequence, struct worker *worker, const struct ride *ride)
{
    (void)worker;
    struct rider *rider = (struct rider *)sequence;
    struct classification *c = classification_of(rider);
    if (rider_must_leave(rider)) return LEAVE;
    if (!steps_take(&c->steps[rider->index], ride)) return RIDE_ON;
    const size_t n_labels = network_output_size(sequence->network);
    logits_softmax(ride->output, n_labels, c->scores + rider->index * n_labels);
    return LEAVE;
}

enum status classification_new(struct model *model, const struct classification_input *inputs,
                               size_t n, size_t max_whole_steps,
                               const struct job_options *options, struct classification **out,
                               struct error *err)
{
    static const struct driver driver = {feed, take, rider_finish};
    const unsigned tasks = 1u << TASK_TEXT_CLASSIFICATION | 1u << TASK_SEQUENCE_CLASSIFICATION;
    enum status status = request_check_task(model, tasks, "classification", err);
    if (status == STATUS_OK) status = steps_check(model, inputs, n, max_whole_steps, err);
    if (status != STATUS_OK) return status;
    struct classification plan = {.n = n};
    job_plan(&plan.job, model, n, n);
    struct arena arena = {0};
    (void)arena_take(&arena, 1, sizeof plan);
    lay_out(&plan, inputs, &arena);
    status = job_allocate(&arena, err);
    if (status != STATUS_OK) return status;
    struct classification *c = arena_take(&arena, 1, sizeof *c);
    memcpy(c, &plan, sizeof *c);
    lay_out(c, inputs, &arena);
    status = fill_in(c, inputs, err);
    if (status != STATUS_OK) {
        job_release(c);
        return status;
    }
    job_init(&c->job, options, &driver);
    for (size_t i = 0; i < n; i++) {
        struct sequence *sequence = &c->job._riders[i].sequence;
        sequence->cost_steps = sequence->least_steps = c->steps[i].n;
    }
    *out = c;
    return STATUS_OK;
}

struct job *classification_job(struct classification *classification)
{
    return &classification->job;
}

const float *classification_scores(const struct classification *classification)
{
    return classification->scores;
}
