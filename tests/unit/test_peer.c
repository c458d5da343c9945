/* Which addresses count as one client. */
#include <arpa/inet.h>
#include <check.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include "server/http/peer.h"

Suite *peer_suite(void);

static uint32_t number(const char *text)
{
    struct sockaddr_in four = {.sin_family = AF_INET, .sin_port = 1234};
    struct sockaddr_in6 six = {.sin6_family = AF_INET6, .sin6_port = 1234};
    if (inet_pton(AF_INET, text, &four.sin_addr) == 1) return peer_number_of((struct sockaddr *)&four);
    ck_assert_int_eq(inet_pton(AF_INET6, text, &six.sin6_addr), 1);
    return peer_number_of((struct sockaddr *)&six);
}

START_TEST(an_address_is_a_client)
{
    ck_assert_uint_eq(number("192.0.2.1"), number("192.0.2.1"));
    ck_assert_uint_ne(number("192.0.2.1"), number("192.0.2.2"));
    ck_assert_uint_eq(number("::ffff:192.0.2.1"), number("192.0.2.1"));
    ck_assert_uint_eq(number("2001:db8:1:2::1"), number("2001:db8:1:2:ffff::9"));
    ck_assert_uint_ne(number("2001:db8:1:2::1"), number("2001:db8:1:3::1"));
}
END_TEST

START_TEST(numbers_are_never_those_of_keys)
{
    for (uint32_t i = 0; i < 1000; i++) {
        struct sockaddr_in four = {.sin_family = AF_INET, .sin_addr.s_addr = i * 2654435761u};
        ck_assert_uint_ge(peer_number_of((struct sockaddr *)&four), PEER_FIRST);
    }
}
END_TEST

START_TEST(a_socket_without_an_address_has_a_number_too)
{
    int ends[2];
    ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
    ck_assert_uint_eq(peer_number(ends[0]), PEER_FIRST);
    ck_assert_uint_eq(peer_number(-1), PEER_FIRST);
    close(ends[0]);
    close(ends[1]);
}
END_TEST

START_TEST(a_peer_has_so_many_visits_at_a_time)
{
    enum { EACH = 3 };
    struct visits visits;
    struct visit here[EACH + 1], there[EACH];
    uint32_t beside = number("192.0.2.1") + VISITS_ROWS; /* of the same row */
    visits_open(&visits, EACH);
    for (int i = 0; i < EACH; i++) {
        ck_assert(visit_begin(&visits, &here[i], number("192.0.2.1")));
        ck_assert(visit_begin(&visits, &there[i], beside));
    }
    ck_assert(!visit_begin(&visits, &here[EACH], number("192.0.2.1")));
    for (int i = 0; i < EACH; i++) { /* the first, the one in the middle, the last */
        visit_end(&visits, &here[i]);
        ck_assert(visit_begin(&visits, &here[EACH], number("192.0.2.1")));
        ck_assert(!visit_begin(&visits, &here[i], number("192.0.2.1")));
        visit_end(&visits, &here[EACH]);
        ck_assert(visit_begin(&visits, &here[i], number("192.0.2.1")));
    }
    for (int i = 0; i < EACH; i++) {
        visit_end(&visits, &there[i]);
        visit_end(&visits, &here[i]);
    }
    visits_close(&visits);
}
END_TEST

START_TEST(whoever_has_a_64_is_one_peer)
{
    struct visits visits;
    struct visit visit[3];
    visits_open(&visits, 2);
    ck_assert(visit_begin(&visits, &visit[0], number("2001:db8:1:2::1")));
    ck_assert(visit_begin(&visits, &visit[1], number("2001:db8:1:2:a:b:c:d")));
    ck_assert(!visit_begin(&visits, &visit[2], number("2001:db8:1:2:ffff::")));
    ck_assert(visit_begin(&visits, &visit[2], number("2001:db8:1:3::1")));
    visits_close(&visits);
    visits_open(&visits, 0);
    for (int i = 0; i < 3; i++) ck_assert(visit_begin(&visits, &visit[i], number("::1")));
    visits_close(&visits);
}
END_TEST

Suite *peer_suite(void)
{
    Suite *suite = suite_create("peer");
    TCase *core = tcase_create("core");
    tcase_add_test(core, an_address_is_a_client);
    tcase_add_test(core, numbers_are_never_those_of_keys);
    tcase_add_test(core, a_peer_has_so_many_visits_at_a_time);
    tcase_add_test(core, whoever_has_a_64_is_one_peer);
    tcase_add_test(core, a_socket_without_an_address_has_a_number_too);
    suite_add_tcase(suite, core);
    return suite;
}
