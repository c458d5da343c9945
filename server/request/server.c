/* Whether the server may be sent work. models.required decides what GET /readyz waits for. */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "core/base/memory.h"
#include "server/base/errors.h"
#include "server/request/server.h"

enum { SENTENCE_BYTES = 1024, MOST_S = 60 };

#ifndef CAROUSEL_VERSION
#define CAROUSEL_VERSION "unversioned"
#endif

const char *server_version(void)
{
    return CAROUSEL_VERSION;
}

/* How long loading will still take is not known. A client that waits as long again as it has taken comes at
 * most after twice the time, and asks seldom. */
static unsigned loading_retry_s(const struct server *server)
{
    int64_t so_far_s = (int64_t)time(NULL) - server->started_s;
    return so_far_s < 1 ? 1 : so_far_s > MOST_S ? MOST_S : (unsigned)so_far_s;
}

static bool set_loading(const struct server *server, const char *sentence, struct problem *problem)
{
    problem_set(problem, FAULT_LOADING, NULL, sentence ? "%s" : NULL, sentence);
    problem->retry_after_s = loading_retry_s(server);
    return false;
}

bool server_is_loading(const struct server *server, struct problem *problem, const char *format, ...)
{
    char sentence[SENTENCE_BYTES];
    if (atomic_load(&server->phase) != SERVER_LOADING) return false;
    va_list args;
    va_start(args, format);
    vsnprintf(sentence, sizeof sentence, format, args);
    va_end(args);
    set_loading(server, sentence, problem);
    return true;
}

bool server_serves(const struct server *server, struct problem *problem)
{
    return server->store || problem_set(problem, FAULT_NOT_IMPLEMENTED, NULL,
                                        "the command line keeps nothing between requests and changes no "
                                        "models; ask a server that runs (carousel serve)");
}

bool server_accepts(const struct server *server, bool administers, struct problem *problem)
{
    int phase = atomic_load(&server->phase);
    if (phase == SERVER_READY || phase == SERVER_LEAVING || (phase == SERVER_LOADING && !administers))
        return true;
    if (phase == SERVER_LOADING) return set_loading(server, NULL, problem);
    return problem_set(problem, FAULT_DRAINING, NULL, NULL);
}

/* ---- what is missing ------------------------------------------------------------------------ */

/* A sentence that grows by one part a missing model. */
struct missing {
    char text[SENTENCE_BYTES];
    size_t n;
};

static void add(struct missing *missing, const char *name, const struct repository_entry *entry, bool loading)
{
    size_t at = strlen(missing->text);
    const char *why = entry && *entry->reason ? entry->reason
                      : loading               ? "it has not been loaded yet"
                      : entry                 ? "it is being loaded"
                                              : "there is no such bundle";
    snprintf(missing->text + at, sizeof missing->text - at, "%smodel '%s' is not served: %s",
             missing->n++ ? "; " : "", name, why);
}

static bool is_served(const struct server *server, const char *name)
{
    struct model *model = registry_acquire(server->registry, name);
    model_drop(model);
    return model != NULL;
}

/* Each name of a list with commas between. */
static void find_named(const struct server *server, const char *list, bool loading, struct missing *missing)
{
    static const char between[] = ", ";
    while (*(list += strspn(list, between))) {
        char name[MODEL_NAME_BYTES + MODEL_VERSION_BYTES + 2];
        struct repository_entry entry;
        size_t n = strcspn(list, between);
        snprintf(name, sizeof name, "%.*s", (int)n, list);
        list += n;
        if (is_served(server, name)) continue;
        bool known = repository_find(server->repository, name, NULL, &entry);
        add(missing, name, known ? &entry : NULL, loading);
    }
}

/* Of each bundle that should be served, whether it is. Returns how many are; -1 without memory. */
static long find_all(const struct server *server, bool loading, struct missing *missing)
{
    struct repository_entry *entries;
    size_t n;
    long served = 0;
    if (repository_list(server->repository, &entries, &n) != STATUS_OK) return -1;
    for (size_t i = 0; i < n; i++) {
        if (entries[i].state == REPOSITORY_READY) served++;
        else if (entries[i].wanted) add(missing, entries[i].name, &entries[i], loading);
    }
    memory_free(entries);
    return served;
}

bool server_is_ready(const struct server *server, struct problem *problem)
{
    struct missing missing = {.n = 0};
    const struct config *config = server->config;
    const char *required = config->models_required;
    bool all = strcmp(required, "all") == 0, named = *required && !all;
    if (!server_accepts(server, false, problem)) return false;
    int phase = atomic_load(&server->phase);
    if (phase == SERVER_LEAVING) return problem_set(problem, FAULT_DRAINING, NULL, NULL);
    bool loading = phase == SERVER_LOADING;
    if (loading && !named) return set_loading(server, NULL, problem);
    if (named) find_named(server, required, loading, &missing);
    else {
        long served = find_all(server, loading, &missing);
        bool configured = *config->models_folders || *config->models_bundles;
        if (served < 0) return problem_set(problem, FAULT_NO_MEMORY, NULL, NULL);
        if (!all && (served > 0 || !configured)) return true;
        if (!all && !missing.n)
            return problem_set(problem, FAULT_NOT_READY, NULL, "no model is served: there is no bundle in "
                               "models.folders and models.bundles");
    }
    if (!missing.n) return true;
    return loading ? set_loading(server, missing.text, problem)
                   : problem_set(problem, FAULT_NOT_READY, NULL, "%s", missing.text);
}
