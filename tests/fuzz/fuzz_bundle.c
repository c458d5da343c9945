/* Any bytes as a whole bundle: config.json, golden.json, vocab.txt and model.safetensors, with the byte 0xff
 * (which no UTF-8 holds) between them. Loads it as the server does; what loads must be sound. As nobody
 * guesses a sum, 64 zeros in config.json stand for that of the weights. */
#include <assert.h>
#include <fcntl.h>
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "models/text/hash.h"
#include "models/bundle/model.h"

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

static void write_file(const char *name, const void *data, size_t size)
{
    int fd = open(path_of(name), O_WRONLY | O_CREAT | O_TRUNC, 0600);
    if (fd < 0 || write(fd, data, size) != (ssize_t)size) abort();
    close(fd);
}

static void write_config(const char *config, size_t size, const char *sum)
{
    static const char zeros[] = "0000000000000000000000000000000000000000000000000000000000000000";
    char *text = malloc(size + 1);
    if (!text) abort();
    memcpy(text, config, size);
    text[size] = '\0';
    for (char *at = text; (at = strstr(at, zeros));) memcpy(at, sum, strlen(zeros));
    write_file(names[0], text, size);
    free(text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct model *model;
    struct error err = {.message = ""};
    const uint8_t *config = data;
    size_t config_bytes = 0;
    uint8_t hash[HASH_BYTES];
    char sum[HASH_HEX_BYTES] = "";
    make_folder();
    for (size_t i = 0; i < N_FILES; i++) {
        const uint8_t *stop = i + 1 < N_FILES && size ? memchr(data, SEPARATOR, size) : NULL;
        size_t n = stop ? (size_t)(stop - data) : size;
        if (i == 0) config_bytes = n;
        if (i + 1 == N_FILES) hash_bytes(data, n, hash), hash_print(hash, sum);
        write_file(names[i], data, n);
        data += stop ? n + 1 : n;
        size -= stop ? n + 1 : n;
    }
    if (config_bytes) write_config((const char *)config, config_bytes, sum);
    if (model_load(folder, "fuzz", "1", PRECISION_FLOAT32, &model, &err) != STATUS_OK) {
        assert(err.message[0] && strlen(err.message) < sizeof err.message);
        return 0;
    }
    assert(strcmp(model->hash, sum) == 0);
    assert(model->n_golden >= 1 && isfinite(model->proof.error));
    assert(!model->tokenizer ||
           tokenizer_size(model->tokenizer) == network_vocabulary_size(model->network));
    model_drop(model);
    return 0;
}
