#include "models/repository/registry.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/memory.h"

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

enum status registry_put(struct registry *registry, struct model *model)
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

struct model *registry_take(struct registry *registry, const char *name, const char *version)
{
    struct model *model = NULL;
    pthread_mutex_lock(&registry->mu);
    size_t i = place_of(registry, name, version);
    if (i < registry->n && compare(registry->models[i], name, version) == 0) {
        struct model **at = registry->models + i;
        model = *at;
        memmove(at, at + 1, (--registry->n - i) * sizeof *at);
    }
    pthread_mutex_unlock(&registry->mu);
    return model;
}

struct model *registry_acquire(struct registry *registry, const char *id)
{
    const char *colon = strchr(id, ':');
    size_t bytes = colon ? (size_t)(colon - id) : strlen(id);
    bool highest = !colon || strcmp(colon + 1, "latest") == 0;
    struct model *found = NULL;
    pthread_mutex_lock(&registry->mu);
    for (size_t i = 0; i < registry->n; i++) {
        struct model *model = registry->models[i];
        if (strncmp(model->name, id, bytes) != 0 || model->name[bytes] != '\0') continue;
        if (highest || strcmp(model->version, colon + 1) == 0) found = model;
    }
    if (found) model_acquire(found);
    pthread_mutex_unlock(&registry->mu);
    return found;
}

struct model *registry_acquire_only(struct registry *registry, enum ability ability, size_t *n)
{
    struct model *found = NULL;
    *n = 0;
    pthread_mutex_lock(&registry->mu);
    for (size_t i = 0; i < registry->n; i++) {
        struct model *model = registry->models[i];
        if (!task_can(model->task, ability)) continue;
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
