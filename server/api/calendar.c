/* Dates by day numbers: the civil calendar counted in eras of 400 years that begin in March, so that the leap
 * day is a year's last (Howard Hinnant, "chrono-Compatible Low-Level Date Algorithms"). */
#include "server/api/calendar.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "models/text/sentence.h"

#define MAX_COUNT 100000

const char frequency_names[] =
    "S, T or min, H or h, D, B, W, M or ME, MS, Q or QE, QS, Y or YE, YS, as pandas has them, with a count "
    "before and an anchor behind if wanted (15min, W-SUN, QE-DEC)";

struct date {
    int64_t year, month, day;
};

static int64_t days_of(struct date date)
{
    int64_t year = date.month <= 2 ? date.year - 1 : date.year;
    int64_t era = year / 400, of_era = year - era * 400;
    int64_t of_year = (153 * (date.month + (date.month > 2 ? -3 : 9)) + 2) / 5 + date.day - 1;
    return era * 146097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719468;
}

static struct date date_of(int64_t days)
{
    days += 719468;
    int64_t era = days / 146097, of_era = days - era * 146097;
    int64_t year = (of_era - of_era / 1460 + of_era / 36524 - of_era / 146096) / 365;
    int64_t of_year = of_era - (365 * year + year / 4 - year / 100);
    int64_t month = (5 * of_year + 2) / 153;
    struct date date = {.year = year + era * 400, .month = month < 10 ? month + 3 : month - 9,
                        .day = of_year - (153 * month + 2) / 5 + 1};
    date.year += date.month <= 2;
    return date;
}

static int64_t month_length(int64_t year, int64_t month)
{
    static const int lengths[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
    return lengths[month - 1] + (month == 2 && leap);
}

/* Exactly n digits at *text, which moves on. */
static bool take_digits(const char **text, int n, int64_t *value)
{
    *value = 0;
    for (int i = 0; i < n; i++, (*text)++) {
        if (**text < '0' || **text > '9') return false;
        *value = *value * 10 + (**text - '0');
    }
    return true;
}

static bool take_char(const char **text, char c)
{
    if (**text != c) return false;
    (*text)++;
    return true;
}

/* hh, hh:mm or hh:mm:ss.fraction */
static bool take_time(const char **text, struct instant *instant)
{
    int64_t hour, minute = 0, second = 0;
    if (!take_digits(text, 2, &hour)) return false;
    bool has_minute = take_char(text, ':');
    if (has_minute && !take_digits(text, 2, &minute)) return false;
    if (has_minute && take_char(text, ':')) {
        if (!take_digits(text, 2, &second)) return false;
        size_t n = **text == '.' ? 1 + strspn(*text + 1, "0123456789") : 0;
        if (n == 1 || n > sizeof instant->fraction - 2) return false;
        memcpy(instant->fraction, *text, n);
        *text += n;
    }
    if (hour > 23 || minute > 59 || second > 59) return false;
    instant->form = INSTANT_TIME;
    instant->seconds = hour * 3600 + minute * 60 + second;
    return true;
}

static bool take_offset(const char **text, struct instant *instant)
{
    const char *begin = *text;
    int64_t hours, minutes = 0;
    if (!**text) return true;
    if (take_char(text, 'Z') || take_char(text, 'z')) {
        instant->offset[0] = *begin;
        return true;
    }
    if ((!take_char(text, '+') && !take_char(text, '-')) || !take_digits(text, 2, &hours)) return false;
    bool colon = take_char(text, ':');
    if ((colon || **text) && !take_digits(text, 2, &minutes)) return false;
    if (hours > 23 || minutes > 59) return false;
    memcpy(instant->offset, begin, (size_t)(*text - begin));
    return true;
}

static bool is_date(const struct date *date)
{
    return date->year && date->month >= 1 && date->month <= 12 && date->day >= 1 &&
           date->day <= month_length(date->year, date->month);
}

/* -mm-dd */
static bool take_month_and_day(const char **text, struct date *date)
{
    return take_char(text, '-') && take_digits(text, 2, &date->month) && take_char(text, '-') &&
           take_digits(text, 2, &date->day);
}

/* A year, a quarter or a month: the whole text. */
static bool take_period(const char *text, struct date *date, enum instant_form *form)
{
    int64_t quarter;
    *date = (struct date){.month = 1, .day = 1};
    *form = INSTANT_YEAR;
    if (!take_digits(&text, 4, &date->year)) return false;
    bool dash = take_char(&text, '-');
    if (take_char(&text, 'Q')) {
        if (!take_digits(&text, 1, &quarter) || quarter < 1 || quarter > 4) return false;
        date->month = 3 * quarter - 2;
        *form = INSTANT_QUARTER;
    } else if (dash) {
        if (!take_digits(&text, 2, &date->month)) return false;
        *form = INSTANT_MONTH;
    }
    return !*text && is_date(date);
}

/* The second half of a week, "yyyy-mm-dd": six days after the first. */
static bool take_week_end(const char **text, struct instant *instant)
{
    struct date end;
    instant->form = INSTANT_WEEK;
    return take_digits(text, 4, &end.year) && take_month_and_day(text, &end) && is_date(&end) &&
           days_of(end) == instant->days + 6;
}

bool instant_parse(const char *text, struct instant *out)
{
    struct instant instant = {.form = INSTANT_DAY};
    struct date date;
    if (!take_period(text, &date, &instant.form)) {
        instant.form = INSTANT_DAY;
        if (!take_digits(&text, 4, &date.year) || !take_month_and_day(&text, &date) || !is_date(&date))
            return false;
        instant.days = days_of(date);
        if (take_char(&text, '/')) {
            if (!take_week_end(&text, &instant)) return false;
        } else if (take_char(&text, 'T') || take_char(&text, 't') || take_char(&text, ' ')) {
            if (!take_time(&text, &instant) || !take_offset(&text, &instant)) return false;
        }
        if (*text) return false;
    }
    instant.days = days_of(date);
    *out = instant;
    return true;
}

/* ---- frequencies ---------------------------------------------------------------------------- */

static const char *const weekday_names[] = {"SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT", NULL};
static const char *const month_names[] = {"JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP",
                                          "OCT", "NOV", "DEC", NULL};

static const struct {
    const char *name;
    struct frequency step;
    const char *const *anchors;
} units[] = {
    {"s", {.seconds = 1}, NULL},
    {"S", {.seconds = 1}, NULL},
    {"min", {.seconds = 60}, NULL},
    {"T", {.seconds = 60}, NULL},
    {"h", {.seconds = 3600}, NULL},
    {"H", {.seconds = 3600}, NULL},
    {"D", {.seconds = 86400}, NULL},
    {"B", {.weekdays = 1}, NULL},
    {"W", {.seconds = 604800}, weekday_names},
    {"M", {.months = 1, .at_end = true}, NULL},
    {"ME", {.months = 1, .at_end = true}, NULL},
    {"MS", {.months = 1}, NULL},
    {"Q", {.months = 3, .at_end = true}, month_names},
    {"QE", {.months = 3, .at_end = true}, month_names},
    {"QS", {.months = 3}, month_names},
    {"Y", {.months = 12, .at_end = true}, month_names},
    {"YE", {.months = 12, .at_end = true}, month_names},
    {"YS", {.months = 12}, month_names},
    {"A", {.months = 12, .at_end = true}, month_names},
    {"AS", {.months = 12}, month_names},
};

enum { N_UNITS = sizeof units / sizeof *units };

static bool is_anchor(const char *const *anchors, const char *text)
{
    for (; anchors && *anchors; anchors++)
        if (!strcmp(*anchors, text)) return true;
    return false;
}

bool frequency_parse(const char *text, struct frequency *out)
{
    int64_t count = 1;
    if (*text >= '0' && *text <= '9')
        for (count = 0; *text >= '0' && *text <= '9' && count <= MAX_COUNT; text++)
            count = count * 10 + (*text - '0');
    if (count < 1 || count > MAX_COUNT) return false;
    size_t n = strcspn(text, "-");
    for (size_t i = 0; i < N_UNITS; i++) {
        if (strlen(units[i].name) != n || strncmp(text, units[i].name, n)) continue;
        if (text[n] && !is_anchor(units[i].anchors, text + n + 1)) return false;
        *out = units[i].step;
        out->seconds *= count;
        out->weekdays *= count;
        out->months *= count;
        return true;
    }
    return false;
}

/* Names of pandas' that mean something else, and words. */
static const struct {
    const char *name, *nearest;
} others[] = {
    {"C", "B"}, {"bh", "h"}, {"cbh", "h"}, {"SM", "ME"}, {"SME", "ME"}, {"SMS", "MS"}, {"WOM", "MS"},
    {"LWOM", "ME"}, {"ms", "s"}, {"us", "s"}, {"ns", "s"}, {"L", "s"}, {"U", "s"}, {"N", "s"},
    {"second", "s"}, {"minute", "min"}, {"hour", "h"}, {"hourly", "h"}, {"day", "D"}, {"daily", "D"},
    {"week", "W"}, {"weekly", "W"}, {"month", "MS"}, {"monthly", "MS"}, {"quarter", "QS"},
    {"quarterly", "QS"}, {"year", "YS"}, {"yearly", "YS"}, {"annual", "YS"},
};

static const char *unit_ignoring_case(const char *name)
{
    for (size_t i = 0; i < N_UNITS; i++)
        if (!strcasecmp(units[i].name, name)) return units[i].name;
    return NULL;
}

const char *frequency_nearest(const char *text)
{
    char name[16];
    size_t n = strcspn(text += strspn(text, "0123456789+-. "), "-");
    if (!n || n >= sizeof name) return NULL;
    memcpy(name, text, n);
    name[n] = '\0';
    for (size_t i = 0; i < sizeof others / sizeof *others; i++)
        if (!strcmp(others[i].name, name)) return others[i].nearest;
    for (size_t i = 0; i < sizeof others / sizeof *others; i++)
        if (n > 2 && !strcasecmp(others[i].name, name)) return others[i].nearest;
    /* business and custom business months are months with another day */
    const char *unit = unit_ignoring_case(name);
    if (!unit && strchr("Bb", *name)) unit = unit_ignoring_case(name + 1);
    if (!unit && !strncasecmp(name, "CB", 2)) unit = unit_ignoring_case(name + 2);
    for (size_t i = 0; i < N_UNITS && !unit; i++)
        if (n > 2 && sentence_distance(name, units[i].name) <= 1) unit = units[i].name;
    return unit;
}

int64_t frequency_season(const struct frequency *frequency)
{
    const int64_t day = 86400, days_of_week = 7, months_of_year = 12;
    if (frequency->weekdays > 0) return frequency->weekdays == 1 ? 5 : 0;
    if (frequency->months > 0)
        return months_of_year % frequency->months == 0 ? months_of_year / frequency->months : 0;
    if (frequency->seconds == day) return days_of_week;
    return frequency->seconds < day && day % frequency->seconds == 0 ? day / frequency->seconds : 0;
}

/* ---- steps ---------------------------------------------------------------------------------- */

static bool add_months(struct date *date, int64_t months, bool at_end)
{
    bool last = at_end && date->day == month_length(date->year, date->month);
    int64_t sum = date->year * 12 + date->month - 1 + months;
    date->year = sum / 12;
    date->month = sum % 12 + 1;
    if (date->year > 9999) return false;
    int64_t length = month_length(date->year, date->month);
    if (last || date->day > length) date->day = length;
    return true;
}

/* The day n weekdays after `days`; a Saturday or Sunday counts as the Friday before it. */
static int64_t add_weekdays(int64_t days, int64_t n)
{
    int64_t of_week = ((days + 3) % 7 + 7) % 7; /* Monday is 0; 1970-01-01 was a Thursday */
    if (!n) return days;
    if (of_week > 4) {
        days -= of_week - 4;
        of_week = 4;
    }
    return days + n + 2 * ((of_week + n) / 5);
}

/* A period's own form as long as the steps are whole periods; else the coarsest that tells them apart. */
static enum instant_form form_of(const struct instant *start, const struct frequency *frequency)
{
    static const int months_of[] = {[INSTANT_YEAR] = 12, [INSTANT_QUARTER] = 3, [INSTANT_MONTH] = 1};
    if (start->form <= INSTANT_MONTH && frequency->months)
        return frequency->months % months_of[start->form] ? INSTANT_MONTH : start->form;
    if (start->form == INSTANT_WEEK && frequency->seconds && frequency->seconds % 604800 == 0)
        return INSTANT_WEEK;
    return start->form == INSTANT_TIME || frequency->seconds % 86400 ? INSTANT_TIME : INSTANT_DAY;
}

/* The date and the second of the day n steps after `start`; *days is without the months. */
static bool step(const struct instant *start, const struct frequency *frequency, int64_t n, struct date *date,
                 int64_t *days, int64_t *second)
{
    int64_t seconds = start->seconds + frequency->seconds * n;
    *days = add_weekdays(start->days + seconds / 86400, frequency->weekdays * n);
    *second = seconds % 86400;
    *date = date_of(*days);
    return date->year <= 9999 && add_months(date, frequency->months * n, frequency->at_end);
}

bool instant_part(const struct instant *start, const struct frequency *frequency, int64_t n,
                  enum calendar_part part, double *value)
{
    struct date date;
    int64_t days, second, number = 0;
    if (!step(start, frequency, n, &date, &days, &second)) return false;
    switch (part) {
    case CALENDAR_NONE: break;
    case CALENDAR_MINUTE: number = second / 60 % 60; break;
    case CALENDAR_HOUR: number = second / 3600; break;
    case CALENDAR_DAY_OF_WEEK: number = ((days_of(date) + 3) % 7 + 7) % 7; break;
    case CALENDAR_DAY: number = date.day; break;
    case CALENDAR_DAY_OF_YEAR: number = days_of(date) - days_of((struct date){date.year, 1, 1}) + 1; break;
    case CALENDAR_MONTH: number = date.month; break;
    case CALENDAR_QUARTER: number = (date.month + 2) / 3; break;
    }
    *value = (double)number;
    return true;
}

bool instant_print(const struct instant *start, const struct frequency *frequency, int64_t n,
                   char out[CALENDAR_TEXT_BYTES])
{
    struct date date, end;
    int64_t days, seconds;
    if (!step(start, frequency, n, &date, &days, &seconds)) return false;
    int y = (int)date.year, m = (int)date.month, d = (int)date.day, second = (int)seconds;
    switch (form_of(start, frequency)) {
    case INSTANT_YEAR: snprintf(out, CALENDAR_TEXT_BYTES, "%04d", y); break;
    case INSTANT_QUARTER: snprintf(out, CALENDAR_TEXT_BYTES, "%04dQ%d", y, (m + 2) / 3); break;
    case INSTANT_MONTH: snprintf(out, CALENDAR_TEXT_BYTES, "%04d-%02d", y, m); break;
    case INSTANT_WEEK:
        end = date_of(days + 6);
        if (end.year > 9999) return false;
        snprintf(out, CALENDAR_TEXT_BYTES, "%04d-%02d-%02d/%04d-%02d-%02d", y, m, d, (int)end.year,
                 (int)end.month, (int)end.day);
        break;
    case INSTANT_DAY: snprintf(out, CALENDAR_TEXT_BYTES, "%04d-%02d-%02d", y, m, d); break;
    case INSTANT_TIME:
        snprintf(out, CALENDAR_TEXT_BYTES, "%04d-%02d-%02dT%02d:%02d:%02d%s%s", y, m, d, second / 3600,
                 second / 60 % 60, second % 60, start->fraction, start->offset);
        break;
    }
    return true;
}
