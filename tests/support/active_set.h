/* active_set: a fixture of tests that select kernel sets: the set that was active is so again after each. */
#ifndef CAROUSEL_TESTS_ACTIVE_SET_H
#define CAROUSEL_TESTS_ACTIVE_SET_H

void active_set_remember(void);
void active_set_restore(void);

#endif
