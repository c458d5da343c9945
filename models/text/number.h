/* number: a finite number as the shortest text that reads back as the same number. Pure; any thread. */
#ifndef CAROUSEL_MODELS_NUMBER_H
#define CAROUSEL_MODELS_NUMBER_H

enum { NUMBER_BYTES = 32 };

/* Write the text of `value`, zero-terminated, and return its length. strtod gives back exactly `value`, and
 * strtof does for a float. */
int number_print(char out[NUMBER_BYTES], double value);
int number_print_float(char out[NUMBER_BYTES], float value);

#endif
