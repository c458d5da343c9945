/* A line of /proc/self/cgroup is "0::PATH" in version 2 and "N:CONTROLLERS:PATH" in version 1, whose
 * hierarchy is mounted under the names of its controllers ("cpu,cpuacct"), and often under each one's too. */
#include "models/text/cgroup.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum { PATH_BYTES = 1024, LINE_BYTES = 1024 };

static const char MOUNT[] = "/sys/fs/cgroup";

struct walk {
    const char *root;
    cgroup_visitor *visit;
    void *context;
};

static FILE *open_in(const char *folder, const char *name)
{
    char path[PATH_BYTES];
    int n = snprintf(path, sizeof path, "%s/%s", folder, name);
    return n > 0 && n < (int)sizeof path ? fopen(path, "re") : NULL;
}

bool cgroup_number(const char *folder, const char *name, const char *word, uint64_t *out)
{
    char line[LINE_BYTES];
    bool found = false;
    size_t n = strlen(word);
    FILE *file = open_in(folder, name);
    if (!file) return false;
    while (!found && fgets(line, sizeof line, file))
        found = strncmp(line, word, n) == 0 && sscanf(line + n, " %" SCNu64, out) == 1;
    fclose(file);
    return found;
}

/* The group at `path` of the hierarchy mounted as `name`, and all groups above it. */
static void walk_up(const struct walk *walk, const char *name, const char *path)
{
    char folder[PATH_BYTES];
    const char *slash = *name ? "/" : "";
    int mount = snprintf(folder, sizeof folder, "%s%s%s%s", walk->root, MOUNT, slash, name);
    int n = snprintf(folder, sizeof folder, "%s%s%s%s%s", walk->root, MOUNT, slash, name, path);
    if (n < 0 || n >= (int)sizeof folder) return;
    for (;;) {
        walk->visit(folder, walk->context);
        char *last = strrchr(folder, '/');
        if (!last || last - folder < mount) return;
        *last = '\0';
    }
}

static bool lists(const char *controllers, const char *controller)
{
    size_t n = strlen(controller);
    for (const char *word = controllers; word; word = strchr(word, ',') ? strchr(word, ',') + 1 : NULL)
        if (strcspn(word, ",") == n && strncmp(word, controller, n) == 0) return true;
    return false;
}

static void walk_line(const struct walk *walk, const char *controller, char *line)
{
    char *controllers = strchr(line, ':'), *path = controllers ? strchr(controllers + 1, ':') : NULL;
    if (!path) return;
    *path++ = '\0';
    path[strcspn(path, "\n")] = '\0';
    if (!*++controllers) {
        walk_up(walk, "", path);
        walk_up(walk, "unified", path);
    } else if (lists(controllers, controller)) {
        walk_up(walk, controllers, path);
        walk_up(walk, controller, path);
    }
}

void cgroup_visit(const char *root, const char *controller, cgroup_visitor *visit, void *context)
{
    const struct walk walk = {root, visit, context};
    char proc[PATH_BYTES], line[LINE_BYTES];
    walk_up(&walk, "", "");
    walk_up(&walk, "unified", "");
    walk_up(&walk, controller, "");
    if (snprintf(proc, sizeof proc, "%s/proc", root) >= (int)sizeof proc) return;
    FILE *file = open_in(proc, "self/cgroup");
    while (file && fgets(line, sizeof line, file)) walk_line(&walk, controller, line);
    if (file) fclose(file);
}
