/* calendar: the timestamps of a forecast, from the instant of a series' first value and its frequency.
 *
 * Gregorian calendar, years 1 to 9999, no leap seconds. An offset ("Z", "+02:00") and a fraction of a second
 * are kept as they were written; the offset is not applied: steps are taken on the local clock. An instant
 * may also be a period as pandas prints it: a year, a quarter, a month or a week. Pure; any thread. */
#ifndef CAROUSEL_SERVER_CALENDAR_H
#define CAROUSEL_SERVER_CALENDAR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "models/forecast/forecast_spec.h"

enum { CALENDAR_TEXT_BYTES = 64 };

/* How much of the calendar a text names, which is also how the instants after it are printed. */
enum instant_form {
    INSTANT_YEAR,    /* 2026 */
    INSTANT_QUARTER, /* 2026Q1; held as its first month, counted from January */
    INSTANT_MONTH,   /* 2026-01 */
    INSTANT_WEEK,    /* 2026-01-05/2026-01-11; held as its first day */
    INSTANT_DAY,     /* 2026-01-31 */
    INSTANT_TIME     /* 2026-01-31T22:00:00.5+02:00 */
};

struct instant {
    int64_t days;     /* since 1970-01-01 */
    int64_t seconds;  /* of the day */
    enum instant_form form;
    char fraction[12]; /* "", or ".5": at most nine digits */
    char offset[8];    /* "", "Z", "z", "+hh", "+hhmm" or "+hh:mm" */
};

/* A step: so many seconds, so many days from Monday to Friday, or so many months; the others are 0. */
struct frequency {
    int64_t seconds, weekdays, months;
    bool at_end; /* months: from a month's last day to a month's last day */
};

/* Read one of the forms above; "T" may be a space, and minutes and seconds may be left out. false for
 * anything else. */
bool instant_parse(const char *text, struct instant *instant);

/* Read one of pandas' names, perhaps after a count ("15min") and with an anchor ("W-SUN", "QE-NOV"): S s,
 * T min, H h, D, B, W, M ME MS, Q QE QS, Y YE YS, A AS. Anchors change nothing: a series that begins on its
 * anchor stays on it, and one that does not keeps its own day. */
bool frequency_parse(const char *text, struct frequency *frequency);
/* The names, for a sentence. */
extern const char frequency_names[];
/* Return the supported name that is nearest to `text`, which frequency_parse has refused; NULL if there is
 * none. */
const char *frequency_nearest(const char *text);

/* The steps in the usual cycle of a frequency: a day of hours or of parts of an hour, a week of days
 * or of business days, a year of months or quarters; 1 for years, 0 if there is no usual one. */
int64_t frequency_season(const struct frequency *frequency);

/* Print the instant `n` steps after `start` in the form that `start` had, or in a finer one if the steps need
 * it. false past the year 9999. */
bool instant_print(const struct instant *start, const struct frequency *frequency, int64_t n,
                   char out[CALENDAR_TEXT_BYTES]);

/* What of its instant the value `n` steps after `start` has, as pandas tells it. false past the year 9999. */
bool instant_part(const struct instant *start, const struct frequency *frequency, int64_t n,
                  enum calendar_part part, double *value);

#endif
