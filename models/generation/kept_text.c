#include "models/generation/kept_text.h"

#include "models/tokenizers/tokenizer.h"

/* The counts that are not zero, as pairs of id and count, ids ascending. */
static void walk_counts(struct rest *rest, uint32_t *counts, size_t V)
{
    uint32_t n = 0, id = 0, count = 0;
    if (rest->use != REST_READ)
        for (size_t i = 0; counts && i < V; i++) n += counts[i] != 0;
    rest_field(rest, &n, sizeof n);
    if (rest->use == REST_READ) {
        int64_t before = -1;
        for (uint32_t i = 0; i < n && !rest->failed; i++) {
            rest_field(rest, &id, sizeof id);
            rest_field(rest, &count, sizeof count);
            rest->failed |= id >= V || (int64_t)id <= before || count == 0;
            if (counts && !rest->failed) counts[id] = count;
            before = id;
        }
        return;
    }
    for (id = 0; counts && id < V; id++) {
        if (counts[id] == 0) continue;
        rest_field(rest, &id, sizeof id);
        rest_field(rest, &counts[id], sizeof counts[id]);
    }
}

/* The last tokens of the text. */
static void walk_ngrams(struct rest *rest, struct ngrams *ngrams, size_t V)
{
    size_t count = 0;
    const int32_t *ids = ngrams && rest->use != REST_READ ? ngrams_window(ngrams, &count) : NULL;
    uint32_t n = (uint32_t)count;
    rest_field(rest, &n, sizeof n);
    rest->failed |= n > NGRAMS_WINDOW;
    for (uint32_t i = 0; i < n && !rest->failed; i++) {
        int32_t id = ids ? ids[i] : 0;
        rest_field(rest, &id, sizeof id);
        if (rest->use != REST_READ) continue;
        rest->failed |= id < 0 || (size_t)id >= V;
        if (ngrams && !rest->failed) ngrams_add(ngrams, id);
    }
}

void kept_text_walk(struct rest *rest, struct kept_text *kept, uint32_t *counts, struct ngrams *ngrams,
                    size_t V)
{
    struct random *random = &kept->random;
    uint32_t n_left = random->n_left;
    rest_field(rest, &kept->last, sizeof kept->last);
    rest_field(rest, &kept->previous, sizeof kept->previous);
    rest_field(rest, &kept->seed, sizeof kept->seed);
    rest_field(rest, random->key, sizeof random->key);
    rest_field(rest, random->counter, sizeof random->counter);
    rest_field(rest, random->block, sizeof random->block);
    rest_field(rest, &n_left, sizeof n_left);
    random->n_left = n_left;
    rest_field(rest, &kept->n_held, sizeof kept->n_held);
    if (kept->n_held > KEPT_TEXT_HELD_BYTES) rest->failed = true;
    else rest_field(rest, kept->held, kept->n_held);
    walk_counts(rest, counts, V);
    walk_ngrams(rest, ngrams, V);
}

bool kept_text_read(const struct state *state, size_t V, struct kept_text *kept, uint32_t *counts,
                    struct ngrams *ngrams, struct error *err)
{
    struct rest rest = {.use = REST_READ, .bytes = state->rest, .n = state->n_rest};
    *kept = (struct kept_text){.last = TOKEN_NONE};
    kept_text_walk(&rest, kept, counts, ngrams, V);
    bool good = rest_is_over(&rest) && kept->last >= 0 && (size_t)kept->last < V &&
                (kept->previous == TOKEN_NONE || (kept->previous >= 0 && (size_t)kept->previous < V)) &&
                kept->random.n_left <= 2;
    if (!good)
        (void)error_set(err, STATUS_BAD_VALUE,
                        "the state is not one that this model wrote: expected a state of the same model");
    return good;
}
