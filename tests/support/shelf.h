/* shelf: a folder that a test fills with bundles, a repository that looks into it, and what that tells its
 * listener. Whatever fails here fails the test, unless it returns a status. */
#ifndef CAROUSEL_TESTS_SUPPORT_SHELF_H
#define CAROUSEL_TESTS_SUPPORT_SHELF_H

#include "models/repository/repository.h"
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

/* A file or folder in it; an edit that leaves a bundle good and changes its size, so that no clock is needed
 * to see it. */
void shelf_rename(const struct shelf *shelf, const char *from, const char *to);
void shelf_change(const struct shelf *shelf, const char *bundle);

/* What the repository does, and well; what was heard meanwhile. */
const char *shelf_sync(struct shelf *shelf);
const char *shelf_poll(struct shelf *shelf);
const char *shelf_load(struct shelf *shelf, const char *id);
/* A load that fails so, with a sentence of which `part` is a part. */
void shelf_refuses(struct shelf *shelf, const char *id, enum status status, const char *part);

/* What is served, "name:version "; what is known, "name:version=state " with the state's first letter; why
 * one is not served. Each until it is called again. */
const char *shelf_served(const struct shelf *shelf);
const char *shelf_known(const struct shelf *shelf);
const char *shelf_reason(const struct shelf *shelf, const char *name, const char *version);

#endif
