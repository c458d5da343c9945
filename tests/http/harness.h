/* harness: the real server, started on a free port for a test and stopped after it.
 *
 * The server is a child of the test's process and dies with it. Whatever goes wrong here fails the test. What
 * the server writes on stderr is kept in a file and shown where it ended badly. */
#ifndef CAROUSEL_TESTS_HTTP_HARNESS_H
#define CAROUSEL_TESTS_HTTP_HARNESS_H

#include <stdbool.h>
#include <sys/types.h>

#include "tests/support/await.h"

/* What ends a test that hangs, and more than any wait in it. */
enum { TEST_TIMEOUT_S = 180 };

struct server {
    pid_t pid; /* 0: not running */
    int port;  /* 0: a Unix socket */
    char url[256];
    int out;   /* read end of its stdout */
    bool may_fail; /* a bad end is not worth its log */
    char log[512];
};

/* Where the small bundles lie. */
#define BUNDLES "tests/http/bundles"
const char *scratch_path(const char *name); /* under CAROUSEL_SCRATCH; valid until the eighth next call */

/* Start it on the small bundles and wait until it listens. settings: "CAROUSEL_SECTION_KEY=value", ended by
 * NULL; may be NULL. They win over what the harness sets. */
void server_start(struct server *server, const char *const *settings);
/* Start it and wait until it answers while it still loads, which slow_start_setting() makes long; and then
 * until it listens. */
void server_start_loading(struct server *server, const char *const *settings);
void server_await_ready(struct server *server);
/* Start it and wait for nothing. */
void server_launch(struct server *server, const char *const *settings);
/* Send SIGTERM and wait: the exit code, or 128 + the signal that killed it. */
int server_stop(struct server *server);
/* Wait without a signal. */
int server_wait(struct server *server);
void server_signal(const struct server *server, int signal);
/* What it has written on stderr so far; valid until the next call. */
const char *server_log(const struct server *server);
/* Wait until it holds the text n times. */
void await_log(const struct server *server, const char *text, int n);

/* One line of GET /metrics: the value behind `name`, labels included as they are printed, or 0
 * where the line is not there. */
double metric(const struct server *server, const char *name);
/* Ask for it until it equals `value`: false after patience_ms(AWAIT_MS). */
bool metric_becomes(const struct server *server, const char *name, double value);

/* The setting that serves the small bundles and one called "slow", which is made for it: a generation model
 * whose steps take milliseconds, since it is large, and whose outputs are known, since it is all zero. */
const char *slow_setting(void);
/* The setting that adds, as "zz-slow", the last of all, one like it that also proves itself slowly: by golden
 * cases of so many steps each, with milliseconds a step. 64 of 4096 take minutes. */
const char *slow_start_setting(int n_cases, int n_steps);

/* Write a file of API keys and return the setting that takes it: ck_infer, ck_metrics, ck_admin, and ck_all,
 * which has all scopes. The second takes a file of these lines of its own making. Valid until the next
 * call. */
const char *keys_setting(void);
const char *keys_file(const char *name, const char *lines);
#define KEY_LINES                                                                                            \
    "infer sha256:926411ae93c61212070fb58cf902ff74f49d687946bd99cb2dbc44bdf2d84905 scopes=infer\n"           \
    "metrics sha256:afbbd63ec81ee1a0167f3afd62c81357e059a4a8fe5945a38fde0c5ba04d3b15 scopes=metrics\n"       \
    "admin sha256:219cc41786bc0b13ba7709aa15b4e802ef6f5fc7e6c554f97ff799c6936bfca3 scopes=admin\n"           \
    "all sha256:255e55b3b533765ecdb96d61469c8d64faaaba4e9768f01e06653726d57bf47b "                           \
    "scopes=infer,metrics,admin\n"
#define BEARER(key) "Authorization: Bearer " key "\r\n"

/* A copy of one of the small bundles in the folder `to` under CAROUSEL_SCRATCH. */
void bundle_copy(const char *bundle, const char *to);
/* The folder that slow_setting() adds, which holds "slow" alone. */
const char *slow_folder(void);

/* Write a file of the tests: bytes of text. Folders are made. */
void file_write(const char *path, const void *text, size_t bytes);
/* A whole file with a zero byte after it; the caller frees it. */
char *file_read(const char *path, size_t *bytes);

#endif
