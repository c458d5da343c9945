/* Any bytes as a whole bundle: config.json, golden.json, vocab.txt and model.safetensors, with the byte 0xff
 * (which no UTF-8 holds) between them. Loads it as the server does; what loads must be sound. */
#include <assert.h>
#include <fcntl.h>
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "models/model.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { SEPARATOR = 0xff, PATH_BYTES = 256 };

static char folder[PATH_BYTES];

static const char *const names[] = {"config.json", "golden.json", "vocab.txt",
                                    "model.safetensors"};
enum { N_FILES = sizeof names / sizeof *names };

static const char *path_of(const char *name)
{
    static char path[2 * PATH_BYTES];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    return path;
}

static void remove_folder(void)
{
    for (size_t i = 0; i < N_FILES; i++) unlink(path_of(names[i]));
    rmdir(folder);
}

static void make_folder(void)
{
    struct stat facts;
    if (folder[0]) return;
    const char *base = stat("/dev/shm", &facts) == 0 ? "/dev/shm" : "/tmp";
    snprintf(folder, sizeof folder, "%s/fuzz-bundle-XXXXXX", base);
    if (!mkdtemp(folder)) abort();
    atexit(remove_folder);
}

static void write_file(const char *name, const uint8_t *data, size_t size)
{
    int fd = open(path_of(name), O_WRONLY | O_CREAT | O_TRUNC, 0600);
    if (fd < 0 || write(fd, data, size) != (ssize_t)size) abort();
    close(fd);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct model *model;
    struct error err = {.message = ""};
    make_folder();
    for (size_t i = 0; i < N_FILES; i++) {
        const uint8_t *stop = i + 1 < N_FILES && size ? memchr(data, SEPARATOR, size) : NULL;
        size_t n = stop ? (size_t)(stop - data) : size;
        write_file(names[i], data, n);
        data += stop ? n + 1 : n;
        size -= stop ? n + 1 : n;
    }
    if (model_load(folder, "fuzz", "1", PRECISION_FLOAT32, &model, &err) != STATUS_OK) {
        assert(err.message[0] && strlen(err.message) < sizeof err.message);
        return 0;
    }
    assert(model->n_golden >= 1 && isfinite(model->golden_error));
    assert(!model->tokenizer ||
           tokenizer_size(model->tokenizer) == network_vocabulary_size(model->network));
    model_drop(model);
    return 0;
}
