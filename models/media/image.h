/* image: a client's picture file as pixels, and pictures of the server as PNG. A client's file is untrusted:
 * its size in pixels is checked against a limit before anything of that size is allocated or decoded. Any
 * thread. */
#ifndef CAROUSEL_MODELS_IMAGE_H
#define CAROUSEL_MODELS_IMAGE_H

#include <stddef.h>
#include <stdint.h>

#include "core/base/status.h"

/* Frames one behind the other, rows from top to bottom, four bytes a pixel: red, green, blue, and opacity (0
 * clear, 255 opaque), not premultiplied. An animation's frames are whole pictures, as they are shown. */
struct image {
    uint8_t *pixels; /* [n_frames, height, width, 4] owned */
    size_t width, height, n_frames;
};

enum { IMAGE_CHANNELS = 4, IMAGE_MAX_SIDE = 1 << 16 };

/* Decode a PNG, a JPEG or a GIF file of at most max_pixels, of all frames together; the format is told by its
 * first bytes. STATUS_BAD_VALUE with a sentence, STATUS_NO_MEMORY. The caller frees *out by image_free, also
 * after a failure. */
enum status image_decode(const uint8_t *bytes, size_t n, size_t max_pixels, struct image *out,
                         struct error *err) MUST_CHECK;

/* The same from a data URL (RFC 2397) in base64: "data:image/png;base64,iVBORw0...". The media type must be
 * that of the file. */
enum status image_decode_url(const char *url, size_t n, size_t max_pixels, struct image *out,
                             struct error *err) MUST_CHECK;

/* Return the media type of a file by its first bytes; NULL if it is no picture that can be decoded. */
const char *image_media_type(const uint8_t *bytes, size_t n);

void image_free(struct image *image);

/* Return `grey` [height, width], 0 black to 255 white, as a PNG file of *n bytes, which the caller frees by
 * memory_free. Sides are 1 to IMAGE_MAX_SIDE. NULL without memory. */
uint8_t *image_write_png(const uint8_t *grey, size_t width, size_t height, size_t *n);

/* For the formats: note the size and make room for the pixels, or refuse it. */
enum status image_reserve(struct image *image, size_t width, size_t height, size_t n_frames,
                          size_t max_pixels, struct error *err) MUST_CHECK;

/* A format's decoder, as image_decode. */
typedef enum status image_decoder(const uint8_t *bytes, size_t n, size_t max_pixels, struct image *out,
                                  struct error *err);
#define X(symbol, name, media_type, signature, bytes) image_decoder image_##symbol;
#include "models/media/image.def"

#endif
