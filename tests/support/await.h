/* await: what another thread will bring about. */
#ifndef CAROUSEL_TESTS_SUPPORT_AWAIT_H
#define CAROUSEL_TESTS_SUPPORT_AWAIT_H

#include <check.h>

enum { AWAIT_MS = 20000 };

void await_a_millisecond(void);

/* Looks every millisecond; fails the test where the condition has not come true after AWAIT_MS of them. */
#define AWAIT(condition)                                                                           \
    do {                                                                                           \
        for (int tries_ = 0; tries_ < AWAIT_MS && !(condition); tries_++) await_a_millisecond();   \
        ck_assert(condition);                                                                      \
    } while (0)

#endif
