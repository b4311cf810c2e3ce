/* HTTP dates (RFC 9110 section 5.6.7). Pure. */
#ifndef YT_HTTP_DATE_H
#define YT_HTTP_DATE_H

#include "base/slice.h"

enum { HTTP_DATE_LENGTH = 29 };

/*
 * "Sun, 22 Nov 2026 21:30:00 GMT" and a NUL; `seconds` since 1970, clamped to the years 1 to 9999.
 */
void http_date_format(int64_t seconds, char out[HTTP_DATE_LENGTH + 1]);
/*
 * IMF-fixdate, and the two obsolete forms; two-digit years are 1969 to 2068. false when it is none
 * of them or no such date exists.
 */
bool http_date_parse(struct slice text, int64_t *seconds);
/*
 * Retry-After (section 10.2.3): seconds or a date; false when neither. Result in seconds from now,
 * 0 for a date that is past, INT32_MAX at most.
 */
bool http_retry_after_parse(struct slice text, int64_t now_seconds, int64_t *delay_seconds);

#endif
