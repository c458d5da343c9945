/* PNG, by libpng's simplified interface, which reads the header first and keeps its long jumps to itself. */
#include <png.h>
#include <stdbool.h>
#include <string.h>

#include "core/base/memory.h"
#include "models/media/image.h"

enum status image_png(const uint8_t *bytes, size_t n, size_t max_pixels, struct image *out,
                      struct error *err)
{
    png_image png;
    memset(&png, 0, sizeof png);
    png.version = PNG_IMAGE_VERSION;
    enum status status = STATUS_OK;
    bool is_read = png_image_begin_read_from_memory(&png, bytes, n) != 0;
    if (is_read) {
        png.format = PNG_FORMAT_RGBA;
        status = image_reserve(out, png.width, png.height, 1, max_pixels, err);
        is_read = status != STATUS_OK || png_image_finish_read(&png, NULL, out->pixels, 0, NULL) != 0;
    }
    if (!is_read)
        status = error_set(err, STATUS_BAD_VALUE, "it is damaged or cut short (%s)", png.message);
    png_image_free(&png);
    return status;
}

uint8_t *image_write_png(const uint8_t *grey, size_t width, size_t height, size_t *n)
{
    png_image png;
    memset(&png, 0, sizeof png);
    png.version = PNG_IMAGE_VERSION;
    png.width = (png_uint_32)width;
    png.height = (png_uint_32)height;
    png.format = PNG_FORMAT_GRAY;
    png_alloc_size_t bytes = PNG_IMAGE_PNG_SIZE_MAX(png);
    uint8_t *out = memory_new(bytes, 1);
    if (out && !png_image_write_to_memory(&png, out, &bytes, 0, grey, 0, NULL)) {
        memory_free(out);
        out = NULL;
    }
    png_image_free(&png);
    *n = out ? bytes : 0;
    return out;
}
