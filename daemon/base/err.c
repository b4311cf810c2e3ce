#include "base/err.h"

#include <errno.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

const char *err_name(enum err code)
{
    switch (code) {
    case ERR_OK:
        return "ok";
    case ERR_AGAIN:
        return "again";
    case ERR_NOMEM:
        return "out of memory";
    case ERR_IO:
        return "i/o error";
    case ERR_FULL:
        return "no room";
    case ERR_LIMIT:
        return "over a limit";
    case ERR_PROTO:
        return "protocol error";
    case ERR_UPSTREAM:
        return "upstream failure";
    case ERR_FOREIGN:
        return "foreign place";
    case ERR_CORRUPT:
        return "corrupt";
    case ERR_NOTFOUND:
        return "not found";
    case ERR_CLOSED:
        return "closed";
    case ERR_CONFIG:
        return "wrong configuration";
    }
    return "unknown";
}

YT_PRINTF(4, 0)
static void fill(struct errinfo *info, enum err code, int sys, const char *fmt, va_list args)
{
    info->code = code;
    info->sys = sys;
    vsnprintf(info->msg, sizeof info->msg, fmt, args);
}

enum err err_set(struct errinfo *info, enum err code, const char *fmt, ...)
{
    if (info) {
        int saved = errno;
        va_list args;
        va_start(args, fmt);
        fill(info, code, 0, fmt, args);
        va_end(args);
        errno = saved;
    }
    return code;
}

enum err err_sys(struct errinfo *info, const char *fmt, ...)
{
    int sys = errno;
    bool no_room = sys == ENOSPC || sys == EDQUOT || sys == EFBIG;
    enum err code = no_room ? ERR_FULL : ERR_IO;

    if (info) {
        char reason[80];
        va_list args;
        va_start(args, fmt);
        fill(info, code, sys, fmt, args);
        va_end(args);
        size_t n = strlen(info->msg);
        snprintf(info->msg + n, sizeof info->msg - n, ": %s",
                 strerror_r(sys, reason, sizeof reason));
        errno = sys;
    }
    return code;
}
