/* Any bytes as a picture file, and as what follows the comma of a data URL. Nothing decodes to more pixels
 * than the limit, and what is decoded becomes rows of finite numbers from 0 to 1. */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/memory.h"
#include "models/features/picture.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { MAX_PIXELS = 1 << 14, ROWS = 4 * 3 * 3 * 2 };

static void check(struct image *image, enum status status, const struct error *err)
{
    double rows[ROWS];
    assert(status == STATUS_OK || status == STATUS_BAD_VALUE || status == STATUS_NO_MEMORY);
    assert((status == STATUS_OK) == !*err->message);
    if (status == STATUS_OK) {
        assert(image->width * image->height * image->n_frames <= MAX_PIXELS);
        for (long fit = 0; fit < N_FITS; fit++) {
            const struct picture_spec spec = {.width = 4, .height = 3, .channels = 3, .frames = 2,
                                              .fit = fit};
            picture_put(&spec, image, rows);
            for (size_t i = 0; i < ROWS; i++) assert(rows[i] >= -1e-9 && rows[i] <= 1 + 1e-9);
        }
    }
    image_free(image);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char scheme[] = "data:image/png;base64,";
    struct image image;
    struct error err = {0};
    if (size > 65536) return 0;
    enum status status = image_decode(data, size, MAX_PIXELS, &image, &err);
    check(&image, status, &err);
    char *url = malloc(sizeof scheme + size);
    if (!url) return 0;
    memcpy(url, scheme, sizeof scheme - 1);
    if (size) memcpy(url + sizeof scheme - 1, data, size);
    err = (struct error){0};
    status = image_decode_url(url, sizeof scheme - 1 + size, MAX_PIXELS, &image, &err);
    check(&image, status, &err);
    free(url);
    return 0;
}
