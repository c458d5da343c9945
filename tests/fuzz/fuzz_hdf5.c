/* Any bytes as an HDF5 file: every data set and the attributes of every object are read or refused. */
#include <assert.h>
#include <math.h>
#include <string.h>

#include "models/formats/hdf5.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void read_object(const struct hdf5 *hdf5, const struct hdf5_object *object)
{
    static const char *const names[] = {"model_config", "keras_version", "layer_names", "weight_names"};
    struct error err = {.message = ""};
    struct tensor tensor;
    double *values;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        const char **texts = NULL;
        size_t n = 0;
        if (hdf5_texts(hdf5, object, names[i], &texts, &n, &err) != STATUS_OK || n == SIZE_MAX) continue;
        for (size_t t = 0; t < n; t++) (void)strlen(texts[t]);
    }
    if (object->is_group || hdf5_tensor(hdf5, object, &tensor, &err) != STATUS_OK) return;
    if (tensor_doubles(&tensor, hdf5->pool, &values, &err) != STATUS_OK) return;
    for (size_t i = 0; i < tensor.n_values; i++) assert(isfinite(values[i]));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct pool *pool = pool_new(1 << 26);
    struct hdf5 hdf5;
    struct error err = {.message = ""};
    if (!pool) return 0;
    if (hdf5_open(data, size, pool, &hdf5, &err) != STATUS_OK) assert(err.message[0]);
    else
        for (size_t i = 0; i < hdf5.n_objects && i < 256; i++) read_object(&hdf5, &hdf5.objects[i]);
    pool_free(pool);
    return 0;
}
