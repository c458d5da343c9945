#include "models/import/card.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "models/bundle/bundle.h"
#include "models/import/forecaster.h"
#include "models/import/texts.h"
#include "models/text/folder.h"
#include "models/text/json.h"
#include "models/text/sentence.h"

enum { MAX_LABEL_BYTES = 1 << 20 };

enum status card_read_file(const char *path, size_t most, struct pool *pool, char **text, size_t *bytes,
                           struct error *err)
{
    struct stat about;
    enum status status = STATUS_OK;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0 || fstat(fd, &about) != 0)
        status = error_set(err, STATUS_NOT_FOUND, "%s: cannot be opened", path);
    else if (!S_ISREG(about.st_mode))
        status = error_set(err, STATUS_BAD_VALUE, "%s: is no regular file", path);
    else if ((uint64_t)about.st_size > most)
        status = error_set(err, STATUS_TOO_LONG, "%s: %llu bytes, expected at most %zu", path,
                           (unsigned long long)about.st_size, most);
    if (status == STATUS_OK) {
        *bytes = (size_t)about.st_size;
        *text = pool_take(pool, *bytes + 1, 1);
        status = *text ? file_read(fd, path, 0, *text, *bytes, err) : pool_spent(err);
    }
    if (fd >= 0) close(fd);
    return status;
}

/* ------------------------------------------------------------------------------------------
 * Labels */

static enum status split(char *text, char separator, struct pool *pool, const char ***items, size_t *n,
                         struct error *err)
{
    size_t most = 1;
    for (const char *c = text; *c; c++) most += *c == separator;
    if (most > CARD_MAX_LABELS)
        return error_set(err, STATUS_TOO_LONG, "more than %d labels", (int)CARD_MAX_LABELS);
    *items = pool_take(pool, most, sizeof **items);
    if (!*items) return pool_spent(err);
    for (char *at = text, *end; at; at = end ? end + 1 : NULL) {
        end = strchr(at, separator);
        if (end) *end = '\0';
        size_t bytes = strlen(at);
        if (separator == '\n' && bytes && at[bytes - 1] == '\r') at[bytes - 1] = '\0';
        if (*at) (*items)[(*n)++] = at;
    }
    return STATUS_OK;
}

static enum status read_labels(const char *what, struct pool *pool, struct card *card, struct error *err)
{
    char *text;
    size_t bytes;
    bool is_file = access(what, R_OK) == 0;
    enum status status = STATUS_OK;
    if (is_file) status = card_read_file(what, MAX_LABEL_BYTES, pool, &text, &bytes, err);
    else if (!(text = pool_text(pool, what, strlen(what)))) status = pool_spent(err);
    if (status != STATUS_OK) return status;
    return split(text, is_file ? '\n' : ',', pool, &card->labels, &card->n_labels, err);
}

static enum status settle_labels(struct plan *plan, const struct options *options, struct card *card,
                                 struct error *err)
{
    size_t outputs = plan_width(plan);
    card->sigmoid = plan->end == END_SIGMOID || (plan->end != END_SOFTMAX && outputs == 1);
    if (options->activation) card->sigmoid = strcmp(options->activation, "sigmoid") == 0;
    if (plan->end == END_RAW && outputs == 1 && !options->activation)
        return error_set_param(
            err, STATUS_BAD_VALUE, "activation",
            "the network ends in one number without an activation, as a regression does; if it is "
            "the logit of a classifier (from_logits=True), say so by --activation sigmoid");
    size_t wanted = card->sigmoid && outputs == 1 ? 2 : outputs;
    if (!options->labels)
        return error_set_param(
            err, STATUS_BAD_VALUE, "labels",
            "the file does not name the %zu classes; give them in the order of training by "
            "--labels a,b,... or --labels FILE with one a line",
            wanted);
    enum status status = read_labels(options->labels, plan->pool, card, err);
    if (status != STATUS_OK) return status;
    if (card->n_labels != wanted)
        return error_set_param(err, STATUS_BAD_VALUE, "labels",
                               "--labels gives %zu names, but the network has %zu classes", card->n_labels,
                               wanted);
    report_size(plan->report, "labels", wanted, "from --labels");
    report_fact(plan->report, "activation", card->sigmoid ? "sigmoid" : "softmax",
                options->activation ? "from --activation"
                : (plan->end == END_UNKNOWN || plan->end == END_RAW) && outputs > 1
                    ? "assumed: the file does not say; --activation sigmoid for "
                      "classes that do not exclude each other"
                : plan->end == END_UNKNOWN ? "one output: the second label's score"
                                           : "from the last layer");
    return STATUS_OK;
}

/* ------------------------------------------------------------------------------------------
 * The task */

static bool reads_ids(const struct plan *plan)
{
    return plan_reads_ids(plan_input(plan));
}

static size_t pooling_at(const struct plan *plan)
{
    for (size_t i = 0; i < plan->n_parts; i++)
        if (strcmp(plan->parts[i].type, "pooling") == 0 || strcmp(plan->parts[i].type, "flatten") == 0 ||
            strcmp(plan->parts[i].type, "attention_pooling") == 0)
            return i;
    return SIZE_MAX;
}

/* The last step's own output is what generation and forecasting give at every step anyway. */
static enum status drop_pooling(struct plan *plan, const char *task, struct error *err)
{
    size_t at = pooling_at(plan);
    for (size_t i = 0; i < plan->n_parts; i++)
        if (plan->parts[i].n_directions > 1 || plan->parts[i].backwards)
            return error_set(err, STATUS_UNSUPPORTED,
                             "%s reads from the end, but task '%s' goes step by step; another "
                             "--task may fit",
                             plan->parts[i].origin, task);
    if (at == SIZE_MAX) return STATUS_OK;
    const char *mode = plan->parts[at].mode ? plan->parts[at].mode : "attention";
    if (strcmp(mode, "last"))
        return error_set(err, STATUS_UNSUPPORTED,
                         "task '%s' gives an output at every step, but the network pools by %s", task, mode);
    if (plan->parts[at].name || plan->parts[at].n_sources)
        return error_set(err, STATUS_BAD_VALUE,
                         "task '%s' gives an output at every step: leave the pooling out of --network", task);
    for (size_t i = at + 1; i < plan->n_parts; i++)
        for (size_t k = 0; k < plan->parts[i].n_sources; k++)
            plan->parts[i].sources[k] -= plan->parts[i].sources[k] > (int)at;
    memmove(&plan->parts[at], &plan->parts[at + 1], (plan->n_parts - at - 1) * sizeof *plan->parts);
    plan->n_parts--;
    plan->pools = false;
    report_ignored(plan->report, "pooling last",
                   pool_print(plan->pool, "task %s takes the last step's output anyway", task));
    return STATUS_OK;
}

/* A network that reads one-hot vectors as numbers becomes one that reads ids, if a tokenizer is given. */
static enum status insert_one_hot(struct plan *plan, struct error *err)
{
    size_t width = plan->parts[0].in, n = plan->n_parts;
    for (size_t i = 0; i < n; i++)
        for (size_t k = 0; k < plan->parts[i].n_sources; k++) {
            if (plan->parts[i].sources[k] == SOURCE_INPUT)
                return error_set(err, STATUS_BAD_VALUE,
                                 "the network reads ids: begin --network with {\"type\":\"one_hot\","
                                 "\"num_classes\":%zu,\"name\":\"ids\"}, and name that instead of 'input'",
                                 width);
            plan->parts[i].sources[k]++;
        }
    struct part *part = plan_add(plan, "one_hot", "", "--tokenizer, and one number a token as input", err);
    if (!part) return err->status;
    part->in = part->out = width;
    enum status status = plan_size(plan, "num_classes", width, "from the size of the input", err);
    struct part *first = pool_take(plan->pool, 1, sizeof *first);
    if (!first) return pool_spent(err);
    *first = *part;
    memmove(plan->parts + 1, plan->parts, n * sizeof *plan->parts);
    plan->parts[0] = *first;
    return status;
}

/* What the source applies after its last layer belongs to the scores of a classification, and to the network
 * of any other task. */
static enum status settle_end(struct plan *plan, const struct card *card, struct error *err)
{
    bool draws = strcmp(card->task, "text-generation") == 0 || plan->n_encoder; /* from a softmax */
    if (plan->end == END_SIGMOID && !draws)
        return plan_plain(plan, "sigmoid", "the last layer's activation", err);
    if (plan->end == END_SOFTMAX && !draws)
        return plan_plain(plan, "softmax", "the last layer's activation", err);
    return STATUS_OK;
}

enum use { NEVER, ALWAYS, EITHER };

/* The tasks, and what each wants of a network. */
static const struct task_row {
    const char *name;
    enum use ids, pools, labels; /* reads ids, not numbers; gives one vector; has classes */
    bool steps;                  /* goes step by step, so nothing may read from the end */
} rows[] = {
    {"text-generation", ALWAYS, NEVER, NEVER, true},
    {"text-classification", ALWAYS, ALWAYS, ALWAYS, false},
    {"sequence-classification", NEVER, ALWAYS, ALWAYS, false},
    {"forecasting", NEVER, NEVER, NEVER, true},
    {"sequence-prediction", EITHER, EITHER, EITHER, false},
    {"token-classification", ALWAYS, NEVER, ALWAYS, false},
    {"forecasting", NEVER, EITHER, NEVER, false}, /* all steps of a horizon at once */
    {"translation", ALWAYS, NEVER, NEVER, false}, /* these have an encoder and a decoder */
    {"pronunciation", ALWAYS, NEVER, NEVER, false},
};
enum {
    GENERATION,
    TEXT,
    SEQUENCE,
    FORECAST,
    PREDICTION,
    TAGGING,
    DIRECT,
    TRANSLATION,
    PRONUNCIATION,
    N_ROWS
};

/* The task that the network and the options leave, or N_ROWS. */
static size_t infer_task(const struct plan *plan, const struct options *options, const char **from)
{
    const struct part *first = plan_input(plan);
    size_t width = plan_width(plan);
    bool every_step = plan->graph_is_known && !plan->pools;
    if (plan->n_encoder) {
        *from = "--network has an encoder and a decoder";
        return TRANSLATION;
    }
    if (reads_ids(plan) && !options->labels && width == first->in) {
        *from = pool_print(plan->pool, "as many outputs as ids: %zu", width);
        return GENERATION;
    }
    *from = pool_print(plan->pool, "%zu %s, %zu outputs%s", first->in,
                       reads_ids(plan) ? "ids" : "numbers a step", width, every_step ? " at every step" : "");
    if (forecaster_asked(options)) return FORECAST;
    if (reads_ids(plan)) return every_step ? options->labels ? TAGGING : PREDICTION : TEXT;
    if (options->labels) return every_step ? PREDICTION : SEQUENCE;
    return plan->end == END_RAW && (first->in != 1 || width != 1) ? PREDICTION : N_ROWS;
}

static enum status choose_task(struct plan *plan, const struct options *options, struct card *card,
                               struct error *err)
{
    const char *from = "from --task";
    size_t row = 0;
    while (options->task && row < N_ROWS && strcmp(options->task, rows[row].name)) row++;
    if (options->task && row == N_ROWS)
        return error_set_param(err, STATUS_BAD_VALUE, "task",
                               "--task '%.40s' is not known; expected text-generation, text-classification, "
                               "sequence-classification, forecasting, sequence-prediction, "
                               "token-classification, or, of an encoder "
                               "and a decoder, translation or pronunciation",
                               options->task);
    if (!options->task) row = infer_task(plan, options, &from);
    if (row == N_ROWS)
        return error_set_param(
            err, STATUS_BAD_VALUE, "task",
            "the network reads %zu numbers a step and gives %zu, which may be classes, values or the "
            "next values of a series; say which by --task sequence-classification, --task "
            "sequence-prediction or --task forecasting",
            plan_input(plan)->in, plan_width(plan));
    if ((row == TRANSLATION || row == PRONUNCIATION) != (plan->n_encoder > 0))
        return error_set_param(
            err, STATUS_BAD_VALUE, "task",
            "task '%s' %s an encoder and a decoder, which --network names as {\"encoder\": "
            "[...], \"decoder\": [...]}",
            rows[row].name, plan->n_encoder ? "has no use for" : "needs");
    if (row != FORECAST && (forecaster_asked(options) || options->context))
        return error_set_param(err, STATUS_BAD_VALUE, "task",
                               "--columns, --horizon, --levels, --shape and --context have no place in task "
                               "'%s'; --task forecasting has them",
                               rows[row].name);
    if (row == FORECAST && options->horizon) row = DIRECT;
    card->row = &rows[row];
    card->task = rows[row].name;
    if (rows[row].ids != EITHER && (rows[row].ids == ALWAYS) != reads_ids(plan))
        return error_set_param(err, STATUS_BAD_VALUE, "task",
                               "task '%s' does not fit a network that reads %s", card->task,
                               reads_ids(plan) ? "ids of tokens" : "numbers");
    report_fact(plan->report, "task", card->task, from);
    return STATUS_OK;
}

/* Whether a part reads from the end of a sequence. */
static bool reads_backwards(const struct plan *plan)
{
    bool found = false;
    for (size_t i = 0; i < plan->n_parts; i++)
        found = found || plan->parts[i].n_directions > 1 || plan->parts[i].backwards;
    return found;
}

static enum status settle_pooling(struct plan *plan, const struct options *options, const struct card *card,
                                  struct error *err)
{
    bool pools = pooling_at(plan) != SIZE_MAX, open = !plan->graph_is_known && !options->pooling;
    if (card->row->steps) return drop_pooling(plan, card->task, err);
    if (card->row->pools == NEVER && pools)
        return error_set(err, STATUS_UNSUPPORTED,
                         "task '%s' gives an output at every step, but the network gives one vector",
                         card->task);
    if (pools || card->row->pools == NEVER) return STATUS_OK;
    /* Without a horizon all steps are answered, and the last output is the same with and without `last`. */
    if (card->row->pools == EITHER && (!open || (!options->horizon && !reads_backwards(plan))))
        return STATUS_OK;
    if (card->row->pools == ALWAYS && plan->graph_is_known)
        return error_set(
            err, STATUS_UNSUPPORTED,
            "the network gives an output at every step, but task '%s' needs one for the sequence; another "
            "--task may fit, such as sequence-prediction",
            card->task);
    return error_set_param(
        err, STATUS_BAD_VALUE, "pooling",
        "the file does not say how the steps become one vector; say it by --pooling last (h_n, or "
        "out[:, -1] of one direction), last_step (out[:, -1] of two), middle, mean, max or sum");
}

enum status card_settle(struct plan *plan, const struct options *options, struct card *card,
                        struct error *err)
{
    if (plan->n_parts == 0) return error_set(err, STATUS_UNSUPPORTED, "no layer was found");
    bool text_asked = options->tokenizer || (options->task && strncmp(options->task, "text-", 5) == 0);
    if (text_asked && !reads_ids(plan) && !plan->n_encoder && plan->parts[0].n_layers) {
        enum status added = insert_one_hot(plan, err);
        if (added != STATUS_OK) return added;
    }
    enum status status = choose_task(plan, options, card, err);
    if (status != STATUS_OK) return status;
    bool forecast = strcmp(card->task, "forecasting") == 0;
    bool labels = card->row->labels == ALWAYS || (card->row->labels == EITHER && options->labels);
    if (!labels) status = settle_end(plan, card, err);
    if (status == STATUS_OK && card->row->ids != NEVER && !card->row->steps && reads_ids(plan))
        status = texts_padding(plan, options, card, err);
    if (status == STATUS_OK) status = settle_pooling(plan, options, card, err);
    card->every_step = !forecast && card->row->pools == EITHER && plan->graph_is_known && !plan->pools;
    if (status == STATUS_OK && options->scaler) {
        status = card_scaler(options->scaler, plan->pool, card, err);
        if (status == STATUS_OK && card->n_scaler != 1 && card->n_scaler != plan_input(plan)->in)
            status =
                error_set(err, STATUS_BAD_SHAPE, "--scaler has %zu features, the network reads %zu a step",
                          card->n_scaler, plan_input(plan)->in);
        if (status == STATUS_OK) report_size(plan->report, "scaler", card->n_scaler, options->scaler);
    }
    if (status == STATUS_OK && forecast) status = forecaster_settle(plan, options, card, err);
    if (status == STATUS_OK && labels) status = settle_labels(plan, options, card, err);
    if (status == STATUS_OK && reads_ids(plan)) status = texts_settle(plan, options, card, err);
    if (status == STATUS_OK && options->golden)
        status =
            card_read_file(options->golden, 8 << 20, plan->pool, &card->golden, &card->golden_bytes, err);
    return status;
}
