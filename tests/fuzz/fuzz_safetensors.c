/* Any bytes as a model.safetensors: the header's checks, in memory and from a file, which must agree, and the
 * reading of tensors that pass them. What opens must hold exactly the bytes that it says; what is taken must
 * be finite. */
#include <assert.h>
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/base/memory.h"
#include "models/bundle/safetensors.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* One file for all inputs, without a name. */
static int scratch(void)
{
    static int fd = -1;
    if (fd < 0) {
        char path[] = "/tmp/fuzz-safetensors-XXXXXX";
        fd = mkstemp(path);
        if (fd < 0) abort();
        unlink(path);
    }
    return fd;
}

static void take(struct safetensors *file, const char *name, size_t rank, const size_t *shape)
{
    struct tensors *tensors = safetensors_tensors(file);
    struct error err;
    float *values;
    size_t n = 1;
    for (size_t i = 0; i < rank; i++) n *= shape[i];
    if (tensors->take(tensors, name, rank, shape, &values, &err) != STATUS_OK) {
        assert(err.message[0]);
        return;
    }
    for (size_t i = 0; i < n; i++) assert(isfinite(values[i]));
    memory_free(values);
}

static enum status open_header(const uint8_t *data, size_t size, struct error *err)
{
    struct safetensors *file = NULL;
    int fd = scratch();
    if (ftruncate(fd, 0) != 0 || pwrite(fd, data, size, 0) != (ssize_t)size) abort();
    enum status status = safetensors_open_header(fd, size, &file, err);
    safetensors_free(file);
    return status;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct safetensors *file = NULL;
    struct error err = {.message = ""}, other = {.message = ""};
    enum status status = safetensors_open(data, size, &file, &err);
    assert(status == open_header(data, size, &other) && strcmp(err.message, other.message) == 0);
    if (status != STATUS_OK) {
        assert(err.message[0]);
        return 0;
    }
    assert(safetensors_n_values(file) <= size);
    take(file, "a", 1, (size_t[]){2});
    take(file, "b", 2, (size_t[]){2, 3});
    take(file, "c", 0, NULL);
    take(file, "out.weight", 2, (size_t[]){3, 3});
    if (safetensors_check_taken(file, &err) != STATUS_OK) assert(err.message[0]);
    safetensors_free(file);
    return 0;
}
