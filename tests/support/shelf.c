#include "tests/support/shelf.h"

#include <check.h>
#include <stdio.h>
#include <string.h>

static void hear(void *context, enum repository_event event, const char *name, const struct model *model,
                 const struct error *err)
{
    struct shelf *shelf = context;
    size_t at = strlen(shelf->heard), room = sizeof shelf->heard - at;
    if (event == REPOSITORY_REFUSED) snprintf(shelf->heard + at, room, "%s!%s;", name, err->message);
    else snprintf(shelf->heard + at, room, "%c%s:%s;", "+-"[event != REPOSITORY_LOADED], name, model->version);
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
