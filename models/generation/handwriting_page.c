#include "models/generation/handwriting_page.h"

#include <math.h>

#define MARGIN 0.4      /* around the page, of a line's height */
#define LEADING 1.5     /* from line to line */
#define THICKNESS 0.035 /* of the pen */

/* Points [first, end) that lie on one line. */
struct line {
    size_t first, end;
    double left, right, middle;
};

/* Which word the points have come to. Rows only count forwards, because a window may look back for a
 * moment. */
struct reader {
    const bool *is_space; /* [rows of the text] */
    size_t row, word;     /* word: the spaces before the row */
};

static size_t word_of(struct reader *reader, const struct pen_point *point)
{
    for (; reader->row < point->row; reader->row++) reader->word += reader->is_space[reader->row];
    return reader->word;
}

/* Where a word begins whose letters the window looks at from point i on. The window may rest on the space
 * before it while the pen already begins its first stroke: that stroke belongs to the word. */
static size_t word_begin(const struct pen_point *points, size_t i, size_t least, const bool *is_space)
{
    size_t begin = i;
    while (begin > least && !points[begin - 1].ends_stroke && is_space[points[begin - 1].row]) begin--;
    return begin > least && points[begin - 1].ends_stroke ? begin : i;
}

/* The line with the points up to `end` as well. */
static struct line extended(struct line line, const struct pen_point *points, size_t end)
{
    for (; line.end < end; line.end++) {
        line.left = fmin(line.left, points[line.end].x);
        line.right = fmax(line.right, points[line.end].x);
    }
    return line;
}

/* The line that begins at point `first`: as many words as fit, at least one. */
static struct line next_line(const struct pen_point *points, size_t n, size_t first, struct reader *reader,
                             double room)
{
    struct line line = {first, first, points[first].x, points[first].x, 0};
    struct reader ahead = *reader;
    size_t word = word_of(&ahead, &points[first]);
    for (size_t i = first; i <= n; i++) {
        if (i < n && word_of(&ahead, &points[i]) == word) continue;
        const size_t end = i < n ? word_begin(points, i, line.end, reader->is_space) : n;
        const struct line longer = extended(line, points, end);
        if (line.end > first && longer.right - longer.left > room) break;
        line = longer;
        *reader = ahead;
        word = ahead.word;
    }
    for (size_t i = first; i < line.end; i++) line.middle += points[i].y / (double)(line.end - first);
    return line;
}

static double clamp(double x, double most)
{
    return x > 0 ? (x < most ? x : most) : 0;
}

bool handwriting_page(const struct pen_point *points, size_t n, const bool *is_space, double line_height,
                      const struct page_request *request, struct stroke_point *out, struct strokes *page)
{
    static const double shares[N_ALIGNS] = {0, 0.5, 1};
    const double size = (double)request->size, scale = size / line_height, margin = MARGIN * size;
    const double inside = fmax(1, (double)request->width - 2 * margin);
    struct reader reader = {is_space, 0, 0};
    size_t n_lines = 0;
    for (size_t i = 0; i < n; n_lines++) i = next_line(points, n, i, &reader, inside / scale).end;
    const double height = ceil(2 * margin + size * (1 + LEADING * (double)(n_lines - 1)));
    *page = (struct strokes){.points = out, .n = n, .width = request->width,
                             .height = (size_t)fmin(height, 1e9), .thickness = fmax(1, THICKNESS * size)};
    reader = (struct reader){is_space, 0, 0};
    n_lines = 0;
    for (size_t i = 0; i < n; n_lines++) {
        const struct line line = next_line(points, n, i, &reader, inside / scale);
        const double shift = shares[request->align] * fmax(0, inside - (line.right - line.left) * scale);
        const double level = margin + size * (0.5 + LEADING * (double)n_lines);
        for (; i < line.end; i++)
            out[i] = (struct stroke_point){
                .x = clamp(margin + shift + (points[i].x - line.left) * scale, (double)page->width),
                .y = clamp(level + (points[i].y - line.middle) * scale, height),
                .ends = points[i].ends_stroke || i + 1 == line.end};
    }
    return page->height <= STROKES_MAX_SIDE;
}
