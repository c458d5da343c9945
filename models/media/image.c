#include "models/media/image.h"

#include <stdbool.h>
#include <string.h>

#include "core/base/memory.h"
#include "models/text/base64.h"

enum { MAX_TYPE = 64 }; /* bytes of a media type that a sentence shows */

static const struct format {
    const char *name, *media_type, *signature;
    size_t n;
    image_decoder *decode;
} formats[] = {
#define X(symbol, name, media_type, signature, bytes) {name, media_type, signature, bytes, image_##symbol},
#include "models/media/image.def"
};
enum { N_FORMATS = sizeof formats / sizeof *formats };

static const struct format *format_of(const uint8_t *bytes, size_t n)
{
    for (size_t i = 0; i < N_FORMATS; i++)
        if (n >= formats[i].n && !memcmp(bytes, formats[i].signature, formats[i].n)) return &formats[i];
    return NULL;
}

const char *image_media_type(const uint8_t *bytes, size_t n)
{
    const struct format *format = format_of(bytes, n);
    return format ? format->media_type : NULL;
}

static enum status no_memory(struct error *err)
{
    return error_set(err, STATUS_NO_MEMORY, "no memory");
}

enum status image_reserve(struct image *image, size_t width, size_t height, size_t n_frames,
                          size_t max_pixels, struct error *err)
{
    if (width < 1 || height < 1 || n_frames < 1 || width > IMAGE_MAX_SIDE || height > IMAGE_MAX_SIDE)
        return error_set(err, STATUS_BAD_VALUE, "the picture is %zu x %zu pixels, expected sides of 1 to %d",
                         width, height, (int)IMAGE_MAX_SIDE);
    if (n_frames > max_pixels / (width * height))
        return error_set(err, STATUS_BAD_VALUE,
                         "the picture has %zu x %zu pixels%s, expected at most %zu pixels in all; make it "
                         "smaller before you send it", width, height,
                         n_frames > 1 ? " and several frames" : "", max_pixels);
    memory_free(image->pixels);
    *image = (struct image){.width = width, .height = height, .n_frames = n_frames};
    image->pixels = memory_new(width * height * n_frames, IMAGE_CHANNELS);
    return image->pixels ? STATUS_OK : no_memory(err);
}

enum status image_decode(const uint8_t *bytes, size_t n, size_t max_pixels, struct image *out,
                         struct error *err)
{
    *out = (struct image){0};
    const struct format *format = format_of(bytes, n);
    if (!format)
        return error_set(err, STATUS_BAD_VALUE, "%zu bytes that are no picture which can be read; expected a "
                         "PNG, JPEG or GIF file", n);
    enum status status = format->decode(bytes, n, max_pixels, out, err);
    if (status == STATUS_BAD_VALUE) error_prefix(err, "%s file", format->name);
    return status;
}

/* Check that the media type, url[0..n), is that of the file. */
static enum status check_type(const char *url, size_t n, const uint8_t *bytes, size_t n_bytes,
                              struct error *err)
{
    const struct format *format = format_of(bytes, n_bytes);
    if (!format || (n == strlen(format->media_type) && !memcmp(url, format->media_type, n)) ||
        (n == 9 && !memcmp(url, "image/jpg", 9) && !strcmp(format->media_type, "image/jpeg")))
        return STATUS_OK;
    return error_set(err, STATUS_BAD_VALUE, "the media type is %.*s, but the bytes are a %s file, of type %s",
                     (int)(n < MAX_TYPE ? n : MAX_TYPE), url, format->name, format->media_type);
}

enum status image_decode_url(const char *url, size_t n, size_t max_pixels, struct image *out,
                             struct error *err)
{
    static const char scheme[] = "data:", marker[] = ";base64,";
    const size_t n_scheme = sizeof scheme - 1, n_marker = sizeof marker - 1;
    *out = (struct image){0};
    const char *comma = n > n_scheme && !memcmp(url, scheme, n_scheme) ? memchr(url, ',', n) : NULL;
    if (!comma || (size_t)(comma - url) + 1 < n_scheme + n_marker ||
        memcmp(comma + 1 - n_marker, marker, n_marker) != 0)
        return error_set(err, STATUS_BAD_VALUE, "expected a data URL in base64 such as "
                         "'data:image/png;base64,iVBORw0...'");
    const char *text = comma + 1, *type = url + n_scheme;
    size_t n_text = n - (size_t)(text - url), n_type = (size_t)(comma + 1 - n_marker - type), n_bytes = 0;
    uint8_t *bytes = memory_new(base64_room(n_text), 1);
    if (!bytes) return no_memory(err);
    enum status status = STATUS_OK;
    if (!base64_read(text, n_text, bytes, &n_bytes))
        status = error_set(err, STATUS_BAD_VALUE, "what follows the comma of the data URL is no base64");
    if (status == STATUS_OK) status = check_type(type, n_type, bytes, n_bytes, err);
    if (status == STATUS_OK) status = image_decode(bytes, n_bytes, max_pixels, out, err);
    memory_free(bytes);
    return status;
}

void image_free(struct image *image)
{
    memory_free(image->pixels);
    *image = (struct image){0};
}
