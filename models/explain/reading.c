/* From a request to the steps that the networks read. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "core/base/memory.h"
#include "models/bundle/input.h"
#include "models/explain/plan.h"
#include "models/forecast/candidates.h"
#include "models/forecast/patches.h"
#include "models/forecast/series.h"
#include "models/jobs/request.h"

static enum status no_memory(struct error *err)
{
    return error_set(err, STATUS_NO_MEMORY, "no memory for the explanation");
}

static enum status read_tokens(struct explanation *e, const struct explanation_request *r, struct error *err)
{
    const struct model *model = e->model;
    e->T = input_text_steps(model, r->tokens.n);
    if (!e->T) return error_set_param(err, STATUS_BAD_VALUE, "input",
                                      "input is empty, expected at least one token");
    enum status status = request_check_tokens("input", &r->tokens, network_vocabulary_size(model->network),
                                              err);
    if (status != STATUS_OK) return status;
    e->tokens = memory_new(e->T, sizeof *e->tokens);
    if (!e->tokens) return no_memory(err);
    input_text(model, r->tokens.ids, r->tokens.n, e->tokens);
    return STATUS_OK;
}

static enum status read_features(struct explanation *e, const struct explanation_request *r,
                                 struct error *err)
{
    e->T = r->n_steps;
    if (!e->T) return error_set_param(err, STATUS_BAD_VALUE, "input",
                                      "input is empty, expected at least one step");
    e->_plan->features = memory_new(e->T, e->width * sizeof(float));
    if (r->origin) e->origin = memory_new(e->T + 1, sizeof *e->origin);
    if (!e->_plan->features || (r->origin && !e->origin)) return no_memory(err);
    if (r->origin) memcpy(e->origin, r->origin, (e->T + 1) * sizeof *e->origin);
    enum status status = input_features(e->model, r->features, e->T, e->_plan->features, err);
    if (status != STATUS_OK) {
        error_prefix(err, "input");
        snprintf(err->param, sizeof err->param, "input");
    }
    return status;
}

/* Make the steps of a forecast that looks one step ahead, as features. */
static void fill_series(const struct explanation *e, const double *values, size_t n, void *scratch)
{
    const struct forecast_spec *spec = forecast_spec_of(e->model);
    struct candidates candidates;
    if (spec->output == OUTPUT_CANDIDATES) {
        candidates_make(values, n, 0, 1, scratch, &candidates);
        candidates_features(&candidates, spec->window, e->_plan->features);
        return;
    }
    if (spec->output == OUTPUT_PATCHES) {
        struct patch_reading reading = patches_reading(spec, values, n, scratch);
        patches_features(spec, &reading.scale, reading.trends ? scratch : values, n, 1, e->_plan->features);
        return;
    }
    struct series_scale scale = series_scale_of(spec, values, n);
    series_features(spec, &scale, values, n, scratch, e->_plan->features);
}

static enum status read_series(struct explanation *e, const struct explanation_request *r, struct error *err)
{
    const struct forecast_spec *spec = forecast_spec_of(e->model);
    bool has_candidates = spec->output == OUTPUT_CANDIDATES;
    if (spec->n_columns > 1)
        return error_set_param(err, STATUS_UNSUPPORTED, "input",
                               "model '%s' reads several rows, of which no explanation is made",
                               e->model->name);
    size_t skipped = series_skipped(spec, r->n_steps), n = r->n_steps - skipped, n_there = 0;
    const double *values = r->series + skipped;
    for (size_t t = 0; t < n; t++)
        if (!isnan(values[t])) n_there++;
    if (!n_there)
        return error_set_param(err, STATUS_BAD_VALUE, "input",
                               "input holds no number: expected at least one");
    struct series_scale scale = series_scale_of(spec, values, n);
    if (!isfinite(scale.mean) || !isfinite(scale.scale))
        return error_set_param(err, STATUS_BAD_VALUE, "input",
                               "input does not fit the model's scale: expected "
                               "numbers that float can hold");
    e->T = has_candidates ? (n < spec->window ? n : spec->window) + 1
           : spec->output == OUTPUT_PATCHES ? patches_read(spec, n) : n;
    void *scratch = memory_new(has_candidates ? candidates_bytes(n, 1) : n * sizeof(double), 1);
    e->_plan->features = memory_new(e->T, e->width * sizeof(float));
    bool there = scratch && e->_plan->features;
    if (there) fill_series(e, values, n, scratch);
    memory_free(scratch);
    return there ? STATUS_OK : no_memory(err);
}

/* Copy steps that are as the network reads them. */
static enum status read_steps(struct explanation *e, const struct explanation_request *r, struct error *err)
{
    const struct steps *from = r->steps;
    e->T = from->n;
    if (from->tokens) e->tokens = memory_new(e->T, sizeof *e->tokens);
    else e->_plan->features = memory_new(e->T, e->width * sizeof(float));
    if (!e->tokens && !e->_plan->features) return no_memory(err);
    if (from->tokens) memcpy(e->tokens, from->tokens, e->T * sizeof *e->tokens);
    else memcpy(e->_plan->features, from->features, e->T * e->width * sizeof(float));
    return STATUS_OK;
}

static enum status read_input(struct explanation *e, const struct explanation_request *r, struct error *err)
{
    bool has_tokens = !network_input_size(e->model->network);
    e->width = has_tokens ? 1 : network_input_size(e->model->network);
    if (r->steps) return read_steps(e, r, err);
    if (has_tokens) return read_tokens(e, r, err);
    return r->series ? read_series(e, r, err) : read_features(e, r, err);
}

/* Of a model with a decoder: what it reads while it writes the tokens of the request. */
static enum status read_written(struct explanation *e, const struct explanation_request *r, struct error *err)
{
    const struct token_span *written = &r->written;
    size_t V = network_vocabulary_size(e->model->decoder);
    enum status status = request_check_tokens("output", written, V, err);
    if (status != STATUS_OK) return status;
    e->n_written = written->n + 1;
    e->written = memory_new(e->n_written, sizeof *e->written);
    e->_plan->read = memory_new(e->n_written, sizeof *e->_plan->read);
    if (!e->written || !e->_plan->read) return no_memory(err);
    int32_t eos = tokenizer_eos(e->model->target);
    if (written->n) memcpy(e->written, written->ids, written->n * sizeof *e->written);
    e->written[written->n] = eos;
    if (eos == TOKEN_NONE) e->n_written--;
    if (!e->n_written)
        return error_set_param(err, STATUS_BAD_VALUE, "output",
                               "output is empty, expected at least one token");
    e->_plan->read[0] = tokenizer_bos(e->model->target);
    for (size_t t = 1; t < e->n_written; t++) e->_plan->read[t] = e->written[t - 1];
    return STATUS_OK;
}

enum status explanation_read(struct explanation *e, const struct explanation_request *r, struct error *err)
{
    enum status status = read_input(e, r, err);
    if (status != STATUS_OK || !e->model->decoder) return status;
    return read_written(e, r, err);
}
