/* scaled: int8 products of rows that do not lie in [-1, 1]. A row is divided by its largest magnitude, so
 * that codes can stand for it, and its outputs are multiplied by that again. The result of a row depends on
 * that row alone. Such a matrix has no bias. Nothing here can fail or allocates: any thread. */
#ifndef CAROUSEL_CORE_SCALED_H
#define CAROUSEL_CORE_SCALED_H

#include <stddef.h>

/* The int8 codes of R rows of n values (both contiguous), and what each row was divided by. `room` is for n
 * floats. A row of zeros is divided by 1. */
void scaled_encode(size_t R, size_t n, const float *rows, float *room, unsigned char *codes, float *scales);

/* Multiply each of R rows of n outputs by its scale. */
void scaled_restore(size_t R, size_t n, const float *scales, float *rows);

#endif
