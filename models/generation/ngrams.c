#include "models/generation/ngrams.h"

#include <math.h>
#include <string.h>

void ngrams_take(struct ngrams *ngrams, size_t n, struct arena *arena)
{
    *ngrams = (struct ngrams){.n = n};
    if (n > 0) ngrams->ids = arena_take(arena, 2 * NGRAMS_WINDOW, sizeof *ngrams->ids);
}

void ngrams_add(struct ngrams *ngrams, int32_t id)
{
    if (ngrams->n == 0) return;
    if (ngrams->count == 2 * NGRAMS_WINDOW) {
        memcpy(ngrams->ids, ngrams->ids + NGRAMS_WINDOW, NGRAMS_WINDOW * sizeof *ngrams->ids);
        ngrams->count = NGRAMS_WINDOW;
    }
    ngrams->ids[ngrams->count++] = id;
}

const int32_t *ngrams_window(const struct ngrams *ngrams, size_t *count)
{
    *count = ngrams->count < NGRAMS_WINDOW ? ngrams->count : NGRAMS_WINDOW;
    return *count > 0 ? ngrams->ids + ngrams->count - *count : NULL;
}

size_t ngrams_bar(const struct ngrams *ngrams, double *x)
{
    size_t count, before = ngrams->n - 1, n_barred = 0;
    const int32_t *ids = ngrams_window(ngrams, &count);
    if (ngrams->n == 0 || count < ngrams->n) return 0;
    const int32_t *last = ids + count - before;
    for (size_t i = 0; i + before < count; i++) {
        double *barred = &x[ids[i + before]];
        if (before > 0 && memcmp(ids + i, last, before * sizeof *ids) != 0) continue;
        n_barred += *barred > -INFINITY;
        *barred = -INFINITY;
    }
    return n_barred;
}
