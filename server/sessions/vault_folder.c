/* Records as files: NAME.state in a folder. */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "models/text/hash.h"
#include "server/sessions/vault.h"

enum { MAGIC = 0x54535343, VERSION = 1 };

struct folder {
    struct vault vault;
    int fd;
};

void record_seal(unsigned char *bytes, size_t n, uint64_t step)
{
    const uint32_t words[2] = {MAGIC, VERSION};
    memcpy(bytes, words, sizeof words);
    memcpy(bytes + RECORD_STEP_AT, &step, sizeof step);
    hash_bytes(bytes + RECORD_HEAD, n - RECORD_HEAD, bytes + RECORD_STEP_AT + sizeof step);
}

bool record_is_whole(const unsigned char *bytes, size_t n)
{
    uint32_t words[2];
    uint8_t hash[HASH_BYTES];
    if (n < RECORD_HEAD) return false;
    memcpy(words, bytes, sizeof words);
    hash_bytes(bytes + RECORD_HEAD, n - RECORD_HEAD, hash);
    return words[0] == MAGIC && words[1] == VERSION &&
           hash_equal(hash, bytes + RECORD_STEP_AT + sizeof(uint64_t));
}

static void file_name(const char *name, const char *end, char out[VAULT_NAME_BYTES + 8])
{
    snprintf(out, VAULT_NAME_BYTES + 8, "%s%s", name, end);
}

static bool write_all(int fd, const char *bytes, size_t n)
{
    while (n) {
        ssize_t written = write(fd, bytes, n);
        if (written < 0 && errno == EINTR) continue;
        if (written <= 0) return false;
        bytes += written;
        n -= (size_t)written;
    }
    return true;
}

/* The time of change of a file is when its record expires, so that a look at the folder finds the old ones.
 * */
static enum vault_answer folder_write(struct vault *vault, const char *name, const void *bytes, size_t n,
                                      int64_t ttl_s, const uint64_t *expected)
{
    const struct folder *folder = (struct folder *)vault;
    char now[VAULT_NAME_BYTES + 8], next[VAULT_NAME_BYTES + 8];
    const struct timespec times[2] = {{.tv_sec = time(NULL) + (time_t)ttl_s},
                                      {.tv_sec = time(NULL) + (time_t)ttl_s}};
    (void)expected; /* the folder is this server's alone */
    file_name(name, ".state", now);
    file_name(name, ".new", next);
    int fd = openat(folder->fd, next, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (fd < 0) return VAULT_AWAY;
    bool good = write_all(fd, bytes, n) && !futimens(fd, times);
    good &= !close(fd);
    if (good && !renameat(folder->fd, next, folder->fd, now)) return VAULT_OK;
    unlinkat(folder->fd, next, 0);
    return VAULT_AWAY;
}

static enum vault_answer folder_read(struct vault *vault, const char *name, void **out, size_t *n)
{
    const struct folder *folder = (struct folder *)vault;
    char file[VAULT_NAME_BYTES + 8];
    struct stat stat;
    file_name(name, ".state", file);
    int fd = openat(folder->fd, file, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0) return VAULT_NOT;
    char *bytes = NULL;
    if (!fstat(fd, &stat) && S_ISREG(stat.st_mode) && stat.st_size > 0 && stat.st_size < RECORD_MOST_BYTES &&
        stat.st_mtim.tv_sec > time(NULL))
        bytes = malloc((size_t)stat.st_size);
    size_t at = 0;
    while (bytes && at < (size_t)stat.st_size) {
        ssize_t got = read(fd, bytes + at, (size_t)stat.st_size - at);
        if (got < 0 && errno == EINTR) continue;
        if (got <= 0) break;
        at += (size_t)got;
    }
    close(fd);
    *n = at;
    *out = bytes;
    return bytes ? VAULT_OK : VAULT_NOT;
}

static void folder_touch(struct vault *vault, const char *name, int64_t ttl_s)
{
    char file[VAULT_NAME_BYTES + 8];
    const struct timespec times[2] = {{.tv_sec = time(NULL) + (time_t)ttl_s},
                                      {.tv_sec = time(NULL) + (time_t)ttl_s}};
    file_name(name, ".state", file);
    utimensat(((struct folder *)vault)->fd, file, times, AT_SYMLINK_NOFOLLOW);
}

static void folder_remove(struct vault *vault, const char *name)
{
    char file[VAULT_NAME_BYTES + 8];
    file_name(name, ".state", file);
    unlinkat(((struct folder *)vault)->fd, file, 0);
}

static void folder_close(struct vault *vault)
{
    close(((struct folder *)vault)->fd);
    free(vault);
}

/* Our own files alone: 64 digits and one of two ends. */
static bool is_ours(const char *file)
{
    size_t n = strspn(file, "0123456789abcdef");
    return n == VAULT_NAME_BYTES - 1 && (!strcmp(file + n, ".state") || !strcmp(file + n, ".new"));
}

static void tidy(const struct folder *folder, size_t most)
{
    int fd = dup(folder->fd);
    DIR *listing = fd < 0 ? NULL : fdopendir(fd);
    const struct dirent *entry;
    size_t n = 0;
    if (!listing) return;
    while ((entry = readdir(listing))) {
        struct stat stat;
        if (!is_ours(entry->d_name) || fstatat(folder->fd, entry->d_name, &stat,
                                               AT_SYMLINK_NOFOLLOW)) continue;
        bool unfinished = !strcmp(entry->d_name + VAULT_NAME_BYTES - 1, ".new");
        if (unfinished || stat.st_mtim.tv_sec <= time(NULL) || ++n > most)
            unlinkat(folder->fd, entry->d_name, 0);
    }
    closedir(listing);
}

enum status vault_open_folder(const char *path, size_t most, struct vault **out, struct error *err)
{
    struct folder *folder = calloc(1, sizeof *folder);
    if (!folder) return error_set(err, STATUS_NO_MEMORY, "no memory for the folder of states");
    folder->vault = (struct vault){.write = folder_write, .read = folder_read, .touch = folder_touch,
                                   .remove = folder_remove, .close = folder_close};
    folder->fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (folder->fd < 0 || faccessat(folder->fd, ".", W_OK | X_OK, 0)) {
        int reason = errno;
        if (folder->fd >= 0) close(folder->fd);
        free(folder);
        return error_set_param(err, STATUS_IO, "sessions.folder", "cannot keep states in the folder %s: %s",
                               path,
                               strerror(reason));
    }
    tidy(folder, most);
    *out = &folder->vault;
    return STATUS_OK;
}
