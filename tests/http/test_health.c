/* carousel health asks the server of its settings, however that listens. */
#include <check.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "client.h"
#include "tls.h"

static struct server server;

/* The exit code of carousel health with this environment and these arguments. */
static int health(const char *settings, const char *arguments)
{
    static char command[2048];
    snprintf(command, sizeof command, "env %s '%s' health %s 2>/dev/null", settings,
             getenv("CAROUSEL_PROGRAM"), arguments);
    int code = system(command);
    ck_assert(WIFEXITED(code));
    return WEXITSTATUS(code);
}

static int health_on_port(const char *settings, const char *host)
{
    char arguments[64];
    snprintf(arguments, sizeof arguments, "--host %s --port %d", host, server.port);
    return health(settings, arguments);
}

static const char *own(const char *what)
{
    static char name[64];
    snprintf(name, sizeof name, "%s-%d", what, (int)getpid());
    return name;
}

START_TEST(a_server_that_is_ready_is_healthy)
{
    server_start(&server, NULL);
    ck_assert_int_eq(health_on_port("", "127.0.0.1"), 0);
    ck_assert_int_eq(health_on_port("", "0.0.0.0"), 0); /* what a server in a container is told */
    ck_assert_int_eq(health_on_port("CAROUSEL_TLS_CERTIFICATE=any.pem", "127.0.0.1"), 1);
    ck_assert_int_eq(server_stop(&server), 0);
    ck_assert_int_eq(health_on_port("", "127.0.0.1"), 1);
}
END_TEST

START_TEST(one_that_drains_is_not)
{
    const char *const settings[] = {slow_setting(), NULL};
    static struct client client;
    server_start(&server, settings);
    client_occupy(&client, &server);
    server_signal(&server, SIGTERM);
    AWAIT(health_on_port("", "127.0.0.1") != 0);
    client_close(&client);
    ck_assert_int_eq(server_wait(&server), 0);
}
END_TEST

START_TEST(a_secure_server_is_asked_by_tls)
{
    certificate_make(own("health"), "somebody");
    server_start(&server, certificate_settings(own("health"), NULL));
    ck_assert_int_eq(health_on_port("CAROUSEL_TLS_CERTIFICATE=any.pem", "127.0.0.1"), 0);
    ck_assert_int_eq(health_on_port("", "127.0.0.1"), 1);
    ck_assert_int_eq(server_stop(&server), 0);
    ck_assert_int_eq(health_on_port("CAROUSEL_TLS_CERTIFICATE=any.pem", "127.0.0.1"), 1);
}
END_TEST

START_TEST(a_unix_socket_is_asked_there)
{
    static char setting[600];
    snprintf(setting, sizeof setting, "CAROUSEL_SERVER_UNIX_SOCKET=%s", scratch_path(own("health-socket")));
    const char *const settings[] = {setting, NULL};
    ck_assert_int_eq(health(setting, ""), 1);
    server_start(&server, settings);
    ck_assert_int_eq(health(setting, ""), 0);
    ck_assert_int_eq(server_stop(&server), 0);
    ck_assert_int_eq(health(setting, ""), 1);
}
END_TEST

Suite *health_suite(void);

Suite *health_suite(void)
{
    Suite *suite = suite_create("health");
    TCase *cases = tcase_create("health");
    tcase_set_timeout(cases, TEST_TIMEOUT_S);
    tcase_add_test(cases, a_server_that_is_ready_is_healthy);
    tcase_add_test(cases, one_that_drains_is_not);
    tcase_add_test(cases, a_secure_server_is_asked_by_tls);
    tcase_add_test(cases, a_unix_socket_is_asked_there);
    suite_add_tcase(suite, cases);
    return suite;
}
