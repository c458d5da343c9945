/* Prompts that begin as an earlier one did (server/sessions/prefixes.h). */
#include <string.h>

#include "core/base/memory.h"
#include "server/routes/completion.h"
#include "server/request/server.h"
#include "server/sessions/prefixes.h"

static uint64_t salt_of(const struct request *request, const struct model *model)
{
    return prefixes_salt(network_serial(model->network), request->owner);
}

/* One prompt, from its beginning, of which no output before the last is wanted. */
static bool fits(const struct request *request, const struct job_options *options,
                 const struct generation_request *r)
{
    return request->server->prefixes && r->n_prompts == 1 && !options->from && !(r->echo &&
                                                                                 r->logprobs >= 0) &&
           r->prompts[0].n > GENERATION_FIRST_MARK;
}

void completion_find_prefix(struct completion *completion, const struct request *request,
                            const struct model *model, const struct job_options *options,
                            struct generation_request *r, struct state **prefix)
{
    *prefix = NULL;
    if (!fits(request, options, r)) return;
    int32_t bos = tokenizer_bos(model->tokenizer);
    size_t lead = bos != TOKEN_NONE, n = lead + r->prompts[0].n;
    int32_t *tokens = memory_new(n, sizeof *tokens);
    if (!tokens) return;
    tokens[0] = bos;
    memcpy(tokens + lead, r->prompts[0].ids, r->prompts[0].n * sizeof *tokens);
    r->marks = true;
    r->n_prefix = prefixes_find(request->server->prefixes, salt_of(request, model), tokens, n - 1, prefix);
    r->prefix = *prefix;
    completion->n_cached = r->n_prefix;
    memory_free(tokens);
}

void completion_keep_prefixes(const struct completion *completion, const struct request *request)
{
    const struct model *model = completion->work.job->model;
    size_t n_floats = network_state_floats(model->network), n;
    const int32_t *tokens;
    const float *floats;
    for (size_t i = 0; generation_mark(completion->job, i, &tokens, &n, &floats); i++) {
        struct state *state;
        if (state_new(n, n_floats, 0, &state) != STATUS_OK) return;
        memcpy(state->floats, floats, n_floats * sizeof *floats);
        prefixes_put(request->server->prefixes, salt_of(request, model), tokens, n, state);
        state_drop(state);
    }
}
