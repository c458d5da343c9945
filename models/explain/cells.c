/* Which units of a layer are shown, and what they did. */
#include <math.h>
#include <string.h>

#include "core/base/memory.h"
#include "models/explain/plan.h"

const char *explanation_value_name(enum explanation_value value)
{
    static const char *const names[N_EXPLAINED] = {"h", "c", "i", "f", "g", "o", "r", "z", "n"};
    return names[value];
}

bool plan_shows(const struct explanation_plan *plan, enum explanation_value value)
{
    if (!(plan->what & (value <= EXPLAINED_C ? EXPLAIN_CELLS : EXPLAIN_GATES))) return false;
    if (value == EXPLAINED_H) return true;
    if (value == EXPLAINED_C) return plan->has->has_c;
    return strchr(plan->has->names, *explanation_value_name(value)) != NULL;
}

/* A unit's c or h at a step. */
static float c_of(const struct trace_cell *cell, size_t t, size_t unit)
{
    return cell->c[(ptrdiff_t)t * cell->c_stride + (ptrdiff_t)unit];
}

static float h_of(const struct trace_cell *cell, size_t t, size_t unit)
{
    return cell->h[(ptrdiff_t)t * cell->h_stride + (ptrdiff_t)unit];
}

/* c as it enters h: tanh(c) of an lstm. */
static float squashed(const struct trace_cell *cell, size_t t, size_t unit)
{
    float c = c_of(cell, t, unit);
    if (cell->squash) cell->squash(1, &c, &c);
    return c;
}

/* What a unit shows at a step, from -1 to 1 unless relu makes it: tanh(c), or h of a layer without c. */
static double signal_of(const struct trace_cell *cell, size_t t, size_t unit)
{
    return (double)(cell->c ? squashed(cell, t, unit) : h_of(cell, t, unit));
}

/* Measure how much a unit moves: the variance of its signal over the steps. */
static double activity(const struct trace_cell *cell, size_t T, size_t unit)
{
    double sum = 0, squares = 0;
    for (size_t t = 0; t < T; t++) {
        double x = signal_of(cell, t, unit);
        sum += x;
        squares += x * x;
    }
    return squares / (double)T - sum / (double)T * (sum / (double)T);
}

/* Compute Pearson's correlation of a unit with a signal; 0 if either does not move. */
static double correlation(const struct trace_cell *cell, size_t T, size_t unit, const double *follow)
{
    double n = (double)T, x = 0, y = 0, xx = 0, yy = 0, xy = 0;
    for (size_t t = 0; t < T; t++) {
        double a = signal_of(cell, t, unit), b = follow[t];
        x += a;
        y += b;
        xx += a * a;
        yy += b * b;
        xy += a * b;
    }
    double spread = (xx - x * x / n) * (yy - y * y / n);
    return spread > 1e-12 ? (xy - x * y / n) / sqrt(spread) : 0;
}

/* Write the n units with the greatest marks to `units`, best first; equal ones in their order. */
static void choose(const double *marks, size_t H, size_t n, int32_t *units)
{
    size_t found = 0;
    for (size_t u = 0; u < H; u++) {
        size_t at = found;
        while (at > 0 && marks[u] > marks[units[at - 1]]) at--;
        if (at == n) continue;
        if (found < n) found++;
        memmove(units + at + 1, units + at, (found - 1 - at) * sizeof *units);
        units[at] = (int32_t)u;
    }
}

static enum status choose_units(const struct explanation_plan *plan, const struct trace_cell *source,
                                size_t T,
                                struct explanation_cell *cell)
{
    double *marks = memory_new(source->H, sizeof *marks);
    cell->units = memory_new(plan->n_units, sizeof *cell->units);
    if (!marks || !cell->units) {
        memory_free(marks);
        return STATUS_NO_MEMORY;
    }
    cell->n_units = plan->n_units;
    for (size_t u = 0; u < source->H; u++)
        marks[u] = plan->follow ? fabs(correlation(source, T, u, plan->follow)) : activity(source, T, u);
    for (size_t i = 0; plan->units && i < plan->n_units; i++) cell->units[i] = (int32_t)plan->units[i];
    if (!plan->units) choose(marks, source->H, plan->n_units, cell->units);
    memory_free(marks);
    return STATUS_OK;
}

/* `gate` is one of has->names. */
static float gate_of(const struct trace_cell *source, char gate, size_t t, size_t unit)
{
    size_t place = (size_t)(strchr(source->has->names, gate) - source->has->names);
    return source->gates[(ptrdiff_t)t * source->gates_stride + (ptrdiff_t)(place * source->H + unit)];
}

static float value_of(const struct trace_cell *source, enum explanation_value value, size_t t, size_t unit)
{
    if (value >= EXPLAINED_I) return gate_of(source, *explanation_value_name(value), t, unit);
    if (value == EXPLAINED_C) return c_of(source, t, unit);
    if (!source->squash) return h_of(source, t, unit);
    return gate_of(source, 'o', t, unit) * squashed(source, t, unit);
}

/* Count the steps until f^n is 1/2, for the geometric mean of the gate that keeps. */
static float half_life(const struct trace_cell *source, size_t T, size_t unit)
{
    double sum = 0;
    for (size_t t = 0; t < T; t++)
        sum += log(fmax((double)gate_of(source, source->has->keeper, t, unit), 1e-30));
    return sum < 0 ? (float)(log(0.5) * (double)T / sum) : INFINITY;
}

enum status explanation_fill(const struct explanation_plan *plan, const struct trace_cell *source,
                             struct explanation_cell *cell)
{
    size_t T = plan->cell_T;
    enum status status = choose_units(plan, source, T, cell);
    if (status != STATUS_OK) return status;
    size_t n = cell->n_units;
    bool keeps = plan->has->keeper;
    if (keeps) cell->half_life = memory_new(n, sizeof(float));
    if (plan->follow) cell->correlation = memory_new(n, sizeof(float));
    if ((keeps && !cell->half_life) || (plan->follow && !cell->correlation)) return STATUS_NO_MEMORY;
    for (size_t i = 0; i < n; i++) {
        if (keeps) cell->half_life[i] = half_life(source, T, (size_t)cell->units[i]);
        if (plan->follow) cell->correlation[i] = (float)correlation(source, T, (size_t)cell->units[i],
                                                                    plan->follow);
    }
    for (int v = 0; v < N_EXPLAINED; v++) {
        if (!plan_shows(plan, (enum explanation_value)v)) continue;
        float *to = cell->values[v] = memory_new(n * T, sizeof *to);
        if (!to) return STATUS_NO_MEMORY;
        for (size_t i = 0; i < n; i++)
            for (size_t t = 0; t < T; t++) *to++ = value_of(source, (enum explanation_value)v, t,
                                                            (size_t)cell->units[i]);
    }
    return STATUS_OK;
}
