/* calendar: the timestamps of a forecast, from the instant of a series' first value and its frequency.
 *
 * Gregorian calendar, years 1 to 9999, no leap seconds. An offset ("Z", "+02:00") is kept as it was written
 * and not applied: steps are taken on the local clock. Pure; any thread. */
#ifndef CAROUSEL_SERVER_CALENDAR_H
#define CAROUSEL_SERVER_CALENDAR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { CALENDAR_TEXT_BYTES = 40 };

struct instant {
    int64_t days;     /* since 1970-01-01 */
    int64_t seconds;  /* of the day */
    bool has_time;    /* written with a time of day */
    char offset[8];   /* "", "Z" or "+hh:mm" */
};

/* A step: so many seconds, or so many months. */
struct frequency {
    int64_t seconds, months;
    bool at_end; /* months: from a month's last day to a month's last day */
};

/* "2026-01-31", "2026-01-31T22:00", "2026-01-31 22:00:00.000+02:00": false for anything else. */
bool instant_parse(const char *text, struct instant *instant);

/* pandas' names, perhaps after a count ("15min"): S s, T min, H h, D, W, M ME MS, Q QE QS, Y YE YS A. */
bool frequency_parse(const char *text, struct frequency *frequency);
/* The names, for a sentence. */
extern const char frequency_names[];

/* The instant `n` steps after `start`, as text in the form that `start` had (with a time where steps are
 * shorter than a day). false past the year 9999. */
bool instant_print(const struct instant *start, const struct frequency *frequency, int64_t n,
                   char out[CALENDAR_TEXT_BYTES]);

#endif
