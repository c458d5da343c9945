#include "tests/support/tmp.h"

#include <check.h>
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

void tmp_make(struct tmp *tmp)
{
    const char *base = getenv("TMPDIR");
    snprintf(tmp->path, sizeof tmp->path, "%s/carousel-test-XXXXXX", base && *base ? base : "/tmp");
    ck_assert_ptr_nonnull(mkdtemp(tmp->path));
}

static void remove_all(const char *path)
{
    struct stat facts;
    if (lstat(path, &facts) != 0) return;
    DIR *dir = S_ISDIR(facts.st_mode) ? opendir(path) : NULL;
    for (struct dirent *e; dir && (e = readdir(dir));) {
        char below[2 * TMP_PATH_BYTES];
        if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0) continue;
        snprintf(below, sizeof below, "%s/%s", path, e->d_name);
        remove_all(below);
    }
    if (dir) closedir(dir);
    ck_assert_int_eq(remove(path), 0);
}

void tmp_remove(struct tmp *tmp)
{
    remove_all(tmp->path);
}

const char *tmp_path(const struct tmp *tmp, const char *name, char out[TMP_PATH_BYTES])
{
    int n = snprintf(out, TMP_PATH_BYTES, "%s/%s", tmp->path, name);
    ck_assert(n > 0 && n < TMP_PATH_BYTES);
    return out;
}

void tmp_mkdir(const struct tmp *tmp, const char *name)
{
    char path[TMP_PATH_BYTES];
    tmp_path(tmp, name, path);
    for (char *slash = path + strlen(tmp->path) + 1; (slash = strchr(slash, '/')); slash++) {
        *slash = '\0';
        mkdir(path, 0755);
        *slash = '/';
    }
    mkdir(path, 0755);
}

void tmp_write(const struct tmp *tmp, const char *name, const void *bytes, size_t n)
{
    char path[TMP_PATH_BYTES];
    FILE *file = fopen(tmp_path(tmp, name, path), "wb");
    ck_assert_msg(file != NULL, "cannot write %s", path);
    ck_assert_uint_eq(n ? fwrite(bytes, 1, n, file) : 0, n);
    ck_assert_int_eq(fclose(file), 0);
}

void tmp_write_text(const struct tmp *tmp, const char *name, const char *text)
{
    tmp_write(tmp, name, text, strlen(text));
}

char *tmp_read(const struct tmp *tmp, const char *name, size_t *n)
{
    char path[TMP_PATH_BYTES];
    struct stat facts;
    FILE *file = fopen(tmp_path(tmp, name, path), "rb");
    ck_assert_msg(file != NULL, "cannot read %s", path);
    ck_assert_int_eq(fstat(fileno(file), &facts), 0);
    size_t bytes = (size_t)facts.st_size;
    char *text = calloc(bytes + 1, 1);
    ck_assert_ptr_nonnull(text);
    ck_assert_uint_eq(fread(text, 1, bytes, file), bytes);
    fclose(file);
    if (n) *n = bytes;
    return text;
}
