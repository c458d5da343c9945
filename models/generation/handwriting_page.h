/* handwriting_page: the path that a network drew, as lines of words on a page. Pure; any thread. */
#ifndef CAROUSEL_MODELS_HANDWRITING_PAGE_H
#define CAROUSEL_MODELS_HANDWRITING_PAGE_H

#include "models/generation/handwriting.h"
#include "models/media/strokes.h"

enum align { ALIGN_LEFT, ALIGN_CENTER, ALIGN_RIGHT, N_ALIGNS };

struct page_request {
    size_t width;  /* of the page, pixels */
    size_t size;   /* of a line, pixels */
    enum align align;
};

/* Lay the points out: words keep their shape, a word that does not fit begins a new line, and each line lies
 * level. `is_space` [rows of the text] says which rows are spaces. Write the points to out[n], and the page
 * around them to *page, whose points are `out`. `line_height` is the model's. Return false if the page is
 * higher than STROKES_MAX_SIDE, and its height in *page all the same. n >= 1. */
bool handwriting_page(const struct pen_point *points, size_t n, const bool *is_space, double line_height,
                      const struct page_request *request, struct stroke_point *out, struct strokes *page);

#endif
