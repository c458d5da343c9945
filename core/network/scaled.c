#include "core/network/scaled.h"

#include <math.h>

#include "core/network/matrix.h"

static float largest(size_t n, const float *x)
{
    enum { PLACES = 8 };
    float most[PLACES] = {0};
    for (size_t i = 0; i < n; i++) {
        float size = fabsf(x[i]);
        if (size > most[i % PLACES]) most[i % PLACES] = size;
    }
    for (size_t k = 1; k < PLACES; k++)
        if (most[k] > most[0]) most[0] = most[k];
    return most[0] > 0 ? most[0] : 1;
}

void scaled_encode(size_t R, size_t n, const float *rows, float *room, unsigned char *codes, float *scales)
{
    for (size_t r = 0; r < R; r++, rows += n, codes += n) {
        scales[r] = largest(n, rows);
        float factor = 1 / scales[r];
        for (size_t i = 0; i < n; i++) room[i] = rows[i] * factor;
        matrix_encode(PRECISION_INT8, 1, n, room, n, codes, n);
    }
}

void scaled_restore(size_t R, size_t n, const float *scales, float *rows)
{
    for (size_t r = 0; r < R; r++, rows += n)
        for (size_t i = 0; i < n; i++) rows[i] *= scales[r];
}
