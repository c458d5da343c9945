#include "models/tasks/tagging.h"

#include <math.h>
#include <stdint.h>
#include <string.h>

#include "core/base/memory.h"

enum place { OUTSIDE, BEGINS, GOES_ON };

struct tag {
    const char *kind; /* without "B-" or "I-" */
    enum place place;
    size_t begins;    /* of "I-x": the label "B-x", or its own index if there is none */
};

struct tags {
    size_t n;
    struct tag tags[];
};

enum status tags_new(const char *const *labels, size_t n, struct tags **out)
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
    for (size_t i = 0; i < n; i++)
        for (size_t j = 0; j < n && tags->tags[i].place == GOES_ON && labels[i][0] == 'I'; j++)
            if (tags->tags[j].place == BEGINS && !strcmp(tags->tags[j].kind, labels[i] + 2))
                tags->tags[i].begins = j;
    *out = tags;
    return STATUS_OK;
}

void tags_free(struct tags *tags)
{
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

/* The same by what was learned. */
static void advance_learned(const struct transitions *by, size_t n, struct search *s, size_t t,
                            const float *scores)
{
    double *swap = s->before;
    s->before = s->now;
    s->now = swap;
    uint8_t *from = s->from + t * n;
    for (size_t j = 0; j < n; j++) s->now[j] = t > 0 ? -(double)INFINITY : (double)by->start[j];
    for (size_t i = 0; t > 0 && i < n; i++)
        for (size_t j = 0; j < n; j++) {
            double path = s->before[i] + (double)by->between[i * n + j];
            if (path <= s->now[j]) continue;
            s->now[j] = path;
            from[j] = (uint8_t)i;
        }
    for (size_t j = 0; j < n; j++) s->now[j] += log(fmax((double)scores[j], LEAST));
}

/* The label of step t - 1 on the best path to `label` at step t. */
static size_t label_before(const struct tags *tags, const struct search *s, size_t t, size_t label,
                           bool is_learned)
{
    uint8_t from = s->from[t * tags->n + label];
    if (is_learned) return from;
    if (from == FROM_BEST) return s->best[t - 1];
    return from == FROM_BEGIN ? tags->tags[label].begins : label;
}

/* The label at which the best of all paths ends. */
static size_t last_label(const struct tags *tags, const struct transitions *by, const struct search *s)
{
    for (size_t j = 0; by && j < tags->n; j++) s->now[j] += (double)by->end[j];
    return best_of(s->now, tags->n);
}

enum status tags_path(const struct tags *tags, const struct transitions *transitions, const float *scores,
                      size_t width, size_t n, size_t *path)
{
    struct search s = {.now = memory_new(tags->n, sizeof *s.now), .before = memory_new(tags->n,
                                                                                       sizeof *s.now),
                       .from = memory_new(n, tags->n), .best = memory_new(n, sizeof *s.best)};
    bool there = s.now && s.before && s.from && s.best;
    for (size_t t = 0; there && t < n; t++)
        if (transitions) advance_learned(transitions, tags->n, &s, t, scores + t * width);
        else advance(tags, &s, t, scores + t * width);
    if (there && n > 0) path[n - 1] = last_label(tags, transitions, &s);
    for (size_t t = n; there && t-- > 1;) path[t - 1] = label_before(tags, &s, t, path[t], transitions);
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
