#include "models/registry.h"

#include <dirent.h>
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "core/memory.h"
#include "models/per_model.h"
#include "models/sentence.h"

enum { PATH_BYTES = 4096, VERSION_DIGITS = 9, MAX_ENTRIES = 100000 };

static const char CONFIG[] = "config.json", FIRST_VERSION[] = "1";

struct registry {
    pthread_mutex_t mu;
    struct model **models; /* [n] by name, then version; one reference each */
    size_t n, room;
};

enum status registry_new(struct registry **out)
{
    struct registry *registry = memory_new(1, sizeof *registry);
    if (!registry) return STATUS_NO_MEMORY;
    if (pthread_mutex_init(&registry->mu, NULL) != 0) {
        memory_free(registry);
        return STATUS_NO_MEMORY;
    }
    *out = registry;
    return STATUS_OK;
}

void registry_free(struct registry *registry)
{
    if (!registry) return;
    for (size_t i = 0; i < registry->n; i++) model_drop(registry->models[i]);
    memory_free(registry->models);
    pthread_mutex_destroy(&registry->mu);
    memory_free(registry);
}

/* ------------------------------------------------------------------------------------------
 * The table */

/* Versions are numbers, so 10 comes after 9. */
static int compare(const struct model *model, const char *name, const char *version)
{
    int order = strcmp(model->name, name);
    if (order != 0) return order;
    long a = strtol(model->version, NULL, 10), b = strtol(version, NULL, 10);
    return a < b ? -1 : a > b;
}

/* The first place that is not before (name, version). */
static size_t place_of(const struct registry *registry, const char *name, const char *version)
{
    size_t i = 0;
    while (i < registry->n && compare(registry->models[i], name, version) < 0) i++;
    return i;
}

static enum status make_room(struct registry *registry)
{
    if (registry->n < registry->room) return STATUS_OK;
    size_t room = registry->room ? registry->room * 2 : 16;
    struct model **models = memory_new(room, sizeof *models);
    if (!models) return STATUS_NO_MEMORY;
    if (registry->n > 0) memcpy(models, registry->models, registry->n * sizeof *models);
    memory_free(registry->models);
    registry->models = models;
    registry->room = room;
    return STATUS_OK;
}

/* Takes the caller's reference, on success. The model that was there lives on with those who hold it. */
static enum status insert(struct registry *registry, struct model *model)
{
    struct model *old = NULL;
    pthread_mutex_lock(&registry->mu);
    enum status status = make_room(registry);
    size_t i = place_of(registry, model->name, model->version);
    if (i < registry->n && compare(registry->models[i], model->name, model->version) == 0) {
        old = registry->models[i];
        registry->models[i] = model;
        status = STATUS_OK;
    } else if (status == STATUS_OK) {
        struct model **at = registry->models + i;
        memmove(at + 1, at, (registry->n++ - i) * sizeof *at);
        *at = model;
    }
    pthread_mutex_unlock(&registry->mu);
    model_drop(old);
    return status;
}

struct model *registry_acquire(struct registry *registry, const char *id)
{
    const char *colon = strchr(id, ':');
    size_t bytes = colon ? (size_t)(colon - id) : strlen(id);
    struct model *found = NULL;
    pthread_mutex_lock(&registry->mu);
    for (size_t i = 0; i < registry->n; i++) {
        struct model *model = registry->models[i];
        if (strncmp(model->name, id, bytes) != 0 || model->name[bytes] != '\0') continue;
        if (!colon || strcmp(model->version, colon + 1) == 0) found = model;
    }
    if (found) model_acquire(found);
    pthread_mutex_unlock(&registry->mu);
    return found;
}

struct model *registry_acquire_only(struct registry *registry, unsigned tasks, size_t *n)
{
    struct model *found = NULL;
    *n = 0;
    pthread_mutex_lock(&registry->mu);
    for (size_t i = 0; i < registry->n; i++) {
        struct model *model = registry->models[i];
        if (!(tasks >> model->task & 1)) continue;
        if (!found || strcmp(found->name, model->name) != 0) ++*n;
        found = model;
    }
    if (*n != 1) found = NULL;
    if (found) model_acquire(found);
    pthread_mutex_unlock(&registry->mu);
    return found;
}

enum status registry_list(struct registry *registry, struct model ***models, size_t *n)
{
    pthread_mutex_lock(&registry->mu);
    size_t count = registry->n;
    struct model **list = memory_new(count, sizeof *list);
    for (size_t i = 0; list && i < count; i++) list[i] = model_acquire(registry->models[i]);
    pthread_mutex_unlock(&registry->mu);
    if (!list) return STATUS_NO_MEMORY;
    *models = list;
    *n = count;
    return STATUS_OK;
}

/* ------------------------------------------------------------------------------------------
 * Folders */

struct loading {
    struct registry *registry;
    const char *precisions;
    registry_listener *listener; /* may be NULL */
    void *context;
};

static void tell_refusal(const struct loading *loading, const char *name, const struct error *err)
{
    if (loading->listener) loading->listener(loading->context, name, NULL, err);
}

static enum status load_one(const struct loading *loading, const char *path, const char *name,
                            const char *version, struct error *err)
{
    struct model *model;
    struct error told;
    enum precision precision;
    enum status status = per_model_precision(loading->precisions, name, &precision, &told);
    if (status == STATUS_OK) status = model_load(path, name, version, precision, &model, &told);
    if (status == STATUS_OK) {
        /* Our reference lets the listener look at a model that a reload may replace meanwhile. */
        status = insert(loading->registry, model_acquire(model));
        if (status != STATUS_OK) {
            error_set(&told, status, "no memory");
            model_drop(model);
        }
        if (status == STATUS_OK && loading->listener)
            loading->listener(loading->context, name, model, NULL);
        model_drop(model);
    }
    if (status == STATUS_OK) return status;
    tell_refusal(loading, name, &told);
    if (err) *err = told;
    return status;
}

static int by_text(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

struct names {
    char **list; /* [n] owned */
    size_t n, room;
};

static void names_release(struct names *names)
{
    for (size_t i = 0; i < names->n; i++) memory_free(names->list[i]);
    memory_free(names->list);
}

static enum status names_add(struct names *names, const char *name, struct error *err)
{
    if (names->n == names->room) {
        size_t room = names->room ? names->room * 2 : 64;
        char **list = memory_new(room, sizeof *list);
        if (!list) return error_set(err, STATUS_NO_MEMORY, "no memory");
        if (names->n > 0) memcpy(list, names->list, names->n * sizeof *list);
        memory_free(names->list);
        names->list = list;
        names->room = room;
    }
    char *copy = memory_copy_text(name, strlen(name));
    if (!copy) return error_set(err, STATUS_NO_MEMORY, "no memory");
    names->list[names->n++] = copy;
    return STATUS_OK;
}

/* The entries of a folder that do not begin with a dot, sorted. The caller releases *names. */
static enum status names_read(struct names *names, const char *path, struct error *err)
{
    *names = (struct names){0};
    DIR *dir = opendir(path);
    if (!dir)
        return error_set(err, errno == ENOENT ? STATUS_NOT_FOUND : STATUS_IO,
                         "cannot open folder '%s': %s", path, strerror(errno));
    enum status status = STATUS_OK;
    for (struct dirent *e; status == STATUS_OK && names->n < MAX_ENTRIES && (e = readdir(dir));)
        if (e->d_name[0] != '.') status = names_add(names, e->d_name, err);
    closedir(dir);
    if (names->n > 0) qsort(names->list, names->n, sizeof *names->list, by_text);
    return status;
}

static bool is_version(const char *name)
{
    size_t n = strspn(name, "0123456789");
    return n >= 1 && n <= VERSION_DIGITS && name[n] == '\0' && name[0] != '0';
}

static bool join(char out[PATH_BYTES], const char *path, const char *name)
{
    int n = snprintf(out, PATH_BYTES, "%s/%s", path, name);
    return n >= 0 && n < PATH_BYTES;
}

static bool is_bundle(const char *path)
{
    char config[PATH_BYTES];
    struct stat facts;
    return join(config, path, CONFIG) && lstat(config, &facts) == 0;
}

/* All are tried; the first failure is the caller's. */
static enum status load_versions(const struct loading *loading, const char *path, const char *name,
                                 size_t *n_bundles, struct error *err)
{
    char below[PATH_BYTES];
    struct names names;
    enum status status = names_read(&names, path, err), first = status;
    for (size_t i = 0; status == STATUS_OK && i < names.n; i++) {
        const char *version = names.list[i];
        if (!is_version(version) || !join(below, path, version) || !is_bundle(below)) continue;
        ++*n_bundles;
        enum status now = load_one(loading, below, name, version, first == STATUS_OK ? err : NULL);
        if (first == STATUS_OK) first = now;
    }
    names_release(&names);
    return first;
}

/* The bundle in `path`, or its versions; *n_bundles counts what was tried. Every failure is told. */
static enum status load_entry(const struct loading *loading, const char *path, const char *name,
                              size_t *n_bundles, struct error *err)
{
    *n_bundles = 1;
    if (is_bundle(path)) return load_one(loading, path, name, FIRST_VERSION, err);
    *n_bundles = 0;
    enum status status = load_versions(loading, path, name, n_bundles, err);
    if (status != STATUS_OK && *n_bundles == 0) tell_refusal(loading, name, err);
    return status;
}

static bool is_folder(const char *path)
{
    struct stat facts;
    return stat(path, &facts) == 0 && S_ISDIR(facts.st_mode);
}

enum status registry_load_folder(struct registry *registry, const char *path,
                                 const char *precisions, registry_listener *listener,
                                 void *context, struct error *err)
{
    const struct loading loading = {registry, precisions, listener, context};
    char below[PATH_BYTES];
    struct names names;
    enum status status = names_read(&names, path, err);
    for (size_t i = 0; status == STATUS_OK && i < names.n; i++) {
        struct error ignored; /* the listener has been told */
        size_t n_bundles;
        if (!join(below, path, names.list[i]) || !is_folder(below)) continue;
        (void)!load_entry(&loading, below, names.list[i], &n_bundles, &ignored);
    }
    names_release(&names);
    return status;
}

enum status registry_load(struct registry *registry, const char *path, const char *name,
                          const char *precisions, registry_listener *listener, void *context,
                          struct error *err)
{
    const struct loading loading = {registry, precisions, listener, context};
    size_t n_bundles;
    struct error told;
    enum status status = load_entry(&loading, path, name, &n_bundles, &told);
    if (status == STATUS_OK && n_bundles == 0) {
        status = error_set(&told, STATUS_NOT_FOUND,
                           "'%s' holds no bundle: no config.json, no folder 1, 2, ...", path);
        tell_refusal(&loading, name, &told);
    }
    if (status != STATUS_OK && err) *err = told;
    return status;
}
