/* Lines on stderr.
 *
 * Their reader may stop: a journal that hangs, a pipe that is not emptied. A write would then hold up
 * every thread that has something to say, which are those that answer. So a line is written only if poll
 * says that there is room: a pipe or socket for which it does accepts a page without waiting, and no line is
 * longer. */
#include "server/base/log.h"

#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#include "core/base/clock.h"

enum { FULL_MS = 1000, AGAIN_US = 60000000, LINE_BYTES = 1024 };

static const char *const names[] = {
    [LOG_ERROR] = "error", [LOG_WARNING] = "warning", [LOG_INFO] = "info", [LOG_DEBUG] = "debug"};

/* What the journal calls them (sd-daemon(3)); it removes the mark from the line. */
static const char *const marks[] = {
    [LOG_ERROR] = "<3>", [LOG_WARNING] = "<4>", [LOG_INFO] = "<6>", [LOG_DEBUG] = "<7>"};

/* Written once before other threads start. */
static enum log_level least = LOG_INFO;
static bool to_journal;

static pthread_mutex_t mu = PTHREAD_MUTEX_INITIALIZER; /* guards the rest, and keeps lines in order */
static atomic_uint_fast64_t lost;                      /* lines so far; read without mu */
static uint64_t reported;                              /* how many of them the log has reported */
static int64_t patient_us;                             /* a reader is not waited for before this instant */
static bool torn;                                      /* the last line was written in part */

/* Whether standard error is the journal's: systemd names its device and inode, which a redirection
 * changes. */
static bool is_journal(void)
{
    const char *stream = getenv("JOURNAL_STREAM");
    char found[64];
    struct stat facts;
    if (!stream || fstat(STDERR_FILENO, &facts) != 0) return false;
    snprintf(found, sizeof found, "%ju:%ju", (uintmax_t)facts.st_dev, (uintmax_t)facts.st_ino);
    return !strcmp(stream, found);
}

void log_start(const char *level)
{
    to_journal = is_journal();
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (!strcmp(level, names[i])) least = (enum log_level)i;
}

const char *log_time(char out[LOG_TIME_BYTES])
{
    struct timespec now;
    struct tm parts;
    clock_gettime(CLOCK_REALTIME, &now);
    gmtime_r(&now.tv_sec, &parts);
    size_t n = strftime(out, LOG_TIME_BYTES, "%Y-%m-%dT%H:%M:%S", &parts);
    snprintf(out + n, LOG_TIME_BYTES - n, ".%03dZ", (int)(now.tv_nsec / 1000000) % 1000);
    return out;
}

uint64_t log_lost(void)
{
    return atomic_load_explicit(&lost, memory_order_relaxed);
}

/* Write a line, after the end of one that was cut. false if not all of it was taken: a disk is full, or
 * standard error is closed. mu held. */
static bool put(enum log_level level, const char *text, size_t bytes)
{
    struct iovec parts[] = {{(void *)(size_t)"\n", torn ? 1 : 0},
                            {(void *)(size_t)marks[level], to_journal ? 3 : 0},
                            {(void *)(size_t)text, bytes},
                            {(void *)(size_t)"\n", 1}};
    size_t whole = 0;
    for (size_t i = 0; i < 4; i++) whole += parts[i].iov_len;
    ssize_t written = writev(STDERR_FILENO, parts, 4);
    if (written > 0) torn = (size_t)written < whole;
    return written == (ssize_t)whole;
}

/* Whether there is room for a line. A slow reader is waited for, but not again and again. mu held. */
static bool has_room(void)
{
    struct pollfd out = {.fd = STDERR_FILENO, .events = POLLOUT};
    int64_t now = clock_us();
    if (poll(&out, 1, now < patient_us ? 0 : FULL_MS) > 0) return true;
    if (now >= patient_us) patient_us = clock_us() + AGAIN_US;
    return false;
}

/* mu held. */
static bool tell_lost(void)
{
    char line[160], at[LOG_TIME_BYTES];
    uint64_t n = log_lost();
    int bytes = snprintf(line, sizeof line,
                         "%s %-7s %llu lines of this log were lost, because its reader or its disk did not "
                         "take them",
                         log_time(at), names[LOG_WARNING], (unsigned long long)(n - reported));
    if (!put(LOG_WARNING, line, (size_t)bytes)) return false;
    reported = n;
    return true;
}

static void write_line(enum log_level level, const char *text, size_t bytes)
{
    pthread_mutex_lock(&mu);
    bool room = has_room();
    if (room && log_lost() != reported) room = tell_lost() && has_room();
    if (!room || !put(level, text, bytes)) atomic_fetch_add_explicit(&lost, 1, memory_order_relaxed);
    pthread_mutex_unlock(&mu);
}

void log_line(enum log_level level, const char *format, ...)
{
    if (level > least) return;
    char line[LINE_BYTES], at[LOG_TIME_BYTES];
    int n = snprintf(line, sizeof line, "%s %-7s ", log_time(at), names[level]);
    va_list args;
    va_start(args, format);
    int more = vsnprintf(line + n, sizeof line - (size_t)n, format, args);
    va_end(args);
    size_t bytes = (size_t)n + (more > 0 ? (size_t)more : 0);
    if (bytes >= sizeof line) bytes = sizeof line - 1;
    for (size_t i = 0; i < bytes; i++)
        if ((unsigned char)line[i] < 32) line[i] = '?';
    write_line(level, line, bytes);
}

void log_foreign(const char *library, const char *format, va_list args)
{
    char text[512];
    vsnprintf(text, sizeof text, format, args);
    text[strcspn(text, "\n")] = '\0';
    log_line(LOG_DEBUG, "%s: %s", library, text);
}

void log_json(const char *text, size_t bytes)
{
    write_line(LOG_INFO, text, bytes);
}
