/* forecast_spec: the "forecast" section of a config.json: how a series becomes steps, and outputs a
 * distribution; docs/bundle-format.md, "forecast". */
#ifndef CAROUSEL_MODELS_FORECAST_SPEC_H
#define CAROUSEL_MODELS_FORECAST_SPEC_H

#include "models/bundle/model.h"
#include "models/forecast/scaling.h"

enum forecast_input {
    INPUT_VALUE, INPUT_MISSING, INPUT_DIFFERENCE, INPUT_RATIO, INPUT_ASINH, INPUT_LOG_SCALE,
    INPUT_POSITION, INPUT_LAG, INPUT_ERROR, INPUT_COLUMN, INPUT_COLUMN_MISSING
};
enum forecast_output {
    OUTPUT_MEAN, OUTPUT_NORMAL, OUTPUT_STUDENT_T, OUTPUT_QUANTILES, OUTPUT_CANDIDATES,
    OUTPUT_PATCHES, OUTPUT_HORIZONS
};
enum forecast_basis {
    BASIS_LAG, BASIS_LINEAR, BASIS_QUADRATIC, BASIS_SUM, BASIS_GEOMETRIC, BASIS_ONE
};
enum column_role { COLUMN_TARGET, COLUMN_PAST, COLUMN_FUTURE, N_COLUMN_ROLES };
/* What of its instant a column holds, as pandas' index has it: Monday is 0, January 1. */
enum calendar_part {
    CALENDAR_NONE, CALENDAR_MINUTE, CALENDAR_HOUR, CALENDAR_DAY_OF_WEEK, CALENDAR_DAY, CALENDAR_DAY_OF_YEAR,
    CALENDAR_MONTH, CALENDAR_QUARTER
};
enum wave { WAVE_NONE, WAVE_SIN, WAVE_COS };
enum {
    FORECAST_MAX_COLUMNS = 64, COLUMN_NAME_BYTES = 64, FORECAST_MAX_STEPS_AHEAD = 4096,
    FORECAST_MAX_INPUTS = 64, FORECAST_MAX_LEVELS = 64, FORECAST_MAX_BASIS = 64,
    FORECAST_MAX_LAG = 1024, FORECAST_MAX_CONTEXT = 4096, FORECAST_MAX_PATCH = 512
};
/* The distance from the median at lead h, 1 being the first, times sqrt(scale) h^(exponent - 1/2). */
struct width {
    double scale, exponent;
};
/* One of the rows that a model reads. */
struct forecast_column {
    char name[COLUMN_NAME_BYTES + 1];
    enum column_role role;
    struct scaling scaling;
    enum calendar_part calendar; /* future: what it holds if a request does not send it */
    enum wave wave;              /* of the calendar's part: sin or cos of 2 pi part / period */
    double period;
};
struct forecast_spec {
    size_t context_length;
    struct scaling scaling;
    size_t n_inputs;
    struct {
        enum forecast_input kind;
        size_t lag;          /* error: the index of the basis term */
        size_t column, lead; /* column: its index, and how far ahead it is read */
    } inputs[FORECAST_MAX_INPUTS];
    size_t n_columns;        /* 0: the model reads one series alone */
    struct forecast_column columns[FORECAST_MAX_COLUMNS];
    size_t n_of[N_COLUMN_ROLES];
    size_t ahead;            /* the longest lead */
    size_t horizon;          /* horizons: steps that one output tells of */
    bool rolls_on;           /* horizons: longer ones read their own values */
    size_t strides[3];       /* horizons: of steps, targets and levels in an output */
    enum forecast_output output;
    size_t patch_length; /* patches: values of a step; else 0 */
    size_t future_length; /* patches: steps to come through which known covariates are read at least */
    bool full_context;   /* patches: shorter series are read as context_length values, the first missing */
    struct width band;         /* patches: of the levels around the median; scale 0: as the network says */
    struct width trend;        /* patches: of a series with a trend, read as differences; scale 0: never is */
    double trend_r2;           /* part of the variance that a line explains, from which on it is a trend */
    size_t window; /* candidates: the last values that the network reads */
    double unseasonal_width; /* candidates: how much wider the intervals are of a series without a season */
    bool residual_last;
    size_t n_levels;
    double levels[FORECAST_MAX_LEVELS];
    size_t n_basis; /* 0: the location is an output of its own */
    bool softmax;   /* the coefficients are the softmax of the outputs */
    bool rules;     /* a series that follows a rule exactly goes on by it (rules.h) */
    struct { enum forecast_basis kind; size_t lag; } basis[FORECAST_MAX_BASIS];
    size_t num_samples;
    long seasonality; /* for the people that use the model; 0 if left out */
};

/* Of a model whose task is forecasting. */
static inline const struct forecast_spec *forecast_spec_of(const struct model *model)
{
    return model->spec;
}

/* Whether a pass tells all of many steps to come, so that no paths are walked. */
static inline bool forecast_is_direct(const struct forecast_spec *spec)
{
    return spec->output == OUTPUT_CANDIDATES || spec->output == OUTPUT_PATCHES ||
           spec->output == OUTPUT_HORIZONS;
}

/* Rows of target that the model forecasts together. */
static inline size_t forecast_n_targets(const struct forecast_spec *spec)
{
    return spec->n_columns ? spec->n_of[COLUMN_TARGET] : 1;
}

extern const struct section section_forecast;

/* As config.json spells them; "lag", "error" and "column" for what is written as an object. */
const char *forecast_input_name(enum forecast_input input);
const char *forecast_basis_name(enum forecast_basis term);
const char *forecast_output_name(enum forecast_output output);
const char *forecast_role_name(enum column_role role);

#endif
