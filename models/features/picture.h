/* picture: the front end of networks that read pictures. An image becomes rows of numbers, a row a patch.
 *
 * Each frame is composed on white, and its pixels are averaged over the area that a pixel of the
 * network's picture covers ("box" filter; a picture of that size already stays as it is). Values are
 * byte / 255. Grey is 0.299 R + 0.587 G + 0.114 B (ITU-R BT.601). A row holds the values of a patch:
 * its rows from top to bottom, of each the pixels from left to right, of each the channels; and then,
 * with `coordinates`, where the patch's middle lies, x and y from -1 (left, top) to 1. Patches follow
 * each other as words do on a page, and frames in time. Pure; any thread. */
#ifndef CAROUSEL_MODELS_PICTURE_H
#define CAROUSEL_MODELS_PICTURE_H

#include <stdbool.h>
#include <stddef.h>

#include "core/base/status.h"
#include "models/media/image.h"

enum { PICTURE_MAX_SIDE = 1024, PICTURE_MAX_FRAMES = 1024 };

/* How a picture of another form becomes one of the network's. */
enum picture_fit {
    FIT_STRETCH, /* the whole, stretched */
    FIT_CROP,    /* the largest part of the right form, from the middle */
    FIT_PAD,     /* the whole, with white beside it */
    N_FITS
};
extern const char *const picture_fit_names[N_FITS + 1]; /* NULL-terminated */

/* config.json's "features" of type "picture". Width 0: the network has another front end, or none. */
struct picture_spec {
    long width, height; /* of the network's picture */
    long patch;         /* side of a patch, which divides both; 0: a frame is one patch */
    long channels;      /* 1 grey, 3 red, green and blue */
    long frames;        /* an animation is sampled evenly at so many; 0: the network reads one */
    long fit;           /* enum picture_fit */
    bool coordinates;
};

/* STATUS_BAD_VALUE with a sentence if the numbers do not go together. */
enum status picture_check(const struct picture_spec *spec, struct error *err) MUST_CHECK;

size_t picture_patches(const struct picture_spec *spec);  /* rows of a frame */
size_t picture_frames(const struct picture_spec *spec);   /* 1 or more */
size_t picture_row_size(const struct picture_spec *spec); /* numbers of a row */

/* Write the rows of one frame of the image to rows [picture_patches, picture_row_size]. */
void picture_put_frame(const struct picture_spec *spec, const struct image *image, size_t frame,
                       double *rows);

/* Write the rows of picture_frames frames; that at place i of N comes from the middle of the i-th of N equal
 * parts of the image's frames. */
void picture_put(const struct picture_spec *spec, const struct image *image, double *rows);

/* Return which of n frames stands at place i of N. */
size_t picture_sample(size_t i, size_t N, size_t n);

#endif
