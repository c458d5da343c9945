/* await: time, patience, and what somebody else will bring about: another thread, or the server.
 *
 * The only file of this folder that the http tier is linked with, so it knows nothing of the server. */
#ifndef CAROUSEL_TESTS_SUPPORT_AWAIT_H
#define CAROUSEL_TESTS_SUPPORT_AWAIT_H

#include <check.h>

/* Monotonic milliseconds; and a pause. */
double now_ms(void);
void sleep_ms(int ms);
/* ms, times CK_TIMEOUT_MULTIPLIER: what sanitizers and coverage slow down. */
int patience_ms(int ms);

enum { AWAIT_MS = 60000 };

/* Looks at the condition again and again; fails the test where it has not come true after
 * patience_ms(AWAIT_MS). */
#define AWAIT(condition)                                                                           \
    do {                                                                                           \
        double end_ = now_ms() + patience_ms(AWAIT_MS);                                            \
        while (!(condition)) {                                                                     \
            ck_assert_msg(now_ms() < end_, "waited in vain for: %s", #condition);                  \
            sleep_ms(1);                                                                           \
        }                                                                                          \
    } while (0)

#endif
