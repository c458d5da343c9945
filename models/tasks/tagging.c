#include "models/tasks/tagging.h"

#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/memory.h"

enum place { OUTSIDE, BEGINS, GOES_ON };

struct tag {
    const char *kind; /* without "B-" or "I-" */
    enum place place;
    size_t begins;    /* of "I-x": the label "B-x", or its own index if there is none */
};

/* A label that another may come after, and the score of that. */
struct arrival {
    float score;
    uint8_t from;
};

struct tags {
    size_t n;
    bool is_learned;
    struct transitions learned;
    struct arrival *arrivals; /* [n, n] of each label, the largest score first; NULL if nothing was learned */
    struct tag tags[];
};

static int by_score(const void *a, const void *b)
{
    const struct arrival *x = a, *y = b;
    if (x->score != y->score) return x->score < y->score ? 1 : -1;
    return (int)x->from - (int)y->from;
}

static enum status sort_arrivals(struct tags *tags)
{
    size_t n = tags->n;
    tags->arrivals = memory_new(n * n, sizeof *tags->arrivals);
    if (!tags->arrivals) return STATUS_NO_MEMORY;
    for (size_t j = 0; j < n; j++) {
        struct arrival *arrivals = tags->arrivals + j * n;
        for (size_t i = 0; i < n; i++)
            arrivals[i] = (struct arrival){tags->learned.between[i * n + j], (uint8_t)i};
        qsort(arrivals, n, sizeof *arrivals, by_score);
    }
    return STATUS_OK;
}

enum status tags_new(const char *const *labels, size_t n, const struct transitions *learned,
                     struct tags **out)
{
    struct tags *tags = memory_new(1, sizeof *tags + n * sizeof *tags->tags);
    if (!tags) return STATUS_NO_MEMORY;
    tags->n = n;
    for (size_t i = 0; i < n; i++) {
        const char *label = labels[i];
        bool has_prefix = (label[0] == 'B' || label[0] == 'I') && label[1] == '-' && label[2];
        tags->tags[i] = (struct tag){.kind = has_prefix ? label + 2 : label, .place = GOES_ON, .begins = i};
        if (!strcmp(label, "O")) tags->tags[i].place = OUTSIDE;
        if (has_prefix && label[0] == 'B') tags->tags[i].place = BEGINS;
    }
    for (size_t i = 0; i < n; i++) {
        bool is_inside = tags->tags[i].place == GOES_ON && tags->tags[i].kind != labels[i]; /* "I-x" */
        for (size_t j = 0; is_inside && j < n; j++)
            if (tags->tags[j].place == BEGINS && !strcmp(tags->tags[j].kind, tags->tags[i].kind))
                tags->tags[i].begins = j;
    }
    if (learned) {
        tags->is_learned = true;
        tags->learned = *learned;
        if (sort_arrivals(tags) != STATUS_OK) {
            memory_free(tags);
            return STATUS_NO_MEMORY;
        }
    }
    *out = tags;
    return STATUS_OK;
}

void tags_free(struct tags *tags)
{
    if (tags) memory_free(tags->arrivals);
    memory_free(tags);
}

/* ---- the likeliest path --------------------------------------------------------------------- */

/* A probability that float has rounded to 0 must not make all paths equal. */
static const double LEAST = 1e-45;

/* What lies before a label on its best path. */
enum from { FROM_BEST, FROM_BEGIN, FROM_SELF };

struct search {
    double *now, *before; /* [n labels] log-probability of the best path that ends in each */
    uint8_t *from;        /* [n steps, n labels] an enum from, or, by transitions, the label before */
    size_t *best;         /* [n steps] label at which the best path so far ends */
};

static size_t best_of(const double *values, size_t n)
{
    size_t best = 0;
    for (size_t i = 1; i < n; i++)
        if (values[i] > values[best]) best = i;
    return best;
}

/* Move the search over one step. */
static void advance(const struct tags *tags, struct search *s, size_t t, const float *scores)
{
    double *swap = s->before;
    s->before = s->now;
    s->now = swap;
    for (size_t j = 0; j < tags->n; j++) {
        size_t begins = tags->tags[j].begins;
        enum from from = FROM_BEST;
        double path = t > 0 ? s->before[s->best[t - 1]] : 0;
        if (begins != j) { /* "I-x" after "B-x" or itself only */
            from = t > 0 && s->before[begins] >= s->before[j] ? FROM_BEGIN : FROM_SELF;
            path = t > 0 ? s->before[from == FROM_BEGIN ? begins : j] : -(double)INFINITY;
        }
        s->from[t * tags->n + j] = (uint8_t)from;
        s->now[j] = path + log(fmax((double)scores[j], LEAST));
    }
    s->best[t] = best_of(s->now, tags->n);
}

/* The same by what was learned. No label before is better than the best one: an arrival whose score, after
 * that one, would not do ends the search, because those that follow it have smaller scores still. So most of
 * the n * n pairs are not looked at, and a long text takes a fraction of their time. */
static void advance_learned(const struct tags *tags, struct search *s, size_t t, const float *scores)
{
    double *swap = s->before;
    size_t n = tags->n, best = t > 0 ? s->best[t - 1] : 0;
    s->before = s->now;
    s->now = swap;
    for (size_t j = 0; j < n; j++) {
        const struct arrival *arrival = tags->arrivals + j * n, *last = arrival + n;
        size_t from = best;
        double path = (double)tags->learned.start[j];
        if (t > 0) path = s->before[best] + (double)tags->learned.between[best * n + j];
        for (; t > 0 && arrival < last && s->before[best] + (double)arrival->score >= path; arrival++) {
            double other = s->before[arrival->from] + (double)arrival->score;
            if (other < path || (other == path && arrival->from > from)) continue;
            path = other;
            from = arrival->from;
        }
        s->from[t * n + j] = (uint8_t)from;
        s->now[j] = path + log(fmax((double)scores[j], LEAST));
    }
    s->best[t] = best_of(s->now, n);
}

/* The label of step t - 1 on the best path to `label` at step t. */
static size_t label_before(const struct tags *tags, const struct search *s, size_t t, size_t label)
{
    uint8_t from = s->from[t * tags->n + label];
    if (tags->is_learned) return from;
    if (from == FROM_BEST) return s->best[t - 1];
    return from == FROM_BEGIN ? tags->tags[label].begins : label;
}

/* The label at which the best of all paths ends. */
static size_t last_label(const struct tags *tags, const struct search *s)
{
    for (size_t j = 0; tags->is_learned && j < tags->n; j++) s->now[j] += (double)tags->learned.end[j];
    return best_of(s->now, tags->n);
}

enum status tags_path(const struct tags *tags, const float *scores, size_t width, size_t n, size_t *path)
{
    struct search s = {.now = memory_new(tags->n, sizeof *s.now), .before = memory_new(tags->n,
                                                                                       sizeof *s.now),
                       .from = memory_new(n, tags->n), .best = memory_new(n, sizeof *s.best)};
    bool there = s.now && s.before && s.from && s.best;
    for (size_t t = 0; there && t < n; t++)
        if (tags->is_learned) advance_learned(tags, &s, t, scores + t * width);
        else advance(tags, &s, t, scores + t * width);
    if (there && n > 0) path[n - 1] = last_label(tags, &s);
    for (size_t t = n; there && t-- > 1;) path[t - 1] = label_before(tags, &s, t, path[t]);
    memory_free(s.now);
    memory_free(s.before);
    memory_free(s.from);
    memory_free(s.best);
    return there ? STATUS_OK : STATUS_NO_MEMORY;
}

/* ---- entities ------------------------------------------------------------------------------- */

bool tags_next(const struct tags *tags, const size_t *path, const float *scores, size_t width, size_t n,
               size_t *at, struct entity *out)
{
    while (*at < n && tags->tags[path[*at]].place == OUTSIDE) ++*at;
    if (*at == n) return false;
    *out = (struct entity){.kind = tags->tags[path[*at]].kind, .first = *at};
    do {
        out->score += (double)scores[*at * width + path[*at]];
        ++*at;
    } while (*at < n && tags->tags[path[*at]].place == GOES_ON &&
             !strcmp(tags->tags[path[*at]].kind, out->kind));
    out->end = *at;
    out->score /= (double)(out->end - out->first);
    return true;
}
