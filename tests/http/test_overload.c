/* More work than the server can do, and clients who do not stay for it. */
#include <check.h>
#include <dirent.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>

#include "client.h"

static struct server server;
static struct reply reply;

/* ---- clients who vanish ------------------------------------------------------------------------- */

enum { VANISHING = 600, ROUNDS = 3 };

static int open_descriptors(void)
{
    char path[64];
    int n = 0;
    snprintf(path, sizeof path, "/proc/%d/fd", (int)server.pid);
    DIR *folder = opendir(path);
    ck_assert_ptr_nonnull(folder);
    while (readdir(folder) != NULL)
        n++;
    closedir(folder);
    return n;
}

static bool descriptors_become(int n)
{
    double end = now_ms() + patience_ms(10000);
    while (open_descriptors() > n && now_ms() < end)
        sleep_ms(10);
    return open_descriptors() <= n;
}

/* Client i in its manner: some who stay until they compute, are queued or stream, some in the middle of
 * sending. */
static void begin(struct client *client, int i)
{
    client_open(client, &server);
    switch (i % 6) {
    case 0:
    case 1: client_post(client, "/v1/completions", "{'model':'slow','prompt':'a','max_tokens':6000}"); break;
    case 2:
    case 3:
        client_post(client, "/v1/completions",
                    "{'model':'slow','prompt':'a','max_tokens':6000,'stream':true}");
        break;
    case 4:
        client_say(client, "POST /v1/completions HTTP/1.1\r\nHost: t\r\nContent-Type: "
                           "application/json\r\nContent-Length: 100000\r\n\r\n{\"prompt\":\"");
        break;
    case 5: client_say(client, "POST /v1/completions HTTP/1.1\r\nHost: t\r\nContent-Ty"); break;
    }
}

/* With a reset, a farewell, or the sending half first. */
static void vanish(struct client *client, int i)
{
    switch (i / 6 % 3) {
    case 0: client_abort(client); break;
    case 1: client_close(client); break;
    case 2: shutdown(client->fd, SHUT_WR); break; /* closed by the caller, once the server has dropped it */
    }
}

/* Gives the memory of their requests while they were there, in bytes. */
static double come_and_go(void)
{
    static struct client clients[VANISHING];
    for (int i = 0; i < VANISHING; i++)
        begin(&clients[i], i);
    /* 400 asked for something to be computed: 8 are aboard, and all others wait. */
    ck_assert(metric_becomes(&server, "carousel_queue_depth", VANISHING * 4 / 6 - 8));
    ck_assert_double_eq(metric(&server, "carousel_sequences_active"), 8);
    ck_assert_double_gt(metric(&server, "carousel_body_bytes"), 0);
    double bytes = metric(&server, "carousel_job_bytes");
    ck_assert_double_gt(bytes, 400 * 6000 * 4);
    for (int i = 0; i < VANISHING; i++)
        vanish(&clients[i], i);
    ck_assert(metric_becomes(&server, "carousel_queue_depth", 0));
    ck_assert(metric_becomes(&server, "carousel_sequences_active", 0));
    for (int i = 0; i < VANISHING; i++)
        if (clients[i].fd >= 0)
            client_close(&clients[i]);
    ck_assert(metric_becomes(&server, "carousel_job_bytes", 0));
    ck_assert(metric_becomes(&server, "carousel_body_bytes", 0));
    return bytes;
}

START_TEST(hundreds_of_clients_who_vanish_leave_nothing_behind)
{
    const char *const settings[] = {slow_setting(), "CAROUSEL_SCHEDULER_WORKERS=1",
                                    "CAROUSEL_SCHEDULER_MAX_BATCH=8", "CAROUSEL_LOG_ACCESS=false",
                                    /* nobody is refused for the wait */
                                    "CAROUSEL_SCHEDULER_QUEUE_WAIT_MS=0", "CAROUSEL_TIMEOUTS_REQUEST_MS=0",
                                    NULL};
    struct rlimit files;
    getrlimit(RLIMIT_NOFILE, &files);
    files.rlim_cur = files.rlim_max;
    setrlimit(RLIMIT_NOFILE, &files);
    double resident = 0, bytes = 0;
    server_start(&server, settings);
    expect_ok(post(&server, "/v1/completions", "{'model':'slow','prompt':'a','max_tokens':2}"));
    int descriptors = open_descriptors();
    for (int round = 0; round < ROUNDS; round++) {
        bytes = come_and_go();
        ck_assert_msg(descriptors_become(descriptors), "%d descriptors, %d at the start", open_descriptors(),
                      descriptors);
        if (round == 0)
            resident = metric(&server, "carousel_resident_memory_bytes");
    }
    /* The allocator keeps much of what one round took, and two more rounds take no more, but for its
     * disorder. Sanitizers keep what was freed. */
    double grown = metric(&server, "carousel_resident_memory_bytes") - resident;
    ck_assert_msg(patience_ms(1) > 1 || grown < bytes * 0.75,
                  "%.0f bytes more than after the first round of %.0f", grown, bytes);
    ck_assert_double_eq(metric(&server, "carousel_requests_finished_total{reason=\"cancelled\"}"),
                        ROUNDS * VANISHING * 4 / 6);
    ck_assert_double_eq(metric(&server, "carousel_queue_duration_seconds_count"),
                        ROUNDS * VANISHING * 4 / 6 + 1);
    expect_ok(post(&server, "/v1/completions", "{'model':'slow','prompt':'a','max_tokens':2}"));
    ck_assert_int_eq(server_stop(&server), 0);
}
END_TEST

/* Who leaves in the middle of the body is not taken for slow: libmicrohttpd may not notice. */
START_TEST(who_leaves_in_the_body_is_noticed)
{
    enum { LEAVING = 300 };
    const char *const settings[] = {"CAROUSEL_TIMEOUTS_BODY_S=600", "CAROUSEL_LOG_ACCESS=false", NULL};
    static struct client clients[LEAVING];
    server_start(&server, settings);
    int descriptors = open_descriptors();
    for (int i = 0; i < LEAVING; i++) {
        client_open(&clients[i], &server);
        client_say(&clients[i], "POST /v1/score HTTP/1.1\r\nHost: t\r\nContent-Length: 100\r\n\r\n{");
        if (i % 3 == 0)
            sleep_ms(i % 2);
        if (i % 2)
            shutdown(clients[i].fd, SHUT_WR);
        else
            client_close(&clients[i]);
    }
    ck_assert(metric_becomes(&server, "carousel_requests_total{route=\"/v1/score\",code=\"499\",model=\"\"}",
                             LEAVING));
    for (int i = 1; i < LEAVING; i += 2)
        client_close(&clients[i]);
    ck_assert(metric_becomes(&server, "carousel_body_bytes", 0));
    ck_assert_msg(descriptors_become(descriptors), "%d descriptors, %d at the start", open_descriptors(),
                  descriptors);
    ck_assert_int_eq(server_stop(&server), 0);
}
END_TEST

/* ---- more than can be done ---------------------------------------------------------------------- */

START_TEST(one_client_does_not_hold_up_another)
{
    enum { FLOOD = 100 };
    const char *const settings[] = {slow_setting(), "CAROUSEL_SCHEDULER_WORKERS=1",
                                    "CAROUSEL_SCHEDULER_MAX_BATCH=2", NULL};
    static struct client flood[FLOOD], other;
    server_start(&server, settings);
    for (int i = 0; i < FLOOD; i++) {
        client_open(&flood[i], &server);
        client_post(&flood[i], "/v1/completions", "{'model':'slow','prompt':'a','max_tokens':16000}");
    }
    ck_assert(metric_becomes(&server, "carousel_queue_depth", FLOOD - 2));
    client_open_from(&other, &server, "127.0.0.2");
    client_post(&other, "/v1/completions", "{'model':'slow','prompt':'a','max_tokens':3}");
    ck_assert(client_read(&other, &reply));
    expect_ok(&reply);
    ck_assert(metric_becomes(&server, "carousel_queue_depth", FLOOD - 2));
    for (int i = 0; i < FLOOD; i++)
        client_close(&flood[i]);
    client_close(&other);
    ck_assert(metric_becomes(&server, "carousel_sequences_active", 0));
    ck_assert_int_eq(server_stop(&server), 0);
}
END_TEST

START_TEST(a_higher_priority_boards_before_what_came_earlier)
{
    enum { LOW = 5 };
    const char *const settings[] = {slow_setting(), "CAROUSEL_SCHEDULER_WORKERS=1",
                                    "CAROUSEL_SCHEDULER_MAX_BATCH=1",
                                    "CAROUSEL_SCHEDULER_PRIORITY_MS=3600000", NULL};
    static struct client aboard, low[LOW], high;
    server_start(&server, settings);
    client_occupy(&aboard, &server);
    for (int i = 0; i < LOW; i++) {
        client_open(&low[i], &server);
        client_post(&low[i], "/v1/completions", "{'model':'slow','prompt':'a','max_tokens':40}");
    }
    ck_assert(metric_becomes(&server, "carousel_queue_depth", LOW));
    client_open(&high, &server);
    client_post(&high, "/v1/completions", "{'model':'slow','prompt':'a','max_tokens':40,'priority':1}");
    ck_assert(metric_becomes(&server, "carousel_queue_depth", LOW + 1));
    client_close(&aboard);
    ck_assert(client_read(&high, &reply));
    expect_ok(&reply);
    double queued_ms = number_at(&reply, "timings.queue_ms");
    for (int i = 0; i < LOW; i++) {
        ck_assert(client_read(&low[i], &reply));
        expect_ok(&reply);
        ck_assert_double_gt(number_at(&reply, "timings.queue_ms"), queued_ms);
        client_close(&low[i]);
    }
    client_close(&high);
    ck_assert_int_eq(server_stop(&server), 0);
}
END_TEST

/* Once it is known how fast the queue is worked off, who would come too late is told so at once; and all that
 * was asked is found again in the counters. */
START_TEST(what_cannot_be_in_time_is_refused_at_once)
{
    enum { N = 300, LONG = 60000 };
    const char *const settings[] = {slow_setting(), "CAROUSEL_SCHEDULER_WORKERS=1",
                                    "CAROUSEL_SCHEDULER_MAX_BATCH=1", "CAROUSEL_SCHEDULER_QUEUE_WAIT_MS=0",
                                    NULL};
    static struct client clients[N];
    static char prompt[LONG + 1];
    server_start(&server, settings);
    double began_ms = now_ms(), done;
    for (int i = 0; i < N; i++) {
        client_open(&clients[i], &server);
        client_post(&clients[i], "/v1/completions", "{'model':'slow','prompt':'a','max_tokens':20}");
    }
    AWAIT((done = metric(&server, "carousel_requests_finished_total{reason=\"length\"}")) >= 12);
    /* Time for a few dozen of the hundreds that wait, however fast the machine is. */
    int too_short_ms = (int)(60 + 30 * (now_ms() - began_ms) / done);
    struct reply *late = postf(&server, "/v1/completions",
                               "{'model':'slow','prompt':'a','max_tokens':20,'timeout_ms':%d}", too_short_ms);
    expect_error(late, 429, "queue_full", NULL);
    expect_retry_after(late, 60);
    memset(prompt, 'a', LONG);
    expect_error(postf(&server, "/v1/score", "{'model':'slow','input':'%s','timeout_ms':50}", prompt), 504,
                 "deadline_exceeded", "timeout_ms");
    ck_assert_double_eq(metric(&server, "carousel_rejected_total{reason=\"queue_full\"}"), 1);
    ck_assert_double_eq(metric(&server, "carousel_rejected_total{reason=\"deadline_exceeded\"}"), 1);
    for (int i = 0; i < N; i++)
        client_close(&clients[i]);
    ck_assert(metric_becomes(&server, "carousel_job_bytes", 0));
    double finished = metric(&server, "carousel_requests_finished_total{reason=\"length\"}") +
                      metric(&server, "carousel_requests_finished_total{reason=\"cancelled\"}");
    ck_assert_double_eq(finished, N);
    ck_assert_double_eq(metric(&server, "carousel_queue_duration_seconds_count"), N);
    ck_assert_double_eq(metric(&server, "carousel_request_duration_seconds_count"
                                        "{route=\"/v1/completions\",model=\"slow\"}"),
                        N + 1);
    ck_assert_int_eq(server_stop(&server), 0);
}
END_TEST

START_TEST(requests_may_not_take_all_memory)
{
    const char *const settings[] = {slow_setting(), "CAROUSEL_LIMITS_JOBS_BYTES=1MiB", NULL};
    server_start(&server, settings);
    struct reply *refused = post(&server, "/v1/completions",
                                 "{'model':'slow','prompt':'a','max_tokens':16000,'n':16}");
    expect_error(refused, 503, "no_memory", NULL);
    expect_retry_after(refused, 60);
    expect_ok(post(&server, "/v1/completions", "{'model':'slow','prompt':'a','max_tokens':2}"));
    ck_assert_double_eq(metric(&server, "carousel_rejected_total{reason=\"no_memory\"}"), 1);
    ck_assert_int_eq(server_stop(&server), 0);
}
END_TEST

/* A stop in the middle of a flood: who was taken in gets an answer or is told, and the process ends well. */
START_TEST(sigterm_under_load_answers_everybody)
{
    enum { N = 200 };
    const char *const settings[] = {slow_setting(), "CAROUSEL_SCHEDULER_WORKERS=2",
                                    "CAROUSEL_SCHEDULER_MAX_BATCH=8",
                                    "CAROUSEL_SCHEDULER_QUEUE_SEQUENCES=100",
                                    "CAROUSEL_SERVER_DRAIN_TIMEOUT_S=1", NULL};
    static struct client clients[N];
    int answers[3] = {0};
    server_start(&server, settings);
    for (int i = 0; i < N; i++) {
        client_open(&clients[i], &server);
        client_post(&clients[i], "/v1/completions",
                    i < 4 ? "{'model':'slow','prompt':'a','max_tokens':5}"
                          : "{'model':'slow','prompt':'a','max_tokens':16000}");
    }
    ck_assert(metric_becomes(&server, "carousel_sequences_active", 16));
    AWAIT(metric(&server, "carousel_rejected_total{reason=\"queue_full\"}") > 0);
    server_signal(&server, SIGTERM);
    for (int i = 0; i < N; i++) {
        ck_assert_msg(client_read(&clients[i], &reply), "client %d got no answer", i);
        ck_assert_msg(reply.status == 200 || reply.status == 429 || reply.status == 503, "%d: %s",
                      reply.status, reply.body);
        answers[reply.status == 200 ? 0 : reply.status == 429 ? 1 : 2]++;
        client_close(&clients[i]);
    }
    ck_assert_int_ge(answers[0], 1);
    ck_assert_int_ge(answers[1], 1);
    ck_assert_int_ge(answers[2], 16);
    ck_assert_int_eq(server_wait(&server), 0);
}
END_TEST

Suite *overload_suite(void);

Suite *overload_suite(void)
{
    Suite *suite = suite_create("overload");
    TCase *vanishing = tcase_create("vanishing");
    tcase_set_timeout(vanishing, TEST_TIMEOUT_S);
    tcase_add_test(vanishing, hundreds_of_clients_who_vanish_leave_nothing_behind);
    tcase_add_test(vanishing, who_leaves_in_the_body_is_noticed);
    suite_add_tcase(suite, vanishing);
    TCase *flood = tcase_create("flood");
    tcase_set_timeout(flood, TEST_TIMEOUT_S);
    tcase_add_test(flood, one_client_does_not_hold_up_another);
    tcase_add_test(flood, a_higher_priority_boards_before_what_came_earlier);
    tcase_add_test(flood, what_cannot_be_in_time_is_refused_at_once);
    tcase_add_test(flood, requests_may_not_take_all_memory);
    tcase_add_test(flood, sigterm_under_load_answers_everybody);
    suite_add_tcase(suite, flood);
    return suite;
}
