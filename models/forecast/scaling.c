#include "models/forecast/scaling.h"

#include <float.h>
#include <math.h>

static const char *const scalings[] = {"none", "constant", "minmax", "mean_abs", "standard", NULL};

static const char *const squashings[] = {"none", "asinh", NULL};

static const double DEFAULT_MINIMUM = 1e-6;

struct scaling_keys {
    long type, squash;
    bool binary;
    double mean, scale, minimum, level, min, max, low, high, constant; /* NAN if left out */
};

#define NUMBER(member) .name = #member, .kind = FIELD_NUMBER, .offset = offsetof(struct scaling_keys, member)
#define ANY .minimum = -DBL_MAX, .maximum = DBL_MAX
#define ABOVE_ZERO .minimum = DBL_MIN, .maximum = DBL_MAX
static const struct field fields[] = {
    {.name = "type", .kind = FIELD_CHOICE, .choices = scalings, .required = true,
     .offset = offsetof(struct scaling_keys, type)},
    {NUMBER(mean), ANY},
    {NUMBER(scale), ABOVE_ZERO},
    {NUMBER(minimum), ABOVE_ZERO},
    {NUMBER(level), .above = true, .minimum = 0, .maximum = 1},
    {NUMBER(min), ANY},
    {NUMBER(max), ANY},
    {NUMBER(low), ANY},
    {NUMBER(high), ANY},
    {NUMBER(constant), ABOVE_ZERO},
    {.name = "squash", .kind = FIELD_CHOICE, .choices = squashings,
     .offset = offsetof(struct scaling_keys, squash)},
    {.name = "binary", .kind = FIELD_BOOLEAN, .offset = offsetof(struct scaling_keys, binary)},
};
enum { N_FIELDS = sizeof fields / sizeof *fields, N_NUMBERS = N_FIELDS - 2 }; /* the type counts as one */

/* The types that need a number, and those that may have it. */
#define OF(type) (1u << SCALING_##type)
static const struct {
    unsigned needed, allowed;
} places[N_NUMBERS] = {
    {0, 0}, {OF(CONSTANT), 0}, {OF(CONSTANT), 0}, {0, OF(MEAN_ABS) | OF(STANDARD)}, {0, OF(MEAN_ABS)},
    {OF(MINMAX), 0}, {OF(MINMAX), 0}, {0, OF(MINMAX)}, {0, OF(MINMAX)}, {0, OF(STANDARD)},
};

static double *number_of(struct scaling_keys *keys, size_t field)
{
    return (double *)((char *)keys + fields[field].offset);
}

static enum status check_key(struct scaling_keys *keys, size_t field, struct error *err)
{
    const char *type = scalings[keys->type], *name = fields[field].name;
    bool is_there = !isnan(*number_of(keys, field)), needed = places[field].needed >> keys->type & 1;
    if (!is_there && needed)
        return error_set(err, STATUS_BAD_VALUE, "'%s' is missing, type '%s' needs it", name, type);
    if (is_there && !needed && !(places[field].allowed >> keys->type & 1))
        return error_set(err, STATUS_BAD_VALUE, "'%s' has no place in type '%s'", name, type);
    return STATUS_OK;
}

/* z = (x - min) / (max - min) * (high - low) + low, as scikit-learn's MinMaxScaler, is (x - m) / s. */
static enum status set_minmax(const struct scaling_keys *keys, struct scaling *out, struct error *err)
{
    double low = isnan(keys->low) ? 0 : keys->low, high = isnan(keys->high) ? 1 : keys->high;
    if (!(keys->max > keys->min))
        return error_set(err, STATUS_BAD_VALUE, "max is %g, expected more than min, %g", keys->max,
                         keys->min);
    if (!(high > low))
        return error_set(err, STATUS_BAD_VALUE, "high is %g, expected more than low, %g", high, low);
    out->scale = (keys->max - keys->min) / (high - low);
    out->mean = keys->min - low * out->scale;
    if (isfinite(out->mean) && isfinite(out->scale) && out->scale >= DBL_MIN) return STATUS_OK;
    return error_set(err, STATUS_BAD_VALUE, "min, max, low and high give no scale that double can hold");
}

enum status scaling_read(const struct json *value, struct scaling *out, struct error *err)
{
    struct scaling_keys keys = {0};
    for (size_t i = 1; i < N_NUMBERS; i++) *number_of(&keys, i) = (double)NAN;
    enum status status = json_read(value, fields, N_FIELDS, &keys, err);
    for (size_t i = 1; i < N_NUMBERS && status == STATUS_OK; i++) status = check_key(&keys, i, err);
    if (status != STATUS_OK) return status;
    *out = (struct scaling){.type = (enum scaling_type)keys.type, .scale = 1, .minimum = DEFAULT_MINIMUM,
                            .squashes = keys.squash != 0, .spares_binary = keys.binary};
    if (out->type == SCALING_MINMAX) return set_minmax(&keys, out, err);
    if (out->type == SCALING_CONSTANT) {
        out->mean = keys.mean;
        out->scale = keys.scale;
    }
    if (!isnan(keys.minimum)) out->minimum = keys.minimum;
    if (!isnan(keys.level)) out->level = keys.level;
    if (!isnan(keys.constant)) out->constant = keys.constant;
    return STATUS_OK;
}

/* What is subtracted before the mean absolute value is taken: 0, or the least value if the values move little
 * beside their level. Without this a network sees such a series as a constant. */
static double level_of(const struct scaling *scaling, const double *values, size_t n)
{
    double least = DBL_MAX, largest = -DBL_MAX;
    for (size_t t = 0; t < n; t++) {
        if (isnan(values[t])) continue;
        least = fmin(least, values[t]);
        largest = fmax(largest, values[t]);
    }
    double span = largest - least;
    return span > 0 && span < scaling->level * fmax(fabs(least), fabs(largest)) ? least : 0;
}

/* Whether all values that are there are 0 or 1. */
static bool is_binary(const double *values, size_t n)
{
    for (size_t t = 0; t < n; t++)
        if (!isnan(values[t]) && fpclassify(values[t]) != FP_ZERO && fabs(values[t] - 1) > 0) return false;
    return true;
}

struct series_scale scaling_measure(const struct scaling *scaling, const double *values, size_t n)
{
    const bool standard = scaling->type == SCALING_STANDARD;
    struct series_scale scale = {.mean = 0, .scale = 1, .squashes = scaling->squashes};
    if (scaling->spares_binary && is_binary(values, n)) return (struct series_scale){.mean = 0, .scale = 1};
    if (scaling->type == SCALING_NONE) return scale;
    if (scaling->type == SCALING_CONSTANT || scaling->type == SCALING_MINMAX) {
        scale.mean = scaling->mean;
        scale.scale = scaling->scale;
        return scale;
    }
    if (!standard) scale.mean = level_of(scaling, values, n);
    double sum = 0, sum_abs = 0, squares = 0, least = DBL_MAX, largest = -DBL_MAX;
    size_t n_there = 0;
    for (size_t t = 0; t < n; t++) {
        if (isnan(values[t])) continue;
        sum += values[t];
        sum_abs += fabs(values[t] - scale.mean);
        least = fmin(least, values[t]);
        largest = fmax(largest, values[t]);
        n_there++;
    }
    scale.scale = sum_abs / (double)n_there;
    if (standard) {
        scale.mean = sum / (double)n_there;
        for (size_t t = 0; t < n; t++)
            if (!isnan(values[t])) squares += (values[t] - scale.mean) * (values[t] - scale.mean);
        scale.scale = sqrt(squares / (double)n_there);
    }
    if (scale.scale < scaling->minimum) scale.scale = scaling->minimum;
    if (scaling->constant > 0 && !(largest > least))
        scale = (struct series_scale){.mean = least, .scale = fabs(least) + scaling->constant,
                                      .squashes = scaling->squashes};
    return scale;
}
