#include "models/repository/catalogue.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/base/memory.h"
#include "models/text/folder.h"
#include "models/bundle/safetensors.h"

enum { PATH_BYTES = 4096, VERSION_DIGITS = 9, MAX_ENTRIES = 100000 };

static const char CONFIG[] = "config.json", WEIGHTS[] = "model.safetensors", GOLDEN[] = "golden.json";
static const char FIRST_VERSION[] = "1";

static enum status no_memory(struct error *err)
{
    return error_set(err, STATUS_NO_MEMORY, "no memory");
}

/* ------------------------------------------------------------------------------------------
 * The names in a folder */

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
        if (!list) return no_memory(err);
        if (names->n > 0) memcpy(list, names->list, names->n * sizeof *list);
        memory_free(names->list);
        names->list = list;
        names->room = room;
    }
    char *copy = memory_copy_text(name, strlen(name));
    if (!copy) return no_memory(err);
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
    errno = 0;
    for (struct dirent *e; status == STATUS_OK && names->n < MAX_ENTRIES && (e = readdir(dir)); errno = 0)
        if (e->d_name[0] != '.') status = names_add(names, e->d_name, err);
    if (status == STATUS_OK && errno) /* half a list would take the other half out of service */
        status = error_set(err, STATUS_IO, "cannot read folder '%s': %s", path, strerror(errno));
    closedir(dir);
    if (names->n > 0) qsort(names->list, names->n, sizeof *names->list, by_text);
    return status;
}

/* ------------------------------------------------------------------------------------------
 * Entries */

static void entry_release(struct catalogue_entry *entry)
{
    memory_free(entry->name);
    memory_free(entry->path);
    memory_free(entry->fault);
}

void catalogue_release(struct catalogue *catalogue)
{
    for (size_t i = 0; i < catalogue->n; i++) entry_release(&catalogue->entries[i]);
    memory_free(catalogue->entries);
    *catalogue = (struct catalogue){0};
}

static enum status make_room(struct catalogue *catalogue, struct error *err)
{
    if (catalogue->n < catalogue->_room) return STATUS_OK;
    size_t room = catalogue->_room ? catalogue->_room * 2 : 16;
    struct catalogue_entry *entries = memory_new(room, sizeof *entries);
    if (!entries) return no_memory(err);
    if (catalogue->n > 0) memcpy(entries, catalogue->entries, catalogue->n * sizeof *entries);
    memory_free(catalogue->entries);
    catalogue->entries = entries;
    catalogue->_room = room;
    return STATUS_OK;
}

/* Where a name is being read. */
struct place {
    struct catalogue *catalogue;
    const char *name;
    size_t source;
};

static enum status add(const struct place *place, const char *path, const char *version,
                       const struct error *fault, struct error *err)
{
    enum status status = make_room(place->catalogue, err);
    if (status != STATUS_OK) return status;
    struct catalogue_entry entry = {.name = memory_copy_text(place->name, strlen(place->name)),
                                    .path = memory_copy_text(path, strlen(path)),
                                    .stamp = catalogue_stamp(path), ._source = place->source};
    if (fault) entry.fault = memory_new(1, sizeof *fault);
    if (!entry.name || !entry.path || (fault && !entry.fault)) {
        entry_release(&entry);
        return no_memory(err);
    }
    if (fault) *entry.fault = *fault;
    snprintf(entry.version, sizeof entry.version, "%s", version);
    place->catalogue->entries[place->catalogue->n++] = entry;
    return STATUS_OK;
}

/* ------------------------------------------------------------------------------------------
 * Folders */

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

/* The same below a folder that the operator named, and `path` is it or lies below it already. */
static bool join_below(char out[PATH_BYTES], const char *path, const char *name)
{
    int n = snprintf(out, PATH_BYTES, "%s%s%s", path, strstr(path, FOLDER_ROOT_MARK) ? "/" : FOLDER_ROOT_MARK,
                     name);
    return n >= 0 && n < PATH_BYTES;
}

static bool is_bundle(const char *path)
{
    char config[PATH_BYTES];
    struct stat facts;
    return join(config, path, CONFIG) && lstat(config, &facts) == 0;
}

static bool is_folder(const char *path)
{
    struct stat facts;
    return stat(path, &facts) == 0 && S_ISDIR(facts.st_mode);
}

/* By its name: weights of ours, or of a program whose models are brought here. */
static bool looks_like_weights(const char *name)
{
    static const char *const ends[] = {".safetensors", ".pt",    ".pth", ".bin", ".ckpt", ".h5",
                                       ".keras",       ".onnx",  ".pb",  ".npz"};
    const char *end = strrchr(name, '.');
    for (size_t i = 0; end && i < sizeof ends / sizeof *ends; i++)
        if (strcmp(end, ends[i]) == 0) return true;
    return false;
}

uint64_t catalogue_weights(const char *path)
{
    char weights[PATH_BYTES];
    struct stat facts;
    return join(weights, path, WEIGHTS) && stat(weights, &facts) == 0 ? (uint64_t)facts.st_size : 0;
}

/* Find the bundle in Hugging Face's cache of one repository: refs/main names a commit, and snapshots/COMMIT
 * holds links to blobs. Return false if `path` is no such cache. */
static bool find_snapshot(const char *path, char out[PATH_BYTES])
{
    char snapshots[PATH_BYTES], commit[64];
    if (!join(out, path, "refs/main") || !join_below(snapshots, path, "snapshots")) return false;
    FILE *file = fopen(out, "re");
    if (!file) return false;
    size_t n = fread(commit, 1, sizeof commit - 1, file);
    fclose(file);
    commit[n] = '\0';
    n = strspn(commit, "0123456789abcdef");
    commit[n] = '\0';
    return n > 0 && join(out, snapshots, commit) && is_bundle(out);
}

/* The bundle in `path`, or its versions. A folder of weights without a config.json is a fault; any other
 * folder is not ours. */
static enum status read_name(const struct place *place, const char *path, struct error *err)
{
    char below[PATH_BYTES];
    struct names names;
    struct error fault;
    if (is_bundle(path)) return add(place, path, FIRST_VERSION, NULL, err);
    if (find_snapshot(path, below)) return add(place, below, FIRST_VERSION, NULL, err);
    enum status status = names_read(&names, path, &fault);
    if (status != STATUS_OK) {
        names_release(&names);
        return add(place, path, "", &fault, err);
    }
    size_t before = place->catalogue->n;
    const char *weights = NULL;
    for (size_t i = 0; status == STATUS_OK && i < names.n; i++) {
        if (looks_like_weights(names.list[i])) weights = names.list[i];
        if (!is_version(names.list[i]) || !join_below(below, path, names.list[i]) || !is_folder(below))
            continue;
        if (is_bundle(below) || catalogue_weights(below))
            status = add(place, below, names.list[i], NULL, err);
    }
    if (status == STATUS_OK && weights && place->catalogue->n == before) {
        error_set(&fault, STATUS_NOT_FOUND,
                  "'%s' holds %.100s but no config.json, so it is no bundle; docs/bundle-format.md says what "
                  "config.json describes", path, weights);
        status = add(place, path, "", &fault, err);
    }
    names_release(&names);
    return status;
}

static enum status read_folder(struct catalogue *catalogue, const char *path, size_t source,
                               struct error *err)
{
    char below[PATH_BYTES];
    struct names names;
    size_t before = catalogue->n;
    enum status status = names_read(&names, path, err);
    for (size_t i = 0; status == STATUS_OK && i < names.n; i++) {
        const struct place place = {catalogue, names.list[i], source};
        if (join_below(below, path, names.list[i]) && is_folder(below))
            status = read_name(&place, below, err);
    }
    if (status == STATUS_OK && catalogue->n == before && is_bundle(path))
        status = error_set(err, STATUS_NOT_FOUND,
                           "'%s' is a bundle, not a folder of bundles; call it NAME by --model NAME=%s, or "
                           "name the folder that holds it", path, path);
    names_release(&names);
    return status;
}

/* `part` is NAME=PATH, and is written into. */
static enum status read_single(struct catalogue *catalogue, char *part, size_t source,
                               struct error *err)
{
    char *path = strchr(part, '=');
    if (path) *path++ = '\0';
    if (!path || !*path || !model_name_is_valid(part))
        return error_set_param(err, STATUS_BAD_VALUE, "models.bundles",
                               "model '%s': expected NAME=PATH, NAME of letters, digits, '.', '_' and '-'",
                               part);
    const struct place place = {catalogue, part, source};
    size_t before = catalogue->n;
    struct error fault;
    enum status status = read_name(&place, path, err);
    if (status != STATUS_OK || catalogue->n > before) return status;
    error_set(&fault, STATUS_NOT_FOUND, "'%s' holds no bundle: no config.json, no folder 1, 2, ...", path);
    return add(&place, path, "", &fault, err);
}

/* ------------------------------------------------------------------------------------------
 * All of them */

int catalogue_compare_versions(const char *a, const char *b)
{
    long x = strtol(a, NULL, 10), y = strtol(b, NULL, 10);
    return (x > y) - (x < y);
}

/* By name; of one name the last source first; of one source the lowest version first. */
static int by_place(const void *a, const void *b)
{
    const struct catalogue_entry *x = a, *y = b;
    int order = strcmp(x->name, y->name);
    if (order != 0) return order;
    if (x->_source != y->_source) return x->_source < y->_source ? 1 : -1;
    return catalogue_compare_versions(x->version, y->version);
}

/* Of each name, what its last source has. */
static void keep_last_sources(struct catalogue *catalogue)
{
    size_t n = 0;
    if (catalogue->n > 0) qsort(catalogue->entries, catalogue->n, sizeof *catalogue->entries, by_place);
    for (size_t i = 0; i < catalogue->n; i++) {
        struct catalogue_entry *entry = &catalogue->entries[i], *last = n ? &catalogue->entries[n - 1] : NULL;
        if (last && strcmp(last->name, entry->name) == 0 && last->_source != entry->_source)
            entry_release(entry);
        else catalogue->entries[n++] = *entry;
    }
    catalogue->n = n;
}

/* The next part of a list with : between, in out; NULL after the last. */
static const char *next_part(const char *list, char out[PATH_BYTES])
{
    while (*list == ':') list++;
    size_t n = strcspn(list, ":");
    if (!n || n >= PATH_BYTES) return NULL;
    memcpy(out, list, n);
    out[n] = '\0';
    return list + n;
}

enum status catalogue_read(const struct catalogue_sources *sources, struct catalogue *out,
                           struct error *err)
{
    struct catalogue catalogue = {0};
    char part[PATH_BYTES];
    size_t source = 0;
    enum status status = STATUS_OK;
    for (const char *at = sources->folders; status == STATUS_OK && (at = next_part(at, part));)
        status = read_folder(&catalogue, part, source++, err);
    for (const char *at = sources->bundles; status == STATUS_OK && (at = next_part(at, part));)
        status = read_single(&catalogue, part, source++, err);
    if (status != STATUS_OK) {
        catalogue_release(&catalogue);
        return status;
    }
    keep_last_sources(&catalogue);
    *out = catalogue;
    return STATUS_OK;
}

/* ------------------------------------------------------------------------------------------
 * Changes */

/* FNV-1a: not for foes, for a file's facts. */
static uint64_t mix(uint64_t hash, const void *bytes, size_t n)
{
    for (const unsigned char *c = bytes; n > 0; n--) hash = (hash ^ *c++) * 0x100000001b3u;
    return hash;
}

static uint64_t stamp_of(const char *name, const struct stat *facts)
{
    const int64_t numbers[] = {(int64_t)facts->st_size, (int64_t)facts->st_ino, (int64_t)facts->st_dev,
                               (int64_t)facts->st_mtim.tv_sec, (int64_t)facts->st_mtim.tv_nsec};
    return mix(mix(0xcbf29ce484222325u, name, strlen(name)), numbers, sizeof numbers);
}

/* A sum, so that the order in which a folder gives its names is of no account. */
uint64_t catalogue_stamp(const char *path)
{
    struct stat facts;
    uint64_t stamp = 1;
    size_t n = 0;
    DIR *dir = opendir(path);
    if (!dir) return 0;
    for (struct dirent *e; n < MAX_ENTRIES && (e = readdir(dir)); n++)
        if (e->d_name[0] != '.' && fstatat(dirfd(dir), e->d_name, &facts, 0) == 0 && S_ISREG(facts.st_mode))
            stamp += stamp_of(e->d_name, &facts);
    closedir(dir);
    return stamp ? stamp : 1;
}

static enum status check_weights(const struct folder *folder, struct error *err)
{
    struct file file;
    struct safetensors *weights = NULL;
    enum status status = folder_open_file(folder, WEIGHTS, SAFETENSORS_MAX_BYTES, &file, err);
    if (status != STATUS_OK) return status;
    status = safetensors_open_header(file.fd, file.bytes, &weights, err);
    safetensors_free(weights);
    close(file.fd);
    return status;
}

enum status catalogue_is_whole(const char *path, struct error *err)
{
    struct folder *folder;
    enum status status = folder_open(path, &folder, err);
    if (status != STATUS_OK) return status;
    const char *missing = !folder_has(folder, CONFIG) ? CONFIG : !folder_has(folder, GOLDEN) ? GOLDEN : NULL;
    status = missing ? error_set(err, STATUS_NOT_FOUND, "%s is not there yet", missing)
                     : check_weights(folder, err);
    folder_close(folder);
    return status;
}
