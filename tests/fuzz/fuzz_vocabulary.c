/* Any bytes as the file of --tokenizer or --scaler of carousel-import: a vocabulary whose every id has a
 * name, or numbers of one length, or a sentence. The first byte is the number of ids; odd ones read a scaler
 * too. */
#define _GNU_SOURCE /* memfd_create */
#include <assert.h>
#include <math.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "models/import/card.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void read_scaler(const char *path, struct pool *pool)
{
    struct card card = {0};
    struct error err = {.message = ""};
    if (card_scaler(path, pool, &card, &err) != STATUS_OK) {
        assert(err.message[0]);
        return;
    }
    for (size_t i = 0; i < card.n_scaler; i++) assert(isfinite(card.mean[i]) && card.scale[i] > 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char path[32];
    struct vocabulary vocabulary;
    struct error err = {.message = ""};
    struct pool *pool = pool_new(1 << 26);
    int fd = memfd_create("file", 0);
    if (size && pool && fd >= 0 && write(fd, data + 1, size - 1) == (ssize_t)size - 1) {
        size_t wanted = data[0];
        snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
        if (card_vocabulary(path, wanted, wanted & 2, NULL, pool, &vocabulary, &err) != STATUS_OK)
            assert(err.message[0]);
        else
            for (size_t i = 0; i < vocabulary.n; i++) assert(vocabulary.items[i] && *vocabulary.items[i]);
        if (wanted & 1) read_scaler(path, pool);
    }
    if (fd >= 0) close(fd);
    pool_free(pool);
    return 0;
}
