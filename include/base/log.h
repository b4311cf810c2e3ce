/*
 * One line per event to standard error, never mixed with another, from any thread. errno is kept.
 * Attacker bytes in values are escaped. Secrets are never passed in.
 *
 * text: 2026-11-22T21:30:00.123Z info request id=1f3c status=200 target="/v2/ a"
 * json: {"time":"...","level":"info","event":"request","id":"1f3c","status":200,"target":"/v2/ a"}
 */
#ifndef YT_BASE_LOG_H
#define YT_BASE_LOG_H

#include "base/slice.h"

enum log_level { LOG_LEVEL_ERROR, LOG_LEVEL_WARN, LOG_LEVEL_INFO, LOG_LEVEL_DEBUG };
enum log_format { LOG_FORMAT_TEXT, LOG_FORMAT_JSON };

/* Once at start, before the threads. Default: info, text. */
void log_setup(enum log_level level, enum log_format format);
bool log_enabled(enum log_level level);

/*
 * From now on this thread's lines are collected, so that many cost one write(2). `waiting` is
 * called when the first one waits: log_flush must follow soon. Errors and warnings take what waits
 * along at once. Back to a write for each line: log_collect_end, before the thread ends.
 */
void log_collect(void (*waiting)(void *arg), void *arg);
void log_flush(void);
void log_collect_end(void);

enum log_kind { LOG_KIND_STR, LOG_KIND_INT, LOG_KIND_WORD };

struct log_field {
    struct slice text_key; /* as it stands in text: " key=" */
    enum log_kind kind;
    struct slice str;
    int64_t num;
};

#define LF_STR(k, s)                                                                               \
    ((struct log_field){.text_key = SLICE(" " k "="), .kind = LOG_KIND_STR, .str = slice_str(s)})
#define LF_SLICE(k, s)                                                                             \
    ((struct log_field){.text_key = SLICE(" " k "="), .kind = LOG_KIND_STR, .str = (s)})
/* Made here, of bytes that never need quotes or escapes: it is not looked through. */
#define LF_WORD(k, s)                                                                              \
    ((struct log_field){.text_key = SLICE(" " k "="), .kind = LOG_KIND_WORD, .str = (s)})
#define LF_INT(k, v)                                                                               \
    ((struct log_field){.text_key = SLICE(" " k "="), .kind = LOG_KIND_INT, .num = (int64_t)(v)})

void log_event(enum log_level level, const char *event, const struct log_field *fields, size_t n);

#define LOG_AT(level, event, ...)                                                                  \
    do {                                                                                           \
        if (log_enabled(level)) {                                                                  \
            const struct log_field log_fields_[] = {__VA_ARGS__};                                  \
            log_event((level), (event), log_fields_, sizeof log_fields_ / sizeof log_fields_[0]);  \
        }                                                                                          \
    } while (0)
#define log_error(event, ...) LOG_AT(LOG_LEVEL_ERROR, event, __VA_ARGS__)
#define log_warn(event, ...) LOG_AT(LOG_LEVEL_WARN, event, __VA_ARGS__)
#define log_info(event, ...) LOG_AT(LOG_LEVEL_INFO, event, __VA_ARGS__)
#define log_debug(event, ...) LOG_AT(LOG_LEVEL_DEBUG, event, __VA_ARGS__)

#endif
