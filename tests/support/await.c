#include "tests/support/await.h"

#include <errno.h>
#include <stdlib.h>
#include <time.h>

double now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec * 1e3 + (double)now.tv_nsec / 1e6;
}

void sleep_ms(int ms)
{
    struct timespec pause = {.tv_sec = ms / 1000, .tv_nsec = (long)(ms % 1000) * 1000000};
    while (nanosleep(&pause, &pause) != 0 && errno == EINTR)
        ;
}

int patience_ms(int ms)
{
    const char *multiplier = getenv("CK_TIMEOUT_MULTIPLIER");
    return ms * (multiplier != NULL ? atoi(multiplier) : 1);
}
