#define _GNU_SOURCE /* syscall, O_PATH */
#include "models/text/folder.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "core/base/memory.h"
#include "models/text/sentence.h"

enum { NAME_BYTES = 255, PATH_BYTES = 4096, TRIES = 32 };

/* The bundle's folder is fd. Its files are opened from the root, as `below`/name, because their links may
 * lead to any place below the root. */
struct folder {
    int fd, root;
    char below[]; /* "." if the folder is its own root */
};

/* Open `path` below the folder `root`, and follow links that stay below it. -1 and errno if that fails:
 * EXDEV means that a link leads out. The kernel says EAGAIN if a folder was moved meanwhile. */
static int open_below(int root, const char *path, int flags)
{
    const struct open_how how = {.flags = (unsigned)flags | O_CLOEXEC,
                                 .resolve = RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS};
    long fd = -1;
    for (int i = 0; i < TRIES && fd < 0; i++) {
        fd = syscall(SYS_openat2, root, path, &how, sizeof how);
        if (fd < 0 && errno != EAGAIN && errno != EINTR) break;
    }
    if (fd >= 0 || (errno != ENOSYS && errno != EPERM)) return (int)fd;
    /* An old kernel, or a filter of system calls that is older than this one. */
    return openat(root, path, flags | O_NOFOLLOW | O_CLOEXEC);
}

static enum status cannot_open(const char *path, struct error *err)
{
    if (errno == EXDEV || errno == ELOOP)
        return error_set(err, STATUS_BAD_VALUE,
                         "folder '%s' is a symbolic link that leads out of the folder that is served, "
                         "expected a relative target below it; or name the target by --model NAME=PATH",
                         path);
    return error_set(err, errno == ENOENT ? STATUS_NOT_FOUND : STATUS_IO, "cannot open folder '%s': %s", path,
                     strerror(errno));
}

/* The last mark in the path; NULL if there is none. */
static const char *find_mark(const char *path)
{
    const char *mark = NULL;
    for (const char *at = path; (at = strstr(at, FOLDER_ROOT_MARK)); at++) mark = at;
    return mark;
}

enum status folder_open(const char *path, struct folder **out, struct error *err)
{
    const char *mark = find_mark(path), *below = mark ? mark + strlen(FOLDER_ROOT_MARK) : ".";
    size_t n_root = mark ? (size_t)(mark - path) + 1 : strlen(path), n_below = strlen(below) + 1;
    char root[PATH_BYTES];
    if (n_root >= sizeof root) return error_set(err, STATUS_IO, "the path of a folder is too long");
    memcpy(root, path, n_root);
    root[n_root] = '\0';
    struct folder *folder = memory_new(1, sizeof *folder + n_below);
    if (!folder) return error_set(err, STATUS_NO_MEMORY, "no memory");
    memcpy(folder->below, below, n_below);
    folder->fd = -1;
    folder->root = open(root, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NONBLOCK);
    if (folder->root >= 0) folder->fd = open_below(folder->root, below, O_RDONLY | O_DIRECTORY | O_NONBLOCK);
    if (folder->fd >= 0) return *out = folder, STATUS_OK;
    enum status status = cannot_open(path, err);
    folder_close(folder);
    return status;
}

void folder_close(struct folder *folder)
{
    if (!folder) return;
    if (folder->fd >= 0) close(folder->fd);
    if (folder->root >= 0) close(folder->root);
    memory_free(folder);
}

bool folder_has(const struct folder *folder, const char *name)
{
    struct stat facts;
    return fstatat(folder->fd, name, &facts, AT_SYMLINK_NOFOLLOW) == 0;
}

/* Names end in sentences and on terminals. */
static enum status check_name(const char *name, struct error *err)
{
    char quoted[QUOTE_BYTES];
    size_t bytes = strlen(name);
    if (bytes > 0 && bytes <= NAME_BYTES && name[0] != '.' && !strchr(name, '/') &&
        sentence_is_plain(name, bytes))
        return STATUS_OK;
    return error_set(err, STATUS_BAD_VALUE,
                     "file name %s is refused, expected a plain name in the bundle's own folder",
                     sentence_quote(quoted, name, bytes));
}

static const char *kind_of(mode_t mode)
{
    return S_ISLNK(mode)  ? "a symbolic link"
           : S_ISDIR(mode)  ? "a folder"
           : S_ISFIFO(mode) ? "a FIFO"
           : S_ISSOCK(mode) ? "a socket"
                            : "a device";
}

static enum status check_facts(const char *quoted, const struct stat *facts, uint64_t max_bytes,
                               struct error *err)
{
    if (!S_ISREG(facts->st_mode))
        return error_set(err, STATUS_BAD_VALUE, "%s is %s, expected a regular file", quoted,
                         kind_of(facts->st_mode));
    if (facts->st_size < 0 || (uint64_t)facts->st_size > max_bytes)
        return error_set(err, STATUS_TOO_LONG, "%s has %lld bytes, expected at most %llu", quoted,
                         (long long)facts->st_size, (unsigned long long)max_bytes);
    return STATUS_OK;
}

static enum status cannot(const char *quoted, struct error *err)
{
    if (errno == ENOENT) return error_set(err, STATUS_NOT_FOUND, "%s is missing", quoted);
    if (errno == EXDEV)
        return error_set(err, STATUS_BAD_VALUE,
                         "%s is a symbolic link that leads out of the folder that is served, expected a "
                         "regular file, or a relative link to one below that folder", quoted);
    if (errno == ELOOP)
        return error_set(err, STATUS_BAD_VALUE,
                         "%s is a symbolic link that leads nowhere, expected a regular file", quoted);
    return error_set(err, STATUS_IO, "cannot read %s: %s", quoted, strerror(errno));
}

/* Open it and see what it is. O_NONBLOCK: opening a FIFO would wait for its writer. */
static enum status open_and_check(const struct folder *folder, const char *path, int flags,
                                  const char *quoted, uint64_t max_bytes, struct file *file,
                                  struct error *err)
{
    struct stat facts;
    int fd = open_below(folder->root, path, flags);
    if (fd < 0) return cannot(quoted, err);
    enum status status = fstat(fd, &facts) != 0 ? cannot(quoted, err)
                                                : check_facts(quoted, &facts, max_bytes, err);
    if (status != STATUS_OK) close(fd);
    else *file = (struct file){fd, (uint64_t)facts.st_size, (int64_t)facts.st_mtime};
    return status;
}

/* Looked at before it is opened, because opening a device may act, and O_PATH does not; and after, because it
 * may have been exchanged in between. */
enum status folder_open_file(const struct folder *folder, const char *name, uint64_t max_bytes,
                             struct file *file, struct error *err)
{
    char quoted[QUOTE_BYTES], path[PATH_BYTES];
    enum status status = check_name(name, err);
    if (status != STATUS_OK) return status;
    sentence_quote(quoted, name, strlen(name));
    int n = snprintf(path, sizeof path, "%s/%s", folder->below, name);
    if (n < 0 || n >= PATH_BYTES) return error_set(err, STATUS_IO, "%s: its path is too long", quoted);
    status = open_and_check(folder, path, O_PATH, quoted, max_bytes, file, err);
    if (status != STATUS_OK) return status;
    close(file->fd);
    return open_and_check(folder, path, O_RDONLY | O_NONBLOCK, quoted, max_bytes, file, err);
}

enum status file_read(int fd, const char *name, uint64_t offset, void *buffer, size_t bytes,
                      struct error *err)
{
    char *to = buffer;
    for (size_t done = 0; done < bytes;) {
        ssize_t n = pread(fd, to + done, bytes - done, (off_t)(offset + done));
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) return error_set(err, STATUS_IO, "cannot read %s: %s", name, strerror(errno));
        if (n == 0) return error_set(err, STATUS_IO, "%s became shorter while it was read", name);
        done += (size_t)n;
    }
    return STATUS_OK;
}

enum status folder_read_file(const struct folder *folder, const char *name, size_t max_bytes, char **text,
                             size_t *bytes, struct error *err)
{
    struct file file;
    enum status status = folder_open_file(folder, name, max_bytes, &file, err);
    if (status != STATUS_OK) return status;
    size_t n = (size_t)file.bytes;
    char *block = memory_new(n + 1, 1);
    if (!block) status = error_set(err, STATUS_NO_MEMORY, "%s: no memory for %zu bytes", name, n);
    else status = file_read(file.fd, name, 0, block, n, err);
    close(file.fd);
    if (status != STATUS_OK) {
        memory_free(block);
        return status;
    }
    *text = block;
    *bytes = n;
    return STATUS_OK;
}
