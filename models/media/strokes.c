#include "models/media/strokes.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

enum {
    SVG_POINT_BYTES = 64, SVG_FRAME_BYTES = 512, /* a point is at most "<path d=\"M x y Q x y x y\"/>\n" */
    GCODE_POINT_BYTES = 96, GCODE_FRAME_BYTES = 128,
    PIECES = 4 /* straight lines that a curve is drawn with */
};
#define MM_PER_PIXEL 0.25
#define WHITE 255.0

/* ---- SVG ---------------------------------------------------------------------------------------- */

size_t strokes_svg_room(const struct strokes *strokes)
{
    return strokes->n * SVG_POINT_BYTES + SVG_FRAME_BYTES;
}

/* Points lie on the page (struct strokes), so that no number is longer than five digits and two more. */
size_t strokes_svg(const struct strokes *s, char *out)
{
    const size_t room = strokes_svg_room(s);
    size_t n = (size_t)snprintf(out, room,
                                "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"%zu\" height=\"%zu\" "
                                "viewBox=\"0 0 %zu %zu\">\n"
                                "<g fill=\"none\" stroke=\"#1a1a2e\" stroke-width=\"%.2f\" "
                                "stroke-linecap=\"round\" stroke-linejoin=\"round\">\n",
                                s->width, s->height, s->width, s->height, s->thickness);
    bool begins = true;
    for (size_t i = 0; i < s->n; i++) {
        const struct stroke_point *p = &s->points[i];
        if (begins) n += (size_t)snprintf(out + n, room - n, "<path d=\"M%.2f %.2f", p->x, p->y);
        if (begins && p->ends) n += (size_t)snprintf(out + n, room - n, "h.01");
        else if (p->ends) n += (size_t)snprintf(out + n, room - n, "L%.2f %.2f", p->x, p->y);
        else if (!begins)
            n += (size_t)snprintf(out + n, room - n, "Q%.2f %.2f %.2f %.2f", p->x, p->y, (p->x + p[1].x) / 2,
                                  (p->y + p[1].y) / 2);
        if (p->ends) n += (size_t)snprintf(out + n, room - n, "\"/>\n");
        begins = p->ends;
    }
    return n + (size_t)snprintf(out + n, room - n, "</g>\n</svg>\n");
}

/* ---- G-code ------------------------------------------------------------------------------------- */

size_t strokes_gcode_room(const struct strokes *strokes)
{
    return strokes->n * GCODE_POINT_BYTES + GCODE_FRAME_BYTES;
}

size_t strokes_gcode(const struct strokes *s, char *out)
{
    const size_t room = strokes_gcode_room(s);
    size_t n = (size_t)snprintf(out, room, "; %.1f x %.1f mm\nG21\nG90\nG0 Z3\n",
                                (double)s->width * MM_PER_PIXEL, (double)s->height * MM_PER_PIXEL);
    bool begins = true;
    for (size_t i = 0; i < s->n; i++) {
        const struct stroke_point *p = &s->points[i];
        const double x = p->x * MM_PER_PIXEL, y = ((double)s->height - p->y) * MM_PER_PIXEL;
        n += (size_t)snprintf(out + n, room - n,
                              begins ? "G0 X%.3f Y%.3f\nG1 Z0 F600\n" : "G1 X%.3f Y%.3f F1500\n", x, y);
        if (p->ends) n += (size_t)snprintf(out + n, room - n, "G0 Z3\n");
        begins = p->ends;
    }
    return n + (size_t)snprintf(out + n, room - n, "G0 X0 Y0\nM2\n");
}

/* ---- pixels ------------------------------------------------------------------------------------- */

static double distance(double x, double y, double ax, double ay, double bx, double by)
{
    const double dx = bx - ax, dy = by - ay, length = dx * dx + dy * dy;
    double t = length > 0 ? ((x - ax) * dx + (y - ay) * dy) / length : 0;
    t = t < 0 ? 0 : t > 1 ? 1 : t;
    return hypot(x - ax - t * dx, y - ay - t * dy);
}

/* A pixel's ink is how far the line's edge reaches into it. */
static void draw_line(const struct strokes *s, uint8_t *grey, double ax, double ay, double bx, double by)
{
    const double reach = s->thickness / 2 + 1;
    const double left = fmax(0, floor(fmin(ax, bx) - reach)), top = fmax(0, floor(fmin(ay, by) - reach));
    const double right = fmin((double)s->width, ceil(fmax(ax, bx) + reach));
    const double bottom = fmin((double)s->height, ceil(fmax(ay, by) + reach));
    for (size_t y = (size_t)top; (double)y < bottom; y++)
        for (size_t x = (size_t)left; (double)x < right; x++) {
            double ink = s->thickness / 2 + 0.5 - distance((double)x + 0.5, (double)y + 0.5, ax, ay, bx, by);
            uint8_t *pixel = &grey[y * s->width + x];
            uint8_t shade = (uint8_t)lrint(WHITE * (1 - fmin(1, fmax(0, ink))));
            if (shade < *pixel) *pixel = shade;
        }
}

static void draw_curve(const struct strokes *s, uint8_t *grey, const struct stroke_point *from, double cx,
                       double cy, const struct stroke_point *to)
{
    double x = from->x, y = from->y;
    for (size_t i = 1; i <= PIECES; i++) {
        const double t = (double)i / PIECES, u = 1 - t;
        const double next_x = u * u * from->x + 2 * u * t * cx + t * t * to->x;
        const double next_y = u * u * from->y + 2 * u * t * cy + t * t * to->y;
        draw_line(s, grey, x, y, next_x, next_y);
        x = next_x;
        y = next_y;
    }
}

void strokes_draw(const struct strokes *s, uint8_t *grey)
{
    struct stroke_point at = {0, 0, true};
    memset(grey, (int)WHITE, s->width * s->height);
    for (size_t i = 0; i < s->n; i++) {
        const struct stroke_point *p = &s->points[i];
        if (at.ends) {
            at = *p;
            if (p->ends) draw_line(s, grey, p->x, p->y, p->x, p->y);
            continue;
        }
        struct stroke_point to = *p;
        if (!p->ends) {
            to.x = (p->x + p[1].x) / 2;
            to.y = (p->y + p[1].y) / 2;
        }
        draw_curve(s, grey, &at, p->x, p->y, &to);
        at = to;
    }
}
