#include "models/features/picture.h"

#include <math.h>

const char *const picture_fit_names[N_FITS + 1] = {"stretch", "crop", "pad", NULL};

enum status picture_check(const struct picture_spec *spec, struct error *err)
{
    if (spec->channels != 1 && spec->channels != 3)
        return error_set(err, STATUS_BAD_VALUE,
                         "'channels' is %ld, expected 1 (grey) or 3 (red, green, blue)", spec->channels);
    if (spec->patch && (spec->width % spec->patch || spec->height % spec->patch))
        return error_set(err, STATUS_BAD_VALUE,
                         "'patch' is %ld, expected a divisor of width and height, which are %ld and %ld",
                         spec->patch, spec->width, spec->height);
    return STATUS_OK;
}

static size_t patch_width(const struct picture_spec *spec)
{
    return (size_t)(spec->patch ? spec->patch : spec->width);
}

static size_t patch_height(const struct picture_spec *spec)
{
    return (size_t)(spec->patch ? spec->patch : spec->height);
}

size_t picture_patches(const struct picture_spec *spec)
{
    return (size_t)spec->width / patch_width(spec) * ((size_t)spec->height / patch_height(spec));
}

size_t picture_frames(const struct picture_spec *spec)
{
    return spec->frames ? (size_t)spec->frames : 1;
}

size_t picture_row_size(const struct picture_spec *spec)
{
    return patch_width(spec) * patch_height(spec) * (size_t)spec->channels + (spec->coordinates ? 2 : 0);
}

size_t picture_sample(size_t i, size_t N, size_t n)
{
    return (2 * i + 1) * n / (2 * N);
}

/* The part of an image that the network's picture shows, in pixels; it may reach beyond the image. */
struct view {
    double x, y, width, height;
};

static struct view view_of(const struct picture_spec *spec, const struct image *image)
{
    double width = (double)image->width, height = (double)image->height;
    double scale_x = width / (double)spec->width, scale_y = height / (double)spec->height;
    if (spec->fit == FIT_STRETCH) return (struct view){0, 0, width, height};
    double scale = spec->fit == FIT_CROP ? fmin(scale_x, scale_y) : fmax(scale_x, scale_y);
    double w = scale * (double)spec->width, h = scale * (double)spec->height;
    return (struct view){(width - w) / 2, (height - h) / 2, w, h};
}

/* Add what one pixel shows on white, `share` of it. */
static void add_pixel(const uint8_t *pixel, double share, double sums[3])
{
    double opacity = pixel[3] / 255.0;
    for (size_t c = 0; c < 3; c++) sums[c] += share * (opacity * pixel[c] + (1 - opacity) * 255);
}

/* The mean of the image over [x0, x1) x [y0, y1), white beyond its edges. */
static void average(const struct image *image, size_t frame, double x0, double x1, double y0, double y1,
                    double sums[3])
{
    static const uint8_t white[IMAGE_CHANNELS] = {255, 255, 255, 255};
    const uint8_t *pixels = image->pixels + frame * image->width * image->height * IMAGE_CHANNELS;
    const double width = (double)image->width, height = (double)image->height;
    double left = fmax(x0, 0), right = fmin(x1, width), top = fmax(y0, 0), bottom = fmin(y1, height);
    double area = (x1 - x0) * (y1 - y0), inside = 0;
    sums[0] = sums[1] = sums[2] = 0;
    for (double y = floor(top); y < bottom; y++) {
        double high = fmin(y + 1, bottom) - fmax(y, top);
        for (double x = floor(left); x < right; x++) {
            double share = high * (fmin(x + 1, right) - fmax(x, left));
            add_pixel(pixels + ((size_t)y * image->width + (size_t)x) * IMAGE_CHANNELS, share, sums);
            inside += share;
        }
    }
    if (area > inside) add_pixel(white, area - inside, sums);
    for (size_t c = 0; c < 3; c++) sums[c] /= area * 255;
}

/* The values of pixel (x, y) of the network's picture. */
static void put_pixel(const struct picture_spec *spec, const struct image *image, size_t frame,
                      const struct view *view, size_t x, size_t y, double *out)
{
    double rgb[3], step_x = view->width / (double)spec->width, step_y = view->height / (double)spec->height;
    average(image, frame, view->x + (double)x * step_x, view->x + (double)(x + 1) * step_x,
            view->y + (double)y * step_y, view->y + (double)(y + 1) * step_y, rgb);
    if (spec->channels == 1) out[0] = 0.299 * rgb[0] + 0.587 * rgb[1] + 0.114 * rgb[2];
    else
        for (size_t c = 0; c < 3; c++) out[c] = rgb[c];
}

void picture_put_frame(const struct picture_spec *spec, const struct image *image, size_t frame,
                       double *rows)
{
    const struct view view = view_of(spec, image);
    const size_t w = patch_width(spec), h = patch_height(spec), channels = (size_t)spec->channels;
    const size_t across = (size_t)spec->width / w, down = (size_t)spec->height / h;
    for (size_t v = 0; v < down; v++)
        for (size_t u = 0; u < across; u++) {
            for (size_t y = 0; y < h; y++)
                for (size_t x = 0; x < w; x++, rows += channels)
                    put_pixel(spec, image, frame, &view, u * w + x, v * h + y, rows);
            if (!spec->coordinates) continue;
            *rows++ = (double)(2 * u + 1) / (double)across - 1;
            *rows++ = (double)(2 * v + 1) / (double)down - 1;
        }
}

void picture_put(const struct picture_spec *spec, const struct image *image, double *rows)
{
    const size_t N = picture_frames(spec), size = picture_patches(spec) * picture_row_size(spec);
    for (size_t i = 0; i < N; i++)
        picture_put_frame(spec, image, picture_sample(i, N, image->n_frames), rows + i * size);
}
