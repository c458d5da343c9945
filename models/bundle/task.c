#include "models/bundle/task.h"

#include <assert.h>

static const struct task *const tasks[N_TASKS] = {
#define X(id, symbol) [TASK_##id] = &task_##symbol,
#include "models/bundle/task.def"
};

const char *ability_text(enum ability ability)
{
    static const char *const texts[] = {
#define X(symbol, what) what,
#include "models/bundle/ability.def"
    };
    assert((unsigned)ability < N_ABILITIES);
    return texts[ability];
}

const struct task *task_of(enum task_id id)
{
    assert((unsigned)id < N_TASKS);
    return tasks[id];
}

bool task_can(const struct task *task, enum ability ability)
{
    return task->abilities >> ability & 1;
}

bool task_reads(const struct task *task, const struct section *section)
{
    for (size_t i = 0; i < TASK_SECTIONS; i++)
        if (task->sections[i].section == section) return true;
    return false;
}

size_t task_sections(const struct section **out, size_t max)
{
    size_t n = 0, i;
    for (size_t t = 0; t < N_TASKS; t++)
        for (size_t s = 0; s < TASK_SECTIONS && tasks[t]->sections[s].section; s++) {
            for (i = 0; i < n && out[i] != tasks[t]->sections[s].section; i++) {}
            if (i < n) continue;
            assert(n < max);
            out[n++] = tasks[t]->sections[s].section;
        }
    return n;
}

/* ------------------------------------------------------------------------------------------
 * What several tasks ask of a network */

static enum status check_pooling(const struct parts *parts, const struct task *task, size_t expected,
                                 struct error *err)
{
    size_t n = 0;
    const struct layer *layer;
    for (size_t i = 0; (layer = network_layer(parts->network, i)); i++) n += layer->pools;
    if (n == expected) return STATUS_OK;
    return error_set(err, STATUS_BAD_VALUE, "the network has %zu pooling layers, task '%s' needs %s", n,
                     task->name, expected ? "exactly one" : "none");
}

enum status task_check_pooled(const struct parts *parts, const struct task *task, struct error *err)
{
    return check_pooling(parts, task, 1, err);
}

enum status task_check_stepwise(const struct parts *parts, const struct task *task, struct error *err)
{
    return check_pooling(parts, task, 0, err);
}

enum status task_check_causal(const struct parts *parts, const struct task *task, struct error *err)
{
    enum status status = task_check_stepwise(parts, task, err);
    if (status != STATUS_OK || !network_is_whole(parts->network)) return status;
    return error_set(err, STATUS_BAD_VALUE,
                     "the network reads its sequence in both directions, which task '%s' cannot: the "
                     "next step is not known yet", task->name);
}

enum status task_check_tokens(const struct parts *parts, const struct task *task, struct error *err)
{
    size_t vocabulary = network_vocabulary_size(parts->network), n = tokenizer_size(parts->tokenizer);
    if (vocabulary == n) return STATUS_OK;
    if (vocabulary == 0)
        return error_set(err, STATUS_BAD_VALUE, "the network reads numbers, task '%s' needs a "
                         "first layer that reads tokens", task->name);
    return error_set(err, STATUS_BAD_SHAPE,
                     "the network reads %zu different tokens, the tokenizer has %zu", vocabulary, n);
}

enum status task_check_numbers(const struct parts *parts, const struct task *task, struct error *err)
{
    if (network_vocabulary_size(parts->network) == 0) return STATUS_OK;
    return error_set(err, STATUS_BAD_VALUE, "the network reads tokens, task '%s' needs a first "
                     "layer that reads numbers", task->name);
}
