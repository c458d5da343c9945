#include "core/network/slow.h"

#include "core/base/memory.h"

/* The first row from `t` on whose column n is not 0; R if there is none. */
static size_t reached(const float *d_y, size_t stride, size_t n, size_t t, size_t R)
{
    while (t < R && d_y[t * stride + n] == 0.0f) t++;
    return t;
}

enum status slow_product(const struct matrix *W, size_t R, const float *d_y, size_t d_y_stride, float *d_x,
                         size_t d_x_stride)
{
    size_t N = matrix_outputs(W), K = matrix_inputs(W);
    float *row = memory_new(K, sizeof *row);
    if (!row) return STATUS_NO_MEMORY;
    for (size_t n = 0; n < N; n++) {
        size_t t = reached(d_y, d_y_stride, n, 0, R);
        if (t < R) matrix_row(W, n, row);
        for (; t < R; t = reached(d_y, d_y_stride, n, t + 1, R)) {
            float d = d_y[t * d_y_stride + n], *to = d_x + t * d_x_stride;
            for (size_t k = 0; k < K; k++) to[k] += d * row[k];
        }
    }
    memory_free(row);
    return STATUS_OK;
}

enum status slow_multiply(const struct matrix *W, size_t R, const float *x, size_t x_stride, float *y,
                          size_t y_stride, bool accumulate)
{
    size_t N = matrix_outputs(W), K = matrix_inputs(W);
    float *row = memory_new(K, sizeof *row);
    if (!row) return STATUS_NO_MEMORY;
    for (size_t n = 0; n < N; n++) {
        float bias = matrix_row(W, n, row);
        for (size_t r = 0; r < R; r++) {
            double sum = accumulate ? (double)y[r * y_stride + n] : (double)bias;
            for (size_t k = 0; k < K; k++) sum += (double)row[k] * (double)x[r * x_stride + k];
            y[r * y_stride + n] = (float)sum;
        }
    }
    memory_free(row);
    return STATUS_OK;
}

float *slow_weights(const struct matrix *W, float *bias)
{
    size_t N = matrix_outputs(W), K = matrix_inputs(W);
    float *weights = memory_new(N * K, sizeof *weights);
    for (size_t n = 0; weights && n < N; n++) {
        float b = matrix_row(W, n, weights + n * K);
        if (bias) bias[n] = b;
    }
    return weights;
}

bool slow_stops(const struct passage *passage)
{
    return passage->stop && passage->stop(passage->context);
}
