/* The few kinds of failure that callers tell apart, and where their details are carried. */
#ifndef YT_BASE_ERR_H
#define YT_BASE_ERR_H

#define YT_MUST_CHECK __attribute__((warn_unused_result))
#define YT_PRINTF(fmt, args) __attribute__((format(printf, fmt, args)))

enum err {
    ERR_OK = 0,
    ERR_AGAIN,    /* nothing now; the caller will be woken or tries later */
    ERR_NOMEM,    /* an allocation whose size came from outside failed */
    ERR_IO,       /* the kernel refused; errinfo.sys has errno */
    ERR_FULL,     /* no room: disk, map, or a configured bound on bytes */
    ERR_LIMIT,    /* a bound on count or length was reached */
    ERR_PROTO,    /* the peer broke its protocol */
    ERR_UPSTREAM, /* the upstream could not be reached or refused */
    ERR_FOREIGN,  /* at a place that may not be asked */
    ERR_CORRUPT,  /* stored or received bytes are not what they must be */
    ERR_NOTFOUND,
    ERR_CLOSED,
    ERR_CONFIG,
};

/*
 * Filled where a failure is detected, logged once where it is handled. The caller owns it; every
 * function that takes one accepts NULL.
 */
struct errinfo {
    enum err code;
    int sys; /* errno, or 0 */
    char msg[200];
};

const char *err_name(enum err code);

/* Fills *info (if any) and returns `code`, so that callers can write return err_set(...). */
enum err err_set(struct errinfo *info, enum err code, const char *fmt, ...) YT_PRINTF(3, 4);

/* The same with errno appended to the text; ENOSPC, EDQUOT and EFBIG become ERR_FULL. */
enum err err_sys(struct errinfo *info, const char *fmt, ...) YT_PRINTF(2, 3);

#endif
