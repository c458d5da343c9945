/* log: one line an event, on stderr.
 *
 * Errors are logged once, where they stop travelling: here in server/, never on the floors below.
 * Plain lines begin with the time (UTC) and the level; an access line is one JSON object. Under systemd the
 * journal is told each line's level, so that `journalctl -p warning` works. Each line is one write, so that
 * threads do not mix theirs. Prompts and inputs are never passed here. Any thread; log_start once, by main,
 * before the others exist.
 *
 * If stderr is full because it is not read, a line waits for a second, and for the next minute none does:
 * what finds no room then is lost, and counted. */
#ifndef CAROUSEL_SERVER_LOG_H
#define CAROUSEL_SERVER_LOG_H

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

enum log_level { LOG_ERROR, LOG_WARNING, LOG_INFO, LOG_DEBUG };

/* Lines less important than `level` (a name as in the configuration) are dropped. */
void log_start(const char *level);

/* One line; its control characters become '?'. */
void log_line(enum log_level level, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* What a library says about itself, at level debug. */
void log_foreign(const char *library, const char *format, va_list args) __attribute__((format(printf, 2, 0)));

/* A finished line of JSON: at most a page with the journal's mark before it and the newline that is added. */
enum { LOG_JSON_BYTES = 4096 - 3 - 1 };
void log_json(const char *text, size_t bytes);

/* Lines that were lost so far. */
uint64_t log_lost(void);

/* The time as "2026-01-31T12:00:00.123Z"; returns out. */
enum { LOG_TIME_BYTES = 32 };
const char *log_time(char out[LOG_TIME_BYTES]);

#endif
