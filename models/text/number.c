#include "models/text/number.h"

#include <stdio.h>
#include <stdlib.h>

int number_print(char out[NUMBER_BYTES], double value)
{
    int n = 0;
    for (int digits = 15; digits <= 17; digits++) {
        n = snprintf(out, NUMBER_BYTES, "%.*g", digits, value);
        if (strtod(out, NULL) == value) break;
    }
    return n;
}

int number_print_float(char out[NUMBER_BYTES], float value)
{
    int n = 0;
    for (int digits = 6; digits <= 9; digits++) {
        n = snprintf(out, NUMBER_BYTES, "%.*g", digits, (double)value);
        if (strtof(out, NULL) == value) break;
    }
    return n;
}
