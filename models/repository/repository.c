/* One pass over the catalogue serves every purpose; struct pass says which. Of each name the versions are
 * visited from the highest down, so that "latest" can stop at the first that is served. Nothing is taken out
 * before what replaces it has come. */
#include "models/repository/repository.h"

#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "core/base/memory.h"
#include "core/base/throttle.h"
#include "models/repository/per_model.h"

enum { ABSENT_POLLS = 2, MAX_HELPERS = 63 };

/* What is known of one version of one name. `entry` is shared and guarded by mu; the rest is the changing
 * thread's own. */
struct record {
    struct repository_entry entry;
    uint64_t loaded;  /* stamp of the files that the served model was read from; 0: none */
    uint64_t tried;   /* of the last attempt */
    uint64_t seen;    /* at the last poll */
    unsigned absent;  /* polls that did not find it */
    bool present;     /* in the catalogue of this pass */
    bool withheld;    /* unloaded by request */
};

struct repository {
    struct repository_options options;
    pthread_mutex_t changing; /* held by a thread that changes something, except while it reads a bundle */
    pthread_mutex_t mu;
    struct record *records; /* [n] by name, then version; guarded by mu if another thread may look */
    size_t n, room;
};

enum pass_kind { PASS_SYNC, PASS_POLL, PASS_LOAD };

struct pass {
    enum pass_kind kind;
    const char *name, *version; /* PASS_LOAD: version NULL for all */
    bool found;
    enum status status;         /* PASS_LOAD: of the first failure, which err tells */
    struct error *err;          /* also of a catalogue that cannot be read */
};

enum status repository_new(const struct repository_options *options, struct repository **out)
{
    struct repository *repository = memory_new(1, sizeof *repository);
    if (!repository) return STATUS_NO_MEMORY;
    pthread_mutex_init(&repository->mu, NULL); /* on Linux it cannot fail */
    pthread_mutex_init(&repository->changing, NULL);
    repository->options = *options;
    *out = repository;
    return STATUS_OK;
}

void repository_free(struct repository *repository)
{
    if (!repository) return;
    memory_free(repository->records);
    pthread_mutex_destroy(&repository->mu);
    pthread_mutex_destroy(&repository->changing);
    memory_free(repository);
}

/* ------------------------------------------------------------------------------------------
 * Records */

static int compare(const struct record *record, const char *name, const char *version)
{
    int order = strcmp(record->entry.name, name);
    return order != 0 ? order : catalogue_compare_versions(record->entry.version, version);
}

static enum status make_room(struct repository *repository)
{
    if (repository->n < repository->room) return STATUS_OK;
    size_t room = repository->room ? repository->room * 2 : 16;
    struct record *records = memory_new(room, sizeof *records);
    if (!records) return STATUS_NO_MEMORY;
    pthread_mutex_lock(&repository->mu);
    if (repository->n > 0) memcpy(records, repository->records, repository->n * sizeof *records);
    struct record *old = repository->records;
    repository->records = records;
    repository->room = room;
    pthread_mutex_unlock(&repository->mu);
    memory_free(old);
    return STATUS_OK;
}

/* The record, made if there is none; NULL without memory. Valid until the next is made. */
static struct record *record_of(struct repository *repository, const char *name, const char *version)
{
    size_t i = 0;
    while (i < repository->n && compare(&repository->records[i], name, version) < 0) i++;
    if (i < repository->n && compare(&repository->records[i], name, version) == 0)
        return &repository->records[i];
    if (make_room(repository) != STATUS_OK) return NULL;
    pthread_mutex_lock(&repository->mu);
    struct record *at = repository->records + i;
    memmove(at + 1, at, (repository->n++ - i) * sizeof *at);
    memset(at, 0, sizeof *at);
    snprintf(at->entry.name, sizeof at->entry.name, "%s", name);
    snprintf(at->entry.version, sizeof at->entry.version, "%s", version);
    pthread_mutex_unlock(&repository->mu);
    return at;
}

static void set_state(struct repository *repository, struct record *record, enum repository_state state,
                      const char *reason)
{
    pthread_mutex_lock(&repository->mu);
    record->entry.state = state;
    record->entry.wanted = true;
    snprintf(record->entry.reason, sizeof record->entry.reason, "%s", reason);
    pthread_mutex_unlock(&repository->mu);
}

static bool is_ready(const struct record *record)
{
    return record->loaded != 0;
}

static void notify(const struct repository *repository, enum repository_event event, const char *name,
                   const struct model *model, const struct error *err)
{
    if (repository->options.listener)
        repository->options.listener(repository->options.context, event, name, model, err);
}

/* ------------------------------------------------------------------------------------------
 * One model in or out */

/* The files must be the same before and after: what is written while it is read may be anything. */
static enum status read_model(const struct repository *repository, const struct catalogue_entry *entry,
                              uint64_t stamp, struct model **out, struct error *err)
{
    enum precision precision;
    struct model *model;
    enum status status = per_model_precision(repository->options.precisions, entry->name, &precision, err);
    if (status == STATUS_OK)
        status = model_load(entry->path, entry->name, entry->version, precision, &model, err);
    if (status != STATUS_OK && !throttle_rest()) /* whatever it failed by */
        return error_set(err, STATUS_CLOSING, "the load was given up");
    if (status != STATUS_OK) return status;
    if (catalogue_stamp(entry->path) == stamp) return *out = model, STATUS_OK;
    model_drop(model);
    return error_set(err, STATUS_IO, "the files of the bundle changed while they were read");
}

/* Load it, while others may bring about changes, so that *at may move. Sentences of a model that has several
 * versions name the version. */
static enum status load(struct repository *repository, struct record **at,
                        const struct catalogue_entry *entry, bool several, struct error *reason)
{
    struct model *model = NULL;
    struct record *record = *at;
    uint64_t stamp = catalogue_stamp(entry->path);
    if (!is_ready(record)) set_state(repository, record, REPOSITORY_LOADING, "");
    record->tried = record->seen = stamp;
    pthread_mutex_unlock(&repository->changing);
    enum status status = read_model(repository, entry, stamp, &model, reason);
    pthread_mutex_lock(&repository->changing);
    *at = record = record_of(repository, entry->name, entry->version); /* it is there */
    if (status == STATUS_OK) {
        /* Our reference lets the listener look at a model that another thread may take out meanwhile. */
        status = registry_put(repository->options.registry, model_acquire(model));
        if (status != STATUS_OK) {
            error_set(reason, status, "no memory");
            model_drop(model);
        }
        if (status == STATUS_OK) {
            record->loaded = stamp;
            set_state(repository, record, REPOSITORY_READY, "");
            notify(repository, REPOSITORY_LOADED, entry->name, model, NULL);
        }
        model_drop(model);
    }
    if (status == STATUS_OK) return status;
    if (several) error_prefix(reason, "version %s", entry->version);
    set_state(repository, record, is_ready(record) ? REPOSITORY_READY : REPOSITORY_UNAVAILABLE,
              reason->message);
    if (status != STATUS_CLOSING) notify(repository, REPOSITORY_REFUSED, entry->name, NULL, reason);
    return status;
}

static void take_out(struct repository *repository, struct record *record, const char *reason)
{
    struct model *model = registry_take(repository->options.registry, record->entry.name,
                                        record->entry.version);
    record->loaded = 0;
    set_state(repository, record, REPOSITORY_UNAVAILABLE, reason);
    pthread_mutex_lock(&repository->mu);
    record->entry.wanted = false;
    pthread_mutex_unlock(&repository->mu);
    if (model) notify(repository, REPOSITORY_UNLOADED, model->name, model, NULL);
    model_drop(model);
}

/* ------------------------------------------------------------------------------------------
 * A pass */

static bool is_due(struct repository *repository, struct record *record, const struct catalogue_entry *entry,
                   const struct pass *pass)
{
    struct error waiting;
    bool still = record->seen == entry->stamp;
    switch (pass->kind) {
    case PASS_SYNC: return record->loaded != entry->stamp;
    case PASS_LOAD:
        if (pass->version) return strcmp(pass->version, record->entry.version) == 0;
        return pass->status == STATUS_OK || !is_ready(record);
    case PASS_POLL: break;
    }
    record->seen = entry->stamp;
    if (!still || record->loaded == entry->stamp || record->tried == entry->stamp ||
        /* others may have loaded since the catalogue was read */
        catalogue_stamp(entry->path) != entry->stamp)
        return false;
    if (catalogue_is_whole(entry->path, &waiting) == STATUS_OK) return true;
    enum repository_state state = is_ready(record) ? REPOSITORY_READY : REPOSITORY_UNAVAILABLE;
    set_state(repository, record, state, waiting.message);
    /* What replaces a served bundle should not lie there half for long: say it once. */
    if (is_ready(record)) {
        record->tried = entry->stamp;
        notify(repository, REPOSITORY_REFUSED, entry->name, NULL, &waiting);
    }
    return false;
}

/* A name that no model can have is refused if a caller waits for the answer, and not kept. */
static void refuse_name(const struct repository *repository, const struct catalogue_entry *entry,
                        const struct pass *pass)
{
    struct model *model;
    struct error reason;
    if (pass->kind != PASS_SYNC) return;
    if (model_load(entry->path, entry->name, entry->version, PRECISION_FLOAT32, &model, &reason) == STATUS_OK)
        model_drop(model);
    else notify(repository, REPOSITORY_REFUSED, entry->name, NULL, &reason);
}

static void fail(struct pass *pass, enum status status, const struct error *reason)
{
    if (pass->kind != PASS_LOAD || pass->status != STATUS_OK) return;
    pass->status = status;
    if (pass->err) *pass->err = *reason;
}

/* Whatever is known of the name stays as it is. */
static void keep_all(struct repository *repository, const char *name)
{
    for (size_t i = 0; i < repository->n; i++)
        if (strcmp(repository->records[i].entry.name, name) == 0) repository->records[i].present = true;
}

static bool is_withheld(const struct repository *repository, const char *name)
{
    for (size_t i = 0; i < repository->n; i++)
        if (repository->records[i].withheld && strcmp(repository->records[i].entry.name, name) == 0)
            return true;
    return false;
}

/* What is the same for all versions of the name that a pass is at. */
struct versions {
    bool latest;  /* the highest that loads is served, and no other */
    bool enough;  /* it is */
    bool several; /* there is more than one */
    size_t at, n; /* which name of how many that the pass visits */
};

static void visit(struct repository *repository, const struct catalogue_entry *entry,
                  struct versions *versions, struct pass *pass)
{
    struct error reason;
    struct record *record = record_of(repository, entry->name, entry->version);
    if (!record) {
        error_set(&reason, STATUS_NO_MEMORY, "no memory");
        notify(repository, REPOSITORY_REFUSED, entry->name, NULL, &reason);
        fail(pass, STATUS_NO_MEMORY, &reason);
        return;
    }
    record->present = true;
    bool asked = pass->kind == PASS_LOAD && pass->version && strcmp(pass->version, entry->version) == 0;
    pass->found = pass->found || !pass->version || asked;
    if (versions->enough) {
        error_set(&reason, STATUS_UNSUPPORTED,
                  "version %s is not served: models.versions keeps the latest alone", entry->version);
        take_out(repository, record, reason.message);
        if (asked) fail(pass, STATUS_UNSUPPORTED, &reason);
        return;
    }
    bool due = is_due(repository, record, entry, pass);
    if (due && repository->options.loading)
        repository->options.loading(repository->options.context, entry->name, versions->at, versions->n,
                                    catalogue_weights(entry->path));
    enum status status = due ? load(repository, &record, entry, versions->several, &reason) : STATUS_OK;
    if (status != STATUS_OK) fail(pass, status, &reason);
    versions->enough = versions->latest && is_ready(record);
}

/* Show the fault of a name in the list, as a version without a number, unless versions of it are known. */
static void show_fault(struct repository *repository, const struct catalogue_entry *entry)
{
    struct repository_entry other;
    if (!model_name_is_valid(entry->name)) return;
    if (repository_find(repository, entry->name, NULL, &other) && *other.version) return;
    struct record *record = record_of(repository, entry->name, "");
    if (!record) return;
    record->present = true;
    set_state(repository, record, REPOSITORY_UNAVAILABLE, entry->fault->message);
}

/* The entries of one name, the lowest version first. */
static void visit_name(struct repository *repository, const struct catalogue_entry *entries, size_t n,
                       struct versions versions, struct pass *pass)
{
    const char *name = entries->name;
    char policy[PER_MODEL_VALUE_BYTES];
    per_model_find(repository->options.versions, name, policy);
    if (entries->fault) {
        keep_all(repository, name);
        pass->found = true;
        show_fault(repository, entries);
        if (pass->kind != PASS_POLL) notify(repository, REPOSITORY_REFUSED, name, NULL, entries->fault);
        fail(pass, entries->fault->status, entries->fault);
        return;
    }
    if (!model_name_is_valid(name)) {
        refuse_name(repository, entries, pass);
        return;
    }
    if (is_withheld(repository, name)) {
        keep_all(repository, name);
        return;
    }
    versions.latest = strcmp(policy, "latest") == 0;
    versions.several = n > 1;
    while (n-- > 0) visit(repository, &entries[n], &versions, pass);
}

/* What the catalogue no longer has. A poll may fall between two renames, so it looks twice. */
static void sweep(struct repository *repository, const struct pass *pass)
{
    for (size_t i = repository->n; i-- > 0;) {
        struct record *record = &repository->records[i];
        record->absent = record->present ? 0 : record->absent + 1;
        if (record->present || (pass->kind == PASS_POLL && record->absent < ABSENT_POLLS)) continue;
        take_out(repository, record, "");
        pthread_mutex_lock(&repository->mu);
        memmove(record, record + 1, (--repository->n - i) * sizeof *record);
        pthread_mutex_unlock(&repository->mu);
    }
}

/* The names of a catalogue that are still to be visited, shared by the threads of a pass. */
struct walk {
    struct repository *repository;
    const struct catalogue *catalogue;
    struct pass *pass;
    size_t next;    /* entry; guarded by changing, as is the next */
    size_t at;      /* names that have been begun */
    size_t n_names; /* that are to be visited */
    const _Atomic bool *given_up;
};

static size_t count_names(const struct catalogue *catalogue)
{
    size_t n = 0;
    for (size_t i = 0; i < catalogue->n; i++)
        n += i == 0 || strcmp(catalogue->entries[i - 1].name, catalogue->entries[i].name) != 0;
    return n;
}

static void walk_on(struct walk *walk)
{
    struct repository *repository = walk->repository;
    const struct catalogue *catalogue = walk->catalogue;
    const char *only = walk->pass->name;
    pthread_mutex_lock(&repository->changing);
    while (walk->next < catalogue->n && throttle_rest()) {
        const struct catalogue_entry *entries = &catalogue->entries[walk->next];
        size_t n = 1, left = catalogue->n - walk->next;
        while (n < left && strcmp(entries->name, entries[n].name) == 0) n++;
        walk->next += n;
        if (only && strcmp(only, entries->name) != 0) continue;
        const struct versions versions = {.at = ++walk->at, .n = walk->n_names};
        visit_name(repository, entries, n, versions, walk->pass);
    }
    pthread_mutex_unlock(&repository->changing);
}

static void *help(void *context)
{
    struct walk *walk = context;
    throttle_set(100, walk->given_up);
    walk_on(walk);
    return NULL;
}

/* Start threads that take no signals, as far as the system has them. */
static size_t start_helpers(struct walk *walk, size_t n, pthread_t *helpers)
{
    sigset_t all, before;
    size_t started = 0;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    while (started < n && pthread_create(&helpers[started], NULL, help, walk) == 0) started++;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return started;
}

/* A pass that is given up half-way has not seen what it would sweep. */
static enum status run(struct repository *repository, size_t n_threads, struct pass *pass)
{
    struct catalogue catalogue;
    pthread_t helpers[MAX_HELPERS];
    enum status status = catalogue_read(&repository->options.sources, &catalogue, pass->err);
    if (status != STATUS_OK) return status;
    for (size_t i = 0; i < repository->n; i++) repository->records[i].present = false;
    struct walk walk = {.repository = repository, .catalogue = &catalogue, .pass = pass,
                        .n_names = pass->name ? 1 : count_names(&catalogue), .given_up = throttle_given_up()};
    size_t n = n_threads < catalogue.n ? n_threads : catalogue.n; /* this thread is one of them */
    n = n == 0 ? 0 : n > MAX_HELPERS ? MAX_HELPERS : n - 1;
    n = start_helpers(&walk, n, helpers);
    walk_on(&walk);
    while (n > 0) pthread_join(helpers[--n], NULL);
    bool whole = throttle_rest();
    if (whole && pass->kind != PASS_LOAD) sweep(repository, pass);
    catalogue_release(&catalogue);
    return whole ? pass->status : error_set(pass->err, STATUS_CLOSING, "the load was given up");
}

/* ------------------------------------------------------------------------------------------ */

enum status repository_start(struct repository *repository, size_t n_threads, struct error *err)
{
    return run(repository, n_threads, &(struct pass){.kind = PASS_SYNC, .err = err});
}

enum status repository_sync(struct repository *repository, struct error *err)
{
    return run(repository, 1, &(struct pass){.kind = PASS_SYNC, .err = err});
}

enum status repository_poll(struct repository *repository, struct error *err)
{
    return run(repository, 1, &(struct pass){.kind = PASS_POLL, .err = err});
}

/* Withhold a name, or no longer; the number of its versions that are known. */
static size_t withhold(struct repository *repository, const char *name, bool withheld)
{
    size_t n = 0;
    for (size_t i = 0; i < repository->n; i++) {
        if (strcmp(repository->records[i].entry.name, name) != 0) continue;
        repository->records[i].withheld = withheld;
        n++;
    }
    return n;
}

enum status repository_load(struct repository *repository, const char *id, struct error *err)
{
    char name[MODEL_NAME_BYTES + 1];
    size_t bytes = strcspn(id, ":");
    struct pass pass = {
        .kind = PASS_LOAD, .name = name, .version = id[bytes] ? id + bytes + 1 : NULL, .err = err};
    snprintf(name, sizeof name, "%.*s", (int)bytes, id);
    bool known = bytes <= MODEL_NAME_BYTES && model_name_is_valid(name);
    bool withheld = known && is_withheld(repository, name);
    if (withheld) withhold(repository, name, false);
    enum status status = known ? run(repository, 1, &pass) : STATUS_OK;
    if (withheld && !pass.found) withhold(repository, name, true);
    if (status != STATUS_OK || pass.found) return status;
    return error_set(err, STATUS_NOT_FOUND, "there is no bundle '%.100s' in models.folders or models.bundles",
                     id);
}

enum status repository_unload(struct repository *repository, const char *name, struct error *err)
{
    if (withhold(repository, name, true) == 0)
        return error_set(err, STATUS_NOT_FOUND, "there is no model '%.100s'", name);
    for (size_t i = 0; i < repository->n; i++)
        if (strcmp(repository->records[i].entry.name, name) == 0)
            take_out(repository, &repository->records[i], "unloaded by request");
    return STATUS_OK;
}

enum status repository_list(struct repository *repository, struct repository_entry **entries, size_t *n)
{
    struct repository_entry *list = NULL;
    size_t room = 0;
    for (;;) {
        pthread_mutex_lock(&repository->mu);
        size_t count = repository->n;
        for (size_t i = 0; list && count <= room && i < count; i++) list[i] = repository->records[i].entry;
        pthread_mutex_unlock(&repository->mu);
        if (list && count <= room) {
            *entries = list;
            *n = count;
            return STATUS_OK;
        }
        memory_free(list);
        room = count + 1;
        if (!(list = memory_new(room, sizeof *list))) return STATUS_NO_MEMORY;
    }
}

bool repository_find(struct repository *repository, const char *name, const char *version,
                     struct repository_entry *out)
{
    bool found = false;
    pthread_mutex_lock(&repository->mu);
    for (size_t i = 0; i < repository->n; i++) {
        const struct record *record = &repository->records[i];
        if (strcmp(record->entry.name, name) != 0) continue;
        if (version && strcmp(record->entry.version, version) != 0) continue;
        *out = record->entry;
        found = true;
    }
    pthread_mutex_unlock(&repository->mu);
    return found;
}
