/* fields: the names that the members of a request's object may have.
 *
 * A name is one of ours, a synonym of one of ours, a name that is refused with a sentence about what to send
 * instead, or unknown. Routes of our own refuse unknown names, with "did you mean" if one of ours is a slip
 * away; routes of OpenAI's shape ignore them. A synonym means exactly ours: it has the same type, range and
 * default. The field's value is read under the name that the client wrote, so that every later sentence names
 * that one (field_written).
 *
 * The tables are constants of the route. Pure; any thread. */
#ifndef CAROUSEL_SERVER_FIELDS_H
#define CAROUSEL_SERVER_FIELDS_H

#include <stdbool.h>

#include "server/api/document.h"

struct synonym {
    const char *name, *ours;
};

struct refusal {
    const char *name, *advice; /* advice ends the sentence "'name' is not a field of this request; ..." */
    enum json_kind kind;       /* of a value that may ask for nothing, besides null; JSON_ABSENT: any */
};

/* Each list ends with NULL, and may be NULL itself. */
struct fields {
    const char *const *known;
    const struct synonym *synonyms;
    const struct refusal *refusals; /* a value that asks for nothing (null, false, "", [], {}) is ignored */
    bool goes_on;                   /* the route can go on from a state and keep one */
    bool begins_from;               /* or go on from one only */
    const char *stateless;          /* why it cannot (both false), or cannot keep one: ends the sentence
                                     * "'store' has no meaning here: ..."; NULL: nothing to say */
    bool is_open;                   /* unknown names are ignored */
};

/* Check the name of every member of `object`; `common` lists names that all routes share, and may be NULL.
 * Return false with *problem filled (invalid_value) for a name that is refused or unknown, and for two
 * members that mean the same. `strict`: refuse unknown names even if the fields are open. */
bool fields_check(const struct json *object, const struct fields *fields, const char *const *common,
                  bool strict, struct problem *problem);

/* Return the name under which `object` holds the field `ours`: a synonym, or `ours` itself, also if the field
 * is absent. */
const char *field_written(const struct json *object, const struct fields *fields, const char *ours);

#endif
