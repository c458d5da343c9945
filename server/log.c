/* Lines on stderr. */
#include "server/log.h"

#include <stdio.h>
#include <string.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

static const char *const names[] = {
    [LOG_ERROR] = "error", [LOG_WARNING] = "warning", [LOG_INFO] = "info", [LOG_DEBUG] = "debug"};

/* Written once before other threads start. */
static enum log_level least = LOG_INFO;

void log_start(const char *level)
{
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

/* Standard error may be closed or full; nothing can be said about it then. */
static void write_line(const char *text, size_t bytes)
{
    struct iovec parts[] = {{(void *)(size_t)text, bytes}, {(void *)(size_t)"\n", 1}};
    ssize_t written = writev(STDERR_FILENO, parts, 2);
    (void)written;
}

void log_line(enum log_level level, const char *format, ...)
{
    if (level > least) return;
    char line[1024], at[LOG_TIME_BYTES];
    int n = snprintf(line, sizeof line, "%s %-7s ", log_time(at), names[level]);
    va_list args;
    va_start(args, format);
    int more = vsnprintf(line + n, sizeof line - (size_t)n, format, args);
    va_end(args);
    size_t bytes = (size_t)n + (more > 0 ? (size_t)more : 0);
    if (bytes >= sizeof line) bytes = sizeof line - 1;
    for (size_t i = 0; i < bytes; i++)
        if ((unsigned char)line[i] < 32) line[i] = '?';
    write_line(line, bytes);
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
    write_line(text, bytes);
}
