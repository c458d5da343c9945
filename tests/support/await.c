#include "tests/support/await.h"

#include <time.h>

void await_a_millisecond(void)
{
    nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
}
