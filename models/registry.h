/* registry: the models being served, by name and version.
 *
 * registry.mu guards the table; no other lock is ever taken under it. Any thread. */
#ifndef CAROUSEL_MODELS_REGISTRY_H
#define CAROUSEL_MODELS_REGISTRY_H

#include "models/model.h"

struct registry;

/* Told of each bundle as it is loaded (err NULL) or refused (model NULL). Called on the loading thread. */
typedef void registry_listener(void *context, const char *name, const struct model *model,
                               const struct error *err);

enum status registry_new(struct registry **out) MUST_CHECK;
void registry_free(struct registry *registry); /* drops its references; takes NULL */

/* `precisions` says how each model keeps its weights, as models/per_model.h reads it: a name of core/precision.def or
 * "auto", which is also meant where it says nothing. STATUS_BAD_VALUE where it holds anything else. */
/* Load every bundle in folder `path`: each NAME/ that holds a config.json, or NAME/VERSION/ (VERSION: 1 to
 * 9 digits). A broken one is told to the listener and skipped. Fails only where the
 * folder cannot be read. */
enum status registry_load_folder(struct registry *registry, const char *path,
                                 const char *precisions, registry_listener *listener,
                                 void *context, struct error *err) MUST_CHECK;
/* Load one bundle under `name`. Replaces a model of the same name and version. */
enum status registry_load(struct registry *registry, const char *path, const char *name,
                          const char *precisions, registry_listener *listener, void *context,
                          struct error *err) MUST_CHECK;

/* "name" (its highest version) or "name:version": one reference, the caller's to model_drop; NULL if unknown. */
struct model *registry_acquire(struct registry *registry, const char *id);
/* The only model that serves one of the tasks in the mask (bit 1 << task): NULL where none or several do;
 * *n says how many. */
struct model *registry_acquire_only(struct registry *registry, unsigned tasks, size_t *n);

/* All models, sorted by name then version; each with a reference. The caller drops each and memory_frees
 * the array. */
enum status registry_list(struct registry *registry, struct model ***models, size_t *n) MUST_CHECK;

#endif
