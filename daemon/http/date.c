#include "http/date.h"

#include "chars.h"

enum {
    DAY_SECONDS = 86400,
    RETRY_LONGEST = INT32_MAX, /* keeps now + delay far from overflow */
};

static const char day_names[7][4] = {"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};
static const char long_day_names[7][10] = {"Sunday",   "Monday", "Tuesday", "Wednesday",
                                           "Thursday", "Friday", "Saturday"};
static const char month_names[12][4] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                        "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};

struct civil {
    int year, month, day; /* month 1 to 12 */
    int hour, minute, second;
};

/*
 * Calendar arithmetic of our own: gmtime_r and timegm take the time zone lock, and this runs for
 * every answer. Years are counted from 1 March, so that the leap day is a year's last; an era is
 * the 400 years after which the calendar repeats.
 */
enum {
    ERA_DAYS = 146097,
    DAYS_TO_EPOCH = 719468, /* 1 March of year 0 to 1 January 1970 */
};

/* Days from 1 March to the first of the month that is `shifted` months after March. */
static int days_before_month(int shifted)
{
    return (153 * shifted + 2) / 5;
}

static int64_t days_of(int year, int month, int day)
{
    if (month <= 2)
        year--;
    int era = year / 400, in_era = year % 400;
    int in_year = days_before_month((month + 9) % 12) + day - 1;
    return (int64_t)era * ERA_DAYS + in_era * 365 + in_era / 4 - in_era / 100 + in_year -
           DAYS_TO_EPOCH;
}

/* `days` since 1970, on or after 1 March of year 0. */
static void civil_of(int64_t days, struct civil *c)
{
    days += DAYS_TO_EPOCH;
    int era = (int)(days / ERA_DAYS), in_era = (int)(days % ERA_DAYS);
    /* A leap day per 1461 days, none per 36525 of them, one again at the era's very end. */
    int year = (in_era - in_era / 1460 + in_era / 36524 - in_era / (ERA_DAYS - 1)) / 365;
    int in_year = in_era - (365 * year + year / 4 - year / 100);
    int shifted = (5 * in_year + 2) / 153;
    c->day = in_year - days_before_month(shifted) + 1;
    c->month = (shifted + 2) % 12 + 1;
    c->year = year + era * 400 + (c->month <= 2);
}

static int64_t clamp(int64_t value, int64_t low, int64_t high)
{
    return value < low ? low : value > high ? high : value;
}

static void put_digits(char *out, int width, int value)
{
    for (int i = width - 1; i >= 0; i--, value /= 10)
        out[i] = (char)('0' + value % 10);
}

void http_date_format(int64_t seconds, char out[HTTP_DATE_LENGTH + 1])
{
    /* The form has four digits for the year. */
    seconds = clamp(seconds, days_of(1, 1, 1) * DAY_SECONDS,
                    (days_of(9999, 12, 31) + 1) * DAY_SECONDS - 1);
    int64_t days = seconds / DAY_SECONDS;
    int rest = (int)(seconds % DAY_SECONDS);
    if (rest < 0) {
        rest += DAY_SECONDS;
        days--;
    }
    struct civil c;
    civil_of(days, &c);
    memcpy(out, "Day, 00 Mon 0000 00:00:00 GMT", HTTP_DATE_LENGTH + 1);
    memcpy(out, day_names[((days + 4) % 7 + 7) % 7], 3); /* 1 January 1970 was a Thursday */
    put_digits(out + 5, 2, c.day);
    memcpy(out + 8, month_names[c.month - 1], 3);
    put_digits(out + 12, 4, c.year);
    put_digits(out + 17, 2, rest / 3600);
    put_digits(out + 20, 2, rest / 60 % 60);
    put_digits(out + 23, 2, rest % 60);
}

/* Takes `width` digits off *text. */
static bool take_number(struct slice *text, size_t width, int *value)
{
    uint64_t number;
    if (text->n < width || !slice_u64(slice_to(*text, width), &number))
        return false;
    *value = (int)number;
    *text = slice_from(*text, width);
    return true;
}

static bool take_text(struct slice *text, struct slice wanted)
{
    if (!slice_starts(*text, wanted))
        return false;
    *text = slice_from(*text, wanted.n);
    return true;
}

static bool take_month(struct slice *text, int *month)
{
    for (int i = 0; i < 12; i++) {
        if (take_text(text, slice_of(month_names[i], 3))) {
            *month = i + 1;
            return true;
        }
    }
    return false;
}

/* The day's name is not compared with the date: senders get it wrong, and nothing hangs on it. */
static bool take_day_name(struct slice *text)
{
    for (int i = 0; i < 7; i++)
        if (take_text(text, slice_of(day_names[i], 3)))
            return true;
    return false;
}

static bool take_long_day_name(struct slice *text)
{
    for (int i = 0; i < 7; i++)
        if (take_text(text, slice_str(long_day_names[i])))
            return true;
    return false;
}

static bool take_clock(struct slice *text, struct civil *c)
{
    return take_number(text, 2, &c->hour) && take_text(text, SLICE(":")) &&
           take_number(text, 2, &c->minute) && take_text(text, SLICE(":")) &&
           take_number(text, 2, &c->second);
}

/* Sun, 06 Nov 1994 08:49:37 GMT */
static bool parse_fixdate(struct slice text, struct civil *c)
{
    return take_day_name(&text) && take_text(&text, SLICE(", ")) &&
           take_number(&text, 2, &c->day) && take_text(&text, SLICE(" ")) &&
           take_month(&text, &c->month) && take_text(&text, SLICE(" ")) &&
           take_number(&text, 4, &c->year) && take_text(&text, SLICE(" ")) &&
           take_clock(&text, c) && slice_eq(text, SLICE(" GMT"));
}

/* Sunday, 06-Nov-94 08:49:37 GMT; without a clock the century is a convention, POSIX's. */
static bool parse_rfc850(struct slice text, struct civil *c)
{
    if (!take_long_day_name(&text) || !take_text(&text, SLICE(", ")) ||
        !take_number(&text, 2, &c->day) || !take_text(&text, SLICE("-")) ||
        !take_month(&text, &c->month) || !take_text(&text, SLICE("-")) ||
        !take_number(&text, 2, &c->year) || !take_text(&text, SLICE(" ")) || !take_clock(&text, c))
        return false;
    c->year += c->year < 69 ? 2000 : 1900;
    return slice_eq(text, SLICE(" GMT"));
}

/* Sun Nov  6 08:49:37 1994 */
static bool parse_asctime(struct slice text, struct civil *c)
{
    if (!take_day_name(&text) || !take_text(&text, SLICE(" ")) || !take_month(&text, &c->month) ||
        !take_text(&text, SLICE(" ")))
        return false;
    size_t width = take_text(&text, SLICE(" ")) ? 1 : 2;
    return take_number(&text, width, &c->day) && take_text(&text, SLICE(" ")) &&
           take_clock(&text, c) && take_text(&text, SLICE(" ")) &&
           take_number(&text, 4, &c->year) && text.n == 0;
}

/* Does the date exist? A leap second (60) does. */
static bool civil_is_real(const struct civil *c)
{
    if (c->year < 1 || c->day < 1 || c->hour > 23 || c->minute > 59 || c->second > 60)
        return false;
    struct civil back;
    civil_of(days_of(c->year, c->month, c->day), &back);
    return back.day == c->day && back.month == c->month;
}

bool http_date_parse(struct slice text, int64_t *seconds)
{
    struct civil c = {0};
    if (!parse_fixdate(text, &c) && !parse_rfc850(text, &c) && !parse_asctime(text, &c))
        return false;
    if (!civil_is_real(&c))
        return false;
    *seconds =
        days_of(c.year, c.month, c.day) * DAY_SECONDS + c.hour * 3600 + c.minute * 60 + c.second;
    return true;
}

bool http_retry_after_parse(struct slice text, int64_t now_seconds, int64_t *delay_seconds)
{
    int64_t date;
    uint64_t delay;
    if (text.n > 0 && http_chars_all(text, HTTP_CHAR_DIGIT)) {
        bool fits = slice_u64(text, &delay) && delay < RETRY_LONGEST;
        *delay_seconds = fits ? (int64_t)delay : RETRY_LONGEST;
        return true;
    }
    if (!http_date_parse(text, &date))
        return false;
    *delay_seconds = clamp(date - now_seconds, 0, RETRY_LONGEST);
    return true;
}
