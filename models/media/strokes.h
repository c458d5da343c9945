/* strokes: the path of a pen on a page, and the files that hold it: SVG, G-code for pen plotters, and grey
 * pixels for PNG. Pure; any thread. */
#ifndef CAROUSEL_MODELS_STROKES_H
#define CAROUSEL_MODELS_STROKES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { STROKES_MAX_SIDE = 1 << 14, STROKES_MAX_PIXELS = 1 << 24 };

struct stroke_point {
    double x, y; /* pixels from the page's upper left corner; x to the right, y downwards */
    bool ends;   /* the pen is lifted here */
};

/* Points are borrowed. The last one ends a stroke. */
struct strokes {
    const struct stroke_point *points; /* [n] */
    size_t n;
    size_t width, height; /* of the page in pixels, 1 to STROKES_MAX_SIDE */
    double thickness;     /* of the line, pixels */
};

/* Return the most bytes that the file has, the end's zero included. */
size_t strokes_svg_room(const struct strokes *strokes);
/* Write an SVG 1.1 file to out[room]: a path a stroke, curves through the middles of neighbours. Return its
 * bytes. */
size_t strokes_svg(const struct strokes *strokes, char *out);

size_t strokes_gcode_room(const struct strokes *strokes);
/* The same as G-code (ISO 6983; G21, G90): millimetres, y upwards, the pen at Z0 on the paper and at Z3 above
 * it. A pixel is a quarter of a millimetre. */
size_t strokes_gcode(const struct strokes *strokes, char *out);

/* Draw to grey[height, width], 0 ink and 255 paper, with soft edges. width x height is at most
 * STROKES_MAX_PIXELS. */
void strokes_draw(const struct strokes *strokes, uint8_t *grey);

#endif
