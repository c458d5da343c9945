/* Embedding: one rider an input, the hidden vectors that enter the head. A mean is summed in double,
 * step by step, so that it does not depend on how the sequence was cut into rides. */
#include "models/embedding.h"

#include <string.h>

#include "core/memory.h"
#include "models/request.h"
#include "models/rider.h"
#include "models/steps.h"

struct embedding {
    struct job job;
    size_t n;
    bool means;          /* over all steps; else the vector that comes last */
    struct steps *steps; /* [n] */
    double *sums;        /* [n, hidden_size], for means */
    float *vectors;      /* [n, hidden_size] */
};

static void lay_out(struct embedding *e, const struct classification_input *inputs,
                    struct arena *arena)
{
    const struct model *model = e->job.model;
    const size_t H = network_hidden_size(model->network);
    job_lay_out(&e->job, arena);
    e->steps = arena_take(arena, e->n, sizeof *e->steps);
    if (e->means) e->sums = arena_take(arena, e->n, H * sizeof *e->sums);
    e->vectors = arena_take(arena, e->n, H * sizeof *e->vectors);
    for (size_t i = 0; i < e->n; i++) {
        struct steps measured;
        steps_lay_out(e->steps ? &e->steps[i] : &measured, model, &inputs[i], arena);
    }
}

static enum status fill_in(struct embedding *e, const struct classification_input *inputs,
                           struct error *err)
{
    for (size_t i = 0; i < e->n; i++) {
        char field[ERROR_PARAM_BYTES];
        request_field(field, "input", i, e->n);
        enum status status = steps_fill(&e->steps[i], e->job.model, &inputs[i], field, err);
        if (status != STATUS_OK) return status;
    }
    return STATUS_OK;
}

static struct embedding *embedding_of(const struct rider *rider)
{
    return (struct embedding *)rider->job;
}

static void feed(struct sequence *sequence, size_t room, struct ride *ride)
{
    const struct rider *rider = (struct rider *)sequence;
    const struct embedding *e = embedding_of(rider);
    steps_feed(&e->steps[rider->index], sequence->network, room, e->means ? LOOK_ALL : LOOK_LAST,
               ride);
    ride->tap = TAP_HIDDEN;
}

static enum verdict take(struct sequence *sequence, struct worker *worker, const struct ride *ride)
{
    (void)worker;
    struct rider *rider = (struct rider *)sequence;
    struct embedding *e = embedding_of(rider);
    if (rider_must_leave(rider)) return LEAVE;
    const size_t H = network_hidden_size(sequence->network);
    struct steps *steps = &e->steps[rider->index];
    float *vector = e->vectors + rider->index * H;
    bool is_last = steps_take(steps, ride);
    if (e->means) {
        double *sum = e->sums + rider->index * H;
        for (size_t t = 0; t < ride->n_outputs; t++)
            for (size_t i = 0; i < H; i++) sum[i] += (double)ride->output[t * H + i];
        for (size_t i = 0; i < H && is_last; i++) vector[i] = (float)(sum[i] / (double)steps->n);
    } else if (is_last) {
        memcpy(vector, ride->output, H * sizeof *vector);
    }
    return is_last ? LEAVE : RIDE_ON;
}

enum status embedding_new(struct model *model, const struct classification_input *inputs, size_t n,
                          enum embedding_pooling pooling, size_t max_whole_steps,
                          const struct job_options *options, struct embedding **out,
                          struct error *err)
{
    static const struct driver driver = {feed, take, rider_finish};
    const unsigned tasks = 1u << TASK_TEXT_GENERATION | 1u << TASK_TEXT_CLASSIFICATION |
                           1u << TASK_SEQUENCE_CLASSIFICATION;
    enum status status = request_check_task(model, tasks, "embeddings", err);
    if (status == STATUS_OK) status = steps_check(model, inputs, n, max_whole_steps, err);
    if (status != STATUS_OK) return status;
    struct embedding plan = {
        .n = n, .means = pooling == EMBEDDING_MEAN && !network_has_pooling(model->network)};
    job_plan(&plan.job, model, n, n);
    struct arena arena = {0};
    (void)arena_take(&arena, 1, sizeof plan);
    lay_out(&plan, inputs, &arena);
    status = job_allocate(&arena, err);
    if (status != STATUS_OK) return status;
    struct embedding *e = arena_take(&arena, 1, sizeof *e);
    memcpy(e, &plan, sizeof *e);
    lay_out(e, inputs, &arena);
    status = fill_in(e, inputs, err);
    if (status != STATUS_OK) {
        job_release(e);
        return status;
    }
    job_init(&e->job, options, &driver);
    for (size_t i = 0; i < n; i++) {
        struct sequence *sequence = &e->job._riders[i].sequence;
        sequence->cost_steps = sequence->least_steps = e->steps[i].n;
    }
    *out = e;
    return STATUS_OK;
}

struct job *embedding_job(struct embedding *embedding)
{
    return &embedding->job;
}

const float *embedding_vectors(const struct embedding *embedding)
{
    return embedding->vectors;
}
