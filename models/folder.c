#include "models/folder.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/memory.h"
#include "models/sentence.h"

enum { NAME_BYTES = 255 };

enum status folder_open(const char *path, int *folder, struct error *err)
{
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0) {
        enum status status = errno == ENOENT ? STATUS_NOT_FOUND : STATUS_IO;
        return error_set(err, status, "cannot open folder '%s': %s", path, strerror(errno));
    }
    *folder = fd;
    return STATUS_OK;
}

bool folder_has(int folder, const char *name)
{
    struct stat facts;
    return fstatat(folder, name, &facts, AT_SYMLINK_NOFOLLOW) == 0;
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
    if (errno == ELOOP)
        return error_set(err, STATUS_BAD_VALUE, "%s is a symbolic link, expected a regular file",
                         quoted);
    return error_set(err, STATUS_IO, "cannot read %s: %s", quoted, strerror(errno));
}

/* Looked at before it is opened, because opening a device may act; and after, because it may have
 * been exchanged in between. O_NONBLOCK: opening a FIFO would wait for its writer. */
enum status folder_open_file(int folder, const char *name, uint64_t max_bytes, struct file *file,
                             struct error *err)
{
    char quoted[QUOTE_BYTES];
    struct stat facts;
    enum status status = check_name(name, err);
    if (status != STATUS_OK) return status;
    sentence_quote(quoted, name, strlen(name));
    if (fstatat(folder, name, &facts, AT_SYMLINK_NOFOLLOW) != 0) return cannot(quoted, err);
    status = check_facts(quoted, &facts, max_bytes, err);
    if (status != STATUS_OK) return status;
    int fd = openat(folder, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    if (fd < 0) return cannot(quoted, err);
    if (fstat(fd, &facts) != 0) status = cannot(quoted, err);
    else status = check_facts(quoted, &facts, max_bytes, err);
    if (status != STATUS_OK) {
        close(fd);
        return status;
    }
    *file = (struct file){fd, (uint64_t)facts.st_size, (int64_t)facts.st_mtime};
    return STATUS_OK;
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

enum status folder_read_file(int folder, const char *name, size_t max_bytes, char **text,
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
