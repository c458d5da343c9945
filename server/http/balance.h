/* balance: new connections go to the HTTP thread that has the fewest.
 *
 * libmicrohttpd's threads wait for the same socket, and the first to wake accepts all that it finds: of
 * sixteen connections one thread may have sixteen and the other none, for as long as they are kept alive. So
 * the program has a function accept4, which the library calls (server/http/wire.h tells how): a thread that
 * has more connections than another finds nothing to accept on the listening socket, and the other one, which
 * the same socket wakes, does. That is a courtesy for a moment and no more: a thread that no other relieves
 * within a millisecond accepts a few. A library that accepts by another call divides connections as it
 * likes. */
#ifndef CAROUSEL_SERVER_BALANCE_H
#define CAROUSEL_SERVER_BALANCE_H

#include <stddef.h>

/* Divide what `descriptor` accepts among so many threads. One socket at a time; before its threads start, and
 * after they have ended. */
void balance_open(int descriptor, size_t n_threads);
void balance_close(void);

/* The calling HTTP thread has one connection more, or one less. */
void balance_add(void);
void balance_remove(void);

#endif
