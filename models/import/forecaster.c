#include "models/import/forecaster.h"

#include <stdlib.h>
#include <string.h>

#include "models/forecast/forecast_spec.h"

enum { UNKNOWN_CONTEXT = FORECAST_MAX_CONTEXT, N_AXES = 3, TOKEN_BYTES = 160 };

static const char *const axes[N_AXES] = {"step", "column", "level"};

/* ------------------------------------------------------------------------------------------
 * Flags */

bool forecaster_asked(const struct options *options)
{
    return options->columns || options->horizon || options->levels || options->shape;
}

/* The entry that begins at *at, and the place behind its comma; false at the end. */
static bool next_entry(const char **at, char entry[TOKEN_BYTES])
{
    if (!*at) return false;
    size_t n = strcspn(*at, ",");
    snprintf(entry, TOKEN_BYTES, "%.*s", (int)(n < TOKEN_BYTES ? n : TOKEN_BYTES - 1), *at);
    *at = (*at)[n] ? *at + n + 1 : NULL;
    return true;
}

static enum status read_count(const char *text, const char *flag, size_t most, size_t *out, struct error *err)
{
    char *end;
    long value = strtol(text, &end, 10);
    if (*text < '0' || *text > '9' || *end || value < 1 || (size_t)value > most)
        return error_set(err, STATUS_BAD_VALUE, "--%s '%.40s': expected a number from 1 to %zu", flag, text,
                         most);
    *out = (size_t)value;
    return STATUS_OK;
}

/* "name:role", the role perhaps with "+k" behind it. */
static enum status read_column(char *entry, struct pool *pool, struct card_column *column, struct error *err)
{
    static const char *const roles[] = {"target", "past", "future"};
    char *colon = strrchr(entry, ':'), *plus = colon ? strchr(colon, '+') : NULL;
    enum status status = STATUS_OK;
    if (plus) {
        *plus = '\0';
        status = read_count(plus + 1, "columns", FORECAST_MAX_STEPS_AHEAD, &column->lead, err);
    }
    for (size_t i = 0; colon && i < sizeof roles / sizeof *roles; i++)
        if (strcmp(colon + 1, roles[i]) == 0) column->role = roles[i];
    if (status == STATUS_OK && (!colon || colon == entry || !column->role ||
                                (column->lead && strcmp(column->role, "future"))))
        return error_set(err, STATUS_BAD_VALUE,
                         "--columns: '%.80s' is no NAME:target, NAME:past, NAME:future or NAME:future+1",
                         entry);
    if (status != STATUS_OK) return status;
    column->name = pool_text(pool, entry, (size_t)(colon - entry));
    return column->name ? STATUS_OK : pool_spent(err);
}

static enum status read_columns(struct plan *plan, const char *text, struct card *card, struct error *err)
{
    char entry[TOKEN_BYTES];
    card->columns = pool_take(plan->pool, FORECAST_MAX_COLUMNS, sizeof *card->columns);
    if (!card->columns) return pool_spent(err);
    for (const char *at = text; next_entry(&at, entry);) {
        if (card->n_columns == FORECAST_MAX_COLUMNS)
            return error_set(err, STATUS_TOO_LONG, "--columns: more than %d", (int)FORECAST_MAX_COLUMNS);
        enum status status = read_column(entry, plan->pool, &card->columns[card->n_columns++], err);
        if (status != STATUS_OK) return status;
    }
    return STATUS_OK;
}

static enum status read_levels(struct plan *plan, const char *text, struct card *card, struct error *err)
{
    char entry[TOKEN_BYTES], *end;
    card->levels = pool_take(plan->pool, FORECAST_MAX_LEVELS, sizeof *card->levels);
    if (!card->levels) return pool_spent(err);
    for (const char *at = text; next_entry(&at, entry);) {
        double level = strtod(entry, &end);
        if (*end || !(level > 0 && level < 1) || card->n_levels == FORECAST_MAX_LEVELS)
            return error_set(err, STATUS_BAD_VALUE,
                             "--levels '%.40s': expected up to %d numbers above 0 and below 1", entry,
                             (int)FORECAST_MAX_LEVELS);
        card->levels[card->n_levels++] = level;
    }
    return STATUS_OK;
}

static enum status read_shape(const char *text, struct card *card, struct error *err)
{
    char entry[TOKEN_BYTES];
    for (const char *at = text; next_entry(&at, entry);) {
        const char *axis = NULL;
        for (size_t i = 0; i < N_AXES; i++)
            if (strcmp(entry, axes[i]) == 0) axis = axes[i];
        if (!axis || card->n_shape == N_AXES)
            return error_set(err, STATUS_BAD_VALUE, "--shape '%.40s': expected step, column and level", text);
        card->shape[card->n_shape++] = axis;
    }
    return STATUS_OK;
}

/* ------------------------------------------------------------------------------------------
 * Settling */

static size_t count_of(const struct card *card, const char *role)
{
    size_t n = 0;
    for (size_t i = 0; i < card->n_columns; i++) n += strcmp(card->columns[i].role, role) == 0;
    return n;
}

static size_t n_targets(const struct card *card)
{
    return card->n_columns ? count_of(card, "target") : 1;
}

static enum status settle_columns(struct plan *plan, const struct options *options, struct card *card,
                                  struct error *err)
{
    size_t width = plan_input(plan)->in, most = card->horizon ? card->horizon : 1;
    if (!options->columns && width == 1) return STATUS_OK;
    if (!options->columns)
        return error_set_param(
            err, STATUS_BAD_VALUE, "columns",
            "the network reads %zu numbers a step, and the file does not say what they are; name each in the "
            "order of training, such as --columns load:target,price:past,temperature:future",
            width);
    enum status status = read_columns(plan, options->columns, card, err);
    if (status != STATUS_OK) return status;
    if (card->n_columns != width)
        return error_set_param(err, STATUS_BAD_VALUE, "columns",
                               "--columns names %zu columns, but the network reads %zu numbers a step",
                               card->n_columns, width);
    if (card->n_scaler && card->n_scaler != card->n_columns)
        return error_set_param(err, STATUS_BAD_VALUE, "scaler",
                               "--scaler has %zu feature, but there are %zu columns, each with its own",
                               card->n_scaler, card->n_columns);
    if (n_targets(card) == 0)
        return error_set_param(err, STATUS_BAD_VALUE, "columns", "--columns: none of them is a target");
    for (size_t i = 0; i < card->n_columns; i++) {
        const struct card_column *column = &card->columns[i];
        if (column->lead > most)
            return error_set_param(err, STATUS_BAD_VALUE, "columns",
                                   "--columns: '%.64s' is read %zu steps ahead, but an output tells of %zu",
                                   column->name, column->lead, most);
        if (!card->horizon && strcmp(column->role, "past") == 0)
            return error_set_param(
                err, STATUS_BAD_VALUE, "horizon",
                "column '%.64s' is known up to now, so the model cannot go on from its own values; say how "
                "many steps one output tells of by --horizon N, such as --horizon 1",
                column->name);
        report_fact(plan->report, column == card->columns ? "columns" : "",
                    pool_print(plan->pool, "%.64s %s", column->name, column->role), "from --columns");
    }
    return STATUS_OK;
}

/* The order of the axes that have more than one place. A source that gives the output two axes of different
 * sizes says it. */
static enum status settle_shape(struct plan *plan, const struct options *options, struct card *card,
                                struct error *err)
{
    const size_t sizes[N_AXES] = {card->horizon, n_targets(card), card->n_levels ? card->n_levels : 1};
    size_t long_axes[N_AXES], n = 0;
    for (size_t i = 0; i < N_AXES; i++)
        if (sizes[i] > 1) long_axes[n++] = i;
    if (options->shape) return read_shape(options->shape, card, err);
    if (n < 2) return STATUS_OK;
    for (size_t turn = 0; n == 2 && turn < 2; turn++) {
        size_t first = long_axes[turn], second = long_axes[1 - turn];
        if (sizes[first] == sizes[second] || plan->split[0] != sizes[first] ||
            plan->split[1] != sizes[second])
            continue;
        card->shape[0] = axes[first], card->shape[1] = axes[second];
        card->n_shape = 2;
        report_fact(plan->report, "shape", pool_print(plan->pool, "%s, %s", axes[first], axes[second]),
                    "from the axes of the output");
        return STATUS_OK;
    }
    return error_set_param(
        err, STATUS_BAD_VALUE, "shape",
        "the axes of an output are steps (%zu), columns (%zu) and levels (%zu), and the file does not say in "
        "which order; say it by --shape step,column,level (as after .view(batch, steps, columns)), --shape "
        "column,step,level or another order; the last moves fastest",
        sizes[0], sizes[1], sizes[2]);
}

static enum status settle_output(struct plan *plan, const struct options *options, struct card *card,
                                 struct error *err)
{
    size_t width = plan_width(plan), levels = card->n_levels ? card->n_levels : 1, targets = n_targets(card);
    size_t steps = card->horizon ? card->horizon : 1;
    if (!card->horizon && (width != levels || targets > 1))
        return error_set_param(
            err, STATUS_BAD_VALUE, "horizon",
            "the network gives %zu numbers for %zu target%s; if they are steps to come, say how many by "
            "--horizon N, and if they are quantiles, which ones by --levels 0.1,0.5,0.9",
            width, targets, targets == 1 ? "" : "s");
    if (width != steps * levels * targets)
        return error_set_param(err, STATUS_BAD_VALUE, "horizon",
                               "%zu steps of %zu target%s at %zu level%s are %zu numbers, but the network "
                               "gives %zu",
                               steps, targets, targets == 1 ? "" : "s", levels, levels == 1 ? "" : "s",
                               steps * levels * targets, width);
    if (card->horizon) report_size(plan->report, "horizon", card->horizon, "from --horizon");
    return card->horizon ? settle_shape(plan, options, card, err) : STATUS_OK;
}

static enum status settle_context(struct plan *plan, const struct options *options, struct card *card,
                                  struct error *err)
{
    const char *from = plan->window ? "from the shape of the input"
                                    : "the most that is served; the file does not say";
    card->context_length = plan->window ? plan->window : UNKNOWN_CONTEXT;
    if (options->context) {
        enum status status =
            read_count(options->context, "context", FORECAST_MAX_CONTEXT, &card->context_length, err);
        if (status != STATUS_OK) return status;
        from = "from --context";
    } else if (!plan->window && card->horizon) {
        return error_set_param(
            err, STATUS_BAD_VALUE, "context",
            "the file does not say how many values the network read in training; say it by --context N");
    }
    for (size_t i = 0; i < plan->n_parts; i++)
        if (!strcmp(plan->parts[i].type, "flatten") && card->context_length != plan->window)
            return error_set(err, STATUS_BAD_VALUE, "--context %zu: %.80s reads %zu steps",
                             card->context_length, plan->parts[i].origin, plan->window);
    report_size(plan->report, "context_length", card->context_length, from);
    return STATUS_OK;
}

enum status forecaster_settle(struct plan *plan, const struct options *options, struct card *card,
                              struct error *err)
{
    enum status status = STATUS_OK;
    if (options->horizon)
        status = read_count(options->horizon, "horizon", FORECAST_MAX_STEPS_AHEAD, &card->horizon, err);
    if (status == STATUS_OK && options->levels) status = read_levels(plan, options->levels, card, err);
    if (status == STATUS_OK) status = settle_columns(plan, options, card, err);
    if (status == STATUS_OK) status = settle_output(plan, options, card, err);
    if (status == STATUS_OK) status = settle_context(plan, options, card, err);
    if (status == STATUS_OK && !card->n_scaler)
        report_fact(plan->report, "scaling", "none", "no --scaler: values are read as they are");
    return status;
}

/* ------------------------------------------------------------------------------------------
 * config.json */

static void put_scaling(const struct card *card, size_t i, struct json_text *json)
{
    json_text_put(json, "\"scaling\": {\"type\": \"%s\"", card->n_scaler ? "constant" : "none");
    if (card->n_scaler)
        json_text_put(json, ", \"mean\": %.17g, \"scale\": %.17g", card->mean[i], card->scale[i]);
    json_text_put(json, "}");
}

static void put_columns(const struct card *card, struct json_text *json)
{
    bool leads = false;
    json_text_put(json, "\"columns\": [");
    for (size_t i = 0; i < card->n_columns; i++) {
        json_text_put(json, "%s\n    {\"name\": ", i ? "," : "");
        json_text_string(json, card->columns[i].name);
        json_text_put(json, ", \"role\": \"%s\", ", card->columns[i].role);
        put_scaling(card, i, json);
        json_text_put(json, "}");
        leads = leads || card->columns[i].lead;
    }
    json_text_put(json, "]");
    if (leads) json_text_put(json, ",\n    \"inputs\": [");
    for (size_t i = 0; leads && i < card->n_columns; i++) {
        json_text_put(json, "%s{\"column\": ", i ? ", " : "");
        json_text_string(json, card->columns[i].name);
        if (card->columns[i].lead) json_text_put(json, ", \"lead\": %zu", card->columns[i].lead);
        json_text_put(json, "}");
    }
    if (leads) json_text_put(json, "]");
}

void forecaster_put(const struct card *card, struct json_text *json)
{
    json_text_put(json, "  \"forecast\": {\"context_length\": %zu, ", card->context_length);
    if (card->n_columns) {
        put_columns(card, json);
    } else {
        put_scaling(card, 0, json);
        json_text_put(json, ", \"inputs\": [\"value\"]");
    }
    json_text_put(json, ",\n    \"output\": {\"type\": \"%s\"",
                  card->horizon    ? "horizons"
                  : card->n_levels ? "quantiles"
                                   : "mean");
    if (card->horizon) json_text_put(json, ", \"horizon\": %zu", card->horizon);
    if (card->n_levels) {
        json_text_put(json, ", \"levels\": ");
        json_text_numbers(json, card->levels, card->n_levels, 17);
    }
    for (size_t i = 0; i < card->n_shape; i++)
        json_text_put(json, "%s\"%s\"", i ? ", " : ", \"shape\": [", card->shape[i]);
    json_text_put(json, "%s}}", card->n_shape ? "]" : "");
}

/* ------------------------------------------------------------------------------------------
 * Golden inputs */

size_t forecaster_ahead(const struct card *card)
{
    return !card->n_columns ? 0 : card->horizon ? card->horizon : 1;
}

static void put_row(const double *raw, size_t width, size_t n, struct json_text *json)
{
    for (size_t t = 0; t < n; t++) json_text_put(json, "%s%.17g", t ? ", " : "[", raw[t * width]);
    json_text_put(json, "]");
}

static void put_covariates(const struct card *card, const char *role, const char *key, const double *raw,
                           size_t n, struct json_text *json)
{
    bool first = true;
    if (count_of(card, role) == 0) return;
    json_text_put(json, ", \"%s\": {", key);
    for (size_t i = 0; i < card->n_columns; i++) {
        if (strcmp(card->columns[i].role, role)) continue;
        if (!first) json_text_put(json, ", ");
        first = false;
        json_text_string(json, card->columns[i].name);
        json_text_put(json, ": ");
        put_row(raw + i, card->n_columns, n, json);
    }
    json_text_put(json, "}");
}

void forecaster_put_input(const struct card *card, const double *raw, size_t steps, struct json_text *json)
{
    bool several = n_targets(card) > 1, first = true;
    if (!card->n_columns) {
        put_row(raw, 1, steps, json);
        return;
    }
    json_text_put(json, "{\"target\": %s", several ? "[" : "");
    for (size_t i = 0; i < card->n_columns; i++) {
        if (strcmp(card->columns[i].role, "target")) continue;
        if (!first) json_text_put(json, ", ");
        first = false;
        put_row(raw + i, card->n_columns, steps, json);
    }
    if (several) json_text_put(json, "]");
    put_covariates(card, "past", "past_covariates", raw, steps, json);
    put_covariates(card, "future", "future_covariates", raw, steps + forecaster_ahead(card), json);
    json_text_put(json, "}");
}
