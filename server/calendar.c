/* Dates by day numbers: the civil calendar counted in eras of 400 years that begin in March, so that the leap
 * day is a year's last (Howard Hinnant, "chrono-Compatible Low-Level Date Algorithms"). */
#include "server/calendar.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MAX_COUNT 100000

const char frequency_names[] =
    "S, T or min, H or h, D, W, M, MS, Q, QS, Y, YS, with a count before it if wanted";

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

static bool take_time(const char **text, struct instant *instant)
{
    int64_t hour, minute, second = 0;
    if (!take_digits(text, 2, &hour) || !take_char(text, ':') || !take_digits(text, 2, &minute)) return false;
    if (take_char(text, ':')) {
        if (!take_digits(text, 2, &second)) return false;
        if (take_char(text, '.'))
            while (**text >= '0' && **text <= '9') (*text)++;
    }
    if (hour > 23 || minute > 59 || second > 59) return false;
    instant->has_time = true;
    instant->seconds = hour * 3600 + minute * 60 + second;
    return true;
}

static bool take_offset(const char **text, struct instant *instant)
{
    const char *begin = *text;
    int64_t hours, minutes;
    if (!**text) return true;
    if (take_char(text, 'Z')) {
        strcpy(instant->offset, "Z");
        return true;
    }
    if (!take_char(text, '+') && !take_char(text, '-')) return false;
    if (!take_digits(text, 2, &hours) || !take_char(text, ':') || !take_digits(text, 2, &minutes))
        return false;
    if (hours > 23 || minutes > 59) return false;
    memcpy(instant->offset, begin, 6);
    return true;
}

bool instant_parse(const char *text, struct instant *out)
{
    struct instant instant = {0};
    struct date date;
    if (!take_digits(&text, 4, &date.year) || !take_char(&text, '-') || !take_digits(&text, 2, &date.month) ||
        !take_char(&text, '-') || !take_digits(&text, 2, &date.day))
        return false;
    if (!date.year || date.month < 1 || date.month > 12 || date.day < 1 ||
        date.day > month_length(date.year, date.month))
        return false;
    instant.days = days_of(date);
    if (*text) {
        if (!take_char(&text, 'T') && !take_char(&text, ' ')) return false;
        if (!take_time(&text, &instant) || !take_offset(&text, &instant) || *text) return false;
    }
    *out = instant;
    return true;
}

bool frequency_parse(const char *text, struct frequency *out)
{
    static const struct {
        const char *name;
        struct frequency step;
    } units[] = {{"S", {.seconds = 1}}, {"s", {.seconds = 1}}, {"T", {.seconds = 60}},
                 {"min", {.seconds = 60}}, {"H", {.seconds = 3600}}, {"h", {.seconds = 3600}},
                 {"D", {.seconds = 86400}}, {"W", {.seconds = 604800}}, {"M", {.months = 1, .at_end = true}},
                 {"ME", {.months = 1, .at_end = true}}, {"MS", {.months = 1}},
                 {"Q", {.months = 3, .at_end = true}}, {"QE", {.months = 3, .at_end = true}},
                 {"QS", {.months = 3}}, {"Y", {.months = 12, .at_end = true}},
                 {"YE", {.months = 12, .at_end = true}}, {"A", {.months = 12, .at_end = true}},
                 {"YS", {.months = 12}}};
    int64_t count = 1;
    if (*text >= '0' && *text <= '9')
        for (count = 0; *text >= '0' && *text <= '9' && count <= MAX_COUNT; text++)
            count = count * 10 + (*text - '0');
    if (count < 1 || count > MAX_COUNT) return false;
    for (size_t i = 0; i < sizeof units / sizeof *units; i++)
        if (!strcmp(text, units[i].name)) {
            *out = units[i].step;
            out->seconds *= count;
            out->months *= count;
            return true;
        }
    return false;
}

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

bool instant_print(const struct instant *start, const struct frequency *frequency, int64_t n,
                   char out[CALENDAR_TEXT_BYTES])
{
    int64_t seconds = start->seconds + frequency->seconds * n;
    struct date date = date_of(start->days + seconds / 86400);
    if (date.year > 9999 || !add_months(&date, frequency->months * n, frequency->at_end)) return false;
    bool has_time = start->has_time || frequency->seconds % 86400;
    seconds %= 86400;
    int length = snprintf(out, CALENDAR_TEXT_BYTES, "%04d-%02d-%02d", (int)date.year, (int)date.month,
                          (int)date.day);
    if (has_time)
        snprintf(out + length, CALENDAR_TEXT_BYTES - (size_t)length, "T%02d:%02d:%02d%s",
                 (int)(seconds / 3600), (int)(seconds / 60 % 60), (int)(seconds % 60), start->offset);
    return true;
}
