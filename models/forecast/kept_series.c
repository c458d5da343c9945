#include "models/forecast/kept_series.h"

#include <math.h>
#include <string.h>

/* A geometric or quadratic term looks three values back, and its error one further. */
enum { LEAST_SPAN = 5 };

size_t kept_series_span(const struct forecast_spec *spec)
{
    size_t span = LEAST_SPAN;
    if (forecast_is_direct(spec) || spec->rules) return spec->context_length;
    for (size_t i = 0; i < spec->n_inputs; i++)
        if (spec->inputs[i].kind == INPUT_LAG && spec->inputs[i].lag + 1 > span)
            span = spec->inputs[i].lag + 1;
    for (size_t i = 0; i < spec->n_basis; i++)
        if (spec->basis[i].lag + 2 > span) span = spec->basis[i].lag + 2;
    return span;
}

static void walk_head(struct rest *rest, struct kept_series *kept)
{
    rest_field(rest, &kept->scale.mean, sizeof kept->scale.mean);
    rest_field(rest, &kept->scale.scale, sizeof kept->scale.scale);
    rest_field(rest, &kept->n_before, sizeof kept->n_before);
    rest_field(rest, &kept->n, sizeof kept->n);
}

bool kept_series_read(const struct state *state, const struct forecast_spec *spec, struct kept_series *kept,
                      struct error *err)
{
    struct rest rest = {.use = REST_READ, .bytes = state->rest, .n = state->n_rest};
    walk_head(&rest, kept);
    bool good = !rest.failed && kept->n >= 1 && kept->n <= kept_series_span(spec) &&
                rest.n - rest.at == kept->n * sizeof(double) && isfinite(kept->scale.mean) &&
                isfinite(kept->scale.scale) && kept->scale.scale > 0 && kept->n_before < UINT32_MAX;
    if (!good)
        (void)error_set(err, STATUS_BAD_VALUE,
                        "the state is not one that this model wrote: expected a state of the same model");
    return good;
}

void kept_series_values(const struct state *state, double *out)
{
    struct rest rest = {.use = REST_READ, .bytes = state->rest, .n = state->n_rest};
    struct kept_series kept;
    walk_head(&rest, &kept);
    rest_field(&rest, out, kept.n * sizeof *out);
}

enum status kept_series_write(const struct kept_series *kept, const double *values, uint64_t step,
                              const float *floats, size_t n_floats, struct state **out)
{
    struct kept_series head = *kept;
    struct rest rest = {.use = REST_MEASURE};
    walk_head(&rest, &head);
    enum status status = state_new(step, n_floats, rest.at + head.n * sizeof *values, out);
    if (status != STATUS_OK) return status;
    if (floats) memcpy((*out)->floats, floats, n_floats * sizeof *floats);
    rest = (struct rest){.use = REST_WRITE, .bytes = (*out)->rest, .n = (*out)->n_rest};
    walk_head(&rest, &head);
    memcpy(rest.bytes + rest.at, values, head.n * sizeof *values);
    return STATUS_OK;
}
