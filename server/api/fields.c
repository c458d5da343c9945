#include "server/api/fields.h"

#include <stdint.h>
#include <string.h>

#include "models/text/sentence.h"

static bool is_listed(const char *const *list, const char *name)
{
    for (; list && *list; list++)
        if (!strcmp(*list, name)) return true;
    return false;
}

static const struct synonym *find_synonym(const struct fields *fields, const char *name)
{
    for (const struct synonym *s = fields->synonyms; s && s->name; s++)
        if (!strcmp(s->name, name)) return s;
    return NULL;
}

static const struct refusal *find_refusal(const struct fields *fields, const char *name)
{
    for (const struct refusal *r = fields->refusals; r && r->name; r++)
        if (!strcmp(r->name, name)) return r;
    return NULL;
}

/* Keep in *best the name that is nearest to `name`, if it is a slip away. */
static void keep_nearest(const char *const *list, const char *name, const char **best, size_t *distance)
{
    for (; list && *list; list++) {
        size_t d = sentence_distance(name, *list);
        if (d >= *distance || !sentence_is_slip(d, name)) continue;
        *best = *list;
        *distance = d;
    }
}

static bool refuse_unknown(const char *name, const struct fields *fields, const char *const *common,
                           struct problem *problem)
{
    const char *best = NULL;
    size_t distance = SIZE_MAX;
    char shown[QUOTE_BYTES];
    sentence_quote(shown, name, strlen(name));
    keep_nearest(fields->known, name, &best, &distance);
    keep_nearest(common, name, &best, &distance);
    if (best)
        return problem_set(problem, FAULT_INVALID_VALUE, name,
                           "%s is not a field of this request; did you mean '%s'?", shown, best);
    return problem_set(problem, FAULT_INVALID_VALUE, name, "%s is not a field of this request", shown);
}

/* A value with which a client asks for nothing. */
static bool is_nothing(const struct json *value)
{
    switch (json_kind(value)) {
    case JSON_ABSENT:
    case JSON_NULL: return true;
    case JSON_BOOLEAN: return !json_boolean(value);
    case JSON_STRING: return !json_string(value)[0];
    case JSON_ARRAY:
    case JSON_OBJECT: return !json_first(value);
    case JSON_NUMBER: return false;
    }
    return false;
}

/* A synonym must be the only member that means the field. */
static bool check_synonym(const struct json *object, const struct fields *fields,
                          const struct synonym *synonym, struct problem *problem)
{
    const char *other = json_get(object, synonym->ours) ? synonym->ours : NULL;
    if (!json_get(object, synonym->name)) return true;
    for (const struct synonym *s = fields->synonyms; s->name && !other; s++)
        if (s != synonym && !strcmp(s->ours, synonym->ours) && json_get(object, s->name)) other = s->name;
    return !other || problem_set(problem, FAULT_INVALID_VALUE, synonym->name,
                                 "'%s' and '%s' mean the same; expected one of them", other, synonym->name);
}

static bool is_of_kind(const struct json *value, enum json_kind kind)
{
    return kind == JSON_ABSENT || json_kind(value) == kind || json_kind(value) == JSON_NULL;
}

bool fields_check(const struct json *object, const struct fields *fields, const char *const *common,
                  bool strict, struct problem *problem)
{
    for (const struct json *child = json_first(object); child; child = json_next(child)) {
        const char *name = json_key(child);
        if (is_listed(fields->known, name) || is_listed(common, name)) continue;
        const struct synonym *synonym = find_synonym(fields, name);
        if (synonym && !check_synonym(object, fields, synonym, problem)) return false;
        if (synonym) continue;
        const struct refusal *refusal = find_refusal(fields, name);
        if (refusal && !(is_nothing(child) && is_of_kind(child, refusal->kind)))
            return problem_set(problem, FAULT_INVALID_VALUE, name, "'%s' is not a field of this request; %s",
                               name, refusal->advice);
        if (!refusal && (strict || !fields->is_open)) return refuse_unknown(name, fields, common, problem);
    }
    return true;
}

const char *field_written(const struct json *object, const struct fields *fields, const char *ours)
{
    for (const struct synonym *s = fields->synonyms; s && s->name; s++)
        if (!strcmp(s->ours, ours) && json_get(object, s->name)) return s->name;
    return ours;
}
