/* Reading: one sequence an input. */
#include "models/jobs/reading.h"

#include <stdio.h>
#include <string.h>

#include "core/base/memory.h"
#include "models/jobs/request.h"
#include "models/jobs/job_sequence.h"
#include "models/jobs/rest.h"

struct item {
    struct steps steps;
    size_t n_fed, n_rows;
    float *rows; /* [n_rows, width] */
    double *sum; /* [width], for a mean */
};

struct reading {
    struct job job;
    struct reading_want want;
    size_t n;
    struct item *items; /* [n] */
    float *rows;        /* [sum of n_rows, width] */
    size_t snapshot_bytes; /* of a state that is kept before an eos or open steps; 0: not so */
    size_t n_open;         /* if so: how many steps follow it, at least 1 */
    float *snapshot;
    bool had_bos;       /* it goes on from a state that has the bos behind it */
    uint64_t step;      /* once finished: of the state that is kept */
};

static const char *field_of(const struct reading_want *want)
{
    return want->field ? want->field : "input";
}

static bool reads_tokens(const struct model *model)
{
    return network_input_size(model->network) == 0;
}

static size_t length(const struct model *model, const struct input *input)
{
    return reads_tokens(model) ? input_text_steps(model, input->tokens.n) : input->n_steps;
}

/* ---- what a request asks for ---- */

static enum status check_one(const struct model *model, const struct input *input, const char *field,
                             size_t max_whole_steps, struct error *err)
{
    size_t given = reads_tokens(model) ? input->tokens.n : input->n_steps;
    if (given < 1 || (!reads_tokens(model) && !input->features))
        return error_set_param(err, STATUS_BAD_VALUE, field, "%s is empty, expected at least one %s",
                               field, reads_tokens(model) ? "token" : "step");
    if (reads_tokens(model)) {
        enum status status = request_check_tokens(field, &input->tokens,
                                                  network_vocabulary_size(model->network), err);
        if (status != STATUS_OK) return status;
    }
    return request_check_length(field, model, length(model, input), max_whole_steps, err);
}

static enum status check(const struct model *model, const struct input *inputs, size_t n,
                         const struct reading_want *want, size_t max_whole_steps, struct error *err)
{
    enum status status = request_check_ability(model, want->ability, err);
    if (status != STATUS_OK) return status;
    if (n < 1)
        return error_set_param(err, STATUS_BAD_VALUE, field_of(want), "no input, expected at least one");
    for (size_t i = 0; i < n && status == STATUS_OK; i++) {
        char field[ERROR_PARAM_BYTES];
        request_field(field, field_of(want), i, n);
        status = check_one(model, &inputs[i], field, max_whole_steps, err);
    }
    return status;
}

/* ---- memory ---- */

static void lay_out(void *job, const void *request, struct arena *arena)
{
    struct reading *r = job;
    const struct input *inputs = request;
    const struct model *model = r->job.model;
    const size_t input_size = network_input_size(model->network), width = r->want.width;
    size_t n_rows = 0;
    job_lay_out(&r->job, arena);
    r->items = arena_take(arena, r->n, sizeof *r->items);
    for (size_t i = 0; i < r->n; i++) {
        struct item measured, *item = r->items ? &r->items[i] : &measured;
        size_t n = length(model, &inputs[i]);
        item->steps.n = n;
        item->n_rows = r->want.rows == READING_ALL ? n : 1;
        if (reads_tokens(model)) item->steps.tokens = arena_take(arena, n, sizeof *item->steps.tokens);
        else item->steps.features = arena_take(arena, n, input_size * sizeof *item->steps.features);
        if (r->want.rows == READING_MEAN) item->sum = arena_take(arena, width, sizeof *item->sum);
        n_rows += item->n_rows;
    }
    r->rows = arena_take(arena, n_rows, width * sizeof *r->rows);
    if (r->snapshot_bytes) r->snapshot = arena_take(arena, 1, r->snapshot_bytes);
    float *rows = r->rows;
    for (size_t i = 0; r->items && i < r->n; i++) {
        r->items[i].rows = rows;
        rows += r->items[i].n_rows * width;
    }
}

/* Give *err the name of the input that is at fault. */
static enum status fill_in(struct reading *r, const struct input *inputs, struct error *err)
{
    const struct model *model = r->job.model;
    for (size_t i = 0; i < r->n; i++) {
        struct steps *steps = &r->items[i].steps;
        char field[ERROR_PARAM_BYTES];
        if (steps->tokens) {
            input_text(model, inputs[i].tokens.ids, inputs[i].tokens.n, steps->tokens);
            continue;
        }
        enum status status = input_features(model, inputs[i].features, steps->n, steps->features, err);
        if (status == STATUS_OK) continue;
        error_prefix(err, "%s", request_field(field, field_of(&r->want), i, r->n));
        if (err) snprintf(err->param, sizeof err->param, "%s", field);
        return status;
    }
    return STATUS_OK;
}

/* ---- the driver ---- */

static struct item *item_of(const struct job_sequence *seq)
{
    return &((struct reading *)seq->job)->items[seq->index];
}

static void feed(struct sequence *sequence, size_t room, struct ride *ride)
{
    const struct job_sequence *seq = (struct job_sequence *)sequence;
    const struct reading *r = (struct reading *)seq->job;
    const struct reading_want *want = &r->want;
    const struct item *item = item_of(seq);
    const struct steps *steps = &item->steps;
    size_t left = steps->n - item->n_fed;
    if (r->snapshot && left > r->n_open && left - r->n_open < room) room = left - r->n_open;
    if (r->snapshot && left == r->n_open) memcpy(r->snapshot, sequence->state, r->snapshot_bytes);
    ride->n_steps = left < room ? left : room;
    if (steps->tokens) ride->tokens = steps->tokens + item->n_fed;
    else ride->features = steps->features + item->n_fed * network_input_size(sequence->network);
    ride->tap = want->tap;
    ride->want = want->rows != READING_LAST ? WANT_ALL : left <= room ? WANT_LAST : WANT_NONE;
}

static void keep(const struct reading *r, struct item *item, const struct ride *ride)
{
    const size_t width = r->want.width;
    for (size_t t = 0; t < ride->n_outputs; t++) {
        size_t at = r->want.rows == READING_ALL ? item->n_fed + t : 0;
        if (r->want.rows == READING_MEAN)
            for (size_t i = 0; i < width; i++) item->sum[i] += (double)ride->output[t * width + i];
        else if (r->want.put)
            r->want.put(r->job.model, ride->output + t * network_output_size(r->job.model->network),
                        item->rows + at * width);
        else memcpy(item->rows + at * width, ride->output + t * width, width * sizeof *item->rows);
    }
}

static enum next receive(struct sequence *sequence, struct worker *worker, const struct ride *ride)
{
    (void)worker;
    struct job_sequence *seq = (struct job_sequence *)sequence;
    const struct reading *r = (struct reading *)seq->job;
    struct item *item = item_of(seq);
    if (job_sequence_must_leave(seq)) return LEAVE;
    keep(r, item, ride);
    item->n_fed += ride->n_steps;
    if (item->n_fed < item->steps.n) return STAY;
    for (size_t i = 0; r->want.rows == READING_MEAN && i < r->want.width; i++)
        item->rows[i] = (float)(item->sum[i] / (double)item->steps.n);
    return LEAVE;
}

static enum status keep_state(struct job *job, struct state **out)
{
    const struct reading *r = (struct reading *)job;
    size_t n_floats = network_state_floats(job->model->network);
    struct rest rest = {.use = REST_MEASURE};
    if (r->want.write_rest) r->want.write_rest(r->want.context, r, &rest);
    enum status status = rest.failed ? STATUS_NO_MEMORY : state_new(r->step, n_floats, rest.at, out);
    if (status != STATUS_OK) return status;
    rest = (struct rest){.use = REST_WRITE, .bytes = (*out)->rest, .n = (*out)->n_rest};
    if (r->want.write_rest) r->want.write_rest(r->want.context, r, &rest);
    memcpy((*out)->floats, r->snapshot ? r->snapshot : job->_sequences[0].sequence.state,
           n_floats * sizeof(float));
    return STATUS_OK;
}

enum status reading_new(struct model *model, const struct input *inputs, size_t n,
                        const struct reading_want *want, size_t max_whole_steps,
                        const struct job_options *options, struct reading **out, struct error *err)
{
    static const struct driver driver = {feed, receive, job_sequence_finish};
    enum status status = check(model, inputs, n, want, max_whole_steps, err);
    if (status == STATUS_OK) status = request_check_state(model, options, field_of(want), n, err);
    if (status == STATUS_OK && options->from && options->from->n_rest && !want->write_rest)
        status = error_set(err, STATUS_BAD_VALUE, "the state is not one that this model wrote: expected a "
                                                  "state of the same model");
    if (status != STATUS_OK) return status;
    struct reading plan = {.want = *want, .n = n};
    if (options->keeps && (input_puts_eos(model) || want->n_open)) {
        plan.snapshot_bytes = network_state_floats(model->network) * sizeof(float);
        plan.n_open = want->n_open ? want->n_open : 1;
    }
    if (network_has_pooling(model->network)) plan.want.rows = READING_LAST;
    if (!want->put)
        plan.want.width = want->tap == TAP_HIDDEN ? network_hidden_size(model->network)
                                                  : network_output_size(model->network);
    job_plan(&plan.job, model, n, n);
    void *made;
    status = job_make(&plan, sizeof plan, lay_out, inputs, &made, err);
    if (status != STATUS_OK) return status;
    struct reading *r = made;
    status = fill_in(r, inputs, err);
    if (status != STATUS_OK) {
        job_release(r);
        return status;
    }
    const bool had_bos = r->had_bos = options->from && input_puts_bos(model); /* the first part had it */
    r->step = (options->from ? options->from->step : 0) + r->items[0].steps.n - had_bos -
              r->n_open;
    job_init(&r->job, options, &driver);
    r->job._keep = keep_state;
    for (size_t i = 0; i < n; i++) {
        struct sequence *sequence = &r->job._sequences[i].sequence;
        r->items[i].n_fed = had_bos;
        sequence->cost_steps = sequence->least_steps = r->items[i].steps.n - had_bos;
        if (want->initial)
            memcpy(sequence->state, want->initial, network_state_floats(model->network) * sizeof(float));
    }
    r->want.initial = NULL;
    *out = r;
    return STATUS_OK;
}

struct job *reading_job(struct reading *reading)
{
    return &reading->job;
}

const float *reading_rows(const struct reading *reading, size_t i, size_t *n_rows)
{
    size_t skipped = reading->had_bos && reading->want.rows == READING_ALL ? 1 : 0;
    if (n_rows) *n_rows = reading->items[i].n_rows - skipped;
    return reading->items[i].rows + skipped * reading->want.width;
}
