/* repository: what should be served, what is, and how the one becomes the other.
 *
 * It compares the catalogue of bundles on disk with the registry and loads, replaces and removes models
 * until they agree. A bundle that fails leaves what was served before it in its place. A thread that holds a
 * model keeps it: the registry's reference goes, the model with the last one.
 *
 * With versions "all" every version of a name is served; with "latest" the highest that loads, and the lower
 * ones go when it has come. A name that was unloaded by request stays out until it is loaded by request.
 *
 * One call at a time brings about changes: repository_start on main, then the loader's
 * (models/repository/loader.h). repository_start has threads that help it: repository.changing guards all but
 * the reading of a bundle, and the listener is called under it. repository_list and repository_find may be
 * called by any thread: repository.mu guards the states they show; it may be taken under repository.changing,
 * and no other lock under it. Reads files and computes golden vectors: milliseconds to seconds a model. If
 * the thread's work is given up (core/base/throttle.h), it ends within one of them with STATUS_CLOSING and
 * without a call of the listener; what has been loaded so far is served. */
#ifndef CAROUSEL_MODELS_REPOSITORY_H
#define CAROUSEL_MODELS_REPOSITORY_H

#include "models/repository/catalogue.h"
#include "models/repository/registry.h"

struct repository;

enum repository_event {
    REPOSITORY_LOADED,   /* model */
    REPOSITORY_REFUSED,  /* err; model NULL; what was served before still is */
    REPOSITORY_UNLOADED  /* model: it is out of the registry; err NULL */
};

/* Called on the thread that brings about the change. */
typedef void repository_listener(void *context, enum repository_event event, const char *name,
                                 const struct model *model, const struct error *err);

/* A bundle of so many bytes of weights, name `at` of `n`, begins to be read. */
typedef void repository_loading(void *context, const char *name, size_t at, size_t n, uint64_t bytes);

/* Texts as the configuration has them; borrowed until repository_free, as is the registry. */
struct repository_options {
    struct registry *registry;
    struct catalogue_sources sources;
    const char *versions;   /* per model: "all" (also if nothing is said) or "latest" */
    const char *precisions; /* per model: models/repository/per_model.h */
    repository_listener *listener; /* may be NULL */
    repository_loading *loading;   /* may be NULL */
    void *context;
};

enum status repository_new(const struct repository_options *options, struct repository **out) MUST_CHECK;
void repository_free(struct repository *repository); /* accepts NULL; the registry keeps its models */

/* repository_sync at the start, by so many threads together: each bundle is served as soon as it has been
 * loaded. */
enum status repository_start(struct repository *repository, size_t n_threads, struct error *err) MUST_CHECK;

/* Load what is new, load anew what has changed, try again what has failed, take out what has vanished. A
 * broken bundle is told to the listener and is no failure. Fails, and changes nothing, if the catalogue
 * cannot be read. */
enum status repository_sync(struct repository *repository, struct error *err) MUST_CHECK;

/* The same for what has been still: a bundle whose files were just as they are when this was called last,
 * whose weights are as long as they say, and which has not been tried so; or one that was not there the last
 * time either. */
enum status repository_poll(struct repository *repository, struct error *err) MUST_CHECK;

/* Load "name" (as many of its versions as are to be served) or "name:version", changed or not. The sentence
 * of the first bundle that fails; STATUS_NOT_FOUND if no such bundle lies on disk; STATUS_UNSUPPORTED for
 * a version that is not to be served. */
enum status repository_load(struct repository *repository, const char *id, struct error *err) MUST_CHECK;

/* Take all versions of `name` out. STATUS_NOT_FOUND if it is not known. */
enum status repository_unload(struct repository *repository, const char *name, struct error *err) MUST_CHECK;

enum repository_state { REPOSITORY_UNAVAILABLE, REPOSITORY_LOADING, REPOSITORY_READY };

struct repository_entry {
    char name[MODEL_NAME_BYTES + 1], version[MODEL_VERSION_BYTES + 1];
    enum repository_state state;
    char reason[ERROR_MESSAGE_BYTES]; /* why it is not served, or why the last load failed though it is; "" */
    bool wanted; /* it should be served: neither unloaded by request nor left out for a later version */
};

/* All bundles that are known, sorted by name then version. The caller memory_frees the array. */
enum status repository_list(struct repository *repository, struct repository_entry **entries,
                            size_t *n) MUST_CHECK;
/* What is known of one version of a name, or, with NULL, of the highest; false if nothing is. */
bool repository_find(struct repository *repository, const char *name, const char *version,
                     struct repository_entry *out);

#endif
