/* activation: functions of one value that layers apply, by name. Those that a kernel set has are its own,
 * chosen when a layer is built; the others are made of them. */
#ifndef CAROUSEL_CORE_ACTIVATION_H
#define CAROUSEL_CORE_ACTIVATION_H

#include <stdbool.h>
#include <stddef.h>

/* y[i] = f(x[i]); y may be x. Any thread. */
typedef void activation(size_t n, const float *x, float *y);

/* By the name of its layer type; NULL if there is no such function. Uses the active kernel set. */
activation *activation_named(const char *name);

/* The derivative of the function called `name` at x, its value there being y; NULL if there is no such
 * function. For the slow path (core/recurrent/trace.h). */
typedef double activation_slope(double x, double y);
activation_slope *activation_slope_named(const char *name);

/* Whether its values lie in [-1, 1]. `before`: whether its arguments do. */
bool activation_is_bounded(const char *name, bool before);

#endif
