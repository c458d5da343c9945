/* Which of several threads accepts a connection. */
#define _GNU_SOURCE /* accept4 */
#include <arpa/inet.h>
#include <check.h>
#include <errno.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdbool.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "server/http/balance.h"

Suite *balance_suite(void);

enum { CLIENTS = 8 };

static int listener, clients[CLIENTS], accepted[CLIENTS];

static void listen_and_connect(void)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t bytes = sizeof address;
    listener = socket(AF_INET, SOCK_STREAM, 0);
    ck_assert_int_eq(bind(listener, (struct sockaddr *)&address, bytes), 0);
    ck_assert_int_eq(listen(listener, CLIENTS), 0);
    ck_assert_int_eq(getsockname(listener, (struct sockaddr *)&address, &bytes), 0);
    for (size_t i = 0; i < CLIENTS; i++) {
        clients[i] = socket(AF_INET, SOCK_STREAM, 0);
        ck_assert_int_eq(connect(clients[i], (struct sockaddr *)&address, bytes), 0);
        accepted[i] = -1;
    }
}

static void close_sockets(void)
{
    balance_close();
    for (size_t i = 0; i < CLIENTS; i++) {
        close(clients[i]);
        if (accepted[i] >= 0) close(accepted[i]);
    }
    close(listener);
}

static bool accepts(size_t i)
{
    accepted[i] = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
    if (accepted[i] < 0) {
        ck_assert_int_eq(errno, EAGAIN);
        return false;
    }
    balance_add();
    return true;
}

static void *accept_one(void *place)
{
    ck_assert(accepts(*(size_t *)place));
    return NULL;
}

START_TEST(a_thread_leaves_connections_to_one_that_has_fewer)
{
    pthread_t other;
    size_t second = 1;
    balance_open(listener, 2);
    ck_assert(accepts(0));
    ck_assert(!accepts(1)); /* the other has none */
    ck_assert_int_eq(pthread_create(&other, NULL, accept_one, &second), 0);
    pthread_join(other, NULL);
    ck_assert(accepts(2)); /* one each */
    ck_assert(!accepts(3));
    balance_remove();
    ck_assert(accepts(3));
}
END_TEST

/* The other thread may be busy for long. */
START_TEST(a_thread_that_no_other_relieves_accepts)
{
    size_t refused = 0;
    balance_open(listener, 2);
    for (size_t i = 0; i < CLIENTS; i++)
        while (!accepts(i)) refused++;
    ck_assert_uint_gt(refused, 0);
}
END_TEST

START_TEST(one_thread_and_other_sockets_are_left_alone)
{
    balance_open(listener, 1);
    for (size_t i = 0; i < CLIENTS / 2; i++) ck_assert(accepts(i));
    balance_close();
    balance_open(-1, 2);
    for (size_t i = CLIENTS / 2; i < CLIENTS; i++) ck_assert(accepts(i));
}
END_TEST

Suite *balance_suite(void)
{
    Suite *suite = suite_create("balance");
    TCase *core = tcase_create("core");
    tcase_add_checked_fixture(core, listen_and_connect, close_sockets);
    tcase_add_test(core, a_thread_leaves_connections_to_one_that_has_fewer);
    tcase_add_test(core, a_thread_that_no_other_relieves_accepts);
    tcase_add_test(core, one_thread_and_other_sockets_are_left_alone);
    suite_add_tcase(suite, core);
    return suite;
}
