/* registry: the models being served, by name and version.
 *
 * What should be in it is the repository's business (models/repository/repository.h). registry.mu guards the
 * table; no other lock is ever taken under it. Any thread. */
#ifndef CAROUSEL_MODELS_REGISTRY_H
#define CAROUSEL_MODELS_REGISTRY_H

#include "models/bundle/model.h"

struct registry;

enum status registry_new(struct registry **out) MUST_CHECK;
void registry_free(struct registry *registry); /* drops its references; accepts NULL */

/* On success the caller's reference is the registry's. A model of the same name and version is replaced in
 * one step, and lives on while other threads hold it. STATUS_NO_MEMORY, which replacing never gives. */
enum status registry_put(struct registry *registry, struct model *model) MUST_CHECK;
/* Take a model out; its reference is the caller's to model_drop. NULL if it is not there. */
struct model *registry_take(struct registry *registry, const char *name, const char *version);

/* "name" or "name:latest" (its highest version), or "name:version": one reference, the caller's to
 * model_drop; NULL if unknown. */
struct model *registry_acquire(struct registry *registry, const char *id);
/* The only model that has the ability; NULL if none or several have it. *n is their number. */
struct model *registry_acquire_only(struct registry *registry, enum ability ability, size_t *n);

/* All models, sorted by name then version; each with a reference. The caller drops each and memory_frees
 * the array. */
enum status registry_list(struct registry *registry, struct model ***models, size_t *n) MUST_CHECK;

#endif
