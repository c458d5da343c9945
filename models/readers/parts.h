/* parts: from the tensors of one module to a part of a plan. One thread. */
#ifndef CAROUSEL_MODELS_READERS_PARTS_H
#define CAROUSEL_MODELS_READERS_PARTS_H

#include "models/readers/groups.h"
#include "models/text/json.h"

/* What --network says of a layer beside its tensors. */
struct told {
    const struct json *entry;      /* of the file */
    const struct layer_spec *spec; /* the same, as the server reads it; keys that are left out have their
                                      defaults, or are 0 */
};

/* Whether the entry has the key; the word or number of it, NULL or the fallback if not. */
bool told_has(const struct told *told, const char *key);
const char *told_word(const struct told *told, const char *key);
long told_integer(const struct told *told, const char *key, long fallback);
double told_real(const struct told *told, const char *key, double fallback);

/* Add the part of the group. `told` is NULL if there is no --network. */
MUST_CHECK enum status parts_add(struct groups *groups, struct group *group, const struct told *told,
                                 struct error *err);
/* Say why a group becomes no part by itself. */
MUST_CHECK enum status parts_refuse(const struct groups *groups, const struct group *group,
                                    struct error *err);

#endif
