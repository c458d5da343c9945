/* shelf: a folder that a test fills with bundles, a repository that looks into it, and what that tells its
 * listener. Whatever fails here fails the test, unless it returns a status. */
#ifndef CAROUSEL_TESTS_SUPPORT_SHELF_H
#define CAROUSEL_TESTS_SUPPORT_SHELF_H

#include "models/repository.h"
#include "tests/support/tmp.h"

struct shelf {
    struct tmp tmp;
    char folders[TMP_PATH_BYTES]; /* models.folders: tmp, unless the test says otherwise */
    char bundles[TMP_PATH_BYTES]; /* models.bundles: none */
    struct registry *registry;
    struct repository *repository;
    char heard[8192]; /* since it was last emptied: "+name:version;", "-name:version;" or "name!sentence;" */
};

/* An empty folder, and an open repository that serves all versions. */
void shelf_make(struct shelf *shelf);
void shelf_remove(struct shelf *shelf);

/* The registry and the repository alone, with models.versions; nothing is heard yet. Where opening fails,
 * closing cleans up. */
enum status shelf_open(struct shelf *shelf, const char *versions);
void shelf_close(struct shelf *shelf);

/* A file or folder in it. */
void shelf_rename(const struct shelf *shelf, const char *from, const char *to);

#endif
