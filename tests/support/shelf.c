#include "tests/support/shelf.h"

#include <check.h>
#include <stdio.h>
#include <string.h>

#include "core/base/memory.h"
#include "tests/support/written.h"

static void hear(void *context, enum repository_event event, const char *name, const struct model *model,
                 const struct error *err)
{
    struct shelf *shelf = context;
    size_t at = strlen(shelf->heard), room = sizeof shelf->heard - at;
    if (event == REPOSITORY_REFUSED) snprintf(shelf->heard + at, room, "%s!%s;", name, err->message);
    else snprintf(shelf->heard + at, room, "%c%s:%s;", "+-"[event != REPOSITORY_LOADED], name,
                  model->version);
}

enum status shelf_open(struct shelf *shelf, const char *versions)
{
    shelf->heard[0] = '\0';
    enum status status = registry_new(&shelf->registry);
    if (status) return status;
    const struct repository_options options = {
        .registry = shelf->registry, .sources = {.folders = shelf->folders, .bundles = shelf->bundles},
        .versions = versions, .precisions = "float32", .listener = hear, .context = shelf};
    return repository_new(&options, &shelf->repository);
}

void shelf_close(struct shelf *shelf)
{
    repository_free(shelf->repository);
    registry_free(shelf->registry);
    shelf->repository = NULL, shelf->registry = NULL;
}

void shelf_make(struct shelf *shelf)
{
    *shelf = (struct shelf){.registry = NULL};
    tmp_make(&shelf->tmp);
    snprintf(shelf->folders, sizeof shelf->folders, "%s", shelf->tmp.path);
    ck_assert_int_eq(shelf_open(shelf, "all"), STATUS_OK);
}

void shelf_remove(struct shelf *shelf)
{
    shelf_close(shelf);
    tmp_remove(&shelf->tmp);
}

void shelf_rename(const struct shelf *shelf, const char *from, const char *to)
{
    char a[TMP_PATH_BYTES], b[TMP_PATH_BYTES];
    ck_assert_int_eq(rename(tmp_path(&shelf->tmp, from, a), tmp_path(&shelf->tmp, to, b)), 0);
}

void shelf_change(const struct shelf *shelf, const char *bundle)
{
    written_edit(&shelf->tmp, bundle, "config.json", "Three letters", "Three letters or so");
}

static const char *heard(const struct shelf *shelf, enum status status, const struct error *err)
{
    ck_assert_msg(status == STATUS_OK, "%s", err->message);
    return shelf->heard;
}

const char *shelf_sync(struct shelf *shelf)
{
    struct error err = {.message = ""};
    shelf->heard[0] = '\0';
    return heard(shelf, repository_sync(shelf->repository, &err), &err);
}

const char *shelf_poll(struct shelf *shelf)
{
    struct error err = {.message = ""};
    shelf->heard[0] = '\0';
    return heard(shelf, repository_poll(shelf->repository, &err), &err);
}

const char *shelf_load(struct shelf *shelf, const char *id)
{
    struct error err = {.message = ""};
    shelf->heard[0] = '\0';
    return heard(shelf, repository_load(shelf->repository, id, &err), &err);
}

void shelf_refuses(struct shelf *shelf, const char *id, enum status status, const char *part)
{
    struct error err = {.message = ""};
    shelf->heard[0] = '\0';
    ck_assert_int_eq(repository_load(shelf->repository, id, &err), status);
    ck_assert_msg(strstr(err.message, part) != NULL, "'%s' is not in '%s'", part, err.message);
}

const char *shelf_served(const struct shelf *shelf)
{
    static char out[512];
    struct model **models;
    size_t n, at = 0;
    out[0] = '\0';
    ck_assert_int_eq(registry_list(shelf->registry, &models, &n), STATUS_OK);
    for (size_t i = 0; i < n; i++) {
        at += (size_t)snprintf(out + at, sizeof out - at, "%s:%s ", models[i]->name, models[i]->version);
        model_drop(models[i]);
    }
    memory_free(models);
    return out;
}

const char *shelf_known(const struct shelf *shelf)
{
    static char out[1024];
    struct repository_entry *entries;
    size_t n, at = 0;
    out[0] = '\0';
    ck_assert_int_eq(repository_list(shelf->repository, &entries, &n), STATUS_OK);
    for (size_t i = 0; i < n; i++)
        at += (size_t)snprintf(out + at, sizeof out - at, "%s:%s=%c ", entries[i].name, entries[i].version,
                               "ulR"[entries[i].state]);
    memory_free(entries);
    return out;
}

const char *shelf_reason(const struct shelf *shelf, const char *name, const char *version)
{
    static char out[ERROR_MESSAGE_BYTES];
    struct repository_entry *entries;
    size_t n;
    snprintf(out, sizeof out, "(not known)");
    ck_assert_int_eq(repository_list(shelf->repository, &entries, &n), STATUS_OK);
    for (size_t i = 0; i < n; i++)
        if (!strcmp(entries[i].name, name) && !strcmp(entries[i].version, version))
            memcpy(out, entries[i].reason, sizeof out);
    memory_free(entries);
    return out;
}
