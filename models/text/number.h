/* number: finite numbers as text and back, rounded exactly. Pure; any thread.
 *
 * Reading: D. Lemire, "Number parsing at a gigabyte per second" (2021), after M. Eisel. Printing:
 * R. Giulietti, "The Schubfach way to render doubles" (2020). */
#ifndef CAROUSEL_MODELS_NUMBER_H
#define CAROUSEL_MODELS_NUMBER_H

#include <stdbool.h>
#include <stdint.h>

enum { NUMBER_BYTES = 32 };

/* Write the shortest text of `value` that strtod (strtof for a float) reads as exactly `value`, and of
 * several such the nearest one, zero-terminated. Return its length. Many digits before the point, or zeros
 * behind it, are written with an exponent, as %g does. */
int number_print(char out[NUMBER_BYTES], double value);
int number_print_float(char out[NUMBER_BYTES], float value);

/* Write a value from 0 to 1e12 with three places behind the point. Return the length. */
int number_print_thousandths(char out[NUMBER_BYTES], double value);

/* A number as its digits were read. */
enum { NUMBER_DIGITS = 19 }; /* as many fit into 64 bits */
struct decimal {
    uint64_t digits;  /* the first NUMBER_DIGITS significant ones, as a whole number */
    int64_t exponent; /* the value is digits * 10^exponent, */
    bool is_cut;      /* or more, by less than one of the last digit: digits were left out */
};

/* Round to the nearest double, of two equally near ones to the even one; infinity if that is too large.
 * Return false if the digits do not decide it: strtod must read the text. Seldom, with fewer than 20
 * digits: for subnormal numbers and next to the middle of two doubles. */
bool number_round(const struct decimal *decimal, double *value);

/* The powers of ten that are doubles. Digits below 2^53, divided by one, are rounded once: exactly. */
enum { NUMBER_EXACT_POWERS = 23 };
extern const double number_exact_power[NUMBER_EXACT_POWERS];

#endif
